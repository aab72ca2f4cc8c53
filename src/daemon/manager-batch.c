/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

/* Changes that wait together are carried out together: one write, one map for the workers. They
 * concern different targets, so that each is what it would have been alone; one that fails by
 * itself fails alone. Should what they make together be refused, each is tried alone. */

#define BATCH_MAX 256

static bool has_one_target(const Edit *e)
{
        return e->targets && e->targets[0];
}

static bool may_begin(const Edit *e)
{
        return e->kind == EDIT_CHANGE && has_one_target(e) && !e->alone && !e->options.dry_run &&
               e->options.confirm_usec == 0 && !e->options.transient && !e->options.internal;
}

/* names: of the targets of first, and of what has joined it. */
static bool may_join(const Edit *first, const Edit *e, GHashTable *names)
{
        /* a generation that was named is that of the state before all of them */
        if (!may_begin(e) || e->options.has_generation ||
            e->options.runtime != first->options.runtime ||
            e->options.force != first->options.force)
                return false;
        for (char **name = e->targets; *name; name++)
                if (g_hash_table_contains(names, *name))
                        return false;
        return true;
}

static void add_names(const Edit *e, GHashTable *names)
{
        for (char **name = e->targets; *name; name++)
                g_hash_table_add(names, *name);
}

static char **all_names(GHashTable *names)
{
        g_autofree gpointer *keys = g_hash_table_get_keys_as_array(names, NULL);

        return g_strdupv((char **)keys);
}

static Edit *batch_new(Edit *first, GPtrArray *members, GHashTable *names)
{
        static const Caller together = { .name = "batch" };
        EditOptions options = { .runtime = first->options.runtime, .force = first->options.force };
        Edit *b = edit_new(first->manager, EDIT_CHANGE, &together, &options, NULL, NULL, NULL);

        b->members = members;
        b->targets = all_names(names);
        return b;
}

Edit *batch_take(Manager *m)
{
        Edit *first = g_queue_pop_head(&m->edits), *next = g_queue_peek_head(&m->edits);
        g_autoptr(GHashTable) names = NULL;
        GPtrArray *members;

        if (!next || !may_begin(first))
                return first;
        names = g_hash_table_new(g_str_hash, g_str_equal);
        add_names(first, names);
        if (!may_join(first, next, names))
                return first;
        members = g_ptr_array_new();
        g_ptr_array_add(members, first);
        while (next && members->len < BATCH_MAX && may_join(first, next, names)) {
                add_names(next, names);
                g_ptr_array_add(members, g_queue_pop_head(&m->edits));
                next = g_queue_peek_head(&m->edits);
        }
        return batch_new(first, members, names);
}

/* Those that cannot even be made are over. */
int batch_make(Edit *b)
{
        for (guint i = 0; i < b->members->len;) {
                Edit *e = b->members->pdata[i];

                if (edit_make_on(e, b->after) == 0) {
                        i++;
                        continue;
                }
                for (char **name = e->targets; *name; name++)
                        edit_reset_target(b, *name);
                g_ptr_array_remove_index(b->members, i);
                edit_finish(e);
        }
        return 0;
}

static bool is_about(const Edit *e, const char *target)
{
        return target && g_strv_contains((const char *const *)e->targets, target);
}

static void take_results(Edit *b, Edit *e)
{
        for (guint i = 0; i < b->diff->len; i++) {
                const Change *c = b->diff->pdata[i];
                const TargetSpec *t = c->after ? c->after : c->before;

                if (t && is_about(e, t->name))
                        edit_add_change(e, c);
        }
        for (guint i = b->result.problems->len; i > 0; i--) {
                const Problem *p = b->result.problems->pdata[i - 1];

                if (is_about(e, p->target))
                        edit_problem(e, g_ptr_array_steal_index(b->result.problems, i - 1));
        }
}

/* Before the states go of which the difference speaks. */
void batch_share_results(Edit *b)
{
        for (guint i = 0; i < b->members->len; i++)
                take_results(b, b->members->pdata[i]);
}

void batch_finish(Edit *b)
{
        Manager *m = b->manager;

        for (guint i = b->members->len; b->result.error.name && i > 0; i--) {
                Edit *e = b->members->pdata[i - 1];

                e->alone = true;
                g_ptr_array_set_size(e->result.changes, 0);
                g_ptr_array_set_size(e->result.details, 0);
                g_ptr_array_set_size(e->result.problems, 0);
                g_queue_push_head(&m->edits, e);
        }
        for (guint i = 0; !b->result.error.name && i < b->members->len; i++)
                edit_finish(b->members->pdata[i]);
        g_ptr_array_unref(b->members);
        b->members = NULL;
        edit_free(b);
}
