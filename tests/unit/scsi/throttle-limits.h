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

/* Consumes t. */
static inline void set_limits(Fixture *f, Throttle *t)
{
        unit_limit(&f->w, f->lu, t);
        throttle_unref(t);
}

static inline void limit(Fixture *f, ThrottleKind kind, uint64_t rate)
{
        set_limits(f, throttle(f, kind, rate, 0));
}
