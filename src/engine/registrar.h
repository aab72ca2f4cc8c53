/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/loop.h"
#include "iscsi/iscsi.h"

/* The table of sessions of the process: which I_T nexus is whose, TSIHs, placement on workers,
 * session reinstatement (RFC 7143 6.3.5). Asked at login and told at the end of a session; a lock
 * guards the table, never the I/O path.
 *
 * An entry is granted (the claim was answered), placed (the session is on the worker that owns it),
 * and gone when that worker has said registrar_ended(). Who claims the nexus of an entry waits for
 * that, and the entry's session is asked to end; of several who wait, the latest wins. */

typedef struct Registrar Registrar;

typedef struct RegistrarHost {
        /* Runs on claim->origin with &claim->task; result and what is answered are set. */
        void (*answered)(LoopTask *task);
        /* On the loop of worker: end this session. One that is not there has ended already. */
        void (*end)(void *userdata, unsigned worker, uint64_t session, const char *reason);
        void (*changed)(void *userdata); /* the number of sessions did; any thread */
} RegistrarHost;

int registrar_new(Loop *const *loops, unsigned n_loops, uint32_t sessions_max,
                  const RegistrarHost *host, void *userdata, Registrar **ret);
Registrar *registrar_free(Registrar *r); /* loops have stopped */

void registrar_claim(Registrar *r, IscsiClaim *claim);
/* On the loop of the owner, when the session has begun there. */
void registrar_placed(Registrar *r, uint64_t session);
void registrar_ended(Registrar *r, uint64_t session);
/* Asks the owner to end it; reason is a constant. -ENOENT. Any thread. */
int registrar_end(Registrar *r, uint64_t session, const char *reason);
unsigned registrar_n_sessions(Registrar *r); /* normal ones; any thread */
unsigned registrar_n_entries(Registrar *r);  /* with discovery sessions; any thread */
