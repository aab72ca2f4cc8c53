/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/file-io.h"

/* Buffered files and devices. What would wait for a disk is done by a job; what is in the page
 * cache is copied here and now, since handing over costs more than the copy: RWF_NOWAIT tells the
 * two apart.
 *
 * Not for writes to regular files: most file systems do not know it for them, and while one is
 * frozen (fsfreeze(8), a snapshot) writes wait whatever the flags say. File systems let one write
 * at a time into a file: threads would only spin for that. So writes of a turn, and those that come
 * while others are under way, are one job, which does them one after the other. */

#define INLINE_MAX MIB
#define BATCH_MAX 64
#define BATCH_BYTES_MAX (4 * MIB)

typedef struct RdwrChannel {
        StoreChannel *channel;
        List pending;    /* FileJob.link */
        List running;    /* the job's, while is_running */
        bool is_running; /* the job is with the pool */
        LoopTask flush;  /* armed while something is pending and nothing runs */
        LoopJob job;
} RdwrChannel;

static bool flag(const bool *p)
{
        return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* tmpfs never waits for a disk (but for swap, which nobody escapes), and cannot be frozen. */
static bool memory_submit(FileStore *fs, StoreIo *io)
{
        if (io->length > INLINE_MAX)
                return false;
        io->result = file_execute(fs, io, 0, NULL);
        return true;
}

/* What the page cache takes at once. true: all of it, or an error that a job would get too. */
static bool nowait_submit(FileStore *fs, StoreIo *io, size_t *ret_transferred)
{
        bool *refused = io->op == STORE_READ ? &fs->no_nowait_read : &fs->no_nowait_write;
        ssize_t n;

        *ret_transferred = 0;
        if (io->op != STORE_READ && (io->op != STORE_WRITE || !fs->block_device))
                return false;
        if (flag(refused) || io->length > INLINE_MAX || (io->flags & STORE_FUA))
                return false;
        n = file_transfer(fs->fd, io, 0, RWF_NOWAIT);
        /* before Linux 6.0 a buffered write says EINVAL */
        if (n == -EOPNOTSUPP || n == -EINVAL)
                __atomic_store_n(refused, true, __ATOMIC_RELAXED);
        if (n < 0)
                return false;
        *ret_transferred = (size_t)n;
        io->result = 0;
        return (size_t)n == io->length;
}

/* ---- writes in batches ---- */

static void batch_start(RdwrChannel *rc)
{
        uint64_t bytes = 0;
        unsigned n = 0;

        LIST_FOREACH_SAFE (fj, &rc->pending, FileJob, link) {
                if (n++ == BATCH_MAX || (bytes += fj->io->length) > BATCH_BYTES_MAX)
                        if (n > 1)
                                break;
                list_remove(&fj->link);
                list_append(&rc->running, &fj->link);
        }
        rc->is_running = true;
        loop_job(rc->channel->loop, &rc->channel->store->lane, &rc->job);
}

static void batch_work(LoopJob *job)
{
        RdwrChannel *rc = CONTAINER_OF(job, RdwrChannel, job);

        LIST_FOREACH (fj, &rc->running, FileJob, link)
                file_job_execute(fj);
}

static void batch_done(LoopJob *job)
{
        RdwrChannel *rc = CONTAINER_OF(job, RdwrChannel, job);
        FileJob *fj;
        List over;

        list_init(&over);
        list_splice(&over, &rc->running);
        rc->is_running = false;
        if (!list_empty(&rc->pending))
                batch_start(rc);
        /* The last of them may be the last of the channel: nothing of it is touched here. */
        while ((fj = LIST_FIRST(&over, FileJob, link))) {
                list_remove(&fj->link);
                fj->io->done(fj->io);
        }
}

static void batch_flush(LoopTask *task)
{
        RdwrChannel *rc = CONTAINER_OF(task, RdwrChannel, flush);

        if (!rc->is_running && !list_empty(&rc->pending))
                batch_start(rc);
}

static void batch_add(RdwrChannel *rc, StoreIo *io, size_t transferred)
{
        list_append(&rc->pending, &file_job_init(io, transferred)->link);
        if (!rc->is_running)
                loop_defer(rc->channel->loop, &rc->flush);
}

static int rdwr_attach(StoreChannel *ch)
{
        RdwrChannel *rc = calloc(1, sizeof(*rc));

        if (!rc)
                return -ENOMEM;
        rc->channel = ch;
        rc->flush.run = batch_flush;
        rc->job.work = batch_work;
        rc->job.done = batch_done;
        list_init(&rc->pending);
        list_init(&rc->running);
        ch->private = rc;
        return 0;
}

static void rdwr_detach(StoreChannel *ch)
{
        free(ch->private);
        ch->private = NULL;
}

/* ---- */

static bool rdwr_submit(StoreChannel *ch, StoreIo *io)
{
        FileStore *fs = (FileStore *)ch->store;
        size_t transferred = 0;

        if (flag(&fs->memory)) {
                if (memory_submit(fs, io))
                        return true;
        } else if (!fs->direct && nowait_submit(fs, io, &transferred))
                return true;
        /* what waits for the disk itself is done side by side */
        if (io->op == STORE_WRITE && !fs->direct && !fs->sync && !(io->flags & STORE_FUA))
                batch_add(ch->private, io, transferred);
        else
                file_job(ch, io, transferred);
        return false;
}

static const StoreOps rdwr_ops = {
        .attach = rdwr_attach,
        .detach = rdwr_detach,
        .submit = rdwr_submit,
        .cancel = file_cancel,
        .lend = file_lend,
        .refresh = file_refresh,
        .extent = file_extent,
        .free = file_free,
};

int rdwr_open(const StoreSpec *spec, Store **ret, StoreError *reterr)
{
        int r = file_open(spec, &rdwr_ops, spec->direct, ret, reterr);

        /* A write with O_DSYNC waits for the disk whatever else is asked. */
        if (r >= 0 && spec->sync)
                ((FileStore *)*ret)->no_nowait_write = true;
        return r;
}
