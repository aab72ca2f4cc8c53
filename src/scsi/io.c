/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/core.h"

/* Requests to the store, and what becomes of them when their task is given up. */

/* A flush that was answered before it was done (IMMED) and then failed: nobody but the
 * administrator can still be told. */
static void report_flush(const Io *io)
{
        const ScsiHost *host = &io->worker->host;
        ScsiEvent event = {
                .kind = io->req.result == -ENODEV ? SCSI_EVENT_UNIT_GONE : SCSI_EVENT_IO_ERROR,
                .target = "",
                .initiator = "",
                .lu = io->lu,
                .error = io->req.result,
                .opcode = 0x35,
        };

        if (io->req.op == STORE_FLUSH && io->req.result < 0 && host->event)
                host->event(host->userdata, &event);
}

static void io_done(StoreRequest *req)
{
        Io *io = CONTAINER_OF(req, Io, req);

        io->submitted = false;
        if (io->task) {
                task_advance(io->task, req->result);
                return;
        }
        report_flush(io);
        io_free(io);
}

static Io *io_new(Task *task)
{
        LuSlot *slot = task->slot;
        Channel *ch = slot_channel(slot);
        Io *io = ch ? pool_alloc(&slot->worker->ios) : NULL;

        if (!io)
                return NULL;
        io->channel = channel_ref(ch);
        io->task = task;
        io->worker = slot->worker;
        io->counters = slot->counters;
        io->lu = NULL;
        io->buffer = NULL;
        io->on_board = io->submitted = false;
        memset(&io->ghost_link, 0, sizeof(io->ghost_link));
        task->io = io;
        return io;
}

bool io_prepare(Task *task, StoreOp op, uint64_t lba, uint64_t blocks, Buffer *buffer,
                uint32_t buffer_offset)
{
        Io *io = task->io ? task->io : io_new(task);
        unsigned shift = task->slot->lu->block_shift;

        if (!io) {
                task_status(task, SCSI_TASK_SET_FULL);
                return false;
        }
        io->req.op = op;
        io->req.flags = 0;
        io->req.offset = lba << shift;
        io->req.length = blocks << shift;
        io->req.n_iov = 0;
        io->req.done = io_done;
        io->changes = op == STORE_WRITE || op == STORE_DISCARD || op == STORE_ZERO;
        if (buffer) {
                io->req.iov[0] = (struct iovec){ buffer->data + buffer_offset, io->req.length };
                io->req.n_iov = 1;
        }
        if (io->buffer != buffer) {
                buffer_unref(io->buffer);
                io->buffer = buffer ? buffer_ref(buffer) : NULL;
        }
        return true;
}

/* ---- loans --------------------------------------------------------------------------------- */

#define LEND_MIN (16 * KIB) /* from where on it pays */

/* A loan is what the store has when it is sent, in pieces. A write that comes in between may
 * change it, even in the middle of a block. To the one initiator that has both commands under way
 * at once that is no news: their order is free. It is to everybody else, so that
 *
 * - a unit that several initiators may write to is not lent from: they count on blocks being whole
 *   (a heartbeat that one writes and others read);
 * - whatever comes after a read by the rules of SAM (an ORDERED task, what follows a reset) and
 *   whoever comes after it (another initiator, on this worker or on another) recalls the loan: what
 *   is not sent yet is copied first. That waits for nobody, and not for a peer that does not read.
 *
 * A loan ends when the kernel has taken the bytes, and it takes them by copying. */
bool task_lend(Task *task, uint32_t length)
{
        LuSlot *slot = task->slot;
        StoreLoan loan;
        Channel *ch;

        if (!task->takes_memory || length < LEND_MIN || !slot->state.alone || slot->n_itls > 1 ||
            slot->n_ordered > 0 || slot->barrier)
                return false;
        ch = slot_channel(slot);
        if (!ch || !store_lend(ch->store, task->lba << slot->lu->block_shift, length, &loan))
                return false;
        task->lender = channel_ref(ch);
        task->loan = loan;
        task->in_length = length;
        task->in_iov[0] = (struct iovec){ (void *)loan.memory, length };
        task->n_in_iov = 1;
        return true;
}

void task_loan_begin(Task *task)
{
        list_append(&slot_ref(task->slot)->loans, &task->slot_link);
}

void task_loan_end(Task *task)
{
        store_loan_end(task->lender->store);
        task->lender = channel_unref(task->lender);
        task->loan.memory = NULL;
        list_remove(&task->slot_link);
        slot_unref(task->slot);
}

static void recall(Task *task)
{
        const uint8_t *from = task->loan.memory;

        task->n_in_iov = 0;
        task->in_buffer = task_buffer(task, task->in_length);
        if (task->in_buffer &&
            store_loan_read(&task->loan, 0, task->in_buffer->data, task->in_length) == 0) {
                task->in_iov[0].iov_base = task->in_buffer->data;
                task->n_in_iov = 1;
        }
        task_loan_end(task);
        task->ops->recalled(task, from);
}

void slot_recall_loans(LuSlot *slot)
{
        /* the last may be all that is left of the slot, which then says good-bye, but stays until
         * later */
        LIST_FOREACH_SAFE (task, &slot->loans, Task, slot_link)
                recall(task);
}

/* ---- submission ---------------------------------------------------------------------------- */

bool io_issue(Io *io, int *ret_r)
{
        io->submitted = true;
        if (!store_submit(io->channel->store, &io->req))
                return false;
        io->submitted = false;
        *ret_r = io->req.result;
        return true;
}

Io *io_free(Io *io)
{
        if (!io)
                return NULL;
        if (io->on_board)
                ghost_board_remove(io->channel->board, io);
        if (io->lu) {
                COUNTER_ADD(io->counters, ghosts, -1);
                if (io->buffer)
                        io->counters->ghost_bytes -= io->buffer->size;
                io->worker->n_ghosts--;
                lu_unref(io->lu);
        }
        buffer_unref(io->buffer);
        channel_unref(io->channel);
        pool_free(&io->worker->ios, io);
        return NULL;
}

static void make_ghost(Io *io, LuSlot *slot)
{
        io->task->io = NULL;
        io->task = NULL;
        io->lu = lu_ref(slot->lu);
        io->worker->n_ghosts++;
        COUNTER_ADD(io->counters, ghosts, 1);
        if (io->buffer)
                io->counters->ghost_bytes += io->buffer->size;
}

bool io_give_up(Io *io, LuSlot *slot)
{
        bool changes = io->changes;

        if (!io->submitted) {
                io->task->io = NULL;
                io_free(io);
                return false;
        }
        make_ghost(io, slot);
        /* reads and flushes keep their buffer, but hurt nobody when they end */
        if (changes) {
                io->on_board = true;
                slot->need_ghosts = ghost_board_add(io->channel->board, io);
        }
        store_cancel(&io->req);
        return changes;
}

void io_detach(Task *task)
{
        Io *io = task->io;
        int r;

        make_ghost(io, task->slot);
        if (io_issue(io, &r)) {
                report_flush(io);
                io_free(io);
        }
}
