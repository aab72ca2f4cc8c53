/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>
#include <sys/mman.h>

#include "store/internal.h"
#include "store/options.h"

/* null and ram. Both complete inside submit: a copy is cheaper than handing it over. Only what is
 * long enough to be felt by the other connections of the worker goes to a job. */

#define INLINE_COPY_MAX MIB
#define INLINE_ZAP_MAX (16 * MIB)
#define RAM_STRIPES 64
#define RAM_PIECE (16 * KIB)

typedef struct RamStore {
        Store store;
        uint8_t *data; /* NULL: null */
        size_t mapped;
        /* Workers change memory side by side; a block is to be of one write, not of two. Each lock
         * is for every RAM_STRIPES-th piece of RAM_PIECE bytes. */
        unsigned n_stripes; /* RAM_STRIPES; null: 0 */
        pthread_mutex_t stripes[];
} RamStore;

typedef struct RamIo {
        LoopJob job;
        StoreIo *io;
} RamIo;

_Static_assert(sizeof(RamIo) <= sizeof(((StoreIo *)0)->private), "StoreIo.private is too small");

const char *const null_options[] = { NULL };

static void ram_write(RamStore *rs, const StoreIo *io)
{
        for (uint64_t done = 0, n; done < io->length; done += n) {
                uint64_t at = io->offset + done;
                pthread_mutex_t *stripe = &rs->stripes[at / RAM_PIECE % RAM_STRIPES];

                n = MIN(io->length - done, RAM_PIECE - at % RAM_PIECE);
                pthread_mutex_lock(stripe);
                iov_copy_from(io->iov, io->n_iov, done, rs->data + at, n);
                pthread_mutex_unlock(stripe);
        }
}

static void ram_zero(RamStore *rs, uint64_t offset, uint64_t length)
{
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        uint64_t end = offset + length;
        uint64_t first = MIN(ROUND_UP(offset, page), end), last = ROUND_DOWN(end, page);

        for (unsigned i = 0; i < RAM_STRIPES; i++)
                pthread_mutex_lock(&rs->stripes[i]);
        if (last <= first || madvise(rs->data + first, last - first, MADV_DONTNEED) < 0) {
                memset(rs->data + offset, 0, length);
        } else {
                memset(rs->data + offset, 0, first - offset);
                memset(rs->data + last, 0, end - last);
        }
        for (unsigned i = 0; i < RAM_STRIPES; i++)
                pthread_mutex_unlock(&rs->stripes[i]);
}

static int ram_execute(RamStore *rs, const StoreIo *io)
{
        switch (io->op) {
        case STORE_READ:
                if (rs->data)
                        iov_copy_to(io->iov, io->n_iov, 0, rs->data + io->offset, io->length);
                else
                        iov_fill(io->iov, io->n_iov, 0);
                return 0;
        case STORE_WRITE:
                if (rs->data)
                        ram_write(rs, io);
                return 0;
        case STORE_DISCARD:
        case STORE_ZERO:
                if (rs->data)
                        ram_zero(rs, io->offset, io->length);
                return 0;
        case STORE_FLUSH:
                return 0;
        }
        return -EOPNOTSUPP;
}

static void ram_work(LoopJob *job)
{
        StoreIo *io = CONTAINER_OF(job, RamIo, job)->io;

        io->result = ram_execute((RamStore *)io->channel->store, io);
}

static void ram_done(LoopJob *job)
{
        StoreIo *io = CONTAINER_OF(job, RamIo, job)->io;

        io->done(io);
}

static bool ram_submit(StoreChannel *ch, StoreIo *io)
{
        RamStore *rs = (RamStore *)ch->store;
        RamIo *rio = (RamIo *)(void *)io->private;
        uint64_t max =
                io->op == STORE_READ || io->op == STORE_WRITE ? INLINE_COPY_MAX : INLINE_ZAP_MAX;

        if (io->length <= max || !rs->data) {
                io->result = ram_execute(rs, io);
                return true;
        }
        *rio = (RamIo){ .job = { .work = ram_work, .done = ram_done }, .io = io };
        loop_job(ch->loop, &ch->store->lane, &rio->job);
        return false;
}

static void ram_free(Store *s)
{
        RamStore *rs = (RamStore *)s;

        if (rs->data)
                (void)munmap(rs->data, rs->mapped);
        for (unsigned i = 0; i < rs->n_stripes; i++)
                (void)pthread_mutex_destroy(&rs->stripes[i]);
        store_done(s);
        free(rs);
}

static bool ram_lend(Store *s, uint64_t offset, uint64_t length, StoreLoan *ret)
{
        const RamStore *rs = (RamStore *)s;

        if (!rs->data)
                return false;
        *ret = (StoreLoan){ .memory = rs->data + offset, .fd = -1 };
        return true;
}

static const StoreOps ram_ops = { .submit = ram_submit, .lend = ram_lend, .free = ram_free };

static int memory_open(const StoreSpec *spec, bool keep, Store **ret, StoreError *reterr)
{
        const char *cursor = spec->options;
        unsigned n_stripes = keep ? RAM_STRIPES : 0;
        StoreOption o;
        RamStore *rs;
        int r = store_option_next(&cursor, &o, reterr);

        if (r < 0)
                return r;
        if (r > 0)
                return store_option_unknown(&o, null_options, reterr);
        rs = calloc(1, sizeof(*rs) + n_stripes * sizeof(rs->stripes[0]));
        if (!rs)
                return -ENOMEM;
        r = store_init(&rs->store, &ram_ops, spec);
        if (r < 0) {
                free(rs);
                return r;
        }
        rs->n_stripes = n_stripes;
        for (unsigned i = 0; i < n_stripes; i++)
                (void)pthread_mutex_init(&rs->stripes[i], NULL); /* default ones cannot fail */
        if (keep) {
                rs->mapped = spec->size;
                rs->data = mmap(NULL, rs->mapped, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
                if (rs->data == MAP_FAILED) {
                        rs->data = NULL;
                        ram_free(&rs->store);
                        return store_error(reterr, -ENOMEM,
                                           "no room for %llu bytes of memory: choose a smaller "
                                           "size",
                                           (unsigned long long)spec->size);
                }
        }
        rs->store.native = NATIVE_FUA | NATIVE_ZERO;
        rs->store.caps = (StoreCaps){
                .size = spec->size,
                .block_size = 512,
                .physical_size = 4096,
                .discard_granularity = keep ? (uint32_t)sysconf(_SC_PAGESIZE) : 512,
                .readonly = spec->readonly,
                .discard_zeroes = true,
                .zero = true,
        };
        store_ready(&rs->store);
        *ret = &rs->store;
        return 0;
}

int null_open(const StoreSpec *spec, Store **ret, StoreError *reterr)
{
        return memory_open(spec, false, ret, reterr);
}

int ram_open(const StoreSpec *spec, Store **ret, StoreError *reterr)
{
        return memory_open(spec, true, ret, reterr);
}
