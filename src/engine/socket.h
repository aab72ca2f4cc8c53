/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "engine/worker.h"

/* A TCP connection: the byte stream under a Conn. It belongs to one worker, which changes at most
 * once, when login is over. */

typedef enum SocketState {
        SOCKET_OPEN,     /* bytes go both ways */
        SOCKET_MOVING,   /* between two workers */
        SOCKET_DRAINING, /* all was sent and we have shut down; the peer is to close */
        SOCKET_CLOSED,   /* no descriptor, no conn; freed when nothing is pending */
} SocketState;

typedef struct Socket {
        LoopIo io;
        SocketState state;
        Worker *worker;
        Conn *conn;
        List link;
        Worker *move_to; /* login is over and this is where the session is to be */
        bool logging_in; /* counts as such with the acceptor */
        bool granted;    /* a session */
        bool rx_paused;  /* conn does not want bytes now */
        bool rx_eof;
        bool tx_blocked; /* the kernel's buffer is full */
        bool heavy;      /* it sent all that a turn allows */
        LoopTask flush_task, move_task;
        LoopTimer timer; /* the peer takes too long to take our last bytes, or to close */
} Socket;

/* Takes fd on success; the connection logs in on w. */
int socket_new(Worker *w, int fd, const SockAddr *peer);
/* conn has output or wants its input looked at again; at the end of the turn. */
void socket_wake(Socket *s);
/* At the end of the turn: to that worker. */
void socket_move(Socket *s, unsigned worker);
/* Breaks the connection. error: negative errno. */
void socket_fail(Socket *s, int error);
