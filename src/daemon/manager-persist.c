/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include "base/clock.h"
#include "config/commit.h"

/* Where a change is kept: /var/lib for ever, /run with runtime; /etc and /usr are the
 * administrator's and are never written, only overridden. */

static void add_save(Edit *e, const char *dir, const TargetSpec *spec, bool masked)
{
        TargetSpec *copy = masked ? target_spec_new(spec->name) : target_spec_dup(spec);

        copy->masked = masked;
        /* what we write is the whole of it, whatever other folders say */
        copy->replace = !masked;
        g_ptr_array_add(e->files, config_target_change(dir, copy));
        target_spec_free(copy);
}

static void add_forget(Edit *e, const char *dir, const char *name)
{
        g_ptr_array_add(e->files, config_forget_change(dir, name));
}

static bool is_saved(const char *dir, const char *name)
{
        g_autofree char *file = config_target_file_name(name);
        g_autofree char *path = g_build_filename(dir, file, NULL);

        return g_file_test(path, G_FILE_TEST_EXISTS);
}

static int check_administrator(Edit *e, const TargetSpec *spec)
{
        const Origin *at = &spec->administrator;

        if (!at->file || e->options.runtime || e->options.force)
                return 0;
        return edit_fail(e, ERROR_ADMINISTRATOR,
                         "%s is defined in %s, line %u; change it there and reload, or use runtime "
                         "or force to override it",
                         spec->name, at->file, at->line);
}

static int plan_target_file(Edit *e, const TargetSpec *before, TargetSpec *after)
{
        const ConfigPaths *paths = &e->manager->paths;
        const TargetSpec *known = before ? before : after;
        const char *dir = e->options.runtime ? paths->run : paths->var;

        if (before ? before->persistence == TARGET_TRANSIENT : e->options.transient) {
                if (after)
                        after->persistence = TARGET_TRANSIENT;
                return 0;
        }
        if (check_administrator(e, known) < 0)
                return -1;
        if (after) {
                if (before)
                        after->administrator = before->administrator;
                after->persistence = e->options.runtime ? TARGET_RUNTIME : TARGET_SAVED;
                after->at = (Origin){ 0 }; /* a text that was applied is no file that defines it */
                add_save(e, dir, after, false);
        } else if (before->administrator.file ||
                   (e->options.runtime && is_saved(paths->var, before->name)))
                add_save(e, dir, before, true);
        else
                add_forget(e, dir, before->name);
        /* a lasting change is not hidden by an earlier passing one */
        if (!e->options.runtime && is_saved(paths->run, known->name))
                add_forget(e, paths->run, known->name);
        return 0;
}

/* ---- what is global -------------------------------------------------------------------------- */

static bool is_in(const char *path, const char *dir)
{
        size_t n = strlen(dir);

        return strncmp(path, dir, n) == 0 && path[n] == '/';
}

bool origin_is_administrator(const Manager *m, const Origin *at)
{
        return at->file && !is_in(at->file, m->paths.var) && !is_in(at->file, m->paths.run);
}

static int refuse_global(Edit *e, const Origin *at, const char *what, const char *name)
{
        return edit_fail(e, ERROR_ADMINISTRATOR,
                         "%s %s is defined in %s, line %u; change it there and reload", what, name,
                         at->file, at->line);
}

static bool has_portal(const Desired *d, const char *address)
{
        for (guint i = 0; i < d->portals->len; i++)
                if (STREQ(((PortalSpec *)d->portals->pdata[i])->address, address))
                        return true;
        return false;
}

static bool has_account(const GPtrArray *accounts, const AccountSpec *a)
{
        for (guint i = 0; i < accounts->len; i++)
                if (account_spec_equal(accounts->pdata[i], a))
                        return true;
        return false;
}

static int check_accounts(Edit *e, const GPtrArray *before, const GPtrArray *after,
                          const char *what)
{
        for (guint i = 0; i < before->len; i++) {
                const AccountSpec *a = before->pdata[i];

                if (origin_is_administrator(e->manager, &a->at) && !has_account(after, a))
                        return refuse_global(e, &a->at, what, a->user);
        }
        return 0;
}

/* Nothing of ours hides what is global in the administrator's files: it would come back. */
static int check_globals(Edit *e)
{
        const Desired *before = e->before, *after = e->after;
        const AccountSpec *outgoing = before->discovery_outgoing;

        for (guint i = 0; i < before->portals->len; i++) {
                const PortalSpec *p = before->portals->pdata[i];

                if (origin_is_administrator(e->manager, &p->at) && !has_portal(after, p->address))
                        return refuse_global(e, &p->at, "The portal", p->address);
        }
        if (check_accounts(e, before->discovery_incoming, after->discovery_incoming,
                           "The discovery account") < 0 ||
            check_accounts(e, before->accounts, after->accounts, "The account") < 0)
                return -1;
        if (outgoing && origin_is_administrator(e->manager, &outgoing->at) &&
            !account_spec_equal(outgoing, after->discovery_outgoing))
                return refuse_global(e, &outgoing->at, "The discovery account", outgoing->user);
        return 0;
}

static void own_accounts(const Edit *e, const GPtrArray *from, GPtrArray *to)
{
        for (guint i = 0; i < from->len; i++) {
                const AccountSpec *a = from->pdata[i];

                if (!origin_is_administrator(e->manager, &a->at))
                        g_ptr_array_add(to, account_spec_dup(a));
        }
}

/* What is global and not in the administrator's files. No client sets backing directories. */
static Desired *own_globals(const Edit *e)
{
        const Desired *after = e->after;
        const AccountSpec *outgoing = after->discovery_outgoing;
        Desired *own = desired_new();

        for (guint i = 0; i < after->portals->len; i++) {
                const PortalSpec *p = after->portals->pdata[i];

                if (!origin_is_administrator(e->manager, &p->at))
                        g_ptr_array_add(own->portals, portal_spec_new(p->address));
        }
        own_accounts(e, after->discovery_incoming, own->discovery_incoming);
        own_accounts(e, after->accounts, own->accounts);
        if (outgoing && !origin_is_administrator(e->manager, &outgoing->at))
                own->discovery_outgoing = account_spec_dup(outgoing);
        return own;
}

static void add_globals(Edit *e, const char *dir, Desired *globals)
{
        g_ptr_array_add(e->files, config_globals_change(dir, globals));
        desired_free(globals);
}

/* The file in /run has all of ours, and hides the one in /var/lib, which has the same name. */
static int plan_globals_file(Edit *e)
{
        const ConfigPaths *paths = &e->manager->paths;

        if (check_globals(e) < 0)
                return -1;
        add_globals(e, e->options.runtime ? paths->run : paths->var, own_globals(e));
        /* a lasting change is not hidden by an earlier passing one */
        if (!e->options.runtime)
                add_globals(e, paths->run, desired_new());
        return 0;
}

bool edit_changes_globals(const Edit *e)
{
        for (guint i = 0; i < e->diff->len; i++) {
                const Change *c = g_ptr_array_index(e->diff, i);

                if (c->kind == CHANGE_ADD_PORTAL || c->kind == CHANGE_REMOVE_PORTAL ||
                    c->kind == CHANGE_DISCOVERY || c->kind == CHANGE_ACCOUNTS)
                        return true;
        }
        return false;
}

static void plan_revert(Edit *e)
{
        GHashTableIter iter;
        gpointer file;

        g_hash_table_iter_init(&iter, e->hidden);
        while (g_hash_table_iter_next(&iter, &file, NULL))
                g_ptr_array_add(e->files, config_forget_file_change(e->manager->paths.run, file));
}

int edit_plan_persist(Edit *e)
{
        GHashTableIter iter;
        gpointer name;

        e->files = g_ptr_array_new_with_free_func((GDestroyNotify)file_change_free);
        if (e->hidden)
                plan_revert(e);
        if (e->kind == EDIT_ROLLBACK)
                armed_plan_files(e);
        if (e->kind != EDIT_CHANGE)
                return 0;
        g_hash_table_iter_init(&iter, e->planned);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                if (plan_target_file(e, g_hash_table_lookup(e->before->targets, name),
                                     g_hash_table_lookup(e->after->targets, name)) < 0)
                        return -1;
        if (edit_changes_globals(e) && plan_globals_file(e) < 0)
                return -1;
        return 0;
}

/* ---- in a job -------------------------------------------------------------------------------- */

static CommitLog *log_of(const Edit *e)
{
        return e->options.runtime || e->hidden ? e->manager->runtime_log : e->manager->state_log;
}

int edit_persist(Edit *e)
{
        int r = 0;

        /* an identity is on disk before any initiator can see it */
        if (e->identities)
                r = identities_append(e->manager->identity_path, e->identities);
        if (r >= 0 && e->files->len > 0)
                r = log_of(e) ? commit_log_run(log_of(e), e->files) : -EROFS;
        e->written = r >= 0 && e->files->len > 0;
        return r;
}

void edit_persist_undo(Edit *e)
{
        g_autoptr(GPtrArray) back =
                g_ptr_array_new_with_free_func((GDestroyNotify)file_change_free);
        int r;

        for (guint i = e->files->len; i > 0; i--) {
                FileChange *c = e->files->pdata[i - 1];

                g_ptr_array_add(back,
                                file_change_new(c->path, TAKE_PTR(c->before), c->before_size));
        }
        r = commit_log_run(log_of(e), back);
        if (r < 0)
                log_error("What was written down for a change that could not be made, of %s and %u "
                          "others, could not be taken back: %s",
                          ((FileChange *)e->files->pdata[0])->path, e->files->len - 1,
                          strerror(-r));
}

/* ---- the logs -------------------------------------------------------------------------------- */

#define SETTLE_DELAY (5 * NSEC_PER_SEC) /* after a change */
#define SETTLE_FILES 16                 /* synchronised by one job: changes come between */
#define SETTLE_AT_STOP (2 * NSEC_PER_SEC)

static CommitLog *open_log(const char *dir, bool durable)
{
        g_autofree char *path = g_build_filename(dir, "changes", NULL);
        CommitLog *log = NULL;
        unsigned redone;
        int r = commit_log_open(path, durable, &log, &redone);

        if (r == -EPROTONOSUPPORT)
                log_error(
                        "%s was written by a later version of tgtd; changes that would be kept in "
                        "%s are refused.",
                        path, dir);
        else if (r < 0)
                log_error(
                        "What %s says could not be carried out: %s; changes that would be kept in "
                        "%s are refused until tgtd is restarted.",
                        path, strerror(-r), dir);
        else if (redone > 0)
                log_notice("Finished %u change%s that %s had begun to write.", redone,
                           redone == 1 ? "" : "s", path);
        return log;
}

static bool is_unsettled(const CommitLog *log)
{
        return log && commit_log_unsettled(log) > 0;
}

static int settle(CommitLog *log)
{
        return is_unsettled(log) ? commit_log_settle(log, SETTLE_FILES) : 0;
}

static void settle_work(LoopJob *job)
{
        Manager *m = CONTAINER_OF(job, Manager, settle_job);
        int runtime = settle(m->runtime_log), state = settle(m->state_log);

        m->settle_left = state != 0 ? state : runtime;
}

static void settle_done(LoopJob *job)
{
        Manager *m = CONTAINER_OF(job, Manager, settle_job);

        m->n_jobs--;
        m->settle_soon = m->settle_left != 0 && m->state != MANAGER_STOPPING;
        if (m->settle_left < 0)
                log_warning("What was changed could not be synchronised: %s",
                            strerror(-m->settle_left));
        if (m->settle_soon)
                loop_timer_in(m->loop, &m->settle_timer,
                              m->settle_left > 0 ? NSEC_PER_SEC / 100 : SETTLE_DELAY);
}

static void on_settle(LoopTimer *timer)
{
        Manager *m = CONTAINER_OF(timer, Manager, settle_timer);

        if (m->state == MANAGER_STOPPING)
                return;
        m->settle_job = (LoopJob){ .work = settle_work, .done = settle_done };
        m->n_jobs++;
        manager_job(m, &m->persist_lane, &m->settle_job);
}

void logs_settle_later(Manager *m)
{
        if (m->settle_soon)
                return;
        m->settle_soon = true;
        loop_timer_in(m->loop, &m->settle_timer, SETTLE_DELAY);
}

void logs_open(Manager *m)
{
        m->settle_timer.fire = on_settle;
        m->runtime_log = open_log(m->runtime_dir, false);
        m->state_log = open_log(m->state_dir, true);
        if (is_unsettled(m->state_log) || is_unsettled(m->runtime_log))
                logs_settle_later(m);
}

void logs_stop(Manager *m)
{
        loop_timer_cancel(m->loop, &m->settle_timer);
}

/* No job runs any more. What is not synchronised in time, the log has. */
void logs_close(Manager *m)
{
        uint64_t until = monotonic_now() + SETTLE_AT_STOP; /* the loop does not turn here */

        while (monotonic_now() < until && (settle(m->runtime_log) > 0 || settle(m->state_log) > 0))
                ;
        m->state_log = commit_log_free(m->state_log);
        m->runtime_log = commit_log_free(m->runtime_log);
}
