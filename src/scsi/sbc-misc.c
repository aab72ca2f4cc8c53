/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "scsi/core.h"

/* Capacity, cache, start and stop (SBC-3 5.15, 5.16, 5.8, 5.22, 5.26). */

#define IMMED 0x02 /* SYNCHRONIZE CACHE, PRE-FETCH: byte 1 */

Run sbc_read_capacity10(Task *task, int r)
{
        const LuSlot *slot = task->slot;
        uint64_t blocks = slot->state.blocks;
        Writer w;

        if (!task_reply(task, 8, &w))
                return RUN_DONE;
        write_be32(&w, blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)(blocks - (blocks > 0)));
        write_be32(&w, slot->lu->config.block_size);
        task->in_wanted = 8; /* there is no allocation length */
        task->in_length = (uint32_t)min_u64(8, task->in_expected);
        task->in_iov[0] = (struct iovec){ task->in_buffer->data, task->in_length };
        task->n_in_iov = 1;
        return RUN_DONE;
}

Run sbc_read_capacity16(Task *task, int r)
{
        const LuSlot *slot = task->slot;
        const LuConfig *config = &slot->lu->config;
        const LuLimits *limits = &slot->state.limits;
        uint64_t blocks = slot->state.blocks;
        Writer w;

        if (!task_reply(task, 32, &w))
                return RUN_DONE;
        write_be64(&w, blocks - (blocks > 0));
        write_be32(&w, config->block_size);
        write_u8(&w, 0); /* no protection information */
        write_u8(&w, config->lbppbe & 0x0f);
        write_be16(&w, (uint16_t)((limits->unmap ? 0x8000 : 0) |
                                  (limits->unmap && limits->unmap_zeroes ? 0x4000 : 0) |
                                  (config->lowest_aligned & 0x3fff)));
        write_fill(&w, 0, 16);
        return task_reply_done(task, &w);
}

/* The whole cache: SBC-3 lets a device write more than the range. */
Run sbc_sync_cache(Task *task, int r)
{
        if (task->step > 0)
                return r < 0 ? task_store_error(task, r) : task_status(task, SCSI_GOOD);
        task->step = 1;
        if (!io_prepare(task, STORE_FLUSH, 0, 0, NULL, 0))
                return RUN_DONE;
        if (!(task_cdb(task)[1] & IMMED))
                return RUN_IO;
        io_detach(task);
        return task_status(task, SCSI_GOOD);
}

#define FETCH_PIECE (256 * KIB)
#define FETCH_MAX (16 * MIB) /* of one command */

uint64_t sbc_prefetch_blocks(const Task *task)
{
        return min_u64(task->blocks, FETCH_MAX >> task->slot->lu->block_shift);
}

/* It is in the page cache, or in the disk's, when it has been read. GOOD, not CONDITION MET: nobody
 * can promise that all of it stays there (SBC-3 5.8). */
Run sbc_prefetch(Task *task, int r)
{
        unsigned shift = task->slot->lu->block_shift;
        uint64_t want = sbc_prefetch_blocks(task), n;

        if (r < 0)
                return task_store_error(task, r);
        if (task->cursor == want)
                return task_status(task, SCSI_GOOD);
        n = min_u64(want - task->cursor, FETCH_PIECE >> shift);
        if (!task->in_buffer)
                task->in_buffer = task_buffer(task, n << shift);
        if (!task->in_buffer)
                return task_status(task, SCSI_TASK_SET_FULL);
        if (!io_prepare(task, STORE_READ, task->lba + task->cursor, n, task->in_buffer, 0))
                return RUN_DONE;
        task->cursor += n;
        if (!(task_cdb(task)[1] & IMMED))
                return RUN_IO;
        /* the first piece goes on without the command */
        io_detach(task);
        return task_status(task, SCSI_GOOD);
}

enum { START_BEGIN, START_FLUSHED, START_MOVED };

#define POWER_CONDITION 0xf0 /* byte 4 */
#define NO_FLUSH 0x04
#define LOEJ 0x02
#define START 0x01

static Run eject(Task *task, bool out)
{
        CoordOp *op = task_coord_op(task, &coord_eject);

        if (!op)
                return RUN_DONE;
        op->flag = out;
        task->step = START_MOVED;
        return task_coord_run(task, op);
}

Run sbc_start_stop(Task *task, int r)
{
        uint8_t what = task_cdb(task)[4];
        bool loej = (what & LOEJ) && !(what & POWER_CONDITION);

        switch (task->step) {
        case START_BEGIN:
                if (loej && !task->slot->lu->config.removable)
                        return task_bad_cdb(task, 4, 1);
                if (what & (START | NO_FLUSH | POWER_CONDITION) || !task->slot->state.store)
                        break;
                task->step = START_FLUSHED;
                return io_prepare(task, STORE_FLUSH, 0, 0, NULL, 0) ? RUN_IO : RUN_DONE;
        case START_FLUSHED:
                if (r < 0)
                        return task_store_error(task, r);
                break;
        default:
                task->coord_op = NULL;
                if (r < 0)
                        return task_check(task, SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
                return task_status(task, SCSI_GOOD);
        }
        /* nothing spins: starting, stopping and power conditions change nothing */
        return loej ? eject(task, !(what & START)) : task_status(task, SCSI_GOOD);
}
