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

static bool globals_change(const Edit *e)
{
        for (guint i = 0; i < e->diff->len; i++) {
                const Change *c = g_ptr_array_index(e->diff, i);

                if (c->kind == CHANGE_ADD_PORTAL || c->kind == CHANGE_REMOVE_PORTAL ||
                    c->kind == CHANGE_DISCOVERY)
                        return true;
        }
        return false;
}

int edit_plan_persist(Edit *e)
{
        const ConfigPaths *paths = &e->manager->paths;
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
        if (globals_change(e)) {
                g_autoptr(GHashTable) none = g_hash_table_new(g_str_hash, g_str_equal);
                Desired globals = *e->after;

                globals.targets = none;
                add_step(e, e->options.runtime ? paths->run : paths->var, NULL)->globals =
                        desired_dup(&globals);
        }
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
