/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "base/loop.h"

/* The control thread's Loop, over an sd_event that somebody else runs. For what the engine posts
 * back and for the manager's timers; never for I/O of initiators.
 *
 * Threads: made, used and freed on the control thread; loop_post() from anywhere. */

typedef struct EventLoop EventLoop;

/* Who runs loop_job() of this loop: the engine's pool, once there is one. */
typedef void EventLoopJobs(void *userdata, LoopLane *lane, LoopJob *job);

int event_loop_new(sd_event *event, EventLoop **ret);
Loop *event_loop(EventLoop *l);
void event_loop_set_jobs(EventLoop *l, EventLoopJobs *jobs, void *userdata);
/* Nothing is armed or posted any more. */
EventLoop *event_loop_free(EventLoop *l);
DEFINE_CLEANUP(EventLoop *, event_loop_free);
