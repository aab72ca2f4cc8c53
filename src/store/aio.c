/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/fs.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "store/aio.h"

/* Direct I/O by libaio. One context per worker for all stores: requests of a turn go to the kernel
 * together at its end, and one descriptor in the loop says that some are complete.
 *
 * io_submit() may block: for room in the device's queue, for the allocation of a hole. A worker
 * must not, so requests carry RWF_NOWAIT where the file knows it; what the kernel then refuses, or
 * does in part only, is done by a job.
 *
 * Writes to a regular file do not go that way: while its file system is frozen (fsfreeze(8), a
 * snapshot) io_submit() waits for it, whatever the flags say. They go by io_uring, which does not;
 * where that is missing, from a job of their store, those of a turn together, and so do those that
 * come while that is under way. */

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
        Uring *uring; /* NULL: not here */
} AioContext;

/* Writes of one worker to one regular file. */
typedef struct AioChannel {
        StoreChannel *channel;
        List pending; /* AioIo.link */
        LoopTask flush;
        LoopJob job;
        bool is_running;
        /* the job's while it runs */
        unsigned n_batch;
        AioIo *batch[BATCH];
        struct iocb *iocbs[BATCH];
        int result[BATCH]; /* 1: the kernel has it; else of the write that the job did by itself */
} AioChannel;

static AioIo *aio_io(StoreIo *io)
{
        return (AioIo *)(void *)io->private;
}

static FileStore *file_of(const StoreIo *io)
{
        return (FileStore *)io->channel->store;
}

bool *aio_nowait_refused(const StoreIo *io)
{
        FileStore *fs = file_of(io);

        return io->op == STORE_WRITE ? &fs->no_nowait_write : &fs->no_nowait_read;
}

/* ---- completion ---- */

void aio_finish(StoreIo *io, long res)
{
        bool data = io->op == STORE_READ || io->op == STORE_WRITE;
        AioIo *aio = aio_io(io);

        if (aio->in_batch) {
                aio->res = res;
                aio->complete = true;
                return;
        }
        if (data ? res == (long)io->length : res == 0) {
                io->result = 0;
                io->done(io);
                return;
        }
        /* Would have blocked, or met a boundary: a job does all of it, and gets the error if there
         * is one. Our buffer and range are still ours, so doing it twice does no harm. */
        if (res == -EOPNOTSUPP && data)
                __atomic_store_n(aio_nowait_refused(io), true, __ATOMIC_RELAXED);
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
                        aio_finish(events[i].data, (long)events[i].res);
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
                if ((!write || fs->block_device) &&
                    !__atomic_load_n(aio_nowait_refused(io), __ATOMIC_RELAXED))
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
                __atomic_store_n(aio_nowait_refused(io), true, __ATOMIC_RELAXED);
                return true; /* prepared anew in the next round */
        }
        /* What asynchronous I/O does not know (a flush, before Linux 4.18), a job does. */
        list_remove(&aio->link);
        file_job(io->channel, io, 0);
        return true;
}

bool aio_cancel_in(List *queue, const StoreIo *io)
{
        LIST_FOREACH (aio, queue, AioIo, link)
                if (aio->io == io) {
                        aio->cancelled = true;
                        return true;
                }
        return false;
}

void aio_take_cancelled(List *queue, List *ret)
{
        list_init(ret);
        LIST_FOREACH_SAFE (aio, queue, AioIo, link) {
                if (!aio->cancelled)
                        continue;
                list_remove(&aio->link);
                list_append(ret, &aio->link);
        }
}

void aio_end_cancelled(List *cancelled)
{
        LIST_FOREACH_SAFE (aio, cancelled, AioIo, link) {
                StoreIo *io = aio->io;

                list_remove(&aio->link);
                io->result = -ECANCELED;
                io->done(io);
        }
}

static unsigned gather(AioContext *ctx, AioIo **batch, struct iocb **iocbs)
{
        unsigned n = 0;

        LIST_FOREACH (aio, &ctx->queue, AioIo, link) {
                if (n == AIO_BUNCH || ctx->in_kernel + n >= ctx->max)
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
        struct iocb *iocbs[AIO_BUNCH];
        AioIo *batch[AIO_BUNCH];
        List cancelled;
        unsigned n;

        aio_take_cancelled(&ctx->queue, &cancelled);
        aio_end_cancelled(&cancelled);
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

/* ---- writes to regular files ---- */

static void batch_start(AioChannel *ac)
{
        AioContext *ctx = ac->channel->host->aio;

        ac->n_batch = 0;
        LIST_FOREACH_SAFE (aio, &ac->pending, AioIo, link) {
                if (ac->n_batch == BATCH)
                        break;
                list_remove(&aio->link);
                prepare(aio);
                io_set_eventfd(&aio->iocb, ctx->io.fd);
                aio->in_batch = true;
                ac->batch[ac->n_batch] = aio;
                ac->iocbs[ac->n_batch++] = &aio->iocb;
        }
        ctx->in_kernel += ac->n_batch;
        ac->is_running = true;
        loop_job(ac->channel->loop, &ac->channel->store->lane, &ac->job);
}

/* What the kernel has no room for, or does not take so, is done here: this thread may wait. */
static void batch_work(LoopJob *job)
{
        AioChannel *ac = CONTAINER_OF(job, AioChannel, job);
        AioContext *ctx = ac->channel->host->aio;

        for (unsigned i = 0; i < ac->n_batch;) {
                int r = io_submit(ctx->kernel, MIN(ac->n_batch - i, (unsigned)AIO_BUNCH),
                                  ac->iocbs + i);

                if (r == -EINTR)
                        continue;
                if (r <= 0) {
                        const StoreIo *io = ac->batch[i]->io;

                        ac->result[i++] = file_execute(file_of(io), io, 0, NULL);
                        continue;
                }
                for (int k = 0; k < r; k++)
                        ac->result[i++] = 1;
        }
}

static void batch_done(LoopJob *job)
{
        AioChannel *ac = CONTAINER_OF(job, AioChannel, job);
        AioContext *ctx = ac->channel->host->aio;
        unsigned n = ac->n_batch;
        AioIo *batch[BATCH];
        int result[BATCH];

        memcpy(batch, ac->batch, n * sizeof(AioIo *));
        memcpy(result, ac->result, n * sizeof(int));
        ac->is_running = false;
        if (!list_empty(&ac->pending))
                loop_defer(ac->channel->loop, &ac->flush);
        /* The last of them may be the last of the channel: nothing of it is touched here. */
        for (unsigned i = 0; i < n; i++) {
                AioIo *aio = batch[i];

                aio->in_batch = false;
                if (result[i] <= 0) {
                        ctx->in_kernel--;
                        aio->io->result = result[i];
                        aio->io->done(aio->io);
                } else if (aio->complete)
                        aio_finish(aio->io, aio->res);
        }
}

static void batch_flush(LoopTask *task)
{
        AioChannel *ac = CONTAINER_OF(task, AioChannel, flush);
        List cancelled;

        aio_take_cancelled(&ac->pending, &cancelled);
        if (!ac->is_running && !list_empty(&ac->pending))
                batch_start(ac);
        aio_end_cancelled(&cancelled);
}

/* ---- what the common layer calls ---- */

static bool aio_submit(StoreChannel *ch, StoreIo *io)
{
        AioContext *ctx = ch->host->aio;
        AioIo *aio = aio_io(io);

        if (io->op == STORE_DISCARD || io->op == STORE_ZERO) {
                file_job(ch, io, 0);
                return false;
        }
        aio->io = io;
        aio->cancelled = aio->in_batch = aio->complete = false;
        if (io->op == STORE_WRITE && !file_of(io)->block_device) {
                AioChannel *ac = ch->private;

                if (ctx->uring && !__atomic_load_n(aio_nowait_refused(io), __ATOMIC_RELAXED)) {
                        uring_submit(ctx->uring, aio);
                        return false;
                }
                list_append(&ac->pending, &aio->link);
                loop_defer(ch->loop, &ac->flush);
                return false;
        }
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
        if (uring_new(loop, &ctx->uring) < 0)
                ctx->uring = NULL;
        *ret = ctx;
        return 0;
}

struct AioContext *aio_context_free(AioContext *ctx)
{
        if (!ctx)
                return NULL;
        ctx->uring = uring_free(ctx->uring);
        loop_timer_cancel(ctx->loop, &ctx->retry);
        (void)loop_io(ctx->loop, &ctx->io, 0);
        (void)io_destroy(ctx->kernel);
        (void)safe_close(ctx->io.fd);
        free(ctx);
        return NULL;
}

static int aio_attach(StoreChannel *ch)
{
        AioChannel *ac;
        int r = ch->host->aio ? 0 : context_new(ch->loop, &ch->host->aio);

        if (r < 0)
                return r;
        ac = calloc(1, sizeof(*ac));
        if (!ac)
                return -ENOMEM;
        ac->channel = ch;
        ac->flush.run = batch_flush;
        ac->job.work = batch_work;
        ac->job.done = batch_done;
        list_init(&ac->pending);
        ch->private = ac;
        return 0;
}

static void aio_detach(StoreChannel *ch)
{
        free(ch->private);
        ch->private = NULL;
}

/* Only what has not been given to the kernel can be taken back. */
static void aio_cancel(StoreChannel *ch, StoreIo *io)
{
        AioContext *ctx = ch->host->aio;
        AioChannel *ac = ch->private;

        if (ctx->uring && uring_cancel(ctx->uring, io))
                return;
        if (aio_cancel_in(&ctx->queue, io))
                loop_defer(ctx->loop, &ctx->flush);
        else if (aio_cancel_in(&ac->pending, io))
                loop_defer(ch->loop, &ac->flush);
}

static const StoreOps aio_ops = {
        .attach = aio_attach,
        .detach = aio_detach,
        .submit = aio_submit,
        .cancel = aio_cancel,
        .refresh = file_refresh,
        .extent = file_extent,
        .free = file_free,
};

int aio_open(const StoreSpec *spec, Store **ret, StoreError *reterr)
{
        int r = file_open(spec, &aio_ops, true, ret, reterr);

        if (r >= 0 && !((FileStore *)*ret)->block_device)
                (*ret)->caps.ring_error = uring_check();
        return r;
}
