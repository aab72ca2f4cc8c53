/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <stdio.h>
#include <sys/stat.h>

#define STOP_TIMEOUT (4 * NSEC_PER_SEC)

/* ---- small things ---------------------------------------------------------------------------- */

int compare_strings(gconstpointer a, gconstpointer b)
{
        return strcmp(a, b);
}

void manager_touch(Manager *m)
{
        OBSERVE(m, changed);
        if (m->changed)
                m->changed(m->changed_userdata);
}

void manager_job(Manager *m, LoopLane *lane, LoopJob *job)
{
        engine_job(m->engine, lane, job);
}

void manager_set_observer(Manager *m, const ManagerObserver *observer, void *userdata)
{
        m->observer = observer;
        m->observer_userdata = userdata;
}

const char *manager_state(const Manager *m)
{
        static const char *const names[] = { [MANAGER_STARTING] = "starting",
                                             [MANAGER_RUNNING] = "running",
                                             [MANAGER_RELOADING] = "reloading",
                                             [MANAGER_STOPPING] = "stopping" };

        return names[m->state];
}

const Desired *manager_desired(const Manager *m)
{
        return m->desired;
}

uint64_t manager_generation(const Manager *m)
{
        return m->generation;
}

size_t manager_n_targets(const Manager *m)
{
        return g_hash_table_size(m->targets);
}

size_t manager_n_luns(const Manager *m)
{
        return m->n_luns;
}

char *manager_status(const Manager *m)
{
        size_t targets = manager_n_targets(m), luns = m->n_luns;
        unsigned sessions = manager_n_sessions(m, NULL);
        g_autofree char *away =
                m->n_away > 0 ? g_strdup_printf(" (%u not ready)", m->n_away) : NULL;

        return g_strdup_printf("Serving %zu target%s with %zu LUN%s%s to %u session%s", targets,
                               targets == 1 ? "" : "s", luns, luns == 1 ? "" : "s",
                               away ? away : "", sessions, sessions == 1 ? "" : "s");
}

/* ---- making ---------------------------------------------------------------------------------- */

static void free_target(gpointer t)
{
        target_free(t);
}

static void tables_init(Manager *m)
{
        m->desired = desired_new();
        m->targets = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_target);
        m->target_order = g_tree_new(compare_strings);
        m->tids = g_hash_table_new(NULL, NULL);
        m->next_tid = 1;
        units_init(m);
        edits_init(m);
        portals_init(m);
        files_init(m);
        sessions_init(m);
}

static int make_directory(const char *path)
{
        struct stat st;

        if (g_mkdir_with_parents(path, 0750) == 0)
                return 0;
        /* with ProtectSystem=strict what is there may be read-only, and is enough */
        return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : -errno;
}

static int open_identities(Manager *m)
{
        unsigned damaged;
        int r;

        r = make_directory(m->state_dir);
        if (r < 0) {
                log_error("State directory %s: %s", m->state_dir, strerror(-r));
                return r;
        }
        m->identity_path = g_build_filename(m->state_dir, "identities", NULL);
        r = identities_open(m->identity_path, &m->identities, &damaged);
        if (r == -EPROTONOSUPPORT)
                log_error("%s was written by a later version of tgtd.", m->identity_path);
        else if (r == -EBADMSG)
                log_error("%s is not a file of identities; move it away to begin a new one, with "
                          "new identities for all disks.",
                          m->identity_path);
        else if (r < 0)
                log_error("%s: %s", m->identity_path, strerror(-r));
        else if (damaged > 0)
                log_warning("%u damaged lines of %s were skipped; the disks concerned get new "
                            "identities.",
                            damaged, m->identity_path);
        return r;
}

static void run_job(void *userdata, LoopLane *lane, LoopJob *job)
{
        engine_job(((Manager *)userdata)->engine, lane, job);
}

static int manager_open(Manager *m, const ManagerConfig *config)
{
        char text[512] = "";
        int r;

        r = portals_open(m, config, text, sizeof(text));
        if (r < 0) {
                log_error("%s.", text);
                return r;
        }
        r = open_identities(m);
        if (r < 0)
                return r;
        r = engine_new(&config->engine, m->loop, &manager_engine_events, m, &m->engine);
        if (r < 0) {
                log_error("Worker threads could not be started: %s", strerror(-r));
                return r;
        }
        event_loop_set_jobs(m->event_loop, run_job, m);
        operations_open(m);
        logs_open(m);
        armed_open(m);
        refresh_init(m);
        return 0;
}

int manager_new(EventLoop *loop, const ManagerConfig *config, Manager **ret)
{
        Manager *m = g_new0(Manager, 1);
        int r;

        m->event_loop = loop;
        m->loop = event_loop(loop);
        m->state_dir = g_strdup(config->state_dir);
        m->runtime_dir = g_strdup(config->runtime_dir);
        m->opener_socket = g_strdup(config->opener_socket);
        m->opener.socket_path = m->opener_socket;
        m->settle_ns = config->settle_ns;
        m->changed = config->changed;
        m->quit = config->quit;
        m->log_level = log_max_level();
        m->changed_userdata = config->userdata;
        config_paths_default(&m->paths, config->config_dir, config->state_dir, config->runtime_dir);
        m->paths.open_path = opener_open; /* fragments with secrets are often root's alone */
        m->paths.open_userdata = &m->opener;
        tables_init(m);
        r = manager_open(m, config);
        if (r < 0) {
                manager_free(m);
                return r;
        }
        *ret = m;
        return 0;
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void on_engine_stopped(void *userdata)
{
        Manager *m = userdata;

        m->stopped(m->stopped_userdata);
}

static void stop_engine(Manager *m)
{
        engine_stop(m->engine, STOP_TIMEOUT, on_engine_stopped, m);
}

void manager_stop(Manager *m, void (*done)(void *userdata), void *userdata)
{
        if (m->state == MANAGER_STOPPING)
                return;
        m->state = MANAGER_STOPPING;
        m->stopped = done;
        m->stopped_userdata = userdata;
        edits_cancel(m);
        logs_stop(m);
        files_cancel(m);
        refresh_stop(m);
        manager_touch(m);
        operations_suspend(m, stop_engine);
}

/* false: jobs that hang in a store hold on to us; the process ends instead. */
static bool manager_at_rest(const Manager *m)
{
        return m->n_jobs == 0 && !m->current;
}

Manager *manager_free(Manager *m)
{
        if (!m)
                return NULL;
        m->state = MANAGER_STOPPING;
        m->observer = NULL;
        if (m->engine && !manager_at_rest(m))
                return NULL;
        refresh_stop(m);
        logs_stop(m);
        m->armed = armed_free(m->armed);
        m->left_over = made_file_free(m->left_over);
        m->engine = engine_free(m->engine);
        operations_close(m);
        logs_close(m);
        iscsi_map_unref(m->map);
        g_tree_unref(m->target_order);
        g_hash_table_unref(m->targets);
        g_hash_table_unref(m->tids);
        units_done(m);
        portals_done(m);
        g_tree_unref(m->sessions);
        identities_free(m->identities);
        desired_free(m->desired);
        config_paths_clear(&m->paths);
        g_free(m->identity_path);
        g_free(m->file_folder);
        g_free(m->opener_socket);
        g_free(m->state_dir);
        g_free(m->runtime_dir);
        g_free(m);
        return NULL;
}
