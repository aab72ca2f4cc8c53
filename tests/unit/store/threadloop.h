/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/loop.h"

/* A plain loop over epoll on a thread of its own, with a pool of job threads: real concurrency for
 * the stress test and the benchmark. The engine has the loop that serves. */

typedef struct ThreadLoop ThreadLoop;

/* Runs start on the new thread, then the loop until threadloop_stop(). */
ThreadLoop *threadloop_new(unsigned index, void (*start)(Loop *loop, void *userdata),
                           void *userdata);
/* From the loop's own thread: it ends at the end of this turn. */
void threadloop_stop(Loop *loop);
/* Waits for the thread. */
ThreadLoop *threadloop_join(ThreadLoop *t);

/* Threads for the jobs of every ThreadLoop of the process. */
void threadloop_jobs_start(unsigned n_threads);
void threadloop_jobs_stop(void);
