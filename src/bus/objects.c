/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/objects.h"

static ObjectRef *ref_init(BusConnection *c, ObjectKind kind)
{
        ObjectRef *ref = &c->found[kind];

        *ref = (ObjectRef){ .connection = c };
        return ref;
}

static const TargetSpec *lookup_target(BusConnection *c, const char *name)
{
        return g_hash_table_lookup(manager_desired(c->server->manager)->targets, name);
}

/* ---- from a path to what it names: 1 and *ret, 0: nothing ---- */

static int find_target(sd_bus *bus, const char *path, const char *interface, void *userdata,
                       void **ret, sd_bus_error *error)
{
        ObjectRef *ref = ref_init(userdata, OBJECT_TARGET);
        _cleanup_free_ char *name = NULL;
        int r = path_parse_target(path, &name);

        if (r <= 0)
                return r;
        ref->target = lookup_target(userdata, name);
        *ret = ref;
        return ref->target != NULL;
}

static int find_acl(sd_bus *bus, const char *path, const char *interface, void *userdata,
                    void **ret, sd_bus_error *error)
{
        ObjectRef *ref = ref_init(userdata, OBJECT_ACL);
        _cleanup_free_ char *target = NULL, *kind = NULL, *value = NULL;
        const GPtrArray *list;
        int r = path_parse_acl(path, &target, &kind, &value);

        if (r <= 0)
                return r;
        ref->target = lookup_target(userdata, target);
        if (!ref->target)
                return 0;
        if (STREQ(kind, KIND_NAME)) {
                ref->kind = KIND_NAME;
                list = ref->target->names;
        } else if (STREQ(kind, KIND_ADDRESS)) {
                ref->kind = KIND_ADDRESS;
                list = ref->target->addresses;
        } else {
                return 0;
        }
        for (guint i = 0; i < list->len; i++)
                if (STREQ(g_ptr_array_index(list, i), value)) {
                        ref->value = g_ptr_array_index(list, i);
                        *ret = ref;
                        return 1;
                }
        return 0;
}

static const AccountSpec *lookup_account(const TargetSpec *t, const char *direction,
                                         const char *user)
{
        if (STREQ(direction, DIRECTION_OUTGOING))
                return t->outgoing && STREQ(t->outgoing->user, user) ? t->outgoing : NULL;
        for (guint i = 0; i < t->incoming->len; i++) {
                const AccountSpec *a = g_ptr_array_index(t->incoming, i);

                if (STREQ(a->user, user))
                        return a;
        }
        return NULL;
}

static int find_account(sd_bus *bus, const char *path, const char *interface, void *userdata,
                        void **ret, sd_bus_error *error)
{
        ObjectRef *ref = ref_init(userdata, OBJECT_ACCOUNT);
        _cleanup_free_ char *target = NULL, *direction = NULL, *user = NULL;
        int r = path_parse_account(path, &target, &direction, &user);

        if (r <= 0)
                return r;
        ref->target = lookup_target(userdata, target);
        if (!ref->target)
                return 0;
        if (STREQ(direction, DIRECTION_INCOMING))
                ref->direction = DIRECTION_INCOMING;
        else if (STREQ(direction, DIRECTION_OUTGOING))
                ref->direction = DIRECTION_OUTGOING;
        else
                return 0;
        ref->account = lookup_account(ref->target, ref->direction, user);
        *ret = ref;
        return ref->account != NULL;
}

static int find_unit(sd_bus *bus, const char *path, const char *interface, void *userdata,
                     void **ret, sd_bus_error *error)
{
        ObjectRef *ref = ref_init(userdata, OBJECT_UNIT);
        _cleanup_free_ char *uuid = NULL;
        int r = path_parse_unit(path, &uuid);

        if (r <= 0)
                return r;
        if (manager_unit(ref->connection->server->manager, uuid, &ref->unit) < 0)
                return 0;
        *ret = ref;
        return 1;
}

static int find_session(sd_bus *bus, const char *path, const char *interface, void *userdata,
                        void **ret, sd_bus_error *error)
{
        ObjectRef *ref = ref_init(userdata, OBJECT_SESSION);
        uint64_t id;
        int r = path_parse_session(path, &id);

        if (r <= 0)
                return r;
        if (manager_session(ref->connection->server->manager, id, &ref->session) < 0)
                return 0;
        *ret = ref;
        return 1;
}

static int find_portal(sd_bus *bus, const char *path, const char *interface, void *userdata,
                       void **ret, sd_bus_error *error)
{
        ObjectRef *ref = ref_init(userdata, OBJECT_PORTAL);
        _cleanup_free_ char *address = NULL;
        PortalInfo portals[PORTALS_MAX];
        size_t n;
        int r = path_parse_portal(path, &address);

        if (r <= 0)
                return r;
        n = manager_portals(ref->connection->server->manager, portals, ELEMENTSOF(portals));
        for (size_t i = 0; i < n; i++)
                if (STREQ(portals[i].address, address)) {
                        ref->portal = portals[i];
                        *ret = ref;
                        return 1;
                }
        return 0;
}

/* ---- enumeration ---- */

/* sd-bus frees the array and its strings with free(). */
typedef struct Paths {
        char **paths;
        size_t n, size;
} Paths;

static int paths_add(Paths *p, char *path)
{
        if (!path)
                return -ENOMEM;
        if (p->n + 1 >= p->size) { /* room for the NULL at the end */
                size_t size = MAX(2 * p->size, 64u);
                char **bigger = reallocarray(p->paths, size, sizeof(*bigger));

                if (!bigger) {
                        free(path);
                        return -ENOMEM;
                }
                p->paths = bigger;
                p->size = size;
        }
        p->paths[p->n++] = path;
        p->paths[p->n] = NULL;
        return 0;
}

static int paths_return(Paths *p, int r, char ***ret)
{
        if (r < 0) {
                for (size_t i = 0; i < p->n; i++)
                        free(p->paths[i]);
                free(p->paths);
                return r;
        }
        *ret = p->paths;
        return (int)MIN(p->n, (size_t)INT_MAX);
}

static int add_acls(Paths *p, const TargetSpec *t, const char *kind, const GPtrArray *list)
{
        int r = 0;

        for (guint i = 0; r >= 0 && i < list->len; i++)
                r = paths_add(p, path_of_acl(t->name, kind, g_ptr_array_index(list, i)));
        return r;
}

static int add_below_target(Paths *p, const TargetSpec *t)
{
        int r = add_acls(p, t, KIND_NAME, t->names);

        if (r >= 0)
                r = add_acls(p, t, KIND_ADDRESS, t->addresses);
        for (guint i = 0; r >= 0 && i < t->incoming->len; i++) {
                const AccountSpec *a = g_ptr_array_index(t->incoming, i);

                r = paths_add(p, path_of_account(t->name, DIRECTION_INCOMING, a->user));
        }
        if (r >= 0 && t->outgoing)
                r = paths_add(p, path_of_account(t->name, DIRECTION_OUTGOING, t->outgoing->user));
        return r;
}

int objects_below_target(const TargetSpec *t, char ***ret)
{
        Paths p = { 0 };

        return paths_return(&p, add_below_target(&p, t), ret);
}

/* below is the object whose descendants are asked for. For the folder of targets the targets are
 * told, each of which tells its own; above it (ObjectManager) everything is wanted. */
static int enumerate_targets(sd_bus *bus, const char *below, void *userdata, char ***ret,
                             sd_bus_error *error)
{
        BusConnection *c = userdata;
        const Desired *d = manager_desired(c->server->manager);
        _cleanup_free_ char *name = NULL;
        bool folder = STREQ(below, PATH_TARGETS);
        GHashTableIter i;
        gpointer value;
        Paths p = { 0 };
        int r;

        if (g_str_has_prefix(below, PATH_TARGETS "/")) {
                const TargetSpec *t = NULL;

                r = path_parse_target(below, &name);
                if (r > 0)
                        t = lookup_target(c, name);
                return paths_return(&p, t ? add_below_target(&p, t) : MIN(r, 0), ret);
        }
        r = 0;
        g_hash_table_iter_init(&i, d->targets);
        while (r >= 0 && g_hash_table_iter_next(&i, NULL, &value)) {
                const TargetSpec *t = value;

                r = paths_add(&p, path_of_target(t->name));
                if (r >= 0 && !folder)
                        r = add_below_target(&p, t);
        }
        return paths_return(&p, r, ret);
}

/* A client that walks the tree asks each object what is below it: nothing, and to say so must not
 * cost the whole list every time. */
static bool is_leaf(const char *below, const char *folder)
{
        size_t n = strlen(folder);

        return strncmp(below, folder, n) == 0 && below[n] == '/';
}

static int enumerate_units(sd_bus *bus, const char *below, void *userdata, char ***ret,
                           sd_bus_error *error)
{
        BusConnection *c = userdata;
        size_t n = manager_n_units(c->server->manager);
        g_autofree const char **uuids = NULL;
        Paths p = { 0 };
        int r = 0;

        if (is_leaf(below, PATH_UNITS))
                return 0;
        uuids = g_new(const char *, n + 1);
        n = manager_unit_uuids(c->server->manager, NULL, uuids, n);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = paths_add(&p, path_of_unit(uuids[i]));
        return paths_return(&p, r, ret);
}

static int enumerate_sessions(sd_bus *bus, const char *below, void *userdata, char ***ret,
                              sd_bus_error *error)
{
        BusConnection *c = userdata;
        uint64_t ids[256];
        uint64_t after = 0;
        Paths p = { 0 };
        size_t n;
        int r = 0;

        if (is_leaf(below, PATH_SESSIONS))
                return 0;
        do {
                n = manager_session_ids(c->server->manager, after, ids, ELEMENTSOF(ids));
                for (size_t i = 0; r >= 0 && i < n; i++)
                        r = paths_add(&p, path_of_session(ids[i]));
                if (n > 0)
                        after = ids[n - 1];
        } while (r >= 0 && n == ELEMENTSOF(ids));
        return paths_return(&p, r, ret);
}

int objects_portals(Manager *m, char ***ret)
{
        PortalInfo portals[PORTALS_MAX];
        size_t n = manager_portals(m, portals, ELEMENTSOF(portals));
        Paths p = { 0 };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = paths_add(&p, path_of_portal(portals[i].address));
        return paths_return(&p, r, ret);
}

static int enumerate_portals(sd_bus *bus, const char *below, void *userdata, char ***ret,
                             sd_bus_error *error)
{
        BusConnection *c = userdata;

        if (is_leaf(below, PATH_PORTALS))
                return 0;
        return objects_portals(c->server->manager, ret);
}

/* ---- registration ---- */

static const struct {
        const char *prefix, *interface;
        const sd_bus_vtable *vtable;
        sd_bus_object_find_t find;
} vtables[] = {
        { PATH_TARGETS, INTERFACE_TARGET, target_vtable, find_target },
        { PATH_TARGETS, INTERFACE_ACL, acl_vtable, find_acl },
        { PATH_TARGETS, INTERFACE_ACCOUNT, account_vtable, find_account },
        { PATH_UNITS, INTERFACE_UNIT, unit_vtable, find_unit },
        { PATH_SESSIONS, INTERFACE_SESSION, session_vtable, find_session },
        { PATH_PORTALS, INTERFACE_PORTAL, portal_vtable, find_portal },
};

static const struct {
        const char *prefix;
        sd_bus_node_enumerator_t enumerate;
} enumerators[] = {
        { PATH_TARGETS, enumerate_targets },
        { PATH_UNITS, enumerate_units },
        { PATH_SESSIONS, enumerate_sessions },
        { PATH_PORTALS, enumerate_portals },
};

int objects_add(BusConnection *c)
{
        int r;

        r = sd_bus_add_object_manager(c->bus, NULL, BUS_ROOT);
        if (r >= 0)
                r = sd_bus_add_object_vtable(c->bus, NULL, BUS_ROOT, INTERFACE_MANAGER,
                                             manager_vtable, ref_init(c, OBJECT_MANAGER));
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(vtables); i++)
                r = sd_bus_add_fallback_vtable(c->bus, NULL, vtables[i].prefix,
                                               vtables[i].interface, vtables[i].vtable,
                                               vtables[i].find, c);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(enumerators); i++)
                r = sd_bus_add_node_enumerator(c->bus, NULL, enumerators[i].prefix,
                                               enumerators[i].enumerate, c);
        if (r >= 0)
                r = sd_bus_add_filter(c->bus, NULL, session_refresh, c);
        return r;
}
