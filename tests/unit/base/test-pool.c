/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "base/pool.h"

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
        g_test_add_func("/pool/objects", test_objects);
        return g_test_run();
}
