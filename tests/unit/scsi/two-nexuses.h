/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/bytes.h"
#include "world.h"

#define SIZE (1 * MIB)
#define BS 512
#define STORE_ID 77

typedef struct Fixture {
        World w;
        Store *store;
        LogicalUnit *lu;
        LunMap *map;
        TestNexus *a, *b; /* on workers 0 and 1 */
} Fixture;

static const StoreCaps caps = { .block_size = 512,
                                .physical_size = 4096,
                                .discard_granularity = 4096,
                                .discard_zeroes = true,
                                .extents = true };

static inline void setup_config(Fixture *f, const LuConfig *config)
{
        world_init(&f->w, 11, 2);
        f->store = fake_store_new(f->w.sim, SIZE, caps);
        fake_store_identity(f->store, STORE_ID);
        f->lu = unit_new(&f->w, f->store, config);
        f->map = map_of(f->lu, 1);
        f->a = nexus_new(&f->w, 0, f->map);
        f->b = nexus_new(&f->w, 1, f->map);
        clear_attention(f->a, 1);
        clear_attention(f->b, 1);
}

static inline void setup(Fixture *f)
{
        setup_config(f, &default_config);
}

static inline void teardown(Fixture *f)
{
        if (f->a)
                nexus_free(f->a);
        if (f->b)
                nexus_free(f->b);
        lun_map_unref(f->map);
        lu_unref(f->lu);
        store_unref(f->store);
        world_done(&f->w);
}

static inline Command *write_start(TestNexus *n, uint8_t lba, uint8_t blocks, uint8_t byte,
                                   TaskAttribute attribute)
{
        static uint8_t data[256 * BS];
        Command *c = command_new(n, 1, CDB(0x2a, 0, 0, 0, 0, lba, 0, 0, blocks, 0));

        memset(data, byte, sizeof(data));
        command_out(c, data, (size_t)blocks * BS);
        c->task.attribute = attribute;
        command_start(c);
        return c;
}

static inline Command *write_block(TestNexus *n, uint8_t lba, uint8_t byte)
{
        return write_start(n, lba, 1, byte, TASK_SIMPLE);
}

static inline Command *read_start(TestNexus *n, uint8_t lba)
{
        Command *c = command_new(n, 1, CDB(0x28, 0, 0, 0, 0, lba, 0, 0, 1, 0));

        command_in(c, BS);
        command_start(c);
        return c;
}

static inline void settle(Fixture *f)
{
        sim_run(f->w.sim);
        sim_advance(f->w.sim, NSEC_PER_MSEC);
}

static inline uint8_t byte_at(Fixture *f, unsigned lba)
{
        return fake_store_data(f->store)[lba * BS];
}
