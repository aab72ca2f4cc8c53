/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* Counters (uint64_t) that one thread writes and any thread reads: no lock and no atomic
 * read-modify-write, only whole words. A reader sees each counter go up; what belongs together may
 * be seen apart. */

#ifdef __has_feature /* clang's */
#if __has_feature(thread_sanitizer)
#define COUNTER_CHECKED 1
#endif
#endif
#ifdef __SANITIZE_THREAD__ /* gcc's */
#define COUNTER_CHECKED 1
#endif

/* A load and a store, which compilers keep apart, or, where the processor adds to memory, one
 * instruction: without a lock prefix it is just that. */
#if defined(__x86_64__) && !defined(COUNTER_CHECKED)
#define COUNTER_ADD(counters, field, v) \
        __asm__("addq %1, %0" : "+m"((counters)->field) : "er"((uint64_t)(v)) : "cc")
#else
#define COUNTER_ADD(counters, field, v) \
        __atomic_store_n(&(counters)->field, (counters)->field + (uint64_t)(v), __ATOMIC_RELAXED)
#endif

#define COUNTER_READ(counters, field) __atomic_load_n(&(counters)->field, __ATOMIC_RELAXED)
