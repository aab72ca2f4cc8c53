/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "scsi/core.h"

/* SANITIZE (SBC-4 5.37). What it does is operation.c's. */

#define IMMED 0x80 /* byte 1 */
#define AUSE 0x20

#define HEADER 4
#define INVERT 0x80 /* byte 0 */
#define TEST 0x60
#define OVERWRITE_COUNT 0x1f

static Run start(Task *task, LuOperation *what)
{
        uint8_t bits = task_cdb(task)[1];

        what->unrestricted = bits & AUSE;
        return task_operate(task, what, bits & IMMED);
}

/* SBC-4 5.37.3 */
Run sbc_sanitize_overwrite(Task *task, int r)
{
        uint32_t block = 1u << task->slot->lu->block_shift;
        LuOperation what = { .kind = LU_OPERATION_OVERWRITE };
        const uint8_t *list;

        if (task->step > 0)
                return operation_answer(task, r);
        if (task->out_wanted <= HEADER || task->out_wanted > HEADER + block)
                return task_bad_cdb(task, 7, -1);
        list = task->buffer->data;
        what.invert = list[0] & INVERT;
        what.passes = list[0] & OVERWRITE_COUNT;
        what.pattern_length = get_be16(list + 2);
        if (list[0] & TEST)
                return task_bad_parameter(task, 0, 6);
        if (what.passes == 0)
                return task_bad_parameter(task, 0, 4);
        if (list[1])
                return task_bad_parameter(task, 1, 31 - __builtin_clz(list[1]));
        if (what.pattern_length == 0 || what.pattern_length > task->out_wanted - HEADER)
                return task_bad_parameter(task, 2, -1);
        memcpy(what.pattern, list + HEADER, what.pattern_length);
        return start(task, &what);
}

/* SBC-4 5.37.4 */
Run sbc_sanitize_block_erase(Task *task, int r)
{
        LuOperation what = { .kind = LU_OPERATION_BLOCK_ERASE, .passes = 1 };

        return task->step > 0 ? operation_answer(task, r) : start(task, &what);
}

/* SBC-4 5.37.6 */
Run sbc_sanitize_exit(Task *task, int r)
{
        CoordOp *op;

        if (task->step > 0)
                return operation_answer(task, r);
        task->step = 1;
        op = task_coord_op(task, &coord_operate_exit);
        return op ? task_coord_run(task, op) : RUN_DONE;
}
