/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake-scsi.h"

#include <glib.h>

#include "base/bytes.h"
#include "device.h"

FakeScsi fake;
static uint8_t disk[FAKE_BLOCKS * 512];
static size_t filled;

struct LunMap {
        int ref;
};

void fake_init(Loop *loop)
{
        fake = (FakeScsi){ .budget = { .left = (int64_t)GIB }, .loop = loop };
        fake.disk = disk;
        for (; filled < sizeof(disk); filled++) /* once in a process: fuzzers come here often */
                disk[filled] = (uint8_t)(filled >> 9 ^ filled);
        g_assert_cmpint(buffer_pool_new(&fake.budget, 0, &fake.buffers), ==, 0);
}

void fake_done(void)
{
        g_assert_cmpuint(fake.n_live, ==, 0);
        g_assert_cmpuint(fake.n_open, ==, 0);
        buffer_pool_free(fake.buffers);
        g_assert_cmpint(fake.budget.left, ==, (int64_t)GIB);
}

void device_init(Sim *sim)
{
        fake_init(sim_loop(sim, 0));
}

void device_done(Sim *sim)
{
        fake_done();
}

ScsiWorker *device_worker(unsigned i)
{
        return NULL;
}

LunMap *device_luns(void)
{
        LunMap *map;

        g_assert_cmpint(lun_map_new(NULL, 0, &map), ==, 0);
        return map;
}

int lun_map_new(const LunMapEntry *entries, size_t n, LunMap **ret)
{
        *ret = g_new0(LunMap, 1);
        (*ret)->ref = 1;
        return 0;
}

LunMap *lun_map_ref(LunMap *m)
{
        m->ref++;
        return m;
}

LunMap *lun_map_unref(LunMap *m)
{
        if (m && --m->ref == 0)
                g_free(m);
        return NULL;
}

static void forget(Task *task)
{
        for (unsigned i = 0; i < fake.n_tasks; i++)
                if (fake.tasks[i] == task) {
                        fake.tasks[i] = fake.tasks[--fake.n_tasks];
                        return;
                }
}

static void complete(Task *task, ScsiStatus status)
{
        task->state = TASK_COMPLETE;
        task->status = status;
        if (status == SCSI_CHECK_CONDITION) {
                task->sense_length = 18;
                memset(task->sense, 0, 18);
                task->sense[0] = 0x70;
                task->sense[2] = 0x0b;
        }
        fake.n_completed++;
        task->ops->complete(task);
}

static void do_read(Task *task)
{
        uint32_t lba = get_be32(task->cdb + 2), n = get_be16(task->cdb + 7) * 512u, half;

        task->in_wanted = n;
        n = min_u32(n, task->in_expected);
        n -= min_u32(n, fake.short_by);
        task->in_length = n;
        if (fake.lent.memory && task->takes_memory) {
                uint64_t at = lba * UINT64_C(512);

                task->loan = (StoreLoan){ fake.lent.memory + at, fake.lent.fd, at };
                task->in_iov[0] = (struct iovec){ (void *)task->loan.memory, n };
                task->n_in_iov = 1;
        } else if (n > 0) {
                task->in_buffer = buffer_new(fake.buffers, n);
                g_assert_nonnull(task->in_buffer);
                memcpy(task->in_buffer->data, fake.disk + lba * 512, n);
                half = n > 1000 ? 1000 : n; /* two parts, at an odd place */
                task->in_iov[0] = (struct iovec){ task->in_buffer->data, half };
                task->in_iov[1] = (struct iovec){ task->in_buffer->data + half, n - half };
                task->n_in_iov = n > half ? 2 : 1;
        }
        complete(task, fake.short_by ? SCSI_CHECK_CONDITION : SCSI_GOOD);
}

static void ask_for_data(Task *task)
{
        task->out_wanted = get_be16(task->cdb + 7) * UINT64_C(512);
        task->out_want = (uint32_t)min_u64(task->out_wanted, task->out_expected);
        if (task->out_want == 0) {
                complete(task, SCSI_GOOD);
                return;
        }
        task->buffer = buffer_new(fake.buffers, task->out_want);
        g_assert_nonnull(task->buffer);
        task->state = TASK_DATA_OUT;
        task->ops->get_data(task);
}

static void run(Task *task)
{
        bool transfers = task->cdb[0] == 0x28 || task->cdb[0] == 0x2a;

        if (transfers &&
            get_be32(task->cdb + 2) + UINT64_C(0) + get_be16(task->cdb + 7) > FAKE_BLOCKS) {
                forget(task);
                complete(task, SCSI_CHECK_CONDITION);
                return;
        }
        switch (task->cdb[0]) {
        case 0x28:
                do_read(task);
                break;
        case 0x2a:
                if (task->state == TASK_DATA_OUT)
                        return;
                ask_for_data(task);
                break;
        case 0xff:
                complete(task, SCSI_CHECK_CONDITION);
                break;
        default:
                complete(task, SCSI_GOOD);
                break;
        }
}

void task_submit(Task *task)
{
        const uint8_t *cdb = task->long_cdb ? task->long_cdb : task->cdb;

        g_assert_cmpint(task->state, ==, TASK_IDLE);
        fake.n_submitted++;
        fake.n_live++;
        fake.last_cdb_length = task->cdb_length;
        memcpy(fake.last_cdb, cdb, task->cdb_length);
        task->state = TASK_RUNNING;
        if (fake.hold || (fake.gate && task->cdb[0] == 0x2a)) {
                g_assert_cmpuint(fake.n_tasks, <, G_N_ELEMENTS(fake.tasks));
                fake.tasks[fake.n_tasks++] = task;
                return;
        }
        if (task->cdb[0] == 0x2a) /* found by resets while it waits for data */
                fake.tasks[fake.n_tasks++] = task;
        run(task);
}

void task_data_out_done(Task *task, int r)
{
        g_assert_cmpint(task->state, ==, TASK_DATA_OUT);
        forget(task);
        fake.last_error = r;
        if (r == 0)
                memcpy(fake.disk + get_be32(task->cdb + 2) * 512, task->buffer->data,
                       task->out_want);
        complete(task, r == 0 ? SCSI_GOOD : SCSI_CHECK_CONDITION);
}

void task_release(Task *task)
{
        g_assert(task->state == TASK_COMPLETE || task->state == TASK_GIVEN_UP);
        task->buffer = buffer_unref(task->buffer);
        task->in_buffer = buffer_unref(task->in_buffer);
        task->state = TASK_IDLE;
        forget(task);
        fake.n_released++;
        fake.n_live--;
}

void fake_recall(Task *task, bool copied)
{
        const uint8_t *from = task->loan.memory;

        g_assert_cmpint(task->state, ==, TASK_COMPLETE);
        g_assert_nonnull(from);
        task->n_in_iov = copied;
        if (copied) {
                task->in_buffer = buffer_new(fake.buffers, task->in_length);
                g_assert_nonnull(task->in_buffer);
                memcpy(task->in_buffer->data, from, task->in_length);
                task->in_iov[0].iov_base = task->in_buffer->data;
        }
        task->loan.memory = NULL;
        task->ops->recalled(task, from);
}

static void abort_task(Task *task)
{
        if (task->state == TASK_COMPLETE)
                return;
        forget(task);
        task->state = TASK_GIVEN_UP;
        task->status = SCSI_TASK_ABORTED;
        fake.n_aborted++;
        task->ops->aborted(task, fake.tas);
}

void fake_run(void)
{
        Task *tasks[G_N_ELEMENTS(fake.tasks)];
        unsigned n = fake.n_tasks;

        fake.hold = fake.gate = false;
        memcpy(tasks, fake.tasks, sizeof(tasks));
        for (unsigned i = 0; i < n; i++) {
                if (tasks[i]->cdb[0] != 0x2a)
                        forget(tasks[i]);
                run(tasks[i]);
        }
        if (fake.tmf) {
                Tmf *tmf = fake.tmf;

                fake.tmf = NULL;
                tmf->done(tmf);
        }
}

void scsi_tmf(Tmf *tmf)
{
        fake.n_tmfs++;
        fake.last_tmf = tmf->function;
        tmf->response = fake.tmf_response;
        if (tmf->function == TMF_ABORT_TASK)
                tmf->response = TMF_NO_TASK;
        for (unsigned i = fake.n_tasks; i-- > 0;) {
                Task *task = fake.tasks[i];

                if (task->nexus != tmf->nexus || memcmp(task->lun, tmf->lun, 8) != 0)
                        continue;
                if (tmf->function == TMF_ABORT_TASK && task->tag != tmf->tag)
                        continue;
                tmf->response = TMF_COMPLETE;
                abort_task(task);
        }
        if (fake.hold_tmf && !fake.tmf)
                fake.tmf = tmf;
        else
                tmf->done(tmf);
}

int scsi_nexus_open(ScsiNexus *nexus, LunMap *map)
{
        if (fake.fail_open)
                return -ENOMEM;
        nexus->map = lun_map_ref(map);
        fake.n_open++;
        return 0;
}

void scsi_nexus_set_throttles(ScsiNexus *nexus, Throttle *const throttles[NEXUS_THROTTLES])
{
        memcpy(fake.throttles, throttles, sizeof(fake.throttles));
        fake.n_throttled++;
}

/* A throttle is whatever a test says; what counts is who holds it. */
Throttle *throttle_ref(Throttle *t)
{
        if (t)
                ++*(int *)(void *)t;
        return t;
}

Throttle *throttle_unref(Throttle *t)
{
        if (t)
                --*(int *)(void *)t;
        return NULL;
}

int scsi_nexus_remap(ScsiNexus *nexus, LunMap *map)
{
        lun_map_unref(nexus->map);
        nexus->map = lun_map_ref(map);
        fake.n_remapped++;
        return 0;
}

static void on_close(LoopTask *task)
{
        ScsiNexus *nexus = CONTAINER_OF(task, ScsiNexus, close_task);

        fake.n_open--;
        nexus->map = lun_map_unref(nexus->map);
        nexus->closed(nexus);
}

void scsi_nexus_close(ScsiNexus *nexus, void (*closed)(ScsiNexus *nexus))
{
        for (unsigned i = fake.n_tasks; i-- > 0;)
                if (i < fake.n_tasks && fake.tasks[i]->nexus == nexus)
                        abort_task(fake.tasks[i]);
        nexus->closed = closed;
        nexus->close_task.run = on_close;
        loop_defer(fake.loop, &nexus->close_task);
}

/* ---- statistics ---- */

void scsi_worker_tick(ScsiWorker *w)
{
}

void scsi_nexus_latency(const ScsiNexus *nexus, IoLatency *ret)
{
        *ret = (IoLatency){ .read.sum = FAKE_LATENCY };
}

size_t scsi_nexus_stats(const ScsiNexus *nexus, uint32_t first, ItlStats *ret, size_t max)
{
        return 0;
}
