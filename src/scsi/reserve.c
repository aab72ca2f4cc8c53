/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/core.h"

/* What one nexus holds against the others: RESERVE(6) and RELEASE(6) (SPC-2 7.16, 7.21), PREVENT
 * ALLOW MEDIUM REMOVAL (SPC-4 6.18, SBC-3 5.7). */

/* What gives it back when the nexus goes is made first, so that it cannot fail then. */
static bool prepare_gone(Task *task)
{
        Itl *itl = task->itl;

        if (!itl->gone)
                itl->gone = coord_op_new(task->slot->worker, &coord_nexus_gone, NULL);
        if (!itl->gone)
                task_status(task, SCSI_BUSY);
        return itl->gone != NULL;
}

Run spc_reserve(Task *task, int r)
{
        CoordOp *op;

        if (task->step > 0) {
                task->coord_op = NULL;
                return task_status(task, r < 0 ? SCSI_RESERVATION_CONFLICT : SCSI_GOOD);
        }
        task->step = 1;
        op = prepare_gone(task) ? task_coord_op(task, &coord_reserve) : NULL;
        return op ? task_coord_run(task, op) : RUN_DONE;
}

Run spc_release(Task *task, int r)
{
        CoordOp *op;

        if (task->step > 0) {
                task->coord_op = NULL;
                return task_status(task, SCSI_GOOD);
        }
        task->step = 1;
        op = task_coord_op(task, &coord_release);
        return op ? task_coord_run(task, op) : RUN_DONE;
}

Run spc_prevent_allow(Task *task, int r)
{
        bool prevent = task_cdb(task)[4] & 1;
        CoordOp *op;

        if (task->step > 0) {
                task->coord_op = NULL;
                return task_status(task, SCSI_GOOD);
        }
        task->step = 1;
        if (task->itl->prevents == prevent)
                return task_status(task, SCSI_GOOD);
        op = prepare_gone(task) ? task_coord_op(task, &coord_prevent) : NULL;
        if (!op)
                return RUN_DONE;
        op->flag = task->itl->prevents = prevent;
        return task_coord_run(task, op);
}
