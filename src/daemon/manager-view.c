/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <stdio.h>
#include <stdlib.h>

/* Paths that hold disks on any system; what an administrator adds is in the configuration. */
static const char *const trusted_directories[] = { "/var/lib/tgt", "/srv", "/var/lib/iscsi", NULL };

static bool is_below(const char *path, const char *folder)
{
        size_t n = strlen(folder);

        while (n > 0 && folder[n - 1] == '/')
                n--;
        return strncmp(path, folder, n) == 0 && path[n] == '/';
}

bool manager_path_is_trusted(const Manager *m, const char *path)
{
        const GPtrArray *folders = m->desired->backing_directories;

        /* a path that climbs is below nothing */
        if (path[0] != '/' || strstr(path, "/../") || g_str_has_suffix(path, "/.."))
                return false;
        for (const char *const *folder = trusted_directories; *folder; folder++)
                if (is_below(path, *folder))
                        return true;
        for (guint i = 0; i < folders->len; i++)
                if (is_below(path, g_ptr_array_index(folders, i)))
                        return true;
        return false;
}

static int check_param(const char *name, const char *value, char *reterr, size_t size)
{
        IscsiParams params;

        iscsi_params_default(&params);
        return iscsi_params_set(&params, name, value, reterr, size);
}

ConfigCheckParam *manager_check_param(void)
{
        return check_param;
}

const char *const *manager_store_types(const Manager *m)
{
        static const char *names[32];

        if (!names[0]) {
                const StoreType *type = store_types();

                for (size_t i = 0; type[i].name && i < ELEMENTSOF(names) - 1; i++)
                        names[i] = type[i].name;
        }
        return names;
}

GPtrArray *manager_target_params(const Manager *m, const TargetSpec *t)
{
        GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
        char value[256], error[256];
        IscsiParams params;
        const char *name;

        iscsi_params_default(&params);
        for (guint i = 0; i < t->params->len; i++) {
                const ConfigParam *p = g_ptr_array_index(t->params, i);

                (void)iscsi_params_set(&params, p->name, p->value, error, sizeof(error));
        }
        for (size_t i = 0; (name = iscsi_params_get(&params, i, value, sizeof(value))); i++) {
                g_ptr_array_add(list, g_strdup(name));
                g_ptr_array_add(list, g_strdup(value));
        }
        return list;
}

uint32_t manager_target_tid(const Manager *m, const char *target)
{
        const Target *t = g_hash_table_lookup(m->targets, target);

        return t ? t->tid : 0;
}

const char *manager_target_of_tid(const Manager *m, uint32_t tid)
{
        const Target *t = g_hash_table_lookup(m->tids, GUINT_TO_POINTER(tid));

        return t ? t->name : NULL;
}

/* ---- units ----------------------------------------------------------------------------------- */

size_t manager_n_units(const Manager *m)
{
        return g_hash_table_size(m->units);
}

/* Strings behind after (NULL: all), at most max. */
static size_t page_of(GTree *order, const char *after, const char **ret, size_t max)
{
        GTreeNode *node = after ? g_tree_upper_bound(order, after) : g_tree_node_first(order);
        size_t n = 0;

        for (; node && n < max; node = g_tree_node_next(node))
                ret[n++] = g_tree_node_key(node);
        return n;
}

size_t manager_unit_uuids(Manager *m, const char *after, const char **ret, size_t max)
{
        return page_of(m->unit_order, after, ret, max);
}

size_t manager_target_names(Manager *m, const char *after, const char **ret, size_t max)
{
        return page_of(m->target_order, after, ret, max);
}

static const char *state_reason(const Unit *u)
{
        if (u->reason)
                return u->reason;
        if (lun_spec_is_empty(u->spec))
                return "there is no medium in it";
        return u->spec->online ? "" : "it is set offline";
}

static const char *state_name(const Unit *u)
{
        switch (u->state) {
        case UNIT_READY:
                return u->spec->online && u->store ? "ready" : "not-ready";
        case UNIT_AWAY:
                return "not-ready";
        default:
                return "opening";
        }
}

int manager_unit(Manager *m, const char *uuid, UnitInfo *ret)
{
        Unit *u = g_hash_table_lookup(m->units, uuid);
        LuStats stats = { 0 };
        unsigned flags = 0;
        LuConfig config;

        if (!u)
                return -ENOENT;
        unit_lu_config(u, &config); /* not what u->lu was made with: settings change in place */
        if (u->lu) {
                lu_stats(u->lu, &stats);
                flags = lu_flags(u->lu);
        }
        for (size_t i = 0; i < sizeof(u->identity.naa); i++)
                snprintf(u->naa_text + 2 * i, 3, "%02x", u->identity.naa[i]);
        *ret = (UnitInfo){
                .uuid = u->uuid,
                .state = state_name(u),
                .reason = state_reason(u),
                .spec = u->spec,
                .size = u->lu ? lu_size(u->lu) : 0,
                .block_size = config.block_size,
                .readonly = config.readonly,
                .prevented = flags & LU_PREVENTED,
                .write_protected = flags & LU_WRITE_PROTECTED,
                .scsi_id = u->identity.scsi_id,
                .serial = u->identity.serial,
                .vendor = u->identity.vendor,
                .product = u->identity.product,
                .revision = u->identity.revision,
                .naa = u->naa_text,
                .reads = stats.reads,
                .writes = stats.writes,
                .others = stats.others,
                .read_bytes = stats.read_bytes,
                .write_bytes = stats.write_bytes,
                .errors = stats.errors,
                .in_flight = stats.in_flight,
                .ghosts = stats.ghosts,
                .throttled = stats.throttled,
                .throttled_usec = stats.throttled_ns / NSEC_PER_USEC,
        };
        operation_info(m, u, &ret->operation);
        return 0;
}

static size_t add_owners(const Unit *u, UnitMapping *ret, size_t n, size_t max)
{
        for (guint i = 0; u->owners && i < u->owners->len; i++, n++) {
                const UnitOwner *owner = &g_array_index(u->owners, UnitOwner, i);

                if (n < max)
                        ret[n] = (UnitMapping){ owner->target->name, owner->lun };
        }
        return n;
}

size_t manager_unit_mappings(Manager *m, const char *uuid, UnitMapping *ret, size_t max)
{
        const Unit *u = g_hash_table_lookup(m->units, uuid);
        size_t n;

        if (!u)
                return 0;
        n = add_owners(u, ret, 0, max);
        for (guint i = 0; u->aliases && i < u->aliases->len; i++)
                n = add_owners(g_ptr_array_index(u->aliases, i), ret, n, max);
        return n;
}

const char *manager_unit_of(Manager *m, const char *target, uint16_t lun)
{
        const Target *t = g_hash_table_lookup(m->targets, target);

        for (size_t i = 0; t && i < t->n_maps; i++)
                if (t->maps[i].lun == lun)
                        return unit_resolve(t->maps[i].unit)->uuid;
        return NULL;
}

/* ---- doing something to one unit or session -------------------------------------------------- */

struct Action {
        Manager *manager;
        uid_t uid;
        char *name, *what;
        EditDone *done;
        void *userdata;
        GDestroyNotify destroy;
};

Action *action_new(Manager *m, const Caller *caller, EditDone *done, void *userdata,
                   GDestroyNotify destroy, char *what)
{
        Action *a = g_new0(Action, 1);

        a->manager = m;
        a->uid = caller->uid;
        a->name = g_strdup(caller->name);
        a->what = what;
        a->done = done;
        a->userdata = userdata;
        a->destroy = destroy;
        return a;
}

void action_over(Action *a, const char *error, const char *text)
{
        EditResult result = { .generation = a->manager->generation };
        char uid[16];

        result.changes = g_ptr_array_new();
        result.problems = g_ptr_array_new();
        snprintf(uid, sizeof(uid), "%u", (unsigned)a->uid);
        if (error)
                bus_error_set(&result.error, error, "%s", text);
        else if (a->what)
                log_send(LOG_NOTICE, MSG_CHANGED,
                         LOG_FIELDS({ "CALLER_UID", uid }, { "CALLER_NAME", a->name },
                                    { "CHANGE", a->what }),
                         "Changed: %s (%s, uid %s)", a->what, a->name ? a->name : "", uid);
        if (a->done)
                a->done(&result, a->userdata);
        if (a->destroy)
                a->destroy(a->userdata);
        bus_error_clear(&result.error);
        g_ptr_array_unref(result.changes);
        g_ptr_array_unref(result.problems);
        g_free(a->name);
        g_free(a->what);
        g_free(a);
}

static void on_unit_job(int r, const char *text, void *userdata)
{
        if (r < 0)
                action_over(userdata, r == -EINVAL ? ERROR_INVALID : ERROR_BACKING_STORE,
                            text && *text ? text : strerror(-r));
        else
                action_over(userdata, NULL, NULL);
}

static void action_begun(Action *a, const Unit *u, int r)
{
        if (r >= 0)
                return;
        if (!u->store)
                action_over(a, ERROR_BACKING_STORE, u->reason ? u->reason : "It is not open");
        else
                action_over(a, ERROR_IN_USE, "Its store is being looked at; try again");
}

void manager_unit_configure(Manager *m, const Caller *caller, const char *uuid, const char *options,
                            EditDone *done, void *userdata, GDestroyNotify destroy)
{
        Unit *u = g_hash_table_lookup(m->units, uuid);
        Action *a = action_new(m, caller, done, userdata, destroy,
                               g_strdup_printf("~ unit %s: store options %s", uuid, options));

        if (!u)
                action_over(a, ERROR_NOT_FOUND, "There is no such unit");
        else
                action_begun(a, u, unit_configure(u, options, on_unit_job, a));
}

void manager_unit_refresh(Manager *m, const Caller *caller, const char *uuid, EditDone *done,
                          void *userdata, GDestroyNotify destroy)
{
        Unit *u = g_hash_table_lookup(m->units, uuid);
        Action *a = action_new(m, caller, done, userdata, destroy, NULL);

        if (!u)
                action_over(a, ERROR_NOT_FOUND, "There is no such unit");
        else if (!u->store && !u->job) {
                unit_start(u); /* the attempt's outcome shows in the unit's state */
                action_over(a, NULL, NULL);
        } else
                action_begun(a, u, unit_refresh(u, on_unit_job, a));
}

/* ---- the process itself ---------------------------------------------------------------------- */

bool manager_is_offline(const Manager *m)
{
        return m->offline;
}

void manager_set_offline(Manager *m, const Caller *caller, bool offline)
{
        if (offline == m->offline)
                return;
        m->offline = offline;
        engine_refuse(m->engine, offline);
        manager_touch(m);
        action_over(action_new(m, caller, NULL, NULL, NULL,
                               g_strdup_printf("~ daemon: %s",
                                               offline ? "ready -> offline" : "offline -> ready")),
                    NULL, NULL);
}

bool manager_is_debugging(const Manager *m)
{
        return log_max_level() >= LOG_DEBUG;
}

void manager_set_debugging(Manager *m, const Caller *caller, bool debugging)
{
        if (debugging == manager_is_debugging(m))
                return;
        /* started with --debug, it goes back to what is usual */
        manager_touch(m);
        log_set_max_level(debugging ? LOG_DEBUG : MIN(m->log_level, LOG_INFO));
        action_over(action_new(m, caller, NULL, NULL, NULL,
                               g_strdup_printf("~ daemon: debug %s",
                                               debugging ? "off -> on" : "on -> off")),
                    NULL, NULL);
}

const char *manager_targets_conf(const Manager *m)
{
        return m->paths.targets_conf;
}

void manager_quit(Manager *m, const Caller *caller)
{
        action_over(action_new(m, caller, NULL, NULL, NULL, g_strdup("- daemon")), NULL, NULL);
        if (m->quit)
                m->quit(m->changed_userdata);
}

static void on_session_ended(void *userdata, int r)
{
        if (r == -ENOENT)
                action_over(userdata, ERROR_NOT_FOUND, "There is no such session");
        else if (r < 0)
                action_over(userdata, ERROR_FAILED, strerror(-r));
        else
                action_over(userdata, NULL, NULL);
}

void manager_end_session(Manager *m, const Caller *caller, uint64_t id, EditDone *done,
                         void *userdata, GDestroyNotify destroy)
{
        const SessionRow *row = g_tree_lookup(m->sessions, &id);
        Action *a = action_new(m, caller, done, userdata, destroy,
                               g_strdup_printf("- session %" G_GUINT64_FORMAT " of %s", id,
                                               row ? row->initiator : "nobody"));
        int r = engine_end_session(m->engine, id, on_session_ended, a);

        if (r < 0)
                on_session_ended(a, r);
}
