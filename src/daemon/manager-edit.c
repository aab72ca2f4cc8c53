/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <inttypes.h>
#include <stdio.h>

#define REFUSALS_MAX 8 /* rounds of leaving out what is refused */

static void edit_advance(Edit *e);

/* ---- errors ---------------------------------------------------------------------------------- */

int edit_fail(Edit *e, const char *name, const char *format, ...)
{
        va_list ap;

        if (e->result.error.name)
                return -1;
        va_start(ap, format);
        e->result.error.name = name;
        e->result.error.text = g_strdup_vprintf(format, ap);
        va_end(ap);
        return -1;
}

/* The first error among the problems from n on is that of e. */
static int edit_fail_by_problems(Edit *e, guint n)
{
        for (guint i = n; i < e->result.problems->len; i++) {
                const Problem *p = g_ptr_array_index(e->result.problems, i);

                if (p->level == PROBLEM_ERROR)
                        return edit_fail_by_problem(
                                e, ERROR_INVALID,
                                problem_new(p->level, p->at, e->options.located ? p->target : NULL,
                                            p->directive, p->text));
        }
        return edit_fail(e, ERROR_INVALID, "The change is not valid");
}

void edit_problem(Edit *e, Problem *p)
{
        g_ptr_array_add(e->result.problems, p);
}

int edit_fail_by_problem(Edit *e, const char *name, Problem *p)
{
        g_autofree char *text = NULL;

        if (!e->options.located)
                p->at = (Origin){ 0 };
        text = problem_format(p);
        problem_free(p);
        return edit_fail(e, name, "%s", text);
}

/* ---- begin and end --------------------------------------------------------------------------- */

Edit *edit_new(Manager *m, EditKind kind, const Caller *caller, const EditOptions *options,
               EditDone *done, void *userdata, GDestroyNotify destroy)
{
        Edit *e = g_new0(Edit, 1);

        e->manager = m;
        e->kind = kind;
        e->caller.uid = caller->uid;
        e->caller.pid = caller->pid;
        e->caller.unit = g_strdup(caller->unit);
        e->caller.name = g_strdup(caller->name);
        if (options)
                e->options = *options;
        e->done = done;
        e->userdata = userdata;
        e->destroy = destroy;
        e->result.changes = g_ptr_array_new_with_free_func(g_free);
        e->result.details = g_ptr_array_new_with_free_func((GDestroyNotify)change_detail_free);
        e->result.problems = g_ptr_array_new_with_free_func((GDestroyNotify)problem_free);
        return e;
}

void edit_free(Edit *e)
{
        edit_plan_clear(e);
        armed_free(e->armed);
        if (e->partial)
                desired_free(e->before);
        desired_free(e->after);
        if (e->bad)
                g_hash_table_unref(e->bad);
        if (e->diff)
                g_ptr_array_unref(e->diff);
        if (e->files)
                g_ptr_array_unref(e->files);
        if (e->hidden)
                g_hash_table_unref(e->hidden);
        g_ptr_array_unref(e->result.changes);
        g_ptr_array_unref(e->result.details);
        g_ptr_array_unref(e->result.problems);
        bus_error_clear(&e->result.error);
        g_strfreev(e->targets);
        g_free(e->identities);
        g_free(e->caller.unit);
        g_free(e->caller.name);
        g_free(e);
}

static void edit_queue(Edit *e)
{
        Manager *m = e->manager;

        g_queue_push_tail(&m->edits, e);
        loop_defer(m->loop, &m->next_task);
}

/* ---- the end --------------------------------------------------------------------------------- */

void edit_finish(Edit *e)
{
        e->result.generation = e->manager->generation;
        edit_journal(e);
        if (e->done)
                e->done(&e->result, e->userdata);
        if (e->destroy)
                e->destroy(e->userdata);
        edit_free(e);
}

static void edit_over(Edit *e)
{
        Manager *m = e->manager;

        e->phase = EDIT_OVER;
        loop_timer_cancel(m->loop, &e->deadline);
        if (m->current == e)
                m->current = NULL;
        if (m->state == MANAGER_RELOADING)
                m->state = MANAGER_RUNNING;
        if (e->members)
                batch_finish(e);
        else
                edit_finish(e);
        manager_touch(m);
        if (!m->current) {
                units_republish(m);
                if (m->edits.length > 0)
                        loop_defer(m->loop, &m->next_task);
        }
}

/* ---- the two states -------------------------------------------------------------------------- */

static void target_copy(Desired *to, const Desired *from, const char *name)
{
        const TargetSpec *spec = g_hash_table_lookup(from->targets, name);
        TargetSpec *copy;

        if (!spec)
                return;
        copy = target_spec_dup(spec);
        g_hash_table_replace(to->targets, copy->name, copy);
}

/* Only what is edited is copied, so that making the ten thousandth target costs no more than the
 * first. */
static void edit_copy(Edit *e)
{
        const Desired *running = e->manager->desired;

        if (!e->targets) {
                e->before = e->manager->desired;
                e->after = desired_dup(running);
                return;
        }
        e->partial = true;
        e->before = desired_globals_dup(running);
        e->after = desired_globals_dup(running);
        for (char **name = e->targets; *name; name++) {
                target_copy(e->before, running, *name);
                target_copy(e->after, running, *name);
        }
}

/* What is in no file stays until its client goes, whatever the files say. */
static void edit_keep_transient(Edit *e)
{
        GHashTableIter iter;
        gpointer name, running;

        g_hash_table_iter_init(&iter, e->manager->desired->targets);
        while (g_hash_table_iter_next(&iter, &name, &running)) {
                const TargetSpec *spec = g_hash_table_lookup(e->after->targets, name);

                if (((TargetSpec *)running)->persistence != TARGET_TRANSIENT)
                        continue;
                if (spec)
                        edit_problem(e, problem_new(PROBLEM_ERROR, spec->at, name, NULL,
                                                    "a client has made a transient target of that "
                                                    "name, which stays until the client goes"));
                desired_put(e->after, target_spec_dup(running));
        }
}

/* Blocks that failed to load: what runs under their names stays. */
static void edit_keep_bad(Edit *e)
{
        GHashTableIter iter;
        gpointer name;

        g_hash_table_iter_init(&iter, e->manager->desired->targets);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                if (!g_hash_table_contains(e->after->targets, name) &&
                    config_is_bad(e->bad, name)) {
                        target_copy(e->after, e->manager->desired, name);
                        edit_kept(e, name);
                }
}

/* Has been obeyed; a dump of what runs does not say it again. */
static void forget_replace(Desired *d)
{
        GHashTableIter iter;
        gpointer spec;

        g_hash_table_iter_init(&iter, d->targets);
        while (g_hash_table_iter_next(&iter, NULL, &spec))
                ((TargetSpec *)spec)->replace = false;
}

static void load_work(LoopJob *job)
{
        Edit *e = CONTAINER_OF(job, Edit, job);
        ConfigPaths paths = edit_paths(e);
        GPtrArray *problems = NULL;

        e->job_result = config_load(&paths, manager_check_param(), &e->after, &e->bad, &problems);
        if (e->job_result < 0)
                return;
        forget_replace(e->after);
        while (problems->len > 0)
                edit_problem(e, g_ptr_array_steal_index(problems, 0));
        g_ptr_array_unref(problems);
}

static void load_done(LoopJob *job)
{
        Edit *e = CONTAINER_OF(job, Edit, job);

        e->manager->n_jobs--;
        if (e->job_result < 0)
                edit_fail(e, ERROR_FAILED, "The configuration could not be read: %s",
                          strerror(-e->job_result));
        else {
                e->before = e->manager->desired;
                edit_keep_transient(e);
                edit_keep_bad(e);
                edit_narrow(e);
        }
        edit_advance(e);
}

static void edit_load(Edit *e)
{
        Manager *m = e->manager;

        e->phase = EDIT_LOADING;
        if (e->kind == EDIT_RELOAD) {
                m->state = MANAGER_RELOADING;
                manager_touch(m);
        }
        e->job = (LoopJob){ .work = load_work, .done = load_done };
        m->n_jobs++;
        manager_job(m, &m->load_lane, &e->job);
}

static int check_generation(Edit *e)
{
        const Manager *m = e->manager;

        if (!e->options.has_generation || e->options.generation == m->generation)
                return 0;
        return edit_fail(e, ERROR_CONFLICT,
                         "The configuration has moved from generation %" PRIu64 " to %" PRIu64
                         "; look at it again and repeat",
                         e->options.generation, m->generation);
}

/* What config says of one target. */
static int check_targets(Edit *e, Desired *after)
{
        guint n = e->result.problems->len;
        bool good = true;

        for (char **name = e->targets; *name; name++) {
                TargetSpec *spec = g_hash_table_lookup(after->targets, *name);

                if (spec)
                        good &= config_verify_target(spec, e->result.problems);
        }
        return good ? 0 : edit_fail_by_problems(e, n);
}

int edit_make_on(Edit *e, Desired *after)
{
        BusError error = { 0 };

        if (check_generation(e) < 0)
                return -1;
        if (e->edit(after, e->userdata_edit ? e->userdata_edit : e->userdata, &error) < 0) {
                edit_fail(e, error.name ? error.name : ERROR_FAILED, "%s",
                          error.text ? error.text : "The change could not be made");
                bus_error_clear(&error);
                return -1;
        }
        return e->targets ? check_targets(e, after) : 0;
}

void edit_reset_target(Edit *e, const char *name)
{
        g_hash_table_remove(e->after->targets, name);
        target_copy(e->after, e->before, name);
}

static int edit_make(Edit *e)
{
        edit_copy(e);
        return e->members ? batch_make(e) : edit_make_on(e, e->after);
}

/* ---- verification and planning --------------------------------------------------------------- */

static void edit_diff(Edit *e)
{
        if (e->diff)
                g_ptr_array_unref(e->diff);
        e->diff = config_diff(e->before, e->after);
}

/* What config says of all of it together; at load it has said so already. */
static int edit_verify(Edit *e)
{
        guint n = e->result.problems->len;
        GHashTableIter iter;
        gpointer spec;
        bool good = true;

        if (e->kind != EDIT_CHANGE)
                return 0;
        g_hash_table_iter_init(&iter, e->after->targets);
        while (!e->targets && g_hash_table_iter_next(&iter, NULL, &spec))
                good &= config_verify_target(spec, e->result.problems);
        good &= config_verify(e->after, NULL, e->result.problems);
        return good ? 0 : edit_fail_by_problems(e, n);
}

static void edit_revert(Edit *e, GHashTable *refused)
{
        GHashTableIter iter;
        gpointer name;

        g_hash_table_iter_init(&iter, refused);
        while (g_hash_table_iter_next(&iter, &name, NULL)) {
                edit_reset_target(e, name);
                edit_kept(e, name);
        }
}

static int edit_prepare(Edit *e)
{
        for (unsigned round = 0; round < REFUSALS_MAX; round++) {
                g_autoptr(GHashTable) refused =
                        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

                edit_diff(e);
                if (edit_plan(e, refused) < 0)
                        return -1;
                if (g_hash_table_size(refused) == 0)
                        return 0;
                edit_plan_clear(e);
                edit_revert(e, refused);
        }
        return edit_fail(e, ERROR_FAILED, "The configuration contradicts itself");
}

void edit_add_change(Edit *e, const Change *c)
{
        g_ptr_array_add(e->result.changes, change_format(c));
        if (e->options.detailed)
                g_ptr_array_add(e->result.details, change_detail_new(c));
}

static void edit_list_changes(Edit *e)
{
        if (e->members) {
                batch_share_results(e);
                return;
        }
        for (guint i = 0; i < e->diff->len; i++)
                edit_add_change(e, g_ptr_array_index(e->diff, i));
}

/* ---- stores ---------------------------------------------------------------------------------- */

static void on_deadline(LoopTimer *timer)
{
        Edit *e = CONTAINER_OF(timer, Edit, deadline);
        GHashTableIter iter;
        gpointer u;

        /* what hangs comes later, or never: nobody else waits for it */
        g_hash_table_iter_init(&iter, e->candidates);
        while (g_hash_table_iter_next(&iter, NULL, &u))
                ((Unit *)u)->waiter = NULL;
        e->n_unsettled = 0;
        loop_defer(e->manager->loop, &e->settled);
}

static void on_settled(LoopTask *task)
{
        edit_advance(CONTAINER_OF(task, Edit, settled));
}

/* From within what changes a unit's state: what follows may end the unit, so it comes later. */
void edit_unit_settled(Edit *e, Unit *u)
{
        if (--e->n_unsettled > 0)
                return;
        loop_timer_cancel(e->manager->loop, &e->deadline);
        loop_defer(e->manager->loop, &e->settled);
}

/* true: something is to be waited for. */
static bool edit_open_stores(Edit *e)
{
        GHashTableIter iter;
        gpointer value;

        e->phase = EDIT_SETTLING;
        e->settled.run = on_settled;
        e->n_unsettled = 1; /* ours: a drive without a medium is settled at once */
        g_hash_table_iter_init(&iter, e->candidates);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                Unit *u = value;

                if (u->predecessor) /* opens when that has closed */
                        continue;
                u->waiter = e;
                e->n_unsettled++;
                unit_start(u);
        }
        if (--e->n_unsettled == 0)
                return false;
        e->deadline.fire = on_deadline;
        loop_timer_in(e->manager->loop, &e->deadline, e->manager->settle_ns);
        return true;
}

/* ---- writing down ---------------------------------------------------------------------------- */

static void persist_work(LoopJob *job)
{
        Edit *e = CONTAINER_OF(job, Edit, job);

        e->job_result = edit_persist(e);
}

static void persist_done(LoopJob *job)
{
        Edit *e = CONTAINER_OF(job, Edit, job);
        Manager *m = e->manager;

        m->n_jobs--;
        if (e->written)
                logs_settle_later(m);
        if (e->job_result < 0 && e->identities)
                identities_put_back(m->identities, e->identities);
        if (e->job_result < 0 && (e->kind == EDIT_CHANGE || e->kind == EDIT_CONFIRM))
                edit_fail(e, ERROR_FAILED, "The change could not be written down: %s",
                          strerror(-e->job_result));
        else if (e->job_result < 0 && e->identities)
                log_error("Identities of new units could not be recorded in %s: %s; they will "
                          "change at the next start.",
                          m->identity_path, strerror(-e->job_result));
        edit_advance(e);
}

static void undo_work(LoopJob *job)
{
        edit_persist_undo(CONTAINER_OF(job, Edit, job));
}

static void undo_done(LoopJob *job)
{
        Edit *e = CONTAINER_OF(job, Edit, job);

        e->manager->n_jobs--;
        edit_over(e);
}

static void edit_job(Edit *e, EditPhase phase, void (*work)(LoopJob *), void (*done)(LoopJob *))
{
        e->phase = phase;
        e->job = (LoopJob){ .work = work, .done = done };
        e->manager->n_jobs++;
        manager_job(e->manager, &e->manager->persist_lane, &e->job);
}

/* ---- publishing ------------------------------------------------------------------------------ */

static int edit_build(Edit *e)
{
        Manager *m = e->manager;
        GHashTableIter iter;
        gpointer name, target;

        g_hash_table_iter_init(&iter, e->builds);
        while (g_hash_table_iter_next(&iter, &name, &target)) {
                int r;

                if (!target)
                        continue;
                r = target_build(m, target, g_hash_table_lookup(e->after->targets, name));
                if (r < 0)
                        return edit_fail(e, ERROR_FAILED, "%s could not be made: %s",
                                         (const char *)name, strerror(-r));
        }
        return 0;
}

static void on_published(void *userdata, int r)
{
        Edit *e = userdata;

        if (r < 0)
                edit_fail(e, ERROR_FAILED, "The change could not be published: %s", strerror(-r));
        edit_advance(e);
}

static int edit_publish(Edit *e)
{
        int r;

        e->phase = EDIT_PUBLISHING;
        r = targets_publish(e->manager, e->builds, e->after, on_published, e);
        if (r < 0)
                return edit_fail(e, ERROR_FAILED, "The change could not be published: %s",
                                 strerror(-r));
        return 0;
}

/* ---- the states ------------------------------------------------------------------------------ */

static void edit_take_back(Edit *e)
{
        if (e->kind == EDIT_ROLLBACK)
                armed_retry(e->manager);
        if (e->phase >= EDIT_SETTLING && !e->options.dry_run)
                edit_close_portals(e, CHANGE_ADD_PORTAL);
        if (e->written)
                edit_job(e, EDIT_UNDOING, undo_work, undo_done);
        else
                edit_over(e);
}

/* Stores are open, or it is known why not. */
static int edit_settled(Edit *e)
{
        Manager *m = e->manager;

        if (edit_check_stores(e) < 0 || edit_open_portals(e) < 0 || edit_build(e) < 0)
                return -1;
        /* what goes with its client leaves nothing: the next change that is kept takes it along */
        if (!e->options.transient)
                e->identities = identities_take_pending(m->identities);
        if (e->identities || e->files->len > 0) {
                edit_job(e, EDIT_PERSISTING, persist_work, persist_done);
                return 0;
        }
        return edit_publish(e);
}

/* after is made: what is to be done for it? */
static int edit_ready(Edit *e)
{
        if (edit_verify(e) < 0 || edit_prepare(e) < 0)
                return -1;
        edit_list_changes(e);
        if (edit_plan_persist(e) < 0)
                return -1;
        if (e->options.dry_run || (e->diff->len == 0 && e->kind == EDIT_CHANGE)) {
                edit_over(e);
                return 0;
        }
        if (e->options.confirm_usec > 0 && armed_prepare(e) < 0)
                return -1;
        return edit_open_stores(e) ? 0 : edit_settled(e);
}

static int edit_begin(Edit *e)
{
        if (armed_refuses(e) < 0)
                return -1;
        switch (e->kind) {
        case EDIT_RELOAD:
        case EDIT_START:
                if (check_generation(e) < 0)
                        return -1;
                edit_load(e);
                return 0;
        case EDIT_CONFIRM:
                if (armed_take(e) < 0)
                        return -1;
                edit_job(e, EDIT_PERSISTING, persist_work, persist_done);
                return 0;
        case EDIT_ROLLBACK:
                if (armed_take(e) < 0)
                        return -1;
                break;
        case EDIT_CHANGE:
                break;
        }
        return edit_make(e) < 0 ? -1 : edit_ready(e);
}

static int edit_step(Edit *e)
{
        if (e->manager->state == MANAGER_STOPPING && e->phase < EDIT_PUBLISHING)
                edit_fail(e, ERROR_FAILED, "The daemon is stopping");
        if (e->result.error.name)
                return -1;
        switch (e->phase) {
        case EDIT_WAITING:
                return edit_begin(e);
        case EDIT_LOADING:
                return edit_ready(e);
        case EDIT_SETTLING:
                return edit_settled(e);
        case EDIT_PERSISTING:
                if (e->kind != EDIT_CONFIRM)
                        return edit_publish(e);
                armed_end(e);
                edit_over(e);
                return 0;
        case EDIT_PUBLISHING:
                edit_commit(e);
                if (e->armed)
                        armed_begin(e);
                if (e->kind == EDIT_ROLLBACK)
                        armed_end(e);
                if (e->kind == EDIT_START)
                        made_file_withdraw(e->manager, TAKE_PTR(e->manager->left_over));
                edit_over(e);
                return 0;
        case EDIT_UNDOING:
        case EDIT_OVER:
                break;
        }
        return 0;
}

static void edit_advance(Edit *e)
{
        if (edit_step(e) < 0)
                edit_take_back(e);
}

static void run_next(LoopTask *task)
{
        Manager *m = CONTAINER_OF(task, Manager, next_task);

        if (m->current || m->edits.length == 0)
                return;
        m->current = batch_take(m);
        edit_advance(m->current);
}

void edits_init(Manager *m)
{
        g_queue_init(&m->edits);
        m->next_task.run = run_next;
        m->persist_lane.max = 1;
        m->load_lane.max = 1;
}

void edits_cancel(Manager *m)
{
        Edit *e;

        if (m->current && m->current->phase == EDIT_SETTLING) {
                loop_timer_cancel(m->loop, &m->current->deadline);
                loop_defer(m->loop, &m->current->settled);
        }
        while ((e = g_queue_pop_head(&m->edits))) {
                edit_fail(e, ERROR_FAILED, "The daemon is stopping");
                edit_over(e);
        }
}

/* ---- the bus's side -------------------------------------------------------------------------- */

void manager_edit(Manager *m, const Caller *caller, const EditOptions *options,
                  const char *const *targets, EditFunc *edit, EditDone *done, void *userdata,
                  GDestroyNotify destroy)
{
        Edit *e = edit_new(m, EDIT_CHANGE, caller, options, done, userdata, destroy);

        e->edit = edit;
        e->targets = g_strdupv((char **)targets);
        edit_queue(e);
}

void manager_reload(Manager *m, const Caller *caller, const EditOptions *options, EditDone *done,
                    void *userdata, GDestroyNotify destroy)
{
        edit_queue(edit_new(m, EDIT_RELOAD, caller, options, done, userdata, destroy));
}

void manager_confirm(Manager *m, const Caller *caller, const EditOptions *options, EditDone *done,
                     void *userdata, GDestroyNotify destroy)
{
        edit_queue(edit_new(m, EDIT_CONFIRM, caller, options, done, userdata, destroy));
}

void manager_rollback(Manager *m, const Caller *caller, const EditOptions *options, EditDone *done,
                      void *userdata, GDestroyNotify destroy)
{
        edit_queue(edit_new(m, EDIT_ROLLBACK, caller, options, done, userdata, destroy));
}

void manager_start(Manager *m, EditDone *done, void *userdata)
{
        static const Caller start = { .name = "start" };

        edit_queue(edit_new(m, EDIT_START, &start, NULL, done, userdata, NULL));
}
