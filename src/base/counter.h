/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* Counters (uint64_t) that one thread writes and any thread reads: no lock and no atomic
 * read-modify-write, only whole words. A reader sees each counter go up; what belongs together may
 * be seen apart. */

#define COUNTER_ADD(counters, field, v) \
        __atomic_store_n(&(counters)->field, (counters)->field + (uint64_t)(v), __ATOMIC_RELAXED)

#define COUNTER_READ(counters, field) __atomic_load_n(&(counters)->field, __ATOMIC_RELAXED)
