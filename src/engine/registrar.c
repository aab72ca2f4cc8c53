/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/registrar.h"

#include <pthread.h>

#include "base/list.h"

#define TSIH_COUNT 65536 /* 16 bits; 0 means "no session yet" on the wire */

typedef enum EntryState {
        ENTRY_WAITING, /* for the entry before it to end; not in the table */
        ENTRY_GRANTED, /* the claim was answered */
        ENTRY_PLACED,  /* its worker has it */
} EntryState;

typedef struct Entry Entry;
struct Entry {
        Registrar *registrar;
        EntryState state;
        Entry *nexus_next; /* chain of the nexus table */
        Entry *id_next;    /* chain of the session table */
        Entry *waiter;     /* takes the nexus when this one ends */
        IscsiClaim *claim; /* while WAITING */

        char initiator[ISCSI_NAME_MAX + 1], target[ISCSI_NAME_MAX + 1];
        uint8_t isid[6];
        uint16_t tpgt, cid;
        uint16_t tsih; /* 0 while WAITING: any; else the one to be taken over */
        bool discovery;
        unsigned worker;
        uint64_t session;

        const char *end_reason; /* not NULL: the owner has been or is to be asked to end it */
        bool end_posted;        /* end_task is on its way; the entry lives until it ran */
        bool gone;              /* out of the table */
        LoopTask end_task;
};

struct Registrar {
        pthread_mutex_t lock;
        Loop **loops;
        unsigned *n_on; /* normal sessions per worker */
        unsigned n_loops;
        uint32_t sessions_max;
        RegistrarHost host;
        void *userdata;

        Entry **by_nexus, **by_session;
        size_t n_buckets; /* a power of two */
        uint64_t last_session;
        uint16_t last_tsih;
        uint64_t tsih_used[TSIH_COUNT / 64];
        unsigned n_entries, n_normal;
};

/* ---- tables ---- */

static uint64_t hash_bytes(uint64_t h, const void *p, size_t n)
{
        const uint8_t *b = p;

        for (size_t i = 0; i < n; i++)
                h = (h ^ b[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
        return h;
}

static Entry **nexus_bucket(Registrar *r, const char *initiator, const char *target,
                            const uint8_t isid[6], uint16_t tpgt)
{
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        h = hash_bytes(h, initiator, strlen(initiator) + 1);
        h = hash_bytes(h, target, strlen(target) + 1);
        h = hash_bytes(h, isid, 6);
        h = hash_bytes(h, &tpgt, sizeof(tpgt));
        return &r->by_nexus[(h ^ h >> 32) & (r->n_buckets - 1)];
}

static Entry *find_nexus(Registrar *r, const IscsiClaim *c)
{
        for (Entry *e = *nexus_bucket(r, c->initiator, c->target, c->isid, c->tpgt); e;
             e = e->nexus_next)
                if (e->tpgt == c->tpgt && memcmp(e->isid, c->isid, 6) == 0 &&
                    STREQ(e->initiator, c->initiator) && STREQ(e->target, c->target))
                        return e;
        return NULL;
}

static Entry **session_bucket(Registrar *r, uint64_t session)
{
        return &r->by_session[session & (r->n_buckets - 1)];
}

static Entry *find_session(Registrar *r, uint64_t session)
{
        for (Entry *e = *session_bucket(r, session); e; e = e->id_next)
                if (e->session == session)
                        return e;
        return NULL;
}

static void table_add(Registrar *r, Entry *e)
{
        Entry **b = session_bucket(r, e->session);

        e->id_next = *b;
        *b = e;
        r->n_entries++;
        if (e->discovery) /* no reinstatement: its nexus is nobody's */
                return;
        b = nexus_bucket(r, e->initiator, e->target, e->isid, e->tpgt);
        e->nexus_next = *b;
        *b = e;
        r->n_normal++;
        r->n_on[e->worker]++;
}

static void table_remove(Registrar *r, Entry *e)
{
        Entry **b;

        for (b = session_bucket(r, e->session); *b != e; b = &(*b)->id_next)
                ;
        *b = e->id_next;
        r->n_entries--;
        r->tsih_used[e->tsih / 64] &= ~(UINT64_C(1) << e->tsih % 64);
        if (e->discovery)
                return;
        for (b = nexus_bucket(r, e->initiator, e->target, e->isid, e->tpgt); *b != e;
             b = &(*b)->nexus_next)
                ;
        *b = e->nexus_next;
        r->n_normal--;
        r->n_on[e->worker]--;
}

static bool tsih_take(Registrar *r, uint16_t tsih)
{
        uint64_t bit = UINT64_C(1) << tsih % 64;

        if (tsih == 0 || r->tsih_used[tsih / 64] & bit)
                return false;
        r->tsih_used[tsih / 64] |= bit;
        return true;
}

/* wanted, or the next free one behind the last: one that was used a moment ago is not used again
 * at once. */
static uint16_t tsih_new(Registrar *r, uint16_t wanted)
{
        uint16_t tsih = r->last_tsih;

        if (wanted != 0)
                return tsih_take(r, wanted) ? wanted : 0;

        for (unsigned i = 0; i < TSIH_COUNT; i++) {
                if (tsih_take(r, ++tsih)) {
                        r->last_tsih = tsih;
                        return tsih;
                }
        }
        return 0;
}

static unsigned least_loaded(const Registrar *r)
{
        unsigned best = 0;

        for (unsigned i = 1; i < r->n_loops; i++)
                if (r->n_on[i] < r->n_on[best])
                        best = i;
        return best;
}

/* ---- answers ---- */

static void answer(Registrar *r, IscsiClaim *claim, const Entry *e, int result)
{
        claim->result = result;
        if (e) {
                claim->tsih = e->tsih;
                claim->worker = e->worker;
                claim->session = e->session;
        }
        claim->task.run = r->host.answered;
        loop_post(claim->origin, &claim->task);
}

static Entry *entry_new(Registrar *r, IscsiClaim *claim)
{
        Entry *e = calloc(1, sizeof(*e));

        if (!e)
                return NULL;
        e->registrar = r;
        e->claim = claim;
        memcpy(e->initiator, claim->initiator, sizeof(e->initiator));
        memcpy(e->target, claim->target, sizeof(e->target));
        memcpy(e->isid, claim->isid, sizeof(e->isid));
        e->tpgt = claim->tpgt;
        e->cid = claim->cid;
        e->tsih = claim->tsih;
        e->discovery = claim->target[0] == '\0';
        return e;
}

/* Takes e. */
static void grant(Registrar *r, Entry *e)
{
        IscsiClaim *claim = TAKE_PTR(e->claim);

        e->tsih = r->n_entries < r->sessions_max ? tsih_new(r, e->tsih) : 0;
        if (e->tsih == 0) {
                free(e);
                answer(r, claim, NULL, -EBUSY);
                return;
        }
        e->session = ++r->last_session;
        e->worker = e->discovery ? claim->origin->index : least_loaded(r);
        e->state = ENTRY_GRANTED;
        table_add(r, e);
        answer(r, claim, e, 0);
}

static void end_run(LoopTask *task)
{
        Entry *e = CONTAINER_OF(task, Entry, end_task);
        Registrar *r = e->registrar;
        uint64_t session = e->session;
        const char *reason = e->end_reason;
        unsigned worker = e->worker;
        bool gone;

        (void)pthread_mutex_lock(&r->lock);
        e->end_posted = false;
        gone = e->gone;
        (void)pthread_mutex_unlock(&r->lock);
        if (gone)
                free(e);
        else
                r->host.end(r->userdata, worker, session, reason);
}

/* Under the lock. By message: who calls may be in the middle of that session. */
static void end_post(Registrar *r, Entry *e)
{
        e->end_posted = true;
        e->end_task.run = end_run;
        loop_post(r->loops[e->worker], &e->end_task);
}

/* Under the lock. An entry that is not placed yet is ended when it is. */
static void entry_end(Registrar *r, Entry *e, const char *reason)
{
        if (e->end_reason)
                return;
        e->end_reason = reason;
        if (e->state == ENTRY_PLACED)
                end_post(r, e);
}

/* Session reinstatement: the latest claim waits for the old session to end. With the old TSIH it is
 * connection reinstatement (RFC 7143 6.3.4), which at ErrorRecoveryLevel 0 and one connection per
 * session is the same but that the TSIH stays. */
static void reinstate(Registrar *r, Entry *old, IscsiClaim *claim)
{
        Entry *e = entry_new(r, claim);

        if (!e) {
                answer(r, claim, NULL, -EBUSY);
                return;
        }
        if (old->waiter) {
                answer(r, old->waiter->claim, NULL, -EBUSY);
                free(old->waiter);
        }
        old->waiter = e;
        entry_end(r, old, "session reinstatement");
}

void registrar_claim(Registrar *r, IscsiClaim *claim)
{
        Entry *old, *e;

        (void)pthread_mutex_lock(&r->lock);
        old = claim->target[0] ? find_nexus(r, claim) : NULL;
        if (claim->tsih != 0 && (!old || old->tsih != claim->tsih)) {
                answer(r, claim, NULL, -ENOENT);
        } else if (claim->tsih != 0 && old->cid != claim->cid) {
                answer(r, claim, NULL, -EEXIST);
        } else if (old) {
                reinstate(r, old, claim);
        } else {
                e = entry_new(r, claim);
                if (e)
                        grant(r, e);
                else
                        answer(r, claim, NULL, -EBUSY);
        }
        (void)pthread_mutex_unlock(&r->lock);
        r->host.changed(r->userdata);
}

void registrar_placed(Registrar *r, uint64_t session)
{
        Entry *e;

        (void)pthread_mutex_lock(&r->lock);
        e = find_session(r, session);
        if (e && e->state == ENTRY_GRANTED) {
                e->state = ENTRY_PLACED;
                if (e->end_reason)
                        end_post(r, e);
        }
        (void)pthread_mutex_unlock(&r->lock);
}

void registrar_ended(Registrar *r, uint64_t session)
{
        Entry *e, *waiter;

        (void)pthread_mutex_lock(&r->lock);
        e = find_session(r, session);
        if (e) {
                table_remove(r, e);
                waiter = TAKE_PTR(e->waiter);
                e->gone = true;
                if (!e->end_posted)
                        free(e);
                if (waiter)
                        grant(r, waiter);
        }
        (void)pthread_mutex_unlock(&r->lock);
        r->host.changed(r->userdata);
}

int registrar_end(Registrar *r, uint64_t session, const char *reason)
{
        Entry *e;

        (void)pthread_mutex_lock(&r->lock);
        e = find_session(r, session);
        if (e)
                entry_end(r, e, reason);
        (void)pthread_mutex_unlock(&r->lock);
        return e ? 0 : -ENOENT;
}

unsigned registrar_n_sessions(Registrar *r)
{
        unsigned n;

        (void)pthread_mutex_lock(&r->lock);
        n = r->n_normal;
        (void)pthread_mutex_unlock(&r->lock);
        return n;
}

unsigned registrar_n_entries(Registrar *r)
{
        unsigned n;

        (void)pthread_mutex_lock(&r->lock);
        n = r->n_entries;
        (void)pthread_mutex_unlock(&r->lock);
        return n;
}

/* ---- life ---- */

int registrar_new(Loop *const *loops, unsigned n_loops, uint32_t sessions_max,
                  const RegistrarHost *host, void *userdata, Registrar **ret)
{
        Registrar *r = calloc(1, sizeof(*r));
        int k;

        if (!r)
                return -ENOMEM;
        r->n_loops = n_loops;
        r->sessions_max = min_u32(sessions_max, TSIH_COUNT - 1);
        r->host = *host;
        r->userdata = userdata;
        r->n_buckets = 16;
        while (r->n_buckets < r->sessions_max)
                r->n_buckets *= 2;
        r->loops = calloc(n_loops, sizeof(*r->loops));
        r->n_on = calloc(n_loops, sizeof(*r->n_on));
        r->by_nexus = calloc(r->n_buckets, sizeof(*r->by_nexus));
        r->by_session = calloc(r->n_buckets, sizeof(*r->by_session));
        k = r->loops && r->n_on && r->by_nexus && r->by_session
                    ? -pthread_mutex_init(&r->lock, NULL)
                    : -ENOMEM;
        if (k < 0) {
                free(r->loops);
                free(r->n_on);
                free(r->by_nexus);
                free(r->by_session);
                free(r);
                return k;
        }
        memcpy(r->loops, loops, n_loops * sizeof(*loops));
        *ret = r;
        return 0;
}

Registrar *registrar_free(Registrar *r)
{
        if (!r)
                return NULL;
        for (size_t i = 0; i < r->n_buckets; i++)
                while (r->by_session[i]) {
                        Entry *e = r->by_session[i];

                        r->by_session[i] = e->id_next;
                        free(e->waiter);
                        free(e);
                }
        (void)pthread_mutex_destroy(&r->lock);
        free(r->loops);
        free(r->n_on);
        free(r->by_nexus);
        free(r->by_session);
        free(r);
        return NULL;
}
