/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/counter.h"

/* A histogram of times in fixed memory: eight buckets for each power of two, so that a bucket is at
 * most an eighth of its lower bound wide, from 1 us to 68 s; what is shorter or longer has a bucket
 * of its own. Powers of two of nanoseconds from 2^10 to 2^36 are bounds of buckets.
 *
 * Threads: one thread adds, any thread reads (base/counter.h). */

#define TIMES_FIRST 10 /* log2 of ns: end of the first bucket */
#define TIMES_LAST 36  /* log2 of ns: start of the last one */
#define TIMES_SUB 3    /* log2 of the buckets per power of two */
#define TIMES_BUCKETS (((TIMES_LAST - TIMES_FIRST) << TIMES_SUB) + 2)

typedef struct TimeHistogram {
        uint64_t sum; /* ns */
        uint64_t buckets[TIMES_BUCKETS];
} TimeHistogram;

static inline unsigned times_bucket(uint64_t ns)
{
        const uint64_t first = UINT64_C(1) << TIMES_FIRST, last = UINT64_C(1) << TIMES_LAST;
        unsigned e;

        if (UNLIKELY(ns - first >= last - first)) /* less than first wraps */
                return ns < first ? 0 : TIMES_BUCKETS - 1;
        e = 63u ^ (unsigned)__builtin_clzll(ns);
        /* the leading bit and the TIMES_SUB below it */
        return ((e - TIMES_FIRST - 1) << TIMES_SUB) + (unsigned)(ns >> (e - TIMES_SUB)) + 1;
}

/* For who counts one time in several histograms: bucket is times_bucket(ns). */
static inline void times_add_to(TimeHistogram *h, unsigned bucket, uint64_t ns)
{
        COUNTER_ADD(h, sum, ns);
        COUNTER_ADD(h, buckets[bucket], 1);
}

static inline void times_add(TimeHistogram *h, uint64_t ns)
{
        times_add_to(h, times_bucket(ns), ns);
}

/* How long commands took that read or wrote. */
typedef struct IoLatency {
        TimeHistogram read, write;
} IoLatency;

/* Where bucket i ends: the first time that is not in it; UINT64_MAX: the last one has no end. */
uint64_t times_end(unsigned i) _pure_;
/* The bucket that ends there, for what was written by times_end(); -EINVAL: none does. */
int times_bucket_of_end(uint64_t end, unsigned *ret);
/* Adds what another has, which its thread may be adding to. */
void times_merge(TimeHistogram *to, const TimeHistogram *from);
void latency_merge(IoLatency *to, const IoLatency *from);
uint64_t times_count(const TimeHistogram *h) _pure_;
/* What is below end (a value of times_end()). */
uint64_t times_count_below(const TimeHistogram *h, uint64_t end) _pure_;
/* The time that per_mille of 1000 did not exceed: the end of their bucket. 0: there is nothing. The
 * last bucket counts as its start. */
uint64_t times_quantile(const TimeHistogram *h, unsigned per_mille) _pure_;
