/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "scsi/core.h"

/* FORMAT UNIT (SBC-4 5.4). There are no defects to list or to look for, and nothing to certify:
 * what is left is the initialization pattern, which operation.c writes. */

#define LONGLIST 0x20 /* CDB, byte 1 */
#define FMTDATA 0x10

#define SHORT_HEADER 4
#define LONG_HEADER 8
#define FOV 0x80 /* header, byte 1 */
#define IP 0x08
#define FORMAT_IMMED 0x02
#define OPTIONS 0x78 /* DPRY, DCRT, STPF, IP: only with FOV */
#define UNKNOWN 0x05 /* obsolete, vendor specific */

#define DESCRIPTOR 4
#define PATTERN_DEFAULT 0 /* descriptor, byte 1 */
#define PATTERN_REPEAT 1

/* The CDB does not say how long the list is: what is sent is it. */
uint64_t sbc_format_out(const Task *task)
{
        uint64_t most = LONG_HEADER + DESCRIPTOR + (UINT64_C(1) << task->slot->lu->block_shift);

        return task_cdb(task)[1] & FMTDATA ? min_u64(task->out_expected, most) : 0;
}

/* The first bit of byte at that is set in bits; false: none is, or the task has its status. */
static bool refuses(Task *task, size_t at, uint8_t bits)
{
        uint8_t bad = task->buffer->data[at] & bits;

        if (bad)
                task_bad_parameter(task, (int)at, 31 - __builtin_clz(bad));
        return bad;
}

/* SBC-4 5.4.3.3. false: the task has its status. */
static bool parse_pattern(Task *task, size_t at, LuOperation *what)
{
        const uint8_t *d = task->buffer->data + at;
        uint32_t block = 1u << task->slot->lu->block_shift;

        if (task->out_want < at + DESCRIPTOR) {
                task_check(task, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
                return false;
        }
        if (refuses(task, at, 0xff)) /* SI and modifiers of the pattern are not ours to do */
                return false;
        what->pattern_length = get_be16(d + 2);
        if (d[1] > PATTERN_REPEAT) {
                task_bad_parameter(task, (int)at + 1, -1);
                return false;
        }
        if (d[1] == PATTERN_DEFAULT ? what->pattern_length != 0
                                    : what->pattern_length == 0 || what->pattern_length > block) {
                task_bad_parameter(task, (int)at + 2, -1);
                return false;
        }
        if (task->out_want < at + DESCRIPTOR + what->pattern_length) {
                task_check(task, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
                return false;
        }
        memcpy(what->pattern, d + DESCRIPTOR, what->pattern_length);
        return true;
}

/* SBC-4 5.4.3.2. false: the task has its status. */
static bool parse_list(Task *task, LuOperation *what, bool *ret_immed)
{
        bool is_long = task_cdb(task)[1] & LONGLIST;
        size_t header = is_long ? LONG_HEADER : SHORT_HEADER;
        const uint8_t *list;

        if (task->out_want < header) {
                task_check(task, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
                return false;
        }
        list = task->buffer->data;
        if (refuses(task, 0, 0xff) ||
            refuses(task, 1, list[1] & FOV ? UNKNOWN : UNKNOWN | OPTIONS) ||
            (is_long && (refuses(task, 2, 0xff) || refuses(task, 3, 0xff))))
                return false;
        if (is_long ? get_be32(list + 4) : get_be16(list + 2)) {
                task_bad_parameter(task, is_long ? 4 : 2, -1);
                return false;
        }
        *ret_immed = list[1] & FORMAT_IMMED;
        return !(list[1] & IP) || parse_pattern(task, header, what);
}

Run sbc_format_unit(Task *task, int r)
{
        LuOperation what = { .kind = LU_OPERATION_FORMAT, .passes = 1, .unrestricted = true };
        uint8_t bits = task_cdb(task)[1];
        bool immed = false;

        if (task->step > 0)
                return operation_answer(task, r);
        /* table 42: without a list there is nothing that could be long */
        if (!(bits & FMTDATA) && (bits & LONGLIST))
                return task_bad_cdb(task, 1, 5);
        if ((bits & FMTDATA) && !parse_list(task, &what, &immed))
                return RUN_DONE;
        return task_operate(task, &what, immed);
}
