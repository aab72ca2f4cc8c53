/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* Sense data (SPC-4 4.5) and unit attention conditions. No state. */

typedef enum SenseKey {
        SENSE_NO_SENSE = 0x0,
        SENSE_NOT_READY = 0x2,
        SENSE_MEDIUM_ERROR = 0x3,
        SENSE_HARDWARE_ERROR = 0x4,
        SENSE_ILLEGAL_REQUEST = 0x5,
        SENSE_UNIT_ATTENTION = 0x6,
        SENSE_DATA_PROTECT = 0x7,
        SENSE_ABORTED_COMMAND = 0xb,
        SENSE_MISCOMPARE = 0xe,
} SenseKey;

/* ASC in the high byte, ASCQ in the low one (SPC-4 table F.2). */
enum {
        ASC_NONE = 0x0000,
        ASC_NOT_READY = 0x0400,
        ASC_FORMAT_IN_PROGRESS = 0x0404,
        ASC_SANITIZE_IN_PROGRESS = 0x041b,
        ASC_WRITE_ERROR = 0x0c00,
        ASC_INVALID_FIELD_IN_COMMAND_IU = 0x0e03,
        ASC_READ_ERROR = 0x1100,
        ASC_PARAMETER_LIST_LENGTH = 0x1a00,
        ASC_MISCOMPARE_DURING_VERIFY = 0x1d00,
        ASC_INVALID_OPCODE = 0x2000,
        ASC_LBA_OUT_OF_RANGE = 0x2100,
        ASC_INVALID_FIELD_IN_CDB = 0x2400,
        ASC_LUN_NOT_SUPPORTED = 0x2500,
        ASC_INVALID_FIELD_IN_PARAMETERS = 0x2600,
        ASC_WRITE_PROTECTED = 0x2700,
        ASC_SPACE_ALLOCATION_FAILED = 0x2707,
        ASC_MEDIUM_FORMAT_CORRUPTED = 0x3100,
        ASC_FORMAT_FAILED = 0x3101,
        ASC_SANITIZE_FAILED = 0x3103,
        ASC_SAVING_NOT_SUPPORTED = 0x3900,
        ASC_MEDIUM_NOT_PRESENT = 0x3a00,
        ASC_INTERNAL_TARGET_FAILURE = 0x4400,
        ASC_INVALID_MESSAGE = 0x4900,
        ASC_DATA_PHASE_ERROR = 0x4b00,
        ASC_REMOVAL_PREVENTED = 0x5302,
};

/* What can wait for a nexus; the first that is pending is reported first (SAM-5 5.14.2). */
typedef enum UnitAttention {
        UA_POWER_ON,         /* 29/00 */
        UA_TARGET_RESET,     /* 29/02 */
        UA_UNIT_RESET,       /* 29/03 */
        UA_NEXUS_LOSS,       /* 29/07 */
        UA_TASKS_CLEARED,    /* 2f/00 */
        UA_MEDIUM_CHANGED,   /* 28/00 */
        UA_CAPACITY_CHANGED, /* 2a/09 */
        UA_MODE_CHANGED,     /* 2a/01 */
        UA_LUNS_CHANGED,     /* 3f/0e */
        UA_MAX
} UnitAttention;

#define UA_NONE UA_MAX
/* These are all "start anew": reporting one covers the others. */
#define UA_RESETS \
        (1u << UA_POWER_ON | 1u << UA_TARGET_RESET | 1u << UA_UNIT_RESET | 1u << UA_NEXUS_LOSS)

uint16_t unit_attention_asc(UnitAttention ua) _pure_;

#define SENSE_NO_FIELD (-1)

typedef struct Sense {
        SenseKey key;
        uint16_t asc;
        /* ILLEGAL REQUEST: where (SPC-4 4.5.2.4.2). field < 0: nowhere; bit < 0: the whole byte */
        int field, bit;
        bool in_parameters; /* field counts in the parameter list, not in the CDB */
        bool has_information;
        uint64_t information;
        /* NO SENSE, NOT READY: how far something is, of 65536 (SPC-4 4.5.2.4.4); not with a field
         */
        bool has_progress;
        uint16_t progress;
} Sense;

#define SENSE(k, a) ((Sense){ .key = (k), .asc = (a), .field = SENSE_NO_FIELD, .bit = -1 })

#define SENSE_FIXED_LENGTH 18

/* Writes it into buf (at least 32 bytes) in fixed or descriptor format; returns its length. */
uint16_t sense_encode(const Sense *s, bool descriptor, uint8_t *buf);
