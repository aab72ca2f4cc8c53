/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "simloop.h"

typedef struct Seen {
        LoopTask task;
        int value;
} Seen;

static int order[64];
static unsigned n_order;

static void record(LoopTask *task)
{
        order[n_order++] = CONTAINER_OF(task, Seen, task)->value;
}

static void test_order(void)
{
        for (uint64_t seed = 0; seed < 20; seed++) {
                Sim *sim = sim_new(seed, 2);
                Seen seen[8];

                n_order = 0;
                for (int i = 0; i < 8; i++) {
                        seen[i] = (Seen){ .task.run = record, .value = i };
                        loop_post(sim_loop(sim, 1), &seen[i].task);
                }
                sim_run(sim);
                g_assert_cmpuint(n_order, ==, 8);
                for (int i = 0; i < 8; i++)
                        g_assert_cmpint(order[i], ==, i); /* one poster: in order */
                g_assert_null(sim_free(sim));
        }
}

static void test_defer_once(void)
{
        Sim *sim = sim_new(1, 1);
        Seen seen = { .task.run = record, .value = 5 };

        n_order = 0;
        loop_defer(sim_loop(sim, 0), &seen.task);
        loop_defer(sim_loop(sim, 0), &seen.task);
        sim_run(sim);
        g_assert_cmpuint(n_order, ==, 1);
        sim_free(sim);
}

typedef struct Clock {
        LoopTimer timer;
        Sim *sim;
        uint64_t fired;
} Clock;

static void clock_fire(LoopTimer *timer)
{
        Clock *c = CONTAINER_OF(timer, Clock, timer);

        c->fired = sim_now(c->sim);
}

static void test_timers(void)
{
        Sim *sim = sim_new(1, 1);
        Clock a = { .timer.fire = clock_fire, .sim = sim }, b = a;
        uint64_t t0 = sim_now(sim);

        loop_timer_in(sim_loop(sim, 0), &a.timer, 10 * NSEC_PER_MSEC);
        loop_timer_in(sim_loop(sim, 0), &b.timer, 5 * NSEC_PER_MSEC);
        sim_advance(sim, 7 * NSEC_PER_MSEC);
        g_assert_cmpuint(b.fired, ==, t0 + 5 * NSEC_PER_MSEC);
        g_assert_cmpuint(a.fired, ==, 0);
        loop_timer_cancel(sim_loop(sim, 0), &a.timer);
        sim_advance(sim, NSEC_PER_SEC);
        g_assert_cmpuint(a.fired, ==, 0);
        sim_free(sim);
}

typedef struct Work {
        LoopJob job;
        LoopLane *lane;
        int *done;
} Work;

static void work(LoopJob *job)
{
        g_assert_cmpuint(CONTAINER_OF(job, Work, job)->lane->n_running, <=, 2);
}

static void work_done(LoopJob *job)
{
        ++*CONTAINER_OF(job, Work, job)->done;
}

static void test_jobs(void)
{
        Sim *sim = sim_new(3, 2);
        LoopLane lane = { .max = 2 };
        Work jobs[10];
        int done = 0;

        for (int i = 0; i < 10; i++) {
                jobs[i] = (Work){ .job = { .work = work, .done = work_done },
                                  .lane = &lane,
                                  .done = &done };
                loop_job(sim_loop(sim, i % 2), &lane, &jobs[i].job);
        }
        sim_hold_jobs(sim, true);
        sim_run(sim);
        g_assert_cmpint(done, ==, 0);
        sim_hold_jobs(sim, false);
        sim_run(sim);
        g_assert_cmpint(done, ==, 10);
        g_assert_cmpuint(lane.n_running + lane.n_queued, ==, 0);
        sim_free(sim);
}

typedef struct Pipe {
        LoopIo io;
        Loop *loop;
        bool got;
} Pipe;

static void pipe_ready(LoopIo *io, uint32_t events)
{
        Pipe *p = CONTAINER_OF(io, Pipe, io);

        g_assert_true(events & EPOLLIN);
        p->got = true;
        g_assert_cmpint(loop_io(p->loop, io, 0), ==, 0);
}

static bool pipe_got(void *userdata)
{
        return ((Pipe *)userdata)->got;
}

static void test_io(void)
{
        Sim *sim = sim_new(3, 1);
        Pipe p = { .io.ready = pipe_ready, .loop = sim_loop(sim, 0) };
        int fds[2];

        g_assert_cmpint(pipe(fds), ==, 0);
        p.io.fd = fds[0];
        g_assert_cmpint(loop_io(p.loop, &p.io, EPOLLIN), ==, 0);
        sim_run(sim);
        g_assert_false(p.got);
        g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
        g_assert_true(sim_run_until(sim, pipe_got, &p, NSEC_PER_SEC));
        close(fds[0]);
        close(fds[1]);
        sim_free(sim);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/simloop/order", test_order);
        g_test_add_func("/simloop/defer-once", test_defer_once);
        g_test_add_func("/simloop/timers", test_timers);
        g_test_add_func("/simloop/jobs", test_jobs);
        g_test_add_func("/simloop/io", test_io);
        return g_test_run();
}
