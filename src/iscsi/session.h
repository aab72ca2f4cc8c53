/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "iscsi/chap.h"
#include "iscsi/command.h"
#include "iscsi/iscsi.h"
#include "iscsi/keys.h"
#include "iscsi/pdu.h"
#include "iscsi/transport.h"

/* The session engine's own: connections, sessions, workers. MaxConnections is 1, so that a session
 * and its connection begin and end together; they are two structures all the same, since only the
 * session has a nexus and survives a broken stream until its tasks are given up. */

/* Target connection states (RFC 7143 8.1.3) */
typedef enum ConnState {
        CONN_FREE,             /* S1 */
        CONN_XPT_UP,           /* S3 */
        CONN_IN_LOGIN,         /* S4 */
        CONN_LOGGED_IN,        /* S5 */
        CONN_IN_LOGOUT,        /* S6 */
        CONN_LOGOUT_REQUESTED, /* S7 */
        CONN_CLEANUP_WAIT,     /* S8 */
        _CONN_STATE_MAX
} ConnState;

typedef enum ConnEvent {
        CONN_EVENT_LOGIN_REQUEST, /* the first */
        CONN_EVENT_LOGIN_DONE,    /* final login response */
        CONN_EVENT_LOGIN_FAILED,  /* or timed out */
        CONN_EVENT_LOGOUT_REQUEST,
        CONN_EVENT_LOGOUT_DONE,  /* logout response */
        CONN_EVENT_ASYNC_LOGOUT, /* logout asked for by asynchronous message */
        CONN_EVENT_DROPPED,      /* stream or session broken */
        CONN_EVENT_CLEAN,        /* tasks given up */
        _CONN_EVENT_MAX
} ConnEvent;

/* -EPROTO: no such transition. */
int conn_transition(ConnState from, ConnEvent event, ConnState *ret);

/* Target session states (RFC 7143 8.3.2); one connection, ErrorRecoveryLevel 0 */
typedef enum SessionState { SESSION_FREE, SESSION_LOGGED_IN, SESSION_FAILED } SessionState;

#define PORT_NAME_MAX (ISCSI_NAME_MAX + 24)

struct Session {
        IscsiSessionInfo info;
        Conn *conn;
        SessionState state;
        ScsiNexus nexus;
        bool nexus_open, nexus_closing;
        char initiator_port[PORT_NAME_MAX], target_port[PORT_NAME_MAX];
        IscsiTarget *target; /* referenced; NULL in discovery */
        List link;           /* worker's, ascending id */
};

typedef struct Login Login;         /* iscsi/login.h */
typedef struct TextState TextState; /* iscsi/text.h */

#define ITT_BUCKETS 64

struct Conn {
        IscsiWorker *worker;
        Loop *loop;
        void *user;
        Transport *transport;
        SockAddr local, peer;
        char peer_text[SOCKADDR_TEXT_MAX], local_text[SOCKADDR_TEXT_MAX];
        List link; /* worker's */

        ConnState state;
        bool detached;       /* between workers */
        bool terminating;    /* nothing is taken any more; the stream is closed when all is sent */
        bool closed;         /* the owner has let go */
        bool aborted;        /* nothing is sent any more either */
        bool woken;          /* wake() was called and not yet answered */
        bool claiming;       /* the registrar has our claim */
        bool login_pending;  /* it has answered, login_task will look */
        bool claimed;        /* it granted a session that is not made yet */
        bool counted;        /* among the worker's logins */
        bool ended;          /* the event that ends the session went out */
        bool want_again;     /* conn_want() answered 0 */
        bool logout_pending; /* the response waits for the nexus */
        uint8_t logout_bhs[BHS_SIZE];

        LoopTimer timer;     /* login timeout; then NOP or idle; then the end */
        LoopTask login_task; /* the registrar's answer is worked on */
        LoopTask free_task;

        /* sequence numbers (RFC 7143 4.2.2) */
        uint32_t statsn, exp_cmdsn;
        uint32_t window;     /* commands accepted at most */
        uint32_t n_windowed; /* commands in the window */
        unsigned n_commands, n_immediate, n_tmfs, n_draining;
        uint16_t cid;
        List commands;
        List held;
        List itt[ITT_BUCKETS]; /* list_init()ed at full feature */
        uint16_t next_serial;

        /* NOP-In (RFC 7143 11.19) */
        uint32_t nop_ttt;
        unsigned nops_unanswered;
        bool received; /* something came since the timer was armed */

        Login *login;    /* until full feature phase */
        TextState *text; /* of a text negotiation under way */
        Session *session;
        IscsiParams params; /* negotiated */
        uint32_t xmit_cap;  /* of max_xmit_data_segment, should the initiator declare anew */
        uint32_t text_ttt;
        IscsiTraffic traffic;
};

struct IscsiWorker {
        Loop *loop;
        ScsiWorker *scsi;
        IscsiLimits limits;
        const IscsiHostOps *host;
        void *userdata;
        IscsiMap *map;
        List conns, sessions;
        unsigned n_logins;
        bool shutting_down;
        void (*shutdown_done)(void *userdata);
        void *shutdown_userdata;
        LoopTask shutdown_task;
        Pool commands, tmfs, pdus;
        List ready; /* commands whose Data-Out was complete when it was asked for */
        LoopTask ready_task;
        Budget early_budget;
        BufferPool *early;
        uint64_t past_commands; /* of connections that are gone */
        uint8_t *scratch;
        size_t scratch_size;
};

#define SCRATCH_SIZE (256 * KIB)
#define IMMEDIATE_MAX 32 /* immediate commands beyond the window (RFC 7143 11.17.1: 06) */
#define TMF_MAX 32       /* task management functions of one connection under way */
#define DRAINING_MAX 64

static inline bool conn_full_feature(const Conn *c)
{
        return c->state == CONN_LOGGED_IN || c->state == CONN_LOGOUT_REQUESTED;
}

/* conn.c */
int conn_new_transport(IscsiWorker *w, Transport *t, const SockAddr *local, const SockAddr *peer,
                       void *user, Conn **ret); /* takes t on success */
void conn_event(Conn *c, ConnEvent event);
void conn_wake(Conn *c);
void conn_release(Conn *c); /* frees c if nothing holds it */
/* What is half sent cannot be ended: nothing more is sent, and the connection ends, not at once. */
void conn_break(Conn *c);
int conn_send(Conn *c, const uint8_t bhs[BHS_SIZE], const void *data, size_t length);
/* After what is queued has been sent; at most END_TIMEOUT later. */
void conn_terminate(Conn *c);
/* Rejects (if bhs) and ends the connection: RFC 7143 7.6, 7.8. Returns -EPROTO. */
int conn_protocol_error(Conn *c, uint8_t reason, const uint8_t *bhs, const char *format, ...)
        _printf_(4, 5);
void conn_report(Conn *c, IscsiEventKind kind, uint16_t status, const char *reason);
void conn_login_over(Conn *c); /* no longer counts as logging in */

/* worker.c: done() of a shutdown, if no session is left */
void worker_check_shutdown(IscsiWorker *w);

/* session.c: full feature phase */
int session_new(Conn *c, const IscsiClaim *claim, Session **ret);
Session *session_free(Session *s);
/* Applies the limits that its target has for its initiator. */
void session_throttle(Session *s);
/* Ends the session of c, with an event (once): closes the nexus; the connection goes on until its
 * owner closes it. */
void session_end(Conn *c, IscsiEventKind kind, const char *reason);
/* Async message, then end and termination. */
void session_drop(Conn *c, const char *reason);
void session_arm_timer(Conn *c);
void session_timer(Conn *c);
int session_control(Conn *c, const ControlPdu *pdu, Command **ret_cmd);
/* What a request with CmdSN is to do. */
typedef enum CmdSnVerdict { CMDSN_TAKE, CMDSN_HOLD, CMDSN_IGNORE } CmdSnVerdict;
CmdSnVerdict cmdsn_check(const Conn *c, const uint8_t *bhs);
void cmdsn_take(Conn *c, const uint8_t *bhs);
uint32_t conn_max_cmdsn(const Conn *c);

/* tmf.c */
int tmf_received(Conn *c, const ControlPdu *pdu);
size_t tmf_size(void);

/* framer-tx.c: objects of the pool of PDUs to send */
size_t tx_pdu_size(void);
size_t tx_pdu_clear(void);

/* map.c */
struct IscsiTarget {
        unsigned ref; /* atomic */
        char *name, *alias;
        uint16_t tpgt;
        uint32_t id;
        bool online;
        bool stale; /* atomic: a map that was made later has another of its name, or none */
        IscsiParams params;
        IscsiAcl acl;
        IscsiAccount *incoming;
        size_t n_incoming;
        IscsiAccount *outgoing;
        LunMap *luns;
        IscsiThrottle *throttles;
        size_t n_throttles;
};

/* Some targets of a map, by name; shared by maps, never changed. */
typedef struct IscsiMapChunk {
        unsigned ref; /* atomic */
        size_t n;
        IscsiTarget *targets[];
} IscsiMapChunk;

struct IscsiMap {
        unsigned ref; /* atomic */
        uint64_t generation;
        /* What it was made of, to be compared with and never followed: a target of that map which
         * is not stale is in this one too. */
        const IscsiMap *base;
        IscsiMapChunk **chunks; /* none is empty */
        size_t n_chunks, n_targets;
        IscsiPortalConfig *portals;
        size_t n_portals;
        IscsiAccount *incoming;
        size_t n_incoming;
        IscsiAccount *outgoing;
};

/* Where one is in a map: zeroed, at its begin. */
typedef struct IscsiMapCursor {
        size_t chunk, index;
} IscsiMapCursor;
/* Targets by name, ascending; borrowed. NULL: there are no more. */
IscsiTarget *iscsi_map_next(const IscsiMap *m, IscsiMapCursor *at);

typedef enum AclVerdict { ACL_ADMITTED, ACL_NAME, ACL_ADDRESS } AclVerdict;
/* The throttles that hold for an initiator, borrowed; NULL where there is none. */
void target_throttles(const IscsiTarget *t, const char *initiator, const SockAddr *peer,
                      Throttle *ret[NEXUS_THROTTLES]);
AclVerdict acl_check(const IscsiAcl *acl, const char *initiator, const SockAddr *peer);
