/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "simloop.h"
#include "store/range-lock.h"

/* Who may hold what beside whom, in which order, and what giving up does. */

typedef struct Lock {
        RangeLock lock;
        bool granted;
} Lock;

static RangeLocks locks;
static Sim *sim;

static void granted(LoopTask *task)
{
        Lock *l = CONTAINER_OF(CONTAINER_OF(task, RangeLock, task), Lock, lock);

        g_assert_false(l->granted);
        l->granted = true;
}

static bool take(Lock *l, uint64_t begin, uint64_t end, bool exclusive)
{
        *l = (Lock){ .lock = { .begin = begin,
                               .end = end,
                               .is_exclusive = exclusive,
                               .loop = sim_loop(sim, 0),
                               .task = { .run = granted } } };
        l->granted = range_lock(&locks, &l->lock);
        return l->granted;
}

static void drop(Lock *l)
{
        range_unlock(&locks, &l->lock);
        (void)sim_run(sim);
}

static void begin(void)
{
        sim = sim_new(1, 1);
        g_assert_cmpint(range_locks_init(&locks), ==, 0);
}

static void end(void)
{
        g_assert_true(list_empty(&locks.exclusive) && list_empty(&locks.shared) &&
                      list_empty(&locks.waiting));
        range_locks_done(&locks);
        sim = sim_free(sim);
}

static void test_conflicts(void)
{
        static const struct {
                uint64_t begin, end;
                bool exclusive[2];
                bool both;
        } rows[] = {
                { 0, 4096, { false, false }, true },       { 0, 4096, { true, false }, false },
                { 0, 4096, { false, true }, false },       { 0, 4096, { true, true }, false },
                { 4096, 8192, { true, true }, true },      { 4095, 4097, { true, true }, false },
                { 0, UINT64_MAX, { false, true }, false }, { 8192, 8193, { true, false }, true },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Lock a, b;

                begin();
                g_assert_true(take(&a, 0, 4096, rows[i].exclusive[0]));
                g_assert_true(take(&b, rows[i].begin, rows[i].end, rows[i].exclusive[1]) ==
                              rows[i].both);
                drop(&a);
                g_assert_true(b.granted);
                drop(&b);
                end();
        }
}

/* Shared ones that keep coming do not starve one that wants the range for itself. */
static void test_order(void)
{
        Lock shared[2], exclusive, late, apart;

        begin();
        g_assert_true(take(&shared[0], 0, 4096, false));
        g_assert_true(take(&shared[1], 0, 8192, false));
        g_assert_false(take(&exclusive, 0, 4096, true));
        g_assert_false(take(&late, 0, 4096, false));
        g_assert_true(take(&apart, 4096, 8192, false));
        drop(&shared[0]);
        g_assert_false(exclusive.granted || late.granted);
        drop(&shared[1]);
        g_assert_true(exclusive.granted);
        g_assert_false(late.granted);
        drop(&exclusive);
        g_assert_true(late.granted);
        drop(&late);
        drop(&apart);
        end();
}

static void test_cancel(void)
{
        Lock held, waiting, behind;

        begin();
        g_assert_true(take(&held, 0, 4096, false));
        g_assert_false(take(&waiting, 0, 4096, true));
        g_assert_false(take(&behind, 0, 4096, false));
        g_assert_false(range_lock_cancel(&locks, &held.lock));
        g_assert_true(range_lock_cancel(&locks, &waiting.lock));
        (void)sim_run(sim);
        g_assert_false(waiting.granted);
        g_assert_true(behind.granted); /* it had waited for that one only */
        drop(&behind);
        drop(&held);
        end();
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/store/range-lock/conflicts", test_conflicts);
        g_test_add_func("/store/range-lock/order", test_order);
        g_test_add_func("/store/range-lock/cancel", test_cancel);
        return g_test_run();
}
