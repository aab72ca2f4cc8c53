/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <pthread.h>

#include "base/bytes.h"
#include "scsi/core.h"

/* Everything that is done with a row and a CDB without knowing the command. */

static OpSet disk_set, controller_set;

static int compare_rows(const void *a, const void *b)
{
        const ScsiOp *x = *(const ScsiOp *const *)a, *y = *(const ScsiOp *const *)b;

        if (x->opcode != y->opcode)
                return x->opcode < y->opcode ? -1 : 1;
        return (int)x->service_action - (int)y->service_action;
}

static void set_add(OpSet *set, const ScsiOp *rows, size_t n, uint32_t only)
{
        for (size_t i = 0; i < n && set->n < OP_SET_MAX; i++)
                if (!only || (rows[i].flags & only))
                        set->rows[set->n++] = &rows[i];
}

static void set_index(OpSet *set)
{
        qsort(set->rows, set->n, sizeof(set->rows[0]), compare_rows);
        for (unsigned i = set->n; i-- > 0;) {
                set->first[set->rows[i]->opcode] = (uint8_t)i;
                set->count[set->rows[i]->opcode]++;
        }
}

static void make_sets(void)
{
        set_add(&disk_set, spc_ops, n_spc_ops, 0);
        set_add(&disk_set, sbc_ops, n_sbc_ops, 0);
        set_index(&disk_set);
        set_add(&controller_set, spc_ops, n_spc_ops, OP_CONTROLLER);
        set_index(&controller_set);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

const OpSet *op_set_disk(void)
{
        pthread_once(&once, make_sets);
        return &disk_set;
}

const OpSet *op_set_controller(void)
{
        pthread_once(&once, make_sets);
        return &controller_set;
}

const ScsiOp *op_find(const OpSet *set, const LuSlot *slot, const uint8_t *cdb)
{
        unsigned n = set->count[cdb[0]];
        const ScsiOp *const *row = &set->rows[set->first[cdb[0]]];

        for (; n > 0; n--, row++) {
                if (((*row)->flags & OP_SERVICE_ACTION) &&
                    (*row)->service_action != (cdb[1] & 0x1f))
                        continue;
                return (*row)->enabled && !(slot && (*row)->enabled(slot)) ? NULL : *row;
        }
        return NULL;
}

bool op_has_service_actions(const OpSet *set, uint8_t opcode)
{
        return set->count[opcode] > 0 && (set->rows[set->first[opcode]]->flags & OP_SERVICE_ACTION);
}

uint8_t op_usage(const ScsiOp *op, const LuSlot *slot, unsigned byte)
{
        uint8_t usage = op->usage[byte];

        if (byte == 1 && (op->flags & OP_UNMAP_BIT) && !(slot && lu_can_unmap(slot->lu)))
                usage &= 0xf7;
        return usage;
}

uint64_t cdb_field(const uint8_t *cdb, CdbField f)
{
        const uint8_t *p = cdb + f.at;

        switch (f.size) {
        case 1:
                return *p;
        case 2:
                return get_be16(p);
        case 3:
                return get_be24(p) & 0x1fffff; /* 6 byte CDBs: SBC-3 5.7 */
        case 4:
                return get_be32(p);
        case 8:
                return get_be64(p);
        default:
                return 0;
        }
}

/* The same in two words, for all of them at once: a command that is as it should be is the rule. */
static bool cdb_is_clean(const ScsiOp *op, const uint8_t *cdb)
{
        uint64_t bits[2], usage[2];
        unsigned length = op->cdb_length;

        memcpy(bits, cdb, sizeof(bits));
        memcpy(usage, op->usage, sizeof(usage));
        bits[0] = htole64(bits[0] & ~usage[0]);
        bits[1] = htole64(bits[1] & ~usage[1]);
        if (length <= 8)
                return bits[0] << 8 * (8 - length) == 0;
        return bits[0] == 0 && bits[1] << 8 * (16 - length) == 0;
}

int cdb_check(const ScsiOp *op, const uint8_t *cdb, int *ret_byte, int *ret_bit)
{
        if (LIKELY(cdb_is_clean(op, cdb)))
                return 0;
        for (unsigned i = 1; i < op->cdb_length; i++) {
                uint8_t bad = (uint8_t)(cdb[i] & ~op->usage[i]);

                if (i == 1 && (op->flags & OP_SERVICE_ACTION))
                        bad &= 0xe0;
                if (LIKELY(bad == 0))
                        continue;
                *ret_byte = (int)i;
                *ret_bit = 31 - __builtin_clz(bad);
                return -EINVAL;
        }
        return 0;
}
