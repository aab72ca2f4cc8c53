/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/core.h"

/* What is ordered across workers. Operations run one after another, each in at most two rounds of
 * messages to the unit's slots, so that each ends in bounded time whatever the store does:
 *
 *   1. only if it gives something up: every slot closes its gate, gives up what the kind says,
 *      puts the ghosts on their board, and answers
 *   -  apply(): the master state changes
 *   2. every slot gets the new state with all ghosts, establishes the unit attention, opens its
 *      gate, and answers
 *
 * An ordered task is a barrier beside that: coord_order raises it, the slots say when what is older
 * is over (that may take as long as the store likes), the task runs, coord_order_end lifts it.
 * Other operations go on meanwhile. */

/* ---- kinds -------------------------------------------------------------------------------- */

static bool apply_join(LogicalUnit *lu, CoordOp *op)
{
        list_append(&lu->coord.members, &op->slot->member_link);
        lu->coord.state.alone = ++lu->coord.n_members == 1;
        op->only_slot = lu->coord.n_members != 2; /* the first is no longer alone */
        op->flag = lu->coord.order_raised;
        return true;
}

static bool apply_leave(LogicalUnit *lu, CoordOp *op)
{
        list_remove(&op->slot->member_link);
        lu->coord.state.alone = --lu->coord.n_members == 1;
        return lu->coord.state.alone;
}

static bool apply_nothing(LogicalUnit *lu, CoordOp *op)
{
        return true;
}

/* Nor is there anything to tell the slots. */
static bool apply_quietly(LogicalUnit *lu, CoordOp *op)
{
        return false;
}

static void reset_state(LogicalUnit *lu, CoordOp *op)
{
        LuState *s = &lu->coord.state;

        s->reserved_by = 0;
        s->prevents = 0;
        op->clear_prevents = true;
}

/* SAM-5 6.3.3. Mode parameters: back to the defaults, since none are saved. */
static bool apply_reset(LogicalUnit *lu, CoordOp *op)
{
        reset_state(lu, op);
        lu->coord.state.mode = lu->coord.state.default_mode;
        return true;
}

/* SPC-2 7.21: the holder may reserve again; the answer is op->result */
static bool apply_reserve(LogicalUnit *lu, CoordOp *op)
{
        LuState *s = &lu->coord.state;

        if (s->reserved_by != 0 && s->reserved_by != op->nexus) {
                op->result = -EBUSY;
                return false;
        }
        s->reserved_by = op->nexus;
        return true;
}

/* SPC-2 7.16: of one who does not hold it: nothing happens */
static bool apply_release(LogicalUnit *lu, CoordOp *op)
{
        LuState *s = &lu->coord.state;

        if (s->reserved_by != op->nexus)
                return false;
        s->reserved_by = 0;
        return true;
}

/* flag: it prevented removal */
static bool apply_nexus_gone(LogicalUnit *lu, CoordOp *op)
{
        LuState *s = &lu->coord.state;

        if (s->reserved_by == op->nexus)
                s->reserved_by = 0;
        if (op->flag && s->prevents > 0)
                s->prevents--;
        return true;
}

static bool apply_mode(LogicalUnit *lu, CoordOp *op)
{
        LuState *s = &lu->coord.state;
        uint8_t mode = (uint8_t)((s->mode & ~op->mode_mask) | (op->mode_value & op->mode_mask));

        if (mode == s->mode)
                return false;
        op->flag = (s->mode & MODE_WCE) && !(mode & MODE_WCE);
        s->mode = mode;
        op->ua = UA_MODE_CHANGED;
        op->ua_except = op->nexus;
        return true;
}

/* flag: prevent, else allow. The slot sees to it that a nexus counts once. */
static bool apply_prevent(LogicalUnit *lu, CoordOp *op)
{
        LuState *s = &lu->coord.state;

        if (op->flag)
                s->prevents++;
        else if (s->prevents > 0)
                s->prevents--;
        return true;
}

/* flag: eject, else load */
static bool apply_eject(LogicalUnit *lu, CoordOp *op)
{
        LuState *s = &lu->coord.state;

        if (s->prevents > 0) {
                op->result = -EBUSY;
                return false;
        }
        if (s->ejected == op->flag)
                return false;
        s->ejected = op->flag;
        if (!op->flag) {
                op->ua = UA_MEDIUM_CHANGED;
                op->ua_except = op->nexus;
        }
        return true;
}

static bool apply_change(LogicalUnit *lu, CoordOp *op)
{
        LuState *s = &lu->coord.state;
        const LuChange *change = lu->coord.change;
        uint64_t blocks = s->blocks;

        if (change->kind == LU_CHANGE_SIZE) {
                lu_look_at_store(lu, s);
                if (s->blocks != blocks)
                        op->ua = UA_CAPACITY_CHANGED;
                return true;
        }
        s->config_readonly = s->readonly = change->readonly;
        s->default_mode = lu_default_mode(lu, change->write_cache);
        s->mode = (uint8_t)((s->mode & ~MODE_WCE) | (s->default_mode & MODE_WCE));
        lu_look_at_store(lu, s);
        op->ua = UA_MODE_CHANGED;
        return true;
}

static void set_store(LogicalUnit *lu, Store *store, GhostBoard *board)
{
        Coordinator *c = &lu->coord;

        if (c->board) {
                ghost_board_unsubscribe(c->board, lu);
                ghost_board_put(c->board);
        }
        c->board = board;
        if (board)
                ghost_board_subscribe(board, lu);
        if (c->state.store)
                store_unref(c->state.store);
        c->state.store = store ? store_ref(store) : NULL;
        c->state.ghosts = ghost_set_unref(c->state.ghosts);
        c->state.ghosts_version = 0;
}

static bool apply_store(LogicalUnit *lu, CoordOp *op)
{
        LuState *s = &lu->coord.state;
        Store *store = lu->coord.change->store;
        GhostBoard *board = NULL;
        uint64_t blocks = s->blocks;

        if (store) {
                board = ghost_board_get(store);
                if (!board)
                        store = NULL; /* no memory: not ready rather than unsafe */
        }
        operation_store_changes(lu);
        set_store(lu, store, board);
        lu_look_at_store(lu, s);
        if (store)
                op->ua = s->blocks != blocks ? UA_CAPACITY_CHANGED : UA_MEDIUM_CHANGED;
        return true;
}

/* Nobody is told: a command that waits is only a command that takes longer. */
static bool apply_limits(LogicalUnit *lu, CoordOp *op)
{
        LuState *s = &lu->coord.state;

        throttle_unref(s->throttle);
        s->throttle = throttle_ref(lu->coord.change->throttle);
        return true;
}

static bool apply_retire(LogicalUnit *lu, CoordOp *op)
{
        LuState *s = &lu->coord.state;

        reset_state(lu, op);
        operation_retire(lu);
        set_store(lu, NULL, NULL);
        s->retired = true;
        lu_look_at_store(lu, s);
        return true;
}

const CoordKind coord_join = { "join", COORD_ABORT_NONE, apply_join };
const CoordKind coord_leave = { "leave", COORD_ABORT_NONE, apply_leave };
const CoordKind coord_ghosts = { "ghosts", COORD_ABORT_NONE, apply_nothing };
const CoordKind coord_clear = { "clear task set", COORD_ABORT_ALL, apply_nothing };
const CoordKind coord_reset = { "reset", COORD_ABORT_ALL, apply_reset };
const CoordKind coord_reserve = { "reserve", COORD_ABORT_NONE, apply_reserve };
const CoordKind coord_release = { "release", COORD_ABORT_NONE, apply_release };
const CoordKind coord_nexus_gone = { "nexus gone", COORD_ABORT_NONE, apply_nexus_gone };
const CoordKind coord_mode = { "mode", COORD_ABORT_NONE, apply_mode };
const CoordKind coord_prevent = { "prevent", COORD_ABORT_NONE, apply_prevent };
const CoordKind coord_eject = { "eject", COORD_ABORT_NONE, apply_eject };
const CoordKind coord_order = { "order", COORD_ABORT_NONE, apply_nothing };
const CoordKind coord_order_end = { "order end", COORD_ABORT_NONE, apply_nothing };
const CoordKind coord_change = { "change", COORD_ABORT_NONE, apply_change };
const CoordKind coord_limits = { "limits", COORD_ABORT_NONE, apply_limits };
const CoordKind coord_store = { "store", COORD_ABORT_IO, apply_store };
const CoordKind coord_retire = { "retire", COORD_ABORT_RETIRE, apply_retire };
const CoordKind coord_operate = { "operate", COORD_ABORT_OPERATION, operation_apply,
                                  operation_began };
const CoordKind coord_operate_exit = { "operate exit", COORD_ABORT_NONE, operation_apply_exit,
                                       operation_leaves };
const CoordKind coord_operate_suspend = { "operate suspend", COORD_ABORT_NONE, apply_quietly,
                                          operation_suspends };
const CoordKind coord_operate_end = { "operate end", COORD_ABORT_NONE, operation_apply_end,
                                      operation_ended };

static const CoordKind *const change_kinds[] = {
        [LU_CHANGE_STATE] = &coord_change,  [LU_CHANGE_STORE] = &coord_store,
        [LU_CHANGE_SIZE] = &coord_change,   [LU_CHANGE_LIMITS] = &coord_limits,
        [LU_CHANGE_RETIRE] = &coord_retire,
};

/* ---- rounds -------------------------------------------------------------------------------- */

static void next_order(LogicalUnit *lu);
static void next_change(LogicalUnit *lu);

static void run_done(LoopTask *task)
{
        CoordOp *op = CONTAINER_OF(task, CoordOp, task);
        LogicalUnit *lu = op->lu;

        op->lu = NULL;
        op->done(op);
        lu_unref(lu);
}

static void change_done(LoopTask *task)
{
        LuChange *change = CONTAINER_OF(task, LuChange, task);
        LogicalUnit *lu = change->lu;

        change->done(change);
        lu_unref(lu);
}

/* The caller's reference on the unit goes with op. */
static void post_done(LogicalUnit *lu, CoordOp *op)
{
        op->task = (LoopTask){ .run = run_done };
        loop_post(op->origin, &op->task);
}

static void queue_ghosts(LogicalUnit *lu)
{
        Coordinator *c = &lu->coord;

        c->ghosts_again = false;
        c->ghosts_queued = true;
        c->ghosts_op = (CoordOp){ .kind = &coord_ghosts, .ua = UA_NONE };
        list_append(&c->ops, &c->ghosts_op.link);
}

/* Everything older is over, or nobody waits for it any more. */
static void release_order(LogicalUnit *lu)
{
        Coordinator *c = &lu->coord;

        /* not before its own round has told every slot */
        if (!c->order_raised || c->current == c->order || c->order->released)
                return;
        if (c->n_draining > 0 && !c->order->cancelled)
                return;
        c->order->released = true;
        post_done(lu, c->order);
}

static void finish(LogicalUnit *lu)
{
        Coordinator *c = &lu->coord;
        CoordOp *op = TAKE_PTR(c->current);

        if (op->kind->after && op->kind->after(lu, op))
                return;
        if (UNLIKELY(c->operation))
                operation_look(lu);
        if (op == &c->change_op) {
                LuChange *change = TAKE_PTR(c->change);

                change->task = (LoopTask){ .run = change_done };
                loop_post(change->origin, &change->task);
                next_change(lu);
                return;
        }
        if (op == &c->ghosts_op) {
                if (c->ghosts_again)
                        queue_ghosts(lu);
                return;
        }
        if (op->kind == &coord_order) {
                release_order(lu);
                return;
        }
        if (op->kind == &coord_order_end) {
                c->order = NULL;
                c->order_raised = false;
                next_order(lu);
        }
        post_done(lu, op);
}

/* Second phase. The ghosts are looked at now, when all of the first phase are on the board. */
static void open_gates(LogicalUnit *lu)
{
        Coordinator *c = &lu->coord;
        CoordOp *op = c->current;

        if (c->board) {
                GhostSet *old = c->state.ghosts;

                c->state.ghosts = ghost_board_snapshot(c->board, &c->state.ghosts_version);
                ghost_set_unref(old);
        }
        op->opened = true;
        if (op->kind == &coord_order) {
                c->order_raised = true;
                c->n_draining = c->n_members;
        }
        c->n_acks = 0;
        LIST_FOREACH (slot, &c->members, LuSlot, member_link) {
                if (op->only_slot && slot != op->slot)
                        continue;
                c->n_acks++;
                slot->inbox_op = op;
                slot->inbox_open = true;
                slot->inbox = (LoopTask){ .run = slot_receive };
                loop_post(slot->worker->loop, &slot->inbox);
        }
}

static void apply(LogicalUnit *lu)
{
        Coordinator *c = &lu->coord;
        bool tell = c->current->kind->apply(lu, c->current);

        lu_show_flags(lu, &c->state);
        if (tell)
                open_gates(lu);
        if (c->n_acks == 0)
                finish(lu);
}

static void begin(LogicalUnit *lu, CoordOp *op)
{
        Coordinator *c = &lu->coord;

        c->current = op;
        c->n_acks = 0;
        if (op->kind->abort == COORD_ABORT_NONE || c->n_members == 0) {
                apply(lu);
                return;
        }
        LIST_FOREACH (slot, &c->members, LuSlot, member_link) {
                c->n_acks++;
                slot->inbox_op = op;
                slot->inbox_open = false;
                slot->inbox = (LoopTask){ .run = slot_receive };
                loop_post(slot->worker->loop, &slot->inbox);
        }
}

static void start_next(LogicalUnit *lu)
{
        Coordinator *c = &lu->coord;

        while (!c->current) {
                CoordOp *op = LIST_FIRST(&c->ops, CoordOp, link);

                if (!op)
                        return;
                list_remove(&op->link);
                if (op == &c->ghosts_op)
                        c->ghosts_queued = false;
                begin(lu, op);
        }
}

/* What is answered may drop the last reference elsewhere at once: whoever comes in holds one. */
void coord_slot_ack(LogicalUnit *lu, bool drained)
{
        Coordinator *c = &lu->coord;

        if (drained)
                c->n_draining--;
        if (--c->n_acks > 0)
                return;
        lu_ref(lu);
        if (c->current->opened)
                finish(lu);
        else
                apply(lu);
        start_next(lu);
        lu_unref(lu);
}

void coord_slot_drained(LogicalUnit *lu)
{
        Coordinator *c = &lu->coord;

        /* said before the slot heard that the wait was called off */
        if (!c->order || c->order->released)
                return;
        c->n_draining--;
        release_order(lu);
}

static void cancel_arrives(LoopTask *task)
{
        CoordOp *op = CONTAINER_OF(task, CoordOp, cancel);
        LogicalUnit *lu = op->slot->lu;
        Coordinator *c = &lu->coord;

        op->cancelled = true;
        if (op == c->order)
                release_order(lu);
}

void coord_cancel_order(CoordOp *op)
{
        op->cancel = (LoopTask){ .run = cancel_arrives };
        loop_post(op->slot->lu->coord.loop, &op->cancel);
}

/* ---- arrivals ------------------------------------------------------------------------------ */

static void next_order(LogicalUnit *lu)
{
        Coordinator *c = &lu->coord;
        CoordOp *op;

        if (c->order)
                return;
        op = LIST_FIRST(&c->orders, CoordOp, link);
        if (!op)
                return;
        list_remove(&op->link);
        c->order = op;
        list_append(&c->ops, &op->link);
}

static void arrive(LoopTask *task)
{
        CoordOp *op = CONTAINER_OF(task, CoordOp, task);
        LogicalUnit *lu = op->lu;
        Coordinator *c = &lu->coord;

        lu_ref(lu);
        if (op->kind == &coord_order) {
                list_append(&c->orders, &op->link);
                next_order(lu);
        } else
                list_append(&c->ops, &op->link);
        start_next(lu);
        lu_unref(lu);
}

void coord_submit(CoordOp *op, LogicalUnit *lu, Loop *origin)
{
        op->lu = lu_ref(lu);
        op->origin = origin;
        op->task = (LoopTask){ .run = arrive };
        loop_post(lu->coord.loop, &op->task);
}

void coord_run(LogicalUnit *lu, CoordOp *op)
{
        list_append(&lu->coord.ops, &op->link);
        start_next(lu);
}

void coord_answer(LogicalUnit *lu, CoordOp *op)
{
        post_done(lu, op);
}

static void ghosts_changed(LoopTask *task)
{
        LogicalUnit *lu = CONTAINER_OF(task, LogicalUnit, ghosts_task);
        Coordinator *c = &lu->coord;

        /* before the board is looked at, so that no later change goes unseen */
        __atomic_store_n(&lu->ghosts_posted, false, __ATOMIC_SEQ_CST);
        if (c->current == &c->ghosts_op)
                c->ghosts_again = true; /* it has looked already */
        else if (!c->ghosts_queued && !c->state.retired) {
                queue_ghosts(lu);
                start_next(lu);
        }
        lu_unref(lu);
}

void coord_notify_ghosts(LogicalUnit *lu)
{
        if (__atomic_load_n(&lu->ghosts_posted, __ATOMIC_SEQ_CST))
                return;
        if (!lu_ref_unless_gone(lu))
                return;
        __atomic_store_n(&lu->ghosts_posted, true, __ATOMIC_SEQ_CST);
        lu->ghosts_task = (LoopTask){ .run = ghosts_changed };
        loop_post(lu->coord.loop, &lu->ghosts_task);
}

static void next_change(LogicalUnit *lu)
{
        Coordinator *c = &lu->coord;

        if (c->change)
                return;
        c->change = LIST_FIRST(&c->changes, LuChange, link);
        if (!c->change)
                return;
        list_remove(&c->change->link);
        c->change_op = (CoordOp){ .kind = change_kinds[c->change->kind], .ua = UA_NONE };
        list_append(&c->ops, &c->change_op.link);
}

static void change_arrives(LoopTask *task)
{
        LuChange *change = CONTAINER_OF(task, LuChange, task);
        LogicalUnit *lu = change->lu;

        lu_ref(lu);
        list_append(&lu->coord.changes, &change->link);
        next_change(lu);
        start_next(lu);
        lu_unref(lu);
}

void lu_change(LogicalUnit *lu, LuChange *change)
{
        change->lu = lu_ref(lu);
        change->task = (LoopTask){ .run = change_arrives };
        loop_post(lu->coord.loop, &change->task);
}

int coordinator_init(LogicalUnit *lu, Store *store, const LuOperation *operation)
{
        Coordinator *c = &lu->coord;
        GhostBoard *board = NULL;

        list_init(&c->members);
        list_init(&c->ops);
        list_init(&c->orders);
        list_init(&c->changes);
        c->state.config_readonly = c->state.readonly = lu->config.readonly;
        c->state.default_mode = lu_default_mode(lu, lu->config.write_cache);
        c->state.mode = c->state.default_mode;
        lu_limits(lu, &(StoreCaps){}, &c->state.limits);
        if (store) {
                board = ghost_board_get(store);
                if (!board)
                        return -ENOMEM;
                set_store(lu, store, board);
                c->state.ghosts = ghost_board_snapshot(board, &c->state.ghosts_version);
        }
        lu_look_at_store(lu, &c->state);
        return operation ? operation_resume(lu, operation) : 0;
}

void coordinator_done(LogicalUnit *lu)
{
        operation_clear(lu);
        set_store(lu, NULL, NULL);
        lu_state_clear(&lu->coord.state);
}
