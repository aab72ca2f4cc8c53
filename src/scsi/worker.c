/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/core.h"

#define IOS_KEPT 1024
#define OPS_KEPT 64
#define FLOWS_KEPT 256

int scsi_worker_new(Loop *loop, BufferPool *buffers, const ScsiLimits *limits, const ScsiHost *host,
                    ScsiWorker **ret)
{
        ScsiWorker *w;
        int r;

        if (loop->index >= SCSI_WORKERS_MAX)
                return -EINVAL;
        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->loop = loop;
        w->buffers = buffers;
        w->limits = *limits;
        if (host)
                w->host = *host;
        w->controller_ops = op_set_controller();
        w->lap.since = LAP_NONE;
        r = store_host_new(loop, &w->stores);
        if (r < 0) {
                free(w);
                return r;
        }
        /* an Io sets what it needs itself; an operation is zeroed */
        pool_init(&w->ios, sizeof(Io), 0, IOS_KEPT);
        pool_init(&w->ops, sizeof(CoordOp), sizeof(CoordOp), OPS_KEPT);
        pool_init(&w->flows, sizeof(Flow), sizeof(Flow), FLOWS_KEPT);
        list_init(&w->nexuses);
        *ret = w;
        return 0;
}

void scsi_worker_tick(ScsiWorker *w)
{
        w->now = loop_now(w->loop);
        w->lap.since = LAP_NONE;
}

uint64_t scsi_worker_errors(const ScsiWorker *w)
{
        return COUNTER_READ(w, n_errors);
}

void scsi_worker_latency(const ScsiWorker *w, IoLatency *ret)
{
        *ret = w->past;
        LIST_FOREACH (nexus, &w->nexuses, ScsiNexus, worker_link) {
                const IoLatency *own = nexus_own_latency(nexus);

                if (own)
                        latency_merge(ret, own);
        }
}

ScsiWorker *scsi_worker_free(ScsiWorker *w, unsigned *ret_ghosts)
{
        if (ret_ghosts)
                *ret_ghosts = w ? w->n_ghosts : 0;
        if (!w)
                return NULL;
        if (w->n_ghosts > 0)
                return NULL; /* the stores still have them */
        store_host_free(w->stores);
        pool_done(&w->ios);
        pool_done(&w->ops);
        pool_done(&w->flows);
        free(w);
        return NULL;
}
