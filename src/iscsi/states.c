/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iscsi/session.h"

/* The target's connection state diagram (RFC 7143 8.1.3) as rows; what has no row is refused. */

static const struct {
        ConnState from;
        ConnEvent event;
        ConnState to;
} transitions[] = {
        { CONN_XPT_UP, CONN_EVENT_LOGIN_REQUEST, CONN_IN_LOGIN },
        { CONN_XPT_UP, CONN_EVENT_LOGIN_FAILED, CONN_FREE },
        { CONN_XPT_UP, CONN_EVENT_DROPPED, CONN_FREE },
        { CONN_IN_LOGIN, CONN_EVENT_LOGIN_DONE, CONN_LOGGED_IN },
        { CONN_IN_LOGIN, CONN_EVENT_LOGIN_FAILED, CONN_FREE },
        { CONN_IN_LOGIN, CONN_EVENT_DROPPED, CONN_FREE },
        { CONN_LOGGED_IN, CONN_EVENT_LOGOUT_REQUEST, CONN_IN_LOGOUT },
        { CONN_LOGGED_IN, CONN_EVENT_ASYNC_LOGOUT, CONN_LOGOUT_REQUESTED },
        { CONN_LOGGED_IN, CONN_EVENT_DROPPED, CONN_CLEANUP_WAIT },
        { CONN_LOGOUT_REQUESTED, CONN_EVENT_LOGOUT_REQUEST, CONN_IN_LOGOUT },
        { CONN_LOGOUT_REQUESTED, CONN_EVENT_ASYNC_LOGOUT, CONN_LOGOUT_REQUESTED },
        { CONN_LOGOUT_REQUESTED, CONN_EVENT_DROPPED, CONN_CLEANUP_WAIT },
        { CONN_IN_LOGOUT, CONN_EVENT_LOGOUT_DONE, CONN_FREE },
        { CONN_IN_LOGOUT, CONN_EVENT_DROPPED, CONN_CLEANUP_WAIT },
        { CONN_CLEANUP_WAIT, CONN_EVENT_CLEAN, CONN_FREE },
        { CONN_CLEANUP_WAIT, CONN_EVENT_DROPPED, CONN_CLEANUP_WAIT },
        { CONN_FREE, CONN_EVENT_DROPPED, CONN_FREE },
        { CONN_FREE, CONN_EVENT_CLEAN, CONN_FREE },
};

int conn_transition(ConnState from, ConnEvent event, ConnState *ret)
{
        for (size_t i = 0; i < ELEMENTSOF(transitions); i++)
                if (transitions[i].from == from && transitions[i].event == event) {
                        *ret = transitions[i].to;
                        return 0;
                }
        return -EPROTO;
}
