/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/fault.h"

#include <stdio.h>

#include "base/parse.h"
#include "store/options.h"

/* Wraps another type. Its options are read at open and by store_configure() alike; a change takes
 * effect for requests submitted after it, and hung ones that it no longer covers go on.
 *
 *   store=TYPE           what is wrapped (at open; path, size, sync and so on are handed on)
 *   hang=OPS             requests wait, before anything is done, until this says otherwise
 *   cancel=no            store_cancel() is not heard by them
 *   delay=TIME           of each request that is hit, before it goes on
 *   error=NAME           ends with it, and nothing is done; ENODEV lasts until store_refresh()
 *   short=yes            half of it is done, and it ends with EIO
 *   corrupt=yes          a byte of what was read is wrong
 *   nospace=yes          WRITE and ZERO end with ENOSPC
 *   ops=OPS, range=OFFSET+LENGTH, skip=N, count=N, probability=PERCENT, seed=N
 *                        which requests delay, error, short, corrupt and nospace hit; hang keeps
 *                        to range
 *   lose-unflushed=yes   what is written stays in memory (256 MiB at most) until it is flushed
 *   crash=yes            loses what was not
 *   block-size=N, no-fua=yes, no-zero=yes, no-discard=yes
 *                        the store lacks it, so that emulation has to do it (at open) */

#define ALL_OPS                                                                                   \
        ((1U << STORE_READ) | (1U << STORE_WRITE) | (1U << STORE_FLUSH) | (1U << STORE_DISCARD) | \
         (1U << STORE_ZERO))

typedef struct FaultConfig {
        /* of what ops and range say */
        uint64_t delay;
        int error;
        bool is_short, corrupt, nospace;
        unsigned ops;
        uint64_t begin, end;
        uint32_t probability; /* percent */
        uint64_t skip, count; /* matches to let pass first; faults to make, 0: no limit */
        bool spent;           /* count is used up */
        /* of themselves */
        unsigned hang;
        bool honour_cancel;
        bool lose_unflushed, crash, ignore_flush;
        uint64_t seed;
        /* at open only */
        char store[16];
        uint32_t block_size;
        bool no_fua, no_zero, no_discard;
} FaultConfig;

typedef struct FaultStore {
        Store store;
        Store *inner;
        FaultCache *cache;     /* NULL until lose-unflushed was set once */
        pthread_mutex_t mutex; /* config, hung */
        FaultConfig config;
        List hung; /* FaultIo.link */
} FaultStore;

typedef struct FaultChannel {
        StoreChannel *inner;
        FaultIo *free;
} FaultChannel;

/* ---- options ---- */

static const struct {
        const char *name;
        unsigned ops;
} op_names[] = {
        { "read", 1U << STORE_READ },
        { "write", 1U << STORE_WRITE },
        { "flush", 1U << STORE_FLUSH },
        { "discard", 1U << STORE_DISCARD },
        { "zero", 1U << STORE_ZERO },
        { "all", ALL_OPS },
        { "none", 0 },
};

static const struct {
        const char *name;
        int error;
} error_names[] = {
        { "none", 0 },         { "EIO", -EIO },
        { "ENOSPC", -ENOSPC }, { "ENODEV", -ENODEV },
        { "EROFS", -EROFS },   { "ENOMEM", -ENOMEM },
        { "ERANGE", -ERANGE }, { "EOPNOTSUPP", -EOPNOTSUPP },
};

static int parse_ops(const char *s, void *ret)
{
        unsigned ops = 0;

        while (*s) {
                size_t n = strcspn(s, ","), i;

                for (i = 0; i < ELEMENTSOF(op_names); i++)
                        if (strlen(op_names[i].name) == n && memcmp(op_names[i].name, s, n) == 0)
                                break;
                if (i == ELEMENTSOF(op_names))
                        return -EINVAL;
                ops |= op_names[i].ops;
                s += n + (s[n] == ',');
        }
        *(unsigned *)ret = ops;
        return 0;
}

static int parse_error(const char *s, void *ret)
{
        for (size_t i = 0; i < ELEMENTSOF(error_names); i++)
                if (STREQ(error_names[i].name, s)) {
                        *(int *)ret = error_names[i].error;
                        return 0;
                }
        return -EINVAL;
}

static int parse_yes(const char *s, void *ret)
{
        return parse_bool(s, ret);
}

static int parse_delay(const char *s, void *ret)
{
        return parse_duration(s, ret);
}

static int parse_percent(const char *s, void *ret)
{
        return parse_u32(s, 0, 100, ret);
}

static int parse_number(const char *s, void *ret)
{
        return parse_u64(s, 0, UINT64_MAX, ret);
}

static int parse_block_size(const char *s, void *ret)
{
        uint32_t v;

        if (parse_u32(s, 512, 4096, &v) < 0 || (v & (v - 1)) != 0)
                return -EINVAL;
        *(uint32_t *)ret = v;
        return 0;
}

static int parse_name(const char *s, void *ret)
{
        if (strlen(s) >= sizeof(((FaultConfig *)0)->store))
                return -EINVAL;
        memcpy(ret, s, strlen(s) + 1);
        return 0;
}

/* "OFFSET+LENGTH" into begin, whose neighbour is end. */
static int parse_range(const char *s, void *ret)
{
        FaultConfig *c = CONTAINER_OF(ret, FaultConfig, begin);
        const char *plus = strchr(s, '+');
        char text[STORE_OPTION_VALUE_MAX];
        uint64_t length;

        if (STREQ(s, "all")) {
                c->begin = 0;
                c->end = UINT64_MAX;
                return 0;
        }
        if (!plus || (size_t)(plus - s) >= sizeof(text))
                return -EINVAL;
        memcpy(text, s, (size_t)(plus - s));
        text[plus - s] = '\0';
        if (parse_size(text, &c->begin) < 0 || parse_size(plus + 1, &length) < 0 ||
            ADD_OVERFLOW(c->begin, length, &c->end))
                return -EINVAL;
        return 0;
}

static const struct {
        const char *key;
        int (*parse)(const char *s, void *ret);
        size_t at;
        const char *expected;
        bool at_open;
} options[] = {
#define AT(field) offsetof(FaultConfig, field)
#define OPS "read, write, flush, discard, zero, all or none, separated by commas"
        { "store", parse_name, AT(store), "the name of the type to wrap", true },
        { "delay", parse_delay, AT(delay), "a duration such as 10ms" },
        { "error", parse_error, AT(error), "none, EIO, ENOSPC, ENODEV, EROFS, ENOMEM, ..." },
        { "short", parse_yes, AT(is_short), "yes or no" },
        { "corrupt", parse_yes, AT(corrupt), "yes or no" },
        { "nospace", parse_yes, AT(nospace), "yes or no" },
        { "ops", parse_ops, AT(ops), OPS },
        { "range", parse_range, AT(begin), "OFFSET+LENGTH or all" },
        { "probability", parse_percent, AT(probability), "a percentage from 0 to 100" },
        { "skip", parse_number, AT(skip), "a number" },
        { "count", parse_number, AT(count), "a number, 0 for no limit" },
        { "seed", parse_number, AT(seed), "a number" },
        { "hang", parse_ops, AT(hang), OPS },
        { "cancel", parse_yes, AT(honour_cancel), "yes or no" },
        { "lose-unflushed", parse_yes, AT(lose_unflushed), "yes or no" },
        { "crash", parse_yes, AT(crash), "yes or no" },
        { "ignore-flush", parse_yes, AT(ignore_flush), "yes or no" },
        { "block-size", parse_block_size, AT(block_size), "512, 1024, 2048 or 4096", true },
        { "no-fua", parse_yes, AT(no_fua), "yes or no", true },
        { "no-zero", parse_yes, AT(no_zero), "yes or no", true },
        { "no-discard", parse_yes, AT(no_discard), "yes or no", true },
};

const char *const fault_options[] = {
        "store",  "delay",   "error",          "short", "corrupt",      "nospace",
        "ops",    "range",   "probability",    "skip",  "count",        "seed",
        "hang",   "cancel",  "lose-unflushed", "crash", "ignore-flush", "block-size",
        "no-fua", "no-zero", "no-discard",     NULL
};

_Static_assert(ELEMENTSOF(options) + 1 == ELEMENTSOF(fault_options), "a row is missing");

static int parse_options(FaultConfig *c, const char *text, bool at_open, StoreError *reterr)
{
        const char *cursor = text;
        StoreOption o;
        size_t i;
        int r;

        while ((r = store_option_next(&cursor, &o, reterr)) > 0) {
                for (i = 0; i < ELEMENTSOF(options) && !STREQ(options[i].key, o.key); i++)
                        ;
                if (i == ELEMENTSOF(options))
                        return store_option_unknown(&o, fault_options, reterr);
                if (options[i].at_open && !at_open)
                        return store_error(reterr, -EINVAL,
                                           "option %s cannot change while the store is open",
                                           o.key);
                if (options[i].parse(o.value, (uint8_t *)c + options[i].at) < 0)
                        return store_option_invalid(&o, options[i].expected, reterr);
                c->spent = false;
        }
        return r;
}

/* ---- requests ---- */

static uint64_t next_random(FaultConfig *c)
{
        uint64_t z = (c->seed += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

static bool in_range(const FaultConfig *c, const StoreIo *io)
{
        if (io->op == STORE_FLUSH)
                return true;
        return io->offset < c->end && c->begin < io->offset + io->length;
}

/* Does the next fault hit this one? Counts. */
static bool is_hit(FaultConfig *c, const StoreIo *io)
{
        if (c->spent || !(c->ops & (1U << io->op)) || !in_range(c, io))
                return false;
        if (c->skip > 0) {
                c->skip--;
                return false;
        }
        if (c->probability < 100 && next_random(c) % 100 >= c->probability)
                return false;
        if (c->count > 0 && --c->count == 0)
                c->spent = true;
        return true;
}

static bool is_hung(const FaultConfig *c, const StoreIo *io)
{
        return (c->hang & (1U << io->op)) && in_range(c, io);
}

/* What will happen to f, decided at once. Returns the delay; hung requests are on the list. */
static uint64_t plan(FaultStore *fs, FaultIo *f, bool *ret_hung)
{
        FaultConfig *c = &fs->config;
        uint64_t delay = 0;

        f->error = 0;
        f->is_short = f->corrupt = false;
        pthread_mutex_lock(&fs->mutex);
        if (is_hit(c, f->io)) {
                delay = c->delay;
                f->error = c->error;
                f->is_short = c->is_short;
                f->corrupt = c->corrupt;
                if (c->nospace && (f->io->op == STORE_WRITE || f->io->op == STORE_ZERO))
                        f->error = -ENOSPC;
        }
        *ret_hung = is_hung(c, f->io);
        if (*ret_hung)
                list_append(&fs->hung, &f->link);
        pthread_mutex_unlock(&fs->mutex);
        return delay;
}

static FaultStore *store_of(const FaultIo *f)
{
        return (FaultStore *)f->channel->store;
}

StoreChannel *fault_inner(const FaultIo *f)
{
        return ((FaultChannel *)f->channel->private)->inner;
}

/* f is over: io has the result, and f is free. */
static bool end(FaultIo *f, int result)
{
        FaultChannel *fc = f->channel->private;
        StoreIo *io = f->io;

        if (result == 0 && f->is_short)
                result = -EIO;
        if (result == 0 && f->corrupt && io->op == STORE_READ) {
                uint8_t *p = io->iov[0].iov_base;

                p[io->iov[0].iov_len / 2] ^= 0xff;
        }
        io->result = result;
        f->io = NULL;
        f->next = fc->free;
        fc->free = f;
        return true;
}

/* Half of it happens. */
static void cut(FaultIo *f)
{
        StoreRequest *req = &f->inner;
        uint64_t left = ROUND_DOWN(req->length / 2, f->channel->store->align);

        req->length = left;
        for (unsigned i = 0; i < req->n_iov; i++) {
                req->iov[i].iov_len = MIN(req->iov[i].iov_len, left);
                left -= req->iov[i].iov_len;
        }
}

static void inner_done(StoreRequest *req);

/* The request itself, after hangs and delays. true: complete. */
static bool begin(FaultIo *f)
{
        FaultStore *fs = store_of(f);
        const StoreIo *io = f->io;
        FaultCache *cache;
        bool lose, ignore_flush;
        int r = 0;

        if (f->cancelled || f->error)
                return end(f, f->cancelled ? -ECANCELED : f->error);
        f->inner.op = io->op;
        f->inner.flags = io->flags;
        f->inner.offset = io->offset;
        f->inner.length = io->length;
        f->inner.n_iov = io->n_iov;
        for (unsigned i = 0; i < io->n_iov; i++)
                f->inner.iov[i] = io->iov[i];
        f->inner.done = inner_done;
        if (f->is_short)
                cut(f);
        pthread_mutex_lock(&fs->mutex);
        cache = fs->cache;
        lose = fs->config.lose_unflushed;
        ignore_flush = fs->config.ignore_flush;
        pthread_mutex_unlock(&fs->mutex);
        if (ignore_flush && io->op == STORE_FLUSH) /* the disk that lies */
                return end(f, 0);
        if (ignore_flush)
                f->inner.flags &= ~(uint32_t)STORE_FUA;
        if (cache)
                return fault_cache_submit(cache, f, !lose, &r) && end(f, r);
        f->stage = FAULT_INNER;
        return store_submit(fault_inner(f), &f->inner) && end(f, f->inner.result);
}

static void go_on(FaultIo *f)
{
        StoreIo *io = f->io;
        bool over;
        int r = 0;

        switch (f->stage) {
        case FAULT_HUNG:
                over = begin(f);
                break;
        case FAULT_INNER:
                over = end(f, f->inner.result);
                break;
        default:
                over = fault_cache_continue(store_of(f)->cache, f, &r) && end(f, r);
        }
        if (over)
                io->done(io);
}

static void inner_done(StoreRequest *req)
{
        go_on(CONTAINER_OF(req, FaultIo, inner));
}

static void fault_task(LoopTask *task)
{
        go_on(CONTAINER_OF(task, FaultIo, task));
}

static void fault_timer(LoopTimer *timer)
{
        go_on(CONTAINER_OF(timer, FaultIo, timer));
}

static FaultIo *fault_io_get(StoreChannel *ch)
{
        FaultChannel *fc = ch->private;
        FaultIo *f = fc->free;

        if (f) {
                fc->free = f->next;
                return f;
        }
        return calloc(1, sizeof(*f));
}

static bool fault_submit(StoreChannel *ch, StoreIo *io)
{
        FaultIo *f = fault_io_get(ch);
        uint64_t delay;
        bool hung;

        if (!f) {
                io->result = -ENOMEM;
                return true;
        }
        f->io = io;
        f->channel = ch;
        f->task.run = fault_task;
        f->timer.fire = fault_timer;
        f->stage = FAULT_HUNG;
        f->cancelled = false;
        *(FaultIo **)(void *)io->private = f;
        delay = plan((FaultStore *)ch->store, f, &hung);
        if (hung)
                return false;
        if (delay > 0) {
                loop_timer_in(ch->loop, &f->timer, delay);
                return false;
        }
        return begin(f);
}

static void fault_cancel(StoreChannel *ch, StoreIo *io)
{
        FaultStore *fs = (FaultStore *)ch->store;
        FaultIo *f = *(FaultIo **)(void *)io->private;
        bool honour, linked;

        pthread_mutex_lock(&fs->mutex);
        honour = fs->config.honour_cancel;
        linked = honour && f->stage == FAULT_HUNG && list_linked(&f->link);
        if (linked)
                list_remove(&f->link);
        pthread_mutex_unlock(&fs->mutex);
        if (!honour)
                return;
        if (f->stage == FAULT_INNER) {
                store_cancel(&f->inner);
                return;
        }
        if (f->stage != FAULT_HUNG)
                return;
        f->cancelled = true; /* if it is not on the list, its task is on the way */
        if (f->timer.at)
                loop_timer_cancel(ch->loop, &f->timer);
        else if (!linked)
                return;
        loop_post(ch->loop, &f->task);
}

/* ---- the store ---- */

/* Under the mutex: those that the configuration does not cover any more go on, each on its loop. */
static void release_hung(FaultStore *fs)
{
        for (List *n = fs->hung.next, *next; n != &fs->hung; n = next) {
                FaultIo *f = LIST_ENTRY(n, FaultIo, link);

                next = n->next;
                if (is_hung(&fs->config, f->io))
                        continue;
                list_remove(n);
                loop_post(f->channel->loop, &f->task);
        }
}

static int fault_configure(Store *s, const char *text, StoreError *reterr)
{
        FaultStore *fs = (FaultStore *)s;
        FaultConfig next;
        bool crash;
        int r;

        pthread_mutex_lock(&fs->mutex);
        next = fs->config;
        r = parse_options(&next, text, false, reterr);
        if (r >= 0 && next.lose_unflushed && !fs->cache) {
                FaultCache *cache;

                r = fault_cache_new(&cache);
                if (r >= 0)
                        fs->cache = cache;
        }
        if (r < 0) {
                pthread_mutex_unlock(&fs->mutex);
                return r;
        }
        crash = next.crash && fs->cache;
        next.crash = false;
        fs->config = next;
        release_hung(fs);
        pthread_mutex_unlock(&fs->mutex);
        if (crash)
                fault_cache_crash(fs->cache);
        return 0;
}

static int fault_refresh(Store *s, const StoreSpec *spec, StoreError *reterr)
{
        FaultStore *fs = (FaultStore *)s;
        StoreSpec inner = *spec;
        StoreCaps caps;
        int error, r;

        pthread_mutex_lock(&fs->mutex);
        error = fs->config.spent ? 0 : fs->config.error;
        pthread_mutex_unlock(&fs->mutex);
        if (error == -ENODEV)
                return store_error(reterr, -ENODEV, "the fault store says that the device is gone");
        inner.type = fs->config.store;
        inner.options = NULL;
        r = store_refresh(fs->inner, &inner, reterr);
        if (r < 0)
                return r;
        caps = store_caps(fs->inner);
        store_set_size(s, caps.size);
        store_set_readonly(s, caps.readonly);
        pthread_mutex_lock(&s->mutex);
        s->identity = store_identity(fs->inner);
        pthread_mutex_unlock(&s->mutex);
        return 0;
}

static int fault_attach(StoreChannel *ch)
{
        FaultStore *fs = (FaultStore *)ch->store;
        FaultChannel *fc = calloc(1, sizeof(*fc));
        int r;

        if (!fc)
                return -ENOMEM;
        r = store_attach(fs->inner, ch->host, &fc->inner);
        if (r < 0) {
                free(fc);
                return r;
        }
        ch->private = fc;
        return 0;
}

static void fault_detach(StoreChannel *ch)
{
        FaultChannel *fc = ch->private;
        FaultIo *f;

        while ((f = fc->free)) {
                fc->free = f->next;
                free(f);
        }
        fc->inner = store_detach(fc->inner);
        free(fc);
        ch->private = NULL;
}

static void fault_free(Store *s)
{
        FaultStore *fs = (FaultStore *)s;

        fs->inner = store_unref(fs->inner);
        fs->cache = fault_cache_free(fs->cache);
        (void)pthread_mutex_destroy(&fs->mutex);
        store_done(s);
        free(fs);
}

/* What is in the cache is nowhere else yet, so that nobody can say. */
static int fault_extent(Store *s, uint64_t offset, bool *ret_mapped, uint64_t *ret_length)
{
        FaultStore *fs = (FaultStore *)s;
        bool cached;

        pthread_mutex_lock(&fs->mutex);
        cached = fs->cache != NULL;
        pthread_mutex_unlock(&fs->mutex);
        return cached ? 0 : store_extent(fs->inner, offset, ret_mapped, ret_length);
}

static const StoreOps fault_ops = {
        .attach = fault_attach,
        .detach = fault_detach,
        .submit = fault_submit,
        .cancel = fault_cancel,
        .refresh = fault_refresh,
        .configure = fault_configure,
        .extent = fault_extent,
        .free = fault_free,
};

static int open_inner(FaultStore *fs, const StoreSpec *spec, StoreError *reterr)
{
        StoreSpec inner = *spec;

        if (STREQ(fs->config.store, "fault"))
                return store_error(reterr, -EINVAL,
                                   "option store=fault: a fault store wraps rdwr, "
                                   "aio, null or ram");
        inner.type = fs->config.store;
        inner.options = NULL;
        inner.granularity = FAULT_SECTOR;
        return store_open(&inner, &fs->inner, reterr);
}

static void take_caps(FaultStore *fs)
{
        Store *s = &fs->store;
        const FaultConfig *c = &fs->config;

        s->caps = store_caps(fs->inner);
        s->identity = store_identity(fs->inner);
        s->align = s->zap_align = FAULT_SECTOR;
        if (c->block_size) {
                s->align = s->zap_align = s->caps.block_size = c->block_size;
                s->caps.physical_size = MAX(s->caps.physical_size, c->block_size);
        }
        s->native = (c->no_fua ? 0 : NATIVE_FUA) | (c->no_zero ? 0 : NATIVE_ZERO);
        if (c->no_zero)
                s->caps.zero = false;
        if (c->no_discard) {
                s->caps.discard_granularity = 0;
                s->caps.discard_zeroes = false;
        }
        s->caps.volatile_cache = true;
}

int fault_open(const StoreSpec *spec, Store **ret, StoreError *reterr)
{
        FaultStore *fs = calloc(1, sizeof(*fs));
        int r;

        if (!fs)
                return -ENOMEM;
        r = store_init(&fs->store, &fault_ops, spec);
        if (r >= 0) {
                r = -pthread_mutex_init(&fs->mutex, NULL);
                if (r < 0)
                        store_done(&fs->store);
        }
        if (r < 0) {
                free(fs);
                return r;
        }
        list_init(&fs->hung);
        fs->config = (FaultConfig){ .ops = ALL_OPS,
                                    .end = UINT64_MAX,
                                    .probability = 100,
                                    .honour_cancel = true,
                                    .seed = 1,
                                    .store = "rdwr" };
        r = parse_options(&fs->config, spec->options, true, reterr);
        fs->config.crash = false;
        if (r >= 0 && fs->config.lose_unflushed)
                r = fault_cache_new(&fs->cache);
        if (r >= 0)
                r = open_inner(fs, spec, reterr);
        if (r < 0) {
                fault_free(&fs->store);
                return r;
        }
        take_caps(fs);
        store_ready(&fs->store);
        *ret = &fs->store;
        return 0;
}
