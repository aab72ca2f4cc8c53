/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/counter.h"
#include "base/loop.h"
#include "engine/jobs.h"

/* base/loop.h over epoll: one per worker thread. A turn is: wait, due timers, ready descriptors,
 * posted tasks, deferred tasks. The descriptor that wakes a sleeping loop is written only when the
 * loop may be asleep. */

/* jobs is the pool behind loop_job(). */
int epoll_loop_new(unsigned index, JobPool *jobs, Loop **ret);
Loop *epoll_loop_free(Loop *loop); /* its thread has ended */
/* Asks for events over and over for ns after the last one before it sleeps: a wake-up saved where
 * an answer is about to come, for processor time. 0, the default: sleeps at once. Before it runs.
 */
void epoll_loop_spin(Loop *loop, uint64_t ns);

/* Turns until epoll_loop_stop(), on the calling thread, which is the loop's from then on. */
void epoll_loop_run(Loop *loop);
/* One turn; may_sleep: waits for something to do first. */
void epoll_loop_turn(Loop *loop, bool may_sleep);
/* Any thread. */
typedef struct LoopStats {
        uint64_t turns;
        uint64_t sleeps; /* of them: those that may have waited */
} LoopStats;
void epoll_loop_stats(const Loop *loop, LoopStats *ret);
/* The loop's thread: run() returns at the end of this turn. */
void epoll_loop_stop(Loop *loop);
