/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "iscsi/iscsi.h"

/* The text keys of RFC 7143 chapter 13, from one table: what we declare and answer, what is
 * checked, which names an administrator may set. And the text that carries them: a bounded reader
 * of key=value pairs, a bounded response. */

#define KEY_NAME_MAX 63     /* RFC 7143 6.1 */
#define TEXT_VALUE_MAX 8192 /* of one pair; binary values need 2 * 1024 + 2 */
#define TEXT_UNKNOWN_MAX 64 /* keys that we answer with NotUnderstood, in one login */

typedef enum KeyType {
        KEY_DIGEST,          /* list of None, CRC32C; first of the initiator's that we take */
        KEY_MIN,             /* number; the smaller of both */
        KEY_MAX,             /* number; the larger of both */
        KEY_OR,              /* boolean */
        KEY_AND,             /* boolean */
        KEY_SEGMENT,         /* MaxRecvDataSegmentLength: each side declares */
        KEY_TASK_REPORTING,  /* list; we take RFC3720 */
        KEY_PROTOCOL_LEVEL,  /* number; the smaller of both, ours is 1 */
        KEY_TEXT,            /* a declaration that login itself takes */
        KEY_SECURITY,        /* security stage only, login's */
        KEY_OBSOLETE_NO,     /* RFC 7143 13.25: answered No */
        KEY_OBSOLETE_REJECT, /* ... Reject */
        KEY_TARGET_ONLY,     /* only a target may send it */
        KEY_LOCAL,           /* ours: never on the wire */
        KEY_LOCAL_IGNORED,   /* stgt's iSER parameters: accepted in configuration only */
} KeyType;

enum {
        KEY_SETTABLE = 1 << 0,    /* iscsi_params_set() */
        KEY_NORMAL_ONLY = 1 << 1, /* Irrelevant in a discovery session */
        KEY_REDECLARE = 1 << 2,   /* may come again, also in full feature phase */
        KEY_BOOL = 1 << 3,
};

typedef enum KeyId {
        KEYID_HEADER_DIGEST,
        KEYID_DATA_DIGEST,
        KEYID_MAX_RECV_DATA_SEGMENT_LENGTH,
        KEYID_MAX_XMIT_DATA_SEGMENT_LENGTH,
        KEYID_MAX_BURST_LENGTH,
        KEYID_FIRST_BURST_LENGTH,
        KEYID_MAX_OUTSTANDING_R2T,
        KEYID_INITIAL_R2T,
        KEYID_IMMEDIATE_DATA,
        KEYID_DATA_PDU_IN_ORDER,
        KEYID_DATA_SEQUENCE_IN_ORDER,
        KEYID_DEFAULT_TIME2WAIT,
        KEYID_DEFAULT_TIME2RETAIN,
        KEYID_MAX_CONNECTIONS,
        KEYID_ERROR_RECOVERY_LEVEL,
        KEYID_TASK_REPORTING,
        KEYID_PROTOCOL_LEVEL,
        KEYID_SESSION_TYPE,
        KEYID_INITIATOR_NAME,
        KEYID_INITIATOR_ALIAS,
        KEYID_TARGET_NAME,
        KEYID_TARGET_ALIAS,
        KEYID_TARGET_ADDRESS,
        KEYID_TARGET_PORTAL_GROUP_TAG,
        KEYID_NODE_ARCHITECTURE,
        KEYID_SEND_TARGETS,
        KEYID_AUTH_METHOD,
        KEYID_CHAP_A,
        KEYID_CHAP_I,
        KEYID_CHAP_C,
        KEYID_CHAP_N,
        KEYID_CHAP_R,
        KEYID_IF_MARKER,
        KEYID_OF_MARKER,
        KEYID_IF_MARK_INT,
        KEYID_OF_MARK_INT,
        KEYID_MAX_QUEUE_CMD,
        KEYID_NOP_INTERVAL,
        KEYID_NOP_COUNT,
        KEYID_RDMA_EXTENSIONS,
        KEYID_TARGET_RDSL,
        KEYID_INITIATOR_RDSL,
        KEYID_MAX_OUTSTANDING_UNEXPECTED,
        _KEYID_MAX,
} KeyId;

typedef struct Key {
        const char *name;
        KeyType type;
        uint32_t flags;
        uint32_t min, max;
        uint32_t standard; /* what holds when nobody says anything (RFC 7143) */
        uint32_t ours;     /* what iscsi_params_default() says */
        size_t offset;     /* in IscsiParams, of a uint32_t, or bool with KEY_BOOL, or uint8_t for
                              KEY_DIGEST; NO_FIELD */
} Key;

#define NO_FIELD SIZE_MAX

extern const Key iscsi_keys[_KEYID_MAX];

/* NULL: nobody knows it. Case matters on the wire. */
const Key *key_find(const char *name, size_t length);
static inline KeyId key_id(const Key *key)
{
        return (KeyId)(key - iscsi_keys);
}

uint32_t key_get(const Key *key, const IscsiParams *p);

/* ---- text --------------------------------------------------------------------------------- */

/* Walks "key=value" NUL "key=value" NUL; the last NUL may lack, empty strings are skipped. 1: a
 * pair, within text, not terminated; 0: the end; -EBADMSG: not a pair, or a name or value out of
 * bounds. */
typedef struct TextPair {
        const char *key, *value;
        size_t key_length, value_length;
} TextPair;

int text_next(const char *text, size_t length, size_t *pos, TextPair *ret);
bool text_is(const TextPair *pair, const char *value);

/* What we answer: grows up to max bytes, then fails for good. */
typedef struct TextOut {
        char *p;
        size_t n, size, max;
        bool failed; /* does not fit, or out of memory */
} TextOut;

void text_out_add(TextOut *out, const char *key, const char *value);
void text_out_printf(TextOut *out, const char *key, const char *format, ...) _printf_(3, 4);
void text_out_add_n(TextOut *out, const char *key, size_t key_length, const char *value);
void text_out_done(TextOut *out);

/* ---- negotiation -------------------------------------------------------------------------- */

/* Of one connection that logs in. ours: what is configured; params: what holds, at last. */
typedef struct Negotiation {
        IscsiParams ours, params;
        bool discovery;
        bool declared;       /* our MaxRecvDataSegmentLength */
        uint64_t offered;    /* bit per KeyId: the initiator gave it a value */
        uint64_t asked;      /* we offered it and wait for the answer */
        uint32_t xmit_limit; /* what the initiator declared */
        unsigned n_unknown;
} Negotiation;

void negotiation_init(Negotiation *neg, const IscsiParams *ours, bool discovery);
/* One operational key; the answer goes to out. 0; -EPROTO, with why in reterr: the login is over.
 */
int negotiate(Negotiation *neg, const Key *key, const TextPair *pair, TextOut *out, char *reterr,
              size_t size);
/* -E2BIG: too many. */
int negotiate_unknown(Negotiation *neg, const TextPair *pair, TextOut *out);
/* Declares what we must. complete: the initiator is through, so offers what it passed over where
 * the standard's default is not acceptable. true: an answer is awaited, no transition yet. */
bool negotiation_offer(Negotiation *neg, bool complete, TextOut *out);
/* Invariants over keys; params hold then. */
void negotiation_finish(Negotiation *neg);

/* A number as RFC 7143 6.1 writes it: decimal or 0x hexadecimal, whole value. */
int text_number(const TextPair *pair, uint64_t *ret);
