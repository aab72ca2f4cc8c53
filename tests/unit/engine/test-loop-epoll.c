/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <pthread.h>
#include <time.h>

#include "engine/jobs.h"
#include "engine/loop-epoll.h"

/* What only the real loop has: threads, sleep and a clock. */

typedef struct Thread {
        Loop *loop;
        JobPool *jobs;
        GThread *thread;
        LoopTask stop;
} Thread;

static gpointer thread_main(gpointer data)
{
        Thread *t = data;

        epoll_loop_run(t->loop);
        return NULL;
}

static void stop_run(LoopTask *task)
{
        Thread *t = CONTAINER_OF(task, Thread, stop);

        epoll_loop_stop(t->loop);
}

static void thread_start_spinning(Thread *t, uint64_t ns)
{
        *t = (Thread){ .stop.run = stop_run };
        g_assert_cmpint(jobs_new(8, NSEC_PER_SEC, &t->jobs), ==, 0);
        g_assert_cmpint(epoll_loop_new(0, t->jobs, &t->loop), ==, 0);
        epoll_loop_spin(t->loop, ns);
        t->thread = g_thread_new("loop", thread_main, t);
}

static void thread_start(Thread *t)
{
        thread_start_spinning(t, 0);
}

static void thread_stop(Thread *t)
{
        loop_post(t->loop, &t->stop);
        (void)g_thread_join(t->thread);
        g_assert_cmpint(jobs_free(t->jobs, 5 * NSEC_PER_SEC), ==, 0);
        t->loop = epoll_loop_free(t->loop);
}

/* ---- many posters, one loop that falls asleep again and again ---- */

#define POSTERS 4
#define POSTS 20000

typedef struct Post {
        LoopTask task;
        unsigned poster, number;
} Post;

typedef struct Posting {
        Loop *loop;
        unsigned next[POSTERS]; /* loop's thread */
        unsigned total;         /* atomic */
        Post *posts[POSTERS];
} Posting;

static Posting posting;

static void post_run(LoopTask *task)
{
        const Post *p = CONTAINER_OF(task, Post, task);

        g_assert_cmpuint(posting.next[p->poster], ==, p->number);
        posting.next[p->poster]++;
        (void)__atomic_add_fetch(&posting.total, 1, __ATOMIC_RELEASE);
}

static gpointer poster_main(gpointer data)
{
        unsigned me = GPOINTER_TO_UINT(data);

        for (unsigned i = 0; i < POSTS; i++) {
                Post *p = &posting.posts[me][i];

                *p = (Post){ { .run = post_run }, me, i };
                loop_post(posting.loop, &p->task);
                if (i % 512 == 0)
                        g_usleep(100); /* so that the loop falls asleep now and then */
        }
        return NULL;
}

static void test_posters(void)
{
        GThread *posters[POSTERS];
        gint64 end = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
        Thread t;

        thread_start(&t);
        posting = (Posting){ .loop = t.loop };
        for (unsigned i = 0; i < POSTERS; i++) {
                posting.posts[i] = g_new0(Post, POSTS);
                posters[i] = g_thread_new("poster", poster_main, GUINT_TO_POINTER(i));
        }
        for (unsigned i = 0; i < POSTERS; i++)
                (void)g_thread_join(posters[i]);
        while (__atomic_load_n(&posting.total, __ATOMIC_ACQUIRE) < POSTERS * POSTS) {
                g_assert_cmpint(g_get_monotonic_time(), <, end); /* a wake-up was lost */
                g_usleep(100);
        }
        thread_stop(&t);
        for (unsigned i = 0; i < POSTERS; i++)
                g_free(posting.posts[i]);
}

/* ---- two loops that answer each other: a lost wake-up stops them ---- */

#define ROUNDS 20000

typedef struct Ball {
        LoopTask task;
        Thread *side[2];
        unsigned n;
        gint done;
} Ball;

static void ball_run(LoopTask *task)
{
        Ball *b = CONTAINER_OF(task, Ball, task);

        if (++b->n == ROUNDS)
                g_atomic_int_set(&b->done, 1);
        else
                loop_post(b->side[b->n & 1]->loop, task);
}

static void test_ping_pong(void)
{
        gint64 end = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
        Thread a, b;
        Ball ball = { .task.run = ball_run, .side = { &a, &b } };

        thread_start(&a);
        thread_start(&b);
        loop_post(a.loop, &ball.task);
        while (!g_atomic_int_get(&ball.done)) {
                g_assert_cmpint(g_get_monotonic_time(), <, end);
                g_usleep(1000);
        }
        thread_stop(&a);
        thread_stop(&b);
}

/* ---- sleep ---- */

typedef struct CpuTask {
        LoopTask task;
        guint64 cpu_ns;
        gint done;
} CpuTask;

static void cpu_run(LoopTask *task)
{
        CpuTask *c = CONTAINER_OF(task, CpuTask, task);
        struct timespec ts;

        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
        c->cpu_ns = (guint64)ts.tv_sec * NSEC_PER_SEC + (guint64)ts.tv_nsec;
        g_atomic_int_set(&c->done, 1);
}

static guint64 cpu_of(Thread *t)
{
        CpuTask c = { .task.run = cpu_run };

        loop_post(t->loop, &c.task);
        while (!g_atomic_int_get(&c.done))
                g_usleep(100);
        return c.cpu_ns;
}

typedef struct FarTimer {
        LoopTask task;
        LoopTimer timer;
        Loop *loop;
} FarTimer;

static void far_fire(LoopTimer *timer)
{
        g_assert_not_reached();
}

static void far_arm(LoopTask *task)
{
        FarTimer *f = CONTAINER_OF(task, FarTimer, task);

        loop_timer_in(f->loop, &f->timer, 3600 * NSEC_PER_SEC);
}

static void test_idle(void)
{
        guint64 before, after;
        FarTimer f;
        Thread t;

        thread_start(&t);
        f = (FarTimer){ .task.run = far_arm, .timer.fire = far_fire, .loop = t.loop };
        loop_post(t.loop, &f.task);
        before = cpu_of(&t);
        g_usleep(300 * 1000);
        after = cpu_of(&t);
        g_assert_cmpuint(after - before, <, 3 * NSEC_PER_MSEC);
        thread_stop(&t);
}

/* It polls for as long as it was told after the last thing to do, then it sleeps. */
static void test_spin(void)
{
        guint64 before, after;
        Thread t;

        thread_start_spinning(&t, 100 * NSEC_PER_MSEC);
        before = cpu_of(&t);
        g_usleep(400 * 1000);
        after = cpu_of(&t);
        g_assert_cmpuint(after - before, >, 5 * NSEC_PER_MSEC);
        g_assert_cmpuint(after - before, <, 150 * NSEC_PER_MSEC);
        thread_stop(&t);
}

/* ---- timers against a model ---- */

#define N_TIMERS 500

typedef struct ModelTimer {
        LoopTimer timer;
        uint64_t want; /* 0: not armed */
} ModelTimer;

static uint64_t model_last;
static unsigned model_fired;
static Loop *model_loop;

static void model_fire(LoopTimer *timer)
{
        ModelTimer *m = CONTAINER_OF(timer, ModelTimer, timer);

        g_assert_cmpuint(m->want, !=, 0);
        g_assert_cmpuint(loop_now(model_loop), >=, m->want);
        g_assert_cmpuint(m->want, >=, model_last);
        model_last = m->want;
        m->want = 0;
        model_fired++;
}

static void test_timer_model(void)
{
        g_autofree ModelTimer *timers = g_new0(ModelTimer, N_TIMERS);
        unsigned armed = 0;
        JobPool *jobs;
        uint64_t base;

        g_assert_cmpint(jobs_new(1, NSEC_PER_SEC, &jobs), ==, 0);
        g_assert_cmpint(epoll_loop_new(0, jobs, &model_loop), ==, 0);
        base = loop_now(model_loop) + 20 * NSEC_PER_MSEC;
        for (unsigned i = 0; i < 20 * N_TIMERS; i++) {
                ModelTimer *m = &timers[g_test_rand_int_range(0, N_TIMERS)];

                m->timer.fire = model_fire;
                if (g_test_rand_int_range(0, 3) == 0) {
                        loop_timer_cancel(model_loop, &m->timer);
                        m->want = 0;
                } else {
                        m->want = base + (uint64_t)g_test_rand_int_range(0, 20000000);
                        loop_timer_at(model_loop, &m->timer, m->want);
                }
        }
        for (unsigned i = 0; i < N_TIMERS; i++)
                armed += timers[i].want != 0;
        model_fired = 0;
        model_last = 0;
        while (model_fired < armed)
                epoll_loop_turn(model_loop, true);
        g_assert_cmpuint(model_fired, ==, armed);
        g_assert_cmpint(jobs_free(jobs, NSEC_PER_SEC), ==, 0);
        model_loop = epoll_loop_free(model_loop);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/loop-epoll/posters", test_posters);
        g_test_add_func("/loop-epoll/ping-pong", test_ping_pong);
        g_test_add_func("/loop-epoll/idle", test_idle);
        g_test_add_func("/loop-epoll/spin", test_spin);
        g_test_add_func("/loop-epoll/timer-model", test_timer_model);
        return g_test_run();
}
