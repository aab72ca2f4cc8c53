/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "two-nexuses.h"

/* Limits of rate on the unit and on a nexus of a Fixture. */

static inline Throttle *throttle(Fixture *f, ThrottleKind kind, uint64_t rate, uint64_t burst_ns)
{
        ThrottleLimits limits = { .burst_ns = burst_ns };
        Throttle *t;

        limits.rate[kind] = rate;
        g_assert_cmpint(throttle_new(&limits, WORKERS_MAX + 1, sim_now(f->w.sim), &t), ==, 0);
        return t;
}

static inline bool flag_set(void *userdata)
{
        return *(bool *)userdata;
}

typedef struct LimitChange {
        LuChange change;
        bool done;
} LimitChange;

static inline void limits_set(LuChange *change)
{
        CONTAINER_OF(change, LimitChange, change)->done = true;
}

/* Consumes t. */
static inline void set_limits(Fixture *f, Throttle *t)
{
        LimitChange c = { .change = { .kind = LU_CHANGE_LIMITS,
                                      .throttle = t,
                                      .origin = sim_loop(f->w.sim, 0),
                                      .done = limits_set } };
        uint64_t before = sim_now(f->w.sim);

        lu_change(f->lu, &c.change);
        g_assert_true(wait_for(&f->w, flag_set, &c.done));
        g_assert_cmpuint(sim_now(f->w.sim) - before, <, NSEC_PER_MSEC);
        throttle_unref(t);
}

static inline void limit(Fixture *f, ThrottleKind kind, uint64_t rate)
{
        set_limits(f, throttle(f, kind, rate, 0));
}

typedef struct NexusChange {
        LoopTask task;
        ScsiNexus *nexus;
        Throttle *throttles[NEXUS_THROTTLES];
        bool done;
} NexusChange;

static inline void do_throttle(LoopTask *task)
{
        NexusChange *c = CONTAINER_OF(task, NexusChange, task);

        scsi_nexus_set_throttles(c->nexus, c->throttles);
        c->done = true;
}

static inline void limit_nexus(Fixture *f, TestNexus *n, Throttle *by_name, Throttle *by_address)
{
        NexusChange c = { .task.run = do_throttle,
                          .nexus = &n->nexus,
                          .throttles = { by_name, by_address } };

        loop_post(n->nexus.worker->loop, &c.task);
        g_assert_true(wait_for(&f->w, flag_set, &c.done));
}
