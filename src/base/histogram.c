/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/histogram.h"

uint64_t times_end(unsigned i)
{
        unsigned e, step;

        if (i == 0)
                return UINT64_C(1) << TIMES_FIRST;
        if (i >= TIMES_BUCKETS - 1)
                return UINT64_MAX;
        e = TIMES_FIRST + ((i - 1) >> TIMES_SUB);
        step = (i - 1) & ((1u << TIMES_SUB) - 1);
        return (uint64_t)((1u << TIMES_SUB) + step + 1) << (e - TIMES_SUB);
}

int times_bucket_of_end(uint64_t end, unsigned *ret)
{
        unsigned i = end == 0 ? 0 : times_bucket(end - 1);

        if (times_end(i) != end)
                return -EINVAL;
        *ret = i;
        return 0;
}

void times_merge(TimeHistogram *to, const TimeHistogram *from)
{
        to->sum += COUNTER_READ(from, sum);
        for (unsigned i = 0; i < TIMES_BUCKETS; i++)
                to->buckets[i] += COUNTER_READ(from, buckets[i]);
}

void latency_merge(IoLatency *to, const IoLatency *from)
{
        times_merge(&to->read, &from->read);
        times_merge(&to->write, &from->write);
}

uint64_t times_count_below(const TimeHistogram *h, uint64_t end)
{
        uint64_t n = 0;

        for (unsigned i = 0; i < TIMES_BUCKETS && times_end(i) <= end; i++)
                n += h->buckets[i];
        return n;
}

uint64_t times_count(const TimeHistogram *h)
{
        return times_count_below(h, UINT64_MAX);
}

uint64_t times_quantile(const TimeHistogram *h, unsigned per_mille)
{
        uint64_t all = times_count(h), n = 0, want;

        if (all == 0)
                return 0;
        /* rounded up: of three, the median is the second */
        want = all / 1000 * per_mille + DIV_ROUND_UP(all % 1000 * per_mille, 1000);
        if (want == 0)
                want = 1;
        for (unsigned i = 0; i < TIMES_BUCKETS - 1; i++) {
                n += h->buckets[i];
                if (n >= want)
                        return times_end(i);
        }
        return UINT64_C(1) << TIMES_LAST;
}
