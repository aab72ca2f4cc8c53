/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <fcntl.h>
#include <glib/gstdio.h>

/* Where a change is kept: /var/lib for ever, /run with runtime; /etc and /usr are the
 * administrator's and are never written, only overridden. */

typedef struct PersistStep {
        char *dir, *name; /* name NULL: the globals */
        TargetSpec *spec; /* NULL: its file goes */
        Desired *globals;
        bool begun, existed;
        char *path, *before; /* for taking it back */
} PersistStep;

void persist_step_free(void *p)
{
        PersistStep *step = p;

        target_spec_free(step->spec);
        desired_free(step->globals);
        g_free(step->dir);
        g_free(step->name);
        g_free(step->path);
        g_free(step->before);
        g_free(step);
}

static PersistStep *add_step(Edit *e, const char *dir, const char *name)
{
        PersistStep *step = g_new0(PersistStep, 1);

        step->dir = g_strdup(dir);
        step->name = g_strdup(name);
        if (name) {
                g_autofree char *file = config_target_file_name(name);

                step->path = g_build_filename(dir, file, NULL);
        }
        g_ptr_array_add(e->steps, step);
        return step;
}

static void add_save(Edit *e, const char *dir, const TargetSpec *spec, bool masked)
{
        PersistStep *step = add_step(e, dir, spec->name);

        step->spec = masked ? target_spec_new(spec->name) : target_spec_dup(spec);
        step->spec->masked = masked;
        /* what we write is the whole of it, whatever other folders say */
        step->spec->replace = !masked;
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

static int plan_target_step(Edit *e, const TargetSpec *before, TargetSpec *after)
{
        const ConfigPaths *paths = &e->manager->paths;
        const TargetSpec *known = before ? before : after;
        const char *dir = e->options.runtime ? paths->run : paths->var;

        if (check_administrator(e, known) < 0)
                return -1;
        if (after) {
                if (before)
                        after->administrator = before->administrator;
                after->persistence = e->options.runtime ? TARGET_RUNTIME : TARGET_SAVED;
                add_save(e, dir, after, false);
        } else if (before->administrator.file ||
                   (e->options.runtime && is_saved(paths->var, before->name)))
                add_save(e, dir, before, true);
        else
                add_step(e, dir, before->name);
        /* a lasting change is not hidden by an earlier passing one */
        if (!e->options.runtime && is_saved(paths->run, known->name))
                add_step(e, paths->run, known->name);
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

static void add_globals_step(Edit *e, const char *dir, Desired *globals)
{
        PersistStep *step = add_step(e, dir, NULL);

        step->path = g_build_filename(dir, CONFIG_GLOBALS_FILE, NULL);
        step->globals = globals;
}

/* The file in /run has all of ours, and hides the one in /var/lib, which has the same name. */
static int plan_globals_step(Edit *e)
{
        const ConfigPaths *paths = &e->manager->paths;

        if (check_globals(e) < 0)
                return -1;
        add_globals_step(e, e->options.runtime ? paths->run : paths->var, own_globals(e));
        /* a lasting change is not hidden by an earlier passing one */
        if (!e->options.runtime)
                add_globals_step(e, paths->run, desired_new());
        return 0;
}

static bool globals_change(const Edit *e)
{
        for (guint i = 0; i < e->diff->len; i++) {
                const Change *c = g_ptr_array_index(e->diff, i);

                if (c->kind == CHANGE_ADD_PORTAL || c->kind == CHANGE_REMOVE_PORTAL ||
                    c->kind == CHANGE_DISCOVERY || c->kind == CHANGE_ACCOUNTS)
                        return true;
        }
        return false;
}

int edit_plan_persist(Edit *e)
{
        GHashTableIter iter;
        gpointer name;

        e->steps = g_ptr_array_new_with_free_func(persist_step_free);
        if (e->kind != EDIT_CHANGE)
                return 0;
        g_hash_table_iter_init(&iter, e->planned);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                if (plan_target_step(e, g_hash_table_lookup(e->before->targets, name),
                                     g_hash_table_lookup(e->after->targets, name)) < 0)
                        return -1;
        if (globals_change(e) && plan_globals_step(e) < 0)
                return -1;
        return 0;
}

/* ---- in a job -------------------------------------------------------------------------------- */

static int step_run(PersistStep *step)
{
        if (step->path)
                step->existed = g_file_get_contents(step->path, &step->before, NULL, NULL);
        step->begun = true;
        if (!step->name)
                return config_save_globals(step->dir, step->globals);
        if (step->spec)
                return config_save_target(step->dir, step->spec);
        return config_forget_target(step->dir, step->name);
}

int edit_persist(Edit *e)
{
        int r = 0;

        /* an identity is on disk before any initiator can see it */
        if (e->identities)
                r = identities_append(e->manager->identity_path, e->identities);
        for (guint i = 0; i < e->steps->len && r >= 0; i++)
                r = step_run(g_ptr_array_index(e->steps, i));
        return r;
}

static void step_undo(PersistStep *step)
{
        g_autoptr(GError) error = NULL;

        if (!step->begun || !step->path)
                return;
        if (!step->existed) {
                (void)g_unlink(step->path);
                return;
        }
        if (!g_file_set_contents_full(step->path, step->before, -1,
                                      G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                      0600, &error))
                log_error("Could not put %s back: %s", step->path, error->message);
}

void edit_persist_undo(Edit *e)
{
        for (guint i = e->steps->len; i > 0; i--)
                step_undo(g_ptr_array_index(e->steps, i - 1));
}
