/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "scsi/core.h"

/* REPORT LUNS, REPORT SUPPORTED OPERATION CODES, REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS
 * (SPC-4 6.33, 6.35, 6.36). */

/* ---- REPORT LUNS ---------------------------------------------------------------------------- */

enum { SELECT_UNITS = 0, SELECT_WELL_KNOWN = 1, SELECT_ALL = 2 };

Run spc_report_luns(Task *task, int r)
{
        ScsiNexus *nexus = task->nexus;
        uint8_t select = task_cdb(task)[2];
        size_t most = 8 + nexus->n_itls * 8;
        Writer w;

        if (select > SELECT_ALL)
                return task_bad_cdb(task, 2, -1);
        if (!task_reply(task, most, &w))
                return RUN_DONE;
        write_be64(&w, 0);
        for (size_t i = 0; i < nexus->n_itls; i++) {
                uint16_t lun = nexus->itls[i].lun;
                bool well_known = lun == (uint16_t)LUN_REPORT_LUNS;
                uint8_t code[8];

                if (select != SELECT_ALL && well_known != (select == SELECT_WELL_KNOWN))
                        continue;
                lun_encode(lun, code);
                write_bytes(&w, code, sizeof(code));
        }
        patch_be32(&w, 0, (uint32_t)(writer_stored(&w) - 8));
        /* it is what the condition asked for (SPC-4 6.33.1) */
        for (size_t i = 0; i < nexus->n_itls; i++)
                nexus->itls[i].ua &= ~(1u << UA_LUNS_CHANGED);
        return task_reply_done(task, &w);
}

/* ---- REPORT SUPPORTED OPERATION CODES ---------------------------------------------------------
 */

#define RCTD 0x80
#define TIMEOUTS_LENGTH 12

enum { REPORT_ALL = 0, REPORT_OPCODE = 1, REPORT_SERVICE_ACTION = 2, REPORT_EITHER = 3 };

static const OpSet *task_ops(const Task *task)
{
        return task->slot ? task->slot->lu->ops : task->nexus->worker->controller_ops;
}

static bool is_enabled(const Task *task, const ScsiOp *op)
{
        return !op->enabled || (task->slot && op->enabled(task->slot));
}

/* Command timeouts descriptor (SPC-4 6.35.4): no times are given. */
static void write_timeouts(Writer *w)
{
        write_be16(w, TIMEOUTS_LENGTH - 2);
        write_fill(w, 0, TIMEOUTS_LENGTH - 2);
}

static void report_all(const Task *task, bool timeouts, Writer *w)
{
        const OpSet *set = task_ops(task);

        write_be32(w, 0);
        for (unsigned i = 0; i < set->n; i++) {
                const ScsiOp *op = set->rows[i];
                bool sa = op->flags & OP_SERVICE_ACTION;

                if (!is_enabled(task, op))
                        continue;
                write_u8(w, op->opcode);
                write_u8(w, 0);
                write_be16(w, op->service_action);
                write_u8(w, 0);
                write_u8(w, (uint8_t)((timeouts ? 0x02 : 0) | (sa ? 0x01 : 0)));
                write_be16(w, op->cdb_length);
                if (timeouts)
                        write_timeouts(w);
        }
        patch_be32(w, 0, (uint32_t)(writer_stored(w) - 4));
}

static void report_one(const Task *task, const ScsiOp *op, bool timeouts, Writer *w)
{
        write_u8(w, 0);
        if (!op) {
                write_u8(w, 0x01); /* not supported */
                write_be16(w, 0);
                return;
        }
        write_u8(w, (uint8_t)((timeouts ? 0x80 : 0) | 0x03));
        write_be16(w, op->cdb_length);
        for (unsigned i = 0; i < op->cdb_length; i++)
                write_u8(w, op_usage(op, task->slot, i));
        if (timeouts)
                write_timeouts(w);
}

Run spc_report_opcodes(Task *task, int r)
{
        const uint8_t *cdb = task_cdb(task);
        const OpSet *set = task_ops(task);
        uint8_t how = cdb[2] & 7, opcode = cdb[3];
        uint16_t action = get_be16(cdb + 4);
        uint8_t probe[2] = { opcode, (uint8_t)(action & 0x1f) };
        bool timeouts = cdb[2] & RCTD;
        bool actions = op_has_service_actions(set, opcode);
        const ScsiOp *op = action <= 0x1f ? op_find(set, task->slot, probe) : NULL;
        Writer w;

        if (how > REPORT_EITHER)
                return task_bad_cdb(task, 2, 2);
        /* SPC-4 table 216: asked without what the command has, or with what it has not */
        if (how == REPORT_OPCODE && actions)
                return task_bad_cdb(task, 2, 2);
        if (how == REPORT_SERVICE_ACTION && set->count[opcode] > 0 && !actions)
                return task_bad_cdb(task, 2, 2);
        if (how == REPORT_EITHER && !actions && action != 0)
                op = NULL;
        if (!task_reply(task, BUFFER_MIN_SIZE, &w))
                return RUN_DONE;
        if (how == REPORT_ALL)
                report_all(task, timeouts, &w);
        else
                report_one(task, op, timeouts, &w);
        return task_reply_done(task, &w);
}

/* ---- REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS ---------------------------------------------- */

#define REPD 0x80

Run spc_report_tmfs(Task *task, int r)
{
        bool repd = task_cdb(task)[2] & REPD;
        Writer w;

        if (!task_reply(task, 16, &w))
                return RUN_DONE;
        write_u8(&w, 0xde); /* ATS ATSS CTSS LURS QTS TRS */
        write_u8(&w, 0x03); /* QTSS ITNRS */
        write_u8(&w, 0);
        write_u8(&w, repd ? 0x0c : 0);
        if (repd)
                write_fill(&w, 0, 12); /* no timeouts are given */
        return task_reply_done(task, &w);
}
