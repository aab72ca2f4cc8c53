/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/core.h"

/* What is said of operations on the medium (operation.c), and how they are asked for. */

static const struct {
        SenseKey key;
        uint16_t asc;
        bool progress;
        uint32_t passes;   /* rows with one of these flags ... */
        uint32_t concerns; /* ... and without any of these; 0: it concerns all */
} states[] = {
        [OPERATION_FORMATTING] = { SENSE_NOT_READY, ASC_FORMAT_IN_PROGRESS, true, OP_PASS_OPERATION,
                                   0 },
        [OPERATION_SANITIZING] = { SENSE_NOT_READY, ASC_SANITIZE_IN_PROGRESS, true,
                                   OP_PASS_OPERATION, 0 },
        [OPERATION_FORMAT_FAILED] = { SENSE_MEDIUM_ERROR, ASC_MEDIUM_FORMAT_CORRUPTED, false,
                                      OP_FORMAT | OP_SANITIZE, OP_MEDIUM | OP_WRITES | OP_RANGE },
        [OPERATION_SANITIZE_FAILED] = { SENSE_MEDIUM_ERROR, ASC_SANITIZE_FAILED, false,
                                        OP_SANITIZE | OP_PASS_OPERATION, 0 },
};

OperationState operation_state(const LuOperation *what)
{
        bool format = what->kind == LU_OPERATION_FORMAT;

        if (what->failed)
                return format ? OPERATION_FORMAT_FAILED : OPERATION_SANITIZE_FAILED;
        return format ? OPERATION_FORMATTING : OPERATION_SANITIZING;
}

static uint16_t progress_of(const LogicalUnit *lu)
{
        LuOperationInfo info;
        uint64_t part;

        lu_operation(lu, &info);
        if (info.total == 0)
                return 0;
        part = info.total >> 16 ? info.done / (info.total >> 16) : (info.done << 16) / info.total;
        return (uint16_t)min_u64(part, UINT16_MAX);
}

bool operation_sense(const LogicalUnit *lu, OperationState state, uint32_t flags, Sense *ret)
{
        if (LIKELY(state == OPERATION_NONE) || (flags & states[state].passes) ||
            (states[state].concerns && !(flags & states[state].concerns)))
                return false;
        *ret = SENSE(states[state].key, states[state].asc);
        ret->has_progress = states[state].progress;
        if (ret->has_progress)
                ret->progress = progress_of(lu);
        return true;
}

Sense operation_sense_of(const CoordOp *op)
{
        OperationState state = operation_state(operation_what(op->operation));
        Sense s = SENSE(states[state].key, states[state].asc);

        s.has_progress = true;
        return s;
}

void lu_operation(const LogicalUnit *lu, LuOperationInfo *ret)
{
        *ret = (LuOperationInfo){
                .kind = __atomic_load_n(&lu->operation_kind, __ATOMIC_RELAXED),
                .failed = __atomic_load_n(&lu->operation_failed, __ATOMIC_RELAXED),
                .done = __atomic_load_n(&lu->operation_done, __ATOMIC_RELAXED),
                .total = __atomic_load_n(&lu->operation_total, __ATOMIC_RELAXED),
        };
}

/* ---- the control plane -------------------------------------------------------------------------
 */

typedef struct Operate {
        CoordOp op;
        LuOperateDone *done;
        void *userdata;
} Operate;

static void operate_done(CoordOp *op)
{
        Operate *call = CONTAINER_OF(op, Operate, op);

        operation_free(op->operation);
        call->done(call->userdata, op->result);
        free(call);
}

int lu_operate(LogicalUnit *lu, LuOperate how, const LuOperation *what, Loop *origin,
               LuOperateDone *done, void *userdata)
{
        static const CoordKind *const kinds[] = {
                [LU_OPERATE_START] = &coord_operate,
                [LU_OPERATE_EXIT] = &coord_operate_exit,
                [LU_OPERATE_SUSPEND] = &coord_operate_suspend,
        };
        Operate *call = calloc(1, sizeof(*call));

        if (!call)
                return -ENOMEM;
        call->op =
                (CoordOp){ .kind = kinds[how], .done = operate_done, .ua = UA_NONE, .immed = true };
        call->done = done;
        call->userdata = userdata;
        if (how == LU_OPERATE_START) {
                call->op.operation = operation_new(what);
                if (!call->op.operation) {
                        free(call);
                        return -ENOMEM;
                }
        }
        coord_submit(&call->op, lu, origin);
        return 0;
}

/* ---- commands ----------------------------------------------------------------------------------
 */

Run task_operate(Task *task, const LuOperation *what, bool immed)
{
        Operation *o = operation_new(what);
        CoordOp *op;

        if (!o)
                return task_status(task, SCSI_BUSY);
        op = task_coord_op(task, &coord_operate);
        if (!op) {
                operation_free(o);
                return RUN_DONE;
        }
        operation_set_by(o, task->nexus->initiator_port);
        op->operation = o;
        op->immed = immed;
        task->step = 1;
        return task_coord_run(task, op);
}

Run operation_answer(Task *task, int r)
{
        bool begun = TAKE_PTR(task->coord_op)->begun;
        Sense sense;

        if (r == 0)
                return task_status(task, SCSI_GOOD);
        if (r == -EBUSY || r == -EINPROGRESS)
                return operation_sense(task->slot->lu, task->slot->state.operation, OP_MEDIUM,
                                       &sense)
                               ? task_sense(task, sense)
                               : task_status(task, SCSI_BUSY);
        if (begun)
                return task_check(task, SENSE_MEDIUM_ERROR,
                                  task->op->flags & OP_FORMAT ? ASC_FORMAT_FAILED
                                                              : ASC_SANITIZE_FAILED);
        if (r == -EPERM)
                return task_bad_cdb(task, 1, 4);
        if (r == -EROFS || r == -ENODEV)
                return task_store_error(task, r);
        /* it could not be kept, so nothing has been done */
        return task_check(task, SENSE_HARDWARE_ERROR, ASC_INTERNAL_TARGET_FAILURE);
}
