/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/loop-event.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <glib.h>

/* One eventfd wakes the loop for posted tasks, one time source serves all timers (a binary heap;
 * LoopTimer.index is the place in it plus one), one deferred source of the lowest priority runs
 * what was deferred: sd-event dispatches it only after everything else that is ready. */
struct EventLoop {
        Loop loop;
        sd_event *event;
        sd_event_source *wakeup, *time, *deferred;
        int fd;

        pthread_mutex_t lock;
        LoopTask *posted_first, *posted_last; /* under lock */

        LoopTask *deferred_first, *deferred_last;
        GPtrArray *timers; /* LoopTimer*, a heap by at */
        uint64_t firing;   /* now of the turn that fires timers, or 0 */
        GHashTable *ios;   /* LoopIo* -> sd_event_source* */
        EventLoopJobs *jobs;
        void *jobs_userdata;
};

static EventLoop *from_loop(Loop *loop)
{
        return CONTAINER_OF(loop, EventLoop, loop);
}

static uint64_t event_loop_now(Loop *loop)
{
        uint64_t usec = 0;

        (void)sd_event_now(from_loop(loop)->event, CLOCK_MONOTONIC, &usec);
        return usec * NSEC_PER_USEC;
}

static void append_task(LoopTask **first, LoopTask **last, LoopTask *task)
{
        task->next = NULL;
        if (*last)
                (*last)->next = task;
        else
                *first = task;
        *last = task;
}

static void event_loop_post(Loop *loop, LoopTask *task)
{
        EventLoop *l = from_loop(loop);
        bool wake;

        pthread_mutex_lock(&l->lock);
        wake = !l->posted_first;
        append_task(&l->posted_first, &l->posted_last, task);
        pthread_mutex_unlock(&l->lock);
        if (wake)
                (void)eventfd_write(l->fd, 1);
}

static int on_wakeup(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        EventLoop *l = userdata;
        LoopTask *task, *next;
        eventfd_t n;

        (void)eventfd_read(fd, &n);
        pthread_mutex_lock(&l->lock);
        task = l->posted_first;
        l->posted_first = l->posted_last = NULL;
        pthread_mutex_unlock(&l->lock);
        for (; task; task = next) {
                next = task->next;
                task->next = NULL;
                task->run(task);
        }
        return 0;
}

static void event_loop_defer(Loop *loop, LoopTask *task)
{
        EventLoop *l = from_loop(loop);

        if (task->pending)
                return;
        task->pending = true;
        append_task(&l->deferred_first, &l->deferred_last, task);
        (void)sd_event_source_set_enabled(l->deferred, SD_EVENT_ONESHOT);
}

static int on_deferred(sd_event_source *source, void *userdata)
{
        EventLoop *l = userdata;
        LoopTask *task = l->deferred_first, *next;

        l->deferred_first = l->deferred_last = NULL;
        for (; task; task = next) {
                next = task->next;
                task->next = NULL;
                task->pending = false;
                task->run(task);
        }
        return 0;
}

/* ---- timers -------------------------------------------------------------------------------- */

static LoopTimer *timer_at(EventLoop *l, size_t i)
{
        return g_ptr_array_index(l->timers, i);
}

static void timer_put(EventLoop *l, size_t i, LoopTimer *timer)
{
        g_ptr_array_index(l->timers, i) = timer;
        timer->index = i;
}

static void timer_sift(EventLoop *l, size_t i)
{
        LoopTimer *timer = timer_at(l, i);

        while (i > 0 && timer->at < timer_at(l, (i - 1) / 2)->at) {
                timer_put(l, i, timer_at(l, (i - 1) / 2));
                i = (i - 1) / 2;
        }
        for (;;) {
                size_t child = 2 * i + 1;

                if (child + 1 < l->timers->len &&
                    timer_at(l, child + 1)->at < timer_at(l, child)->at)
                        child++;
                if (child >= l->timers->len || timer_at(l, child)->at >= timer->at)
                        break;
                timer_put(l, i, timer_at(l, child));
                i = child;
        }
        timer_put(l, i, timer);
}

static void timer_remove(EventLoop *l, LoopTimer *timer)
{
        size_t i = timer->index, last = l->timers->len - 1;
        LoopTimer *moved = timer_at(l, last);

        g_ptr_array_set_size(l->timers, (int)last);
        if (moved != timer) {
                timer_put(l, i, moved);
                timer_sift(l, i);
        }
        timer->at = 0;
}

static void timers_arm(EventLoop *l)
{
        if (l->timers->len == 0) {
                (void)sd_event_source_set_enabled(l->time, SD_EVENT_OFF);
                return;
        }
        /* rounded up: a timer does not fire before its time */
        (void)sd_event_source_set_time(l->time, DIV_ROUND_UP(timer_at(l, 0)->at, NSEC_PER_USEC));
        (void)sd_event_source_set_enabled(l->time, SD_EVENT_ONESHOT);
}

static void event_loop_timer(Loop *loop, LoopTimer *timer, uint64_t at)
{
        EventLoop *l = from_loop(loop);

        if (timer->at)
                timer_remove(l, timer);
        if (at) {
                /* armed by a timer that fires: in the next turn at the earliest */
                timer->at = MAX(at, l->firing + 1);
                g_ptr_array_add(l->timers, timer);
                timer->index = l->timers->len - 1;
                timer_sift(l, timer->index);
        }
        timers_arm(l);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
        EventLoop *l = userdata;
        uint64_t now = event_loop_now(&l->loop);

        l->firing = now;
        while (l->timers->len > 0 && timer_at(l, 0)->at <= now) {
                LoopTimer *timer = timer_at(l, 0);

                timer_remove(l, timer);
                timer->fire(timer);
        }
        l->firing = 0;
        timers_arm(l);
        return 0;
}

/* ---- descriptors --------------------------------------------------------------------------- */

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        LoopIo *io = userdata;

        io->ready(io, revents);
        return 0;
}

static void unref_source(void *source)
{
        (void)sd_event_source_disable_unref(source);
}

static int event_loop_io(Loop *loop, LoopIo *io, uint32_t events)
{
        EventLoop *l = from_loop(loop);
        sd_event_source *source = g_hash_table_lookup(l->ios, io);
        int r;

        if (events == 0) {
                g_hash_table_remove(l->ios, io);
                io->events = 0;
                return 0;
        }
        if (source)
                r = sd_event_source_set_io_events(source, events);
        else {
                r = sd_event_add_io(l->event, &source, io->fd, events, on_io, io);
                if (r >= 0)
                        g_hash_table_insert(l->ios, io, source);
        }
        if (r < 0)
                return r;
        io->events = events;
        return 0;
}

static void event_loop_job(Loop *loop, LoopLane *lane, LoopJob *job)
{
        EventLoop *l = from_loop(loop);

        job->origin = loop;
        l->jobs(l->jobs_userdata, lane, job);
}

static const LoopOps event_loop_ops = {
        .now = event_loop_now,
        .post = event_loop_post,
        .defer = event_loop_defer,
        .timer = event_loop_timer,
        .io = event_loop_io,
        .job = event_loop_job,
};

static int event_loop_open(EventLoop *l, sd_event *event)
{
        int r;

        l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (l->fd < 0)
                return -errno;
        r = sd_event_add_io(event, &l->wakeup, l->fd, EPOLLIN, on_wakeup, l);
        if (r < 0)
                return r;
        r = sd_event_add_time(event, &l->time, CLOCK_MONOTONIC, 0, 1, on_time, l);
        if (r < 0)
                return r;
        (void)sd_event_source_set_enabled(l->time, SD_EVENT_OFF);
        r = sd_event_add_defer(event, &l->deferred, on_deferred, l);
        if (r < 0)
                return r;
        (void)sd_event_source_set_enabled(l->deferred, SD_EVENT_OFF);
        return sd_event_source_set_priority(l->deferred, SD_EVENT_PRIORITY_IDLE);
}

int event_loop_new(sd_event *event, EventLoop **ret)
{
        EventLoop *l = g_new0(EventLoop, 1);
        int r;

        l->loop.ops = &event_loop_ops;
        l->event = sd_event_ref(event);
        l->fd = -1;
        pthread_mutex_init(&l->lock, NULL);
        l->timers = g_ptr_array_new();
        l->ios = g_hash_table_new_full(NULL, NULL, NULL, unref_source);
        r = event_loop_open(l, event);
        if (r < 0) {
                event_loop_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

Loop *event_loop(EventLoop *l)
{
        return &l->loop;
}

void event_loop_set_jobs(EventLoop *l, EventLoopJobs *jobs, void *userdata)
{
        l->jobs = jobs;
        l->jobs_userdata = userdata;
}

EventLoop *event_loop_free(EventLoop *l)
{
        if (!l)
                return NULL;
        sd_event_source_disable_unref(l->wakeup);
        sd_event_source_disable_unref(l->time);
        sd_event_source_disable_unref(l->deferred);
        g_hash_table_unref(l->ios);
        g_ptr_array_unref(l->timers);
        safe_close(l->fd);
        pthread_mutex_destroy(&l->lock);
        sd_event_unref(l->event);
        g_free(l);
        return NULL;
}
