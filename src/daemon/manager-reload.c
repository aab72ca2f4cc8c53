/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

/* A reload of some targets only, and one that takes back what was changed with runtime. */

static bool is_named(char **names, const char *name)
{
        return g_strv_contains((const char *const *)names, name);
}

/* Files of targets in /run: of those that are named, or all. */
static GHashTable *files_to_hide(const Edit *e)
{
        GHashTable *files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        const char *name;
        GDir *dir;

        for (char **t = e->options.only; t && *t; t++)
                g_hash_table_add(files, config_target_file_name(*t));
        if (e->options.only)
                return files;
        dir = g_dir_open(e->manager->paths.run, 0, NULL);
        while (dir && (name = g_dir_read_name(dir)))
                if (g_str_has_suffix(name, ".conf") && !STREQ(name, CONFIG_GLOBALS_FILE))
                        g_hash_table_add(files, g_strdup(name));
        if (dir)
                g_dir_close(dir);
        return files;
}

ConfigPaths edit_paths(Edit *e)
{
        ConfigPaths paths = e->manager->paths;

        if (e->options.revert && paths.run) {
                e->hidden = files_to_hide(e);
                paths.run_hidden = e->hidden;
        }
        return paths;
}

static void keep(Edit *e, const char *name)
{
        const TargetSpec *spec = g_hash_table_lookup(e->before->targets, name);

        g_hash_table_remove(e->after->targets, name);
        if (spec)
                desired_put(e->after, target_spec_dup(spec));
}

static void keep_all_of(Edit *e, const Desired *d)
{
        g_autoptr(GPtrArray) others = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iter;
        gpointer name;

        g_hash_table_iter_init(&iter, d->targets);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                if (!is_named(e->options.only, name))
                        g_ptr_array_add(others, g_strdup(name));
        for (guint i = 0; i < others->len; i++)
                keep(e, g_ptr_array_index(others, i));
}

static void keep_globals(Edit *e)
{
        Desired *after = desired_globals_dup(e->before);

        g_hash_table_unref(after->targets);
        after->targets = g_hash_table_ref(e->after->targets);
        desired_free(e->after);
        e->after = after;
}

void edit_narrow(Edit *e)
{
        if (!e->options.only)
                return;
        keep_all_of(e, e->before);
        keep_all_of(e, e->after);
        keep_globals(e);
        /* what is wrong with others is not what was asked */
        for (guint i = e->result.problems->len; i > 0; i--) {
                const Problem *p = g_ptr_array_index(e->result.problems, i - 1);

                if (!p->target || !is_named(e->options.only, p->target))
                        g_ptr_array_remove_index(e->result.problems, i - 1);
        }
}

void edit_kept(Edit *e, const char *name)
{
        if (e->hidden) {
                g_autofree char *file = config_target_file_name(name);

                g_hash_table_remove(e->hidden, file);
        }
}
