/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/core.h"

/* READ and WRITE, 6 to 16 bytes (SBC-3 5.11 to 5.13, 5.36 to 5.38). DPO is a hint we need not take.
 */

#define FUA 0x08 /* byte 1 of all but the 6 byte CDBs */

static bool has_fua(const Task *task)
{
        return task->op->cdb_length > 6 && (task_cdb(task)[1] & FUA);
}

uint64_t sbc_blocks_out(const Task *task)
{
        return task->blocks << task->slot->lu->block_shift;
}

static Run read_done(Task *task, int r)
{
        if (UNLIKELY(r < 0))
                return task_store_error(task, r);
        task->in_length = (uint32_t)min_u64(task->in_wanted, task->in_expected);
        task->in_iov[0] = (struct iovec){ task->in_buffer->data, task->in_length };
        task->n_in_iov = 1;
        return RUN_DONE;
}

enum { READ_START, READ_AFTER_FLUSH, READ_DATA };

Run sbc_read(Task *task, int r)
{
        unsigned shift = task->slot->lu->block_shift;
        uint64_t blocks;

        if (task->step == READ_DATA)
                return read_done(task, r);
        if (task->step == READ_AFTER_FLUSH && r < 0)
                return task_store_error(task, r);
        task->in_wanted = task->blocks << shift;
        /* no more than the initiator takes */
        blocks = (min_u64(task->in_wanted, task->reads ? task->in_expected : 0) +
                  ((1u << shift) - 1)) >>
                 shift;
        if (blocks == 0)
                return task_status(task, SCSI_GOOD);
        /* SBC-3 5.12: what the cache has is on the medium before the medium is read */
        if (UNLIKELY(task->step == READ_START && has_fua(task))) {
                task->step = READ_AFTER_FLUSH;
                return io_prepare(task, STORE_FLUSH, 0, 0, NULL, 0) ? RUN_IO : RUN_DONE;
        }
        if (task_lend(task, (uint32_t)min_u64(task->in_wanted, task->in_expected)))
                return RUN_DONE;
        task->step = READ_DATA;
        task->in_buffer = task_buffer(task, blocks << shift);
        if (UNLIKELY(!task->in_buffer))
                return task_status(task, SCSI_TASK_SET_FULL);
        return io_prepare(task, STORE_READ, task->lba, blocks, task->in_buffer, 0) ? RUN_IO
                                                                                   : RUN_DONE;
}

enum { WRITE_START, WRITE_DATA, WRITE_FLUSH };

Run sbc_write(Task *task, int r)
{
        if (task->step != WRITE_START) {
                if (UNLIKELY(r < 0))
                        return task_store_error(task, r);
                if (LIKELY(task->step == WRITE_FLUSH || (task->io->req.flags & STORE_FUA) ||
                           (task->slot->state.mode & MODE_WCE)))
                        return task_status(task, SCSI_GOOD);
                /* the write cache went off meanwhile, and who did that has had the answer */
                task->step = WRITE_FLUSH;
                return io_prepare(task, STORE_FLUSH, 0, 0, NULL, 0) ? RUN_IO : RUN_DONE;
        }
        if (task->blocks == 0)
                return task_status(task, SCSI_GOOD);
        task->step = WRITE_DATA;
        if (UNLIKELY(!io_prepare(task, STORE_WRITE, task->lba, task->blocks, task->buffer, 0)))
                return RUN_DONE;
        if (has_fua(task) || !(task->slot->state.mode & MODE_WCE))
                task->io->req.flags = STORE_FUA;
        return RUN_IO;
}
