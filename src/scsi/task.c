/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "scsi/core.h"
#include "scsi/trace.h"

/* The life of a task: arrival, the gates in their one order, Data-Out, the handler, the end. */

/* ---- results ------------------------------------------------------------------------------- */

static void clear_data_in(Task *task)
{
        task->n_in_iov = 0;
        task->in_length = 0;
        task->in_wanted = 0;
}

Run task_status(Task *task, ScsiStatus status)
{
        task->status = status;
        task->sense_length = 0;
        if (status != SCSI_GOOD)
                clear_data_in(task);
        return RUN_DONE;
}

static void count_error(Task *task)
{
        COUNTER_ADD(task->slot->counters, errors, 1);
        task->itl->counters.errors++;
        COUNTER_ADD(task->slot->worker, n_errors, 1);
}

Run task_sense(Task *task, Sense sense)
{
        bool descriptor = task->slot && (task->slot->state.mode & MODE_D_SENSE);

        clear_data_in(task);
        task->status = SCSI_CHECK_CONDITION;
        task->sense_length = sense_encode(&sense, descriptor, task->sense);
        if (task->slot && sense.key != SENSE_UNIT_ATTENTION)
                count_error(task);
        return RUN_DONE;
}

Run task_check(Task *task, SenseKey key, uint16_t asc)
{
        return task_sense(task, SENSE(key, asc));
}

Run task_bad_cdb(Task *task, int byte, int bit)
{
        Sense s = SENSE(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);

        s.field = byte;
        s.bit = bit;
        return task_sense(task, s);
}

Run task_bad_parameter(Task *task, int byte, int bit)
{
        Sense s = SENSE(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_PARAMETERS);

        s.field = byte;
        s.bit = bit;
        s.in_parameters = true;
        return task_sense(task, s);
}

void task_event(Task *task, ScsiEventKind kind, int error)
{
        const ScsiHost *host = &task->nexus->worker->host;
        ScsiEvent event = {
                .kind = kind,
                .target = task->nexus->target_name,
                .initiator = task->nexus->initiator_port,
                .lu = task->slot->lu,
                .lun = task->itl->lun,
                .error = error,
                .opcode = task_cdb(task)[0],
                .lba = task->lba,
                .blocks = task->blocks,
        };

        if (host->event)
                host->event(host->userdata, &event);
}

/* One row per errno of store.h. */
static const struct {
        int error;
        ScsiEventKind event;
        SenseKey key;
        uint16_t read, write;
} store_errors[] = {
        { EIO, SCSI_EVENT_IO_ERROR, SENSE_MEDIUM_ERROR, ASC_READ_ERROR, ASC_WRITE_ERROR },
        { ENODEV, SCSI_EVENT_UNIT_GONE, SENSE_NOT_READY, ASC_NOT_READY, ASC_NOT_READY },
        { ENOSPC, SCSI_EVENT_IO_ERROR, SENSE_DATA_PROTECT, ASC_SPACE_ALLOCATION_FAILED,
          ASC_SPACE_ALLOCATION_FAILED },
        { EROFS, SCSI_EVENT_IO_ERROR, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED,
          ASC_WRITE_PROTECTED },
        { ERANGE, SCSI_EVENT_IO_ERROR, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE,
          ASC_LBA_OUT_OF_RANGE },
};

Run task_store_error(Task *task, int r)
{
        bool reads = task->io && task->io->req.op == STORE_READ;

        if (r == -ENOMEM)
                return task_status(task, SCSI_BUSY);
        task_event(task, r == -ENODEV ? SCSI_EVENT_UNIT_GONE : SCSI_EVENT_IO_ERROR, r);
        for (size_t i = 0; i < ELEMENTSOF(store_errors); i++)
                if (store_errors[i].error == -r)
                        return task_check(task, store_errors[i].key,
                                          reads ? store_errors[i].read : store_errors[i].write);
        return task_check(task, SENSE_HARDWARE_ERROR, ASC_INTERNAL_TARGET_FAILURE);
}

bool slot_medium_sense(const LuSlot *slot, Sense *ret)
{
        if (operation_sense(slot->lu, slot->state.operation, OP_MEDIUM, ret))
                return true;
        if (slot->state.ejected || (!slot->state.store && slot->lu->config.removable)) {
                *ret = SENSE(SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
                return true;
        }
        if (!slot->state.store) {
                *ret = SENSE(SENSE_NOT_READY, ASC_NOT_READY);
                return true;
        }
        return false;
}

/* ---- buffers ------------------------------------------------------------------------------- */

/* Ghosts outlive their nexus: what they hold is their unit's. The last of the budget is not for
 * units that have more in ghosts than that. */
static bool ghosts_take_too_much(const Task *task, size_t size, size_t left, size_t reserve)
{
        size_t ghosts;

        if (!task->slot || !task->op || !(task->op->flags & OP_TRANSFER))
                return false;
        ghosts = task->slot->counters->ghost_bytes;
        return UNLIKELY(ghosts > 0) && ghosts + size > left && size + reserve / 2 > left;
}

static bool nexus_takes_too_much(const ScsiNexus *nexus, size_t size, size_t left, size_t reserve)
{
        size_t all = nexus->buffer_bytes + size;

        if (nexus->buffer_bytes == 0)
                return false;
        return UNLIKELY(all > left) || (UNLIKELY(size + reserve > left) && all > left / 16);
}

/* An initiator that asks for much and takes nothing, or a disk that hangs, must not leave the
 * others without memory. A nexus may hold as much as it leaves; a few that do bring what is left
 * down to the reserve, and of that each may hold a sixteenth. Who has nothing gets the first. */
Buffer *task_buffer(Task *task, size_t size)
{
        ScsiNexus *nexus = task->nexus;
        BufferPool *pool = nexus->worker->buffers;
        size_t left = buffer_pool_left(pool), reserve = buffer_pool_reserve(pool);
        Buffer *b;

        if (nexus_takes_too_much(nexus, size, left, reserve) ||
            ghosts_take_too_much(task, size, left, reserve))
                return NULL;
        b = buffer_new(pool, size);
        if (LIKELY(b))
                nexus->buffer_bytes += b->size;
        return b;
}

static Buffer *drop_buffer(Task *task, Buffer *b)
{
        if (b)
                task->nexus->buffer_bytes -= b->size;
        return buffer_unref(b);
}

/* ---- parameter data ------------------------------------------------------------------------ */

bool task_reply(Task *task, size_t max, void *ret_writer)
{
        Buffer *b = task_buffer(task, max);

        if (!b) {
                task_status(task, SCSI_TASK_SET_FULL);
                return false;
        }
        task->in_buffer = b;
        *(Writer *)ret_writer = WRITER(b->data, max);
        return true;
}

static uint32_t task_allocation(const Task *task)
{
        return (uint32_t)cdb_field(task_cdb(task), task->op->length);
}

Run task_reply_done(Task *task, const void *writer)
{
        const Writer *w = writer;

        task->in_wanted = MIN(writer_stored(w), task_allocation(task));
        task->in_length = (uint32_t)min_u64(task->in_wanted, task->in_expected);
        task->in_iov[0] = (struct iovec){ task->in_buffer->data, task->in_length };
        task->n_in_iov = task->in_length > 0;
        task->status = SCSI_GOOD;
        return RUN_DONE;
}

/* ---- operations on the unit's state --------------------------------------------------------- */

static void coord_op_done(CoordOp *op)
{
        Task *task = op->owner;
        LuSlot *slot = op->slot;
        int r = op->result;

        /* the handler looks at op through task->coord_op while it runs */
        if (task)
                task_advance(task, r);
        operation_free(op->operation);
        pool_free(&slot->worker->ops, op);
        slot_unref(slot);
}

CoordOp *coord_op_new(ScsiWorker *w, const CoordKind *kind, void *owner)
{
        CoordOp *op = pool_alloc(&w->ops);

        if (op) {
                op->kind = kind;
                op->owner = owner;
                op->ua = UA_NONE;
        }
        return op;
}

CoordOp *task_coord_op(Task *task, const CoordKind *kind)
{
        CoordOp *op = coord_op_new(task->slot->worker, kind, task);

        if (!op) {
                task_status(task, SCSI_BUSY);
                return NULL;
        }
        op->done = coord_op_done;
        op->slot = slot_ref(task->slot);
        op->nexus = task->nexus->id;
        return op;
}

Run task_coord_run(Task *task, CoordOp *op)
{
        task->coord_op = op;
        coord_submit(op, task->slot->lu, task->slot->worker->loop);
        return RUN_WAIT;
}

/* ---- the end ------------------------------------------------------------------------------- */

static void leave(Task *task)
{
        if (task->coord_op) {
                task->coord_op->owner = NULL;
                __atomic_store_n(&task->coord_op->abandoned, true, __ATOMIC_RELAXED);
                task->coord_op = NULL;
        }
        if (UNLIKELY(task->state == TASK_THROTTLED))
                throttle_leave(task);
        if (task->slot && list_linked(&task->slot_link))
                slot_remove(task);
        list_remove(&task->nexus_link);
}

/* The latency is known when the transport releases the task; until then the slot has to stay. */
static void count_transfer(Task *task, LuSlot *slot)
{
        ItlCounters *itl = &task->itl->counters;
        LuCounters *c = slot->counters;

        if (task->op->flags & OP_WRITES) {
                uint32_t bytes = task->data_ready ? task->out_want : 0;

                COUNTER_ADD(c, writes, 1);
                COUNTER_ADD(c, write_bytes, bytes);
                itl->writes++;
                itl->write_bytes += bytes;
        } else {
                uint32_t bytes = task->in_length;

                COUNTER_ADD(c, reads, 1);
                COUNTER_ADD(c, read_bytes, bytes);
                itl->reads++;
                itl->read_bytes += bytes;
        }
        if (LIKELY(c->latency)) {
                task->timed = true;
                slot_ref(slot);
        }
}

static void count(Task *task)
{
        if (task->op->flags & OP_TRANSFER) { /* where there is a unit */
                count_transfer(task, task->slot);
        } else if (task->slot) {
                COUNTER_ADD(task->slot->counters, others, 1);
                task->itl->counters.others++;
        }
}

static void count_lost(const Task *task)
{
        ItlCounters *itl = &task->itl->counters;

        if (!(task->op->flags & OP_TRANSFER))
                return;
        if (task->op->flags & OP_WRITES) {
                itl->lost_writes++;
                itl->lost_write_bytes += task->out_want;
        } else {
                itl->lost_reads++;
                itl->lost_read_bytes += task_read_bytes(task);
        }
}

void task_finish(Task *task)
{
        task->io = io_free(task->io);
        leave(task);
        if (LIKELY(task->op != NULL))
                count(task);
        if (UNLIKELY(task->lender != NULL))
                task_loan_begin(task);
        task->state = TASK_COMPLETE;
        task->ops->complete(task);
}

bool task_give_up(Task *task, GiveUp how)
{
        bool ghost = task->io && io_give_up(task->io, task->slot);

        if (ghost)
                task_event(task, SCSI_EVENT_GHOST, 0);
        leave(task);
        if (task->op && task->slot)
                count_lost(task);
        if (how == GIVE_UP_COMPLETE) {
                task->state = TASK_COMPLETE;
                task->ops->complete(task);
                return ghost;
        }
        task_status(task, SCSI_TASK_ABORTED);
        task->state = TASK_GIVEN_UP;
        task->ops->aborted(task, how == GIVE_UP_TASK_ABORTED);
        return ghost;
}

static inline void add_time(const Task *task)
{
        const Lap lap = task->nexus->worker->lap;
        IoLatency *unit = task->slot->counters->latency, *own = task->nexus->latency;

        if (task->op->flags & OP_WRITES) {
                times_add_to(&unit->write, lap.bucket, lap.ns);
                times_add_to(&own->write, lap.bucket, lap.ns);
        } else {
                times_add_to(&unit->read, lap.bucket, lap.ns);
                times_add_to(&own->read, lap.bucket, lap.ns);
        }
}

/* For the first of a batch, and of a nexus. Not in line: the others need no stack frame for it. */
static __attribute__((noinline)) void add_first_time(const Task *task)
{
        ScsiWorker *w = task->nexus->worker;
        uint64_t ns = w->now - task->since;

        w->lap = (Lap){ task->since, ns, times_bucket(ns) };
        if (!task->nexus->latency)
                nexus_make_latency(task->nexus);
        add_time(task);
}

static void take_time(const Task *task)
{
        if (UNLIKELY(task->nexus->worker->lap.since != task->since || !task->nexus->latency))
                add_first_time(task);
        else
                add_time(task);
        slot_unref(task->slot);
}

void task_release(Task *task)
{
        trace_command_done(task);
        if (UNLIKELY(task->lender != NULL))
                task_loan_end(task);
        if (task->timed)
                take_time(task);
        task->buffer = drop_buffer(task, task->buffer);
        task->in_buffer = drop_buffer(task, task->in_buffer);
        task->n_in_iov = 0;
        task->state = TASK_IDLE;
}

/* ---- running ------------------------------------------------------------------------------- */

/* What these begin waits for ghosts itself. */
#define OPERATES (OP_FORMAT | OP_SANITIZE)

/* May the task touch something that a ghost may still change? */
static bool meets_ghost(const Task *task)
{
        const LuSlot *slot = task->slot;
        unsigned shift;

        if (LIKELY(!slot || !slot->state.ghosts) ||
            !(task->op->flags & (OP_TRANSFER | OP_WRITES)) || (task->op->flags & OPERATES))
                return false;
        shift = slot->lu->block_shift;
        if (!(task->op->flags & OP_RANGE))
                return true; /* ranges in its parameters: any ghost will do */
        return ghost_set_overlaps(slot->state.ghosts, task->lba << shift, task->blocks << shift);
}

/* A write is done, but what it wrote over was given up meanwhile and may come yet: it is to be
 * written again after that, or it would be acknowledged and lost. */
static bool is_overtaken(const Task *task)
{
        const LuSlot *slot = task->slot;

        if (!slot || !(task->op->flags & OP_WRITES) || (task->op->flags & OPERATES) ||
            task->status != SCSI_GOOD)
                return false;
        if (slot->need_ghosts > slot->state.ghosts_version)
                return true; /* which, is not known here yet */
        return task->ghosts_seen != slot->state.ghosts_version && meets_ghost(task);
}

static void start(Task *task)
{
        if (UNLIKELY(meets_ghost(task))) {
                slot_wait_ghost(task);
                return;
        }
        task->deadline_ns = 0;
        task->state = TASK_RUNNING;
        task->step = 0;
        task->cursor = 0;
        if (task->slot)
                task->ghosts_seen = task->slot->state.ghosts_version;
        task_advance(task, 0);
}

void task_advance(Task *task, int r)
{
        for (;;) {
                switch (task->op->run(task, r)) {
                case RUN_WAIT:
                        return;
                case RUN_IO:
                        if (!io_issue(task->io, &r))
                                return;
                        continue;
                case RUN_DONE:
                        break;
                }
                if (UNLIKELY(is_overtaken(task))) {
                        task->io = io_free(task->io);
                        slot_wait_ghost(task);
                        slot_kick_later(task->slot);
                        return;
                }
                task_finish(task);
                return;
        }
}

/* ---- gates --------------------------------------------------------------------------------- */

/* Unit attention, then reservation: what a command passes once. */
static bool admit(Task *task)
{
        const LuSlot *slot = task->slot;
        uint32_t flags = task->op->flags;

        if (task->itl->ua && !(flags & OP_PASS_UA)) {
                task_check(task, SENSE_UNIT_ATTENTION,
                           unit_attention_asc(itl_take_attention(task->itl)));
                return false;
        }
        if (slot && slot->state.reserved_by && slot->state.reserved_by != task->nexus->id &&
            !(flags & OP_PASS_RESERVATION)) {
                task_status(task, SCSI_RESERVATION_CONFLICT);
                return false;
        }
        return true;
}

/* An operation, medium, write protection, range: what may change while a command waits. */
static bool check_medium(Task *task)
{
        const LuState *s = &task->slot->state;
        uint32_t flags = task->op->flags;
        Sense sense;

        if (UNLIKELY(s->operation) &&
            operation_sense(task->slot->lu, s->operation, flags, &sense)) {
                task_sense(task, sense);
                return false;
        }
        if (!(flags & (OP_MEDIUM | OP_WRITES | OP_RANGE)))
                return true;
        if (UNLIKELY(!s->store || s->ejected) && slot_medium_sense(task->slot, &sense)) {
                task_sense(task, sense);
                return false;
        }
        if ((flags & OP_WRITES) && (s->readonly || (s->mode & MODE_SWP))) {
                task_check(task, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED);
                return false;
        }
        if (!(flags & OP_RANGE))
                return true;
        if (task->lba > s->blocks || task->blocks > s->blocks - task->lba) {
                Sense range = SENSE(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);

                range.has_information = true;
                range.information = MAX(task->lba, s->blocks);
                task_sense(task, range);
                return false;
        }
        if (task->blocks == 0 && (flags & OP_ZERO_IS_REST))
                task->blocks = s->blocks - task->lba;
        return true;
}

/* Is what the initiator sends what the command takes (FCP-4 9.4.2, RFC 7143 11.4.5)? A prefix of
 * whole blocks is written and the residual says so; anything else is refused before a byte of it
 * is used. */
static bool check_data_out(Task *task)
{
        uint32_t flags = task->op->flags;
        unsigned shift;

        if (!(task->writes || task->out_wanted == 0))
                goto refuse;
        if ((flags & OP_EXACT) && task->out_expected != task->out_wanted)
                goto refuse;
        if (task->out_expected >= task->out_wanted)
                return true;
        if (!(flags & OP_PREFIX))
                goto refuse;
        shift = task->slot->lu->block_shift;
        if (task->out_expected & ((1u << shift) - 1))
                goto refuse;
        task->blocks = task->out_expected >> shift;
        return true;
refuse:
        task_check(task, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_COMMAND_IU);
        return false;
}

static bool is_retired(Task *task)
{
        if (LIKELY(!task->slot || !task->slot->state.retired) || task->op->run == spc_inquiry)
                return false;
        task_check(task, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
        return true;
}

void task_enable(Task *task)
{
        LuSlot *slot = task->slot;

        if (slot && task->state == TASK_GATED) {
                list_remove(&task->slot_link);
                list_append(&slot->tasks, &task->slot_link);
        }
        task->state = TASK_RUNNING;
        if (UNLIKELY(is_retired(task)) || (!task->admitted && !admit(task)) ||
            (slot && !check_medium(task)) ||
            (!task->admitted && task->out_wanted > 0 && !check_data_out(task))) {
                task_finish(task);
                return;
        }
        task->admitted = true;
        if (UNLIKELY(task->itl->throttled) && !throttle_pass(task))
                return;
        if (task->out_want > 0 && !task->data_ready) {
                task->state = TASK_DATA_OUT;
                task->ops->get_data(task);
                return;
        }
        start(task);
}

void task_go_on(Task *task)
{
        if (task->slot && slot_gated(task->slot) && !slot_may_enter(task->slot, task))
                slot_wait(task);
        else
                task_enable(task);
}

void task_data_out_done(Task *task, int r)
{
        if (task->state != TASK_DATA_OUT)
                return;
        if (r < 0) {
                task_check(task, SENSE_ABORTED_COMMAND, ASC_DATA_PHASE_ERROR);
                task_finish(task);
                return;
        }
        task->data_ready = true;
        task_go_on(task);
}

/* ---- arrival ------------------------------------------------------------------------------- */

static const uint8_t no_lun_inquiry[] = { 0x7f, 0, 6, 2, 31 };

/* SPC-4 6.6.1 and 6.39: three commands are answered where no unit is. */
static void answer_no_lun(Task *task)
{
        ScsiWorker *w = task->nexus->worker;
        const uint8_t *cdb = task_cdb(task);
        Writer writer;

        task->op = op_find(w->controller_ops, NULL, cdb);
        if (!task->op || (task->op->run != spc_inquiry && task->op->run != spc_request_sense)) {
                task_check(task, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
        } else if (task_reply(task, 64, &writer)) {
                if (task->op->run == spc_inquiry && !(cdb[1] & 1)) {
                        write_bytes(&writer, no_lun_inquiry, sizeof(no_lun_inquiry));
                        write_fill(&writer, 0, 36 - sizeof(no_lun_inquiry));
                        task_reply_done(task, &writer);
                } else if (task->op->run == spc_request_sense) {
                        Sense s = SENSE(SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
                        uint8_t sense[SENSE_MAX];

                        write_bytes(&writer, sense, sense_encode(&s, cdb[1] & 1, sense));
                        task_reply_done(task, &writer);
                } else
                        task_check(task, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
        }
        task_finish(task);
}

/* Supported, reserved bits, lengths that no unit takes: what the CDB alone decides. */
static bool parse(Task *task)
{
        const OpSet *set = task->slot ? task->slot->lu->ops : task->nexus->worker->controller_ops;
        const uint8_t *cdb = task_cdb(task);
        const ScsiOp *op = op_find(set, task->slot, cdb);
        int byte, bit;

        if (UNLIKELY(!op)) {
                if (op_has_service_actions(set, cdb[0]))
                        task_bad_cdb(task, 1, 4);
                else
                        task_check(task, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
                return false;
        }
        if (task->cdb_length < op->cdb_length) {
                task_check(task, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
                return false;
        }
        if (UNLIKELY(cdb_check(op, cdb, &byte, &bit) < 0)) {
                task_bad_cdb(task, byte, bit);
                return false;
        }
        task->op = op;
        if (op->lba.size)
                task->lba = cdb_field(cdb, op->lba);
        if (op->flags & OP_RANGE) {
                task->blocks = cdb_field(cdb, op->length);
                if (task->blocks == 0 && (op->flags & OP_ZERO_IS_256))
                        task->blocks = 256;
                if (task->blocks == 0 && (op->flags & OP_NOT_ZERO)) {
                        task_bad_cdb(task, op->length.at, -1);
                        return false;
                }
                if ((op->flags & OP_TRANSFER) && task->blocks > task->slot->lu->max_transfer) {
                        task_bad_cdb(task, op->length.at, -1);
                        return false;
                }
        }
        return true;
}

static bool prepare_data_out(Task *task)
{
        const ScsiOp *op = task->op;

        if (op->out_length)
                task->out_wanted = op->out_length(task);
        else if (op->flags & OP_PARAMETERS)
                task->out_wanted = cdb_field(task_cdb(task), op->length);
        if (task->out_wanted == 0)
                return true;
        task->out_want = task->writes ? (uint32_t)min_u64(task->out_expected, task->out_wanted) : 0;
        if (task->out_want == 0)
                return true;
        task->buffer = task_buffer(task, task->out_want);
        if (task->buffer)
                return true;
        task->out_want = 0;
        task_status(task, SCSI_TASK_SET_FULL);
        return false;
}

static void reset(Task *task)
{
        task->status = SCSI_GOOD;
        task->sense_length = 0;
        clear_data_in(task);
        task->out_wanted = task->out_want = 0;
        task->buffer = task->in_buffer = NULL;
        task->state = TASK_RUNNING;
        task->op = NULL;
        task->slot = NULL;
        task->itl = NULL;
        task->io = NULL;
        task->lba = task->blocks = task->deadline_ns = 0;
        task->admitted = task->data_ready = task->go = task->older = task->delayed = task->timed =
                false;
        task->stage = 0;
        task->order_op = task->coord_op = NULL;
        memset(&task->slot_link, 0, sizeof(task->slot_link));
}

void task_submit(Task *task)
{
        ScsiNexus *nexus = task->nexus;
        LuSlot *slot;
        bool parsed;

        reset(task);
        task->since = nexus->worker->now;
        list_append(&nexus->tasks, &task->nexus_link);
        task->itl = nexus_itl(nexus, lun_decode(task->lun));
        if (UNLIKELY(!task->itl)) {
                trace_command_start(task);
                answer_no_lun(task);
                return;
        }
        slot = task->slot = task->itl->slot;
        if (UNLIKELY(task->attribute == TASK_ACA)) {
                /* there is none, ever (SAM-5 8.9) */
                trace_command_start(task);
                task_check(task, SENSE_ILLEGAL_REQUEST, ASC_INVALID_MESSAGE);
                task_finish(task);
                return;
        }
        parsed = parse(task) && prepare_data_out(task);
        trace_command_start(task);
        if (UNLIKELY(!parsed)) {
                task_finish(task);
                return;
        }
        if (!slot) {
                task_enable(task);
                return;
        }
        if (UNLIKELY(slot->counters->in_flight >= slot->worker->limits.tasks_per_slot)) {
                task_status(task, SCSI_TASK_SET_FULL);
                task_finish(task);
                return;
        }
        if (UNLIKELY(task->op->flags & OP_SANITIZE))
                task->attribute = TASK_HEAD_OF_QUEUE;
        slot_add(slot, task);
        if (UNLIKELY(task->attribute == TASK_ORDERED)) {
                if (order_begin(task) < 0) {
                        task_status(task, SCSI_BUSY);
                        task_finish(task);
                }
        } else if (UNLIKELY(slot_gated(slot)) && !slot_may_enter(slot, task))
                slot_wait(task);
        else
                task_enable(task);
}
