/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "base/pool.h"
#include "simloop.h"

static void test_budget(void)
{
        Budget budget = { .left = 8192 };
        BufferPool *pool = NULL;
        Buffer *a, *b;

        g_assert_cmpint(buffer_pool_new(&budget, 4096, &pool), ==, 0);
        a = buffer_new(pool, 1);
        b = buffer_new(pool, 4096);
        g_assert_nonnull(a);
        g_assert_nonnull(b);
        g_assert_cmpuint(a->size, ==, 4096);
        g_assert_cmpuint((uintptr_t)a->data % 4096, ==, 0);
        g_assert_null(buffer_new(pool, 1)); /* over the budget */
        g_assert_cmpint(budget.left, ==, 0);
        buffer_ref(a);
        buffer_unref(a);
        buffer_unref(a); /* kept for reuse */
        buffer_unref(b); /* beyond what is kept: given back */
        g_assert_cmpint(budget.left, ==, 4096);
        a = buffer_new(pool, 100);
        g_assert_nonnull(a);
        buffer_unref(a);
        g_assert_null(buffer_new(pool, BUFFER_MAX_SIZE + 1));
        g_assert_null(buffer_pool_free(pool));
        g_assert_cmpint(budget.left, ==, 8192);
}

/* What is kept is in the way of a buffer of another size: it goes. */
static void test_budget_of_other_sizes(void)
{
        Budget budget = { .left = 1 * MIB };
        BufferPool *pool = NULL;
        Buffer *b[16], *large;

        g_assert_cmpint(buffer_pool_new(&budget, 1 * MIB, &pool), ==, 0);
        for (unsigned i = 0; i < ELEMENTSOF(b); i++)
                b[i] = buffer_new(pool, 64 * KIB);
        for (unsigned i = 0; i < ELEMENTSOF(b); i++)
                buffer_unref(b[i]);
        g_assert_cmpint(budget.left, ==, 0);
        large = buffer_new(pool, 512 * KIB);
        g_assert_nonnull(large);
        g_assert_cmpint(budget.left, ==, 0); /* the other half is kept on */
        buffer_unref(large);
        buffer_pool_free(pool);
        g_assert_cmpint(budget.left, ==, 1 * MIB);
}

#define N_IDLE 256 /* of 1 MiB */

static void test_idle_memory_goes(void)
{
        Budget budget = { .left = GIB };
        BufferPool *pool = NULL;
        Sim *sim = sim_new(1, 1);
        Buffer *b[N_IDLE];

        g_assert_cmpint(buffer_pool_new(&budget, GIB, &pool), ==, 0);
        buffer_pool_set_loop(pool, sim_loop(sim, 0));
        for (unsigned i = 0; i < N_IDLE; i++)
                b[i] = buffer_new(pool, MIB);
        for (unsigned i = 0; i < N_IDLE; i++)
                buffer_unref(b[i]);
        g_assert_cmpint(budget.left, ==, GIB - N_IDLE * MIB);

        /* what is used all the time stays: 64 of them, ten times a second */
        for (unsigned round = 0; round < 50; round++) {
                for (unsigned i = 0; i < 64; i++)
                        b[i] = buffer_new(pool, MIB);
                for (unsigned i = 0; i < 64; i++)
                        buffer_unref(b[i]);
                sim_advance(sim, 100 * NSEC_PER_MSEC);
        }
        g_assert_cmpint(budget.left, <=, GIB - 64 * MIB);
        g_assert_cmpint(budget.left, >=, GIB - 100 * MIB);

        sim_advance(sim, 5 * NSEC_PER_SEC);
        g_assert_cmpint(budget.left, >=, GIB - 5 * MIB);
        buffer_pool_free(pool);
        g_assert_cmpint(budget.left, ==, GIB);
        sim_free(sim);
}

static void test_objects(void)
{
        Pool pool;
        uint8_t *a, *b;

        pool_init(&pool, 64, 32, 1);
        a = pool_alloc(&pool);
        b = pool_alloc(&pool);
        memset(a, 0xff, 64);
        memset(b, 0xff, 64);
        g_assert_cmpuint(pool.n_used, ==, 2);
        pool_free(&pool, a);
        pool_free(&pool, b);
        pool_free(&pool, NULL);
        g_assert_cmpuint(pool.n_free, ==, 1);
        a = pool_alloc(&pool);
        for (int i = 0; i < 32; i++)
                g_assert_cmpuint(a[i], ==, 0);
        pool_free(&pool, a);
        pool_done(&pool);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pool/budget", test_budget);
        g_test_add_func("/pool/budget-of-other-sizes", test_budget_of_other_sizes);
        g_test_add_func("/pool/idle-memory-goes", test_idle_memory_goes);
        g_test_add_func("/pool/objects", test_objects);
        return g_test_run();
}
