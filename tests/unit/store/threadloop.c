/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "threadloop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <glib.h>

#include "base/clock.h"

#define TIMERS_MAX 1024

typedef struct Fifo {
        LoopTask *first, **last;
} Fifo;

struct ThreadLoop {
        Loop loop;
        pthread_t thread;
        void (*start)(Loop *loop, void *userdata);
        void *userdata;
        int epoll, wake;
        bool stop;
        uint64_t now;
        pthread_mutex_t mutex;
        Fifo posted;   /* under mutex */
        Fifo deferred; /* own */
        LoopTimer *timers[TIMERS_MAX];
        size_t n_timers;
};

static struct {
        pthread_mutex_t mutex;
        pthread_cond_t cond;
        LoopJob *first, **last;
        GHashTable *lane_of; /* LoopJob -> LoopLane */
        pthread_t threads[32];
        unsigned n_threads;
        bool stop;
} pool = { .mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

static ThreadLoop *self(Loop *loop)
{
        return CONTAINER_OF(loop, ThreadLoop, loop);
}

static void push(Fifo *f, LoopTask *task)
{
        if (!f->first)
                f->last = &f->first;
        task->next = NULL;
        *f->last = task;
        f->last = &task->next;
}

static uint64_t op_now(Loop *loop)
{
        return self(loop)->now;
}

static void op_post(Loop *loop, LoopTask *task)
{
        ThreadLoop *t = self(loop);
        uint64_t one = 1;
        bool first;

        pthread_mutex_lock(&t->mutex);
        first = !t->posted.first;
        push(&t->posted, task);
        pthread_mutex_unlock(&t->mutex);
        if (first && write(t->wake, &one, sizeof(one)) < 0)
                g_error("eventfd");
}

static void op_defer(Loop *loop, LoopTask *task)
{
        if (task->pending)
                return;
        task->pending = true;
        push(&self(loop)->deferred, task);
}

static void op_timer(Loop *loop, LoopTimer *timer, uint64_t at)
{
        ThreadLoop *t = self(loop);

        if (timer->at)
                for (size_t i = 0; i < t->n_timers; i++)
                        if (t->timers[i] == timer) {
                                t->timers[i] = t->timers[--t->n_timers];
                                break;
                        }
        timer->at = at;
        if (!at)
                return;
        g_assert_cmpuint(t->n_timers, <, TIMERS_MAX);
        t->timers[t->n_timers++] = timer;
}

static int op_io(Loop *loop, LoopIo *io, uint32_t events)
{
        struct epoll_event ev = { .events = events, .data.ptr = io };
        int op = !events ? EPOLL_CTL_DEL : io->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

        if (epoll_ctl(self(loop)->epoll, op, io->fd, &ev) < 0)
                return -errno;
        io->events = events;
        return 0;
}

static void op_job(Loop *loop, LoopLane *lane, LoopJob *job)
{
        job->origin = loop;
        job->next = NULL;
        pthread_mutex_lock(&pool.mutex);
        if (!pool.first)
                pool.last = &pool.first;
        *pool.last = job;
        pool.last = &job->next;
        g_hash_table_insert(pool.lane_of, job, lane);
        lane->n_queued++;
        pthread_cond_signal(&pool.cond);
        pthread_mutex_unlock(&pool.mutex);
}

static const LoopOps ops = { op_now, op_post, op_defer, op_timer, op_io, op_job };

/* ---- jobs ---- */

static void job_task(LoopTask *task)
{
        LoopJob *job = CONTAINER_OF(task, LoopJob, task);

        job->done(job);
}

/* The first job whose lane has room. */
static LoopJob *take_job(LoopLane **ret_lane)
{
        for (LoopJob **p = &pool.first; *p; p = &(*p)->next) {
                LoopJob *job = *p;
                LoopLane *lane = g_hash_table_lookup(pool.lane_of, job);

                if (lane->n_running >= lane->max)
                        continue;
                *p = job->next;
                if (!*p)
                        pool.last = p;
                g_hash_table_remove(pool.lane_of, job);
                lane->n_queued--;
                lane->n_running++;
                *ret_lane = lane;
                return job;
        }
        return NULL;
}

static void *pool_thread(void *userdata)
{
        LoopLane *lane = NULL;
        LoopJob *job;

        pthread_mutex_lock(&pool.mutex);
        while (!pool.stop) {
                job = take_job(&lane);
                if (!job) {
                        pthread_cond_wait(&pool.cond, &pool.mutex);
                        continue;
                }
                pthread_mutex_unlock(&pool.mutex);
                job->work(job);
                /* the lane is its owner's again before done() can let it go */
                pthread_mutex_lock(&pool.mutex);
                lane->n_running--;
                job->task = (LoopTask){ .run = job_task };
                loop_post(job->origin, &job->task);
                pthread_cond_signal(&pool.cond);
        }
        pthread_mutex_unlock(&pool.mutex);
        return NULL;
}

void threadloop_jobs_start(unsigned n_threads)
{
        pool.stop = false;
        pool.lane_of = g_hash_table_new(NULL, NULL);
        pool.n_threads = MIN(n_threads, G_N_ELEMENTS(pool.threads));
        for (unsigned i = 0; i < pool.n_threads; i++)
                if (pthread_create(&pool.threads[i], NULL, pool_thread, NULL) != 0)
                        g_error("pthread_create");
}

void threadloop_jobs_stop(void)
{
        pthread_mutex_lock(&pool.mutex);
        pool.stop = true;
        pthread_cond_broadcast(&pool.cond);
        pthread_mutex_unlock(&pool.mutex);
        for (unsigned i = 0; i < pool.n_threads; i++)
                (void)pthread_join(pool.threads[i], NULL);
        g_clear_pointer(&pool.lane_of, g_hash_table_unref);
}

/* ---- the loop ---- */

static void run_posted(ThreadLoop *t)
{
        LoopTask *task, *next;

        pthread_mutex_lock(&t->mutex);
        task = t->posted.first;
        t->posted.first = NULL;
        pthread_mutex_unlock(&t->mutex);
        for (; task; task = next) {
                next = task->next;
                task->next = NULL;
                task->run(task);
        }
}

static void run_deferred(ThreadLoop *t)
{
        LoopTask *task = t->deferred.first, *next;

        t->deferred.first = NULL;
        for (; task; task = next) {
                next = task->next;
                task->next = NULL;
                task->pending = false;
                task->run(task);
        }
}

/* Returns milliseconds to wait. */
static int run_timers(ThreadLoop *t)
{
        uint64_t next = UINT64_MAX;

        t->now = monotonic_now();
        for (size_t i = 0; i < t->n_timers;) {
                LoopTimer *timer = t->timers[i];

                if (timer->at > t->now) {
                        next = MIN(next, timer->at);
                        i++;
                        continue;
                }
                op_timer(&t->loop, timer, 0);
                timer->fire(timer);
                i = 0;
        }
        if (t->deferred.first)
                return 0;
        return next == UINT64_MAX ? 1000 : (int)((next - t->now) / NSEC_PER_MSEC) + 1;
}

static void *loop_thread(void *userdata)
{
        ThreadLoop *t = userdata;
        struct epoll_event ev[64];
        uint64_t count;

        t->now = monotonic_now();
        t->start(&t->loop, t->userdata);
        while (!t->stop) {
                int n = epoll_wait(t->epoll, ev, G_N_ELEMENTS(ev), run_timers(t));

                for (int i = 0; i < n; i++) {
                        LoopIo *io = ev[i].data.ptr;

                        if (io)
                                io->ready(io, ev[i].events);
                        else if (read(t->wake, &count, sizeof(count)) > 0)
                                run_posted(t);
                }
                run_deferred(t);
        }
        return NULL;
}

ThreadLoop *threadloop_new(unsigned index, void (*start)(Loop *loop, void *userdata),
                           void *userdata)
{
        ThreadLoop *t = g_new0(ThreadLoop, 1);
        struct epoll_event ev = { .events = EPOLLIN };

        t->loop = (Loop){ .ops = &ops, .index = index };
        t->start = start;
        t->userdata = userdata;
        t->epoll = epoll_create1(EPOLL_CLOEXEC);
        t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        pthread_mutex_init(&t->mutex, NULL);
        if (epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->wake, &ev) < 0 ||
            pthread_create(&t->thread, NULL, loop_thread, t) != 0)
                g_error("cannot start a loop");
        return t;
}

void threadloop_stop(Loop *loop)
{
        self(loop)->stop = true;
}

ThreadLoop *threadloop_join(ThreadLoop *t)
{
        (void)pthread_join(t->thread, NULL);
        safe_close(t->epoll);
        safe_close(t->wake);
        pthread_mutex_destroy(&t->mutex);
        g_free(t);
        return NULL;
}
