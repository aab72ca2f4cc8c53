/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "scsi/scsi.h"

/* The command tables. One row is all that is said of a command: dispatch, reserved bits, gates,
 * Data-Out, the range check and REPORT SUPPORTED OPERATION CODES read it and nothing else. */

/* What a handler wants next. It is called with r = 0 first, then with each request's result. */
typedef enum Run {
        RUN_DONE, /* status, sense and data are set */
        RUN_IO,   /* task->io is prepared: submit it */
        RUN_WAIT, /* a coordinator operation is under way and will resume the task */
} Run;

typedef struct CdbField {
        uint8_t at, size; /* bytes; size 0: there is none. Sizes: 1, 2, 3 (21 bits), 4, 8 */
} CdbField;

typedef enum OpFlags {
        OP_SERVICE_ACTION = 1 << 0, /* byte 1, bits 4-0 say which command it is */
        OP_CONTROLLER = 1 << 1,     /* the controller device at LUN 0 and W-LUNs have it */
        /* gates; a row that says nothing meets them all */
        OP_PASS_UA = 1 << 2,          /* does not report a unit attention */
        OP_PASS_RESERVATION = 1 << 3, /* another's reservation does not concern it */
        OP_MEDIUM = 1 << 4,           /* needs the medium */
        OP_WRITES = 1 << 5,           /* changes the medium */
        OP_RANGE = 1 << 6,            /* lba and length are a range of blocks */
        OP_TRANSFER = 1 << 7,         /* length is bounded by MAXIMUM TRANSFER LENGTH */
        /* what length counts */
        OP_ALLOCATION = 1 << 8,    /* bytes of Data-In */
        OP_PARAMETERS = 1 << 9,    /* bytes of Data-Out, whole or not at all */
        OP_ZERO_IS_256 = 1 << 10,  /* READ(6), WRITE(6): SBC-3 5.7 */
        OP_ZERO_IS_REST = 1 << 11, /* length 0: up to the last block */
        OP_UNMAP_BIT = 1 << 12,    /* byte 1, bit 3 only where the unit can unmap so */
        OP_PREFIX = 1 << 13,       /* fewer whole blocks of Data-Out than asked for will do */
        OP_EXACT = 1 << 14,        /* neither less nor more Data-Out will do */
        OP_NOT_ZERO = 1 << 15,     /* length 0 is refused: WSNZ in the block limits says so */
        /* operations on the whole medium (operation.c) */
        OP_PASS_OPERATION = 1 << 16, /* is answered while one is under way, or has failed */
        OP_FORMAT = 1 << 17,         /* begins one: what a format that failed does not stop */
        OP_SANITIZE = 1 << 18,       /* ... nor a sanitize; as if HEAD OF QUEUE (SBC-4 5.37.1) */
} OpFlags;

typedef struct ScsiOp ScsiOp;
struct ScsiOp {
        uint8_t opcode;
        uint8_t service_action;
        uint8_t cdb_length;
        uint32_t flags;
        CdbField lba, length;
        uint8_t usage[16]; /* bits that may be set, as in SPC-4 6.27.3; [0] is the opcode */
        const char *name;
        /* NULL: always there */
        bool (*enabled)(const LuSlot *slot);
        /* Bytes of Data-Out the CDB asks for; NULL: none, or length with OP_PARAMETERS */
        uint64_t (*out_length)(const Task *task);
        Run (*run)(Task *task, int r);
};

#define CTL 0x00 /* CONTROL byte: neither NACA nor vendor bits (SAM-5 5.2) */
#define LBA32 0xff, 0xff, 0xff, 0xff
#define LBA64 LBA32, LBA32
#define LEN16 0xff, 0xff
#define LEN32 0xff, 0xff, 0xff, 0xff
#define GROUP5 0x1f
#define ZERO2 0, 0
#define ZERO4 0, 0, 0, 0

#define OP_SET_MAX 96

/* The commands of one device type, sorted by opcode and service action. */
typedef struct OpSet {
        const ScsiOp *rows[OP_SET_MAX];
        unsigned n;
        uint8_t first[256]; /* index of an opcode's first row */
        uint8_t count[256]; /* of its rows */
} OpSet;

extern const ScsiOp spc_ops[];
extern const size_t n_spc_ops;
extern const ScsiOp sbc_ops[];
extern const size_t n_sbc_ops;

const OpSet *op_set_disk(void);
const OpSet *op_set_controller(void);

/* cdb.c */
const ScsiOp *op_find(const OpSet *set, const LuSlot *slot, const uint8_t *cdb);
/* Is the opcode there with service actions, whichever? */
bool op_has_service_actions(const OpSet *set, uint8_t opcode) _pure_;
/* The usage byte as it holds for this unit (OP_UNMAP_BIT: refused by the handler, when the unit can
 * be written at all). */
uint8_t op_usage(const ScsiOp *op, const LuSlot *slot, unsigned byte) _pure_;
uint64_t cdb_field(const uint8_t *cdb, CdbField f) _pure_;
/* 0, or -EINVAL with the place of the first bit that is not allowed. cdb: 16 bytes can be read. */
int cdb_check(const ScsiOp *op, const uint8_t *cdb, int *ret_byte, int *ret_bit);

/* handlers: inquiry.c, report.c, mode.c, reserve.c, */
Run spc_test_unit_ready(Task *task, int r);
Run spc_request_sense(Task *task, int r);
Run spc_inquiry(Task *task, int r);
Run spc_report_luns(Task *task, int r);
Run spc_report_opcodes(Task *task, int r);
Run spc_report_tmfs(Task *task, int r);
Run spc_mode_sense(Task *task, int r);
Run spc_mode_select(Task *task, int r);
Run spc_reserve(Task *task, int r);
Run spc_release(Task *task, int r);
Run spc_prevent_allow(Task *task, int r);
/* sbc-rw.c, sbc-verify.c, sbc-unmap.c, sbc-misc.c */
Run sbc_read(Task *task, int r);
Run sbc_write(Task *task, int r);
Run sbc_verify(Task *task, int r);
Run sbc_write_verify(Task *task, int r);
Run sbc_unmap(Task *task, int r);
Run sbc_write_same(Task *task, int r);
Run sbc_sync_cache(Task *task, int r);
Run sbc_prefetch(Task *task, int r);
uint64_t sbc_prefetch_blocks(const Task *task); /* of its range that are read */
Run sbc_read_capacity10(Task *task, int r);
Run sbc_read_capacity16(Task *task, int r);
Run sbc_start_stop(Task *task, int r);
Run sbc_get_lba_status(Task *task, int r); /* sbc-status.c */
/* sbc-format.c, sbc-sanitize.c */
Run sbc_format_unit(Task *task, int r);
Run sbc_sanitize_overwrite(Task *task, int r);
Run sbc_sanitize_block_erase(Task *task, int r);
Run sbc_sanitize_exit(Task *task, int r);
uint64_t sbc_format_out(const Task *task);

uint64_t sbc_blocks_out(const Task *task);
uint64_t sbc_verify_out(const Task *task);
uint64_t sbc_write_same_out(const Task *task);
bool sbc_has_unmap(const LuSlot *slot);
bool sbc_has_extents(const LuSlot *slot);
