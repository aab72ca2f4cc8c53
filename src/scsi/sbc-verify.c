/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/core.h"

/* VERIFY and WRITE AND VERIFY (SBC-3 5.29 to 5.35, 5.41 to 5.43): the medium is read in pieces and,
 * as BYTCHK says, compared with the Data-Out. */

#define PIECE (256 * KIB)

enum { BYTCHK_NONE = 0, BYTCHK_ALL = 1, BYTCHK_RESERVED = 2, BYTCHK_ONE = 3 };

static unsigned bytchk(const Task *task)
{
        return (task_cdb(task)[1] >> 1) & 3;
}

uint64_t sbc_verify_out(const Task *task)
{
        unsigned shift = task->slot->lu->block_shift;

        if (task->blocks == 0)
                return 0;
        switch (bytchk(task)) {
        case BYTCHK_ALL:
                return task->blocks << shift;
        case BYTCHK_ONE:
                return UINT64_C(1) << shift;
        default:
                return 0;
        }
}

static uint64_t piece_blocks(const Task *task)
{
        return min_u64(task->blocks - task->cursor, PIECE >> task->slot->lu->block_shift);
}

static bool same(const Task *task, uint64_t blocks)
{
        unsigned shift = task->slot->lu->block_shift;
        const uint8_t *read = task->in_buffer->data;

        switch (bytchk(task)) {
        case BYTCHK_ALL:
                return memcmp(read, task->buffer->data + (task->cursor << shift),
                              blocks << shift) == 0;
        case BYTCHK_ONE:
                for (uint64_t i = 0; i < blocks; i++)
                        if (memcmp(read + (i << shift), task->buffer->data, 1u << shift) != 0)
                                return false;
                return true;
        default:
                return true;
        }
}

/* Reads on from cursor; the piece that was asked for last is in in_buffer if step says so. */
static Run verify(Task *task, int r, bool have_piece)
{
        if (have_piece) {
                uint64_t blocks = piece_blocks(task);

                if (r < 0)
                        return task_check(task, SENSE_MEDIUM_ERROR, ASC_READ_ERROR);
                if (!same(task, blocks))
                        return task_check(task, SENSE_MISCOMPARE, ASC_MISCOMPARE_DURING_VERIFY);
                task->cursor += blocks;
        }
        if (task->cursor == task->blocks)
                return task_status(task, SCSI_GOOD);
        if (!task->in_buffer) {
                unsigned shift = task->slot->lu->block_shift;

                task->in_buffer = task_buffer(task, min_u64(PIECE, task->blocks << shift));
                if (!task->in_buffer)
                        return task_status(task, SCSI_TASK_SET_FULL);
        }
        return io_prepare(task, STORE_READ, task->lba + task->cursor, piece_blocks(task),
                          task->in_buffer, 0)
                       ? RUN_IO
                       : RUN_DONE;
}

Run sbc_verify(Task *task, int r)
{
        bool have_piece = task->step > 0;

        if (bytchk(task) == BYTCHK_RESERVED)
                return task_bad_cdb(task, 1, 2);
        if (have_piece && r < 0 && r != -EIO)
                return task_store_error(task, r);
        task->step = 1;
        return verify(task, r, have_piece);
}

enum { WV_START, WV_WRITTEN, WV_VERIFYING };

Run sbc_write_verify(Task *task, int r)
{
        switch (task->step) {
        case WV_START:
                if (task->blocks == 0)
                        return task_status(task, SCSI_GOOD);
                task->step = WV_WRITTEN;
                if (!io_prepare(task, STORE_WRITE, task->lba, task->blocks, task->buffer, 0))
                        return RUN_DONE;
                /* what is verified is the medium */
                task->io->req.flags = STORE_FUA;
                return RUN_IO;
        case WV_WRITTEN:
                if (r < 0)
                        return task_store_error(task, r);
                task->step = WV_VERIFYING;
                return verify(task, 0, false);
        default:
                if (r < 0 && r != -EIO)
                        return task_store_error(task, r);
                return verify(task, r, true);
        }
}
