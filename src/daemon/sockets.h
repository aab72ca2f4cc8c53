/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/addr.h"
#include "base/base.h"

/* Listening sockets: those that systemd passes and those that we open. Threads: control. */

typedef struct PassedSockets {
        int *portals; /* listening TCP sockets, ours to close */
        size_t n_portals;
        int control; /* listening AF_UNIX socket, or -1 */
} PassedSockets;

/* Takes what sd_listen_fds_with_names() has: stream sockets of IPv4 and IPv6 are portals, an
 * AF_UNIX one is the control socket, whatever their names; others are closed with a warning. */
int sockets_passed(PassedSockets *ret);
void passed_sockets_clear(PassedSockets *p);

/* A listening, non-blocking TCP socket on address ("[::]" takes IPv4 too). On error reterr is a
 * sentence that names the address and, if it can be found, the process that has it. */
int socket_listen_tcp(const SockAddr *address, char *reterr, size_t size);

/* The same for the control socket, mode 0600. -EADDRINUSE if another daemon answers there; a socket
 * left behind by one that is gone is replaced. *ret_lock is kept open for as long as path is ours.
 */
int socket_listen_control(const char *path, int *ret_lock, char *reterr, size_t size);
