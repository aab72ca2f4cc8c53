/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/change.h"
#include "ctl/connection.h"
#include "ctl/offline.h"

#define NOT_RUNNING "not-running"

json_t *problems_from_config(const GPtrArray *problems)
{
        json_t *list = json_array();

        for (guint i = 0; problems && i < problems->len; i++) {
                const Problem *p = g_ptr_array_index(problems, i);

                (void)json_array_append_new(
                        list, json_pack("{s:s, s:i, s:s, s:s, s:s, s:s}", "File",
                                        p->at.file ? p->at.file : "", "Line", (int)p->at.line,
                                        "Level", p->level == PROBLEM_ERROR ? "error" : "warning",
                                        "Target", p->target ? p->target : "", "Directive",
                                        p->directive ? p->directive : "", "Text", p->text));
        }
        return list;
}

void offline_paths(const Ctl *c, ConfigPaths *ret)
{
        const char *state = c->options.state_dir;
        g_autofree char *runtime = state ? g_build_filename(state, "run", NULL) : NULL;

        config_paths_default(ret, c->options.config_dir, state, runtime);
}

void offline_load(Ctl *c, Desired **ret)
{
        g_autoptr(GPtrArray) problems = NULL;
        g_autoptr(GHashTable) bad = NULL;
        _cleanup_json_ json_t *list = NULL;
        ConfigPaths paths = { NULL };
        int r;

        (void)ctl_fail(c, EXIT_CODE_NOT_RUNNING, "%s", c->connect_why);
        *ret = NULL;
        offline_paths(c, &paths);
        r = config_load(&paths, NULL, ret, &bad, &problems);
        config_paths_clear(&paths);
        if (r < 0) {
                *ret = NULL;
                (void)ctl_fail(c, EXIT_CODE_FAILURE, "The configuration cannot be read either: %s.",
                               g_strerror(-r));
                return;
        }
        list = problems_from_config(problems);
        tell_problems(c, list);
        ctl_note(c, "This is what is configured:");
}

/* In the order of their names, as the daemon lists them. */
static GList *sorted_names(const Desired *d)
{
        return g_list_sort(g_hash_table_get_keys(d->targets), (GCompareFunc)strcmp);
}

static json_t *each_target(const Desired *d, void (*append)(json_t *list, const TargetSpec *t))
{
        g_autoptr(GList) names = sorted_names(d);
        json_t *list = json_array();

        for (GList *n = names; n; n = n->next)
                append(list, g_hash_table_lookup(d->targets, n->data));
        return list;
}

static void append_target(json_t *list, const TargetSpec *t)
{
        json_t *target = json_pack("{s:s, s:s, s:i, s:i}", "Name", t->name, "State", NOT_RUNNING,
                                   "NLogicalUnits", (int)t->luns->len, "NSessions", 0);

        if (t->tid > 0)
                (void)json_object_set_new(target, "Tid", json_integer(t->tid));
        (void)json_array_append_new(list, target);
}

json_t *offline_targets(const Desired *d)
{
        return each_target(d, append_target);
}

static json_t *limits_object(const LimitSpec *l)
{
        json_t *limits = json_object();

        for (size_t i = 0; i < n_limit_fields(); i++) {
                const LimitField *f = &limit_fields()[i];
                uint64_t v = limit_value(l, f);

                if (v != 0)
                        (void)json_object_set_new(limits, f->property, json_integer((json_int_t)v));
        }
        return limits;
}

static json_t *initiator_limits(const TargetSpec *t)
{
        json_t *all = json_object();

        for (guint i = 0; i < t->limits->len; i++) {
                const InitiatorLimit *l = g_ptr_array_index(t->limits, i);

                (void)json_object_set_new(all, l->initiator, limits_object(&l->limits));
        }
        return all;
}

static json_t *lun_object(const LunSpec *l)
{
        return json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:i, s:b, s:b, s:b, s:o}", "Lun",
                         (int)l->lun, "Type", l->device_type ? l->device_type : "disk", "StoreType",
                         l->bs_type ? l->bs_type : "rdwr", "Path", l->path ? l->path : "", "State",
                         NOT_RUNNING, "Size", (json_int_t)l->size, "BlockSize", (int)l->block_size,
                         "Readonly", l->readonly, "Thin", l->thin, "WriteCache", l->write_cache,
                         "Limits", limits_object(&l->limits));
}

static void append_luns(json_t *list, const TargetSpec *t)
{
        for (guint i = 0; i < t->luns->len; i++) {
                json_t *lun = lun_object(g_ptr_array_index(t->luns, i));

                (void)json_object_set_new(lun, "Target", json_string(t->name));
                (void)json_array_append_new(list, lun);
        }
}

json_t *offline_luns(const Desired *d)
{
        return each_target(d, append_luns);
}

json_t *offline_portals(const Desired *d)
{
        json_t *list = json_array();

        for (guint i = 0; i < d->portals->len; i++) {
                const PortalSpec *p = g_ptr_array_index(d->portals, i);

                (void)json_array_append_new(
                        list, json_pack("{s:s, s:s}", "Address", p->address, "Source", "fragment"));
        }
        return list;
}

static void append_account(json_t *list, const char *target, const AccountSpec *a,
                           const char *direction)
{
        if (a)
                (void)json_array_append_new(list,
                                            json_pack("{s:s, s:s, s:s}", "Target", target, "User",
                                                      a->user, "Direction", direction));
}

static void append_accounts(json_t *list, const TargetSpec *t)
{
        for (guint i = 0; i < t->incoming->len; i++)
                append_account(list, t->name, g_ptr_array_index(t->incoming, i), "incoming");
        append_account(list, t->name, t->outgoing, "outgoing");
}

json_t *offline_accounts(const Desired *d)
{
        _cleanup_json_ json_t *targets = each_target(d, append_accounts);
        json_t *list = json_array();

        for (guint i = 0; i < d->discovery_incoming->len; i++)
                append_account(list, "", g_ptr_array_index(d->discovery_incoming, i), "incoming");
        append_account(list, "", d->discovery_outgoing, "outgoing");
        (void)json_array_extend(list, targets);
        for (guint i = 0; i < d->accounts->len; i++)
                append_account(list, "", g_ptr_array_index(d->accounts, i), "unbound");
        return list;
}

static void append_access(json_t *list, const char *kind, const GPtrArray *values)
{
        for (guint i = 0; i < values->len; i++)
                (void)json_array_append_new(list, json_pack("{s:s, s:s}", "Kind", kind, "Value",
                                                            (char *)g_ptr_array_index(values, i)));
}

json_t *offline_target(const TargetSpec *t)
{
        static const char *const persistence[] = { [TARGET_FRAGMENT] = "fragment",
                                                   [TARGET_SAVED] = "saved",
                                                   [TARGET_RUNTIME] = "runtime",
                                                   [TARGET_TRANSIENT] = "transient" };
        json_t *luns = json_array(), *acls = json_array(), *accounts = json_array();

        for (guint i = 0; i < t->luns->len; i++)
                (void)json_array_append_new(luns, lun_object(g_ptr_array_index(t->luns, i)));
        append_access(acls, "initiator-name", t->names);
        append_access(acls, "initiator-address", t->addresses);
        append_accounts(accounts, t);
        return json_pack("{s:s, s:s, s:i, s:s, s:s, s:{s:s, s:i}, s:o, s:s, s:o, s:o, s:i, s:o}",
                         "Name", t->name, "Alias", t->alias ? t->alias : "", "Tid", (int)t->tid,
                         "State", NOT_RUNNING, "Persistence", persistence[t->persistence], "Source",
                         "File", t->at.file ? t->at.file : "", "Line", (int)t->at.line,
                         "LogicalUnits", luns, "Access", target_spec_access(t), "Acls", acls,
                         "Accounts", accounts, "NSessions", 0, "InitiatorLimits",
                         initiator_limits(t));
}

const TargetSpec *offline_find(const Desired *d, const char *name)
{
        const TargetSpec *t = g_hash_table_lookup(d->targets, name), *found = NULL;
        GHashTableIter iter;
        gpointer value;

        if (t)
                return t;
        g_hash_table_iter_init(&iter, d->targets);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const TargetSpec *other = value;
                const char *colon = strchr(other->name, ':');

                if (!colon || !STREQ(colon + 1, name))
                        continue;
                if (found)
                        return NULL;
                found = other;
        }
        return found;
}
