/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libaio.h>
#include <linux/fs.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "store/file.h"

/* Direct I/O by libaio. One context per worker for all stores: requests of a turn go to the kernel
 * together at its end, and one descriptor in the loop says that some are complete.
 *
 * io_submit() may block: for room in the device's queue, for the allocation of a hole. A worker
 * must not, so requests carry RWF_NOWAIT where the file knows it; what the kernel then refuses, or
 * does in part only, is done by a job. */

#define EVENTS_MAX 1024 /* per worker; counted against fs.aio-max-nr */
#define EVENTS_MIN 16
#define BATCH 64
#define RETRY_NS                                                                         \
        NSEC_PER_MSEC /* when the kernel is out of memory and nothing of ours is with it \
                       */

typedef struct AioContext {
        io_context_t kernel;
        Loop *loop;
        LoopIo io; /* the eventfd */
        LoopTask flush;
        LoopTimer retry;
        List queue; /* AioIo.link: not submitted */
        unsigned in_kernel, max;
} AioContext;

/* One StoreIo; once it goes to a job, its private part is a FileJob instead. */
typedef struct AioIo {
        struct iocb iocb;
        List link;
        StoreIo *io;
        bool cancelled;
} AioIo;

_Static_assert(sizeof(AioIo) <= sizeof(((StoreIo *)0)->private), "StoreIo.private is too small");

static AioIo *aio_io(StoreIo *io)
{
        return (AioIo *)(void *)io->private;
}

static FileStore *file_of(const StoreIo *io)
{
        return (FileStore *)io->channel->store;
}

static bool *nowait_refused(const StoreIo *io)
{
        FileStore *fs = file_of(io);

        return io->op == STORE_WRITE ? &fs->no_nowait_write : &fs->no_nowait_read;
}

/* ---- completion ---- */

static void finish(StoreIo *io, long res)
{
        bool data = io->op == STORE_READ || io->op == STORE_WRITE;

        if (data ? res == (long)io->length : res == 0) {
                io->result = 0;
                io->done(io);
                return;
        }
        /* Would have blocked, or met a boundary: a job does all of it, and gets the error if there
         * is one. Our buffer and range are still ours, so doing it twice does no harm. */
        if (res == -EOPNOTSUPP && data)
                __atomic_store_n(nowait_refused(io), true, __ATOMIC_RELAXED);
        if (res >= 0 || res == -EAGAIN || res == -EINTR || res == -EOPNOTSUPP) {
                file_job(io->channel, io, 0);
                return;
        }
        io->result = (int)res;
        io->done(io);
}

static void reap(AioContext *ctx)
{
        struct io_event events[BATCH];
        struct timespec zero = { 0 };
        int n;

        do {
                n = io_getevents(ctx->kernel, 0, BATCH, events, &zero);
                if (n > 0)
                        ctx->in_kernel -= (unsigned)n;
                for (int i = 0; i < n; i++)
                        finish(events[i].data, (long)events[i].res);
        } while (n == BATCH || n == -EINTR);
}

static void context_ready(LoopIo *lio, uint32_t events)
{
        AioContext *ctx = CONTAINER_OF(lio, AioContext, io);
        uint64_t count;

        if (read(lio->fd, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR)
                return;
        reap(ctx);
        if (!list_empty(&ctx->queue))
                loop_defer(ctx->loop, &ctx->flush);
}

/* ---- submission ---- */

static void prepare(AioIo *aio)
{
        StoreIo *io = aio->io;
        FileStore *fs = file_of(io);
        bool write = io->op == STORE_WRITE;
        int flags = write && (io->flags & STORE_FUA) ? RWF_DSYNC : 0;

        if (io->op == STORE_FLUSH)
                io_prep_fdsync(&aio->iocb, fs->fd);
        else {
                if (!__atomic_load_n(nowait_refused(io), __ATOMIC_RELAXED))
                        flags |= RWF_NOWAIT;
                if (write)
                        io_prep_pwritev2(&aio->iocb, fs->fd, io->iov, (int)io->n_iov,
                                         (long long)io->offset, flags);
                else
                        io_prep_preadv2(&aio->iocb, fs->fd, io->iov, (int)io->n_iov,
                                        (long long)io->offset, flags);
        }
        aio->iocb.data = io;
}

/* The kernel did not take the first one. false: not now, it stays at the head of the queue. */
static bool refused(AioContext *ctx, AioIo *aio, int r)
{
        StoreIo *io = aio->io;

        if (r == -EAGAIN || r == -ENOMEM) {
                if (ctx->in_kernel == 0)
                        loop_timer_in(ctx->loop, &ctx->retry, RETRY_NS);
                return false;
        }
        if (r == -EOPNOTSUPP && (aio->iocb.aio_rw_flags & RWF_NOWAIT)) {
                __atomic_store_n(nowait_refused(io), true, __ATOMIC_RELAXED);
                return true; /* prepared anew in the next round */
        }
        /* What asynchronous I/O does not know (a flush, before Linux 4.18), a job does. */
        list_remove(&aio->link);
        file_job(io->channel, io, 0);
        return true;
}

static void drop_cancelled(AioContext *ctx)
{
        LIST_FOREACH_SAFE (aio, &ctx->queue, AioIo, link) {
                StoreIo *io = aio->io;

                if (!aio->cancelled)
                        continue;
                list_remove(&aio->link);
                io->result = -ECANCELED;
                io->done(io);
        }
}

static unsigned gather(AioContext *ctx, AioIo **batch, struct iocb **iocbs)
{
        unsigned n = 0;

        LIST_FOREACH (aio, &ctx->queue, AioIo, link) {
                if (n == BATCH || ctx->in_kernel + n >= ctx->max)
                        break;
                prepare(aio);
                io_set_eventfd(&aio->iocb, ctx->io.fd);
                batch[n] = aio;
                iocbs[n++] = &aio->iocb;
        }
        return n;
}

static void context_flush(LoopTask *task)
{
        AioContext *ctx = CONTAINER_OF(task, AioContext, flush);
        struct iocb *iocbs[BATCH];
        AioIo *batch[BATCH];
        unsigned n;

        drop_cancelled(ctx);
        while ((n = gather(ctx, batch, iocbs)) > 0) {
                int r = io_submit(ctx->kernel, n, iocbs);

                if (r == -EINTR)
                        continue;
                if (r <= 0) {
                        if (!refused(ctx, batch[0], r < 0 ? r : -EAGAIN))
                                return;
                        continue;
                }
                ctx->in_kernel += (unsigned)r;
                for (int i = 0; i < r; i++)
                        list_remove(&batch[i]->link);
        }
}

static void context_retry(LoopTimer *timer)
{
        AioContext *ctx = CONTAINER_OF(timer, AioContext, retry);

        loop_defer(ctx->loop, &ctx->flush);
}

static bool aio_submit(StoreChannel *ch, StoreIo *io)
{
        AioContext *ctx = ch->host->aio;
        AioIo *aio = aio_io(io);

        if (io->op == STORE_DISCARD || io->op == STORE_ZERO) {
                file_job(ch, io, 0);
                return false;
        }
        aio->io = io;
        aio->cancelled = false;
        list_append(&ctx->queue, &aio->link);
        loop_defer(ctx->loop, &ctx->flush);
        return false;
}

/* ---- contexts ---- */

static int context_new(Loop *loop, AioContext **ret)
{
        AioContext *ctx = calloc(1, sizeof(*ctx));
        int r;

        if (!ctx)
                return -ENOMEM;
        ctx->loop = loop;
        ctx->flush.run = context_flush;
        ctx->retry.fire = context_retry;
        ctx->io.ready = context_ready;
        list_init(&ctx->queue);
        ctx->io.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (ctx->io.fd < 0) {
                r = -errno;
                free(ctx);
                return r;
        }
        /* The host's limit is shared by everybody: take less where it is nearly reached. */
        for (ctx->max = EVENTS_MAX;; ctx->max /= 2) {
                r = io_setup((int)ctx->max, &ctx->kernel);
                if (r != -EAGAIN || ctx->max <= EVENTS_MIN)
                        break;
        }
        if (r >= 0) {
                r = loop_io(loop, &ctx->io, EPOLLIN);
                if (r < 0)
                        (void)io_destroy(ctx->kernel);
        }
        if (r < 0) {
                (void)safe_close(ctx->io.fd);
                free(ctx);
                return r;
        }
        *ret = ctx;
        return 0;
}

struct AioContext *aio_context_free(AioContext *ctx)
{
        if (!ctx)
                return NULL;
        loop_timer_cancel(ctx->loop, &ctx->retry);
        (void)loop_io(ctx->loop, &ctx->io, 0);
        (void)io_destroy(ctx->kernel);
        (void)safe_close(ctx->io.fd);
        free(ctx);
        return NULL;
}

static int aio_attach(StoreChannel *ch)
{
        return ch->host->aio ? 0 : context_new(ch->loop, &ch->host->aio);
}

/* Only what has not been given to the kernel can be taken back. */
static void aio_cancel(StoreChannel *ch, StoreIo *io)
{
        AioContext *ctx = ch->host->aio;

        LIST_FOREACH (aio, &ctx->queue, AioIo, link) {
                if (aio->io != io)
                        continue;
                aio->cancelled = true;
                loop_defer(ctx->loop, &ctx->flush);
                return;
        }
}

static const StoreOps aio_ops = {
        .attach = aio_attach,
        .submit = aio_submit,
        .cancel = aio_cancel,
        .refresh = file_refresh,
        .free = file_free,
};

int aio_open(const StoreSpec *spec, Store **ret, StoreError *reterr)
{
        return file_open(spec, &aio_ops, true, ret, reterr);
}
