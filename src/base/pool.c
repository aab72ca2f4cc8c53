/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/pool.h"

#include <sys/mman.h>

#define BUFFER_ORDERS 14 /* 4 KiB << 13 is 32 MiB */

/* What lay on the free lists for IDLE_NS goes, but for IDLE_KEEP; not all in one turn of the loop,
 * because unmapping takes time. */
#define IDLE_NS (1 * NSEC_PER_SEC)
#define IDLE_KEEP (4 * MIB)
#define TRIM_BYTES (32 * MIB)
#define TRIM_NS (10 * NSEC_PER_MSEC)

struct BufferPool {
        Budget *budget;
        size_t keep, kept; /* bytes on the free lists */
        size_t reserve;
        size_t idle; /* the least that was kept since the timer was armed for IDLE_NS */
        Loop *loop;
        LoopTimer timer;
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
        pool->reserve = (size_t)budget->left / 8;
        *ret = pool;
        return 0;
}

static void buffer_destroy(Buffer *b)
{
        __atomic_fetch_add(&b->pool->budget->left, (int64_t)b->size, __ATOMIC_RELAXED);
        (void)munmap(b->data, b->size);
        free(b);
}

/* Gives back about max bytes of what is kept, the largest first. */
static void trim(BufferPool *pool, size_t max)
{
        size_t trimmed = 0;

        for (unsigned i = BUFFER_ORDERS; i-- > 0;)
                while (pool->free[i] && trimmed < max) {
                        Buffer *b = pool->free[i];

                        pool->free[i] = b->next;
                        pool->kept -= b->size;
                        trimmed += b->size;
                        buffer_destroy(b);
                }
        pool->idle -= MIN(pool->idle, trimmed);
}

static void trim_fire(LoopTimer *timer)
{
        BufferPool *pool = CONTAINER_OF(timer, BufferPool, timer);

        if (pool->idle > IDLE_KEEP)
                trim(pool, MIN(pool->idle - IDLE_KEEP, TRIM_BYTES));
        if (pool->idle > IDLE_KEEP) {
                loop_timer_in(pool->loop, timer, TRIM_NS);
                return;
        }
        pool->idle = pool->kept;
        if (pool->kept > IDLE_KEEP)
                loop_timer_in(pool->loop, timer, IDLE_NS);
}

void buffer_pool_set_loop(BufferPool *pool, Loop *loop)
{
        pool->loop = loop;
        pool->timer.fire = trim_fire;
}

BufferPool *buffer_pool_free(BufferPool *pool)
{
        if (!pool)
                return NULL;
        if (pool->loop)
                loop_timer_cancel(pool->loop, &pool->timer);
        for (unsigned i = 0; i < BUFFER_ORDERS; i++)
                while (pool->free[i]) {
                        Buffer *b = pool->free[i];

                        pool->free[i] = b->next;
                        buffer_destroy(b);
                }
        free(pool);
        return NULL;
}

static bool take_budget(BufferPool *pool, size_t size)
{
        if (__atomic_sub_fetch(&pool->budget->left, (int64_t)size, __ATOMIC_RELAXED) >= 0)
                return true;
        __atomic_fetch_add(&pool->budget->left, (int64_t)size, __ATOMIC_RELAXED);
        return false;
}

static Buffer *buffer_create(BufferPool *pool, unsigned order)
{
        size_t size = BUFFER_MIN_SIZE << order;
        Buffer *b;

        if (!take_budget(pool, size)) {
                /* what is kept is of other sizes, and counted as well */
                trim(pool, size);
                if (!take_budget(pool, size))
                        return NULL;
        }
        b = malloc(sizeof(*b));
        if (!b)
                goto no_memory;
        *b = (Buffer){ .size = size, .order = order, .pool = pool };
        b->data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (b->data == MAP_FAILED) {
                free(b);
                goto no_memory;
        }
        return b;

no_memory:
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
                pool->idle = MIN(pool->idle, pool->kept);
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
        if (pool->kept > IDLE_KEEP && pool->loop && !pool->timer.at) {
                pool->idle = pool->kept;
                loop_timer_in(pool->loop, &pool->timer, IDLE_NS);
        }
        return NULL;
}

size_t buffer_pool_left(const BufferPool *pool)
{
        int64_t left = __atomic_load_n(&pool->budget->left, __ATOMIC_RELAXED);

        return (size_t)MAX(left, INT64_C(0)) + pool->kept;
}

size_t buffer_pool_reserve(const BufferPool *pool)
{
        return pool->reserve;
}
