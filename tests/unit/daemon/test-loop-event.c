/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/loop-event.h"

#include <pthread.h>
#include <sys/epoll.h>

#include <glib.h>

typedef struct Fixture {
        sd_event *event;
        EventLoop *l;
        Loop *loop;
} Fixture;

static GString *trace;

static void set_up(Fixture *f, gconstpointer data)
{
        trace = g_string_new(NULL);
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(event_loop_new(f->event, &f->l), ==, 0);
        f->loop = event_loop(f->l);
}

static void tear_down(Fixture *f, gconstpointer data)
{
        event_loop_free(f->l);
        sd_event_unref(f->event);
        g_string_free(trace, TRUE);
}

static void run_until(Fixture *f, const char *expected)
{
        for (unsigned i = 0; i < 1000 && !STREQ(trace->str, expected); i++)
                g_assert_cmpint(sd_event_run(f->event, 10000), >=, 0);
        g_assert_cmpstr(trace->str, ==, expected);
}

static void quiet(Fixture *f)
{
        g_autofree char *before = g_strdup(trace->str);

        for (unsigned i = 0; i < 20; i++)
                g_assert_cmpint(sd_event_run(f->event, 1000), >=, 0);
        g_assert_cmpstr(trace->str, ==, before);
}

static Fixture *current;
static LoopTask task_a, task_b, task_c;

static void run_a(LoopTask *task)
{
        g_string_append_c(trace, 'a');
}

static void run_b(LoopTask *task)
{
        g_string_append_c(trace, 'b');
        loop_defer(current->loop, &task_a);
        loop_defer(current->loop, &task_a);
}

static void *post_both(void *userdata)
{
        loop_post(current->loop, &task_b);
        loop_post(current->loop, &task_c);
        return NULL;
}

static void run_c(LoopTask *task)
{
        g_string_append_c(trace, 'c');
}

/* Posted tasks run in order; what they defer runs once, and behind them. */
static void test_post_and_defer(Fixture *f, gconstpointer data)
{
        pthread_t thread;

        current = f;
        task_a = (LoopTask){ .run = run_a };
        task_b = (LoopTask){ .run = run_b };
        task_c = (LoopTask){ .run = run_c };
        g_assert_cmpint(pthread_create(&thread, NULL, post_both, NULL), ==, 0);
        pthread_join(thread, NULL); /* or a turn may come between the two */
        run_until(f, "bca");
        quiet(f);
        loop_post(f->loop, &task_c);
        run_until(f, "bcac");
}

/* ---- timers ---------------------------------------------------------------------------------- */

typedef struct NamedTimer {
        LoopTimer timer;
        char name;
        uint64_t due;
} NamedTimer;

static void fire(LoopTimer *timer)
{
        NamedTimer *t = CONTAINER_OF(timer, NamedTimer, timer);

        g_assert_cmpuint(loop_now(current->loop), >=, t->due);
        g_assert_cmpuint(timer->at, ==, 0);
        g_string_append_c(trace, t->name);
}

static void arm(Fixture *f, NamedTimer *t, char name, uint64_t ms)
{
        t->timer.fire = fire;
        t->name = name;
        t->due = loop_now(f->loop) + ms * NSEC_PER_MSEC;
        loop_timer_at(f->loop, &t->timer, t->due);
}

static void test_timers(Fixture *f, gconstpointer data)
{
        NamedTimer t[5] = { 0 };

        current = f;
        arm(f, &t[0], 'e', 50);
        arm(f, &t[1], 'b', 10);
        arm(f, &t[2], 'c', 20);
        arm(f, &t[3], 'x', 15);
        arm(f, &t[4], 'd', 60);
        loop_timer_cancel(f->loop, &t[3].timer);
        loop_timer_cancel(f->loop, &t[3].timer);
        arm(f, &t[4], 'd', 30); /* moved forward */
        run_until(f, "bcde");
        quiet(f);
}

static void test_many_timers(Fixture *f, gconstpointer data)
{
        enum { N = 2000 };
        g_autofree NamedTimer *t = g_new0(NamedTimer, N);
        g_autoptr(GRand) random = g_rand_new_with_seed(1);

        current = f;
        for (unsigned i = 0; i < N; i++)
                arm(f, &t[i], 't', (uint64_t)g_rand_int_range(random, 0, 30));
        for (unsigned i = 0; i < N; i += 2)
                loop_timer_cancel(f->loop, &t[i].timer);
        while (trace->len < N / 2)
                g_assert_cmpint(sd_event_run(f->event, 100000), >=, 0);
        quiet(f);
}

static unsigned n_again;

static void fire_again(LoopTimer *timer)
{
        if (++n_again < 3)
                loop_timer_in(current->loop, timer, 0);
}

/* A timer that arms itself for now does not keep the loop from everything else. */
static void test_rearm(Fixture *f, gconstpointer data)
{
        LoopTimer timer = { .fire = fire_again };

        current = f;
        n_again = 0;
        loop_timer_in(f->loop, &timer, 0);
        g_assert_cmpint(sd_event_run(f->event, 100000), >, 0);
        g_assert_cmpuint(n_again, ==, 1);
        while (n_again < 3)
                g_assert_cmpint(sd_event_run(f->event, 100000), >=, 0);
        g_assert_cmpuint(timer.at, ==, 0);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static void ready(LoopIo *io, uint32_t events)
{
        g_assert_cmpuint(events & EPOLLIN, ==, EPOLLIN);
        g_string_append_c(trace, 'r');
        g_assert_cmpint(loop_io(current->loop, io, 0), ==, 0);
}

static void test_io(Fixture *f, gconstpointer data)
{
        LoopIo io = { .ready = ready }, bad = { .ready = ready, .fd = -1 };
        int pipes[2];

        current = f;
        g_assert_cmpint(pipe(pipes), ==, 0);
        io.fd = pipes[0];
        g_assert_cmpint(loop_io(f->loop, &io, EPOLLIN), ==, 0);
        quiet(f);
        g_assert_cmpint(write(pipes[1], "x", 1), ==, 1);
        run_until(f, "r");
        quiet(f); /* it took itself off */
        g_assert_cmpint(loop_io(f->loop, &bad, EPOLLIN), <, 0);
        close(pipes[0]);
        close(pipes[1]);
}

#define ADD(name, function) \
        g_test_add("/loop-event/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        ADD("post-and-defer", test_post_and_defer);
        ADD("timers", test_timers);
        ADD("many-timers", test_many_timers);
        ADD("rearm", test_rearm);
        ADD("io", test_io);
        return g_test_run();
}
