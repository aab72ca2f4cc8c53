/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "engine/registrar.h"
#include "simloop.h"

/* The table of sessions, on the simulator: claims, reinstatement, placement, limits. */

#define WORKERS 3
#define CLAIMS 64

typedef struct TestClaim {
        IscsiClaim claim;
        unsigned answers;
} TestClaim;

typedef struct World {
        Sim *sim;
        Registrar *registrar;
        TestClaim claims[CLAIMS];
        unsigned n_claims;
        uint64_t ended; /* what end() was called for last */
        unsigned ended_on, n_ends, n_changed;
        const char *reason;
} World;

static void answered(LoopTask *task)
{
        TestClaim *t = CONTAINER_OF(task, TestClaim, claim.task);

        t->answers++;
}

static void end(void *userdata, unsigned worker, uint64_t session, const char *reason)
{
        World *w = userdata;

        w->ended = session;
        w->ended_on = worker;
        w->reason = reason;
        w->n_ends++;
}

static void changed(void *userdata)
{
        World *w = userdata;

        w->n_changed++;
}

static void world_new(World *w, gconstpointer data)
{
        static const RegistrarHost host = { answered, end, changed };
        Loop *loops[WORKERS];

        *w = (World){ .sim = sim_new(1, WORKERS) };
        for (unsigned i = 0; i < WORKERS; i++)
                loops[i] = sim_loop(w->sim, i);
        g_assert_cmpint(registrar_new(loops, WORKERS, data ? 4 : 1000, &host, w, &w->registrar), ==,
                        0);
}

static void world_free(World *w, gconstpointer data)
{
        (void)sim_run(w->sim);
        w->registrar = registrar_free(w->registrar);
        w->sim = sim_free(w->sim);
}

static TestClaim *claim(World *w, const char *initiator, const char *target, uint16_t tsih)
{
        TestClaim *t = &w->claims[w->n_claims++];

        *t = (TestClaim){ .claim = { .tsih = tsih,
                                     .tpgt = 1,
                                     .isid = { 0x40, 0, 1, 2, 3, 4 },
                                     .origin = sim_loop(w->sim, 0) } };
        g_strlcpy(t->claim.initiator, initiator, sizeof(t->claim.initiator));
        g_strlcpy(t->claim.target, target, sizeof(t->claim.target));
        registrar_claim(w->registrar, &t->claim);
        g_assert_cmpuint(t->answers, ==, 0); /* never from inside */
        (void)sim_run(w->sim);
        return t;
}

static TestClaim *granted(World *w, const char *initiator, const char *target)
{
        TestClaim *t = claim(w, initiator, target, 0);

        g_assert_cmpuint(t->answers, ==, 1);
        g_assert_cmpint(t->claim.result, ==, 0);
        g_assert_cmpuint(t->claim.tsih, !=, 0);
        g_assert_cmpuint(t->claim.session, !=, 0);
        return t;
}

static void placed(World *w, const TestClaim *t)
{
        registrar_placed(w->registrar, t->claim.session);
        (void)sim_run(w->sim);
}

static void ended(World *w, uint64_t session)
{
        registrar_ended(w->registrar, session);
        (void)sim_run(w->sim);
}

static void test_grant(World *w, gconstpointer data)
{
        TestClaim *a = granted(w, "iqn.a", "iqn.t"), *b = granted(w, "iqn.b", "iqn.t"),
                  *c = granted(w, "iqn.c", "iqn.t"), *d = granted(w, "iqn.a", "iqn.u");

        /* one per worker, then from the start; all numbers differ */
        g_assert_cmpuint(a->claim.worker, ==, 0);
        g_assert_cmpuint(b->claim.worker, ==, 1);
        g_assert_cmpuint(c->claim.worker, ==, 2);
        g_assert_cmpuint(d->claim.worker, ==, 0);
        g_assert_cmpuint(a->claim.tsih, !=, b->claim.tsih);
        g_assert_cmpuint(a->claim.session, !=, b->claim.session);
        g_assert_cmpuint(registrar_n_sessions(w->registrar), ==, 4);
        g_assert_cmpuint(w->n_changed, ==, 4);
        placed(w, b);
        ended(w, b->claim.session);
        g_assert_cmpuint(registrar_n_sessions(w->registrar), ==, 3);
        /* the one with the fewest sessions; the TSIH that was just used is not the next */
        c = granted(w, "iqn.b", "iqn.t");
        g_assert_cmpuint(c->claim.worker, ==, 1);
        g_assert_cmpuint(c->claim.tsih, !=, b->claim.tsih);
}

static void test_discovery(World *w, gconstpointer data)
{
        TestClaim *a = granted(w, "iqn.a", ""), *b = granted(w, "iqn.a", "");

        /* stays where it is, and two of one initiator do not end each other */
        g_assert_cmpuint(a->claim.worker, ==, 0);
        g_assert_cmpuint(b->claim.worker, ==, 0);
        g_assert_cmpuint(registrar_n_sessions(w->registrar), ==, 0);
        g_assert_cmpuint(w->n_ends, ==, 0);
        ended(w, a->claim.session);
        ended(w, b->claim.session);
        ended(w, b->claim.session); /* not there: nothing */
}

static void test_reinstatement(World *w, gconstpointer data)
{
        TestClaim *a = granted(w, "iqn.a", "iqn.t"), *b, *c;

        placed(w, a);
        g_assert_cmpuint(w->n_ends, ==, 0);
        b = claim(w, "iqn.a", "iqn.t", 0);
        g_assert_cmpuint(b->answers, ==, 0);
        g_assert_cmpuint(w->n_ends, ==, 1);
        g_assert_cmpuint(w->ended, ==, a->claim.session);
        g_assert_cmpuint(w->ended_on, ==, a->claim.worker);
        /* a third one takes the second one's place in the queue */
        c = claim(w, "iqn.a", "iqn.t", 0);
        g_assert_cmpuint(b->answers, ==, 1);
        g_assert_cmpint(b->claim.result, ==, -EBUSY);
        g_assert_cmpuint(c->answers, ==, 0);
        g_assert_cmpuint(w->n_ends, ==, 1);
        ended(w, a->claim.session);
        g_assert_cmpuint(c->answers, ==, 1);
        g_assert_cmpint(c->claim.result, ==, 0);
        g_assert_cmpuint(c->claim.session, >, a->claim.session);
        g_assert_cmpuint(c->claim.tsih, !=, a->claim.tsih);
        g_assert_cmpuint(registrar_n_sessions(w->registrar), ==, 1);
}

/* The old session is on its way to its worker: it is ended when it has arrived, not missed. */
static void test_reinstatement_early(World *w, gconstpointer data)
{
        TestClaim *a = granted(w, "iqn.a", "iqn.t"), *b = claim(w, "iqn.a", "iqn.t", 0);

        g_assert_cmpuint(w->n_ends, ==, 0);
        g_assert_cmpuint(b->answers, ==, 0);
        placed(w, a);
        g_assert_cmpuint(w->n_ends, ==, 1);
        g_assert_cmpuint(w->ended, ==, a->claim.session);
        ended(w, a->claim.session);
        g_assert_cmpuint(b->answers, ==, 1);
        g_assert_cmpint(b->claim.result, ==, 0);
}

/* A session that ends by itself while it is asked to: the message is not lost memory, nor late. */
static void test_end_race(World *w, gconstpointer data)
{
        TestClaim *a = granted(w, "iqn.a", "iqn.t"), *b;

        placed(w, a);
        g_assert_cmpint(registrar_end(w->registrar, a->claim.session, "x"), ==, 0);
        registrar_ended(w->registrar, a->claim.session); /* before the message ran */
        g_assert_cmpint(registrar_end(w->registrar, a->claim.session, "x"), ==, -ENOENT);
        b = granted(w, "iqn.a", "iqn.t");
        g_assert_cmpuint(w->n_ends, ==, 0);
        placed(w, b);
        g_assert_cmpint(registrar_end(w->registrar, b->claim.session, "why"), ==, 0);
        g_assert_cmpint(registrar_end(w->registrar, b->claim.session, "again"), ==, 0);
        (void)sim_run(w->sim);
        g_assert_cmpuint(w->n_ends, ==, 1);
        g_assert_cmpstr(w->reason, ==, "why");
}

static void test_tsih(World *w, gconstpointer data)
{
        TestClaim *a = granted(w, "iqn.a", "iqn.t"), *b;

        placed(w, a);
        b = claim(w, "iqn.a", "iqn.t", (uint16_t)(a->claim.tsih + 1));
        g_assert_cmpint(b->claim.result, ==, -ENOENT);
        b = claim(w, "iqn.b", "iqn.t", a->claim.tsih);
        g_assert_cmpint(b->claim.result, ==, -ENOENT);
        g_assert_cmpuint(w->n_ends, ==, 0);
        /* connection reinstatement: the TSIH stays */
        b = claim(w, "iqn.a", "iqn.t", a->claim.tsih);
        g_assert_cmpuint(b->answers, ==, 0);
        ended(w, a->claim.session);
        g_assert_cmpint(b->claim.result, ==, 0);
        g_assert_cmpuint(b->claim.tsih, ==, a->claim.tsih);
        g_assert_cmpuint(b->claim.session, !=, a->claim.session);
        /* another connection of the same session: MaxConnections is 1 */
        w->claims[w->n_claims].claim = b->claim;
        w->claims[w->n_claims].claim.cid = 7;
        registrar_claim(w->registrar, &w->claims[w->n_claims].claim);
        (void)sim_run(w->sim);
        g_assert_cmpint(w->claims[w->n_claims].claim.result, ==, -EEXIST);
}

static void test_limit(World *w, gconstpointer data)
{
        TestClaim *t[4], *more;

        for (unsigned i = 0; i < 4; i++) {
                char name[16];

                (void)g_snprintf(name, sizeof(name), "iqn.%u", i);
                t[i] = granted(w, name, i == 3 ? "" : "iqn.t");
        }
        more = claim(w, "iqn.more", "iqn.t", 0);
        g_assert_cmpint(more->claim.result, ==, -EBUSY);
        /* reinstatement is no growth */
        placed(w, t[0]);
        more = claim(w, "iqn.0", "iqn.t", 0);
        ended(w, t[0]->claim.session);
        g_assert_cmpint(more->claim.result, ==, 0);
        ended(w, t[3]->claim.session);
        more = claim(w, "iqn.more", "iqn.t", 0);
        g_assert_cmpint(more->claim.result, ==, 0);
}

/* TSIHs of 65,535 sessions, one after another, differ from those in use and are never 0. */
static void test_tsih_wrap(World *w, gconstpointer data)
{
        TestClaim *keep = granted(w, "iqn.keep", "iqn.t");

        for (unsigned i = 0; i < 70000; i++) {
                TestClaim *t = granted(w, "iqn.a", "iqn.t");

                g_assert_cmpuint(t->claim.tsih, !=, keep->claim.tsih);
                registrar_ended(w->registrar, t->claim.session);
                w->n_claims--;
        }
}

#define ADD(name, test) g_test_add("/registrar/" name, World, NULL, world_new, test, world_free)

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        ADD("grant", test_grant);
        ADD("discovery", test_discovery);
        ADD("reinstatement", test_reinstatement);
        ADD("reinstatement-early", test_reinstatement_early);
        ADD("end-race", test_end_race);
        ADD("tsih", test_tsih);
        ADD("tsih-wrap", test_tsih_wrap);
        g_test_add("/registrar/limit", World, "small", world_new, test_limit, world_free);
        return g_test_run();
}
