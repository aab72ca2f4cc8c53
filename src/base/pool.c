/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/pool.h"

#include <sys/mman.h>

#define BUFFER_ORDERS 14 /* 4 KiB << 13 is 32 MiB */

struct BufferPool {
        Budget *budget;
        size_t keep, kept; /* bytes on the free lists */
        Buffer *free[BUFFER_ORDERS];
};

void pool_init(Pool *pool, size_t size, size_t clear, unsigned max_free)
{
        *pool = (Pool){ .size = MAX(size, sizeof(void *)), .clear = clear, .max_free = max_free };
}

void pool_done(Pool *pool)
{
        while (pool->free) {
                void *object = pool->free;

                memcpy(&pool->free, object, sizeof(void *));
                free(object);
        }
        pool->n_free = 0;
}

void *pool_alloc(Pool *pool)
{
        void *object = pool->free;

        if (object) {
                memcpy(&pool->free, object, sizeof(void *));
                pool->n_free--;
        } else {
                object = malloc(pool->size);
                if (!object)
                        return NULL;
        }
        pool->n_used++;
        memset(object, 0, pool->clear);
        return object;
}

void pool_free(Pool *pool, void *object)
{
        if (!object)
                return;
        pool->n_used--;
        if (pool->n_free >= pool->max_free) {
                free(object);
                return;
        }
        memcpy(object, &pool->free, sizeof(void *));
        pool->free = object;
        pool->n_free++;
}

int buffer_pool_new(Budget *budget, size_t keep_bytes, BufferPool **ret)
{
        BufferPool *pool = calloc(1, sizeof(*pool));

        if (!pool)
                return -ENOMEM;
        pool->budget = budget;
        pool->keep = keep_bytes;
        *ret = pool;
        return 0;
}

static void buffer_destroy(Buffer *b)
{
        __atomic_fetch_add(&b->pool->budget->left, (int64_t)b->size, __ATOMIC_RELAXED);
        (void)munmap(b->data, b->size);
        free(b);
}

BufferPool *buffer_pool_free(BufferPool *pool)
{
        if (!pool)
                return NULL;
        for (unsigned i = 0; i < BUFFER_ORDERS; i++)
                while (pool->free[i]) {
                        Buffer *b = pool->free[i];

                        pool->free[i] = b->next;
                        buffer_destroy(b);
                }
        free(pool);
        return NULL;
}

static Buffer *buffer_create(BufferPool *pool, unsigned order)
{
        size_t size = BUFFER_MIN_SIZE << order;
        Buffer *b;

        if (__atomic_sub_fetch(&pool->budget->left, (int64_t)size, __ATOMIC_RELAXED) < 0)
                goto over_budget;
        b = malloc(sizeof(*b));
        if (!b)
                goto over_budget;
        *b = (Buffer){ .size = size, .order = order, .pool = pool };
        b->data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (b->data == MAP_FAILED) {
                free(b);
                goto over_budget;
        }
        return b;

over_budget:
        __atomic_fetch_add(&pool->budget->left, (int64_t)size, __ATOMIC_RELAXED);
        return NULL;
}

Buffer *buffer_new(BufferPool *pool, size_t size)
{
        unsigned order = 0;
        Buffer *b;

        if (size > BUFFER_MAX_SIZE)
                return NULL;
        while (BUFFER_MIN_SIZE << order < size)
                order++;
        b = pool->free[order];
        if (b) {
                pool->free[order] = b->next;
                pool->kept -= b->size;
        } else {
                b = buffer_create(pool, order);
                if (!b)
                        return NULL;
        }
        b->ref = 1;
        return b;
}

Buffer *buffer_unref(Buffer *b)
{
        BufferPool *pool;

        if (!b || --b->ref > 0)
                return NULL;
        pool = b->pool;
        if (pool->kept + b->size > pool->keep) {
                buffer_destroy(b);
                return NULL;
        }
        b->next = pool->free[b->order];
        pool->free[b->order] = b;
        pool->kept += b->size;
        return NULL;
}
