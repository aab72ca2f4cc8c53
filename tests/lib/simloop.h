/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/loop.h"

/* A deterministic world of several loops on one thread: a virtual clock, and a seed that decides in
 * which order whatever could run next does. The same seed gives the same run, so a failure names
 * its seed. What the interface promises is kept (tasks of one poster to one loop run in order,
 * deferred work runs before its loop idles, a lane runs at most max jobs), what it does not promise
 * is shuffled. Misuse (arming a pending task, a timer that is freed armed) aborts: it is a bug.
 *
 * Descriptors are real and polled; a run that waits for one waits in real time. So are other
 * threads that post: what they post is one more thing that can run, from when they did. */

#define SIM_LOOPS_MAX 8

typedef struct Sim Sim;

Sim *sim_new(uint64_t seed, unsigned n_loops);
Sim *sim_free(Sim *sim); /* nothing is pending */
Loop *sim_loop(Sim *sim, unsigned index);
uint64_t sim_now(const Sim *sim);
/* A number in [0, n) from the run's seed; n > 0. */
uint64_t sim_random(Sim *sim, uint64_t n);

/* One thing that can run now; false: nothing can without time passing. */
bool sim_step(Sim *sim);
/* Everything that can run now, descriptors included; time stands still. Returns the steps. */
unsigned sim_run(Sim *sim);
/* Lets ns of virtual time pass, firing timers in order and running what follows. */
void sim_advance(Sim *sim, uint64_t ns);
/* Runs, lets virtual time pass (at most max_ns) and waits for descriptors (at most 5 s of real
 * time) until cond is true; false: it did not become true. */
bool sim_run_until(Sim *sim, bool (*cond)(void *userdata), void *userdata, uint64_t max_ns);
/* Jobs stay queued (a stalled pool) while held. */
void sim_hold_jobs(Sim *sim, bool hold);
