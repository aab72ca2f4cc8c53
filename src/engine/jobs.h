/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"
#include "base/loop.h"

/* Threads for what may block. Jobs wait in the FIFO of their lane; lanes that have a job to run and
 * are below their maximum take turns, those that have no thread first. Threads are made on demand
 * and end after a while without work. Any thread may queue; a job's done() comes back by
 * loop_post() to its origin.
 *
 * A thread that is woken for a job that only copies (a write to the page cache) costs more than the
 * job, and several get in each other's way in the kernel. So while jobs do not sleep, a lane has
 * one thread; when they do, or when a look a millisecond later shows that nothing moves, as many as
 * may.
 *
 * The last quarter of the threads is kept for lanes that have none: a few stalled disks, even with
 * large lanes, leave room for the others. */

typedef struct JobPool JobPool;

int jobs_new(unsigned max, uint64_t idle_ns, JobPool **ret);
/* Waits at most timeout_ns for running jobs. -ETIMEDOUT: some are stuck; they are abandoned, that
 * is, their done() is never called and what they use must stay. The pool is gone either way. */
int jobs_free(JobPool *pool, uint64_t timeout_ns);

/* Queues; jobs_kick() wakes a thread if that is needed. Apart so that a turn of a loop looks once
 * for all that it queued. */
void jobs_queue(JobPool *pool, LoopLane *lane, LoopJob *job, Loop *origin);
/* true: something waits for threads that are at work, and *ret_begun is for jobs_check(). */
bool jobs_kick(JobPool *pool, uint64_t *ret_begun);
#define JOBS_CHECK_NS (1 * NSEC_PER_MSEC)
/* JOBS_CHECK_NS after either: wakes more threads if no job was begun since. true: look again. */
bool jobs_check(JobPool *pool, uint64_t *begun);
/* For who queued and cannot look again. */
void jobs_wake(JobPool *pool);
unsigned jobs_threads(JobPool *pool);
bool jobs_idle(JobPool *pool); /* none is queued, runs, or is about to be posted as done */
