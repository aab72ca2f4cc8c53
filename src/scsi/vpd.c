/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/vpd.h"

/* Vital product data of direct access block devices (SPC-4 7.8, SBC-3 6.6). */

#define STGT_ID_LENGTH 36 /* of its serial numbers and T10 designators */
#define LONG_PAGE 0x3c    /* B0, B1 and 86: SBC-3 and SPC-4 fix the length */

static void emit_supported(const Task *task, Writer *w)
{
        for (size_t i = 0; i < n_vpd_pages; i++)
                write_u8(w, vpd_pages[i].code);
}

static void emit_serial(const Task *task, Writer *w)
{
        const LuIdentity *id = &task->slot->lu->config.identity;
        size_t n = strlen(id->serial);

        if (id->stgt && n < STGT_ID_LENGTH)
                write_fill(w, ' ', STGT_ID_LENGTH - n);
        write_bytes(w, id->serial, n);
}

/* ---- 83h device identification (SPC-4 7.8.6) ------------------------------------------------ */

enum { CODE_BINARY = 1, CODE_ASCII = 2, CODE_UTF8 = 3 };
enum { ASSOC_UNIT = 0x00, ASSOC_PORT = 0x10, ASSOC_DEVICE = 0x20 };
enum {
        DESIGNATOR_T10 = 1,
        DESIGNATOR_NAA = 3,
        DESIGNATOR_RELATIVE_PORT = 4,
        DESIGNATOR_NAME = 8,
        DESIGNATOR_UUID = 0xa,
};

static void designator(Writer *w, const Task *task, unsigned code, unsigned association,
                       unsigned type, const void *data, size_t n, size_t pad)
{
        /* PIV with the transport's protocol for what is not of the unit */
        bool piv = association != ASSOC_UNIT;

        write_u8(w, (uint8_t)(code | (piv ? task->nexus->protocol << 4 : 0)));
        write_u8(w, (uint8_t)((piv ? 0x80 : 0) | association | type));
        write_u8(w, 0);
        write_u8(w, (uint8_t)(n + pad));
        write_bytes(w, data, n);
        write_fill(w, 0, pad);
}

/* SCSI name strings end in at least one zero and are padded to four bytes (SPC-4 7.8.6.11). */
static void name_designator(Writer *w, const Task *task, unsigned association, const char *name)
{
        size_t n = name ? strnlen(name, 251) : 0;

        if (n > 0)
                designator(w, task, CODE_UTF8, association, DESIGNATOR_NAME, name, n, 4 - n % 4);
}

static void emit_identification(const Task *task, Writer *w)
{
        const LuIdentity *id = &task->slot->lu->config.identity;
        uint8_t t10[8 + LU_SCSI_ID_MAX], uuid[18] = { 0x10 }, port[4] = {};
        Writer v = WRITER(t10, sizeof(t10));

        if (id->stgt) {
                size_t n = strlen(id->scsi_id);

                designator(w, task, CODE_ASCII, ASSOC_UNIT, DESIGNATOR_T10, id->scsi_id, n,
                           n < STGT_ID_LENGTH ? STGT_ID_LENGTH - n : 0);
                designator(w, task, CODE_BINARY, ASSOC_UNIT, DESIGNATOR_NAA, id->naa_local,
                           sizeof(id->naa_local), 0);
        } else {
                write_ascii(&v, id->vendor, 8);
                write_bytes(&v, id->scsi_id, strlen(id->scsi_id));
                designator(w, task, CODE_ASCII, ASSOC_UNIT, DESIGNATOR_T10, t10, writer_stored(&v),
                           0);
        }
        designator(w, task, CODE_BINARY, ASSOC_UNIT, DESIGNATOR_NAA, id->naa, sizeof(id->naa), 0);
        memcpy(uuid + 2, id->uuid, sizeof(id->uuid));
        designator(w, task, CODE_BINARY, ASSOC_UNIT, DESIGNATOR_UUID, uuid, sizeof(uuid), 0);
        put_be16(port + 2, task->nexus->relative_port);
        designator(w, task, CODE_BINARY, ASSOC_PORT, DESIGNATOR_RELATIVE_PORT, port, sizeof(port),
                   0);
        name_designator(w, task, ASSOC_PORT, task->nexus->target_port);
        name_designator(w, task, ASSOC_DEVICE, task->nexus->target_name);
}

/* ---- 86h extended INQUIRY data (SPC-4 7.8.7) --------------------------------------------------
 */

static void emit_extended(const Task *task, Writer *w)
{
        write_u8(w, 0);
        write_u8(w, 0x07); /* HEADSUP, ORDSUP, SIMPSUP */
        write_u8(w, 0x01); /* V_SUP: the cache may be volatile */
        write_fill(w, 0, 6);
        write_u8(w, SENSE_MAX); /* MAXIMUM SUPPORTED SENSE DATA LENGTH */
        write_fill(w, 0, LONG_PAGE - 10);
}

/* ---- B0h block limits (SBC-3 6.6.3) ---------------------------------------------------------- */

static void emit_limits(const Task *task, Writer *w)
{
        const LuConfig *config = &task->slot->lu->config;
        const LuLimits *limits = &task->slot->state.limits;
        uint32_t granularity = config->opt_granularity;

        if (granularity == 0)
                granularity = 1u << config->lbppbe;
        write_u8(w, 1); /* WSNZ: WRITE SAME of 0 blocks is refused (OP_NOT_ZERO) */
        write_u8(w, 0); /* no COMPARE AND WRITE */
        write_be16(w, (uint16_t)min_u32(granularity, UINT16_MAX));
        write_be32(w, limits->max_transfer);
        write_be32(w, min_u32(config->opt_length, limits->max_transfer));
        write_be32(w, 0); /* PRE-FETCH of any length */
        write_be32(w, limits->max_unmap_blocks);
        write_be32(w, limits->max_unmap_descriptors);
        write_be32(w, limits->unmap_granularity);
        write_be32(w, limits->unmap ? 0x80000000 : 0); /* UGAVALID, alignment 0 */
        write_be64(w, limits->max_write_same);
        write_fill(w, 0, LONG_PAGE - 40);
}

static void emit_characteristics(const Task *task, Writer *w)
{
        write_be16(w, task->slot->lu->config.rotation_rate);
        write_u8(w, 0);
        write_u8(w, 0x40); /* WABEREQ 01b: what a block erase went over can be read */
        write_fill(w, 0, LONG_PAGE - 4);
}

/* SBC-3 6.6.4 */
static void emit_provisioning(const Task *task, Writer *w)
{
        const LuLimits *limits = &task->slot->state.limits;

        write_u8(w, 0);
        /* LBPU, LBPWS, LBPWS10, LBPRZ */
        write_u8(w, (uint8_t)(limits->unmap ? 0xe0 | (limits->unmap_zeroes ? 0x04 : 0) : 0));
        write_u8(w, limits->unmap ? 0x02 : 0); /* thin */
        write_u8(w, 0);
}

const VpdPage vpd_pages[] = {
        { 0x00, "Supported VPD Pages", emit_supported },
        { 0x80, "Unit Serial Number", emit_serial },
        { 0x83, "Device Identification", emit_identification },
        { 0x86, "Extended INQUIRY Data", emit_extended },
        { 0xb0, "Block Limits", emit_limits },
        { 0xb1, "Block Device Characteristics", emit_characteristics },
        { 0xb2, "Logical Block Provisioning", emit_provisioning },
};
const size_t n_vpd_pages = ELEMENTSOF(vpd_pages);
