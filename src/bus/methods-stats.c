/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/arguments.h"
#include "bus/methods.h"
#include "bus/objects.h"

/* Statistics: what counted since it began, by name, so that a list can grow. */

typedef struct Counter {
        const char *name;
        uint64_t value;
} Counter;

static int append_counters(sd_bus_message *m, const Counter *counters, size_t n)
{
        int r = sd_bus_message_open_container(m, 'a', "{st}");

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(m, "{st}", counters[i].name, counters[i].value);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Where buckets end that have something, and what: most of them have nothing. */
static int append_times(sd_bus_message *m, const char *name, const TimeHistogram *h)
{
        uint64_t ends[TIMES_BUCKETS], counts[TIMES_BUCKETS];
        size_t n = 0;
        int r;

        for (unsigned i = 0; i < TIMES_BUCKETS; i++)
                if (h->buckets[i] > 0) {
                        ends[n] = times_end(i);
                        counts[n++] = h->buckets[i];
                }
        r = sd_bus_message_open_container(m, 'e', "s(tatat)");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "tatat");
        if (r >= 0)
                r = sd_bus_message_append(m, "t", h->sum);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 't', ends, n * sizeof(ends[0]));
        if (r >= 0)
                r = sd_bus_message_append_array(m, 't', counts, n * sizeof(counts[0]));
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int append_latency(sd_bus_message *m, const IoLatency *latency)
{
        int r = sd_bus_message_open_container(m, 'a', LATENCY_ENTRY);

        if (r >= 0 && latency)
                r = append_times(m, "read", &latency->read);
        if (r >= 0 && latency)
                r = append_times(m, "write", &latency->write);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* ---- units ---- */

int append_unit_statistics(sd_bus_message *m, const UnitInfo *u)
{
        const Counter counters[] = {
                { "reads", u->reads },
                { "writes", u->writes },
                { "others", u->others },
                { "read-bytes", u->read_bytes },
                { "write-bytes", u->write_bytes },
                { "errors", u->errors },
                { "in-flight", u->in_flight },
                { "ghosts", u->ghosts },
                { "throttled", u->throttled },
                { "throttled-usec", u->throttled_usec },
        };

        return append_counters(m, counters, ELEMENTSOF(counters));
}

int append_unit_latency(sd_bus_message *m, Manager *manager, const char *uuid)
{
        IoLatency latency;

        return append_latency(m,
                              manager_unit_latency(manager, uuid, &latency) < 0 ? NULL : &latency);
}

static int append_unit(sd_bus_message *m, Manager *manager, const void *row)
{
        const UnitInfo *u = row;
        int r = append_text(m, u->uuid);

        if (r >= 0)
                r = append_mappings(m, manager, u->uuid);
        if (r >= 0)
                r = append_unit_statistics(m, u);
        return r < 0 ? r : append_unit_latency(m, manager, u->uuid);
}

void run_list_unit_statistics(Call *call)
{
        answer_units(call, "sa(sq)" STATISTICS LATENCY, append_unit);
}

/* ---- sessions ---- */

int append_session_statistics(sd_bus_message *m, const SessionInfo *s)
{
        const Counter counters[] = {
                { "commands", s->commands },         { "responses", s->responses },
                { "rx-bytes", s->rx_bytes },         { "tx-bytes", s->tx_bytes },
                { "data-in-pdus", s->data_in_pdus }, { "data-out-pdus", s->data_out_pdus },
        };

        return append_counters(m, counters, ELEMENTSOF(counters));
}

static int append_names(sd_bus_message *m, uint64_t session, const char *target,
                        const char *initiator)
{
        int r = sd_bus_message_append(m, "t", session);

        if (r >= 0)
                r = append_text(m, target);
        return r < 0 ? r : append_text(m, initiator);
}

static int append_session(sd_bus_message *m, Manager *manager, const void *row)
{
        const SessionInfo *s = row;
        int r = append_names(m, s->id, s->target, s->initiator);

        if (r >= 0)
                r = append_session_statistics(m, s);
        return r < 0 ? r : append_latency(m, s->latency);
}

static void done_sessions(const SessionInfo *sessions, size_t n, void *userdata)
{
        answer_rows(userdata, "tss" STATISTICS LATENCY, append_session, sessions, n,
                    sizeof(sessions[0]));
}

void run_list_session_statistics(Call *call)
{
        manager_session_stats(call->server->manager, call->after, call->max, done_sessions, call);
}

/* ---- what sessions did at LUNs ---- */

int parse_page_nexus(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        int r = sd_bus_message_read(m, "tuu", &call->after, &call->lun, &call->max);

        call->max = page_size(call->max);
        return r < 0 ? read_failed(r, e) : 0;
}

static int append_nexus(sd_bus_message *m, Manager *manager, const void *row)
{
        const NexusInfo *x = row;
        const Counter counters[] = {
                { "reads", x->reads },
                { "writes", x->writes },
                { "others", x->others },
                { "read-bytes", x->read_bytes },
                { "write-bytes", x->write_bytes },
                { "errors", x->errors },
                { "in-flight", x->in_flight },
                { "reads-submitted", x->reads_submitted },
                { "writes-submitted", x->writes_submitted },
                { "read-bytes-submitted", x->read_bytes_submitted },
                { "write-bytes-submitted", x->write_bytes_submitted },
        };
        int r = append_names(m, x->session, x->target, x->initiator);

        if (r >= 0)
                r = sd_bus_message_append(m, "q", x->lun);
        return r < 0 ? r : append_counters(m, counters, ELEMENTSOF(counters));
}

static void done_nexuses(int r, const NexusInfo *rows, size_t n, void *userdata)
{
        if (r < 0)
                answer_no_rows(userdata, r);
        else
                answer_rows(userdata, "tssq" STATISTICS, append_nexus, rows, n, sizeof(rows[0]));
}

void run_list_nexus_statistics(Call *call)
{
        manager_nexuses(call->server->manager, call->after, call->lun, call->max, done_nexuses,
                        call);
}

/* ---- workers ---- */

static int append_worker(sd_bus_message *m, Manager *manager, const void *row)
{
        const WorkerInfo *w = row;
        const Counter counters[] = {
                { "turns", w->turns },         { "sleeps", w->sleeps },
                { "receives", w->receives },   { "sends", w->sends },
                { "rx-bytes", w->rx_bytes },   { "tx-bytes", w->tx_bytes },
                { "commands", w->commands },   { "errors", w->errors },
                { "busy-usec", w->busy_usec },
        };
        int r = sd_bus_message_append(m, "u", (uint32_t)w->index);

        if (r >= 0)
                r = append_counters(m, counters, ELEMENTSOF(counters));
        return r < 0 ? r : append_latency(m, w->latency);
}

static void done_workers(int r, const WorkerInfo *rows, size_t n, void *userdata)
{
        if (r < 0)
                answer_no_rows(userdata, r);
        else
                answer_rows(userdata, "u" STATISTICS LATENCY, append_worker, rows, n,
                            sizeof(rows[0]));
}

void run_list_worker_statistics(Call *call)
{
        manager_workers(call->server->manager, done_workers, call);
}
