/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "scsi/core.h"

/* UNMAP (SBC-3 5.28) and WRITE SAME (SBC-3 5.44, 5.45). */

/* Bytes of one request to the store: a command that is given up ends within one of them. */
#define ZERO_PIECE (256 * MIB)
#define PATTERN_PIECE (1 * MIB)

bool sbc_has_unmap(const LuSlot *slot)
{
        return lu_can_unmap(slot->lu);
}

/* ---- UNMAP --------------------------------------------------------------------------------- */

#define UNMAP_HEADER 8
#define UNMAP_DESCRIPTOR 16

static const uint8_t *descriptor(const Task *task, size_t i)
{
        return task->buffer->data + UNMAP_HEADER + i * UNMAP_DESCRIPTOR;
}

/* Everything is checked before anything is done. false: the task has its status. */
static bool check_descriptors(Task *task)
{
        const LuState *s = &task->slot->state;
        size_t length = task->out_want, data = get_be16(task->buffer->data + 2);
        uint64_t total = 0;

        task->aux = (uint32_t)(MIN(data, length - UNMAP_HEADER) / UNMAP_DESCRIPTOR);
        if (task->aux > s->limits.max_unmap_descriptors) {
                task_bad_parameter(task, 2, -1);
                return false;
        }
        for (uint32_t i = 0; i < task->aux; i++) {
                uint64_t lba = get_be64(descriptor(task, i));
                uint32_t blocks = get_be32(descriptor(task, i) + 8);

                if (lba > s->blocks || blocks > s->blocks - lba) {
                        task_check(task, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
                        return false;
                }
                total += blocks;
                if (total > s->limits.max_unmap_blocks) {
                        task_bad_parameter(task, (int)(UNMAP_HEADER + i * UNMAP_DESCRIPTOR + 8),
                                           -1);
                        return false;
                }
        }
        return true;
}

enum { UNMAP_START, UNMAP_DESCRIPTORS, UNMAP_FLUSH };

Run sbc_unmap(Task *task, int r)
{
        if (r < 0)
                return task_store_error(task, r);
        if (task->step == UNMAP_FLUSH)
                return task_status(task, SCSI_GOOD);
        if (task->step == UNMAP_START) {
                if (task->out_wanted == 0)
                        return task_status(task, SCSI_GOOD);
                if (task->out_want < UNMAP_HEADER)
                        return task_check(task, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
                if (!check_descriptors(task))
                        return RUN_DONE;
                task->step = UNMAP_DESCRIPTORS;
        }
        while (task->cursor < task->aux) {
                const uint8_t *d = descriptor(task, task->cursor++);

                if (get_be32(d + 8) == 0)
                        continue;
                return io_prepare(task, STORE_DISCARD, get_be64(d), get_be32(d + 8), NULL, 0)
                               ? RUN_IO
                               : RUN_DONE;
        }
        if ((task->slot->state.mode & MODE_WCE) || !task->io)
                return task_status(task, SCSI_GOOD);
        task->step = UNMAP_FLUSH;
        return io_prepare(task, STORE_FLUSH, 0, 0, NULL, 0) ? RUN_IO : RUN_DONE;
}

/* ---- WRITE SAME ---------------------------------------------------------------------------- */

#define SAME_UNMAP 0x08
#define SAME_NDOB 0x01 /* WRITE SAME(16) */

static bool has_no_data(const Task *task)
{
        return task->op->cdb_length == 16 && (task_cdb(task)[1] & SAME_NDOB);
}

uint64_t sbc_write_same_out(const Task *task)
{
        return has_no_data(task) ? 0 : UINT64_C(1) << task->slot->lu->block_shift;
}

static bool is_zero(const uint8_t *p, size_t n)
{
        return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static bool fill_pattern(Task *task)
{
        unsigned shift = task->slot->lu->block_shift;
        uint64_t n = min_u64(task->blocks, PATTERN_PIECE >> shift);

        task->in_buffer = task_buffer(task, n << shift);
        if (!task->in_buffer)
                return false;
        for (uint64_t i = 0; i < n; i++)
                memcpy(task->in_buffer->data + (i << shift), task->buffer->data, 1u << shift);
        return true;
}

static Run write_same_piece(Task *task)
{
        const LuSlot *slot = task->slot;
        Buffer *pattern = task->in_buffer;
        uint64_t most = (pattern ? PATTERN_PIECE : ZERO_PIECE) >> slot->lu->block_shift;
        uint64_t n = min_u64(task->blocks - task->cursor, most);

        if (!io_prepare(task, pattern ? STORE_WRITE : STORE_ZERO, task->lba + task->cursor, n,
                        pattern, 0))
                return RUN_DONE;
        if (slot->state.mode & MODE_WCE)
                task->aux = 1; /* a piece may be in the cache only */
        else
                task->io->req.flags |= STORE_FUA;
        if (!pattern && (task_cdb(task)[1] & SAME_UNMAP))
                task->io->req.flags |= STORE_UNMAP_OK;
        task->cursor += n;
        return RUN_IO;
}

enum { SAME_START, SAME_PIECES, SAME_FLUSH };

Run sbc_write_same(Task *task, int r)
{
        if (r < 0)
                return task_store_error(task, r);
        if (task->step == SAME_START) {
                if ((task_cdb(task)[1] & SAME_UNMAP) && !task->slot->state.limits.unmap)
                        return task_bad_cdb(task, 1, 3);
                if (task->blocks > task->slot->state.limits.max_write_same)
                        return task_bad_cdb(task, task->op->length.at, -1);
                task->step = SAME_PIECES;
                task->aux = 0;
                /* with UNMAP, too, what is read afterwards is what was sent: zeros can be unmapped,
                 * anything else is written (SBC-3 4.7.3.4.4) */
                if (!has_no_data(task) && !task->in_buffer &&
                    !is_zero(task->buffer->data, 1u << task->slot->lu->block_shift) &&
                    !fill_pattern(task))
                        return task_status(task, SCSI_TASK_SET_FULL);
        }
        if (task->cursor < task->blocks)
                return write_same_piece(task);
        if (task->step == SAME_FLUSH || !task->aux || (task->slot->state.mode & MODE_WCE))
                return task_status(task, SCSI_GOOD);
        /* the write cache went off meanwhile */
        task->step = SAME_FLUSH;
        return io_prepare(task, STORE_FLUSH, 0, 0, NULL, 0) ? RUN_IO : RUN_DONE;
}
