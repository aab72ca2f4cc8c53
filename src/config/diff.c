/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/directives.h"
#include "config/spec.h"
#include "config/values.h"
#include "config/verify.h"

/* What differs, in an order in which it can be carried out:
 * accounts of discovery, portals and targets that go, LUNs that go (what they served may be needed
 * below), then what changes within a target: who may enter before what can be seen; then what is
 * new, portals last: they lead to targets that are complete. */

typedef enum Phase {
        PHASE_DISCOVERY,
        PHASE_REMOVE_PORTAL,
        PHASE_REMOVE_TARGET,
        PHASE_REMOVE_LUN,
        PHASE_TARGET,
        PHASE_LUN,
        PHASE_REPLACE_LUN,
        PHASE_ADD_LUN,
        PHASE_ADD_TARGET,
        PHASE_ADD_PORTAL,
        N_PHASES,
} Phase;

static const Phase phase_of[] = {
        [CHANGE_ADD_TARGET] = PHASE_ADD_TARGET,
        [CHANGE_REMOVE_TARGET] = PHASE_REMOVE_TARGET,
        [CHANGE_TARGET] = PHASE_TARGET,
        [CHANGE_ADD_LUN] = PHASE_ADD_LUN,
        [CHANGE_REMOVE_LUN] = PHASE_REMOVE_LUN,
        [CHANGE_LUN] = PHASE_LUN,
        [CHANGE_REPLACE_LUN] = PHASE_REPLACE_LUN,
        [CHANGE_ADD_PORTAL] = PHASE_ADD_PORTAL,
        [CHANGE_REMOVE_PORTAL] = PHASE_REMOVE_PORTAL,
        [CHANGE_DISCOVERY] = PHASE_DISCOVERY,
        [CHANGE_ACCOUNTS] = PHASE_DISCOVERY,
};

typedef struct Diff {
        GPtrArray *phases[N_PHASES];
} Diff;

static Change *add(Diff *d, ChangeKind kind)
{
        Change *c = g_new0(Change, 1);

        c->kind = kind;
        g_ptr_array_add(d->phases[phase_of[kind]], c);
        return c;
}

static void add_lun(Diff *d, ChangeKind kind, const TargetSpec *a, const TargetSpec *b,
                    const LunSpec *lun_a, const LunSpec *lun_b)
{
        Change *c = add(d, kind);

        c->before = a;
        c->after = b;
        c->lun_before = lun_a;
        c->lun_after = lun_b;
}

static void put_text(char **field, const char *value)
{
        g_free(*field);
        *field = g_strdup(value);
}

/* Do they differ in nothing but what a running unit can change? */
static bool can_change_in_place(const LunSpec *a, const LunSpec *b)
{
        LunSpec *like = lun_spec_dup(a);
        bool same;

        like->write_cache = b->write_cache;
        like->readonly = b->readonly;
        like->size = b->size;
        like->online = b->online;
        like->allow_in_use = b->allow_in_use;
        like->limits = b->limits;
        if ((lun_spec_is_empty(a) || (a->removable && !a->online)) && b->removable) {
                /* nobody loses what is not there; which drive it is is said along */
                put_text(&like->path, b->path);
                put_text(&like->uuid, b->uuid);
                put_text(&like->naa, b->naa);
        }
        same = lun_spec_equal(like, b);
        lun_spec_free(like);
        return same;
}

static void diff_luns(Diff *d, const TargetSpec *a, const TargetSpec *b)
{
        guint i = 0, k = 0;

        while (i < a->luns->len || k < b->luns->len) {
                const LunSpec *p = i < a->luns->len ? a->luns->pdata[i] : NULL;
                const LunSpec *q = k < b->luns->len ? b->luns->pdata[k] : NULL;

                if (!q || (p && p->lun < q->lun)) {
                        add_lun(d, CHANGE_REMOVE_LUN, a, b, p, NULL);
                        i++;
                } else if (!p || q->lun < p->lun) {
                        add_lun(d, CHANGE_ADD_LUN, a, b, NULL, q);
                        k++;
                } else {
                        if (!lun_spec_equal(p, q))
                                add_lun(d,
                                        can_change_in_place(p, q) ? CHANGE_LUN : CHANGE_REPLACE_LUN,
                                        a, b, p, q);
                        i++;
                        k++;
                }
        }
}

static void diff_targets(Diff *d, const Desired *a, const Desired *b)
{
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, a->targets);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const TargetSpec *t = value;

                if (!g_hash_table_contains(b->targets, t->name))
                        add(d, CHANGE_REMOVE_TARGET)->before = t;
        }
        g_hash_table_iter_init(&iter, b->targets);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const TargetSpec *t = value;
                const TargetSpec *old = g_hash_table_lookup(a->targets, t->name);

                if (!old) {
                        add(d, CHANGE_ADD_TARGET)->after = t;
                        continue;
                }
                if (!target_head_equal(old, t)) {
                        Change *c = add(d, CHANGE_TARGET);

                        c->before = old;
                        c->after = t;
                }
                diff_luns(d, old, t);
        }
}

/* kind for each portal that a has and b has not. */
static void diff_portals(Diff *d, const Desired *a, const Desired *b, ChangeKind kind)
{
        g_autoptr(GHashTable) others = g_hash_table_new(g_str_hash, g_str_equal);

        for (guint i = 0; i < b->portals->len; i++)
                g_hash_table_add(others, ((PortalSpec *)b->portals->pdata[i])->address);
        for (guint i = 0; i < a->portals->len; i++) {
                const PortalSpec *p = a->portals->pdata[i];

                if (!g_hash_table_contains(others, p->address))
                        add(d, kind)->portal = p;
        }
}

static bool accounts_equal(const GPtrArray *a, const GPtrArray *b)
{
        if (a->len != b->len)
                return false;
        for (guint i = 0; i < a->len; i++)
                if (!account_spec_equal(a->pdata[i], b->pdata[i]))
                        return false;
        return true;
}

static bool discovery_equal(const Desired *a, const Desired *b)
{
        return accounts_equal(a->discovery_incoming, b->discovery_incoming) &&
               account_spec_equal(a->discovery_outgoing, b->discovery_outgoing);
}

static const TargetSpec *target_of(const Change *c)
{
        return c->after ?: c->before;
}

/* Within a phase: by name, then by LUN; what has neither stays as it is found. */
static int compare_changes(const void *a, const void *b)
{
        const Change *p = *(Change *const *)a, *q = *(Change *const *)b;
        const LunSpec *l = p->lun_after ?: p->lun_before, *m = q->lun_after ?: q->lun_before;
        int r;

        if (p->portal && q->portal)
                return strcmp(p->portal->address, q->portal->address);
        if (!target_of(p) || !target_of(q))
                return 0;
        r = strcmp(target_of(p)->name, target_of(q)->name);
        if (r != 0 || !l || !m)
                return r;
        return (int)l->lun - (int)m->lun;
}

GPtrArray *config_diff(const Desired *a, const Desired *b)
{
        GPtrArray *all = g_ptr_array_new_with_free_func(g_free);
        Diff d;

        for (int i = 0; i < N_PHASES; i++)
                d.phases[i] = g_ptr_array_new();
        if (!discovery_equal(a, b))
                (void)add(&d, CHANGE_DISCOVERY);
        if (!accounts_equal(a->accounts, b->accounts))
                (void)add(&d, CHANGE_ACCOUNTS);
        diff_portals(&d, a, b, CHANGE_REMOVE_PORTAL);
        diff_targets(&d, a, b);
        diff_portals(&d, b, a, CHANGE_ADD_PORTAL);
        for (int i = 0; i < N_PHASES; i++) {
                g_ptr_array_sort(d.phases[i], compare_changes);
                g_ptr_array_extend_and_steal(all, d.phases[i]);
        }
        return all;
}
