/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define NAMES_MAX 3
#define PAGE 256

/* ---- the table ------------------------------------------------------------------------------- */

static int compare_ids(gconstpointer a, gconstpointer b, gpointer userdata)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

static void session_row_free(void *p)
{
        SessionRow *row = p;

        g_free(row->target);
        g_free(row->initiator);
        g_free(row->alias);
        g_free(row->peer);
        g_free(row->info);
        g_free(row);
}

void sessions_init(Manager *m)
{
        m->sessions = g_tree_new_full(compare_ids, NULL, NULL, session_row_free);
        for (unsigned i = 0; i < RATE_N; i++)
                m->rates[i] = (RateLimit){ .interval_ns = NSEC_PER_SEC / 2, .burst = 50 };
}

static uint64_t realtime_usec(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void count_session(Manager *m, const char *target, int delta)
{
        Target *t = g_hash_table_lookup(m->targets, target);

        if (!*target)
                m->n_discovery += (unsigned)delta;
        else if (t && (delta > 0 || t->n_sessions > 0))
                t->n_sessions += (unsigned)delta;
}

static void session_begin(Manager *m, const IscsiEvent *event)
{
        SessionRow *row;

        if (event->session == 0 || g_tree_lookup(m->sessions, &event->session))
                return;
        row = g_new0(SessionRow, 1);
        row->id = event->session;
        row->target = g_strdup(event->target ? event->target : "");
        row->initiator = g_strdup(event->initiator ? event->initiator : "");
        row->alias = g_strdup(event->alias ? event->alias : "");
        row->peer = g_strdup(event->peer ? event->peer : "");
        row->since_usec = realtime_usec();
        g_tree_insert(m->sessions, &row->id, row);
        count_session(m, row->target, 1);
        OBSERVE(m, session_added, row->id, row->target);
        manager_touch(m);
}

static void session_end(Manager *m, uint64_t id)
{
        SessionRow *row = g_tree_lookup(m->sessions, &id);

        if (!row)
                return;
        count_session(m, row->target, -1);
        OBSERVE(m, session_removed, id, row->target);
        g_tree_remove(m->sessions, &id);
        manager_touch(m);
}

unsigned sessions_count(const Manager *m, const char *target)
{
        unsigned n = 0;

        for (GTreeNode *node = g_tree_node_first(m->sessions); node; node = g_tree_node_next(node))
                n += STREQ(((SessionRow *)g_tree_node_value(node))->target, target);
        return n;
}

char *sessions_initiators(const Manager *m, const char *target)
{
        GString *text = g_string_new(NULL);
        unsigned n = 0;

        for (GTreeNode *node = g_tree_node_first(m->sessions); node;
             node = g_tree_node_next(node)) {
                const SessionRow *row = g_tree_node_value(node);

                if (!STREQ(row->target, target))
                        continue;
                if (n < NAMES_MAX)
                        g_string_append_printf(text, "%s%s (%s)", n > 0 ? ", " : "", row->initiator,
                                               row->peer);
                n++;
        }
        if (n > NAMES_MAX)
                g_string_append_printf(text, " and %u more", n - NAMES_MAX);
        return g_string_free(text, n == 0);
}

/* ---- events ---------------------------------------------------------------------------------- */

typedef struct EventRow {
        IscsiEventKind kind;
        RateKind rate;
        int priority;
        const char *message_id;
        const char *what;
} EventRow;

static const EventRow event_rows[] = {
        { ISCSI_EVENT_LOGIN, RATE_LOGIN, LOG_INFO, MSG_LOGIN, "Login" },
        { ISCSI_EVENT_LOGIN_REJECTED, RATE_REJECTED, LOG_NOTICE, MSG_REJECTED, "Login refused" },
        { ISCSI_EVENT_LOGOUT, RATE_ENDED, LOG_INFO, MSG_LOGOUT, "Logout" },
        { ISCSI_EVENT_DISCONNECT, RATE_ENDED, LOG_NOTICE, MSG_DISCONNECT, "Disconnected" },
        { ISCSI_EVENT_PROTOCOL_ERROR, RATE_PROTOCOL, LOG_WARNING, MSG_PROTOCOL, "Protocol error" },
};

static const char *or_empty(const char *s)
{
        return s ? s : "";
}

static bool rate_pass(Manager *m, RateKind kind, char *ret_note, size_t size)
{
        unsigned suppressed;

        if (!ratelimit_pass(&m->rates[kind], loop_now(m->loop), &suppressed))
                return false;
        ret_note[0] = '\0';
        if (suppressed > 0)
                snprintf(ret_note, size, " (%u more like this were not logged)", suppressed);
        return true;
}

static void journal_event(Manager *m, const EventRow *row, const IscsiEvent *event)
{
        char session[24] = "", status[8] = "", note[64];
        bool discovery = !event->target || !*event->target;

        if (!rate_pass(m, row->rate, note, sizeof(note)))
                return;
        if (event->session > 0)
                snprintf(session, sizeof(session), "%" PRIu64, event->session);
        if (event->kind == ISCSI_EVENT_LOGIN_REJECTED)
                snprintf(status, sizeof(status), "%04x", event->status);
        /* a discovery session per portal and minute is how initiators live */
        log_send(discovery && row->priority == LOG_INFO ? LOG_DEBUG : row->priority,
                 row->message_id,
                 LOG_FIELDS({ "TARGET", event->target }, { "INITIATOR", event->initiator },
                            { "PEER", event->peer }, { "SESSION", session },
                            { "REASON", event->reason }, { "LOGIN_STATUS", status }),
                 "%s: %s at %s%s%s%s%s%s", row->what,
                 event->initiator && *event->initiator ? event->initiator : "an initiator",
                 or_empty(event->peer), discovery ? "" : ", target ", or_empty(event->target),
                 event->reason && *event->reason ? ": " : "", or_empty(event->reason), note);
}

static void on_iscsi(void *userdata, const IscsiEvent *event)
{
        Manager *m = userdata;

        for (size_t i = 0; i < ELEMENTSOF(event_rows); i++)
                if (event_rows[i].kind == event->kind)
                        journal_event(m, &event_rows[i], event);
        if (event->kind == ISCSI_EVENT_LOGIN)
                session_begin(m, event);
        else if (event->kind == ISCSI_EVENT_LOGOUT || event->kind == ISCSI_EVENT_DISCONNECT)
                session_end(m, event->session);
        else if (event->kind == ISCSI_EVENT_LOGIN_REJECTED)
                OBSERVE(m, login_rejected, or_empty(event->target), or_empty(event->initiator),
                        or_empty(event->peer), or_empty(event->reason), event->status);
}

static void journal_io_error(Manager *m, const ScsiEvent *event, const char *uuid)
{
        char lun[8], note[64], error[16];
        const char *name = event->lu ? lu_config(event->lu)->name : "";
        bool ghost = event->kind == SCSI_EVENT_GHOST;

        if (!rate_pass(m, RATE_IO_ERROR, note, sizeof(note)))
                return;
        snprintf(lun, sizeof(lun), "%u", event->lun);
        snprintf(error, sizeof(error), "%d", -event->error);
        log_send(
                LOG_ERR, MSG_IO_ERROR,
                LOG_FIELDS({ "TARGET", event->target }, { "LUN", lun }, { "UNIT_UUID", uuid },
                           { "INITIATOR", event->initiator }, { "BACKING_STORE", name },
                           { "TGT_ERRNO", error }),
                "%s: %s, LUN %u of %s: operation %02xh at block %" PRIu64 ", %" PRIu64
                " blocks: %s%s",
                ghost ? "Given up" : "I/O error", or_empty(name), event->lun,
                or_empty(event->target), event->opcode, event->lba, event->blocks,
                ghost ? "the backing store has not answered; its blocks are kept from others until "
                        "it does"
                      : strerror(-event->error),
                note);
}

static void on_scsi(void *userdata, const ScsiEvent *event)
{
        Manager *m = userdata;
        char uuid[37] = "";
        Unit *u;

        if (event->lu)
                uuid_format(lu_config(event->lu)->identity.uuid, uuid);
        journal_io_error(m, event, uuid);
        u = g_hash_table_lookup(m->units, uuid);
        if (u && (event->kind == SCSI_EVENT_UNIT_GONE || event->error == -ENODEV))
                (void)unit_refresh(u, NULL, NULL); /* finds out, and says so */
}

/* ---- asking the engine ----------------------------------------------------------------------- */

static void on_sessions_changed(void *userdata)
{
        manager_touch(userdata);
}

static gboolean collect_gone(gpointer key, gpointer value, gpointer userdata)
{
        GArray *gone = userdata;

        g_array_append_val(gone, ((SessionRow *)value)->id);
        return FALSE;
}

/* Events were lost: what the engine has is what there is. */
static void on_resync(void *userdata, const IscsiSessionInfo *sessions, size_t n)
{
        Manager *m = userdata;
        g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);
        g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(uint64_t));

        for (size_t i = 0; i < n; i++) {
                const IscsiSessionInfo *s = &sessions[i];
                IscsiEvent event = { .session = s->id,
                                     .target = s->target,
                                     .initiator = s->initiator,
                                     .alias = s->alias,
                                     .peer = s->peer };

                g_hash_table_add(seen, (gpointer)&s->id);
                session_begin(m, &event);
        }
        g_tree_foreach(m->sessions, collect_gone, rows);
        for (guint i = 0; i < rows->len; i++)
                if (!g_hash_table_contains(seen, &g_array_index(rows, uint64_t, i)))
                        session_end(m, g_array_index(rows, uint64_t, i));
}

static void on_dropped(void *userdata, uint64_t n)
{
        Manager *m = userdata;

        log_warning("%" PRIu64 " events of sessions were too many to keep.", n);
        if (engine_sessions(m->engine, 0, SIZE_MAX, on_resync, m) < 0)
                log_warning("The table of sessions could not be read again.");
}

const EngineEvents manager_engine_events = {
        .iscsi = on_iscsi,
        .scsi = on_scsi,
        .sessions_changed = on_sessions_changed,
        .dropped = on_dropped,
};

/* ---- the bus's side -------------------------------------------------------------------------- */

static void fill_live(SessionInfo *ret, const IscsiSessionInfo *s, char isid[ISID_TEXT])
{
        for (size_t i = 0; i < sizeof(s->isid); i++)
                snprintf(isid + 2 * i, 3, "%02x", s->isid[i]);
        ret->alias = s->alias;
        ret->portal = s->portal;
        ret->tsih = s->tsih;
        ret->cid = s->cid;
        ret->isid = isid;
        ret->worker = s->worker;
        ret->discovery = s->discovery;
        ret->header_digest = s->header_digest;
        ret->data_digest = s->data_digest;
        ret->rx_bytes = s->traffic.rx_bytes;
        ret->tx_bytes = s->traffic.tx_bytes;
        ret->commands = s->traffic.commands;
        ret->responses = s->traffic.responses;
        ret->data_in_pdus = s->traffic.data_in_pdus;
        ret->data_out_pdus = s->traffic.data_out_pdus;
}

static void fill_session(SessionRow *row, SessionInfo *ret)
{
        *ret = (SessionInfo){
                .id = row->id,
                .target = row->target,
                .initiator = row->initiator,
                .alias = row->alias,
                .peer = row->peer,
                .portal = "",
                .isid = "",
                .discovery = !*row->target,
                .since_usec = row->since_usec,
        };
        if (row->info)
                fill_live(ret, row->info, row->isid);
}

typedef struct SessionsAsk {
        Manager *manager;
        char *target;
        uint64_t after;
        size_t max;
        SessionsDone *done;
        void *userdata;
        GDestroyNotify destroy;
        const IscsiSessionStats *stats; /* of manager_session_stats(), ascending */
        size_t n_stats;
} SessionsAsk;

/* Ids are asked for in ascending order. */
static const IoLatency *next_latency(SessionsAsk *ask, uint64_t id)
{
        while (ask->n_stats > 0 && ask->stats->info.id < id) {
                ask->stats++;
                ask->n_stats--;
        }
        return ask->n_stats > 0 && ask->stats->info.id == id ? &ask->stats->latency : NULL;
}

static void answer_sessions(SessionsAsk *ask)
{
        Manager *m = ask->manager;
        g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(SessionInfo));
        GTreeNode *node = g_tree_upper_bound(m->sessions, &ask->after);

        for (; node && rows->len < ask->max; node = g_tree_node_next(node)) {
                SessionRow *row = g_tree_node_value(node);
                SessionInfo info;

                if (ask->target && !STREQ(row->target, ask->target))
                        continue;
                fill_session(row, &info);
                info.latency = next_latency(ask, row->id);
                g_array_append_val(rows, info);
        }
        ask->done((const SessionInfo *)(void *)rows->data, rows->len, ask->userdata);
}

static void sessions_ask_free(SessionsAsk *ask)
{
        if (ask->destroy)
                ask->destroy(ask->userdata);
        g_free(ask->target);
        g_free(ask);
}

static void remember_session(Manager *m, const IscsiSessionInfo *info)
{
        SessionRow *row = g_tree_lookup(m->sessions, &info->id);

        if (!row)
                return;
        if (!row->info)
                row->info = g_new(IscsiSessionInfo, 1);
        *row->info = *info;
}

static void on_sessions(void *userdata, const IscsiSessionInfo *sessions, size_t n)
{
        SessionsAsk *ask = userdata;

        for (size_t i = 0; i < n; i++)
                remember_session(ask->manager, &sessions[i]);
        answer_sessions(ask);
        sessions_ask_free(ask);
}

static void on_session_stats(void *userdata, const IscsiSessionStats *rows, size_t n)
{
        SessionsAsk *ask = userdata;

        for (size_t i = 0; i < n; i++)
                remember_session(ask->manager, &rows[i].info);
        ask->stats = rows;
        ask->n_stats = n;
        answer_sessions(ask);
        sessions_ask_free(ask);
}

void manager_sessions(Manager *m, const char *target, uint64_t after, size_t max,
                      SessionsDone *done, void *userdata, GDestroyNotify destroy)
{
        SessionsAsk *ask = g_new0(SessionsAsk, 1);

        ask->manager = m;
        ask->target = g_strdup(target);
        ask->after = after;
        ask->max = max;
        ask->done = done;
        ask->userdata = userdata;
        ask->destroy = destroy;
        /* of one target: they may be anywhere behind after */
        if (engine_sessions(m->engine, after, target ? SIZE_MAX : MIN(max, SIZE_MAX - 1),
                            on_sessions, ask) >= 0)
                return;
        answer_sessions(ask);
        sessions_ask_free(ask);
}

void manager_session_stats(Manager *m, uint64_t after, size_t max, SessionsDone *done,
                           void *userdata)
{
        SessionsAsk *ask = g_new0(SessionsAsk, 1);

        ask->manager = m;
        ask->after = after;
        ask->max = max;
        ask->done = done;
        ask->userdata = userdata;
        if (engine_session_stats(m->engine, after, max, on_session_stats, ask) >= 0)
                return;
        answer_sessions(ask);
        sessions_ask_free(ask);
}

int manager_session(Manager *m, uint64_t id, SessionInfo *ret)
{
        SessionRow *row = g_tree_lookup(m->sessions, &id);

        if (!row)
                return -ENOENT;
        fill_session(row, ret);
        return 0;
}

size_t manager_session_ids(Manager *m, uint64_t after, uint64_t *ret, size_t max)
{
        GTreeNode *node = g_tree_upper_bound(m->sessions, &after);
        size_t n = 0;

        for (; node && n < max; node = g_tree_node_next(node))
                ret[n++] = ((SessionRow *)g_tree_node_value(node))->id;
        return n;
}

unsigned manager_n_sessions(const Manager *m, const char *target)
{
        const Target *t;

        if (!target)
                return (unsigned)g_tree_nnodes(m->sessions) - m->n_discovery;
        t = g_hash_table_lookup(m->targets, target);
        return t ? t->n_sessions : 0;
}
