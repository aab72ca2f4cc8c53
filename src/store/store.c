/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/parse.h"
#include "store/internal.h"
#include "store/options.h"
#include "store/rbd-spec.h"

static const StoreType types[] = {
        { "rdwr", "buffered file or block device, through the page cache", .needs_path = true,
          .options = rdwr_options, .open = rdwr_open },
        { "aio", "file or block device past the page cache (libaio, O_DIRECT)", .needs_path = true,
          .options = rdwr_options, .open = aio_open },
        { "null", "reads zeros, forgets what is written", .needs_size = true,
          .options = null_options, .open = null_open },
        { "ram", "memory, lost when the daemon stops", .needs_size = true, .options = null_options,
          .open = ram_open },
        { "fault", "wraps another type and injects faults, for tests", .options = fault_options,
          .open = fault_open },
        { "rbd", "image in a Ceph cluster (librbd, a module)", .needs_path = true, .remote = true,
          .options = store_rbd_options, .check = store_rbd_check, .key = store_rbd_key,
          .open = store_rbd_open },
        { NULL },
};

uint8_t store_zeroes[STORE_ZEROES_SIZE] __attribute__((aligned(4096)));

const StoreType *store_types(void)
{
        return types;
}

const StoreType *store_type_find(const char *name)
{
        for (const StoreType *t = types; t->name; t++)
                if (STREQ(t->name, name))
                        return t;
        return NULL;
}

int store_error(StoreError *reterr, int r, const char *format, ...)
{
        va_list ap;

        if (!reterr)
                return r;
        va_start(ap, format);
        (void)vsnprintf(reterr->text, sizeof(reterr->text), format, ap);
        va_end(ap);
        return r;
}

/* ---- how many there are ---- */

/* Stores, and those of them that nobody refers to, but which are not closed yet. */
static pthread_mutex_t count_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t count_changed = PTHREAD_COND_INITIALIZER;
static unsigned n_open, n_closing;

static void count(int open, int closing)
{
        pthread_mutex_lock(&count_mutex);
        n_open += (unsigned)open;
        n_closing += (unsigned)closing;
        pthread_cond_broadcast(&count_changed);
        pthread_mutex_unlock(&count_mutex);
}

void store_hold(int by)
{
        count(by, 0);
}

static void deadline_in(uint64_t ns, struct timespec *ret)
{
        (void)clock_gettime(CLOCK_REALTIME, ret);
        ns += (uint64_t)ret->tv_nsec;
        ret->tv_sec += (time_t)(ns / NSEC_PER_SEC);
        ret->tv_nsec = (long)(ns % NSEC_PER_SEC);
}

bool store_wait_closing(uint64_t ns)
{
        struct timespec until;
        unsigned before;
        bool changed;
        int r = 0;

        deadline_in(ns, &until);
        pthread_mutex_lock(&count_mutex);
        before = n_closing;
        while (before > 0 && n_closing >= before && r == 0)
                r = pthread_cond_timedwait(&count_changed, &count_mutex, &until);
        changed = n_closing < before;
        pthread_mutex_unlock(&count_mutex);
        return changed;
}

bool store_wait_closed(uint64_t ns)
{
        struct timespec until;
        bool closed;
        int r = 0;

        deadline_in(ns, &until);
        pthread_mutex_lock(&count_mutex);
        while (n_open > 0 && r == 0)
                r = pthread_cond_timedwait(&count_changed, &count_mutex, &until);
        closed = n_open == 0;
        pthread_mutex_unlock(&count_mutex);
        return closed;
}

/* ---- open, references ---- */

static int check_spec(const StoreType *type, const StoreSpec *spec, StoreError *reterr)
{
        if (type->needs_path && (!spec->path || !*spec->path))
                return store_error(reterr, -EINVAL, "store type %s needs %s", type->name,
                                   type->remote ? "the name of an image"
                                                : "a path to a file or block device");
        if (type->needs_size && spec->size == 0)
                return store_error(reterr, -EINVAL, "store type %s needs a size", type->name);
        if (spec->size > INT64_MAX)
                return store_error(reterr, -EINVAL, "a size of %llu bytes is too large",
                                   (unsigned long long)spec->size);
        return type->check ? type->check(spec, reterr) : 0;
}

static int unknown_type(const char *name, StoreError *reterr)
{
        char list[128] = "";
        size_t n = 0;

        for (const StoreType *t = types; t->name && n < sizeof(list); t++)
                n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s",
                                      !n           ? ""
                                      : !t[1].name ? " or "
                                                   : ", ",
                                      t->name);
        return store_error(reterr, -EINVAL, "unknown store type \"%s\": use %s", name ? name : "",
                           list);
}

int store_check(const StoreSpec *spec, StoreError *reterr)
{
        const StoreType *type = spec->type ? store_type_find(spec->type) : NULL;

        if (reterr)
                reterr->text[0] = '\0';
        return type ? check_spec(type, spec, reterr) : unknown_type(spec->type, reterr);
}

int store_open(const StoreSpec *spec, Store **ret, StoreError *reterr)
{
        const StoreType *type = spec->type ? store_type_find(spec->type) : NULL;
        int r = store_check(spec, reterr);

        if (r < 0)
                return r;
        r = type->open(spec, ret, reterr);
        if (r < 0) {
                if (reterr && !reterr->text[0])
                        store_error(reterr, r, "%s: %s", spec->path ? spec->path : type->name,
                                    strerror(-r));
                return r;
        }
        (*ret)->type = type;
        count(+1, 0);
        return 0;
}

int store_init(Store *s, const StoreOps *ops, const StoreSpec *spec)
{
        int r;

        s->ops = ops;
        s->ref = 1;
        s->align = s->mem_align = s->zap_align = 1;
        s->granularity = spec->granularity ? spec->granularity : 512;
        s->lane.max = 16;
        list_init(&s->channels);
        r = range_locks_init(&s->ranges);
        if (r < 0)
                return r;
        r = -pthread_mutex_init(&s->mutex, NULL);
        if (r < 0)
                range_locks_done(&s->ranges);
        return r;
}

void store_done(Store *s)
{
        (void)pthread_mutex_destroy(&s->mutex);
        range_locks_done(&s->ranges);
}

void store_ready(Store *s)
{
        s->zap_align = MAX(s->zap_align, s->align);
        s->locked = s->align > s->granularity;
        store_set_size(s, s->caps.size);
        store_set_readonly(s, s->caps.readonly);
}

void store_set_size(Store *s, uint64_t size)
{
        /* What is behind the last whole block cannot be written without making the file longer. */
        __atomic_store_n(&s->size, ROUND_DOWN(size, s->align), __ATOMIC_RELAXED);
}

void store_set_readonly(Store *s, bool readonly)
{
        __atomic_store_n(&s->readonly, readonly, __ATOMIC_RELAXED);
}

Store *store_ref(Store *s)
{
        __atomic_add_fetch(&s->ref, 1, __ATOMIC_RELAXED);
        return s;
}

static void *free_thread(void *userdata)
{
        Store *s = userdata;

        s->ops->free(s);
        count(-1, -1);
        return NULL;
}

Store *store_unref(Store *s)
{
        pthread_attr_t attr;
        pthread_t thread;
        int r = -1;

        if (!s || __atomic_sub_fetch(&s->ref, 1, __ATOMIC_ACQ_REL) > 0)
                return NULL;
        /* The last close of a block device writes back what is dirty. */
        if (s->close_blocks && pthread_attr_init(&attr) == 0) {
                (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
                count(0, +1);
                r = pthread_create(&thread, &attr, free_thread, s);
                if (r != 0)
                        count(0, -1);
                (void)pthread_attr_destroy(&attr);
        }
        if (r != 0) {
                s->ops->free(s);
                count(-1, 0);
        }
        return NULL;
}

/* ---- what is known of a store ---- */

const StoreType *store_type(const Store *s)
{
        return s->type;
}

LoopLane *store_lane(Store *s)
{
        return &s->lane;
}

StoreIdentity store_identity(const Store *s)
{
        Store *w = (Store *)s;
        StoreIdentity id;

        pthread_mutex_lock(&w->mutex);
        id = s->identity;
        pthread_mutex_unlock(&w->mutex);
        return id;
}

StoreCaps store_caps(const Store *s)
{
        Store *w = (Store *)s;
        StoreCaps caps;

        pthread_mutex_lock(&w->mutex);
        caps = s->caps;
        pthread_mutex_unlock(&w->mutex);
        caps.size = store_size(s);
        caps.readonly = store_is_readonly(s);
        return caps;
}

unsigned store_busy(const Store *s)
{
        Store *w = (Store *)s;
        unsigned n = 0;

        pthread_mutex_lock(&w->mutex);
        LIST_FOREACH (ch, &w->channels, StoreChannel, link)
                n += __atomic_load_n(&ch->busy, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&w->mutex);
        return n;
}

int store_refresh(Store *s, const StoreSpec *spec, StoreError *reterr)
{
        StoreCaps before = store_caps(s), after;
        bool was_gone = store_is_gone(s);
        int r;

        if (reterr)
                reterr->text[0] = '\0';
        r = s->ops->refresh ? s->ops->refresh(s, spec, reterr) : 0;
        if (r < 0) {
                if (r == -ENODEV)
                        __atomic_store_n(&s->gone, true, __ATOMIC_RELAXED);
                return r;
        }
        __atomic_store_n(&s->gone, false, __ATOMIC_RELAXED);
        after = store_caps(s);
        return was_gone || before.size != after.size || before.readonly != after.readonly;
}

int store_configure(Store *s, const char *options, StoreError *reterr)
{
        if (reterr)
                reterr->text[0] = '\0';
        if (!s->ops->configure)
                return store_error(reterr, -EOPNOTSUPP,
                                   "store type %s has no options that can change while it runs",
                                   s->type->name);
        return s->ops->configure(s, options, reterr);
}

/* ---- hosts and channels ---- */

int store_host_new(Loop *loop, StoreHost **ret)
{
        StoreHost *host = calloc(1, sizeof(*host));

        if (!host)
                return -ENOMEM;
        host->loop = loop;
        *ret = host;
        return 0;
}

StoreHost *store_host_free(StoreHost *host)
{
        if (!host)
                return NULL;
        host->aio = aio_context_free(host->aio);
        free(host);
        return NULL;
}

int store_attach(Store *s, StoreHost *host, StoreChannel **ret)
{
        StoreChannel *ch = calloc(1, sizeof(*ch));
        int r;

        if (!ch)
                return -ENOMEM;
        ch->store = s;
        ch->host = host;
        ch->loop = host->loop;
        r = emulate_attach(ch);
        if (r < 0) {
                free(ch);
                return r;
        }
        r = s->ops->attach ? s->ops->attach(ch) : 0;
        if (r < 0) {
                emulate_detach(ch);
                free(ch);
                return r;
        }
        store_ref(s);
        host->n_channels++;
        pthread_mutex_lock(&s->mutex);
        list_append(&s->channels, &ch->link);
        pthread_mutex_unlock(&s->mutex);
        *ret = ch;
        return 0;
}

StoreChannel *store_detach(StoreChannel *ch)
{
        Store *s;

        if (!ch)
                return NULL;
        s = ch->store;
        pthread_mutex_lock(&s->mutex);
        list_remove(&ch->link);
        pthread_mutex_unlock(&s->mutex);
        if (s->ops->detach)
                s->ops->detach(ch);
        emulate_detach(ch);
        ch->host->n_channels--;
        free(ch);
        store_unref(s);
        return NULL;
}

int store_extent(Store *s, uint64_t offset, bool *ret_mapped, uint64_t *ret_length)
{
        uint64_t size = store_size(s);
        int r;

        if (store_is_gone(s))
                return -ENODEV;
        if (offset >= size)
                return -ERANGE;
        *ret_mapped = true;
        *ret_length = size - offset;
        if (!s->ops->extent)
                return 0;
        r = s->ops->extent(s, offset, ret_mapped, ret_length);
        if (r >= 0) /* it may have grown, or shrunk, meanwhile */
                *ret_length = MAX(MIN(*ret_length, size - offset), UINT64_C(1));
        return r;
}
