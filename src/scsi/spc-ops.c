/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/op.h"

/* Commands of every device type (SPC-4), and SPC-2's RESERVE and RELEASE. */

#define ALWAYS (OP_PASS_UA | OP_PASS_RESERVATION | OP_PASS_OPERATION)

/* clang-format off */
const ScsiOp spc_ops[] = {
        { 0x00, 0, 6, OP_CONTROLLER | OP_MEDIUM, {}, {},
          { 0x00, 0, 0, 0, 0, CTL }, "TEST UNIT READY", .run = spc_test_unit_ready },
        { 0x03, 0, 6, OP_CONTROLLER | ALWAYS | OP_ALLOCATION, {}, { 4, 1 },
          { 0x03, 0x01, 0, 0, 0xff, CTL }, "REQUEST SENSE", .run = spc_request_sense },
        { 0x12, 0, 6, OP_CONTROLLER | ALWAYS | OP_ALLOCATION, {}, { 3, 2 },
          { 0x12, 0x01, 0xff, LEN16, CTL }, "INQUIRY", .run = spc_inquiry },
        { 0x15, 0, 6, OP_PARAMETERS, {}, { 4, 1 },
          { 0x15, 0x10, 0, 0, 0xff, CTL }, "MODE SELECT(6)", .run = spc_mode_select },
        { 0x16, 0, 6, 0, {}, {},
          { 0x16, 0, 0, 0, 0, CTL }, "RESERVE(6)", .run = spc_reserve },
        { 0x17, 0, 6, OP_PASS_RESERVATION, {}, {},
          { 0x17, 0, 0, 0, 0, CTL }, "RELEASE(6)", .run = spc_release },
        { 0x1a, 0, 6, OP_ALLOCATION, {}, { 4, 1 },
          { 0x1a, 0x08, 0xff, 0xff, 0xff, CTL }, "MODE SENSE(6)", .run = spc_mode_sense },
        { 0x1e, 0, 6, 0, {}, {},
          { 0x1e, 0, 0, 0, 0x01, CTL }, "PREVENT ALLOW MEDIUM REMOVAL", .run = spc_prevent_allow },
        { 0x55, 0, 10, OP_PARAMETERS, {}, { 7, 2 },
          { 0x55, 0x10, 0, 0, 0, 0, 0, LEN16, CTL }, "MODE SELECT(10)", .run = spc_mode_select },
        { 0x5a, 0, 10, OP_ALLOCATION, {}, { 7, 2 },
          { 0x5a, 0x18, 0xff, 0xff, 0, 0, 0, LEN16, CTL }, "MODE SENSE(10)", .run = spc_mode_sense },
        { 0xa0, 0, 12, OP_CONTROLLER | ALWAYS | OP_ALLOCATION, {}, { 6, 4 },
          { 0xa0, 0, 0xff, 0, 0, 0, LEN32, 0, CTL }, "REPORT LUNS", .run = spc_report_luns },
        { 0xa3, 0x0c, 12, OP_SERVICE_ACTION | OP_CONTROLLER | OP_ALLOCATION, {}, { 6, 4 },
          { 0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, LEN32, 0, CTL },
          "REPORT SUPPORTED OPERATION CODES", .run = spc_report_opcodes },
        { 0xa3, 0x0d, 12, OP_SERVICE_ACTION | OP_CONTROLLER | OP_ALLOCATION, {}, { 6, 4 },
          { 0xa3, 0x0d, 0x80, 0, 0, 0, LEN32, 0, CTL },
          "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", .run = spc_report_tmfs },
};
/* clang-format on */
const size_t n_spc_ops = ELEMENTSOF(spc_ops);
