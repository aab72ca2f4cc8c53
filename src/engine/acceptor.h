/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/addr.h"
#include "base/list.h"
#include "base/loop.h"

/* Listening sockets, on worker 0. It stops taking connections for a moment when descriptors or
 * memory run out, and while as many are logging in as may: the kernel's backlog holds the rest. */

typedef struct Acceptor Acceptor;
typedef struct Worker Worker;

typedef struct Listener {
        LoopIo io;
        List link; /* the acceptor's */
        Acceptor *acceptor;
        LoopTask add_task, remove_task;
} Listener;

int acceptor_new(Loop *loop, unsigned logins_max, Acceptor **ret);
/* worker: whose loop it is; before the first listener. */
void acceptor_set_worker(Acceptor *a, Worker *worker);
/* Closes connections as soon as they come, or no longer. Any thread. */
void acceptor_refuse(Acceptor *a, bool refuse);
/* Closes every listener. On its loop, or when that has ended. */
void acceptor_stop(Acceptor *a);
Acceptor *acceptor_free(Acceptor *a);

/* Takes fd. -EINVAL: not a listening TCP socket. Any thread. */
int listener_new(Acceptor *a, int fd, SockAddr *ret_address, Listener **ret);
/* Closes and frees it, by message. Any thread; once. */
void listener_remove(Listener *l);

/* A connection is logged in, or gone. On its loop. */
void acceptor_login_over(Acceptor *a);
