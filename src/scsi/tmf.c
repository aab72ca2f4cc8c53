/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/core.h"

/* Task management (SAM-5 chapter 7). Each function ends after a bounded number of messages. */

static void tmf_done(Tmf *tmf)
{
        ScsiNexus *nexus = tmf->nexus;

        if (--tmf->n_pending > 0)
                return;
        tmf->done(tmf);
        nexus_operation_done(nexus);
}

static void operation_done(CoordOp *op)
{
        Tmf *tmf = op->owner;

        pool_free(&tmf->nexus->worker->ops, op);
        tmf_done(tmf);
}

static void run(Tmf *tmf, LuSlot *slot, const CoordKind *kind, UnitAttention ua)
{
        CoordOp *op = coord_op_new(tmf->nexus->worker, kind, tmf);

        if (!op) {
                tmf->response = TMF_REJECTED;
                return;
        }
        op->done = operation_done;
        op->nexus = tmf->nexus->id;
        op->ua = ua;
        tmf->n_pending++;
        coord_submit(op, slot->lu, tmf->nexus->worker->loop);
}

/* Nothing of what the nexus had there is under way any more. Waits until every slot of the unit
 * knows the ghosts that its tasks have just become. */
static void settle(Tmf *tmf, LuSlot *slot)
{
        if (slot)
                slot_recall_loans(slot);
        if (slot && slot->need_ghosts > slot->state.ghosts_version)
                run(tmf, slot, &coord_ghosts, UA_NONE);
}

static Task *find_task(const Tmf *tmf, const Itl *itl)
{
        LIST_FOREACH (task, &tmf->nexus->tasks, Task, nexus_link)
                if (task->itl == itl && task->tag == tmf->tag)
                        return task;
        return NULL;
}

static void abort_task(Tmf *tmf, Itl *itl)
{
        Task *task = find_task(tmf, itl);

        if (!task) {
                tmf->response = TMF_NO_TASK;
                return;
        }
        task_give_up(task, GIVE_UP_SILENT);
        settle(tmf, itl->slot);
}

static void abort_task_set(Tmf *tmf, Itl *itl)
{
        LIST_FOREACH_SAFE (task, &tmf->nexus->tasks, Task, nexus_link)
                if (task->itl == itl)
                        task_give_up(task, GIVE_UP_SILENT);
        settle(tmf, itl->slot);
}

static void clear_task_set(Tmf *tmf, Itl *itl)
{
        if (itl->slot)
                run(tmf, itl->slot, &coord_clear, UA_NONE);
}

/* Every nexus is told, the one that asked too (SAM-5 6.3.3). */
static void reset_unit(Tmf *tmf, Itl *itl)
{
        if (itl->slot)
                run(tmf, itl->slot, &coord_reset, UA_UNIT_RESET);
        else
                itl_establish(itl, UA_UNIT_RESET);
}

static void query_task(Tmf *tmf, Itl *itl)
{
        if (find_task(tmf, itl))
                tmf->response = TMF_SUCCEEDED;
}

static void query_task_set(Tmf *tmf, Itl *itl)
{
        LIST_FOREACH (task, &tmf->nexus->tasks, Task, nexus_link)
                if (task->itl == itl)
                        tmf->response = TMF_SUCCEEDED;
}

static void reset_target(Tmf *tmf, Itl *itl)
{
        ScsiNexus *nexus = tmf->nexus;

        for (size_t i = 0; i < nexus->n_itls; i++)
                if (nexus->itls[i].slot)
                        run(tmf, nexus->itls[i].slot, &coord_reset, UA_TARGET_RESET);
                else
                        itl_establish(&nexus->itls[i], UA_TARGET_RESET);
}

/* SAM-5 6.3.4: as if the nexus had been lost, but it stays */
static void reset_nexus(Tmf *tmf, Itl *none)
{
        ScsiNexus *nexus = tmf->nexus;

        LIST_FOREACH_SAFE (task, &nexus->tasks, Task, nexus_link)
                task_give_up(task, GIVE_UP_SILENT);
        for (size_t i = 0; i < nexus->n_itls; i++) {
                Itl *itl = &nexus->itls[i];

                itl_establish(itl, UA_NEXUS_LOSS);
                if (itl->gone) {
                        CoordOp *op = TAKE_PTR(itl->gone);

                        op->owner = tmf;
                        op->done = operation_done;
                        op->nexus = nexus->id;
                        op->flag = itl->prevents;
                        itl->prevents = false;
                        tmf->n_pending++;
                        coord_submit(op, itl->slot->lu, nexus->worker->loop);
                } else
                        settle(tmf, itl->slot);
        }
}

static const struct {
        bool lun; /* addresses one */
        void (*run)(Tmf *tmf, Itl *itl);
} functions[] = {
        [TMF_ABORT_TASK] = { true, abort_task },
        [TMF_ABORT_TASK_SET] = { true, abort_task_set },
        [TMF_CLEAR_TASK_SET] = { true, clear_task_set },
        [TMF_LOGICAL_UNIT_RESET] = { true, reset_unit },
        [TMF_TARGET_WARM_RESET] = { false, reset_target },
        [TMF_TARGET_COLD_RESET] = { false, reset_target },
        [TMF_CLEAR_ACA] = { true, NULL }, /* NormACA is 0 */
        [TMF_QUERY_TASK] = { true, query_task },
        [TMF_QUERY_TASK_SET] = { true, query_task_set },
        [TMF_I_T_NEXUS_RESET] = { false, reset_nexus },
};

void scsi_tmf(Tmf *tmf)
{
        Itl *itl = NULL;

        tmf->response = TMF_COMPLETE;
        tmf->n_pending = 1;
        tmf->nexus->n_pending++;
        if ((size_t)tmf->function >= ELEMENTSOF(functions) || !functions[tmf->function].run)
                tmf->response = TMF_NOT_SUPPORTED;
        else if (functions[tmf->function].lun &&
                 !(itl = nexus_itl(tmf->nexus, lun_decode(tmf->lun))))
                tmf->response = TMF_NO_LUN;
        else
                functions[tmf->function].run(tmf, itl);
        tmf_done(tmf);
}
