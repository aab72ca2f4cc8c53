/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

/* Statistics: read where any thread may, asked for where only their worker may. */

int manager_unit_latency(Manager *m, const char *uuid, IoLatency *ret)
{
        const Unit *u = g_hash_table_lookup(m->units, uuid);

        if (!u)
                return -ENOENT;
        if (u->lu)
                lu_latency(u->lu, ret);
        else
                *ret = (IoLatency){ 0 };
        return 0;
}

typedef struct NexusesAsk {
        Manager *manager;
        NexusesDone *done;
        void *userdata;
} NexusesAsk;

static void fill_nexus(Manager *m, const IscsiNexusStats *from, NexusInfo *ret)
{
        const SessionRow *row = g_tree_lookup(m->sessions, &from->session);
        const ItlStats *s = &from->itl;
        const ItlCounters *d = &s->done;

        *ret = (NexusInfo){
                .session = from->session,
                .target = row ? row->target : "", /* its event is on the way */
                .initiator = row ? row->initiator : "",
                .lun = s->lun,
                .reads = d->reads,
                .writes = d->writes,
                .others = d->others,
                .read_bytes = d->read_bytes,
                .write_bytes = d->write_bytes,
                .errors = d->errors,
                .in_flight = s->reads + s->writes,
                .reads_submitted = d->reads + d->lost_reads + s->reads,
                .writes_submitted = d->writes + d->lost_writes + s->writes,
                .read_bytes_submitted = d->read_bytes + d->lost_read_bytes + s->read_bytes,
                .write_bytes_submitted = d->write_bytes + d->lost_write_bytes + s->write_bytes,
        };
}

static void on_nexuses(void *userdata, const IscsiNexusStats *rows, size_t n)
{
        g_autofree NexusesAsk *ask = userdata;
        g_autofree NexusInfo *infos = g_new(NexusInfo, n);

        for (size_t i = 0; i < n; i++)
                fill_nexus(ask->manager, &rows[i], &infos[i]);
        ask->done(0, infos, n, ask->userdata);
}

void manager_nexuses(Manager *m, uint64_t session, uint32_t lun, size_t max, NexusesDone *done,
                     void *userdata)
{
        NexusesAsk *ask = g_new(NexusesAsk, 1);
        int r;

        *ask = (NexusesAsk){ m, done, userdata };
        r = engine_nexuses(m->engine, session, lun, max, on_nexuses, ask);
        if (r >= 0)
                return;
        g_free(ask);
        done(r, NULL, 0, userdata);
}

typedef struct WorkersAsk {
        WorkersDone *done;
        void *userdata;
} WorkersAsk;

static WorkerInfo worker_info(const EngineWorkerStats *s)
{
        return (WorkerInfo){
                .index = s->index,
                .turns = s->turns,
                .sleeps = s->sleeps,
                .receives = s->receives,
                .sends = s->sends,
                .rx_bytes = s->rx_bytes,
                .tx_bytes = s->tx_bytes,
                .commands = s->commands,
                .errors = s->errors,
                .busy_usec = s->busy_ns / NSEC_PER_USEC,
                .latency = &s->latency,
        };
}

static void on_workers(void *userdata, const EngineWorkerStats *rows, size_t n)
{
        g_autofree WorkersAsk *ask = userdata;
        g_autofree WorkerInfo *infos = g_new(WorkerInfo, n);

        for (size_t i = 0; i < n; i++)
                infos[i] = worker_info(&rows[i]);
        ask->done(0, infos, n, ask->userdata);
}

void manager_workers(Manager *m, WorkersDone *done, void *userdata)
{
        WorkersAsk *ask = g_new(WorkersAsk, 1);
        int r;

        *ask = (WorkersAsk){ done, userdata };
        r = engine_worker_stats(m->engine, on_workers, ask);
        if (r >= 0)
                return;
        g_free(ask);
        done(r, NULL, 0, userdata);
}
