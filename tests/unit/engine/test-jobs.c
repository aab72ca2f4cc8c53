/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "engine/jobs.h"
#include "engine/loop-epoll.h"

/* The job pool: fairness, growth, idle threads, jobs that never end. */

typedef struct StallJob {
        LoopJob job;
        gint *release;
        gint *started;
        gint *done;
} StallJob;

static void stall_work(LoopJob *job)
{
        StallJob *s = CONTAINER_OF(job, StallJob, job);

        g_atomic_int_inc(s->started);
        while (s->release && !g_atomic_int_get(s->release))
                g_usleep(500);
}

static void stall_done(LoopJob *job)
{
        g_atomic_int_inc(CONTAINER_OF(job, StallJob, job)->done);
}

typedef struct Fixture {
        JobPool *pool;
        Loop *loop;
} Fixture;

static void fixture_new(Fixture *f, unsigned threads, uint64_t idle_ns)
{
        g_assert_cmpint(jobs_new(threads, idle_ns, &f->pool), ==, 0);
        g_assert_cmpint(epoll_loop_new(0, f->pool, &f->loop), ==, 0);
}

static void fixture_free(Fixture *f)
{
        g_assert_cmpint(jobs_free(f->pool, 5 * NSEC_PER_SEC), ==, 0);
        f->loop = epoll_loop_free(f->loop);
}

static void turn_until(Fixture *f, const gint *value, gint want)
{
        gint64 end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

        while (g_atomic_int_get(value) < want) {
                g_assert_cmpint(g_get_monotonic_time(), <, end);
                epoll_loop_turn(f->loop, false);
                g_usleep(200);
        }
}

/* Lanes with more jobs than the pool has threads are stuck; another lane is served all the same. */
static void test_stalled_lanes(void)
{
        enum { THREADS = 8, STALLED = 32, QUICK = 50 };
        gint release = 0, started = 0, stalled_done = 0, quick_started = 0, quick_done = 0;
        LoopLane stalled_lane = { .max = 16 }, quick_lane = { .max = 4 };
        StallJob stalled[STALLED], quick[QUICK];
        Fixture f;

        fixture_new(&f, THREADS, NSEC_PER_SEC);
        for (unsigned i = 0; i < STALLED; i++) {
                stalled[i] = (StallJob){ { .work = stall_work, .done = stall_done },
                                         &release,
                                         &started,
                                         &stalled_done };
                loop_job(f.loop, &stalled_lane, &stalled[i].job);
        }
        turn_until(&f, &started, 6);
        for (unsigned i = 0; i < QUICK; i++) {
                quick[i] = (StallJob){ { .work = stall_work, .done = stall_done },
                                       NULL,
                                       &quick_started,
                                       &quick_done };
                loop_job(f.loop, &quick_lane, &quick[i].job);
        }
        turn_until(&f, &quick_done, QUICK);
        g_assert_cmpint(stalled_done, ==, 0);
        g_assert_cmpint(g_atomic_int_get(&started), <=, THREADS);
        g_assert_cmpuint(jobs_threads(f.pool), <=, THREADS);
        g_atomic_int_set(&release, 1);
        turn_until(&f, &stalled_done, STALLED);
        g_assert_cmpuint(stalled_lane.n_running, ==, 0);
        fixture_free(&f);
}

/* With one thread, two lanes that are both full alternate. */
static unsigned lane_log[64];
static gint lane_logged;

typedef struct LogJob {
        LoopJob job;
        unsigned lane;
        gint *done;
} LogJob;

static void log_work(LoopJob *job)
{
        lane_log[lane_logged++] = CONTAINER_OF(job, LogJob, job)->lane;
}

static void log_done(LoopJob *job)
{
        g_atomic_int_inc(CONTAINER_OF(job, LogJob, job)->done);
}

static void test_round_robin(void)
{
        enum { PER_LANE = 20 };
        LoopLane lanes[2] = { { .max = 1 }, { .max = 1 } };
        LogJob jobs[2 * PER_LANE];
        unsigned changes = 0;
        gint done = 0;
        Fixture f;

        fixture_new(&f, 1, NSEC_PER_SEC);
        lane_logged = 0;
        for (unsigned i = 0; i < ELEMENTSOF(jobs); i++) {
                jobs[i] = (LogJob){ { .work = log_work, .done = log_done }, i / PER_LANE, &done };
                loop_job(f.loop, &lanes[i / PER_LANE], &jobs[i].job);
        }
        turn_until(&f, &done, ELEMENTSOF(jobs));
        for (unsigned i = 1; i < ELEMENTSOF(jobs); i++)
                changes += lane_log[i] != lane_log[i - 1];
        g_assert_cmpuint(changes, ==, ELEMENTSOF(jobs) - 1);
        fixture_free(&f);
}

/* Threads come with parallel work and go without; one stays. */
static void test_grow_and_shrink(void)
{
        enum { N = 6 };
        gint release = 0, started = 0, done = 0;
        gint64 end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
        LoopLane lane = { .max = N };
        StallJob jobs[N];
        Fixture f;

        fixture_new(&f, 16, 20 * NSEC_PER_MSEC);
        g_assert_cmpuint(jobs_threads(f.pool), ==, 1);
        for (unsigned i = 0; i < N; i++) {
                jobs[i] = (StallJob){
                        { .work = stall_work, .done = stall_done }, &release, &started, &done
                };
                loop_job(f.loop, &lane, &jobs[i].job);
        }
        turn_until(&f, &started, N);
        g_assert_cmpuint(jobs_threads(f.pool), >=, N);
        g_atomic_int_set(&release, 1);
        turn_until(&f, &done, N);
        while (jobs_threads(f.pool) > 1) {
                g_assert_cmpint(g_get_monotonic_time(), <, end);
                g_usleep(1000);
        }
        g_usleep(50 * 1000);
        g_assert_cmpuint(jobs_threads(f.pool), ==, 1);
        fixture_free(&f);
}

/* Jobs that do not sleep get one thread, after it was seen that they do not; those that do get as
 * many as their lane may have, at once or after a moment. */
typedef struct SpinJob {
        LoopJob job;
        gint *running, *most, *done;
        bool sleeps;
} SpinJob;

static void spin_work(LoopJob *job)
{
        SpinJob *s = CONTAINER_OF(job, SpinJob, job);
        gint64 end = g_get_monotonic_time() + 20;
        gint now = g_atomic_int_add(s->running, 1) + 1;

        if (now > g_atomic_int_get(s->most))
                g_atomic_int_set(s->most, now);
        if (s->sleeps)
                g_usleep(200);
        while (g_get_monotonic_time() < end)
                ;
        (void)g_atomic_int_add(s->running, -1);
}

static void spin_done(LoopJob *job)
{
        g_atomic_int_inc(CONTAINER_OF(job, SpinJob, job)->done);
}

static gint spin_most(Fixture *f, LoopLane *lane, bool sleeps)
{
        enum { N = 1000 };
        gint running = 0, most = 0, done = 0;
        g_autofree SpinJob *jobs = g_new0(SpinJob, N);

        for (unsigned i = 0; i < N; i++) {
                jobs[i] = (SpinJob){
                        { .work = spin_work, .done = spin_done }, &running, &most, &done, sleeps
                };
                loop_job(f->loop, lane, &jobs[i].job);
        }
        while (g_atomic_int_get(&done) < N)
                epoll_loop_turn(f->loop, true);
        return most;
}

static void test_one_thread_will_do(void)
{
        LoopLane lane = { .max = 6 };
        unsigned alone = 0;
        Fixture f;

        fixture_new(&f, 16, NSEC_PER_SEC);
        for (unsigned round = 0; round < 300 && alone < 3; round++)
                alone += spin_most(&f, &lane, false) == 1;
        g_assert_cmpuint(alone, ==, 3);
        g_assert_cmpint(spin_most(&f, &lane, true), ==, 6);
        /* and back, after it was tried */
        for (unsigned round = 0; round < 500 && alone < 4; round++)
                alone += spin_most(&f, &lane, false) == 1;
        g_assert_cmpuint(alone, ==, 4);
        fixture_free(&f);
}

/* A job that never ends: the pool can be given up, and done() is not called on what is gone. */
static void test_abandon(void)
{
        static gint release, started, done;
        static LoopLane lane = { .max = 1 };
        static StallJob job = {
                { .work = stall_work, .done = stall_done }, &release, &started, &done
        };
        Fixture f;

        fixture_new(&f, 4, NSEC_PER_SEC);
        loop_job(f.loop, &lane, &job.job);
        turn_until(&f, &started, 1);
        g_assert_cmpint(jobs_free(f.pool, 20 * NSEC_PER_MSEC), ==, -ETIMEDOUT);
        f.loop = epoll_loop_free(f.loop);
        g_atomic_int_set(&release, 1);
        g_usleep(50 * 1000);
        g_assert_cmpint(g_atomic_int_get(&done), ==, 0);
}

/* Many small jobs from two loops at once: none is lost, none runs twice. */
typedef struct Flood {
        Fixture *f;
        LoopLane *lane;
        Loop *loop;
        StallJob *jobs;
        unsigned n;
        gint started, done;
} Flood;

static gpointer flood_main(gpointer data)
{
        Flood *flood = data;

        for (unsigned i = 0; i < flood->n; i++) {
                flood->jobs[i] = (StallJob){ { .work = stall_work, .done = stall_done },
                                             NULL,
                                             &flood->started,
                                             &flood->done };
                loop_job(flood->loop, flood->lane, &flood->jobs[i].job);
                if (i % 64 == 63)
                        epoll_loop_turn(flood->loop, false);
        }
        while (g_atomic_int_get(&flood->done) < (gint)flood->n)
                epoll_loop_turn(flood->loop, true);
        return NULL;
}

static void test_flood(void)
{
        enum { N = 20000 };
        LoopLane lane = { .max = 4 };
        Flood flood[2] = { 0 };
        GThread *threads[2];
        Fixture f;

        fixture_new(&f, 8, NSEC_PER_SEC);
        for (unsigned i = 0; i < 2; i++) {
                flood[i] = (Flood){ .f = &f, .lane = &lane, .n = N, .jobs = g_new0(StallJob, N) };
                g_assert_cmpint(epoll_loop_new(i, f.pool, &flood[i].loop), ==, 0);
                threads[i] = g_thread_new("flood", flood_main, &flood[i]);
        }
        for (unsigned i = 0; i < 2; i++) {
                (void)g_thread_join(threads[i]);
                g_assert_cmpint(flood[i].started, ==, N);
                g_assert_cmpint(flood[i].done, ==, N);
        }
        fixture_free(&f);
        for (unsigned i = 0; i < 2; i++) {
                flood[i].loop = epoll_loop_free(flood[i].loop);
                g_free(flood[i].jobs);
        }
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/jobs/stalled-lanes", test_stalled_lanes);
        g_test_add_func("/jobs/round-robin", test_round_robin);
        g_test_add_func("/jobs/grow-and-shrink", test_grow_and_shrink);
        g_test_add_func("/jobs/one-thread-will-do", test_one_thread_will_do);
        g_test_add_func("/jobs/abandon", test_abandon);
        g_test_add_func("/jobs/flood", test_flood);
        return g_test_run();
}
