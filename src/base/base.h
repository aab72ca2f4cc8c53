/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* base: what every layer may use and what knows nothing of the project.
 *
 *   base.h    macros, cleanup helpers          list.h   intrusive list
 *   bytes.h   big-endian, Reader and Writer    loop.h   the event loop, as an interface
 *   parse.h   strict parsers of text           pool.h   fixed objects and I/O buffers
 *   log.h     messages with fields             addr.h   socket addresses and prefixes
 *   counter.h counters of one writer           histogram.h  latencies in fixed memory
 *   suggest.h the word that was meant
 *
 * Threads: nothing here has state of its own except log.h's sink (set once, before threads start).
 * May include: libc only. Errors are negative errno; out-parameters are named ret_ and are valid
 * on success only; destructors accept NULL and return NULL. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
/* token for token GLib's, so that both may be included */
#define MIN(a, b) (((a) < (b)) ? (a) : (b))
#define MAX(a, b) (((a) > (b)) ? (a) : (b))
#define STREQ(a, b) (strcmp((a), (b)) == 0)
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))
#define ROUND_UP(n, d) (DIV_ROUND_UP(n, d) * (d)) /* d need not be a power of two */
#define ROUND_DOWN(n, d) ((n) / (d) * (d))

#define _printf_(fmt, first) __attribute__((format(printf, fmt, first)))
#define _pure_ __attribute__((pure))
#define _cleanup_(f) __attribute__((cleanup(f)))

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* *ret = a op b; true if that does not fit ret's type (ret then holds the wrapped value). */
#define ADD_OVERFLOW(a, b, ret) __builtin_add_overflow((a), (b), (ret))
#define MUL_OVERFLOW(a, b, ret) __builtin_mul_overflow((a), (b), (ret))

#define TAKE_PTR(p)                    \
        ({                             \
                typeof(p) *_pp = &(p); \
                typeof(p) _v = *_pp;   \
                *_pp = NULL;           \
                _v;                    \
        })

static inline int take_fd(int *fd)
{
        int v = *fd;

        *fd = -1;
        return v;
}

/* Defines name##p(T*) for use with _cleanup_(). */
#define DEFINE_CLEANUP(type, func)          \
        static inline void func##p(type *p) \
        {                                   \
                if (*p)                     \
                        func(*p);           \
        }                                   \
        struct _swallow_semicolon_

static inline void cleanup_freep(void *p)
{
        free(*(void **)p);
}

static inline int safe_close(int fd)
{
        if (fd >= 0) {
                int saved = errno;

                (void)close(fd);
                errno = saved;
        }
        return -1;
}

static inline void cleanup_closep(int *fd)
{
        (void)safe_close(*fd);
}

#define _cleanup_free_ _cleanup_(cleanup_freep)
#define _cleanup_close_ _cleanup_(cleanup_closep)

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
        return a < b ? a : b;
}

#define NSEC_PER_SEC UINT64_C(1000000000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_USEC UINT64_C(1000)
#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
