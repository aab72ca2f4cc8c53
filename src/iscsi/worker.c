/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iscsi/session.h"

/* What the connections of one worker share. */

void iscsi_limits_default(IscsiLimits *ret)
{
        *ret = (IscsiLimits){ .login_timeout_s = 15,
                              .logins_max = 256,
                              .sessions_max = 4096,
                              .login_bytes_max = 64 * KIB,
                              .tx_queue_max = 64 * MIB,
                              .discovery_idle_s = 60,
                              .early_data_max = 64 * MIB };
}

static void take_limits(IscsiLimits *to, const IscsiLimits *from)
{
        iscsi_limits_default(to);
#define TAKE(field)                              \
        do {                                     \
                if (from->field)                 \
                        to->field = from->field; \
        } while (0)
        TAKE(login_timeout_s);
        TAKE(logins_max);
        TAKE(sessions_max);
        TAKE(login_bytes_max);
        TAKE(tx_queue_max);
        TAKE(discovery_idle_s);
        TAKE(early_data_max);
#undef TAKE
}

static void on_ready(LoopTask *task)
{
        IscsiWorker *w = CONTAINER_OF(task, IscsiWorker, ready_task);

        while (!list_empty(&w->ready)) {
                Command *cmd = LIST_ENTRY(w->ready.next, Command, out.r2t_link);

                list_remove(&cmd->out.r2t_link);
                command_data_in(cmd, cmd->out.error);
        }
}

int iscsi_worker_new(Loop *loop, ScsiWorker *scsi, const IscsiLimits *limits,
                     const IscsiHostOps *host, void *userdata, IscsiWorker **ret)
{
        IscsiWorker *w = calloc(1, sizeof(*w));

        if (!w)
                return -ENOMEM;
        w->loop = loop;
        w->scsi = scsi;
        w->host = host;
        w->userdata = userdata;
        take_limits(&w->limits, limits);
        list_init(&w->conns);
        list_init(&w->sessions);
        list_init(&w->ready);
        w->ready_task.run = on_ready;
        pool_init(&w->commands, sizeof(Command), sizeof(Command), 1024);
        pool_init(&w->tmfs, tmf_size(), tmf_size(), 64);
        pool_init(&w->pdus, tx_pdu_size(), tx_pdu_clear(), 2048);
        w->early_budget.left = (int64_t)w->limits.early_data_max;
        w->scratch_size = SCRATCH_SIZE;
        w->scratch = malloc(w->scratch_size);
        if (!w->scratch || buffer_pool_new(&w->early_budget, 1 * MIB, &w->early) < 0) {
                iscsi_worker_free(w);
                return -ENOMEM;
        }
        *ret = w;
        return 0;
}

IscsiWorker *iscsi_worker_free(IscsiWorker *w)
{
        if (!w)
                return NULL;
        iscsi_map_unref(w->map);
        pool_done(&w->commands);
        pool_done(&w->tmfs);
        pool_done(&w->pdus);
        buffer_pool_free(w->early);
        free(w->scratch);
        free(w);
        return NULL;
}

static void follow_target(Session *s, IscsiTarget *t)
{
        LunMap *luns = s->target->luns;

        if (t == s->target)
                return;
        if (t->luns != luns && scsi_nexus_remap(&s->nexus, t->luns) < 0) {
                session_drop(s->conn, "out of memory for the new LUNs of the target");
                return;
        }
        iscsi_target_ref(t);
        iscsi_target_unref(s->target);
        s->target = t;
        session_throttle(s);
}

void iscsi_worker_set_map(IscsiWorker *w, IscsiMap *map)
{
        IscsiMap *old = w->map;
        bool next = old && map->base == old; /* targets that are not stale are in it, as they are */

        w->map = iscsi_map_ref(map);
        LIST_FOREACH_SAFE (s, &w->sessions, Session, link) {
                IscsiTarget *t;

                if (s->info.discovery || s->state != SESSION_LOGGED_IN ||
                    (next && !__atomic_load_n(&s->target->stale, __ATOMIC_RELAXED)))
                        continue;
                t = iscsi_map_find(map, s->info.target);
                if (!t)
                        session_drop(s->conn, "the target was removed");
                else if (!t->online)
                        session_drop(s->conn, "the target went offline");
                else
                        follow_target(s, t);
        }
        iscsi_map_unref(old);
}

int iscsi_worker_end_session(IscsiWorker *w, uint64_t session, const char *reason)
{
        LIST_FOREACH (s, &w->sessions, Session, link)
                if (s->info.id == session) {
                        session_drop(s->conn, reason);
                        return 0;
                }
        return -ENOENT;
}

/* The first session behind s (NULL: the first of all) with an id greater than after; NULL. */
static Session *next_session(IscsiWorker *w, Session *s, uint64_t after)
{
        List *l = s ? &s->link : &w->sessions;

        while ((l = l->next) != &w->sessions) {
                s = LIST_ENTRY(l, Session, link);
                if (s->info.id > after && s->state == SESSION_LOGGED_IN)
                        return s;
        }
        return NULL;
}

static void fill_info(const Session *s, IscsiSessionInfo *ret)
{
        *ret = s->info;
        ret->params = s->conn->params; /* what it redeclared shows */
        ret->traffic = s->conn->traffic;
}

size_t iscsi_worker_sessions(IscsiWorker *w, uint64_t after, IscsiSessionInfo *ret, size_t max)
{
        size_t n = 0;

        for (Session *s = NULL; n < max && (s = next_session(w, s, after));)
                fill_info(s, &ret[n++]);
        return n;
}

size_t iscsi_worker_session_stats(IscsiWorker *w, uint64_t after, IscsiSessionStats *ret,
                                  size_t max)
{
        size_t n = 0;

        for (Session *s = NULL; n < max && (s = next_session(w, s, after)); n++) {
                fill_info(s, &ret[n].info);
                if (s->nexus_open)
                        scsi_nexus_latency(&s->nexus, &ret[n].latency);
                else
                        ret[n].latency = (IoLatency){ 0 };
        }
        return n;
}

size_t iscsi_worker_nexuses(IscsiWorker *w, uint64_t session, uint32_t lun, IscsiNexusStats *ret,
                            size_t max)
{
        ItlStats page[64];
        size_t n = 0;

        LIST_FOREACH (s, &w->sessions, Session, link) {
                uint32_t first = s->info.id == session ? lun : 0;
                size_t got = ELEMENTSOF(page);

                if (s->info.id < session || !s->nexus_open || s->state != SESSION_LOGGED_IN)
                        continue;
                while (got == ELEMENTSOF(page) && n < max) {
                        got = scsi_nexus_stats(&s->nexus, first, page,
                                               MIN(max - n, ELEMENTSOF(page)));
                        for (size_t i = 0; i < got; i++)
                                ret[n++] = (IscsiNexusStats){ s->info.id, page[i] };
                        if (got > 0)
                                first = page[got - 1].lun + 1u;
                }
                if (n == max)
                        break;
        }
        return n;
}

uint64_t iscsi_worker_commands(const IscsiWorker *w)
{
        uint64_t n = w->past_commands;

        LIST_FOREACH (c, &w->conns, Conn, link)
                n += c->traffic.commands;
        return n;
}

void worker_check_shutdown(IscsiWorker *w)
{
        void (*done)(void *) = w->shutdown_done;

        if (!w->shutting_down || !done || !list_empty(&w->sessions))
                return;
        w->shutdown_done = NULL;
        done(w->shutdown_userdata);
}

static void on_shutdown_task(LoopTask *task)
{
        worker_check_shutdown(CONTAINER_OF(task, IscsiWorker, shutdown_task));
}

void iscsi_worker_shutdown(IscsiWorker *w, void (*done)(void *userdata), void *userdata)
{
        w->shutting_down = true;
        w->shutdown_done = done;
        w->shutdown_userdata = userdata;
        w->shutdown_task.run = on_shutdown_task;
        LIST_FOREACH_SAFE (c, &w->conns, Conn, link)
                if (c->session)
                        session_drop(c, "the target is being stopped");
                else
                        conn_terminate(c);
        loop_defer(w->loop, &w->shutdown_task);
}
