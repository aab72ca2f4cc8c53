/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/vpd.h"

/* TEST UNIT READY, REQUEST SENSE, INQUIRY (SPC-4 6.47, 6.39, 6.6). */

#define TYPE_DISK 0x00
#define TYPE_CONTROLLER 0x0c
#define TYPE_WELL_KNOWN 0x1e
#define QUALIFIER_NO_UNIT 0x7f /* not capable of a device there */
#define VERSION_SPC4 0x06
#define STANDARD_LENGTH 96
#define EVPD 0x01

/* SPC-4 table 145 */
static const uint16_t disk_standards[] = { 0x00a0, 0x0960, 0x0460, 0x04c0 };
static const uint16_t controller_standards[] = { 0x00a0, 0x0960, 0x0460 };

Run spc_test_unit_ready(Task *task, int r)
{
        return task_status(task, SCSI_GOOD);
}

/* What would be reported is the data, and reporting it ends it. */
Run spc_request_sense(Task *task, int r)
{
        Sense s = SENSE(SENSE_NO_SENSE, ASC_NONE);
        uint8_t data[SENSE_MAX];
        Writer w;

        if (!task_reply(task, SENSE_MAX, &w))
                return RUN_DONE;
        if (task->itl->ua)
                s = SENSE(SENSE_UNIT_ATTENTION, unit_attention_asc(itl_take_attention(task->itl)));
        else if (task->slot)
                (void)slot_medium_sense(task->slot, &s);
        write_bytes(&w, data, sense_encode(&s, task_cdb(task)[1] & 1, data));
        return task_reply_done(task, &w);
}

static uint8_t peripheral(const Task *task)
{
        if (task->slot)
                return task->slot->state.retired ? QUALIFIER_NO_UNIT : TYPE_DISK;
        return task->itl->lun == (uint16_t)LUN_REPORT_LUNS ? TYPE_WELL_KNOWN : TYPE_CONTROLLER;
}

static void standard_inquiry(const Task *task, Writer *w)
{
        static const LuIdentity controller = { .vendor = "TGT",
                                               .product = "Controller",
                                               .revision = "0001" };
        const LuConfig *config = task->slot ? &task->slot->lu->config : NULL;
        const LuIdentity *id = config ? &config->identity : &controller;
        const uint16_t *standards = config ? disk_standards : controller_standards;
        size_t n = config ? ELEMENTSOF(disk_standards) : ELEMENTSOF(controller_standards);

        write_u8(w, peripheral(task));
        write_u8(w, config && config->removable ? 0x80 : 0);
        write_u8(w, VERSION_SPC4);
        write_u8(w, 0x12); /* HISUP, response data format 2 */
        write_u8(w, STANDARD_LENGTH - 5);
        write_be16(w, 0);
        write_u8(w, 0x02); /* CMDQUE */
        write_ascii(w, id->vendor, 8);
        write_ascii(w, id->product, 16);
        write_ascii(w, id->revision, 4);
        write_fill(w, 0, 58 - 36);
        for (size_t i = 0; i < n; i++)
                write_be16(w, standards[i]);
        write_fill(w, 0, STANDARD_LENGTH - 58 - n * 2);
}

static bool vpd_inquiry(const Task *task, uint8_t code, Writer *w)
{
        for (size_t i = 0; task->slot && i < n_vpd_pages; i++) {
                if (vpd_pages[i].code != code)
                        continue;
                write_u8(w, peripheral(task));
                write_u8(w, code);
                write_be16(w, 0);
                vpd_pages[i].emit(task, w);
                patch_be16(w, 2, (uint16_t)(writer_stored(w) - 4));
                return true;
        }
        if (task->slot || code != 0)
                return false;
        /* the controller and the well-known unit have the list, which is itself */
        write_u8(w, peripheral(task));
        write_u8(w, 0);
        write_be16(w, 1);
        write_u8(w, 0);
        return true;
}

Run spc_inquiry(Task *task, int r)
{
        const uint8_t *cdb = task_cdb(task);
        Writer w;

        if (!(cdb[1] & EVPD) && cdb[2] != 0)
                return task_bad_cdb(task, 2, -1);
        if (!task_reply(task, BUFFER_MIN_SIZE, &w))
                return RUN_DONE;
        if (!(cdb[1] & EVPD))
                standard_inquiry(task, &w);
        else if (!vpd_inquiry(task, cdb[2], &w))
                return task_bad_cdb(task, 2, -1);
        return task_reply_done(task, &w);
}
