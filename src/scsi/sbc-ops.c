/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/op.h"

/* Commands of direct access block devices (SBC-3). */

#define READS (OP_MEDIUM | OP_RANGE | OP_TRANSFER)
#define WRITES (READS | OP_WRITES | OP_PREFIX)
#define SAME (OP_MEDIUM | OP_RANGE | OP_WRITES | OP_NOT_ZERO | OP_EXACT | OP_UNMAP_BIT)
#define DPO_FUA 0x18
#define DPO_BYTCHK 0x16  /* VERIFY: 00b, 01b, 11b */
#define DPO_BYTCHK1 0x12 /* WRITE AND VERIFY: 00b, 01b */
#define FORMAT_BITS 0x38 /* LONGLIST, FMTDATA, CMPLST; neither FMTPINFO nor lists of defects */
#define SANITIZE (OP_SERVICE_ACTION | OP_SANITIZE)
#define IMMED_AUSE 0xa0 /* not ZNR: there are no zones */

/* clang-format off */
const ScsiOp sbc_ops[] = {
        { 0x04, 0, 6, OP_MEDIUM | OP_WRITES | OP_FORMAT, {}, {},
          { 0x04, FORMAT_BITS, 0, 0, 0, CTL }, "FORMAT UNIT",
          .out_length = sbc_format_out, .run = sbc_format_unit },
        { 0x08, 0, 6, READS | OP_ZERO_IS_256, { 1, 3 }, { 4, 1 },
          { 0x08, 0x1f, 0xff, 0xff, 0xff, CTL }, "READ(6)", .run = sbc_read },
        { 0x0a, 0, 6, WRITES | OP_ZERO_IS_256, { 1, 3 }, { 4, 1 },
          { 0x0a, 0x1f, 0xff, 0xff, 0xff, CTL }, "WRITE(6)",
          .out_length = sbc_blocks_out, .run = sbc_write },
        { 0x1b, 0, 6, 0, {}, {},
          { 0x1b, 0x01, 0, 0x0f, 0xf7, CTL }, "START STOP UNIT", .run = sbc_start_stop },
        { 0x25, 0, 10, OP_MEDIUM, {}, {},
          { 0x25, 0, ZERO4, ZERO2, 0, CTL }, "READ CAPACITY(10)", .run = sbc_read_capacity10 },
        { 0x28, 0, 10, READS, { 2, 4 }, { 7, 2 },
          { 0x28, DPO_FUA, LBA32, GROUP5, LEN16, CTL }, "READ(10)", .run = sbc_read },
        { 0x2a, 0, 10, WRITES, { 2, 4 }, { 7, 2 },
          { 0x2a, DPO_FUA, LBA32, GROUP5, LEN16, CTL }, "WRITE(10)",
          .out_length = sbc_blocks_out, .run = sbc_write },
        { 0x2e, 0, 10, WRITES, { 2, 4 }, { 7, 2 },
          { 0x2e, DPO_BYTCHK1, LBA32, GROUP5, LEN16, CTL }, "WRITE AND VERIFY(10)",
          .out_length = sbc_blocks_out, .run = sbc_write_verify },
        { 0x2f, 0, 10, READS, { 2, 4 }, { 7, 2 },
          { 0x2f, DPO_BYTCHK, LBA32, GROUP5, LEN16, CTL }, "VERIFY(10)",
          .out_length = sbc_verify_out, .run = sbc_verify },
        { 0x34, 0, 10, OP_MEDIUM | OP_RANGE | OP_ZERO_IS_REST, { 2, 4 }, { 7, 2 },
          { 0x34, 0x02, LBA32, GROUP5, LEN16, CTL }, "PRE-FETCH(10)", .run = sbc_prefetch },
        { 0x35, 0, 10, OP_MEDIUM | OP_RANGE | OP_ZERO_IS_REST, { 2, 4 }, { 7, 2 },
          { 0x35, 0x06, LBA32, GROUP5, LEN16, CTL }, "SYNCHRONIZE CACHE(10)",
          .run = sbc_sync_cache },
        { 0x41, 0, 10, SAME, { 2, 4 }, { 7, 2 },
          { 0x41, 0x08, LBA32, GROUP5, LEN16, CTL }, "WRITE SAME(10)",
          .out_length = sbc_write_same_out, .run = sbc_write_same },
        { 0x42, 0, 10, OP_MEDIUM | OP_WRITES | OP_PARAMETERS, {}, { 7, 2 },
          { 0x42, 0, ZERO4, GROUP5, LEN16, CTL }, "UNMAP",
          .enabled = sbc_has_unmap, .run = sbc_unmap },
        { 0x48, 0x01, 10, SANITIZE | OP_MEDIUM | OP_WRITES | OP_PARAMETERS, {}, { 7, 2 },
          { 0x48, IMMED_AUSE | 0x01, ZERO4, 0, LEN16, CTL }, "SANITIZE (OVERWRITE)",
          .run = sbc_sanitize_overwrite },
        { 0x48, 0x02, 10, SANITIZE | OP_MEDIUM | OP_WRITES, {}, {},
          { 0x48, IMMED_AUSE | 0x02, ZERO4, 0, ZERO2, CTL }, "SANITIZE (BLOCK ERASE)",
          .run = sbc_sanitize_block_erase },
        { 0x48, 0x1f, 10, SANITIZE, {}, {},
          { 0x48, IMMED_AUSE | 0x1f, ZERO4, 0, ZERO2, CTL }, "SANITIZE (EXIT FAILURE MODE)",
          .run = sbc_sanitize_exit },
        { 0x88, 0, 16, READS, { 2, 8 }, { 10, 4 },
          { 0x88, DPO_FUA, LBA64, LEN32, GROUP5, CTL }, "READ(16)", .run = sbc_read },
        { 0x8a, 0, 16, WRITES, { 2, 8 }, { 10, 4 },
          { 0x8a, DPO_FUA, LBA64, LEN32, GROUP5, CTL }, "WRITE(16)",
          .out_length = sbc_blocks_out, .run = sbc_write },
        { 0x8e, 0, 16, WRITES, { 2, 8 }, { 10, 4 },
          { 0x8e, DPO_BYTCHK1, LBA64, LEN32, GROUP5, CTL }, "WRITE AND VERIFY(16)",
          .out_length = sbc_blocks_out, .run = sbc_write_verify },
        { 0x8f, 0, 16, READS, { 2, 8 }, { 10, 4 },
          { 0x8f, DPO_BYTCHK, LBA64, LEN32, GROUP5, CTL }, "VERIFY(16)",
          .out_length = sbc_verify_out, .run = sbc_verify },
        { 0x90, 0, 16, OP_MEDIUM | OP_RANGE | OP_ZERO_IS_REST, { 2, 8 }, { 10, 4 },
          { 0x90, 0x02, LBA64, LEN32, GROUP5, CTL }, "PRE-FETCH(16)", .run = sbc_prefetch },
        { 0x91, 0, 16, OP_MEDIUM | OP_RANGE | OP_ZERO_IS_REST, { 2, 8 }, { 10, 4 },
          { 0x91, 0x06, LBA64, LEN32, GROUP5, CTL }, "SYNCHRONIZE CACHE(16)",
          .run = sbc_sync_cache },
        { 0x93, 0, 16, SAME, { 2, 8 }, { 10, 4 },
          { 0x93, 0x09, LBA64, LEN32, GROUP5, CTL }, "WRITE SAME(16)",
          .out_length = sbc_write_same_out, .run = sbc_write_same },
        { 0x9e, 0x10, 16, OP_SERVICE_ACTION | OP_MEDIUM | OP_ALLOCATION, {}, { 10, 4 },
          { 0x9e, 0x10, ZERO4, ZERO4, LEN32, 0, CTL }, "READ CAPACITY(16)",
          .run = sbc_read_capacity16 },
        { 0x9e, 0x12, 16, OP_SERVICE_ACTION | OP_MEDIUM | OP_ALLOCATION, { 2, 8 }, { 10, 4 },
          { 0x9e, 0x12, LBA64, LEN32, 0, CTL }, "GET LBA STATUS",
          .enabled = sbc_has_extents, .run = sbc_get_lba_status },
        { 0xa8, 0, 12, READS, { 2, 4 }, { 6, 4 },
          { 0xa8, DPO_FUA, LBA32, LEN32, GROUP5, CTL }, "READ(12)", .run = sbc_read },
        { 0xaa, 0, 12, WRITES, { 2, 4 }, { 6, 4 },
          { 0xaa, DPO_FUA, LBA32, LEN32, GROUP5, CTL }, "WRITE(12)",
          .out_length = sbc_blocks_out, .run = sbc_write },
        { 0xae, 0, 12, WRITES, { 2, 4 }, { 6, 4 },
          { 0xae, DPO_BYTCHK1, LBA32, LEN32, GROUP5, CTL }, "WRITE AND VERIFY(12)",
          .out_length = sbc_blocks_out, .run = sbc_write_verify },
        { 0xaf, 0, 12, READS, { 2, 4 }, { 6, 4 },
          { 0xaf, DPO_BYTCHK, LBA32, LEN32, GROUP5, CTL }, "VERIFY(12)",
          .out_length = sbc_verify_out, .run = sbc_verify },
};
/* clang-format on */
const size_t n_sbc_ops = ELEMENTSOF(sbc_ops);
