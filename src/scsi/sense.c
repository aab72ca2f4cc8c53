/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/sense.h"

#include "base/bytes.h"

static const uint16_t unit_attentions[UA_MAX] = {
        [UA_POWER_ON] = 0x2900,         [UA_TARGET_RESET] = 0x2902,  [UA_UNIT_RESET] = 0x2903,
        [UA_NEXUS_LOSS] = 0x2907,       [UA_TASKS_CLEARED] = 0x2f00, [UA_MEDIUM_CHANGED] = 0x2800,
        [UA_CAPACITY_CHANGED] = 0x2a09, [UA_MODE_CHANGED] = 0x2a01,  [UA_LUNS_CHANGED] = 0x3f0e,
};

uint16_t unit_attention_asc(UnitAttention ua)
{
        return ua < UA_MAX ? unit_attentions[ua] : ASC_NONE;
}

/* Field pointer sense key specific information: SKSV, C/D, BPV, bit pointer, field pointer. */
static void encode_field(const Sense *s, uint8_t p[3])
{
        p[0] = (uint8_t)(0x80 | (s->in_parameters ? 0 : 0x40));
        if (s->bit >= 0)
                p[0] = (uint8_t)(p[0] | 0x08 | (s->bit & 7));
        put_be16(p + 1, (uint16_t)s->field);
}

/* Progress indication: SKSV, then the part of 65536. */
static void encode_progress(const Sense *s, uint8_t p[3])
{
        p[0] = 0x80;
        put_be16(p + 1, s->progress);
}

/* SPC-4 4.5.3 */
static uint16_t encode_fixed(const Sense *s, uint8_t *buf)
{
        memset(buf, 0, SENSE_FIXED_LENGTH);
        buf[0] = 0x70;
        buf[2] = (uint8_t)s->key;
        /* what does not fit the four bytes is not valid there */
        if (s->has_information && s->information <= UINT32_MAX) {
                buf[0] |= 0x80;
                put_be32(buf + 3, (uint32_t)s->information);
        }
        buf[7] = SENSE_FIXED_LENGTH - 8;
        put_be16(buf + 12, s->asc);
        if (s->field >= 0)
                encode_field(s, buf + 15);
        else if (s->has_progress)
                encode_progress(s, buf + 15);
        return SENSE_FIXED_LENGTH;
}

/* SPC-4 4.5.2 */
static uint16_t encode_descriptor(const Sense *s, uint8_t *buf)
{
        uint8_t n = 8;

        memset(buf, 0, 8);
        buf[0] = 0x72;
        buf[1] = (uint8_t)s->key;
        put_be16(buf + 2, s->asc);
        if (s->has_information) {
                memset(buf + n, 0, 12);
                buf[n + 1] = 0x0a;
                buf[n + 2] = 0x80;
                put_be64(buf + n + 4, s->information);
                n = (uint8_t)(n + 12);
        }
        if (s->field >= 0 || s->has_progress) {
                memset(buf + n, 0, 8);
                buf[n] = 0x02;
                buf[n + 1] = 0x06;
                if (s->field >= 0)
                        encode_field(s, buf + n + 4);
                else
                        encode_progress(s, buf + n + 4);
                n = (uint8_t)(n + 8);
        }
        buf[7] = (uint8_t)(n - 8);
        return n;
}

uint16_t sense_encode(const Sense *s, bool descriptor, uint8_t *buf)
{
        return descriptor ? encode_descriptor(s, buf) : encode_fixed(s, buf);
}
