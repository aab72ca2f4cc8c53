/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/file-io.h"

/* Buffered files and devices. What would wait for a disk is done by a job; what is in the page
 * cache is copied here and now, since handing over costs more than the copy: RWF_NOWAIT tells the
 * two apart. */

#define INLINE_MAX MIB

static bool flag(const bool *p)
{
        return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* tmpfs never waits for a disk (but for swap, which nobody escapes). */
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
        if (io->op != STORE_READ && io->op != STORE_WRITE)
                return false;
        if (flag(refused) || io->length > INLINE_MAX || (io->flags & STORE_FUA))
                return false;
        n = file_transfer(fs->fd, io, 0, RWF_NOWAIT);
        if (n == -EOPNOTSUPP)
                __atomic_store_n(refused, true, __ATOMIC_RELAXED);
        if (n < 0)
                return false;
        *ret_transferred = (size_t)n;
        io->result = 0;
        return (size_t)n == io->length;
}

static bool rdwr_submit(StoreChannel *ch, StoreIo *io)
{
        FileStore *fs = (FileStore *)ch->store;
        size_t transferred = 0;

        if (flag(&fs->memory)) {
                if (memory_submit(fs, io))
                        return true;
        } else if (!fs->direct && nowait_submit(fs, io, &transferred))
                return true;
        file_job(ch, io, transferred);
        return false;
}

static const StoreOps rdwr_ops = {
        .submit = rdwr_submit,
        .cancel = file_cancel,
        .refresh = file_refresh,
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
