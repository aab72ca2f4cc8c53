/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"
#include "world.h"

/* Commands with their Data-Out as an initiator could send them. Each record of the input:
 *
 *   1  LUN (0 controller, 1 and 2 units, 3 nobody), initiator, direction, attribute
 *   16 CDB
 *   2  bytes of Data-Out that are expected, and that follow
 *   2  bytes of Data-In that are expected
 *
 * Whatever they are: each task ends once, nothing leaks, and what is sent is not what was never
 * written (the memory sanitizers' business). */

#define SIZE (256 * KIB)

static const StoreCaps caps = { .block_size = 512,
                                .physical_size = 4096,
                                .discard_granularity = 4096,
                                .discard_zeroes = true };

typedef struct Record {
        uint8_t head;
        uint8_t cdb[16];
        uint16_t out, in;
        const uint8_t *data;
} Record;

static bool next(const uint8_t **data, size_t *size, Record *ret)
{
        const uint8_t *p = *data;

        if (*size < 21)
                return false;
        ret->head = p[0];
        memcpy(ret->cdb, p + 1, 16);
        ret->out = (uint16_t)(p[17] << 8 | p[18]);
        ret->in = (uint16_t)(p[19] << 8 | p[20]);
        p += 21;
        *size -= 21;
        ret->out = (uint16_t)MIN((size_t)ret->out, *size);
        ret->data = p;
        *data = p + ret->out;
        *size -= ret->out;
        return true;
}

static void run(TestNexus *nexus[2], const Record *r)
{
        static const uint16_t luns[4] = { 0, 1, 2, 3 };
        Command *c = command_new(nexus[(r->head >> 2) & 1], luns[r->head & 3], r->cdb, 16);

        if (r->head & 0x08)
                command_out(c, r->data, r->out);
        if (r->head & 0x10)
                command_in(c, r->in);
        c->task.attribute = (TaskAttribute)(r->head >> 6);
        c->free_when_over = true;
        command_start(c);
        sim_run(c->world->sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        LuConfig config = default_config;
        LunMapEntry entries[2];
        TestNexus *nexus[2];
        LogicalUnit *lu[2];
        Store *store[2];
        LunMap *map;
        Record r;
        World w;

        world_init(&w, 1, 2);
        for (unsigned i = 0; i < 2; i++) {
                store[i] = fake_store_new(w.sim, SIZE, caps);
                config.block_size = i ? 4096 : 512;
                config.removable = config.descriptor_sense = i;
                lu[i] = unit_new(&w, store[i], &config);
                entries[i] = (LunMapEntry){ (uint16_t)(i + 1), lu[i] };
        }
        if (lun_map_new(entries, 2, &map) < 0)
                abort();
        for (unsigned i = 0; i < 2; i++)
                nexus[i] = nexus_new(&w, i, map);
        while (next(&data, &size, &r))
                run(nexus, &r);
        /* all of them end by themselves */
        sim_advance(w.sim, NSEC_PER_SEC);
        for (unsigned i = 0; i < 2; i++) {
                g_assert_true(list_empty(&nexus[i]->nexus.tasks));
                nexus_free(nexus[i]);
        }
        lun_map_unref(map);
        for (unsigned i = 0; i < 2; i++) {
                lu_unref(lu[i]);
                store_unref(store[i]);
        }
        world_done(&w);
        return 0;
}
