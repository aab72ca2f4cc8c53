/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/loop-epoll.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"

/* Descriptors served per turn. What they ask for is answered at the end of the turn: few enough
 * that it is still in the cache by then, many enough to share a turn's cost. */
#define EVENTS_MAX 16
#define DEFER_ROUNDS 8   /* deferred tasks that defer: so often per turn before I/O is looked at */
#define TIMERS_FIRST 256 /* room at first */

/* What the inbox holds when it is empty and its loop may be asleep. */
#define ASLEEP ((LoopTask *)1)

typedef struct EpollLoop {
        Loop loop;
        int epoll_fd, wake_fd;
        uint64_t now;
        uint64_t spin, busy_at; /* ns; busy_at: the last turn that had something to do */
        bool fresh; /* now was read by refresh() in this turn: nothing was done since but little */
        JobPool *jobs;
        bool kick_jobs, stop;
        uint64_t jobs_begun;  /* when it was last looked */
        LoopTimer jobs_timer; /* looks again whether the jobs move */

        LoopTask *inbox; /* atomic: a stack, latest first; NULL, or ASLEEP */

        LoopTask *defer_first, *defer_last;

        LoopTimer **heap;
        size_t n_heap, heap_size;
        LoopTimer *unsorted; /* armed when the heap could not grow: a chain through index */

        LoopStats stats;

        struct epoll_event events[EVENTS_MAX];
        int n_events, at_event; /* at_event: the one that is being served */
} EpollLoop;

static EpollLoop *epoll_loop(Loop *loop)
{
        return CONTAINER_OF(loop, EpollLoop, loop);
}

static uint64_t op_now(Loop *loop)
{
        return epoll_loop(loop)->now;
}

static void op_refresh(Loop *loop)
{
        EpollLoop *l = epoll_loop(loop);

        l->now = monotonic_now();
        l->fresh = true;
}

/* ---- posted and deferred tasks ---- */

static void op_post(Loop *loop, LoopTask *task)
{
        EpollLoop *l = epoll_loop(loop);
        LoopTask *head = __atomic_load_n(&l->inbox, __ATOMIC_RELAXED);
        const uint64_t one = 1;

        do
                task->next = head == ASLEEP ? NULL : head;
        while (!__atomic_compare_exchange_n(&l->inbox, &head, task, true, __ATOMIC_RELEASE,
                                            __ATOMIC_RELAXED));
        /* The counter cannot reach its end: a write follows a sleep. */
        if (head == ASLEEP)
                (void)!write(l->wake_fd, &one, sizeof(one));
}

static bool inbox_has(const EpollLoop *l)
{
        const LoopTask *head = __atomic_load_n(&l->inbox, __ATOMIC_RELAXED);

        return head && head != ASLEEP;
}

static LoopTask *inbox_take(EpollLoop *l)
{
        LoopTask *task = __atomic_exchange_n(&l->inbox, NULL, __ATOMIC_ACQUIRE);
        LoopTask *first = NULL;

        if (task == ASLEEP)
                return NULL;
        while (task) {
                LoopTask *next = task->next;

                task->next = first;
                first = task;
                task = next;
        }
        return first;
}

static void run_posted(EpollLoop *l)
{
        LoopTask *task = inbox_take(l);

        while (task) {
                LoopTask *next = task->next;

                task->next = NULL;
                task->run(task);
                task = next;
        }
}

static void op_defer(Loop *loop, LoopTask *task)
{
        EpollLoop *l = epoll_loop(loop);

        if (task->pending)
                return;
        task->pending = true;
        task->next = NULL;
        if (l->defer_last)
                l->defer_last->next = task;
        else
                l->defer_first = task;
        l->defer_last = task;
}

static void run_deferred(EpollLoop *l)
{
        for (unsigned round = 0; l->defer_first && round < DEFER_ROUNDS; round++) {
                LoopTask *last = l->defer_last, *task;

                do {
                        task = l->defer_first;
                        l->defer_first = task->next;
                        if (!l->defer_first)
                                l->defer_last = NULL;
                        task->next = NULL;
                        task->pending = false;
                        task->run(task);
                } while (task != last);
        }
}

/* ---- timers ---- */

static void heap_put(EpollLoop *l, size_t i, LoopTimer *timer)
{
        l->heap[i] = timer;
        timer->index = i;
}

static void heap_up(EpollLoop *l, size_t i, LoopTimer *timer)
{
        while (i > 0 && l->heap[(i - 1) / 2]->at > timer->at) {
                heap_put(l, i, l->heap[(i - 1) / 2]);
                i = (i - 1) / 2;
        }
        heap_put(l, i, timer);
}

static void heap_down(EpollLoop *l, size_t i, LoopTimer *timer)
{
        for (;;) {
                size_t child = 2 * i + 1;

                if (child >= l->n_heap)
                        break;
                if (child + 1 < l->n_heap && l->heap[child + 1]->at < l->heap[child]->at)
                        child++;
                if (l->heap[child]->at >= timer->at)
                        break;
                heap_put(l, i, l->heap[child]);
                i = child;
        }
        heap_put(l, i, timer);
}

static bool heap_grow(EpollLoop *l)
{
        size_t size = l->heap_size ? l->heap_size * 2 : TIMERS_FIRST;
        LoopTimer **heap = reallocarray(l->heap, size, sizeof(*heap));

        if (!heap)
                return false;
        l->heap = heap;
        l->heap_size = size;
        return true;
}

static bool timer_in_heap(const EpollLoop *l, const LoopTimer *timer)
{
        return timer->index < l->n_heap && l->heap[timer->index] == timer;
}

static void unsorted_remove(EpollLoop *l, const LoopTimer *timer)
{
        LoopTimer *prev = NULL;

        for (LoopTimer *t = l->unsorted; t; prev = t, t = (LoopTimer *)t->index)
                if (t == timer) {
                        if (prev)
                                prev->index = t->index;
                        else
                                l->unsorted = (LoopTimer *)t->index;
                        return;
                }
}

static void timer_remove(EpollLoop *l, LoopTimer *timer)
{
        if (timer_in_heap(l, timer)) {
                size_t i = timer->index;
                LoopTimer *last = l->heap[--l->n_heap];

                if (last != timer) {
                        if (i > 0 && l->heap[(i - 1) / 2]->at > last->at)
                                heap_up(l, i, last);
                        else
                                heap_down(l, i, last);
                }
        } else {
                unsorted_remove(l, timer);
        }
        timer->at = 0;
}

static void op_timer(Loop *loop, LoopTimer *timer, uint64_t at)
{
        EpollLoop *l = epoll_loop(loop);

        if (timer->at)
                timer_remove(l, timer);
        if (at == 0)
                return;
        timer->at = MAX(at, l->now + 1); /* not in this turn */
        if (l->n_heap == l->heap_size && !heap_grow(l)) {
                timer->index = (size_t)l->unsorted;
                l->unsorted = timer;
                return;
        }
        l->n_heap++;
        heap_up(l, l->n_heap - 1, timer);
}

static LoopTimer *timer_first(const EpollLoop *l)
{
        LoopTimer *first = l->n_heap > 0 ? l->heap[0] : NULL;

        for (LoopTimer *t = l->unsorted; t; t = (LoopTimer *)t->index)
                if (!first || t->at < first->at)
                        first = t;
        return first;
}

static void run_timers(EpollLoop *l)
{
        LoopTimer *timer;

        while ((timer = timer_first(l)) && timer->at <= l->now) {
                timer_remove(l, timer);
                timer->fire(timer);
        }
}

/* ---- descriptors ---- */

/* What this turn has still to say of io is void. */
static void forget_events(EpollLoop *l, const LoopIo *io)
{
        for (int i = l->at_event + 1; i < l->n_events; i++)
                if (l->events[i].data.ptr == io)
                        l->events[i].events = 0;
}

static int op_io(Loop *loop, LoopIo *io, uint32_t events)
{
        EpollLoop *l = epoll_loop(loop);
        struct epoll_event event = { .events = events, .data.ptr = io };
        int op;

        if (events == io->events)
                return 0;
        if (events == 0) {
                forget_events(l, io);
                io->events = 0;
                op = EPOLL_CTL_DEL;
        } else {
                op = io->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        }
        if (epoll_ctl(l->epoll_fd, op, io->fd, &event) < 0)
                return -errno;
        io->events = events;
        return 0;
}

static void run_ready(EpollLoop *l)
{
        for (l->at_event = 0; l->at_event < l->n_events; l->at_event++) {
                const struct epoll_event *event = &l->events[l->at_event];
                LoopIo *io = event->data.ptr;
                uint32_t events = event->events;

                /* events first: io may be gone if there are none. Without io it is the wake-up,
                 * edge-triggered, so that it need not be read. */
                if (events == 0 || !io)
                        continue;
                events &= io->events | EPOLLERR | EPOLLHUP;
                if (events != 0)
                        io->ready(io, events);
        }
        l->n_events = 0;
}

/* ---- jobs ---- */

static void op_job(Loop *loop, LoopLane *lane, LoopJob *job)
{
        EpollLoop *l = epoll_loop(loop);

        jobs_queue(l->jobs, lane, job, loop);
        l->kick_jobs = true;
}

static void jobs_look(LoopTimer *timer)
{
        EpollLoop *l = CONTAINER_OF(timer, EpollLoop, jobs_timer);

        if (jobs_check(l->jobs, &l->jobs_begun))
                op_timer(&l->loop, timer, l->now + JOBS_CHECK_NS);
}

static void kick_jobs(EpollLoop *l)
{
        uint64_t begun;

        l->kick_jobs = false;
        if (!jobs_kick(l->jobs, &begun) || l->jobs_timer.at)
                return;
        l->jobs_begun = begun;
        op_timer(&l->loop, &l->jobs_timer, l->now + JOBS_CHECK_NS);
}

/* ---- turns ---- */

/* Milliseconds to wait, rounded up so that a timer is never early. */
static int wait_time(EpollLoop *l)
{
        const LoopTimer *timer = timer_first(l);
        uint64_t now, ms;

        if (!timer)
                return -1;
        now = l->fresh ? l->now : monotonic_now();
        if (timer->at <= now)
                return 0;
        ms = DIV_ROUND_UP(timer->at - now, NSEC_PER_MSEC);
        return (int)MIN(ms, (uint64_t)INT32_MAX);
}

/* Says that it may be asleep from now on; false if there is something to do. */
static bool fall_asleep(EpollLoop *l)
{
        LoopTask *empty = NULL;

        return !l->defer_first && !l->kick_jobs &&
               __atomic_compare_exchange_n(&l->inbox, &empty, ASLEEP, false, __ATOMIC_ACQ_REL,
                                           __ATOMIC_RELAXED);
}

void epoll_loop_turn(Loop *loop, bool may_sleep)
{
        EpollLoop *l = epoll_loop(loop);
        int timeout = 0, n;

        if (may_sleep && l->now - l->busy_at >= l->spin && fall_asleep(l))
                timeout = wait_time(l);
        COUNTER_ADD(&l->stats, turns, 1);
        if (timeout != 0)
                COUNTER_ADD(&l->stats, sleeps, 1);
        n = epoll_wait(l->epoll_fd, l->events, EVENTS_MAX, timeout);
        l->n_events = MAX(n, 0); /* EINTR: a turn without events */
        l->at_event = -1;
        l->now = monotonic_now();
        if (n > 0 || inbox_has(l))
                l->busy_at = l->now;
        l->fresh = false;
        run_timers(l);
        run_ready(l);
        run_posted(l);
        run_deferred(l);
        if (l->kick_jobs)
                kick_jobs(l);
}

void epoll_loop_run(Loop *loop)
{
        EpollLoop *l = epoll_loop(loop);

        l->stop = false;
        while (!l->stop)
                epoll_loop_turn(loop, true);
}

void epoll_loop_stats(const Loop *loop, LoopStats *ret)
{
        const EpollLoop *l = CONTAINER_OF(loop, EpollLoop, loop);

        *ret = (LoopStats){ .turns = COUNTER_READ(&l->stats, turns),
                            .sleeps = COUNTER_READ(&l->stats, sleeps) };
}

void epoll_loop_stop(Loop *loop)
{
        epoll_loop(loop)->stop = true;
}

static const LoopOps epoll_loop_ops = {
        .now = op_now,
        .post = op_post,
        .defer = op_defer,
        .timer = op_timer,
        .io = op_io,
        .job = op_job,
        .refresh = op_refresh,
};

int epoll_loop_new(unsigned index, JobPool *jobs, Loop **ret)
{
        struct epoll_event event = { .events = EPOLLIN | EPOLLET };
        EpollLoop *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        *l = (EpollLoop){ .loop = { .ops = &epoll_loop_ops, .index = index },
                          .jobs = jobs,
                          .jobs_timer.fire = jobs_look,
                          .now = monotonic_now(),
                          .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                          .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
        if (l->epoll_fd < 0 || l->wake_fd < 0 ||
            epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &event) < 0) {
                r = -errno;
                (void)epoll_loop_free(&l->loop);
                return r;
        }
        *ret = &l->loop;
        return 0;
}

void epoll_loop_spin(Loop *loop, uint64_t ns)
{
        epoll_loop(loop)->spin = ns;
}

Loop *epoll_loop_free(Loop *loop)
{
        EpollLoop *l;

        if (!loop)
                return NULL;
        l = epoll_loop(loop);
        (void)safe_close(l->epoll_fd);
        (void)safe_close(l->wake_fd);
        free(l->heap);
        free(l);
        return NULL;
}
