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

/* ---- the map ---------------------------------------------------------------------------------
 *
 * Targets in order of their names, in chunks that are never changed once made: a new map shares
 * with the one before it every chunk that it has unchanged, so that a change costs what it touches
 * plus a pointer for each chunk. */

#define CHUNK_MAX 128
#define CHUNK_MIN 32 /* a smaller one takes up the next, where that can be had */

static IscsiMapChunk *chunk_new(IscsiTarget *const *targets, size_t n)
{
        IscsiMapChunk *c = malloc(sizeof(*c) + n * sizeof(c->targets[0]));

        if (!c)
                return NULL;
        c->ref = 1;
        c->n = n;
        for (size_t i = 0; i < n; i++)
                c->targets[i] = iscsi_target_ref(targets[i]);
        return c;
}

static IscsiMapChunk *chunk_ref(IscsiMapChunk *c)
{
        __atomic_add_fetch(&c->ref, 1, __ATOMIC_RELAXED);
        return c;
}

static void chunk_unref(IscsiMapChunk *c)
{
        if (__atomic_sub_fetch(&c->ref, 1, __ATOMIC_ACQ_REL) > 0)
                return;
        for (size_t i = 0; i < c->n; i++)
                iscsi_target_unref(c->targets[i]);
        free(c);
}

/* One name of a change: what is to stand under it, or NULL. */
typedef struct MapChange {
        const char *name;
        IscsiTarget *target;
} MapChange;

static int compare_changes(const void *a, const void *b)
{
        return strcmp(((const MapChange *)a)->name, ((const MapChange *)b)->name);
}

/* What is being made: whole chunks, and targets that will be in the next. */
typedef struct MapMaking {
        IscsiMap *map;
        const MapChange *changes;
        size_t n_changes;
        IscsiTarget **pending; /* borrowed */
        size_t n_pending;
} MapMaking;

static int add_chunk(IscsiMap *m, IscsiMapChunk *c)
{
        if (!c)
                return -ENOMEM;
        m->chunks[m->n_chunks++] = c;
        m->n_targets += c->n;
        return 0;
}

/* Pending targets become chunks of equal size. */
static int flush_pending(MapMaking *k)
{
        size_t pieces = (k->n_pending + CHUNK_MAX - 1) / CHUNK_MAX, done = 0;

        for (size_t i = 0; i < pieces; i++) {
                size_t n = (k->n_pending - done) / (pieces - i);
                int r = add_chunk(k->map, chunk_new(k->pending + done, n));

                if (r < 0)
                        return r;
                done += n;
        }
        k->n_pending = 0;
        return 0;
}

/* Targets of chunk, with the changes that fall before until (NULL: all that are left). */
static void merge_chunk(MapMaking *k, const IscsiMapChunk *chunk, const char *until)
{
        size_t n = chunk ? chunk->n : 0, i = 0;

        for (;;) {
                const MapChange *change = k->n_changes > 0 ? k->changes : NULL;
                int order;

                if (change && until && strcmp(change->name, until) >= 0)
                        change = NULL;
                if (!change && i == n)
                        return;
                order = !change ? 1 : i == n ? -1 : strcmp(change->name, chunk->targets[i]->name);
                if (order > 0) {
                        k->pending[k->n_pending++] = chunk->targets[i++];
                        continue;
                }
                if (order == 0)
                        /* only a hint for those who have it: set before any worker sees the map */
                        __atomic_store_n(&chunk->targets[i++]->stale, true, __ATOMIC_RELAXED);
                if (change->target)
                        k->pending[k->n_pending++] = change->target;
                k->changes++;
                k->n_changes--;
        }
}

static bool chunk_is_touched(const MapMaking *k, const char *until)
{
        return k->n_changes > 0 && (!until || strcmp(k->changes->name, until) < 0);
}

static int make_chunks(MapMaking *k, const IscsiMap *base)
{
        size_t n = base ? base->n_chunks : 0;
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++) {
                IscsiMapChunk *chunk = base->chunks[i];
                const char *until = i + 1 < n ? base->chunks[i + 1]->targets[0]->name : NULL;
                bool small = k->n_pending > 0 && k->n_pending < CHUNK_MIN;

                if (small || chunk_is_touched(k, until)) {
                        merge_chunk(k, chunk, until);
                        r = k->n_pending >= CHUNK_MAX ? flush_pending(k) : 0;
                        continue;
                }
                r = flush_pending(k);
                if (r >= 0)
                        r = add_chunk(k->map, chunk_ref(chunk));
        }
        if (r >= 0 && n == 0)
                merge_chunk(k, NULL, NULL);
        return r < 0 ? r : flush_pending(k);
}

static int list_changes(const IscsiMapConfig *config, MapChange **ret, size_t *ret_n)
{
        size_t n = config->n_targets + config->n_removed;
        MapChange *changes = calloc(MAX(n, (size_t)1), sizeof(*changes));

        if (!changes)
                return -ENOMEM;
        for (size_t i = 0; i < config->n_targets; i++)
                changes[i] = (MapChange){ config->targets[i]->name, config->targets[i] };
        for (size_t i = 0; i < config->n_removed; i++)
                changes[config->n_targets + i] = (MapChange){ config->removed[i], NULL };
        qsort(changes, n, sizeof(*changes), compare_changes);
        for (size_t i = 1; i < n; i++)
                if (STREQ(changes[i - 1].name, changes[i].name)) {
                        free(changes);
                        return -EEXIST;
                }
        *ret = changes;
        *ret_n = n;
        return 0;
}

static int map_targets(IscsiMap *m, const IscsiMapConfig *config)
{
        const IscsiMap *base = config->base;
        size_t chunks = base ? base->n_chunks : 0;
        MapChange *changes = NULL;
        MapMaking k = { .map = m };
        int r;

        r = list_changes(config, &changes, &k.n_changes);
        if (r < 0)
                return r;
        k.changes = changes;
        k.pending = calloc(2 * CHUNK_MAX + k.n_changes, sizeof(IscsiTarget *));
        m->chunks = calloc(chunks + k.n_changes + 1, sizeof(IscsiMapChunk *));
        r = k.pending && m->chunks ? make_chunks(&k, base) : -ENOMEM;
        free(k.pending);
        free(changes);
        return r;
}

int iscsi_map_new(const IscsiMapConfig *config, IscsiMap **ret)
{
        _cleanup_(iscsi_map_unrefp) IscsiMap *m = calloc(1, sizeof(*m));
        int r;

        if (!m)
                return -ENOMEM;
        m->ref = 1;
        m->generation = config->generation;
        m->base = config->base;
        if (!dup_array((void *)config->portals, config->n_portals, sizeof(*config->portals),
                       &m->portals) ||
            !dup_array((void *)config->discovery_incoming, config->n_discovery_incoming,
                       sizeof(IscsiAccount), &m->incoming) ||
            !dup_array((void *)config->discovery_outgoing, config->discovery_outgoing != NULL,
                       sizeof(IscsiAccount), &m->outgoing))
                return -ENOMEM;
        m->n_portals = config->n_portals;
        m->n_incoming = config->n_discovery_incoming;
        r = map_targets(m, config);
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
        for (size_t i = 0; i < m->n_chunks; i++)
                chunk_unref(m->chunks[i]);
        free(m->chunks);
        free(m->portals);
        accounts_free(m->incoming, m->n_incoming);
        accounts_free(m->outgoing, 1);
        free(m);
        return NULL;
}

/* The last chunk that begins with name or before it; NULL: none does. */
static const IscsiMapChunk *find_chunk(const IscsiMap *m, const char *name)
{
        size_t low = 0, high = m->n_chunks;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(m->chunks[middle]->targets[0]->name, name) <= 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low > 0 ? m->chunks[low - 1] : NULL;
}

IscsiTarget *iscsi_map_find(const IscsiMap *m, const char *name)
{
        const IscsiMapChunk *c = m ? find_chunk(m, name) : NULL;
        size_t low = 0, high = c ? c->n : 0;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(c->targets[middle]->name, name);

                if (order == 0)
                        return c->targets[middle];
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}

IscsiTarget *iscsi_map_next(const IscsiMap *m, IscsiMapCursor *at)
{
        if (at->chunk < m->n_chunks && at->index == m->chunks[at->chunk]->n)
                *at = (IscsiMapCursor){ .chunk = at->chunk + 1 };
        return at->chunk < m->n_chunks ? m->chunks[at->chunk]->targets[at->index++] : NULL;
}
