/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/jobs.h"
#include "engine/loop-epoll.h"
#include "simloop.h"

/* One suite over what implements base/loop.h: the loop of the daemon and the simulator that all
 * other layers are tested on. What holds for the one has to hold for the other. */

typedef struct World {
        Loop *loop[2];
        JobPool *jobs;
        Sim *sim;
} World;

typedef bool Condition(void *userdata);

static void world_new(World *w, gconstpointer data)
{
        const char *kind = data;

        *w = (World){ 0 };
        if (STREQ(kind, "sim")) {
                w->sim = sim_new(4711, 2);
                for (unsigned i = 0; i < 2; i++)
                        w->loop[i] = sim_loop(w->sim, i);
                return;
        }
        g_assert_cmpint(jobs_new(8, NSEC_PER_SEC, &w->jobs), ==, 0);
        for (unsigned i = 0; i < 2; i++)
                g_assert_cmpint(epoll_loop_new(i, w->jobs, &w->loop[i]), ==, 0);
}

static void world_free(World *w, gconstpointer data)
{
        if (w->sim) {
                w->sim = sim_free(w->sim);
                return;
        }
        g_assert_cmpint(jobs_free(w->jobs, 5 * NSEC_PER_SEC), ==, 0);
        for (unsigned i = 0; i < 2; i++)
                w->loop[i] = epoll_loop_free(w->loop[i]);
}

static bool run_until(World *w, Condition *cond, void *userdata)
{
        gint64 end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;

        if (w->sim)
                return sim_run_until(w->sim, cond, userdata, 5 * NSEC_PER_SEC);
        while (!cond(userdata)) {
                if (g_get_monotonic_time() > end)
                        return false;
                epoll_loop_turn(w->loop[0], false);
                epoll_loop_turn(w->loop[1], false);
        }
        return true;
}

/* ---- tasks ---- */

#define N_TASKS 100

typedef struct Recorder {
        World *world;
        unsigned order[4 * N_TASKS];
        unsigned n, want;
} Recorder;

typedef struct RecordTask {
        LoopTask task;
        Recorder *recorder;
        unsigned number;
        LoopTask *defers;
} RecordTask;

static bool recorded(void *userdata)
{
        const Recorder *r = userdata;

        return r->n >= r->want;
}

static void record(LoopTask *task)
{
        RecordTask *t = CONTAINER_OF(task, RecordTask, task);

        t->recorder->order[t->recorder->n++] = t->number;
        if (t->defers)
                loop_defer(t->recorder->world->loop[0], t->defers);
}

static void test_post_order(World *w, gconstpointer data)
{
        Recorder r = { .world = w, .want = N_TASKS };
        RecordTask tasks[N_TASKS];

        for (unsigned round = 0; round < 3; round++) {
                r.n = 0;
                for (unsigned i = 0; i < N_TASKS; i++) {
                        tasks[i] = (RecordTask){ { .run = record }, &r, i, NULL };
                        loop_post(w->loop[0], &tasks[i].task);
                }
                g_assert_cmpuint(r.n, ==, 0);
                g_assert_true(run_until(w, recorded, &r));
                g_assert_cmpuint(r.n, ==, N_TASKS);
                for (unsigned i = 0; i < N_TASKS; i++) {
                        g_assert_cmpuint(r.order[i], ==, i);
                        g_assert_null(tasks[i].task.next);
                }
        }
}

static void test_defer(World *w, gconstpointer data)
{
        Recorder r = { .world = w, .want = 4 };
        RecordTask late = { { .run = record }, &r, 3, NULL };
        RecordTask deferred = { { .run = record }, &r, 2, &late.task };
        RecordTask a = { { .run = record }, &r, 0, &deferred.task };
        RecordTask b = { { .run = record }, &r, 1, &deferred.task };

        loop_post(w->loop[0], &a.task);
        loop_post(w->loop[0], &b.task);
        g_assert_true(run_until(w, recorded, &r));
        /* armed twice, ran once; what a deferred task defers runs too */
        g_assert_cmpuint(r.n, ==, 4);
        g_assert_cmpuint(r.order[3], ==, 3);
        g_assert_false(deferred.task.pending);
        /* and again: it is not spent */
        r.want = 5;
        loop_defer(w->loop[0], &late.task);
        loop_defer(w->loop[0], &late.task);
        g_assert_true(late.task.pending);
        g_assert_cmpuint(r.n, ==, 4);
        g_assert_true(run_until(w, recorded, &r));
        g_assert_cmpuint(r.n, ==, 5);
}

/* ---- timers ---- */

typedef struct RecordTimer {
        LoopTimer timer;
        Recorder *recorder;
        Loop *loop;
        unsigned number;
        unsigned again;   /* so often it arms itself for a time that is past */
        LoopTimer *other; /* cancelled by this one */
        uint64_t fired_at;
} RecordTimer;

static void fired(LoopTimer *timer)
{
        RecordTimer *t = CONTAINER_OF(timer, RecordTimer, timer);

        g_assert_cmpuint(timer->at, ==, 0);
        t->fired_at = loop_now(t->loop);
        t->recorder->order[t->recorder->n++] = t->number;
        if (t->other)
                loop_timer_cancel(t->loop, t->other);
        if (t->again > 0) {
                t->again--;
                loop_timer_at(t->loop, timer, 1);
        }
}

static void test_timers(World *w, gconstpointer data)
{
        Loop *loop = w->loop[0];
        Recorder r = { .world = w, .want = 4 };
        RecordTimer a = { { .fire = fired }, &r, loop, 0 };
        RecordTimer b = { { .fire = fired }, &r, loop, 1 };
        RecordTimer c = { { .fire = fired }, &r, loop, 2 };
        RecordTimer never = { { .fire = fired }, &r, loop, 99 };
        RecordTimer d = { { .fire = fired }, &r, loop, 3, .other = &never.timer };
        uint64_t start = loop_now(loop);

        loop_timer_in(loop, &never.timer, 40 * NSEC_PER_MSEC);
        loop_timer_in(loop, &d.timer, 30 * NSEC_PER_MSEC);
        loop_timer_in(loop, &b.timer, 10 * NSEC_PER_MSEC);
        loop_timer_in(loop, &c.timer, 5 * NSEC_PER_MSEC);
        loop_timer_in(loop, &c.timer, 20 * NSEC_PER_MSEC); /* armed anew: the later time holds */
        loop_timer_at(loop, &a.timer, 0);                  /* past */
        g_assert_cmpuint(r.n, ==, 0);
        g_assert_true(run_until(w, recorded, &r));
        for (unsigned i = 0; i < 4; i++)
                g_assert_cmpuint(r.order[i], ==, i);
        g_assert_cmpuint(b.fired_at, >=, start + 10 * NSEC_PER_MSEC);
        g_assert_cmpuint(c.fired_at, >=, start + 20 * NSEC_PER_MSEC);
        g_assert_cmpuint(d.fired_at, >=, start + 30 * NSEC_PER_MSEC);
        g_assert_cmpuint(never.timer.at, ==, 0);
        loop_timer_cancel(loop, &never.timer); /* idempotent */
}

/* A timer that is always due does not keep posted tasks from running. */
static void test_timer_past(World *w, gconstpointer data)
{
        Loop *loop = w->loop[0];
        Recorder r = { .world = w, .want = 12 };
        RecordTimer t = { { .fire = fired }, &r, loop, 7, .again = 10 };
        RecordTask task = { { .run = record }, &r, 8, NULL };
        bool seen_before_last = false;

        loop_timer_at(loop, &t.timer, 1);
        loop_post(loop, &task.task);
        g_assert_true(run_until(w, recorded, &r));
        for (unsigned i = 0; i + 1 < r.n; i++)
                seen_before_last |= r.order[i] == 8;
        g_assert_true(seen_before_last);
}

/* ---- descriptors ---- */

typedef struct RecordIo {
        LoopIo io;
        Loop *loop;
        int peer; /* the other end of the pipe */
        unsigned n;
        uint32_t events;
        bool consume, stop;
        struct RecordIo *victim;
} RecordIo;

static void record_ready(LoopIo *io, uint32_t events)
{
        RecordIo *r = CONTAINER_OF(io, RecordIo, io);
        char byte;

        r->n++;
        r->events |= events;
        if (r->consume)
                g_assert_cmpint(read(io->fd, &byte, 1), ==, 1);
        if (r->victim) {
                g_assert_cmpint(loop_io(r->loop, &r->victim->io, 0), ==, 0);
                /* its memory is somebody else's now */
                memset(&r->victim->io, 0xff, sizeof(r->victim->io));
        }
        if (r->stop)
                g_assert_cmpint(loop_io(r->loop, io, 0), ==, 0);
}

static void record_io_new(RecordIo *r, Loop *loop)
{
        int fds[2];

        *r = (RecordIo){ .io.ready = record_ready, .loop = loop };
        g_assert_cmpint(pipe2(fds, O_CLOEXEC | O_NONBLOCK), ==, 0);
        r->io.fd = fds[0];
        r->peer = fds[1];
}

static void record_io_done(RecordIo *r)
{
        g_assert_cmpint(loop_io(r->loop, &r->io, 0), ==, 0);
        (void)close(r->io.fd);
        (void)safe_close(r->peer);
}

static bool io_seen_3(void *userdata)
{
        const RecordIo *r = userdata;

        return r->n >= 3;
}

static bool io_seen(void *userdata)
{
        const RecordIo *r = userdata;

        return r->n >= 1;
}

static void test_io_level(World *w, gconstpointer data)
{
        RecordIo r;

        record_io_new(&r, w->loop[0]);
        g_assert_cmpint(loop_io(r.loop, &r.io, EPOLLIN), ==, 0);
        g_assert_cmpint(loop_io(r.loop, &r.io, EPOLLIN), ==, 0);
        g_assert_cmpint(write(r.peer, "x", 1), ==, 1);
        g_assert_cmpuint(r.n, ==, 0);
        g_assert_true(run_until(w, io_seen_3, &r)); /* nobody read: it is said again */
        g_assert_cmpuint(r.events, ==, EPOLLIN);
        r.consume = r.stop = true;
        r.n = 0;
        g_assert_true(run_until(w, io_seen, &r));
        g_assert_cmpuint(r.io.events, ==, 0);
        /* again: registered, and told of the end of the stream */
        r.consume = false;
        r.n = r.events = 0;
        g_assert_cmpint(loop_io(r.loop, &r.io, EPOLLIN), ==, 0);
        r.peer = safe_close(r.peer);
        g_assert_true(run_until(w, io_seen, &r));
        g_assert_cmpuint(r.events & EPOLLHUP, ==, EPOLLHUP);
        record_io_done(&r);
}

static bool either_seen(void *userdata)
{
        RecordIo *const *pair = userdata;

        return pair[0]->n + pair[1]->n > 0;
}

/* Two are ready; whichever comes first removes the other, which is then not called. */
static void test_io_remove_other(World *w, gconstpointer data)
{
        for (unsigned round = 0; round < 20; round++) {
                RecordIo a, b, *pair[2] = { &a, &b };
                int fd[2];

                record_io_new(&a, w->loop[0]);
                record_io_new(&b, w->loop[0]);
                fd[0] = a.io.fd;
                fd[1] = b.io.fd;
                a.victim = &b;
                b.victim = &a;
                g_assert_cmpint(write(a.peer, "x", 1), ==, 1);
                g_assert_cmpint(write(b.peer, "x", 1), ==, 1);
                g_assert_cmpint(loop_io(a.loop, &a.io, EPOLLIN), ==, 0);
                g_assert_cmpint(loop_io(b.loop, &b.io, EPOLLIN), ==, 0);
                g_assert_true(run_until(w, either_seen, pair));
                g_assert_true((a.n == 0) != (b.n == 0));
                if (a.n == 0)
                        a.io = (LoopIo){ .fd = fd[0] };
                else
                        b.io = (LoopIo){ .fd = fd[1] };
                record_io_done(&a);
                record_io_done(&b);
        }
}

static void test_io_bad(World *w, gconstpointer data)
{
        RecordIo r = { .io = { .ready = record_ready, .fd = -1 }, .loop = w->loop[0] };

        g_assert_cmpint(loop_io(r.loop, &r.io, EPOLLIN), <, 0);
        g_assert_cmpuint(r.io.events, ==, 0);
}

/* ---- jobs ---- */

typedef struct CountJob {
        LoopJob job;
        struct JobCount *count;
        unsigned number;
        bool worked;
} CountJob;

typedef struct JobCount {
        unsigned running, most; /* atomic */
        unsigned n_done, want;
        unsigned order[N_TASKS];
} JobCount;

static void count_work(LoopJob *job)
{
        CountJob *c = CONTAINER_OF(job, CountJob, job);
        unsigned now = __atomic_add_fetch(&c->count->running, 1, __ATOMIC_SEQ_CST);
        unsigned most = __atomic_load_n(&c->count->most, __ATOMIC_SEQ_CST);

        while (now > most && !__atomic_compare_exchange_n(&c->count->most, &most, now, false,
                                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
                ;
        g_usleep(200);
        (void)__atomic_sub_fetch(&c->count->running, 1, __ATOMIC_SEQ_CST);
        c->worked = true;
}

static void count_done(LoopJob *job)
{
        CountJob *c = CONTAINER_OF(job, CountJob, job);

        g_assert_true(c->worked);
        c->count->order[c->count->n_done++] = c->number;
}

static bool jobs_counted(void *userdata)
{
        const JobCount *c = userdata;

        return c->n_done >= c->want;
}

static void test_jobs(World *w, gconstpointer data)
{
        for (unsigned max = 1; max <= 3; max++) {
                JobCount count = { .want = N_TASKS };
                LoopLane lane = { .max = max };
                CountJob jobs[N_TASKS];

                for (unsigned i = 0; i < N_TASKS; i++) {
                        jobs[i] =
                                (CountJob){ { .work = count_work, .done = count_done }, &count, i };
                        loop_job(w->loop[i & 1], &lane, &jobs[i].job);
                }
                g_assert_cmpuint(count.n_done, ==, 0);
                g_assert_true(run_until(w, jobs_counted, &count));
                g_assert_cmpuint(count.n_done, ==, N_TASKS);
                g_assert_cmpuint(count.most, <=, max);
                g_assert_cmpuint(lane.n_queued, ==, 0);
                g_assert_cmpuint(lane.n_running, ==, 0);
        }
}

#define ADD(name, test)                                                                       \
        do {                                                                                  \
                g_test_add("/loop/epoll/" name, World, "epoll", world_new, test, world_free); \
                g_test_add("/loop/sim/" name, World, "sim", world_new, test, world_free);     \
        } while (0)

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        ADD("post-order", test_post_order);
        ADD("defer", test_defer);
        ADD("timers", test_timers);
        ADD("timer-past", test_timer_past);
        ADD("io-level", test_io_level);
        ADD("io-remove-other", test_io_remove_other);
        ADD("io-bad", test_io_bad);
        ADD("jobs", test_jobs);
        return g_test_run();
}
