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

int append_unit_latency(sd_bus_message *m, Manager *manager, const char *uuid)
{
        TimeHistogram read = { 0 }, write = { 0 };
        int r = sd_bus_message_open_container(m, 'a', "{s(tatat)}");

        if (r >= 0 && manager_unit_latency(manager, uuid, &read, &write) >= 0) {
                r = append_times(m, "read", &read);
                if (r >= 0)
                        r = append_times(m, "write", &write);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_unit(sd_bus_message *m, Manager *manager, const char *uuid)
{
        UnitInfo unit;
        int r = manager_unit(manager, uuid, &unit);

        if (r < 0)
                return 0; /* gone between the list and here */
        r = sd_bus_message_open_container(m, 'r', "sa(sq)a{st}a{s(tatat)}");
        if (r >= 0)
                r = append_text(m, uuid);
        if (r >= 0)
                r = append_mappings(m, manager, uuid);
        if (r >= 0)
                r = append_unit_statistics(m, &unit);
        if (r >= 0)
                r = append_unit_latency(m, manager, uuid);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

void run_list_unit_statistics(Call *call)
{
        list_units(call, "(sa(sq)a{st}a{s(tatat)})", append_unit);
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

static int append_session(sd_bus_message *m, const SessionInfo *s)
{
        int r = sd_bus_message_open_container(m, 'r', "tssa{st}");

        if (r >= 0)
                r = sd_bus_message_append(m, "t", s->id);
        if (r >= 0)
                r = append_text(m, s->target);
        if (r >= 0)
                r = append_text(m, s->initiator);
        if (r >= 0)
                r = append_session_statistics(m, s);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void done_sessions(const SessionInfo *sessions, size_t n, void *userdata)
{
        answer_sessions(userdata, sessions, n, "(tssa{st})", append_session);
}

void run_list_session_statistics(Call *call)
{
        manager_sessions(call->server->manager, NULL, call->after, call->max, done_sessions, call,
                         NULL);
}

/* ---- what sessions did at LUNs ---- */

int parse_page_nexus(Call *call, const ObjectRef *object, sd_bus_message *m, BusError *e)
{
        int r = sd_bus_message_read(m, "tuu", &call->after, &call->lun, &call->max);

        call->max = page_size(call->max);
        return r < 0 ? read_failed(r, e) : 0;
}

static int append_nexus(sd_bus_message *m, const NexusInfo *x)
{
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
        int r = sd_bus_message_open_container(m, 'r', "tssqa{st}");

        if (r >= 0)
                r = sd_bus_message_append(m, "t", x->session);
        if (r >= 0)
                r = append_text(m, x->target);
        if (r >= 0)
                r = append_text(m, x->initiator);
        if (r >= 0)
                r = sd_bus_message_append(m, "q", x->lun);
        if (r >= 0)
                r = append_counters(m, counters, ELEMENTSOF(counters));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void done_nexuses(int result, const NexusInfo *rows, size_t n, void *userdata)
{
        Call *call = userdata;
        sd_bus_message *reply;
        int r;

        if (!call->connection) {
                call_free(call);
                return;
        }
        reply = result < 0 ? NULL : call_new_reply(call);
        r = reply ? sd_bus_message_open_container(reply, 'a', "(tssqa{st})") : -ENOMEM;
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = append_nexus(reply, &rows[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        call_answer(call, reply, r);
}

void run_list_nexus_statistics(Call *call)
{
        manager_nexuses(call->server->manager, call->after, call->lun, call->max, done_nexuses,
                        call);
}

/* ---- workers ---- */

static int append_worker(sd_bus_message *m, unsigned i, const WorkerInfo *w)
{
        const Counter counters[] = {
                { "turns", w->turns },         { "sleeps", w->sleeps },
                { "receives", w->receives },   { "sends", w->sends },
                { "rx-bytes", w->rx_bytes },   { "tx-bytes", w->tx_bytes },
                { "commands", w->commands },   { "errors", w->errors },
                { "busy-usec", w->busy_usec },
        };
        int r = sd_bus_message_open_container(m, 'r', "ua{st}");

        if (r >= 0)
                r = sd_bus_message_append(m, "u", i);
        if (r >= 0)
                r = append_counters(m, counters, ELEMENTSOF(counters));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

void run_list_worker_statistics(Call *call)
{
        Manager *manager = call->server->manager;
        sd_bus_message *reply = call_new_reply(call);
        int r = reply ? sd_bus_message_open_container(reply, 'a', "(ua{st})") : -ENOMEM;
        WorkerInfo w;

        for (unsigned i = 0; r >= 0 && manager_worker(manager, i, &w) >= 0; i++)
                r = append_worker(reply, i, &w);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        call_answer(call, reply, r);
}
