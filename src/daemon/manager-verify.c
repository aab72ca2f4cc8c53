/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <stdio.h>

#define AWAY_MAX 50 /* stores that an error tells of */

/* How a change is to be carried out, and what stands against it. Everything here looks things up
 * by key, so that the cost is that of what changes and not of what there is. */

typedef struct Plan {
        Edit *e;
        GHashTable *refused;
        const TargetSpec *spec; /* the target at hand */
} Plan;

/* A change is refused: fails a client's change (-1), leaves the target out of a load (0). */
static int refuse(Plan *p, const char *error, Origin at, const char *directive, const char *text)
{
        const char *name = p->spec->name;
        Problem *problem = problem_new(PROBLEM_ERROR, at, name, directive, text);

        if (p->e->kind == EDIT_CHANGE)
                return edit_fail_by_problem(p->e, error, problem);
        edit_problem(p->e, problem);
        g_hash_table_add(p->refused, g_strdup(name));
        return 0;
}

static bool is_refused(const Plan *p)
{
        return g_hash_table_contains(p->refused, p->spec->name);
}

/* ---- who is in the way ----------------------------------------------------------------------- */

/* What would take a disk away from an initiator is done only when forced. */
static int check_in_use(Plan *p, Origin at, const char *what)
{
        Manager *m = p->e->manager;
        const Target *t = g_hash_table_lookup(m->targets, p->spec->name);
        g_autofree char *who = NULL, *text = NULL;

        if (p->e->options.force || !t || t->n_sessions == 0)
                return 0;
        who = sessions_initiators(m, t->name);
        text = g_strdup_printf("in use by %s; end the sessions first, or use force to %s",
                               who ? who : "an initiator", what);
        return refuse(p, ERROR_IN_USE, p->e->kind == EDIT_CHANGE ? (Origin){ 0 } : at, NULL, text);
}

static int check_change(Plan *p, const Change *c)
{
        switch (c->kind) {
        case CHANGE_REMOVE_TARGET:
                return check_in_use(p, c->before->at, "remove it under them");
        case CHANGE_TARGET:
                if (c->before->online && !c->after->online)
                        return check_in_use(p, c->after->at, "take it offline under them");
                return 0;
        case CHANGE_REMOVE_LUN:
                return check_in_use(p, c->lun_before->at, "remove the LUN under them");
        case CHANGE_REPLACE_LUN:
                return check_in_use(p, c->lun_after->at, "replace the LUN under them");
        default:
                return 0;
        }
}

/* ---- targets --------------------------------------------------------------------------------- */

static int check_target(Plan *p)
{
        Manager *m = p->e->manager;
        const TargetSpec *spec = p->spec;
        const Target *holder = g_hash_table_lookup(m->tids, GUINT_TO_POINTER(spec->tid));
        char text[256];

        if (target_check(spec, text, sizeof(text)) < 0)
                return refuse(p, ERROR_INVALID, spec->at, NULL, text);
        if (spec->tid == 0 || !holder || STREQ(holder->name, spec->name) ||
            (g_hash_table_contains(p->e->builds, holder->name) &&
             !g_hash_table_lookup(p->e->builds, holder->name)))
                return 0;
        snprintf(text, sizeof(text), "%u is the number of %.200s", spec->tid, holder->name);
        return refuse(p, ERROR_EXISTS, spec->at, "controller_tid", text);
}

/* The numbers that e gives out, and those that its targets ask for. */
static GHashTable *edit_tids(Edit *e)
{
        GHashTableIter iter;
        gpointer spec;

        if (e->tids)
                return e->tids;
        e->tids = g_hash_table_new(NULL, NULL);
        g_hash_table_iter_init(&iter, e->after->targets);
        while (g_hash_table_iter_next(&iter, NULL, &spec))
                g_hash_table_add(e->tids, GUINT_TO_POINTER(((TargetSpec *)spec)->tid));
        return e->tids;
}

/* The lowest that is free: below next_tid there is none. */
static uint32_t tid_for(Plan *p)
{
        Manager *m = p->e->manager;
        GHashTable *taken = edit_tids(p->e);
        const Target *old = g_hash_table_lookup(m->targets, p->spec->name);
        uint32_t tid = MAX(m->next_tid, p->e->next_tid);

        if (p->spec->tid > 0)
                return p->spec->tid;
        if (old)
                return old->tid;
        while (g_hash_table_contains(m->tids, GUINT_TO_POINTER(tid)) ||
               !g_hash_table_add(taken, GUINT_TO_POINTER(tid)))
                tid++;
        p->e->next_tid = tid;
        return tid;
}

/* ---- units ----------------------------------------------------------------------------------- */

static int check_lun(Plan *p, const LunSpec *l)
{
        const StoreType *type = store_type_find(l->bs_type);
        StoreSpec spec = {
                .type = l->bs_type, .path = l->path, .options = l->bs_options, .size = l->size
        };
        g_autofree char *text = NULL;
        StoreError error;

        if (l->device_type && !STREQ(l->device_type, "disk"))
                return refuse(p, ERROR_NOT_SUPPORTED, l->at, "device-type",
                              "only disk is supported yet");
        if (!type) {
                text = g_strdup_printf("there is no backing store type %s", l->bs_type);
                return refuse(p, ERROR_NOT_SUPPORTED, l->at, "bs-type", text);
        }
        if (lun_spec_is_empty(l))
                return 0; /* what is said of its store is looked at with the medium */
        if (type->needs_path && !l->path)
                return refuse(p, ERROR_INVALID, l->at, "backing-store", "a path is required");
        if (type->needs_size && l->size == 0)
                return refuse(p, ERROR_INVALID, l->at, "size", "a size is required for this type");
        if (store_check(&spec, &error) < 0)
                return refuse(p, ERROR_INVALID, l->at, "bsopts", error.text);
        return 0;
}

static const Target *untouched_owner(const Plan *p, const Unit *u)
{
        for (guint i = 0; u->owners && i < u->owners->len; i++) {
                Target *t = g_array_index(u->owners, UnitOwner, i).target;

                if (!g_hash_table_contains(p->e->planned, t->name))
                        return t;
        }
        return NULL;
}

/* Is what serves u mapped, under any name, by a target that this change leaves as it is? */
static const Target *other_owner(const Plan *p, Unit *u)
{
        const Unit *real = unit_resolve(u);
        const Target *t = untouched_owner(p, real);

        for (guint i = 0; !t && real->aliases && i < real->aliases->len; i++)
                t = untouched_owner(p, g_ptr_array_index(real->aliases, i));
        return t;
}

static int refuse_conflict(Plan *p, const LunSpec *l, const char *target, const LunSpec *other)
{
        g_autofree char *where = origin_format(other->at);
        g_autofree char *text = g_strdup_printf(
                "%s is served by %s too (%s), with another configuration; one disk has one "
                "configuration, and one set of reservations, whatever path leads to it",
                l->path ? l->path : l->bs_type, target, where);

        return refuse(p, ERROR_INVALID, l->at, NULL, text);
}

/* Does other serve l's LUN alone? Then l is that drive with another medium, or with none. */
static bool is_same_drive(const Plan *p, const LunSpec *l, const Unit *other)
{
        const UnitOwner *owner;

        if (!l->removable || !other->spec->removable || !other->owners || other->owners->len != 1 ||
            (other->aliases && other->aliases->len > 0))
                return false;
        owner = &g_array_index(other->owners, UnitOwner, 0);
        return STREQ(owner->target->name, p->spec->name) && owner->lun == l->lun;
}

/* An identity that is recorded twice is that of one thing under two names, as was seen once; one
 * that is written twice is a mistake. */
static int check_identity(Plan *p, const LunSpec *l, Unit *u, Unit *predecessor)
{
        Edit *e = p->e;
        Unit *other = g_hash_table_lookup(e->candidates_uuid, u->uuid);
        g_autofree char *where = NULL, *text = NULL;

        if (!other)
                other = g_hash_table_lookup(e->manager->units, u->uuid);
        u->takes_over = other && other != predecessor && is_same_drive(p, l, other);
        if (!other || other == predecessor || u->takes_over) {
                g_hash_table_insert(e->candidates_uuid, u->uuid, u);
                return 0;
        }
        if (!l->uuid && !other->spec->uuid)
                return 0;
        where = origin_format(other->spec->at);
        text = g_strdup_printf("%s is the identity of %s (%s)", u->uuid, unit_name(other), where);
        return refuse(p, ERROR_EXISTS, l->at, "uuid", text);
}

static int new_candidate(Plan *p, const LunSpec *l, char *key, Unit *predecessor, Unit **ret)
{
        Edit *e = p->e;
        Unit *u;
        int r;

        r = unit_new(e->manager, l, key, &u);
        if (r < 0)
                return refuse(p, ERROR_INVALID, l->at, "uuid", "no identity can be made of it");
        unit_hold(u);
        g_hash_table_insert(e->candidates, u->key, u);
        if (predecessor) {
                u->predecessor = predecessor;
                if (predecessor->successor) { /* of a change that was taken back */
                        predecessor->successor->predecessor = NULL;
                        unit_unref(predecessor->successor);
                }
                predecessor->successor = unit_ref(u);
        }
        *ret = u;
        return check_identity(p, l, u, predecessor);
}

/* What this change has planned for the unit already, under any of its names. */
static const LunSpec *plan_once(Plan *p, const char *key, const LunSpec *l)
{
        GHashTable *planned = p->e->planned_luns;
        const LunSpec *other = g_hash_table_lookup(planned, key);

        if (!other)
                g_hash_table_insert(planned, g_strdup(key), (gpointer)l);
        return other;
}

static void plan_update(Plan *p, Unit *u, const LunSpec *l)
{
        UnitUpdate update = { u, l };

        g_array_append_val(p->e->updates, update);
}

/* One who says allow-in-use is enough; that nobody does any more holds from the next opening on. */
static bool may_open_otherwise(const Plan *p, Unit *u, const LunSpec *l)
{
        return l->allow_in_use != u->spec->allow_in_use && (l->allow_in_use || !other_owner(p, u));
}

static int plan_running(Plan *p, const LunSpec *l, char *key, Unit *old, Unit **ret)
{
        Unit *real = unit_resolve(old);
        bool same = lun_specs_agree(old->spec, l);
        bool in_place = same || lun_specs_compatible(old->spec, l);
        const Target *owner = same ? NULL : other_owner(p, old);
        const LunSpec *other = real == old ? NULL : plan_once(p, real->key, l);
        int r;

        if (owner || (other && !lun_specs_agree(other, l))) {
                g_free(key);
                return refuse_conflict(p, l, owner ? owner->name : unit_name(real),
                                       owner ? real->spec : other);
        }
        if (!in_place) {
                r = check_in_use(p, l->at, "replace the LUN under them");
                if (r < 0 || is_refused(p)) {
                        g_free(key);
                        return r;
                }
                return new_candidate(p, l, key, old, ret);
        }
        g_free(key);
        if (!same || may_open_otherwise(p, old, l))
                plan_update(p, old, l);
        if (!same && real != old)
                plan_update(p, real, l);
        *ret = old;
        return 0;
}

/* The unit that l is to be served by; *ret is NULL if it was refused. */
static int plan_unit(Plan *p, const LunSpec *l, Unit **ret)
{
        Edit *e = p->e;
        char *key = identity_key(p->spec->name, l);
        Unit *u = g_hash_table_lookup(e->candidates, key);
        const LunSpec *planned = plan_once(p, key, l);

        *ret = NULL;
        if (planned && !lun_specs_agree(planned, l)) {
                g_free(key);
                return refuse_conflict(p, l, "another target", planned);
        }
        if (u) {
                u->spec->allow_in_use |= l->allow_in_use;
                *ret = u;
                g_free(key);
                return 0;
        }
        u = g_hash_table_lookup(e->manager->units_by_key, key);
        if (u)
                return plan_running(p, l, key, u, ret);
        return new_candidate(p, l, key, NULL, ret);
}

static int plan_luns(Plan *p, Target *t)
{
        const GPtrArray *luns = p->spec->luns;

        t->maps = g_new0(Mapping, MAX(luns->len, 1U));
        for (guint i = 0; i < luns->len; i++) {
                const LunSpec *l = g_ptr_array_index(luns, i);
                Unit *u = NULL;

                if (check_lun(p, l) < 0)
                        return -1;
                if (is_refused(p))
                        return 0;
                if (plan_unit(p, l, &u) < 0)
                        return -1;
                if (is_refused(p) || !u)
                        return 0;
                unit_hold(u);
                t->maps[t->n_maps++] = (Mapping){ .lun = l->lun, .unit = u };
        }
        return 0;
}

static int plan_target(Plan *p)
{
        Edit *e = p->e;
        Target *t;

        if (check_target(p) < 0)
                return -1;
        if (is_refused(p))
                return 0;
        t = target_new(p->spec->name, tid_for(p));
        g_hash_table_replace(e->builds, t->name, t);
        return plan_luns(p, t);
}

/* ---- the plan -------------------------------------------------------------------------------- */

static void plan_begin(Edit *e)
{
        e->builds = g_hash_table_new(g_str_hash, g_str_equal);
        e->planned = g_hash_table_new(g_str_hash, g_str_equal);
        e->candidates = g_hash_table_new(g_str_hash, g_str_equal);
        e->candidates_uuid = g_hash_table_new(g_str_hash, g_str_equal);
        e->planned_luns = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        e->updates = g_array_new(FALSE, FALSE, sizeof(UnitUpdate));
}

static void release_candidates(Edit *e)
{
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, e->candidates);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                Unit *u = value;

                u->waiter = NULL;
                g_hash_table_iter_remove(&iter); /* before the key goes */
                unit_release(u);
        }
}

static void release_builds(Edit *e)
{
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, e->builds);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                g_hash_table_iter_remove(&iter);
                target_free(value);
        }
}

void edit_plan_clear(Edit *e)
{
        g_clear_pointer(&e->tids, g_hash_table_unref);
        e->next_tid = 0;
        if (!e->builds)
                return;
        g_clear_pointer(&e->candidates_uuid, g_hash_table_unref);
        g_clear_pointer(&e->planned_luns, g_hash_table_unref);
        g_clear_pointer(&e->planned, g_hash_table_unref);
        release_builds(e);
        release_candidates(e);
        g_clear_pointer(&e->builds, g_hash_table_unref);
        g_clear_pointer(&e->candidates, g_hash_table_unref);
        g_array_unref(e->updates);
        e->updates = NULL;
}

/* The names that e touches; those that go first, so that what they give up is free. */
static GPtrArray *plan_names(Edit *e)
{
        GPtrArray *specs = g_ptr_array_new();

        for (int going = 1; going >= 0; going--)
                for (guint i = 0; i < e->diff->len; i++) {
                        const Change *c = g_ptr_array_index(e->diff, i);
                        const TargetSpec *spec = c->after ? c->after : c->before;

                        if (spec && (c->kind == CHANGE_REMOVE_TARGET) == going &&
                            g_hash_table_add(e->planned, spec->name))
                                g_ptr_array_add(specs, (gpointer)spec);
                }
        return specs;
}

int edit_plan(Edit *e, GHashTable *refused)
{
        g_autoptr(GPtrArray) specs = NULL;
        Plan p = { .e = e, .refused = refused };

        plan_begin(e);
        for (guint i = 0; i < e->diff->len; i++) {
                const Change *c = g_ptr_array_index(e->diff, i);

                p.spec = c->after ? c->after : c->before;
                if (p.spec && !is_refused(&p) && check_change(&p, c) < 0)
                        return -1;
        }
        specs = plan_names(e);
        for (guint i = 0; i < specs->len; i++) {
                p.spec = g_ptr_array_index(specs, i);
                if (is_refused(&p))
                        continue;
                if (!g_hash_table_contains(e->after->targets, p.spec->name))
                        g_hash_table_replace(e->builds, p.spec->name, NULL);
                else if (plan_target(&p) < 0)
                        return -1;
        }
        return 0;
}

/* ---- what is behind the units ---------------------------------------------------------------- */

/* What u's settings will be when e is done. */
static const LunSpec *spec_after(const Edit *e, const Unit *u)
{
        const LunSpec *spec = u->spec;

        for (guint i = 0; i < e->updates->len; i++) {
                const UnitUpdate *update = &g_array_index(e->updates, UnitUpdate, i);

                if (update->unit == u)
                        spec = update->spec;
        }
        return spec;
}

/* Two names of one thing agreed with what was; do they with what will be? */
static void edit_check_alias(const Edit *e, Unit *u)
{
        const LunSpec *real;

        if (!u->alias)
                return;
        real = spec_after(e, u->alias);
        if (!lun_specs_agree(u->spec, real))
                unit_contradicts(u, u->alias, real);
}

static int by_origin(gconstpointer a, gconstpointer b)
{
        const Origin *x = &(*(Unit *const *)a)->spec->at, *y = &(*(Unit *const *)b)->spec->at;
        int r = g_strcmp0(x->file, y->file);

        return r != 0 ? r : (x->line > y->line) - (x->line < y->line);
}

/* All that are away, so that nobody has to ask again for each. */
static int edit_fail_by_stores(Edit *e, GPtrArray *away)
{
        g_autoptr(GString) s = g_string_new(NULL);

        g_ptr_array_sort(away, by_origin);
        for (guint i = 0; i < away->len && i < AWAY_MAX; i++) {
                const Unit *u = away->pdata[i];
                const Origin *at = &u->spec->at;

                g_string_append(s, i > 0 ? "\n" : "");
                if (e->options.located && at->file)
                        g_string_append_printf(s, "%s:%u: backing-store: ", at->file, at->line);
                g_string_append(s, u->reason);
        }
        if (away->len > AWAY_MAX)
                g_string_append_printf(s, "\n... and %u more", away->len - AWAY_MAX);
        return edit_fail(e, ERROR_BACKING_STORE, "%s (use force to add %s all the same)", s->str,
                         away->len > 1 ? "them" : "it");
}

/* A person who names a file that cannot be served wants to hear so; a configuration that does keeps
 * its LUN, not ready until the file is there. */
int edit_check_stores(Edit *e)
{
        g_autoptr(GPtrArray) away = g_ptr_array_new(); /* Unit* */
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, e->candidates);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                Unit *u = value;

                edit_check_alias(e, u);
                if (u->state != UNIT_AWAY)
                        continue;
                if (e->kind == EDIT_CHANGE && !e->options.force && !e->options.absent) {
                        g_ptr_array_add(away, u);
                } else if (u->refused) {
                        edit_problem(e, problem_new(PROBLEM_ERROR, u->spec->at, NULL,
                                                    "backing-store", u->reason));
                        u->journaled = true; /* as that */
                }
        }
        return away->len > 0 ? edit_fail_by_stores(e, away) : 0;
}
