/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/bytes.h"
#include "iscsi/transport.h"

/* The layout of PDUs (RFC 7143 chapter 11): opcodes, flags, offsets of fields in the BHS. */

enum {
        OP_NOP_OUT = 0x00,
        OP_SCSI_COMMAND = 0x01,
        OP_TMF_REQUEST = 0x02,
        OP_LOGIN_REQUEST = 0x03,
        OP_TEXT_REQUEST = 0x04,
        OP_DATA_OUT = 0x05,
        OP_LOGOUT_REQUEST = 0x06,
        OP_SNACK = 0x10,
        OP_NOP_IN = 0x20,
        OP_SCSI_RESPONSE = 0x21,
        OP_TMF_RESPONSE = 0x22,
        OP_LOGIN_RESPONSE = 0x23,
        OP_TEXT_RESPONSE = 0x24,
        OP_DATA_IN = 0x25,
        OP_LOGOUT_RESPONSE = 0x26,
        OP_R2T = 0x31,
        OP_ASYNC_MESSAGE = 0x32,
        OP_REJECT = 0x3f,

        OP_MASK = 0x3f,
        OP_IMMEDIATE = 0x40,
};

/* Byte 1 */
enum {
        FLAG_FINAL = 0x80,
        FLAG_READ = 0x40,     /* SCSI Command */
        FLAG_WRITE = 0x20,    /* SCSI Command */
        FLAG_ATTR = 0x07,     /* SCSI Command */
        FLAG_CONTINUE = 0x40, /* Login, Text */
        FLAG_TRANSIT = 0x80,  /* Login */
        FLAG_OVERFLOW = 0x04, /* SCSI Response, Data-In */
        FLAG_UNDERFLOW = 0x02,
        FLAG_STATUS = 0x01, /* Data-In */
};

/* Offsets of fields; those of several kinds of PDU share a name where they share a place. */
enum {
        BHS_OPCODE = 0,
        BHS_FLAGS = 1,
        BHS_RESPONSE = 2,    /* SCSI, TMF, Logout: response; Reject: reason */
        BHS_STATUS = 3,      /* SCSI Response, Data-In */
        BHS_AHS_LENGTH = 4,  /* in words of 4 bytes */
        BHS_DATA_LENGTH = 5, /* 24 bits */
        BHS_LUN = 8,
        BHS_ISID = 8,
        BHS_TSIH = 14,
        BHS_ITT = 16,
        BHS_TTT = 20,
        BHS_CID = 20,
        BHS_RTT = 20,              /* TMF: Referenced Task Tag */
        BHS_EDTL = 20,             /* SCSI Command */
        BHS_CMDSN = 24,            /* requests */
        BHS_EXP_STATSN = 28,       /* requests */
        BHS_STATSN = 24,           /* responses */
        BHS_EXP_CMDSN = 28,        /* responses */
        BHS_MAX_CMDSN = 32,        /* responses */
        BHS_CDB = 32,              /* SCSI Command */
        BHS_REF_CMDSN = 32,        /* TMF */
        BHS_DATASN = 36,           /* Data-In, Data-Out, R2T (R2TSN), SCSI Response (ExpDataSN) */
        BHS_OFFSET = 40,           /* Data-In, Data-Out, R2T */
        BHS_R2T_LENGTH = 44,       /* R2T */
        BHS_RESIDUAL = 44,         /* SCSI Response, Data-In */
        BHS_BIDI_RESIDUAL = 40,    /* SCSI Response */
        BHS_LOGIN_STATUS = 36,     /* class, detail */
        BHS_ASYNC_EVENT = 36,      /* event, vendor code, three parameters */
        BHS_LOGOUT_TIME2WAIT = 40, /* then Time2Retain */
};

#define TAG_NONE UINT32_C(0xffffffff)

/* AHS types (RFC 7143 11.2.2.1) */
enum { AHS_EXTENDED_CDB = 1, AHS_BIDI_READ_LENGTH = 2 };

/* The AHS of one PDU that we take: an extended CDB of the longest kind and a bidirectional length.
 */
#define AHS_MAX (ROUND_UP(4 + CDB_MAX - 16, 4) + 8)

/* Reject (RFC 7143 11.17.1) */
enum {
        REJECT_DATA_DIGEST = 0x02,
        REJECT_SNACK = 0x03,
        REJECT_PROTOCOL_ERROR = 0x04,
        REJECT_NOT_SUPPORTED = 0x05,
        REJECT_IMMEDIATE = 0x06,
        REJECT_TASK_IN_PROGRESS = 0x07,
        REJECT_INVALID_FIELD = 0x09,
        REJECT_OUT_OF_RESOURCES = 0x0a,
};

/* Login: class << 8 | detail (RFC 7143 11.13.5) */
enum {
        LOGIN_OK = 0x0000,
        LOGIN_INITIATOR_ERROR = 0x0200,
        LOGIN_AUTH_FAILED = 0x0201,
        LOGIN_FORBIDDEN = 0x0202,
        LOGIN_NOT_FOUND = 0x0203,
        LOGIN_BAD_VERSION = 0x0205,
        LOGIN_MISSING_PARAMETER = 0x0207,
        LOGIN_CANNOT_INCLUDE = 0x0208,
        LOGIN_BAD_SESSION_TYPE = 0x0209,
        LOGIN_NO_SESSION = 0x020a,
        LOGIN_INVALID_REQUEST = 0x020b,
        LOGIN_TARGET_ERROR = 0x0300,
        LOGIN_UNAVAILABLE = 0x0301,
        LOGIN_NO_RESOURCES = 0x0302,
};

/* Stages of login: CSG and NSG */
enum { STAGE_SECURITY = 0, STAGE_OPERATIONAL = 1, STAGE_FULL_FEATURE = 3 };

/* Asynchronous Message (RFC 7143 11.9.1) */
enum { ASYNC_LOGOUT_REQUEST = 1, ASYNC_DROP_CONNECTION = 2, ASYNC_DROP_SESSION = 3 };

#define LOGIN_SEGMENT_MAX 8192 /* MaxRecvDataSegmentLength before it is declared */

static inline uint8_t bhs_opcode(const uint8_t *bhs)
{
        return bhs[BHS_OPCODE] & OP_MASK;
}

static inline bool bhs_immediate(const uint8_t *bhs)
{
        return bhs[BHS_OPCODE] & OP_IMMEDIATE;
}

static inline uint32_t bhs_data_length(const uint8_t *bhs)
{
        return get_be24(bhs + BHS_DATA_LENGTH);
}

static inline uint32_t pad4(uint32_t n)
{
        return -n & 3;
}

/* Serial number arithmetic (RFC 7143 4.2.2.1, RFC 1982): a < b, a <= b. */
static inline bool sn_lt(uint32_t a, uint32_t b)
{
        return (int32_t)(a - b) < 0;
}

static inline bool sn_le(uint32_t a, uint32_t b)
{
        return (int32_t)(a - b) <= 0;
}
