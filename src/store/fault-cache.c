/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/fault.h"

/* A volatile write cache as disks have one: what was written is read back from it, a flush brings
 * it to the inner store, a crash loses what was not flushed.
 *
 * Sectors stay valid here after they were written out, so that a read which the inner store
 * answered with older bytes is still put right. Only one request at a time writes to the inner
 * store: two would bring one sector there in any order. */

#define BUCKETS 4096
#define PAGES_MAX 65536           /* 256 MiB */
#define ZAP_CACHED_MAX (16 * MIB) /* longer ones go through: a disk may do so */
#define SECTORS (FAULT_PAGE / FAULT_SECTOR)

struct FaultPage {
        uint64_t index; /* offset / FAULT_PAGE */
        FaultPage *next;
        List dirty_link;
        uint64_t sequence; /* of the oldest write that is not written out */
        uint8_t valid, dirty;
        uint8_t data[FAULT_PAGE];
};

struct FaultCache {
        pthread_mutex_t mutex;
        FaultPage *buckets[BUCKETS];
        unsigned n_pages, n_readers;
        List dirty; /* FaultPage, oldest first */
        uint64_t sequence;
        FaultIo *writer; /* who may write to the inner store */
        List waiting;    /* FaultIo, for that */
};

int fault_cache_new(FaultCache **ret)
{
        FaultCache *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        r = -pthread_mutex_init(&c->mutex, NULL);
        if (r < 0) {
                free(c);
                return r;
        }
        list_init(&c->dirty);
        list_init(&c->waiting);
        *ret = c;
        return 0;
}

/* Drops pages that hold nothing the inner store does not. */
static void drop_clean(FaultCache *c, bool all)
{
        for (unsigned i = 0; i < BUCKETS; i++)
                for (FaultPage **pp = &c->buckets[i], *p; (p = *pp);) {
                        if (p->dirty && !all) {
                                pp = &p->next;
                                continue;
                        }
                        *pp = p->next;
                        free(p);
                        c->n_pages--;
                }
}

FaultCache *fault_cache_free(FaultCache *c)
{
        if (!c)
                return NULL;
        drop_clean(c, true);
        (void)pthread_mutex_destroy(&c->mutex);
        free(c);
        return NULL;
}

static FaultPage *find(FaultCache *c, uint64_t index)
{
        for (FaultPage *p = c->buckets[index % BUCKETS]; p; p = p->next)
                if (p->index == index)
                        return p;
        return NULL;
}

static FaultPage *find_or_add(FaultCache *c, uint64_t index)
{
        FaultPage *p = find(c, index);

        if (p)
                return p;
        /* A page that is being written out is held by the writer. */
        if (c->n_pages >= PAGES_MAX && c->n_readers == 0 && !c->writer)
                drop_clean(c, false);
        p = c->n_pages >= PAGES_MAX ? NULL : calloc(1, sizeof(*p));
        if (!p)
                return NULL;
        p->index = index;
        p->next = c->buckets[index % BUCKETS];
        c->buckets[index % BUCKETS] = p;
        c->n_pages++;
        return p;
}

static void set_clean(FaultPage *p, uint8_t sectors)
{
        p->dirty &= (uint8_t)~sectors;
        if (!p->dirty)
                list_remove(&p->dirty_link);
}

static void set_dirty(FaultCache *c, FaultPage *p, uint8_t sectors)
{
        if (!p->dirty) {
                p->sequence = c->sequence;
                list_append(&c->dirty, &p->dirty_link);
        }
        p->dirty |= sectors;
        p->valid |= sectors;
}

/* The part of [offset, end) in its first page: length, and sectors as bits. */
static uint64_t page_part(uint64_t offset, uint64_t end, uint8_t *ret_sectors)
{
        uint64_t at = offset % FAULT_PAGE, n = MIN(end - offset, FAULT_PAGE - at);
        unsigned first = (unsigned)(at / FAULT_SECTOR), count = (unsigned)(n / FAULT_SECTOR);

        *ret_sectors = (uint8_t)(((1U << count) - 1) << first);
        return n;
}

void fault_cache_crash(FaultCache *c)
{
        pthread_mutex_lock(&c->mutex);
        LIST_FOREACH_SAFE (p, &c->dirty, FaultPage, dirty_link) {
                p->valid &= (uint8_t)~p->dirty;
                set_clean(p, 0xff);
        }
        /* What is read next comes from the inner store, as after a loss of power. */
        if (c->n_readers == 0 && !c->writer)
                drop_clean(c, false);
        pthread_mutex_unlock(&c->mutex);
}

/* WRITE, or zeroes where there is no data. */
static int insert(FaultCache *c, const StoreRequest *req)
{
        uint64_t end = req->offset + req->length, n;
        uint8_t sectors;
        int r = 0;

        pthread_mutex_lock(&c->mutex);
        c->sequence++;
        for (uint64_t pos = req->offset; pos < end; pos += n) {
                FaultPage *p = find_or_add(c, pos / FAULT_PAGE);

                n = page_part(pos, end, &sectors);
                if (!p) {
                        r = -ENOMEM;
                        break;
                }
                if (req->op == STORE_WRITE)
                        iov_copy_from(req->iov, req->n_iov, (size_t)(pos - req->offset),
                                      p->data + pos % FAULT_PAGE, (size_t)n);
                else
                        memset(p->data + pos % FAULT_PAGE, 0, (size_t)n);
                set_dirty(c, p, sectors);
        }
        pthread_mutex_unlock(&c->mutex);
        return r;
}

/* What the cache has goes over what the inner store read. */
static void overlay(FaultCache *c, const StoreRequest *req)
{
        uint64_t end = req->offset + req->length, n;
        uint8_t sectors;

        pthread_mutex_lock(&c->mutex);
        for (uint64_t pos = req->offset; pos < end; pos += n) {
                FaultPage *p = find(c, pos / FAULT_PAGE);

                n = page_part(pos, end, &sectors);
                for (unsigned i = 0; p && i < SECTORS; i++)
                        if (sectors & p->valid & (1U << i))
                                iov_copy_to(req->iov, req->n_iov,
                                            (size_t)(p->index * FAULT_PAGE + i * FAULT_SECTOR -
                                                     req->offset),
                                            p->data + i * FAULT_SECTOR, FAULT_SECTOR);
        }
        c->n_readers--;
        pthread_mutex_unlock(&c->mutex);
}

static void forget(FaultCache *c, uint64_t begin, uint64_t end)
{
        uint8_t sectors;

        for (unsigned i = 0; i < BUCKETS; i++)
                for (FaultPage *p = c->buckets[i]; p; p = p->next) {
                        uint64_t from = MAX(begin, p->index * FAULT_PAGE);
                        uint64_t to = MIN(end, (p->index + 1) * FAULT_PAGE);

                        if (from >= to)
                                continue;
                        (void)page_part(from, to, &sectors);
                        p->valid &= (uint8_t)~sectors;
                        if (p->dirty)
                                set_clean(p, sectors);
                }
}

/* ---- writing out ---- */

/* The next run of dirty sectors of f's range into f->data and f->inner. */
static bool next_run(FaultCache *c, FaultIo *f)
{
        LIST_FOREACH (p, &c->dirty, FaultPage, dirty_link) {
                uint64_t from = MAX(f->begin, p->index * FAULT_PAGE);
                uint64_t to = MIN(f->end, (p->index + 1) * FAULT_PAGE);
                unsigned first, last;
                uint8_t sectors;

                if (p->sequence > f->sequence)
                        break;
                if (from >= to)
                        continue;
                (void)page_part(from, to, &sectors);
                sectors &= p->dirty;
                if (!sectors)
                        continue;
                first = (unsigned)__builtin_ctz(sectors);
                for (last = first; last < SECTORS && (sectors & (1U << last));)
                        last++;
                f->page = p;
                f->sectors = (uint8_t)(((1U << (last - first)) - 1) << first);
                set_clean(p, f->sectors);
                memcpy(f->data, p->data + first * FAULT_SECTOR, (last - first) * FAULT_SECTOR);
                f->inner.offset = p->index * FAULT_PAGE + first * FAULT_SECTOR;
                f->inner.length = (last - first) * FAULT_SECTOR;
                return true;
        }
        return false;
}

static bool submit_inner(FaultIo *f, StoreOp op, FaultStage stage)
{
        f->stage = stage;
        f->inner.op = op;
        if (op == STORE_WRITE) {
                f->inner.iov[0] = (struct iovec){ f->data, f->inner.length };
                f->inner.n_iov = 1;
        }
        return store_submit(fault_inner(f), &f->inner);
}

/* Who writes next may begin. */
static void leave(FaultCache *c)
{
        FaultIo *next;

        pthread_mutex_lock(&c->mutex);
        next = LIST_FIRST(&c->waiting, FaultIo, link);
        if (next)
                list_remove(&next->link);
        c->writer = next;
        pthread_mutex_unlock(&c->mutex);
        if (next)
                loop_post(next->channel->loop, &next->task);
}

/* The inner store did not take the page: it stays unflushed. */
static int page_failed(FaultCache *c, FaultIo *f)
{
        pthread_mutex_lock(&c->mutex);
        set_dirty(c, f->page, f->sectors);
        pthread_mutex_unlock(&c->mutex);
        return f->inner.result;
}

/* As the writer: pages, then what remains of the request itself. */
static bool write_out(FaultCache *c, FaultIo *f, int *ret_result)
{
        const StoreIo *io = f->io;
        bool found;

        if (io->op == STORE_FLUSH || io->op == STORE_WRITE || f->sequence > 0) {
                do {
                        pthread_mutex_lock(&c->mutex);
                        found = next_run(c, f);
                        pthread_mutex_unlock(&c->mutex);
                        if (found && !submit_inner(f, STORE_WRITE, FAULT_CACHE_PAGE))
                                return false;
                } while (found && f->inner.result == 0);
                *ret_result = found ? page_failed(c, f) : 0;
                if (io->op != STORE_FLUSH || *ret_result < 0)
                        return true;
                f->inner.offset = f->inner.length = 0;
        } else {
                /* a long ZERO or DISCARD */
                pthread_mutex_lock(&c->mutex);
                forget(c, f->begin, f->end);
                pthread_mutex_unlock(&c->mutex);
        }
        if (!submit_inner(f, io->op, FAULT_CACHE_PASS))
                return false;
        *ret_result = f->inner.result;
        return true;
}

static bool enter(FaultCache *c, FaultIo *f, int *ret_result)
{
        bool turn;

        pthread_mutex_lock(&c->mutex);
        turn = !c->writer;
        if (turn)
                c->writer = f;
        else {
                f->stage = FAULT_CACHE_WAIT;
                list_append(&c->waiting, &f->link);
        }
        pthread_mutex_unlock(&c->mutex);
        if (!turn || !write_out(c, f, ret_result))
                return false;
        leave(c);
        return true;
}

bool fault_cache_submit(FaultCache *c, FaultIo *f, bool write_through, int *ret_result)
{
        const StoreRequest *req = &f->inner;
        bool stays = !write_through && !(req->flags & STORE_FUA);

        f->begin = req->offset;
        f->end = req->offset + req->length;
        f->sequence = 0;
        if (req->op == STORE_READ) {
                pthread_mutex_lock(&c->mutex);
                c->n_readers++;
                pthread_mutex_unlock(&c->mutex);
                f->stage = FAULT_CACHE_READ;
                return store_submit(fault_inner(f), &f->inner) &&
                       fault_cache_continue(c, f, ret_result);
        }
        if (req->op == STORE_FLUSH) {
                pthread_mutex_lock(&c->mutex);
                f->sequence = c->sequence;
                pthread_mutex_unlock(&c->mutex);
                f->end = UINT64_MAX;
                return enter(c, f, ret_result);
        }
        if (req->op == STORE_WRITE || req->length <= ZAP_CACHED_MAX) {
                *ret_result = insert(c, req);
                if (*ret_result < 0 || stays)
                        return true;
                f->sequence = UINT64_MAX; /* whatever is in its range */
        }
        return enter(c, f, ret_result);
}

bool fault_cache_continue(FaultCache *c, FaultIo *f, int *ret_result)
{
        switch (f->stage) {
        case FAULT_CACHE_READ:
                overlay(c, &f->inner);
                *ret_result = f->inner.result;
                return true;
        case FAULT_CACHE_WAIT:
                break;
        case FAULT_CACHE_PAGE:
                if (f->inner.result == 0)
                        break;
                *ret_result = page_failed(c, f);
                leave(c);
                return true;
        default:
                *ret_result = f->inner.result;
                leave(c);
                return true;
        }
        if (!write_out(c, f, ret_result))
                return false;
        leave(c);
        return true;
}
