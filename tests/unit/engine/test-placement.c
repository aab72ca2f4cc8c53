/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <pthread.h>
#include <sched.h>

#include "engine/placement.h"

/* Decisions in a world that is told what to say; then the real one. */

#define WAKE (20 * NSEC_PER_USEC)
#define RECEIVES (PLACEMENT_SAMPLES * PLACEMENT_SAMPLE_EVERY) /* to a decision */

typedef struct World {
        Placement p;
        int cpu, result;
        unsigned n_binds;
        PlacementUse use;
        int use_result;
        uint64_t now;
} World;

static int fake_bind(void *userdata, int cpu)
{
        World *w = userdata;

        if (w->result < 0)
                return w->result;
        w->n_binds++;
        w->cpu = cpu;
        return 0;
}

static int fake_use(void *userdata, PlacementUse *ret)
{
        World *w = userdata;

        *ret = w->use;
        return w->use_result;
}

static const PlacementOps fake_ops = { .bind = fake_bind, .use = fake_use };

static void world_init(World *w, uint64_t wake)
{
        *w = (World){ .cpu = PLACEMENT_FREE, .now = NSEC_PER_SEC };
        placement_init(&w->p, &fake_ops, w, wake);
}

/* A decision's worth of turns of turn ns, each after a wait of wait ns, every n_elsewhere-th of
 * which was received on another processor than cpu. */
static void turns(World *w, int cpu, uint64_t turn, uint64_t wait, unsigned n_elsewhere)
{
        for (unsigned i = 0; i < RECEIVES; i++) {
                bool elsewhere = n_elsewhere > 0 && i / PLACEMENT_SAMPLE_EVERY % n_elsewhere == 0;

                w->use.run_ns += turn;
                w->use.wait_ns += wait;
                w->use.slices++;
                w->now += turn + wait;
                if (placement_due(&w->p))
                        placement_sample(&w->p, elsewhere ? cpu + 1 : cpu, w->now);
        }
}

static void test_short_turns_bind(void)
{
        World w;

        world_init(&w, WAKE);
        turns(&w, 3, WAKE, 0, 0);
        g_assert_cmpint(w.cpu, ==, 3);
        turns(&w, 3, WAKE, WAKE / 2, 0);
        g_assert_cmpuint(w.n_binds, ==, 1);
        /* the initiator moved */
        turns(&w, 1, WAKE, 0, 0);
        g_assert_cmpint(w.cpu, ==, 1);
}

static void test_long_turns_do_not(void)
{
        World w;

        world_init(&w, WAKE);
        turns(&w, 3, 4 * WAKE, 0, 0);
        g_assert_cmpint(w.cpu, ==, PLACEMENT_FREE);
        turns(&w, 3, WAKE, 0, 0);
        g_assert_cmpint(w.cpu, ==, 3);
        turns(&w, 3, 4 * WAKE, 0, 0);
        g_assert_cmpint(w.cpu, ==, PLACEMENT_FREE);
}

static void test_waiting_releases_longer_each_time(void)
{
        uint64_t last = 0;
        World w;

        world_init(&w, WAKE);
        for (unsigned i = 0; i < 4; i++) {
                uint64_t freed;

                turns(&w, 3, WAKE, 0, 0);
                g_assert_cmpint(w.cpu, ==, 3);
                turns(&w, 3, WAKE, 2 * WAKE, 0);
                g_assert_cmpint(w.cpu, ==, PLACEMENT_FREE);
                freed = w.now;
                while (w.cpu == PLACEMENT_FREE)
                        turns(&w, 3, WAKE, 0, 0);
                g_assert_cmpuint(w.now - freed, >, last);
                last = w.now - freed;
                turns(&w, 3, WAKE, 2 * WAKE, 0); /* still a mistake */
                w.now += 20 * NSEC_PER_SEC;
        }
        /* bound for a second, it was right for a while: not held against it */
        turns(&w, 3, WAKE, 0, 0);
        g_assert_cmpint(w.cpu, ==, 3);
        w.now += 2 * NSEC_PER_SEC;
        turns(&w, 3, WAKE, 2 * WAKE, 0);
        g_assert_cmpint(w.cpu, ==, PLACEMENT_FREE);
        w.now += NSEC_PER_SEC / 5;
        turns(&w, 3, WAKE, 0, 0);
        g_assert_cmpint(w.cpu, ==, 3);
}

static void test_no_majority_is_free(void)
{
        World w;

        world_init(&w, WAKE);
        turns(&w, 3, WAKE, 0, 2);
        g_assert_cmpint(w.cpu, ==, PLACEMENT_FREE);
        turns(&w, 3, WAKE, 0, 8);
        g_assert_cmpint(w.cpu, ==, 3);
        turns(&w, 3, WAKE, 0, 2);
        g_assert_cmpint(w.cpu, ==, PLACEMENT_FREE);
        /* the kernel does not know */
        w.now += 20 * NSEC_PER_SEC;
        turns(&w, -1, WAKE, 0, 0);
        g_assert_cmpint(w.cpu, ==, PLACEMENT_FREE);
}

static void test_refused(void)
{
        World w;

        world_init(&w, WAKE);
        w.result = -EINVAL;
        turns(&w, 3, WAKE, 0, 0);
        w.result = 0;
        turns(&w, 3, WAKE, 0, 0);
        g_assert_cmpuint(w.n_binds, ==, 0); /* not at once again */
        w.now += 20 * NSEC_PER_SEC;
        turns(&w, 3, WAKE, 0, 0);
        g_assert_cmpint(w.cpu, ==, 3);
}

static void test_off(void)
{
        World w;

        world_init(&w, 0);
        turns(&w, 3, WAKE, 0, 0);
        world_init(&w, WAKE);
        w.use_result = -EBADMSG;
        turns(&w, 3, WAKE, 0, 0);
        w.use_result = 0;
        turns(&w, 3, WAKE, 0, 0);
        g_assert_cmpuint(w.n_binds, ==, 0);
}

/* ---- the real thread ---- */

static gpointer real_thread(gpointer data)
{
        PlacementThread *t;
        PlacementUse first, then;
        cpu_set_t before, after;

        g_assert_cmpint(sched_getaffinity(0, sizeof(before), &before), ==, 0);
        g_assert_cmpint(placement_thread_new(&t), ==, 0);
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
                if (!CPU_ISSET(cpu, &before)) {
                        g_assert_cmpint(placement_thread_ops.bind(t, cpu), ==, -EINVAL);
                        continue;
                }
                g_assert_cmpint(placement_thread_ops.bind(t, cpu), ==, 0);
                g_assert_cmpint(sched_getcpu(), ==, cpu);
        }
        g_assert_cmpint(placement_thread_ops.bind(t, CPU_SETSIZE), ==, -EINVAL);
        g_assert_cmpint(placement_thread_ops.bind(t, PLACEMENT_FREE), ==, 0);
        g_assert_cmpint(sched_getaffinity(0, sizeof(after), &after), ==, 0);
        g_assert_true(CPU_EQUAL(&before, &after));

        g_assert_cmpint(placement_thread_ops.use(t, &first), ==, 0);
        g_usleep(1000);
        g_assert_cmpint(placement_thread_ops.use(t, &then), ==, 0);
        g_assert_cmpuint(then.run_ns, >, first.run_ns);
        g_assert_cmpuint(then.slices, >, first.slices);
        (void)placement_thread_free(t);
        return data;
}

static void test_real(void)
{
        (void)g_thread_join(g_thread_new("placed", real_thread, NULL));
        g_assert_null(placement_thread_free(NULL));
}

static void test_measure(void)
{
        uint64_t ns = placement_measure_wake();

        if (g_get_num_processors() > 1)
                g_assert_cmpuint(ns, >, 0);
        else
                g_assert_cmpuint(ns, ==, 0);
        g_assert_cmpuint(ns, <, NSEC_PER_MSEC);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/placement/short-turns-bind", test_short_turns_bind);
        g_test_add_func("/placement/long-turns-do-not", test_long_turns_do_not);
        g_test_add_func("/placement/waiting-releases", test_waiting_releases_longer_each_time);
        g_test_add_func("/placement/no-majority", test_no_majority_is_free);
        g_test_add_func("/placement/refused", test_refused);
        g_test_add_func("/placement/off", test_off);
        g_test_add_func("/placement/real", test_real);
        g_test_add_func("/placement/measure", test_measure);
        return g_test_run();
}
