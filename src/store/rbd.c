/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "store/module.h"
#include "store/rbd-cluster.h"

/* Images of Ceph clusters. librbd is asynchronous by itself: a request is handed to it on the
 * channel's loop, and its threads post what is over to that loop. All channels of a store use one
 * handle of the image, since librbd's exclusive lock is one per handle.
 *
 * librbd never gives a request up, and neither do we: a cluster that hangs makes ghosts of what was
 * sent to it, as a disk does. */

/* A larger one would be thousands of requests to the cluster at once. */
#define ZAP_MAX (256 * MIB)
#define DISCARD_GRANULARITY (64 * KIB) /* what Ceph's stores give back at least */
#define SNAPSHOT_HEAD UINT64_MAX

typedef struct RbdStore {
        Store store;
        RbdImage *image; /* changed by refresh, under store.mutex; read by channels without */
        bool shut_out;   /* atomic: the cluster has said so */
} RbdStore;

typedef struct RbdChannel {
        RbdImage *image; /* held */
} RbdChannel;

/* In StoreIo.private. */
typedef struct RbdIo {
        LoopTask task;
        StoreIo *io;
        uint64_t done; /* DISCARD, ZERO: bytes of it */
        ssize_t result;
} RbdIo;

_Static_assert(sizeof(RbdIo) <= sizeof(((StoreIo *)0)->private), "StoreIo.private is too small");

/* ---- requests ---- */

static RbdStore *store_of(const StoreIo *io)
{
        return (RbdStore *)io->channel->store;
}

static bool is_zap(const StoreIo *io)
{
        return io->op == STORE_DISCARD || io->op == STORE_ZERO;
}

/* What the contract has for librbd's errors. */
static int map_error(RbdStore *rs, int r)
{
        switch (r) {
        case -ESHUTDOWN: /* Ceph's EBLOCKLISTED: another has taken the lock, or an administrator */
                __atomic_store_n(&rs->shut_out, true, __ATOMIC_RELAXED);
                return -ENODEV;
        case -ENOENT: /* the image has been removed */
                return -ENODEV;
        default:
                return r;
        }
}

static int zap(rbd_image_t image, const StoreIo *io, uint64_t done, rbd_completion_t completion)
{
        uint64_t n = MIN(io->length - done, ZAP_MAX);
        bool keep = io->op == STORE_ZERO && !(io->flags & STORE_UNMAP_OK);

        /* Not rbd_aio_discard(), which leaves what is smaller than a granularity of its own as it
         * is, and says that all is well. */
        return rbd_aio_write_zeroes(image, io->offset + done, (size_t)n, completion,
                                    keep ? RBD_WRITE_ZEROES_FLAG_THICK_PROVISION : 0, 0);
}

static int start(rbd_image_t image, const StoreIo *io, uint64_t done, rbd_completion_t completion)
{
        switch (io->op) {
        case STORE_READ:
                return rbd_aio_readv(image, io->iov, (int)io->n_iov, io->offset, completion);
        case STORE_WRITE:
                return rbd_aio_writev(image, io->iov, (int)io->n_iov, io->offset, completion);
        case STORE_FLUSH:
                return rbd_aio_flush(image, completion);
        case STORE_DISCARD:
        case STORE_ZERO:
                return zap(image, io, done, completion);
        }
        return -EOPNOTSUPP;
}

/* On a thread of librbd's. */
static void completed(rbd_completion_t completion, void *userdata)
{
        RbdIo *rio = userdata;

        rio->result = rbd_aio_get_return_value(completion);
        rbd_aio_release(completion);
        loop_post(rio->io->channel->loop, &rio->task);
}

static int send_io(RbdIo *rio)
{
        StoreIo *io = rio->io;
        RbdChannel *rc = io->channel->private;
        rbd_completion_t completion;
        int r = rbd_aio_create_completion(rio, completed, &completion);

        if (r < 0)
                return r;
        r = start(rc->image->image, io, rio->done, completion);
        if (r < 0)
                rbd_aio_release(completion);
        return r < 0 ? map_error(store_of(io), r) : 0;
}

/* Back on the channel's loop. */
static void io_done(LoopTask *task)
{
        RbdIo *rio = CONTAINER_OF(task, RbdIo, task);
        StoreIo *io = rio->io;
        int r = rio->result < 0 ? map_error(store_of(io), (int)rio->result) : 0;

        if (r == 0 && is_zap(io)) {
                rio->done += MIN(io->length - rio->done, ZAP_MAX);
                if (rio->done < io->length) {
                        r = send_io(rio);
                        if (r == 0)
                                return;
                }
        }
        /* What is read behind the end, where the image has become smaller, is short. */
        if (r == 0 && io->op == STORE_READ && (uint64_t)rio->result != io->length)
                r = -ERANGE;
        io->result = r;
        io->done(io);
}

/* The image was opened anew, when nothing was under way any more. */
static void switch_image(RbdChannel *rc, RbdStore *rs)
{
        RbdImage *image;

        pthread_mutex_lock(&rs->store.mutex);
        image = image_ref(rs->image);
        pthread_mutex_unlock(&rs->store.mutex);
        image_unref(rc->image, false);
        rc->image = image;
}

static bool rbd_submit(StoreChannel *ch, StoreIo *io)
{
        RbdStore *rs = (RbdStore *)ch->store;
        RbdChannel *rc = ch->private;
        RbdIo *rio = (RbdIo *)(void *)io->private;

        if (UNLIKELY(rc->image != __atomic_load_n(&rs->image, __ATOMIC_RELAXED)))
                switch_image(rc, rs);
        *rio = (RbdIo){ .task = { .run = io_done }, .io = io };
        io->result = send_io(rio);
        return io->result < 0;
}

static int rbd_attach(StoreChannel *ch)
{
        RbdStore *rs = (RbdStore *)ch->store;
        RbdChannel *rc = calloc(1, sizeof(*rc));

        if (!rc)
                return -ENOMEM;
        pthread_mutex_lock(&rs->store.mutex);
        rc->image = image_ref(rs->image);
        pthread_mutex_unlock(&rs->store.mutex);
        ch->private = rc;
        return 0;
}

static void rbd_detach(StoreChannel *ch)
{
        RbdChannel *rc = ch->private;

        image_unref(rc->image, false);
        free(rc);
}

/* ---- what the image is ---- */

typedef unsigned __int128 Hash;

/* FNV-1a, 128 bits: what is hashed are names that a cluster has made up. */
static void hash_text(Hash *h, const char *s)
{
        const Hash prime = ((Hash)1 << 88) + 0x13b;

        do {
                *h ^= (uint8_t)*s;
                *h *= prime;
        } while (*s++);
}

static int identify(RbdImage *image, const RbdSpec *spec, StoreIdentity *ret)
{
        char text[64], id[IMAGE_NAME_PART_MAX];
        Hash h = ((Hash)UINT64_C(0x6c62272e07bb0142) << 64) | UINT64_C(0x62b821756295c58d);
        uint64_t snapshot = SNAPSHOT_HEAD;
        int r;

        r = image_fsid(image, text);
        if (r < 0)
                return r;
        hash_text(&h, text);
        (void)snprintf(text, sizeof(text), "%lld", (long long)rados_ioctx_get_id(image->pool));
        hash_text(&h, text);
        hash_text(&h, spec->name.space);
        /* an image of format 1 has no id */
        r = rbd_get_id(image->image, id, sizeof(id));
        hash_text(&h, r < 0 ? spec->name.image : id);
        if (*spec->name.snapshot) {
                r = rbd_snap_get_id(image->image, spec->name.snapshot, &snapshot);
                if (r < 0)
                        return r;
        }
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)snapshot);
        hash_text(&h, text);
        *ret = (StoreIdentity){ .kind = 3, .a = (uint64_t)(h >> 64), .b = (uint64_t)h };
        return 0;
}

static int get_size(RbdImage *image, const StoreSpec *spec, uint64_t *ret, StoreError *reterr)
{
        int r = rbd_get_size(image->image, ret);

        return r < 0 ? store_error(reterr, r, "image %s: its size cannot be read: %s", spec->path,
                                   strerror(-r))
                     : 0;
}

/* Each block has to be in one object, whose writes the cluster does one after the other. */
static int check_stripes(RbdImage *image, const StoreSpec *spec, uint32_t granularity,
                         StoreError *reterr)
{
        uint64_t unit;
        int r = rbd_get_stripe_unit(image->image, &unit);

        if (r < 0 || unit % granularity == 0)
                return r;
        return store_error(reterr, -EINVAL,
                           "image %s is striped in units of %llu bytes, which are no multiple of a "
                           "block of %u: copy it to one with --stripe-unit 4096 or more",
                           spec->path, (unsigned long long)unit, granularity);
}

static int describe(RbdStore *rs, const StoreSpec *spec, const RbdSpec *rbd, StoreError *reterr)
{
        Store *s = &rs->store;
        StoreCaps *caps = &s->caps;
        int r;

        r = get_size(rs->image, spec, &caps->size, reterr);
        if (r >= 0)
                r = check_stripes(rs->image, spec, s->granularity, reterr);
        if (r >= 0)
                r = identify(rs->image, rbd, &s->identity);
        if (r < 0)
                return r;
        s->native = NATIVE_ZERO;
        s->close_blocks = true;
        caps->block_size = 512;
        caps->physical_size = 4096;
        caps->readonly = spec->readonly || rs->image->readonly;
        caps->discard_granularity = caps->readonly ? 0 : DISCARD_GRANULARITY;
        caps->discard_zeroes = !caps->readonly;
        caps->zero = !caps->readonly;
        caps->volatile_cache = rs->image->cache;
        if (spec->sync && caps->volatile_cache)
                return store_error(reterr, -EINVAL,
                                   "bsoflags sync: librbd's cache is turned on for image %s "
                                   "itself: rbd config image set %s rbd_cache false",
                                   spec->path, spec->path);
        return 0;
}

/* ---- looking again ---- */

/* What the name stands for now. */
typedef struct Found {
        RbdImage *image; /* held */
        StoreIdentity identity;
        uint64_t size;
} Found;

static int find(const RbdStore *rs, const StoreSpec *spec, Found *ret, StoreError *reterr)
{
        RbdSpec rbd;
        Found f;
        int r = store_rbd_parse(spec, &rbd, reterr);

        if (r < 0)
                return r;
        r = cluster_open(&rbd, &f.image, reterr);
        if (r < 0)
                return r;
        r = get_size(f.image, spec, &f.size, reterr);
        if (r >= 0)
                r = check_stripes(f.image, spec, rs->store.granularity, reterr);
        if (r >= 0)
                r = identify(f.image, &rbd, &f.identity);
        if (r < 0)
                image_unref(f.image, false);
        else
                *ret = f;
        return r;
}

/* Channels take it up with their next request. */
static void put_in_place(RbdStore *rs, const StoreSpec *spec, const Found *f)
{
        Store *s = &rs->store;
        RbdImage *old = rs->image;

        pthread_mutex_lock(&s->mutex);
        s->identity = f->identity;
        __atomic_store_n(&rs->image, f->image, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&s->mutex);
        image_unref(old, false);
        store_set_size(s, f->size);
        store_set_readonly(s, spec->readonly || f->image->readonly);
}

/* The same name, through a connection that works. What was under way through the old one has to be
 * over: it could still be carried out, if only the image had been away. */
static int reopen(RbdStore *rs, const StoreSpec *spec, StoreError *reterr)
{
        Found f;

        if (store_busy(&rs->store) > 0)
                return store_error(reterr, -ENODEV,
                                   "image %s is away, and %u requests are still under way",
                                   spec->path, store_busy(&rs->store));
        if (__atomic_exchange_n(&rs->shut_out, false, __ATOMIC_RELAXED))
                image_shut_out(rs->image);
        if (find(rs, spec, &f, reterr) < 0)
                return -ENODEV;
        put_in_place(rs, spec, &f);
        return 0;
}

/* Who may only read is not told of changes: what is open is compared with what the name stands for.
 * Reads that are under way go on in the old image. */
static int compare(RbdStore *rs, const StoreSpec *spec, StoreError *reterr)
{
        Store *s = &rs->store;
        StoreIdentity known = store_identity(s);
        Found f;
        int r = find(rs, spec, &f, reterr);

        /* Without an answer nothing is known; but an image that has been removed would read as
         * zeros. */
        if (r < 0)
                return r == -ENOENT ? -ENODEV : 0;
        if (f.size == store_size(s) && f.image->readonly &&
            memcmp(&f.identity, &known, sizeof(known)) == 0)
                image_unref(f.image, false);
        else
                put_in_place(rs, spec, &f);
        return 0;
}

static int rbd_refresh(Store *s, const StoreSpec *spec, StoreError *reterr)
{
        RbdStore *rs = (RbdStore *)s;
        uint64_t size;
        int r;

        if (store_is_gone(s))
                return reopen(rs, spec, reterr);
        if (rs->image->readonly && !strchr(spec->path, '@'))
                return compare(rs, spec, reterr);
        r = image_look(rs->image);
        if (r > 0)
                r = get_size(rs->image, spec, &size, NULL);
        else if (r == 0)
                return 0;
        if (r == 0)
                store_set_size(s, size);
        else if (map_error(rs, r) == -ENODEV)
                return store_error(reterr, -ENODEV, "image %s: %s", spec->path,
                                   r == -ESHUTDOWN ? "the cluster has shut this client out"
                                                   : "it has been removed");
        else
                image_look_again(rs->image); /* its header could not be read this time */
        return 0;
}

/* ---- opening and closing ---- */

/* On a thread that may wait. */
static void rbd_free(Store *s)
{
        RbdStore *rs = (RbdStore *)s;

        image_unref(rs->image, true);
        store_done(s);
        free(rs);
}

static const StoreOps rbd_ops = {
        .attach = rbd_attach,
        .detach = rbd_detach,
        .submit = rbd_submit,
        .refresh = rbd_refresh,
        .free = rbd_free,
};

static int open_rbd(const StoreSpec *spec, Store **ret, StoreError *reterr)
{
        RbdStore *rs = calloc(1, sizeof(*rs));
        RbdSpec rbd;
        int r;

        if (!rs)
                return -ENOMEM;
        r = store_init(&rs->store, &rbd_ops, spec);
        if (r < 0) {
                free(rs);
                return r;
        }
        r = store_rbd_parse(spec, &rbd, reterr);
        if (r >= 0)
                r = cluster_open(&rbd, &rs->image, reterr);
        if (r >= 0)
                r = describe(rs, spec, &rbd, reterr);
        if (r < 0) {
                image_unref(rs->image, false);
                store_done(&rs->store);
                free(rs);
                return r;
        }
        store_ready(&rs->store);
        *ret = &rs->store;
        return 0;
}

STORE_MODULE(open_rbd);
