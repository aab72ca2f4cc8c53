/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

/* What a change has made becomes what runs. */

static void commit_target(Manager *m, char *name, Target *new, GPtrArray *gone)
{
        Target *old = g_hash_table_lookup(m->targets, name);

        if (old) {
                target_own_units(old, new, false);
                m->n_luns -= old->n_maps;
                g_hash_table_remove(m->tids, GUINT_TO_POINTER(old->tid));
                m->next_tid = MIN(m->next_tid, old->tid);
                g_hash_table_remove(m->republish, old);
                g_hash_table_steal(m->targets, old->name);
                g_tree_remove(m->target_order, old->name);
                g_ptr_array_add(gone, old);
        }
        if (new) {
                new->n_sessions = old ? old->n_sessions : sessions_count(m, name);
                target_own_units(new, old, true);
                m->n_luns += new->n_maps;
                g_hash_table_replace(m->targets, new->name, new);
                g_tree_insert(m->target_order, new->name, new->name);
                g_hash_table_replace(m->tids, GUINT_TO_POINTER(new->tid), new);
                while (g_hash_table_contains(m->tids, GUINT_TO_POINTER(m->next_tid)))
                        m->next_tid++;
        }
        if (!new)
                OBSERVE(m, target_removed, name);
        else if (old)
                OBSERVE(m, target_changed, name);
        else
                OBSERVE(m, target_added, name);
}

static void commit_desired(Edit *e)
{
        Desired *running = e->manager->desired;
        gpointer key, spec;

        if (!e->partial) {
                e->manager->desired = TAKE_PTR(e->after);
                desired_free(running);
                return;
        }
        for (char **name = e->targets; *name; name++)
                if (g_hash_table_steal_extended(e->after->targets, *name, &key, &spec))
                        g_hash_table_replace(running->targets, key, spec);
                else
                        g_hash_table_remove(running->targets, *name);
        SWAP(running->portals, e->after->portals);
        SWAP(running->discovery_incoming, e->after->discovery_incoming);
        SWAP(running->discovery_outgoing, e->after->discovery_outgoing);
        SWAP(running->accounts, e->after->accounts);
        SWAP(running->backing_directories, e->after->backing_directories);
}

static void commit_units(Edit *e)
{
        GHashTableIter iter;
        gpointer u;

        g_hash_table_iter_init(&iter, e->candidates);
        while (g_hash_table_iter_next(&iter, NULL, &u)) {
                unit_list(u);
                if (((Unit *)u)->state == UNIT_AWAY)
                        unit_journal_away(u);
        }
        for (guint i = 0; i < e->updates->len; i++) {
                const UnitUpdate *update = &g_array_index(e->updates, UnitUpdate, i);

                unit_update(update->unit, update->spec);
        }
}

static void free_target(gpointer t)
{
        target_free(t);
}

void edit_commit(Edit *e)
{
        g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(free_target);
        Manager *m = e->manager;
        GHashTableIter iter;
        gpointer name, new;
        char text[256];

        g_hash_table_iter_init(&iter, e->builds);
        while (g_hash_table_iter_next(&iter, &name, &new)) {
                commit_target(m, name, new, gone);
                g_hash_table_iter_replace(&iter, NULL); /* it is the manager's now */
        }
        commit_units(e);
        edit_close_portals(e, CHANGE_REMOVE_PORTAL);
        commit_desired(e);
        if (portals_listen(m, text, sizeof(text)) < 0) {
                if (e->kind == EDIT_START)
                        edit_fail(e, ERROR_FAILED, "%s", text);
                else
                        log_error("%s", text);
        }
        if (e->diff->len > 0 || e->kind == EDIT_START)
                m->generation++;
        if (m->state == MANAGER_STARTING)
                m->state = MANAGER_RUNNING;
}
