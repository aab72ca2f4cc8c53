/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"
#include "base/loop.h"

/* Threads for what may block. Jobs wait in the FIFO of their lane; lanes that have a job to run and
 * are below their maximum take turns. Threads are made on demand and end after a while without
 * work. Any thread may queue; a job's done() comes back by loop_post() to its origin.
 *
 * The last quarter of the threads is kept for lanes that have none: a few stalled disks, even with
 * large lanes, leave room for the others. */

typedef struct JobPool JobPool;

int jobs_new(unsigned max, uint64_t idle_ns, JobPool **ret);
/* Waits at most timeout_ns for running jobs. -ETIMEDOUT: some are stuck; they are abandoned, that
 * is, their done() is never called and what they use must stay. The pool is gone either way. */
int jobs_free(JobPool *pool, uint64_t timeout_ns);

/* Queues; jobs_kick() starts a thread if that is needed. Apart so that a turn of a loop wakes a
 * thread once for all that it queued. */
void jobs_queue(JobPool *pool, LoopLane *lane, LoopJob *job, Loop *origin);
void jobs_kick(JobPool *pool);
unsigned jobs_threads(JobPool *pool);
bool jobs_idle(JobPool *pool); /* none is queued, runs, or is about to be posted as done */
