/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* Latencies in buckets, 32 per power of two: within 3 % of the truth. ns. */

typedef struct Histogram {
        uint64_t n, sum_ns, max_ns;
        uint32_t bucket[64 * 32];
} Histogram;

void histogram_add(Histogram *h, uint64_t ns);
void histogram_merge(Histogram *to, const Histogram *from);
uint64_t histogram_percentile(const Histogram *h, double p);
/* To standard output, of what was measured: "lat_us": {...}, as JSON and without more. */
void histogram_print_json(const Histogram *h);
