/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/bytes.h"
#include "world.h"

#define SIZE (4 * MIB)
#define BS 512

typedef struct Fixture {
        World w;
        Store *store;
        LogicalUnit *lu;
        LunMap *map;
        TestNexus *n;
} Fixture;

static const StoreCaps thin_caps = { .block_size = 512,
                                     .physical_size = 4096,
                                     .discard_granularity = 4096,
                                     .discard_zeroes = true,
                                     .extents = true };

static inline void setup(Fixture *f, const LuConfig *config)
{
        world_init(&f->w, 7, 1);
        f->store = fake_store_new(f->w.sim, SIZE, thin_caps);
        f->lu = unit_new(&f->w, f->store, config);
        f->map = map_of(f->lu, 1);
        f->n = nexus_new(&f->w, 0, f->map);
        clear_attention(f->n, 1);
}

static inline void teardown(Fixture *f)
{
        nexus_free(f->n);
        lun_map_unref(f->map);
        lu_unref(f->lu);
        store_unref(f->store);
        world_done(&f->w);
}

static inline void fill(uint8_t *p, size_t n, uint8_t seed)
{
        for (size_t i = 0; i < n; i++)
                p[i] = (uint8_t)(seed + i * 7 + i / 512);
}

/* A CDB of one command in 6, 10, 12 or 16 bytes. */
static inline size_t rw_cdb(uint8_t cdb[16], unsigned size, bool write, uint64_t lba,
                            uint32_t blocks)
{
        static const uint8_t ops[2][4] = { { 0x08, 0x28, 0xa8, 0x88 }, { 0x0a, 0x2a, 0xaa, 0x8a } };

        memset(cdb, 0, 16);
        cdb[0] = ops[write][size == 6 ? 0 : size == 10 ? 1 : size == 12 ? 2 : 3];
        switch (size) {
        case 6:
                put_be24(cdb + 1, (uint32_t)lba);
                cdb[4] = (uint8_t)blocks;
                break;
        case 10:
                put_be32(cdb + 2, (uint32_t)lba);
                put_be16(cdb + 7, (uint16_t)blocks);
                break;
        case 12:
                put_be32(cdb + 2, (uint32_t)lba);
                put_be32(cdb + 6, blocks);
                break;
        default:
                put_be64(cdb + 2, lba);
                put_be32(cdb + 10, blocks);
        }
        return size;
}

static inline void check_good(Command *c, int line)
{
        if (c->outcome != COMPLETED || c->task.status != SCSI_GOOD)
                g_error("line %d: outcome %d, status %02x, sense %06x", line, c->outcome,
                        c->task.status, sense_of(c));
        command_free(c);
}

static inline void check_sense(Command *c, uint32_t sense, int line)
{
        if (sense_of(c) != sense)
                g_error("line %d: sense %06x, not %06x", line, sense_of(c), sense);
        command_free(c);
}

#define expect_good(c) check_good((c), __LINE__)
#define expect_sense(c, sense) check_sense((c), (sense), __LINE__)
