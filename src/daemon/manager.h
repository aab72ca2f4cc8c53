/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "bus/manager.h"
#include "daemon/loop-event.h"
#include "daemon/sockets.h"
#include "engine/engine.h"

/* The manager as main() sees it. What the bus sees is bus/manager.h.
 *
 * There is one path for every change, whoever asks: the desired state that is wanted is made (a
 * copy edited, or the fragments read again), verified, compared with what runs, its backing stores
 * are opened, it is written down, published to the workers, and reported. Changes wait for each
 * other in one queue. Everything that may block (reading fragments, opening stores, writing) is a
 * job; the control thread never waits.
 *
 *   manager-edit.c    the queue and the states of one change
 *   manager-reload.c  a reload of some targets, and of what was changed at runtime
 *   manager-audit.c   what the journal is told of it
 *   manager-verify.c  what the desired state alone does not show: conflicts, who is in the way
 *   manager-target.c  a target of the desired state -> what the workers are given
 *   manager-unit.c    logical units, each an object of its own, shared by what names the same thing
 *   manager-store.c   opening, retrying and refreshing their backing stores
 *   manager-operation.c  formats and sanitizes: what is remembered of them, how far they are
 *   manager-persist.c the state directory
 *   manager-session.c what the workers report
 *   manager-portal.c  listening sockets
 *   manager-view.c    what the bus reads
 *
 * Threads: control. */

typedef struct ManagerConfig {
        EngineConfig engine;
        const char *config_dir, *state_dir, *runtime_dir;
        const char *opener_socket; /* of tgtd-open; NULL: none */
        const SockAddr *portals;   /* of the command line */
        size_t n_portals;
        PassedSockets *passed; /* portals in it are taken */
        uint64_t settle_ns;    /* how long start and changes wait for stores that open */
        /* Counts or state have moved: coalesced, for STATUS=. */
        void (*changed)(void *userdata);
        void (*quit)(void *userdata); /* a client asks the process to end: soon */
        void *userdata;
} ManagerConfig;

int manager_new(EventLoop *loop, const ManagerConfig *config, Manager **ret);
/* Reads the fragments and serves them: done() when initiators can connect, or with what stands
 * against serving at all. */
void manager_start(Manager *m, EditDone *done, void *userdata);
/* Refuses further changes, ends sessions, waits for stores within bounds. */
void manager_stop(Manager *m, void (*done)(void *userdata), void *userdata);
Manager *manager_free(Manager *m);

size_t manager_n_targets(const Manager *m);
size_t manager_n_luns(const Manager *m);
/* "Serving 3 targets with 5 LUNs to 2 sessions", newly allocated. */
char *manager_status(const Manager *m);
