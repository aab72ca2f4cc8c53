/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/core.h"

/* A worker's part of a unit: the task set, the gate, and the messages of the coordinator. */

/* ---- coming and going --------------------------------------------------------------------- */

static LuCounters *slot_counters(ScsiWorker *w, LogicalUnit *lu)
{
        LuCounters *c = lu->counters[w->loop->index];

        if (c)
                return c;
        c = calloc(1, sizeof(*c));
        if (c)
                __atomic_store_n(&lu->counters[w->loop->index], c, __ATOMIC_RELEASE);
        return c;
}

static void timer_fires(LoopTimer *timer);
static void run_kick(LoopTask *task);
static void slot_kick(LuSlot *slot);
static void join_done(CoordOp *op);
static void order_end(Task *task); /* idempotent */
static void slot_establish(LuSlot *slot, UnitAttention ua, uint64_t except);

LuSlot *slot_get(ScsiWorker *w, LogicalUnit *lu)
{
        LuSlot *slot = lu->slots[w->loop->index];
        LuCounters *counters;

        if (slot)
                return slot_ref(slot);
        counters = slot_counters(w, lu);
        slot = counters ? calloc(1, sizeof(*slot)) : NULL;
        if (!slot)
                return NULL;
        slot->lu = lu_ref(lu);
        slot->worker = w;
        slot->counters = counters;
        slot->refs = 2; /* the caller's, and membership's until it has joined */
        list_init(&slot->tasks);
        list_init(&slot->waiting);
        list_init(&slot->loans);
        list_init(&slot->itls);
        slot->timer = (LoopTimer){ .fire = timer_fires };
        slot->kick = (LoopTask){ .run = run_kick };
        lu->slots[w->loop->index] = slot;
        w->n_slots++;
        slot->membership =
                (CoordOp){ .kind = &coord_join, .done = join_done, .slot = slot, .ua = UA_NONE };
        coord_submit(&slot->membership, lu, w->loop);
        return slot;
}

/* Not before all others know: they may have lent what our nexuses are going to write. */
static void join_done(CoordOp *op)
{
        op->slot->joined = true;
        slot_kick(op->slot);
        slot_unref(op->slot);
}

static void leave_done(CoordOp *op)
{
        LuSlot *slot = op->slot;
        LogicalUnit *lu = slot->lu;

        slot->channel = channel_unref(slot->channel);
        lu_state_clear(&slot->state);
        slot->worker->n_slots--;
        free(slot);
        lu_unref(lu);
}

LuSlot *slot_gone(LuSlot *slot)
{
        /* a nexus that comes now gets another slot; this one only says good-bye */
        slot->lu->slots[slot->worker->loop->index] = NULL;
        loop_timer_cancel(slot->worker->loop, &slot->timer);
        slot->membership =
                (CoordOp){ .kind = &coord_leave, .done = leave_done, .slot = slot, .ua = UA_NONE };
        coord_submit(&slot->membership, slot->lu, slot->worker->loop);
        return NULL;
}

/* Memory for times only where there is I/O: a target may have thousands of LUNs that are idle. */
static bool slot_latency(LuSlot *slot)
{
        IoLatency *latency;

        if (slot->counters->latency)
                return true;
        latency = calloc(1, sizeof(*latency));
        __atomic_store_n(&slot->counters->latency, latency, __ATOMIC_RELEASE);
        return latency != NULL;
}

static void channel_close(LoopTask *task)
{
        Channel *ch = CONTAINER_OF(task, Channel, task);

        store_detach(ch->store);
        ghost_board_put(ch->board);
        free(ch);
}

/* Not at once: it may be one of the store's own completions that drops the last reference. */
Channel *channel_unref(Channel *ch)
{
        if (ch && --ch->ref == 0)
                loop_defer(ch->loop, &ch->task);
        return NULL;
}

Channel *slot_channel(LuSlot *slot)
{
        Channel *ch;

        if (LIKELY(slot->channel != NULL))
                return slot->channel;
        if (!slot->state.store || !slot_latency(slot))
                return NULL;
        ch = calloc(1, sizeof(*ch));
        if (!ch)
                return NULL;
        *ch = (Channel){ .ref = 1, .loop = slot->worker->loop, .task.run = channel_close };
        ch->board = ghost_board_get(slot->state.store);
        if (!ch->board || store_attach(slot->state.store, slot->worker->stores, &ch->store) < 0) {
                ghost_board_put(ch->board);
                free(ch);
                return NULL;
        }
        slot->channel = ch;
        return ch;
}

/* ---- task set ------------------------------------------------------------------------------ */

void slot_add(LuSlot *slot, Task *task)
{
        task->seq = ++slot->seq;
        COUNTER_ADD(slot->counters, in_flight, 1);
        list_append(&slot->tasks, &task->slot_link);
}

static bool is_order(const Task *task)
{
        return task->attribute == TASK_ORDERED && !task->go;
}

static void slot_drained(LoopTask *task)
{
        LuSlot *slot = CONTAINER_OF(task, LuSlot, drained);

        coord_slot_drained(slot->lu);
}

void slot_remove(Task *task)
{
        LuSlot *slot = task->slot;

        list_remove(&task->slot_link);
        COUNTER_ADD(slot->counters, in_flight, -1);
        if (task->older) {
                task->older = false;
                if (--slot->n_older == 0 && slot->drain_due) {
                        slot->drain_due = false;
                        slot->drained = (LoopTask){ .run = slot_drained };
                        loop_post(slot->lu->coord.loop, &slot->drained);
                }
        }
        if (task->attribute == TASK_ORDERED)
                order_end(task);
}

/* By arrival, so that a task that has been let in and has to wait again is where it was. */
void slot_wait(Task *task)
{
        LuSlot *slot = task->slot;
        List *at = &slot->waiting;

        list_remove(&task->slot_link);
        while (at->prev != &slot->waiting && LIST_ENTRY(at->prev, Task, slot_link)->seq > task->seq)
                at = at->prev;
        list_insert_before(at, &task->slot_link);
        task->state = TASK_GATED;
}

bool slot_may_enter(const LuSlot *slot, const Task *task)
{
        if (!slot->joined || slot->closed || slot->need_ghosts > slot->state.ghosts_version)
                return false;
        if (task->attribute == TASK_ORDERED)
                return task->go;
        if (task->attribute == TASK_HEAD_OF_QUEUE)
                return true;
        if (slot->barrier && task->seq > slot->barrier_seq)
                return false;
        if (slot->n_ordered > 0)
                LIST_FOREACH (other, &slot->waiting, Task, slot_link)
                        if (is_order(other))
                                return task->seq < other->seq;
        return true;
}

static void slot_kick(LuSlot *slot)
{
        LIST_FOREACH_SAFE (task, &slot->waiting, Task, slot_link)
                if (slot_may_enter(slot, task))
                        task_enable(task);
}

static void run_kick(LoopTask *task)
{
        LuSlot *slot = CONTAINER_OF(task, LuSlot, kick);

        slot_kick(slot);
        slot_unref(slot);
}

void slot_kick_later(LuSlot *slot)
{
        if (slot->kick.pending)
                return;
        slot_ref(slot);
        loop_defer(slot->worker->loop, &slot->kick);
}

/* ---- ghosts -------------------------------------------------------------------------------- */

void slot_wait_ghost(Task *task)
{
        LuSlot *slot = task->slot;
        Loop *loop = slot->worker->loop;

        if (task->deadline_ns == 0)
                task->deadline_ns = loop_now(loop) + slot->worker->limits.ghost_wait;
        slot_wait(task);
        if (slot->timer.at == 0 || slot->timer.at > task->deadline_ns)
                loop_timer_at(loop, &slot->timer, task->deadline_ns);
}

static void timer_fires(LoopTimer *timer)
{
        LuSlot *slot = CONTAINER_OF(timer, LuSlot, timer);
        Loop *loop = slot->worker->loop;
        uint64_t now = loop_now(loop), next = 0;

        LIST_FOREACH_SAFE (task, &slot->waiting, Task, slot_link) {
                if (task->deadline_ns == 0)
                        continue;
                if (task->deadline_ns <= now) {
                        task_status(task, SCSI_BUSY);
                        task_finish(task);
                } else if (next == 0 || task->deadline_ns < next)
                        next = task->deadline_ns;
        }
        if (next)
                loop_timer_at(loop, timer, next);
}

/* ---- ordered tasks ------------------------------------------------------------------------- */

/* The barrier is lifted everywhere, or stands and the task may go. */
static void order_done(CoordOp *op)
{
        LuSlot *slot = op->slot;
        Task *task = op->owner;

        if (op->kind == &coord_order_end) {
                pool_free(&slot->worker->ops, op);
                slot_unref(slot);
                return;
        }
        if (!task) {
                op->kind = &coord_order_end;
                coord_submit(op, slot->lu, slot->worker->loop);
                return;
        }
        task->go = true;
        slot->n_ordered--;
        slot_kick(slot);
}

int order_begin(Task *task)
{
        LuSlot *slot = task->slot;
        CoordOp *op = coord_op_new(slot->worker, &coord_order, task);

        if (!op)
                return -ENOMEM;
        op->done = order_done;
        op->slot = slot_ref(slot);
        task->order_op = op;
        slot->n_ordered++;
        slot_wait(task);
        coord_submit(op, slot->lu, slot->worker->loop);
        return 0;
}

static void order_end(Task *task)
{
        CoordOp *op = TAKE_PTR(task->order_op);
        LuSlot *slot = task->slot;

        if (!op)
                return;
        op->owner = NULL;
        if (task->go) {
                op->kind = &coord_order_end;
                op->opened = false;
                coord_submit(op, slot->lu, slot->worker->loop);
                return;
        }
        slot->n_ordered--;
        coord_cancel_order(op);
        slot_kick_later(slot);
}

static void raise_barrier(LuSlot *slot)
{
        slot_recall_loans(slot);
        slot->barrier = true;
        slot->barrier_seq = slot->seq;
        /* an ordered task of our own that waits is newer, and so is what came after it */
        LIST_FOREACH (task, &slot->waiting, Task, slot_link)
                if (is_order(task)) {
                        slot->barrier_seq = task->seq - 1;
                        break;
                }
        slot->n_older = 0;
        LIST_FOREACH (task, &slot->tasks, Task, slot_link)
                if (task->seq <= slot->barrier_seq) {
                        task->older = true;
                        slot->n_older++;
                }
        LIST_FOREACH (task, &slot->waiting, Task, slot_link)
                if (task->seq <= slot->barrier_seq) {
                        task->older = true;
                        slot->n_older++;
                }
        slot->drain_due = slot->n_older > 0;
        slot->ack_drained = !slot->drain_due;
}

static void lift_barrier(LuSlot *slot)
{
        slot->barrier = slot->drain_due = false;
        slot->n_older = 0;
        LIST_FOREACH (task, &slot->tasks, Task, slot_link)
                task->older = false;
        LIST_FOREACH (task, &slot->waiting, Task, slot_link)
                task->older = false;
}

/* ---- the coordinator's rounds -------------------------------------------------------------- */

static void give_up(LuSlot *slot, const CoordOp *op, Task *task)
{
        bool tas = slot->state.mode & MODE_TAS;

        switch (op->kind->abort) {
        case COORD_ABORT_NONE:
                return;
        case COORD_ABORT_ALL:
                if (task->nexus->id == op->nexus) {
                        task_give_up(task, GIVE_UP_SILENT);
                        return;
                }
                /* SAM-5 5.14: told by status, or by a unit attention */
                if (!tas)
                        itl_establish(task->itl, UA_TASKS_CLEARED);
                task_give_up(task, tas ? GIVE_UP_TASK_ABORTED : GIVE_UP_SILENT);
                return;
        case COORD_ABORT_IO:
                if (!task->io || !task->io->submitted)
                        return;
                task_check(task, SENSE_ABORTED_COMMAND, ASC_NONE);
                task_give_up(task, GIVE_UP_COMPLETE);
                return;
        case COORD_ABORT_OPERATION:
                if (task->coord_op == op || (task->op->flags & OP_PASS_OPERATION))
                        return;
                task_sense(task, operation_sense_of(op));
                task_give_up(task, GIVE_UP_COMPLETE);
                return;
        case COORD_ABORT_RETIRE:
                task_check(task, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
                task_give_up(task, GIVE_UP_COMPLETE);
                return;
        }
}

static void close_gate(LuSlot *slot, const CoordOp *op)
{
        slot->closed = true;
        slot_recall_loans(slot);
        LIST_FOREACH_SAFE (task, &slot->tasks, Task, slot_link)
                give_up(slot, op, task);
        LIST_FOREACH_SAFE (task, &slot->waiting, Task, slot_link)
                give_up(slot, op, task);
}

static void open_gate(LuSlot *slot, const CoordOp *op)
{
        const LuState *state = &slot->lu->coord.state; /* still while a round is under way */
        bool throttle_changes = state->throttle != slot->state.throttle;
        List suspended;

        if (UNLIKELY(throttle_changes))
                throttle_suspend_slot(slot, &suspended);
        if (state->store != slot->state.store) {
                slot->channel = channel_unref(slot->channel);
                slot->need_ghosts = 0; /* another board */
        }
        lu_state_copy(&slot->state, state);
        if (!state->alone)
                slot_recall_loans(slot);
        slot->closed = false;
        if (op->ua != UA_NONE)
                slot_establish(slot, op->ua, op->ua_except);
        if (op->clear_prevents)
                LIST_FOREACH (itl, &slot->itls, Itl, slot_link)
                        itl->prevents = false;
        if (op->kind == &coord_order)
                raise_barrier(slot);
        else if (op->kind == &coord_order_end)
                lift_barrier(slot);
        else if (op->kind == &coord_join && op->slot == slot && op->flag) {
                slot->barrier = true;
                slot->barrier_seq = 0;
        }
        if (UNLIKELY(throttle_changes)) {
                slot_look_at_throttle(slot);
                throttle_resume(&suspended);
        }
}

static void slot_acks(LoopTask *task)
{
        LuSlot *slot = CONTAINER_OF(task, LuSlot, ack);

        coord_slot_ack(slot->lu, slot->ack_drained);
}

void slot_receive(LoopTask *task)
{
        LuSlot *slot = CONTAINER_OF(task, LuSlot, inbox);
        bool open = slot->inbox_open;

        slot->ack_drained = false;
        if (open)
                open_gate(slot, slot->inbox_op);
        else
                close_gate(slot, slot->inbox_op);
        slot->ack = (LoopTask){ .run = slot_acks };
        loop_post(slot->lu->coord.loop, &slot->ack);
        if (open)
                slot_kick(slot);
}

/* ---- unit attentions ----------------------------------------------------------------------- */

void itl_establish(Itl *itl, UnitAttention ua)
{
        if (ua < UA_MAX)
                itl->ua |= 1u << ua;
}

static void slot_establish(LuSlot *slot, UnitAttention ua, uint64_t except)
{
        LIST_FOREACH (itl, &slot->itls, Itl, slot_link)
                if (except == 0 || itl->nexus->id != except)
                        itl_establish(itl, ua);
}

UnitAttention itl_take_attention(Itl *itl)
{
        UnitAttention ua;

        if (itl->ua == 0)
                return UA_NONE;
        ua = (UnitAttention)__builtin_ctz(itl->ua);
        itl->ua &= ~((1u << ua) | ((1u << ua) & UA_RESETS ? UA_RESETS : 0));
        return ua;
}
