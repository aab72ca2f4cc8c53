/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>

#define PORTAL_GROUP 1

Target *target_new(const char *name, uint32_t tid)
{
        Target *t = g_new0(Target, 1);

        t->name = g_strdup(name);
        t->tid = tid;
        return t;
}

Target *target_free(Target *t)
{
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->n_maps; i++)
                unit_release(t->maps[i].unit);
        iscsi_target_unref(t->iscsi);
        if (t->throttles)
                g_array_unref(t->throttles);
        g_free(t->maps);
        g_free(t->name);
        g_free(t);
        return NULL;
}

/* ---- what a target of the desired state is to the workers ------------------------------------ */

typedef struct TargetParts {
        IscsiTargetConfig config;
        IscsiAccount *incoming, outgoing;
        AddrPrefix *addresses;
        IscsiThrottle *throttles;
} TargetParts;

static void target_parts_clear(TargetParts *p)
{
        /* secrets do not stay behind in freed memory */
        if (p->incoming)
                explicit_bzero(p->incoming, p->config.n_incoming * sizeof(IscsiAccount));
        explicit_bzero(&p->outgoing, sizeof(p->outgoing));
        g_free(p->incoming);
        g_free(p->addresses);
        g_free(p->throttles);
}

static int no_credential(const AccountSpec *spec, const char *why, char *reterr, size_t size)
{
        return snprintf(reterr, size, "the secret of \"%s\": credential %s %s", spec->user,
                        spec->credential, why),
               -EINVAL;
}

/* What the service manager passed (systemd.exec(5), CREDENTIALS_DIRECTORY): the first line. It is
 * in memory, so reading it does not wait. */
static int read_credential(const AccountSpec *spec, char *ret, size_t ret_size, char *reterr,
                           size_t size)
{
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        g_autofree char *path =
                directory ? g_build_filename(directory, spec->credential, NULL) : NULL;
        _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -ENOENT;
        ssize_t n;

        if (!path)
                return no_credential(spec,
                                     "was not passed: LoadCredential= in tgtd.service names "
                                     "none",
                                     reterr, size);
        if (fd < 0)
                return no_credential(spec, strerror(errno), reterr, size);
        n = read(fd, ret, ret_size);
        if (n < 0)
                return no_credential(spec, strerror(errno), reterr, size);
        for (ssize_t i = 0; i < n; i++)
                if (ret[i] == '\n' || ret[i] == '\0')
                        n = i;
        if (n == 0 || (size_t)n >= ret_size)
                return no_credential(spec, n == 0 ? "is empty" : "is too long", reterr, size);
        ret[n] = '\0';
        return 0;
}

static int account_make(const AccountSpec *spec, IscsiAccount *ret, char *reterr, size_t size)
{
        if (strlen(spec->user) >= sizeof(ret->user) || strlen(spec->secret) >= sizeof(ret->secret))
                return snprintf(reterr, size, "user name or secret is longer than %zu bytes",
                                sizeof(ret->user) - 1),
                       -EINVAL;
        g_strlcpy(ret->user, spec->user, sizeof(ret->user));
        if (spec->credential)
                return read_credential(spec, ret->secret, sizeof(ret->secret), reterr, size);
        g_strlcpy(ret->secret, spec->secret, sizeof(ret->secret));
        return 0;
}

/* Discovery asks for an account as long as the configuration names one; where its secret is not to
 * be had, nobody can have it. */
static int account_make_or_close(const AccountSpec *spec, IscsiAccount *ret, char *reterr,
                                 size_t size)
{
        uint8_t secret[32];

        if (account_make(spec, ret, reterr, size) >= 0)
                return 0;
        if (!spec->credential || getrandom(secret, sizeof(secret), 0) != sizeof(secret))
                return -EINVAL;
        log_error("Discovery is closed to \"%s\": %s", spec->user, reterr);
        for (size_t i = 0; i < sizeof(secret); i++)
                snprintf(ret->secret + 2 * i, 3, "%02x", secret[i]);
        explicit_bzero(secret, sizeof(secret));
        return 0;
}

typedef int AccountMake(const AccountSpec *spec, IscsiAccount *ret, char *reterr, size_t size);

static int accounts_make(const GPtrArray *specs, AccountMake *make, IscsiAccount **ret,
                         size_t *ret_n, char *reterr, size_t size)
{
        *ret_n = specs->len;
        *ret = specs->len > 0 ? g_new0(IscsiAccount, specs->len) : NULL;
        for (guint i = 0; i < specs->len; i++) {
                int r = make(g_ptr_array_index(specs, i), &(*ret)[i], reterr, size);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int acl_make(const TargetSpec *spec, TargetParts *p, char *reterr, size_t size)
{
        IscsiAcl *acl = &p->config.acl;
        guint n = spec->addresses->len;

        p->addresses = g_new0(AddrPrefix, MAX(n, 1U));
        acl->addresses = p->addresses;
        /* as in stgt: who writes no rule at all admits everybody */
        if (!spec->access_given) {
                p->addresses[0] = (AddrPrefix){ .family = AF_UNSPEC };
                acl->n_addresses = 1;
                return 0;
        }
        for (guint i = 0; i < n; i++) {
                const char *text = g_ptr_array_index(spec->addresses, i);

                if (addr_prefix_parse(text, &p->addresses[i]) < 0)
                        return snprintf(reterr, size,
                                        "initiator-address %s: expected an address, a prefix or "
                                        "ALL",
                                        text),
                               -EINVAL;
        }
        acl->n_addresses = n;
        acl->names = (char **)spec->names->pdata;
        acl->n_names = spec->names->len;
        return 0;
}

static int params_make(const TargetSpec *spec, IscsiParams *ret, char *reterr, size_t size)
{
        iscsi_params_default(ret);
        for (guint i = 0; i < spec->params->len; i++) {
                const ConfigParam *p = g_ptr_array_index(spec->params, i);
                int r = iscsi_params_set(ret, p->name, p->value, reterr, size);

                if (r == -ENOENT)
                        return snprintf(reterr, size, "%s: there is no such parameter", p->name),
                               -EINVAL;
                if (r < 0)
                        return -EINVAL;
        }
        return 0;
}

static int parts_make(const TargetSpec *spec, TargetParts *p, char *reterr, size_t size)
{
        int r;

        p->config.name = spec->name;
        p->config.alias = spec->alias;
        p->config.tpgt = PORTAL_GROUP;
        p->config.online = spec->online;
        r = params_make(spec, &p->config.params, reterr, size);
        if (r < 0)
                return r;
        r = acl_make(spec, p, reterr, size);
        if (r < 0)
                return r;
        r = accounts_make(spec->incoming, account_make, &p->incoming, &p->config.n_incoming, reterr,
                          size);
        if (r < 0)
                return r;
        p->config.incoming = p->incoming;
        if (spec->outgoing) {
                r = account_make(spec->outgoing, &p->outgoing, reterr, size);
                if (r < 0)
                        return r;
                p->config.outgoing = &p->outgoing;
        }
        return 0;
}

int target_check(const TargetSpec *spec, char *reterr, size_t size)
{
        TargetParts parts = { 0 };
        int r;

        if (spec->driver && !STREQ(spec->driver, "iscsi"))
                return snprintf(reterr, size, "driver %s is not supported yet", spec->driver),
                       -EINVAL;
        r = parts_make(spec, &parts, reterr, size);
        target_parts_clear(&parts);
        return r;
}

static int luns_build(const Target *t, LunMap **ret)
{
        LunMapEntry *entries = g_new0(LunMapEntry, MAX(t->n_maps, (size_t)1));
        int r = 0;

        for (size_t i = 0; i < t->n_maps && r >= 0; i++) {
                Unit *u = unit_resolve(t->maps[i].unit);

                r = unit_need_lu(u);
                entries[i] = (LunMapEntry){ .lun = t->maps[i].lun, .lu = u->lu };
        }
        if (r >= 0)
                r = lun_map_new(entries, t->n_maps, ret);
        g_free(entries);
        return r;
}

static int compare_mappings(const void *a, const void *b)
{
        return (int)((const Mapping *)a)->lun - (int)((const Mapping *)b)->lun;
}

static bool has_mapping(const Target *t, const Mapping *mapping)
{
        const Mapping *found =
                t ? bsearch(mapping, t->maps, t->n_maps, sizeof(*mapping), compare_mappings) : NULL;

        return found && found->unit == mapping->unit;
}

void target_own_units(Target *t, const Target *other, bool own)
{
        for (size_t i = 0; i < t->n_maps; i++) {
                const Mapping *mapping = &t->maps[i];

                (own ? unit_own : unit_disown)(mapping->unit, t, mapping->lun);
                if (!has_mapping(other, mapping))
                        unit_mappings_changed(mapping->unit);
        }
}

int target_build(Manager *m, Target *t, const TargetSpec *spec)
{
        TargetParts parts = { 0 };
        IscsiTarget *built = NULL;
        GArray *throttles = NULL;
        char text[256];
        int r;

        r = parts_make(spec, &parts, text, sizeof(text));
        parts.config.id = t->tid;
        if (r >= 0)
                r = target_throttles_make(m, spec, &throttles);
        if (r >= 0) {
                parts.throttles = target_throttles_config(throttles);
                parts.config.throttles = parts.throttles;
                parts.config.n_throttles = throttles->len;
                r = luns_build(t, &parts.config.luns);
        }
        if (r >= 0)
                r = iscsi_target_new(&parts.config, &built);
        lun_map_unref(parts.config.luns);
        target_parts_clear(&parts);
        if (r < 0) {
                if (throttles)
                        g_array_unref(throttles);
                return r;
        }
        iscsi_target_unref(t->iscsi);
        t->iscsi = built;
        if (t->throttles)
                g_array_unref(t->throttles);
        t->throttles = throttles;
        return 0;
}

/* ---- the map --------------------------------------------------------------------------------- */

/* What differs from the map that is published. */
typedef struct MapParts {
        GPtrArray *targets, *removed;
} MapParts;

static void parts_collect(MapParts *p, GHashTable *over)
{
        GHashTableIter iter;
        gpointer name, value;

        p->targets = g_ptr_array_new();
        p->removed = g_ptr_array_new();
        g_hash_table_iter_init(&iter, over);
        while (g_hash_table_iter_next(&iter, &name, &value))
                if (value)
                        g_ptr_array_add(p->targets, ((Target *)value)->iscsi);
                else
                        g_ptr_array_add(p->removed, name);
}

static IscsiPortalConfig *portals_collect(const Manager *m)
{
        IscsiPortalConfig *all = g_new0(IscsiPortalConfig, MAX(m->portals->len, 1U));

        for (guint i = 0; i < m->portals->len; i++)
                all[i] = (IscsiPortalConfig){
                        .address = g_array_index(m->portals, Portal, i).address,
                        .tpgt = PORTAL_GROUP,
                };
        return all;
}

static int targets_map(Manager *m, GHashTable *over, const Desired *d, IscsiMap **ret)
{
        g_autofree IscsiPortalConfig *portals = portals_collect(m);
        IscsiAccount *incoming = NULL, outgoing = { 0 };
        MapParts parts;
        IscsiMapConfig config = {
                .generation = m->generation + 1,
                .base = m->map,
                .portals = portals,
                .n_portals = m->portals->len,
        };
        char text[256];
        int r;

        parts_collect(&parts, over);
        config.targets = (IscsiTarget *const *)parts.targets->pdata;
        config.n_targets = parts.targets->len;
        config.removed = (const char *const *)parts.removed->pdata;
        config.n_removed = parts.removed->len;
        r = accounts_make(d->discovery_incoming, account_make_or_close, &incoming,
                          &config.n_discovery_incoming, text, sizeof(text));
        config.discovery_incoming = incoming;
        if (r >= 0 && d->discovery_outgoing) {
                r = account_make_or_close(d->discovery_outgoing, &outgoing, text, sizeof(text));
                config.discovery_outgoing = &outgoing;
        }
        if (r >= 0)
                r = iscsi_map_new(&config, ret);
        g_ptr_array_unref(parts.targets);
        g_ptr_array_unref(parts.removed);
        if (incoming)
                explicit_bzero(incoming, d->discovery_incoming->len * sizeof(*incoming));
        explicit_bzero(&outgoing, sizeof(outgoing));
        g_free(incoming);
        return r;
}

int targets_publish(Manager *m, GHashTable *over, const Desired *d, EngineDone *done,
                    void *userdata)
{
        IscsiMap *map = NULL;
        int r = targets_map(m, over, d, &map);

        if (r >= 0)
                r = engine_publish(m->engine, map, done, userdata);
        if (r >= 0)
                SWAP(m->map, map); /* the next one is made of it */
        iscsi_map_unref(map);
        return r;
}
