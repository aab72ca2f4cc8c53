/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* One thread's view of time and readiness, as an interface that is passed down: engine/ implements
 * it over epoll, daemon/ over sd-event, tests over a simulator with a virtual clock and a seed.
 *
 * Everything is embedded in its owner (no allocation, no failure but where int is returned): an
 * owner may go away only when nothing of it is pending. Callbacks run on the loop's own thread and
 * never from inside the call that arms them. Only post() may be called from another thread. */

typedef struct Loop Loop;

/* Work to do later on the loop's thread. Not to be posted again before it ran. */
typedef struct LoopTask LoopTask;
struct LoopTask {
        void (*run)(LoopTask *task);
        LoopTask *next; /* loop's; NULL when idle */
        bool pending;   /* loop's for defer(): armed already. post() leaves it alone */
};

typedef struct LoopTimer LoopTimer;
struct LoopTimer {
        void (*fire)(LoopTimer *timer);
        uint64_t at;  /* loop's: monotonic ns; 0: not armed */
        size_t index; /* loop's */
};

/* A descriptor. events and what ready() gets are EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP;
 * level-triggered. ready() may remove this or any other LoopIo. */
typedef struct LoopIo LoopIo;
struct LoopIo {
        void (*ready)(LoopIo *io, uint32_t events);
        int fd;
        uint32_t events; /* loop's: what is watched; 0: not registered */
};

/* A blocking call for a thread of the pool: work() there, then done() on the loop that asked. */
typedef struct LoopJob LoopJob;
struct LoopJob {
        void (*work)(LoopJob *job);
        void (*done)(LoopJob *job);
        LoopTask task; /* loop's */
        LoopJob *next; /* loop's */
        Loop *origin;  /* loop's */
};

/* A queue of jobs that run at most max at a time, so that one stalled disk cannot take the pool:
 * one lane per store. Shared by all loops of a process; at rest when n_queued and n_running are 0
 * (both the pool's, under its lock). */
typedef struct LoopLane LoopLane;
struct LoopLane {
        unsigned max;
        unsigned n_queued, n_running;
        LoopJob *first, *last;
        LoopLane *next_lane;
};

typedef struct LoopOps {
        uint64_t (*now)(Loop *loop); /* monotonic ns, read once per turn and by refresh() */
        void (*post)(Loop *loop, LoopTask *task);
        void (*defer)(Loop *loop, LoopTask *task);
        void (*timer)(Loop *loop, LoopTimer *timer, uint64_t at);
        int (*io)(Loop *loop, LoopIo *io, uint32_t events);
        void (*job)(Loop *loop, LoopLane *lane, LoopJob *job);
        void (*refresh)(Loop *loop); /* NULL: now() is never stale */
} LoopOps;

struct Loop {
        const LoopOps *ops;
        unsigned index; /* of the worker, 0-based; for tables with one row per worker */
};

static inline uint64_t loop_now(Loop *loop)
{
        return loop->ops->now(loop);
}

/* Reads the clock: what comes after something that took time, such as a send, is not to be dated by
 * the start of the turn. */
static inline void loop_refresh(Loop *loop)
{
        if (loop->ops->refresh)
                loop->ops->refresh(loop);
}

/* Any thread. Tasks of one poster run in the order in which they were posted. */
static inline void loop_post(Loop *loop, LoopTask *task)
{
        loop->ops->post(loop, task);
}

/* At the end of this turn, after every event that is ready now and before the loop sleeps. Arming
 * an armed task does nothing: that is how work of a turn is batched. */
static inline void loop_defer(Loop *loop, LoopTask *task)
{
        loop->ops->defer(loop, task);
}

/* (Re)arms for monotonic time at in ns; one that is past fires in the next turn. */
static inline void loop_timer_at(Loop *loop, LoopTimer *timer, uint64_t at)
{
        loop->ops->timer(loop, timer, at ? at : 1);
}

static inline void loop_timer_in(Loop *loop, LoopTimer *timer, uint64_t ns)
{
        loop->ops->timer(loop, timer, loop_now(loop) + ns);
}

static inline void loop_timer_cancel(Loop *loop, LoopTimer *timer)
{
        if (timer->at)
                loop->ops->timer(loop, timer, 0);
}

/* Watches io->fd for events; 0 stops. Negative errno if the descriptor cannot be watched. */
static inline int loop_io(Loop *loop, LoopIo *io, uint32_t events)
{
        return loop->ops->io(loop, io, events);
}

/* Queues job on lane (never NULL). */
static inline void loop_job(Loop *loop, LoopLane *lane, LoopJob *job)
{
        loop->ops->job(loop, lane, job);
}
