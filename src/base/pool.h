/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"
#include "base/list.h"
#include "base/loop.h"

/* Memory that a peer can make us use, per worker and without locks.
 *
 * A Pool hands out objects of one size, zeroed up to its clear length. A BufferPool hands out
 * page-aligned I/O buffers in powers of two from 4 KiB to 32 MiB; a Budget bounds what all pools of
 * a process hold together. Freed memory is kept for reuse up to a limit and given back beyond it; a
 * BufferPool that has a loop gives back as well what nobody has needed for a while.
 * Failure is NULL: the caller answers TASK SET FULL or closes the connection. */

typedef struct Pool {
        size_t size, clear; /* bytes of an object, and of it that alloc zeroes */
        unsigned max_free;
        unsigned n_free, n_used;
        void *free;
} Pool;

void pool_init(Pool *pool, size_t size, size_t clear, unsigned max_free);
void pool_done(Pool *pool); /* every object has been freed */
void *pool_alloc(Pool *pool);
void pool_free(Pool *pool, void *object);

/* Bytes that may still be taken; shared by all workers (relaxed atomics). */
typedef struct Budget {
        int64_t left;
} Budget;

typedef struct BufferPool BufferPool;

/* One I/O buffer. Who holds a reference may read it, and write it while it is not shared. The count
 * is the owning worker's: only its thread takes and drops references. */
typedef struct Buffer {
        uint8_t *data;
        size_t size; /* of the allocation, at least what was asked for */
        unsigned ref;
        unsigned order;
        BufferPool *pool;
        struct Buffer *next;
} Buffer;

#define BUFFER_MIN_SIZE (4 * KIB)
#define BUFFER_MAX_SIZE (32 * MIB)

int buffer_pool_new(Budget *budget, size_t keep_bytes, BufferPool **ret);
/* The loop of the pool's thread; it outlives the pool. Before the first buffer. */
void buffer_pool_set_loop(BufferPool *pool, Loop *loop);
BufferPool *buffer_pool_free(BufferPool *pool); /* every buffer has been dropped */
/* NULL: over the budget, or out of memory. The bytes are not zeroed: what is sent from a buffer
 * has been written by the store or by us before. */
Buffer *buffer_new(BufferPool *pool, size_t size);
/* Bytes that buffer_new() can still hand out, more or less. */
size_t buffer_pool_left(const BufferPool *pool);
/* The last eighth of the budget, as that was when the pool was made: for who has little. */
size_t buffer_pool_reserve(const BufferPool *pool);
static inline Buffer *buffer_ref(Buffer *b)
{
        b->ref++;
        return b;
}
Buffer *buffer_unref(Buffer *b);
