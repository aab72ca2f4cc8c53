/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/file-io.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

/* One request, done with system calls that block. On a thread of the job pool, or inline where the
 * file system is memory. */

/* What cannot be interrupted is cut, so that a cancelled discard of a whole disk ends. */
#define ZAP_PIECE GIB

ssize_t file_transfer(int fd, const StoreIo *io, size_t skip, int flags)
{
        struct iovec v[STORE_IOV_MAX];
        const struct iovec *iov = io->iov;
        unsigned n = io->n_iov;
        off_t at = (off_t)(io->offset + skip);
        ssize_t k;

        if (skip > 0) {
                n = iov_skip(io->iov, io->n_iov, skip, v);
                iov = v;
        }
        do
                k = io->op == STORE_READ ? preadv2(fd, iov, (int)n, at, flags)
                                         : pwritev2(fd, iov, (int)n, at, flags);
        while (k < 0 && errno == EINTR);
        return k < 0 ? -errno : k;
}

static int flush(int fd)
{
        int r;

        do
                r = fdatasync(fd);
        while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : 0;
}

static int transfer_all(int fd, const StoreIo *io, size_t done)
{
        bool fua = io->op == STORE_WRITE && (io->flags & STORE_FUA);
        int flags = fua ? RWF_DSYNC : 0;
        bool flush_after = false;

        while (done < io->length) {
                ssize_t n = file_transfer(fd, io, done, flags);

                if (n == -EOPNOTSUPP && flags) {
                        flags = 0;
                        flush_after = true;
                        continue;
                }
                if (n < 0)
                        return (int)n;
                /* the file ends before what its size said */
                if (n == 0)
                        return io->op == STORE_READ ? -ERANGE : -EIO;
                done += (size_t)n;
        }
        return flush_after ? flush(fd) : 0;
}

static int call_fallocate(int fd, int mode, uint64_t offset, uint64_t length)
{
        int r;

        do
                r = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
        while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : 0;
}

/* Deallocates so that zeros are read; -EOPNOTSUPP where that cannot be promised. */
static int punch(FileStore *fs, uint64_t offset, uint64_t length)
{
        int r;

        if (__atomic_load_n(&fs->no_punch, __ATOMIC_RELAXED))
                return -EOPNOTSUPP;
        r = call_fallocate(fs->fd, FALLOC_FL_PUNCH_HOLE, offset, length);
        if (r == -EOPNOTSUPP && !fs->block_device)
                __atomic_store_n(&fs->no_punch, true, __ATOMIC_RELAXED);
        return r;
}

static int zero_range(FileStore *fs, uint64_t offset, uint64_t length)
{
        int r;

        if (__atomic_load_n(&fs->no_zero_range, __ATOMIC_RELAXED))
                return -EOPNOTSUPP;
        r = call_fallocate(fs->fd, FALLOC_FL_ZERO_RANGE, offset, length);
        if (r == -EOPNOTSUPP)
                __atomic_store_n(&fs->no_zero_range, true, __ATOMIC_RELAXED);
        return r;
}

static int zap_piece(FileStore *fs, const StoreIo *io, uint64_t offset, uint64_t length)
{
        uint64_t range[2] = { offset, length };
        int r = -EOPNOTSUPP;

        if (io->op == STORE_DISCARD || (io->flags & STORE_UNMAP_OK))
                r = punch(fs, offset, length);
        if (r != -EOPNOTSUPP)
                return r;
        if (io->op == STORE_ZERO)
                return zero_range(fs, offset, length);
        if (!fs->block_device)
                return -EOPNOTSUPP;
        /* Its kernel interface does not say that zeros are read afterwards; where caps say so,
         * zeros are written. */
        if (fs->store.caps.discard_zeroes)
                return zero_range(fs, offset, length);
        return ioctl(fs->fd, BLKDISCARD, range) < 0 ? -errno : 0;
}

static int zap(FileStore *fs, const StoreIo *io, const bool *cancelled)
{
        bool stable = fs->sync || (io->flags & STORE_FUA);
        uint64_t done = 0;

        while (done < io->length) {
                uint64_t n = min_u64(io->length - done, ZAP_PIECE);
                int r;

                if (done > 0 && cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED))
                        return -ECANCELED;
                r = zap_piece(fs, io, io->offset + done, n);
                if (r < 0)
                        return r;
                done += n;
        }
        return stable ? flush(fs->fd) : 0;
}

int file_execute(FileStore *fs, const StoreIo *io, size_t transferred, const bool *cancelled)
{
        switch (io->op) {
        case STORE_READ:
        case STORE_WRITE:
                return transfer_all(fs->fd, io, transferred);
        case STORE_FLUSH:
                return flush(fs->fd);
        case STORE_DISCARD:
        case STORE_ZERO:
                return zap(fs, io, cancelled);
        }
        return -EOPNOTSUPP;
}

FileJob *file_job_init(StoreIo *io, size_t transferred)
{
        FileJob *fj = (FileJob *)(void *)io->private;

        *fj = (FileJob){ .io = io, .transferred = transferred };
        return fj;
}

void file_job_execute(FileJob *fj)
{
        FileStore *fs = (FileStore *)fj->io->channel->store;

        /* What was given up while it waited for a thread need not begin. */
        if (fj->transferred == 0 && __atomic_load_n(&fj->cancelled, __ATOMIC_RELAXED))
                fj->io->result = -ECANCELED;
        else
                fj->io->result = file_execute(fs, fj->io, fj->transferred, &fj->cancelled);
}

static void job_work(LoopJob *job)
{
        file_job_execute(CONTAINER_OF(job, FileJob, job));
}

static void job_done(LoopJob *job)
{
        StoreIo *io = CONTAINER_OF(job, FileJob, job)->io;

        io->done(io);
}

void file_job(StoreChannel *ch, StoreIo *io, size_t transferred)
{
        FileJob *fj = file_job_init(io, transferred);

        fj->job.work = job_work;
        fj->job.done = job_done;
        loop_job(ch->loop, &ch->store->lane, &fj->job);
}

void file_cancel(StoreChannel *ch, StoreIo *io)
{
        FileJob *fj = (FileJob *)(void *)io->private;

        __atomic_store_n(&fj->cancelled, true, __ATOMIC_RELAXED);
}
