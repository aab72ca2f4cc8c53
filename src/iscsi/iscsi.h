/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/addr.h"
#include "base/base.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/pool.h"
#include "scsi/scsi.h"

/* iscsi: RFC 7143 without sockets, threads or clocks.
 *
 * Two parts, because iSER (RFC 7145) has no Data-In, R2T or Data-Out PDUs:
 *   the session engine   login, negotiation, CHAP, discovery, commands, task management; it speaks
 *                        the primitives of RFC 5047 to a transport (iscsi/transport.h)
 *   the TCP framer       turns those primitives into PDUs over a byte stream (iscsi/framer.h)
 *
 * An IscsiWorker holds what one worker's connections share. A Conn belongs to one worker at a time:
 * it logs in on the worker that accepted it, and moves at most once, when login is over, to the
 * worker that owns its session. What a worker knows of targets is an IscsiMap: immutable,
 * reference-counted, replaced by iscsi_worker_set_map().
 *
 * No state lives in a stack frame: every object here is explicit states and plain fields, so that a
 * later image of a session can be written and read back.
 *
 * May include: base, store, scsi. */

typedef struct IscsiMap IscsiMap;
typedef struct IscsiTarget IscsiTarget;
typedef struct IscsiWorker IscsiWorker;
typedef struct Conn Conn;
typedef struct Session Session;

#define ISCSI_NAME_MAX 223 /* RFC 7143 4.2.7.1, bytes without NUL */
#define ISCSI_PORT 3260

/* ---- configuration: made by the control plane, read by workers ---------------------------------
 */

/* What we offer for the keys that an administrator may set; the table in keys.c has name, range and
 * default of each. */
typedef struct IscsiParams {
        uint32_t max_recv_data_segment; /* what we declare */
        uint32_t max_xmit_data_segment; /* our cap on what the initiator declares */
        uint32_t max_burst, first_burst;
        uint32_t max_outstanding_r2t;
        uint32_t default_time2wait, default_time2retain; /* s */
        uint32_t max_connections;
        uint32_t error_recovery_level;
        uint32_t max_queue_cmd;           /* CmdSN window */
        uint32_t nop_interval, nop_count; /* s; 0: off */
        bool initial_r2t, immediate_data;
        bool data_pdu_in_order, data_sequence_in_order;
        uint8_t header_digest, data_digest; /* ISCSI_DIGEST_*: what we accept; both bits: either */
} IscsiParams;

enum { ISCSI_DIGEST_NONE = 1 << 0, ISCSI_DIGEST_CRC32C = 1 << 1 };

void iscsi_params_default(IscsiParams *ret);
/* Sets the parameter that stgt and RFC 7143 call name (any case). -ENOENT: no such key;
 * -EINVAL/-ERANGE with a sentence. Used by config verification and by the manager. */
int iscsi_params_set(IscsiParams *p, const char *name, const char *value, char *reterr,
                     size_t size);
/* The i-th settable key and its value as text; NULL behind the last. For show commands. */
const char *iscsi_params_get(const IscsiParams *p, size_t i, char *value, size_t size);

typedef struct IscsiAccount {
        char user[256];
        char secret[256];
} IscsiAccount;

/* Which initiators a target admits. A name rule and an address rule both restrict; none at all
 * admits nobody unless everybody is set. */
typedef struct IscsiAcl {
        AddrPrefix *addresses;
        size_t n_addresses;
        char **names; /* exact, lower case; "ALL" is everybody */
        size_t n_names;
} IscsiAcl;

/* What initiators may do together, by name (lower case) or, if that is NULL, by address. Of several
 * that match a session that of its name limits it, and that of its address with the longest prefix.
 */
typedef struct IscsiThrottle {
        char *name;
        AddrPrefix address;
        Throttle *throttle; /* referenced */
} IscsiThrottle;

/* What iscsi_target_new() copies. Strings and arrays are the caller's, for the call. */
typedef struct IscsiTargetConfig {
        const char *name, *alias;
        uint16_t tpgt;
        uint32_t id; /* stgt's tid; in events */
        bool online;
        IscsiParams params;
        IscsiAcl acl;
        const IscsiAccount *incoming; /* CHAP: initiators prove one of these */
        size_t n_incoming;
        const IscsiAccount *outgoing; /* mutual CHAP; NULL: none */
        LunMap *luns;                 /* referenced */
        const IscsiThrottle *throttles;
        size_t n_throttles;
} IscsiTargetConfig;

int iscsi_target_new(const IscsiTargetConfig *config, IscsiTarget **ret);
IscsiTarget *iscsi_target_ref(IscsiTarget *t);
IscsiTarget *iscsi_target_unref(IscsiTarget *t);

typedef struct IscsiPortalConfig {
        SockAddr address;
        uint16_t tpgt;
} IscsiPortalConfig;

typedef struct IscsiMapConfig {
        uint64_t generation;
        const IscsiMap *base;        /* what it has is taken over; NULL: nothing */
        IscsiTarget *const *targets; /* ... but for these, referenced; unique names */
        size_t n_targets;
        const char *const *removed; /* ... and without these, of base; in lower case */
        size_t n_removed;
        const IscsiPortalConfig *portals; /* copied: for SendTargets */
        size_t n_portals;
        const IscsiAccount *discovery_incoming; /* copied */
        size_t n_discovery_incoming;
        const IscsiAccount *discovery_outgoing;
} IscsiMapConfig;

/* Costs what differs from base, and a pointer for each 128 targets. -EEXIST: a name comes twice.
 * Maps are published in the order in which they are made of each other. */
int iscsi_map_new(const IscsiMapConfig *config, IscsiMap **ret);
IscsiMap *iscsi_map_ref(IscsiMap *m);                             /* any thread */
IscsiMap *iscsi_map_unref(IscsiMap *m);                           /* any thread */
IscsiTarget *iscsi_map_find(const IscsiMap *m, const char *name); /* borrowed */

/* ---- events for the control plane ---------------------------------------------------------------
 */

typedef enum IscsiEventKind {
        ISCSI_EVENT_LOGIN,          /* a session began (or a discovery session) */
        ISCSI_EVENT_LOGIN_REJECTED, /* reason says why, for the administrator */
        ISCSI_EVENT_LOGOUT,         /* a session ended by logout */
        ISCSI_EVENT_DISCONNECT,     /* ... or otherwise: reason */
        ISCSI_EVENT_PROTOCOL_ERROR, /* reason: what the peer did, with the section of the RFC */
} IscsiEventKind;

typedef struct IscsiEvent {
        IscsiEventKind kind;
        uint64_t session;   /* IscsiSessionInfo.id, or 0 */
        const char *target; /* NULL: none yet, or discovery */
        const char *initiator, *alias;
        const char *peer; /* "addr:port" */
        const char *reason;
        uint16_t status; /* login: class << 8 | detail */
} IscsiEvent;

/* What a connection carried; commands, responses and data PDUs since its session began. */
typedef struct IscsiTraffic {
        uint64_t rx_bytes, tx_bytes, commands, responses, data_in_pdus, data_out_pdus;
} IscsiTraffic;

typedef struct IscsiSessionInfo {
        uint64_t id; /* unique in the process, never reused */
        uint16_t tsih;
        uint16_t cid; /* of its connection */
        uint8_t isid[6];
        bool discovery;
        unsigned worker;
        char target[ISCSI_NAME_MAX + 1], initiator[ISCSI_NAME_MAX + 1], alias[256];
        char peer[SOCKADDR_TEXT_MAX], portal[SOCKADDR_TEXT_MAX];
        bool header_digest, data_digest;
        IscsiParams params; /* as negotiated */
        uint64_t since_ns;  /* monotonic */
        IscsiTraffic traffic;
} IscsiSessionInfo;

/* ---- what login needs from outside one worker
 * ---------------------------------------------------- */

/* A claim on an I_T nexus: asked when login would enter full feature phase. The registrar (one per
 * process, engine/) ends an old session of the same nexus first (reinstatement, RFC 7143 6.3.5),
 * assigns TSIH and worker, and answers with iscsi_claim_done() on the loop of the asking worker. */
typedef struct IscsiClaim {
        char initiator[ISCSI_NAME_MAX + 1], target[ISCSI_NAME_MAX + 1]; /* target "" in discovery */
        uint8_t isid[6];
        uint16_t tpgt;
        uint16_t tsih;    /* asked for (0: a new session); answered with the assigned one */
        uint16_t cid;     /* with the TSIH of a live session: the same CID reinstates it, another
                             one is -EEXIST (0208), since MaxConnections is 1 */
        unsigned worker;  /* answered: who owns the session */
        uint64_t session; /* answered: its id */
        int result;       /* 0; -ENOENT no such session (020a); -EBUSY too many (0302); -EEXIST */
        Conn *conn;
        Loop *origin;
        LoopTask task; /* registrar's and answer's */
        List link;     /* registrar's */
} IscsiClaim;

typedef struct IscsiHostOps {
        void (*event)(void *userdata, const IscsiEvent *event); /* copies and posts */
        void (*claim)(void *userdata, IscsiClaim *claim);
        void (*session_ended)(void *userdata, uint64_t session); /* its nexus is closed */
        /* Login is over and claim->worker is another: conn_detach(), hand over, conn_attach()
         * there, which makes the session and queues the last login response. Never called from
         * inside conn_got(): the host may detach at once. Nothing is read meanwhile. */
        void (*move)(void *userdata, Conn *conn, unsigned worker);
        /* conn has output, or wants its input state looked at again. Coalesced by the callee. */
        void (*wake)(void *userdata, Conn *conn);
        int (*random)(void *buf, size_t n);
} IscsiHostOps;

typedef struct IscsiLimits {
        uint32_t login_timeout_s;  /* from accept to full feature; 15 */
        uint32_t logins_max;       /* connections that have not logged in, per worker; 256 */
        uint32_t sessions_max;     /* per process; 4096 */
        uint32_t login_bytes_max;  /* text of one login or text sequence; 64 KiB */
        uint32_t tx_queue_max;     /* bytes queued to a peer that does not read; 64 MiB */
        uint32_t discovery_idle_s; /* an idle discovery session is closed; 60 */
        uint64_t early_data_max;   /* bytes, per worker, of Data-Out that came before its command
                                      could take it (a closed gate); 64 MiB */
} IscsiLimits;

void iscsi_limits_default(IscsiLimits *ret);

/* A limit of 0 is its default. */
int iscsi_worker_new(Loop *loop, ScsiWorker *scsi, const IscsiLimits *limits,
                     const IscsiHostOps *host, void *userdata, IscsiWorker **ret);
IscsiWorker *iscsi_worker_free(IscsiWorker *w);
/* Takes a reference. Sessions of targets that changed see new LUNs and parameters for later logins;
 * sessions of targets that are gone or offline are ended. */
void iscsi_worker_set_map(IscsiWorker *w, IscsiMap *map);
/* Ends session id (if it is here): async message, then the connection is closed. */
int iscsi_worker_end_session(IscsiWorker *w, uint64_t session, const char *reason);
/* Up to max sessions whose id is greater than after, ascending. */
size_t iscsi_worker_sessions(IscsiWorker *w, uint64_t after, IscsiSessionInfo *ret, size_t max);
typedef struct IscsiSessionStats {
        IscsiSessionInfo info;
        IoLatency latency; /* over all LUNs, since login */
} IscsiSessionStats;

/* Likewise. */
size_t iscsi_worker_session_stats(IscsiWorker *w, uint64_t after, IscsiSessionStats *ret,
                                  size_t max);
/* What one session did at one LUN. */
typedef struct IscsiNexusStats {
        uint64_t session;
        ItlStats itl;
} IscsiNexusStats;

/* Up to max, from LUN lun of session on, ascending by session and LUN. */
size_t iscsi_worker_nexuses(IscsiWorker *w, uint64_t session, uint32_t lun, IscsiNexusStats *ret,
                            size_t max);
/* SCSI commands that came. */
uint64_t iscsi_worker_commands(const IscsiWorker *w);
/* Ends all sessions; done() when every nexus is closed. */
void iscsi_worker_shutdown(IscsiWorker *w, void (*done)(void *userdata), void *userdata);

/* ---- connections: called by whoever owns the byte stream (engine/, or a test)
 * --------------------- */

/* A connection over a byte stream with the TCP framer. local and peer are for ACLs, SendTargets and
 * events. user is the owner's. */
/* -EBUSY: IscsiLimits.logins_max connections are logging in; -ENOMEM. */
int conn_new(IscsiWorker *w, const SockAddr *local, const SockAddr *peer, void *user, Conn **ret);
void *conn_user(const Conn *c);

/* Where the next bytes go: fills iov, returns its count. 0: do not read now (back-pressure), wake()
 * says when. The last element is scratch of the worker, valid until conn_got(). */
size_t conn_want(Conn *c, struct iovec *iov, size_t max);
/* n bytes have been put there. n == 0: the peer has closed. */
void conn_got(Conn *c, size_t n);
/* What is to be sent now; 0: nothing. Valid until conn_sent() or anything else is called. For
 * system calls alone to look at: it may be a store's memory (StoreLoan). */
size_t conn_out(Conn *c, struct iovec *iov, size_t max);
void conn_sent(Conn *c, size_t n);
/* After any of the above: the owner closes the stream once all of conn_out() is sent. */
bool conn_finished(const Conn *c);
/* The stream broke, or conn_finished() and all is sent: c may not be used again by its owner. It
 * lives on inside until its tasks are given up. error: negative errno, 0 for an orderly end. */
void conn_closed(Conn *c, int error);

/* The hand-over: everything of c that is tied to its worker is given up, then taken up on w. In
 * between nothing of c may be called. Failures show as conn_finished(). */
void conn_detach(Conn *c);
void conn_attach(Conn *c, IscsiWorker *w);

/* Registrar's answer; on the loop of the worker that asked. */
void iscsi_claim_done(IscsiClaim *claim);
