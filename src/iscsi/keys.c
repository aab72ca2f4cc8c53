/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iscsi/keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/parse.h"
#include "iscsi/pdu.h"

#define FIELD(f) offsetof(IscsiParams, f)
#define SEGMENT_MAX 16777215 /* 2^24 - 1 */
#define DIGEST_BOTH (ISCSI_DIGEST_NONE | ISCSI_DIGEST_CRC32C)

enum {
        S = KEY_SETTABLE,
        NORMAL = KEY_NORMAL_ONLY,
        B = KEY_BOOL,
        AGAIN = KEY_REDECLARE,
};

/* clang-format off */
const Key iscsi_keys[_KEYID_MAX] = {
/*      id                                     name                        type            flags        min  max          std     ours        field */
[KEYID_HEADER_DIGEST]                = { "HeaderDigest",             KEY_DIGEST,     S,           1, 3,           1,      DIGEST_BOTH, FIELD(header_digest) },
[KEYID_DATA_DIGEST]                  = { "DataDigest",               KEY_DIGEST,     S,           1, 3,           1,      DIGEST_BOTH, FIELD(data_digest) },
[KEYID_MAX_RECV_DATA_SEGMENT_LENGTH] = { "MaxRecvDataSegmentLength", KEY_SEGMENT,    S|AGAIN,     512, SEGMENT_MAX, 8192, 262144,     FIELD(max_recv_data_segment) },
[KEYID_MAX_XMIT_DATA_SEGMENT_LENGTH] = { "MaxXmitDataSegmentLength", KEY_LOCAL,      S,           512, SEGMENT_MAX, 8192, 262144,     FIELD(max_xmit_data_segment) },
[KEYID_MAX_BURST_LENGTH]             = { "MaxBurstLength",           KEY_MIN,        S|NORMAL,    512, SEGMENT_MAX, 262144, 1048576,  FIELD(max_burst) },
[KEYID_FIRST_BURST_LENGTH]           = { "FirstBurstLength",         KEY_MIN,        S|NORMAL,    512, SEGMENT_MAX, 65536, 262144,    FIELD(first_burst) },
[KEYID_MAX_OUTSTANDING_R2T]          = { "MaxOutstandingR2T",        KEY_MIN,        S|NORMAL,    1, 65535,       1,      16,         FIELD(max_outstanding_r2t) },
[KEYID_INITIAL_R2T]                  = { "InitialR2T",               KEY_OR,         S|NORMAL|B,  0, 1,           1,      0,          FIELD(initial_r2t) },
[KEYID_IMMEDIATE_DATA]               = { "ImmediateData",            KEY_AND,        S|NORMAL|B,  0, 1,           1,      1,          FIELD(immediate_data) },
[KEYID_DATA_PDU_IN_ORDER]            = { "DataPDUInOrder",           KEY_OR,         S|NORMAL|B,  1, 1,           1,      1,          FIELD(data_pdu_in_order) },
[KEYID_DATA_SEQUENCE_IN_ORDER]       = { "DataSequenceInOrder",      KEY_OR,         S|NORMAL|B,  1, 1,           1,      1,          FIELD(data_sequence_in_order) },
[KEYID_DEFAULT_TIME2WAIT]            = { "DefaultTime2Wait",         KEY_MAX,        S,           0, 3600,        2,      2,          FIELD(default_time2wait) },
[KEYID_DEFAULT_TIME2RETAIN]          = { "DefaultTime2Retain",       KEY_MIN,        S,           0, 3600,        20,     20,         FIELD(default_time2retain) },
/* one connection a session is all there is yet: larger values may stand in a configuration, as
 * they could for stgt, and are answered with 1 */
[KEYID_MAX_CONNECTIONS]              = { "MaxConnections",           KEY_MIN,        S|NORMAL,    1, 65535,       1,      1,          FIELD(max_connections) },
[KEYID_ERROR_RECOVERY_LEVEL]         = { "ErrorRecoveryLevel",       KEY_MIN,        S,           0, 2,           0,      0,          FIELD(error_recovery_level) },
[KEYID_TASK_REPORTING]               = { "TaskReporting",            KEY_TASK_REPORTING, NORMAL,  0, 0,           0,      0,          NO_FIELD },
[KEYID_PROTOCOL_LEVEL]               = { "iSCSIProtocolLevel",       KEY_PROTOCOL_LEVEL, NORMAL,  0, 31,          1,      1,          NO_FIELD },
[KEYID_SESSION_TYPE]                 = { "SessionType",              KEY_TEXT,       0,           0, 0,           0,      0,          NO_FIELD },
[KEYID_INITIATOR_NAME]               = { "InitiatorName",            KEY_TEXT,       0,           0, 0,           0,      0,          NO_FIELD },
[KEYID_INITIATOR_ALIAS]              = { "InitiatorAlias",           KEY_TEXT,       0,           0, 0,           0,      0,          NO_FIELD },
[KEYID_TARGET_NAME]                  = { "TargetName",               KEY_TEXT,       0,           0, 0,           0,      0,          NO_FIELD },
[KEYID_TARGET_ALIAS]                 = { "TargetAlias",              KEY_TARGET_ONLY, 0,          0, 0,           0,      0,          NO_FIELD },
[KEYID_TARGET_ADDRESS]               = { "TargetAddress",            KEY_TARGET_ONLY, 0,          0, 0,           0,      0,          NO_FIELD },
[KEYID_TARGET_PORTAL_GROUP_TAG]      = { "TargetPortalGroupTag",     KEY_TARGET_ONLY, 0,          0, 0,           0,      0,          NO_FIELD },
[KEYID_NODE_ARCHITECTURE]            = { "X#NodeArchitecture",       KEY_TEXT,       0,           0, 0,           0,      0,          NO_FIELD },
[KEYID_SEND_TARGETS]                 = { "SendTargets",              KEY_TEXT,       0,           0, 0,           0,      0,          NO_FIELD },
[KEYID_AUTH_METHOD]                  = { "AuthMethod",               KEY_SECURITY,   0,           0, 0,           0,      0,          NO_FIELD },
[KEYID_CHAP_A]                       = { "CHAP_A",                   KEY_SECURITY,   0,           0, 0,           0,      0,          NO_FIELD },
[KEYID_CHAP_I]                       = { "CHAP_I",                   KEY_SECURITY,   0,           0, 0,           0,      0,          NO_FIELD },
[KEYID_CHAP_C]                       = { "CHAP_C",                   KEY_SECURITY,   0,           0, 0,           0,      0,          NO_FIELD },
[KEYID_CHAP_N]                       = { "CHAP_N",                   KEY_SECURITY,   0,           0, 0,           0,      0,          NO_FIELD },
[KEYID_CHAP_R]                       = { "CHAP_R",                   KEY_SECURITY,   0,           0, 0,           0,      0,          NO_FIELD },
[KEYID_IF_MARKER]                    = { "IFMarker",                 KEY_OBSOLETE_NO, S,          0, 0,           0,      0,          NO_FIELD },
[KEYID_OF_MARKER]                    = { "OFMarker",                 KEY_OBSOLETE_NO, S,          0, 0,           0,      0,          NO_FIELD },
[KEYID_IF_MARK_INT]                  = { "IFMarkInt",                KEY_OBSOLETE_REJECT, 0,      0, 0,           0,      0,          NO_FIELD },
[KEYID_OF_MARK_INT]                  = { "OFMarkInt",                KEY_OBSOLETE_REJECT, 0,      0, 0,           0,      0,          NO_FIELD },
[KEYID_MAX_QUEUE_CMD]                = { "MaxQueueCmd",              KEY_LOCAL,      S,           1, 512,         128,    128,        FIELD(max_queue_cmd) },
[KEYID_NOP_INTERVAL]                 = { "nop_interval",             KEY_LOCAL,      S,           0, 3600,        0,      0,          FIELD(nop_interval) },
[KEYID_NOP_COUNT]                    = { "nop_count",                KEY_LOCAL,      S,           0, 1000,        0,      0,          FIELD(nop_count) },
[KEYID_RDMA_EXTENSIONS]              = { "RDMAExtensions",           KEY_LOCAL_IGNORED, S,        0, 1,           0,      0,          NO_FIELD },
[KEYID_TARGET_RDSL]                  = { "TargetRecvDataSegmentLength", KEY_LOCAL_IGNORED, S,     512, SEGMENT_MAX, 8192, 8192,       NO_FIELD },
[KEYID_INITIATOR_RDSL]               = { "InitiatorRecvDataSegmentLength", KEY_LOCAL_IGNORED, S,  512, SEGMENT_MAX, 8192, 8192,       NO_FIELD },
[KEYID_MAX_OUTSTANDING_UNEXPECTED]   = { "MaxOutstandingUnexpectedPDUs", KEY_LOCAL_IGNORED, S,    0, UINT32_MAX,  0,      0,          NO_FIELD },
};
/* clang-format on */

const Key *key_find(const char *name, size_t length)
{
        for (size_t i = 0; i < ELEMENTSOF(iscsi_keys); i++) {
                const Key *key = &iscsi_keys[i];

                if (key->type == KEY_LOCAL || key->type == KEY_LOCAL_IGNORED)
                        continue;
                if (strlen(key->name) == length && memcmp(key->name, name, length) == 0)
                        return key;
        }
        return NULL;
}

uint32_t key_get(const Key *key, const IscsiParams *p)
{
        const uint8_t *field;
        uint32_t v;

        if (key->offset == NO_FIELD)
                return key->ours;
        field = (const uint8_t *)p + key->offset;
        if (key->type == KEY_DIGEST || key->flags & KEY_BOOL)
                return *field;
        memcpy(&v, field, sizeof(v));
        return v;
}

static void key_set(const Key *key, IscsiParams *p, uint32_t v)
{
        uint8_t *field;

        if (key->offset == NO_FIELD)
                return;
        field = (uint8_t *)p + key->offset;
        if (key->flags & KEY_BOOL)
                *(bool *)field = v != 0;
        else if (key->type == KEY_DIGEST)
                *field = (uint8_t)v;
        else
                memcpy(field, &v, sizeof(v));
}

/* ---- parameters of the administrator ------------------------------------------------------ */

void iscsi_params_default(IscsiParams *ret)
{
        *ret = (IscsiParams){ 0 };
        for (size_t i = 0; i < ELEMENTSOF(iscsi_keys); i++)
                key_set(&iscsi_keys[i], ret, iscsi_keys[i].ours);
}

static void params_standard(IscsiParams *ret)
{
        *ret = (IscsiParams){ 0 };
        for (size_t i = 0; i < ELEMENTSOF(iscsi_keys); i++)
                key_set(&iscsi_keys[i], ret, iscsi_keys[i].standard);
}

static const struct {
        const char *name;
        uint8_t bit;
} digests[] = {
        { "None", ISCSI_DIGEST_NONE },
        { "CRC32C", ISCSI_DIGEST_CRC32C },
};

static uint8_t digest_bit(const char *name, size_t length, bool any_case)
{
        for (size_t i = 0; i < ELEMENTSOF(digests); i++) {
                if (strlen(digests[i].name) != length)
                        continue;
                if (any_case ? strncasecmp(digests[i].name, name, length) == 0
                             : memcmp(digests[i].name, name, length) == 0)
                        return digests[i].bit;
        }
        return 0;
}

/* The next element of a list of values, from *pos; false: no more. */
static bool list_next(const char *list, size_t length, size_t *pos, const char **ret, size_t *ret_n)
{
        const char *comma;

        if (*pos > length)
                return false;
        comma = memchr(list + *pos, ',', length - *pos);
        *ret = list + *pos;
        *ret_n = comma ? (size_t)(comma - *ret) : length - *pos;
        *pos += *ret_n + 1;
        return true;
}

static int set_digest(const Key *key, IscsiParams *p, const char *value, char *reterr, size_t size)
{
        size_t pos = 0, n;
        const char *name;
        uint8_t bits = 0;

        while (list_next(value, strlen(value), &pos, &name, &n)) {
                uint8_t bit = digest_bit(name, n, true);

                if (!bit) {
                        (void)snprintf(reterr, size, "%s is None, CRC32C or both with a comma",
                                       key->name);
                        return -EINVAL;
                }
                bits |= bit;
        }
        key_set(key, p, bits);
        return 0;
}

static int set_bool(const Key *key, IscsiParams *p, const char *value, char *reterr, size_t size)
{
        bool on;

        if (parse_bool(value, &on) < 0) {
                (void)snprintf(reterr, size, "%s is Yes or No", key->name);
                return -EINVAL;
        }
        if ((unsigned)on < key->min || (unsigned)on > key->max) {
                (void)snprintf(reterr, size, "%s can only be %s", key->name,
                               key->max ? "Yes" : "No");
                return -ERANGE;
        }
        key_set(key, p, on);
        return 0;
}

static int set_number(const Key *key, IscsiParams *p, const char *value, char *reterr, size_t size)
{
        uint32_t v;
        int r;

        r = parse_u32(value, key->min, key->max, &v);
        if (r < 0) {
                (void)snprintf(reterr, size, "%s is a number from %u to %u", key->name, key->min,
                               key->max);
                return r;
        }
        key_set(key, p, v);
        return 0;
}

int iscsi_params_set(IscsiParams *p, const char *name, const char *value, char *reterr, size_t size)
{
        for (size_t i = 0; i < ELEMENTSOF(iscsi_keys); i++) {
                const Key *key = &iscsi_keys[i];

                if (!(key->flags & KEY_SETTABLE) || strcasecmp(key->name, name) != 0)
                        continue;
                if (key->type == KEY_DIGEST)
                        return set_digest(key, p, value, reterr, size);
                if (key->flags & KEY_BOOL || key->type == KEY_OBSOLETE_NO)
                        return set_bool(key, p, value, reterr, size);
                return set_number(key, p, value, reterr, size);
        }
        (void)snprintf(reterr, size, "there is no iSCSI parameter %s", name);
        return -ENOENT;
}

const char *iscsi_params_get(const IscsiParams *p, size_t i, char *value, size_t size)
{
        for (size_t k = 0; k < ELEMENTSOF(iscsi_keys); k++) {
                const Key *key = &iscsi_keys[k];
                uint32_t v;

                if (!(key->flags & KEY_SETTABLE) || key->offset == NO_FIELD || i-- > 0)
                        continue;
                v = key_get(key, p);
                if (key->type == KEY_DIGEST)
                        (void)snprintf(
                                value, size, "%s%s%s", v & ISCSI_DIGEST_CRC32C ? "CRC32C" : "",
                                v == DIGEST_BOTH ? "," : "", v & ISCSI_DIGEST_NONE ? "None" : "");
                else if (key->flags & KEY_BOOL)
                        (void)snprintf(value, size, "%s", v ? "Yes" : "No");
                else
                        (void)snprintf(value, size, "%u", v);
                return key->name;
        }
        return NULL;
}

/* ---- text --------------------------------------------------------------------------------- */

static bool key_char(char c)
{
        /* RFC 7143 6.1: standard-label and X-/X# names */
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               (c && strchr(".-+@_#/", c));
}

int text_next(const char *text, size_t length, size_t *pos, TextPair *ret)
{
        const char *pair, *end, *equal;
        size_t n;

        while (*pos < length && !text[*pos])
                (*pos)++;
        if (*pos >= length)
                return 0;
        pair = text + *pos;
        end = memchr(pair, '\0', length - *pos);
        n = end ? (size_t)(end - pair) : length - *pos;
        *pos += n;
        equal = memchr(pair, '=', MIN(n, KEY_NAME_MAX + 1));
        if (!equal || equal == pair)
                return -EBADMSG;
        *ret = (TextPair){ .key = pair,
                           .key_length = (size_t)(equal - pair),
                           .value = equal + 1,
                           .value_length = n - (size_t)(equal - pair) - 1 };
        if (ret->value_length > TEXT_VALUE_MAX)
                return -EBADMSG;
        for (size_t i = 0; i < ret->key_length; i++)
                if (!key_char(ret->key[i]))
                        return -EBADMSG;
        return 1;
}

bool text_is(const TextPair *pair, const char *value)
{
        return strlen(value) == pair->value_length &&
               memcmp(pair->value, value, pair->value_length) == 0;
}

static bool text_out_reserve(TextOut *out, size_t n)
{
        size_t size = out->size ? out->size : 512;
        char *p;

        if (out->failed)
                return false;
        if (n > out->max - out->n) {
                out->failed = true;
                return false;
        }
        if (out->n + n <= out->size)
                return true;
        while (size < out->n + n)
                size *= 2;
        p = realloc(out->p, size);
        if (!p) {
                out->failed = true;
                return false;
        }
        out->p = p;
        out->size = size;
        return true;
}

void text_out_add_n(TextOut *out, const char *key, size_t key_length, const char *value)
{
        size_t n = strlen(value);

        if (!text_out_reserve(out, key_length + 1 + n + 1))
                return;
        memcpy(out->p + out->n, key, key_length);
        out->p[out->n + key_length] = '=';
        memcpy(out->p + out->n + key_length + 1, value, n + 1);
        out->n += key_length + 1 + n + 1;
}

void text_out_add(TextOut *out, const char *key, const char *value)
{
        text_out_add_n(out, key, strlen(key), value);
}

void text_out_printf(TextOut *out, const char *key, const char *format, ...)
{
        char value[512];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(value, sizeof(value), format, ap);
        va_end(ap);
        if (n < 0 || (size_t)n >= sizeof(value)) {
                out->failed = true;
                return;
        }
        text_out_add(out, key, value);
}

void text_out_done(TextOut *out)
{
        free(out->p);
        *out = (TextOut){ .max = out->max };
}

int text_number(const TextPair *pair, uint64_t *ret)
{
        char text[24];

        if (pair->value_length == 0 || pair->value_length >= sizeof(text))
                return -EINVAL;
        memcpy(text, pair->value, pair->value_length);
        text[pair->value_length] = '\0';
        return parse_u64(text, 0, UINT64_MAX, ret);
}

/* ---- negotiation -------------------------------------------------------------------------- */

void negotiation_init(Negotiation *neg, const IscsiParams *ours, bool discovery)
{
        *neg = (Negotiation){ .ours = *ours, .discovery = discovery };
        params_standard(&neg->params);
        /* what exists here: one connection, ErrorRecoveryLevel 0, everything in order */
        neg->ours.max_connections = 1;
        neg->ours.error_recovery_level = 0;
        neg->ours.data_pdu_in_order = neg->ours.data_sequence_in_order = true;
        neg->params.max_recv_data_segment = ours->max_recv_data_segment;
        neg->params.max_queue_cmd = ours->max_queue_cmd;
        neg->params.nop_interval = ours->nop_interval;
        neg->params.nop_count = ours->nop_count;
        neg->xmit_limit = LOGIN_SEGMENT_MAX;
}

static uint64_t key_bit(const Key *key)
{
        return UINT64_C(1) << key_id(key);
}

static int refuse(const Key *key, const TextPair *pair, const char *what, char *reterr, size_t size)
{
        (void)snprintf(reterr, size, "%s=%.*s %s", key->name,
                       (int)MIN(pair->value_length, (size_t)64), pair->value, what);
        return -EPROTO;
}

/* A list: the initiator's order of preference decides (RFC 7143 6.2.1). As an answer to our offer
 * it holds one value. */
static int negotiate_digest(Negotiation *neg, const Key *key, const TextPair *pair, TextOut *out,
                            char *reterr, size_t size)
{
        size_t pos = 0, n;
        const char *name;

        while (list_next(pair->value, pair->value_length, &pos, &name, &n)) {
                uint8_t bit = digest_bit(name, n, false);

                if (!(bit & key_get(key, &neg->ours)))
                        continue;
                key_set(key, &neg->params, bit);
                if (!(neg->asked & key_bit(key)))
                        text_out_add(out, key->name,
                                     bit == ISCSI_DIGEST_CRC32C ? "CRC32C" : "None");
                return 0;
        }
        return refuse(key, pair,
                      "has nothing in common with what this target is configured to accept", reterr,
                      size);
}

static int negotiate_number(Negotiation *neg, const Key *key, const TextPair *pair, TextOut *out,
                            char *reterr, size_t size)
{
        uint32_t ours = key_get(key, &neg->ours);
        uint64_t v;

        if (text_number(pair, &v) < 0)
                return refuse(key, pair, "is not a number", reterr, size);
        if (v < key->min || v > key->max) {
                /* RFC 7143 6.2.2: out of range is answered Reject, and the default stays */
                if (neg->asked & key_bit(key))
                        return refuse(key, pair, "is out of range", reterr, size);
                text_out_add(out, key->name, "Reject");
                return 0;
        }
        v = key->type == KEY_MAX ? MAX(v, ours) : MIN(v, ours);
        key_set(key, &neg->params, (uint32_t)v);
        if (!(neg->asked & key_bit(key)))
                text_out_printf(out, key->name, "%u", (uint32_t)v);
        return 0;
}

static int negotiate_bool(Negotiation *neg, const Key *key, const TextPair *pair, TextOut *out,
                          char *reterr, size_t size)
{
        bool ours = key_get(key, &neg->ours), theirs = text_is(pair, "Yes"), v;

        if (!theirs && !text_is(pair, "No")) {
                if (neg->asked & key_bit(key))
                        return refuse(key, pair, "is neither Yes nor No", reterr, size);
                text_out_add(out, key->name, "Reject");
                return 0;
        }
        v = key->type == KEY_OR ? ours || theirs : ours && theirs;
        key_set(key, &neg->params, v);
        if (!(neg->asked & key_bit(key)))
                text_out_add(out, key->name, v ? "Yes" : "No");
        return 0;
}

static int declare_segment(Negotiation *neg, const Key *key, const TextPair *pair, char *reterr,
                           size_t size)
{
        uint64_t v;

        if (text_number(pair, &v) < 0 || v < key->min || v > key->max)
                return refuse(key, pair, "is not a number from 512 to 16777215", reterr, size);
        neg->xmit_limit = (uint32_t)v;
        return 0;
}

static void negotiate_task_reporting(const Key *key, const TextPair *pair, TextOut *out)
{
        size_t pos = 0, n;
        const char *name;

        while (list_next(pair->value, pair->value_length, &pos, &name, &n))
                if (n == 7 && memcmp(name, "RFC3720", 7) == 0) {
                        text_out_add(out, key->name, "RFC3720");
                        return;
                }
        text_out_add(out, key->name, "Reject");
}

int negotiate(Negotiation *neg, const Key *key, const TextPair *pair, TextOut *out, char *reterr,
              size_t size)
{
        uint64_t v;

        /* RFC 7143 6.3: nothing is negotiated twice in one login */
        if (neg->offered & key_bit(key) && !(key->flags & KEY_REDECLARE))
                return refuse(key, pair, "came a second time in one login (RFC 7143 6.3)", reterr,
                              size);
        neg->offered |= key_bit(key);
        if (neg->discovery && key->flags & KEY_NORMAL_ONLY) {
                text_out_add(out, key->name, "Irrelevant");
                return 0;
        }
        switch (key->type) {
        case KEY_DIGEST:
                return negotiate_digest(neg, key, pair, out, reterr, size);
        case KEY_MIN:
        case KEY_MAX:
                return negotiate_number(neg, key, pair, out, reterr, size);
        case KEY_OR:
        case KEY_AND:
                return negotiate_bool(neg, key, pair, out, reterr, size);
        case KEY_SEGMENT:
                return declare_segment(neg, key, pair, reterr, size);
        case KEY_TASK_REPORTING:
                negotiate_task_reporting(key, pair, out);
                return 0;
        case KEY_PROTOCOL_LEVEL:
                if (text_number(pair, &v) < 0 || v > key->max)
                        text_out_add(out, key->name, "Reject");
                else
                        text_out_printf(out, key->name, "%u", (uint32_t)MIN(v, key->ours));
                return 0;
        case KEY_OBSOLETE_NO:
                text_out_add(out, key->name, "No");
                return 0;
        case KEY_OBSOLETE_REJECT:
        case KEY_SECURITY: /* not in this stage */
        case KEY_TEXT:     /* not in this phase */
                text_out_add(out, key->name, "Reject");
                return 0;
        case KEY_TARGET_ONLY:
        case KEY_LOCAL:
        case KEY_LOCAL_IGNORED:
                break;
        }
        return refuse(key, pair, "is only a target's to send", reterr, size);
}

int negotiate_unknown(Negotiation *neg, const TextPair *pair, TextOut *out)
{
        if (++neg->n_unknown > TEXT_UNKNOWN_MAX)
                return -E2BIG;
        text_out_add_n(out, pair->key, pair->key_length, "NotUnderstood");
        return 0;
}

/* The initiator said nothing, so that the standard's default would hold: can we live with it? */
static bool must_offer(const Negotiation *neg, const Key *key)
{
        uint32_t ours = key_get(key, &neg->ours);

        if (key->offset == NO_FIELD || neg->offered & key_bit(key) || neg->asked & key_bit(key) ||
            (neg->discovery && key->flags & KEY_NORMAL_ONLY))
                return false;
        switch (key->type) {
        case KEY_DIGEST:
                return !(ours & key->standard);
        case KEY_MIN:
                return ours < key->standard;
        case KEY_MAX:
                return ours > key->standard;
        case KEY_AND:
                return !ours && key->standard;
        case KEY_OR:
                return ours && !key->standard;
        default:
                return false;
        }
}

static void offer(Negotiation *neg, const Key *key, TextOut *out)
{
        uint32_t ours = key_get(key, &neg->ours);

        if (key->type == KEY_DIGEST)
                text_out_add(out, key->name, ours == ISCSI_DIGEST_CRC32C ? "CRC32C" : "None");
        else if (key->flags & KEY_BOOL)
                text_out_add(out, key->name, ours ? "Yes" : "No");
        else
                text_out_printf(out, key->name, "%u", ours);
        neg->asked |= key_bit(key);
}

bool negotiation_offer(Negotiation *neg, bool complete, TextOut *out)
{
        if (!neg->declared) {
                neg->declared = true;
                text_out_printf(out, iscsi_keys[KEYID_MAX_RECV_DATA_SEGMENT_LENGTH].name, "%u",
                                neg->ours.max_recv_data_segment);
        }
        for (size_t i = 0; complete && i < ELEMENTSOF(iscsi_keys); i++)
                if (must_offer(neg, &iscsi_keys[i]))
                        offer(neg, &iscsi_keys[i], out);
        return (neg->asked & ~neg->offered) != 0;
}

void negotiation_finish(Negotiation *neg)
{
        IscsiParams *p = &neg->params;

        p->max_xmit_data_segment = min_u32(neg->xmit_limit, neg->ours.max_xmit_data_segment);
        /* RFC 7143 13.14: FirstBurstLength must not exceed MaxBurstLength */
        p->first_burst = min_u32(p->first_burst, p->max_burst);
}
