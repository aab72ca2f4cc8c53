/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iscsi/session.h"

/* What workers know of targets: made whole, then only read; the last reference frees. */

DEFINE_CLEANUP(IscsiTarget *, iscsi_target_unref);
DEFINE_CLEANUP(IscsiMap *, iscsi_map_unref);

static char *dup_lower(const char *s)
{
        char *copy = strdup(s);

        for (char *p = copy; p && *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p = (char)(*p - 'A' + 'a');
        return copy;
}

/* n elements of size; NULL and true for none. */
static bool dup_array(void *array, size_t n, size_t size, void *ret)
{
        void *copy = NULL;

        if (n > 0) {
                copy = calloc(n, size);
                if (!copy)
                        return false;
                memcpy(copy, array, n * size);
        }
        memcpy(ret, &copy, sizeof(copy));
        return true;
}

static void accounts_free(IscsiAccount *accounts, size_t n)
{
        if (!accounts)
                return;
        explicit_bzero(accounts, n * sizeof(*accounts));
        free(accounts);
}

static bool acl_copy(const IscsiAcl *from, IscsiAcl *ret)
{
        if (!dup_array(from->addresses, from->n_addresses, sizeof(*from->addresses),
                       &ret->addresses))
                return false;
        ret->n_addresses = from->n_addresses;
        if (from->n_names == 0)
                return true;
        ret->names = calloc(from->n_names, sizeof(*ret->names));
        if (!ret->names)
                return false;
        for (size_t i = 0; i < from->n_names; i++) {
                bool all = STREQ(from->names[i], "ALL") || STREQ(from->names[i], "NONE");

                ret->names[i] = all ? strdup(from->names[i]) : dup_lower(from->names[i]);
                if (!ret->names[i])
                        return false;
                ret->n_names++;
        }
        return true;
}

static void acl_done(IscsiAcl *acl)
{
        for (size_t i = 0; i < acl->n_names; i++)
                free(acl->names[i]);
        free(acl->names);
        free(acl->addresses);
}

static bool throttles_copy(const IscsiTargetConfig *config, IscsiTarget *t)
{
        if (config->n_throttles == 0)
                return true;
        t->throttles = calloc(config->n_throttles, sizeof(*t->throttles));
        if (!t->throttles)
                return false;
        for (; t->n_throttles < config->n_throttles; t->n_throttles++) {
                const IscsiThrottle *from = &config->throttles[t->n_throttles];
                IscsiThrottle *to = &t->throttles[t->n_throttles];

                *to = (IscsiThrottle){ .address = from->address };
                if (from->name) {
                        to->name = dup_lower(from->name);
                        if (!to->name)
                                return false;
                }
                to->throttle = throttle_ref(from->throttle);
        }
        return true;
}

static void throttles_done(IscsiTarget *t)
{
        for (size_t i = 0; i < t->n_throttles; i++) {
                free(t->throttles[i].name);
                throttle_unref(t->throttles[i].throttle);
        }
        free(t->throttles);
}

int iscsi_target_new(const IscsiTargetConfig *config, IscsiTarget **ret)
{
        _cleanup_(iscsi_target_unrefp) IscsiTarget *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        t->ref = 1;
        t->tpgt = config->tpgt;
        t->id = config->id;
        t->online = config->online;
        t->params = config->params;
        t->luns = lun_map_ref(config->luns);
        t->name = dup_lower(config->name);
        if (!t->name)
                return -ENOMEM;
        if (config->alias && config->alias[0]) {
                t->alias = strdup(config->alias);
                if (!t->alias)
                        return -ENOMEM;
        }
        if (!acl_copy(&config->acl, &t->acl) || !throttles_copy(config, t) ||
            !dup_array((void *)config->incoming, config->n_incoming, sizeof(*config->incoming),
                       &t->incoming) ||
            !dup_array((void *)config->outgoing, config->outgoing != NULL,
                       sizeof(*config->outgoing), &t->outgoing))
                return -ENOMEM;
        t->n_incoming = config->n_incoming;
        *ret = TAKE_PTR(t);
        return 0;
}

IscsiTarget *iscsi_target_ref(IscsiTarget *t)
{
        __atomic_add_fetch(&t->ref, 1, __ATOMIC_RELAXED);
        return t;
}

IscsiTarget *iscsi_target_unref(IscsiTarget *t)
{
        if (!t || __atomic_sub_fetch(&t->ref, 1, __ATOMIC_ACQ_REL) > 0)
                return NULL;
        lun_map_unref(t->luns);
        throttles_done(t);
        acl_done(&t->acl);
        accounts_free(t->incoming, t->n_incoming);
        accounts_free(t->outgoing, 1);
        free(t->name);
        free(t->alias);
        free(t);
        return NULL;
}

/* Either kind that is given restricts; none at all admits nobody, and neither does NONE. */
AclVerdict acl_check(const IscsiAcl *acl, const char *initiator, const SockAddr *peer)
{
        bool name = acl->n_names == 0, address = acl->n_addresses == 0;

        if (name && address)
                return ACL_NAME;
        for (size_t i = 0; i < acl->n_names && !name; i++)
                name = STREQ(acl->names[i], "ALL") || STREQ(acl->names[i], initiator);
        for (size_t i = 0; i < acl->n_addresses && !address; i++)
                address = addr_prefix_match(&acl->addresses[i], peer);
        return !name ? ACL_NAME : !address ? ACL_ADDRESS : ACL_ADMITTED;
}

void target_throttles(const IscsiTarget *t, const char *initiator, const SockAddr *peer,
                      Throttle *ret[NEXUS_THROTTLES])
{
        const IscsiThrottle *nearest = NULL;

        ret[0] = ret[1] = NULL;
        for (size_t i = 0; i < t->n_throttles; i++) {
                const IscsiThrottle *l = &t->throttles[i];

                if (l->name && STREQ(l->name, initiator))
                        ret[0] = l->throttle;
                else if (!l->name && addr_prefix_match(&l->address, peer) &&
                         (!nearest || nearest->address.family == AF_UNSPEC ||
                          l->address.length > nearest->address.length))
                        nearest = l;
        }
        if (nearest)
                ret[1] = nearest->throttle;
}

static uint32_t hash_name(const char *name)
{
        uint32_t h = 2166136261u; /* FNV-1a */

        for (; *name; name++)
                h = (h ^ (uint8_t)*name) * 16777619u;
        return h;
}

static int map_index(IscsiMap *m)
{
        size_t size = 16;

        while (size < m->n_targets * 2)
                size *= 2;
        m->table = calloc(size, sizeof(*m->table));
        if (!m->table)
                return -ENOMEM;
        m->table_mask = size - 1;
        for (size_t i = 0; i < m->n_targets; i++) {
                size_t slot = hash_name(m->targets[i]->name) & m->table_mask;

                for (; m->table[slot]; slot = (slot + 1) & m->table_mask)
                        if (STREQ(m->targets[m->table[slot] - 1]->name, m->targets[i]->name))
                                return -EEXIST;
                m->table[slot] = (uint32_t)i + 1;
        }
        return 0;
}

int iscsi_map_new(const IscsiMapConfig *config, IscsiMap **ret)
{
        _cleanup_(iscsi_map_unrefp) IscsiMap *m = calloc(1, sizeof(*m));
        int r;

        if (!m)
                return -ENOMEM;
        m->ref = 1;
        m->generation = config->generation;
        if (config->n_targets > 0) {
                m->targets = calloc(config->n_targets, sizeof(*m->targets));
                if (!m->targets)
                        return -ENOMEM;
        }
        for (; m->n_targets < config->n_targets; m->n_targets++)
                m->targets[m->n_targets] = iscsi_target_ref(config->targets[m->n_targets]);
        if (!dup_array((void *)config->portals, config->n_portals, sizeof(*config->portals),
                       &m->portals) ||
            !dup_array((void *)config->discovery_incoming, config->n_discovery_incoming,
                       sizeof(IscsiAccount), &m->incoming) ||
            !dup_array((void *)config->discovery_outgoing, config->discovery_outgoing != NULL,
                       sizeof(IscsiAccount), &m->outgoing))
                return -ENOMEM;
        m->n_portals = config->n_portals;
        m->n_incoming = config->n_discovery_incoming;
        r = map_index(m);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

IscsiMap *iscsi_map_ref(IscsiMap *m)
{
        __atomic_add_fetch(&m->ref, 1, __ATOMIC_RELAXED);
        return m;
}

IscsiMap *iscsi_map_unref(IscsiMap *m)
{
        if (!m || __atomic_sub_fetch(&m->ref, 1, __ATOMIC_ACQ_REL) > 0)
                return NULL;
        for (size_t i = 0; i < m->n_targets; i++)
                iscsi_target_unref(m->targets[i]);
        free(m->targets);
        free(m->table);
        free(m->portals);
        accounts_free(m->incoming, m->n_incoming);
        accounts_free(m->outgoing, 1);
        free(m);
        return NULL;
}

IscsiTarget *iscsi_map_find(const IscsiMap *m, const char *name)
{
        if (!m)
                return NULL;
        for (size_t slot = hash_name(name) & m->table_mask; m->table[slot];
             slot = (slot + 1) & m->table_mask) {
                IscsiTarget *t = m->targets[m->table[slot] - 1];

                if (STREQ(t->name, name))
                        return t;
        }
        return NULL;
}
