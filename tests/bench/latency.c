/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "latency.h"

#include <stdio.h>

static unsigned bucket_of(uint64_t ns)
{
        unsigned log = ns < 32 ? 0 : 63 - (unsigned)__builtin_clzll(ns) - 4;

        return log * 32 + (unsigned)(ns >> log & 31);
}

/* The middle of a bucket: values below 32 stand for themselves; above, bit 4 is always set. */
static uint64_t bucket_value(unsigned b)
{
        unsigned log = b / 32;

        return ((uint64_t)(b % 32) << log) + (UINT64_C(1) << log >> 1);
}

void histogram_add(Histogram *h, uint64_t ns)
{
        unsigned b = bucket_of(ns);

        h->bucket[MIN(b, (unsigned)ELEMENTSOF(h->bucket) - 1)]++;
        h->n++;
        h->sum_ns += ns;
        h->max_ns = MAX(h->max_ns, ns);
}

void histogram_merge(Histogram *to, const Histogram *from)
{
        for (size_t i = 0; i < ELEMENTSOF(to->bucket); i++)
                to->bucket[i] += from->bucket[i];
        to->n += from->n;
        to->sum_ns += from->sum_ns;
        to->max_ns = MAX(to->max_ns, from->max_ns);
}

uint64_t histogram_percentile(const Histogram *h, double p)
{
        uint64_t want = (uint64_t)((double)h->n * p / 100.0), seen = 0;

        for (unsigned i = 0; i < ELEMENTSOF(h->bucket); i++) {
                seen += h->bucket[i];
                if (seen > want)
                        return MIN(bucket_value(i), h->max_ns);
        }
        return h->max_ns;
}

void histogram_print_json(const Histogram *h)
{
        (void)printf("\"lat_us\": {\"mean\": %.1f, \"p50\": %.1f, \"p99\": %.1f, "
                     "\"p99.9\": %.1f, \"max\": %.1f}",
                     h->n ? (double)h->sum_ns / (double)h->n / 1e3 : 0,
                     (double)histogram_percentile(h, 50) / 1e3,
                     (double)histogram_percentile(h, 99) / 1e3,
                     (double)histogram_percentile(h, 99.9) / 1e3, (double)h->max_ns / 1e3);
}
