/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "device.h"
#include "store/store.h"

#define N_WORKERS 2

static Budget budget;
static BufferPool *buffers[N_WORKERS];
static ScsiWorker *workers[N_WORKERS];
static LogicalUnit *lu;
static LuChange change;
static bool changed;

static void on_event(void *userdata, const ScsiEvent *event)
{
}

void device_init(Sim *sim)
{
        StoreSpec spec = { .type = "ram", .size = 8 * MIB };
        LuConfig config = {
                .name = "ram", .block_size = 512, .max_transfer = 32768, .write_cache = true
        };
        ScsiLimits limits = { .ghost_wait = 5 * NSEC_PER_SEC, .tasks_per_slot = 512 };
        ScsiHost host = { .event = on_event };
        StoreError err;
        Store *store;

        budget.left = (int64_t)(256 * MIB);
        for (unsigned i = 0; i < N_WORKERS; i++) {
                g_assert_cmpint(buffer_pool_new(&budget, 1 * MIB, &buffers[i]), ==, 0);
                g_assert_cmpint(
                        scsi_worker_new(sim_loop(sim, i), buffers[i], &limits, &host, &workers[i]),
                        ==, 0);
        }
        g_assert_cmpint(store_open(&spec, &store, &err), ==, 0);
        g_assert_cmpint(lu_new(&config, store, sim_loop(sim, 0), &lu), ==, 0);
        store_unref(store);
}

ScsiWorker *device_worker(unsigned i)
{
        return workers[i];
}

LunMap *device_luns(void)
{
        LunMapEntry entry = { .lun = 0, .lu = lu };
        LunMap *map;

        g_assert_cmpint(lun_map_new(&entry, 1, &map), ==, 0);
        return map;
}

static void on_change(LuChange *c)
{
        changed = true;
}

void device_done(Sim *sim)
{
        changed = false;
        change = (LuChange){ .kind = LU_CHANGE_RETIRE,
                             .origin = sim_loop(sim, 0),
                             .done = on_change };
        lu_change(lu, &change);
        sim_run(sim);
        g_assert_true(changed);
        lu = lu_unref(lu);
        sim_run(sim);
        for (unsigned i = 0; i < N_WORKERS; i++) {
                unsigned ghosts;

                scsi_worker_free(workers[i], &ghosts);
                g_assert_cmpuint(ghosts, ==, 0);
                buffer_pool_free(buffers[i]);
        }
        g_assert_cmpint(budget.left, ==, (int64_t)(256 * MIB));
}
