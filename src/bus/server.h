/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/list.h"
#include "base/log.h"
#include "bus/bus.h"

/* The inside of bus/: one BusServer, its connections, and what one call or one lookup carries.
 *
 *   server.c      connections: to a bus, with back-off; from clients of the private socket
 *   objects.c     paths -> ObjectRef, enumeration; object-*.c: the vtables
 *   authority.c   the table of methods; who may call them
 *   polkit.c      one question to polkit
 *   call.c        a call from its arrival to its answer; methods.c: arguments and work of each
 *   edits.c       what changing methods do to the desired state
 *   signals.c     what changed in a turn, said once at its end */

typedef enum ConnectionKind {
        CONNECTION_SYSTEM, /* polkit decides */
        CONNECTION_BUS,    /* session or private bus without polkit: root and our own uid */
        CONNECTION_PEER,   /* private socket: the uid was checked when it was accepted */
} ConnectionKind;

typedef struct BusConnection BusConnection;

typedef enum ObjectKind {
        OBJECT_MANAGER,
        OBJECT_TARGET,
        OBJECT_UNIT,
        OBJECT_SESSION,
        OBJECT_PORTAL,
        OBJECT_ACL,
        OBJECT_ACCOUNT,
        N_OBJECT_KINDS,
} ObjectKind;

/* What a path was found to name. Everything is borrowed from the model until control returns to
 * the event loop; a property is read at once, a call copies what it needs. */
typedef struct ObjectRef {
        BusConnection *connection;
        const TargetSpec *target;   /* of a target, ACL entry or account */
        const char *kind, *value;   /* of an ACL entry */
        const char *direction;      /* of an account */
        const AccountSpec *account; /* of an account */
        UnitInfo unit;
        SessionInfo session;
        PortalInfo portal;
} ObjectRef;

struct BusConnection {
        List node; /* of BusServer.connections */
        BusServer *server;
        ConnectionKind kind;
        char *address; /* as given to bus_server_connect(); NULL for a peer */
        sd_bus *bus;   /* NULL: waiting for the next attempt */
        sd_bus_slot *disconnected;
        sd_event_source *retry;
        sd_event_source *begun; /* of a peer, until it is authenticated */
        uint64_t backoff_usec;
        bool named;      /* the bus gave us the name */
        bool complained; /* that it does not was reported */
        uid_t uid;       /* of a peer */
        pid_t pid;       /* of a peer */
        /* One per kind, for the object that is looked at: sd-bus uses what a find function returns
         * before it calls the next one. */
        ObjectRef found[N_OBJECT_KINDS];
};

typedef struct Signals Signals;

struct BusServer {
        Manager *manager;
        sd_event *event;
        List connections;
        unsigned n_peers;
        int listen_fd;
        sd_event_source *listen_source, *listen_retry;
        List transients; /* Transient */
        List calls;      /* Call: every one that waits for something */
        unsigned n_calls;
        uint64_t next_cancellation;
        Signals *signals;
        BusReport *report;
        void *report_userdata;
        bool stopping;
};

#define PEERS_MAX 64         /* connections of the private socket */
#define PEER_QUEUE_MAX 16384 /* messages a peer leaves unread before it is cut off */
/* calls that wait for an answer of polkit or of the manager; each may have a match rule, of which a
 * bus allows a connection some hundreds */
#define CALLS_MAX 256
#define CALLS_PER_SENDER_MAX 16 /* of them, from one client */
#define CALLS_PER_USER_MAX 64   /* of them, from all clients of one user: the others get through */
#define MAPPINGS_MAX 64         /* of one unit that are told */
#define PORTALS_MAX 256
#define PAGE_MAX 1000 /* rows of one answer of a paged method */

/* Puts the objects on a connection. */
int objects_add(BusConnection *c);
/* Paths of what hangs below t, and of portals: malloc()ed as sd-bus wants it, NULL if there is
 * none; their number, or -ENOMEM. */
int objects_below_target(const TargetSpec *t, char ***ret);
int objects_portals(Manager *m, char ***ret);

int signals_new(BusServer *server, Signals **ret);
Signals *signals_free(Signals *s);
void signals_flush(Signals *s); /* what is pending, now */

/* Cuts off a peer that does not read what it is sent. c may be gone afterwards. */
void connection_check_queue(BusConnection *c);
void server_report(BusServer *b, int priority, const char *format, ...) _printf_(3, 4);
