/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/limit.h"
#include "config/spec.h"

/* The values: made, copied, compared, freed. */

static GPtrArray *strings_new(void)
{
        return g_ptr_array_new_with_free_func(g_free);
}

static void *copy_string(const void *s, void *userdata)
{
        return g_strdup(s);
}

static GPtrArray *strings_dup(const GPtrArray *a)
{
        return g_ptr_array_copy((GPtrArray *)a, copy_string, NULL);
}

static bool strings_equal(const GPtrArray *a, const GPtrArray *b)
{
        if (a->len != b->len)
                return false;
        for (guint i = 0; i < a->len; i++)
                if (!STREQ(a->pdata[i], b->pdata[i]))
                        return false;
        return true;
}

static void strings_free(GPtrArray **a)
{
        if (*a)
                g_ptr_array_unref(TAKE_PTR(*a));
}

/* The destructors as containers want them. */
static void destroy_lun(void *l)
{
        lun_spec_free(l);
}

void destroy_account(void *a)
{
        account_spec_free(a);
}

static void destroy_portal(void *p)
{
        portal_spec_free(p);
}

static void destroy_param(void *p)
{
        config_param_free(p);
}

static void destroy_limit(void *l)
{
        initiator_limit_free(l);
}

static void destroy_target(void *t)
{
        target_spec_free(t);
}

GPtrArray *params_new(void)
{
        return g_ptr_array_new_with_free_func(destroy_param);
}

static void *copy_param(const void *p, void *userdata)
{
        const ConfigParam *o = p;
        ConfigParam *n = config_param_new(o->name, o->value);

        n->at = o->at;
        return n;
}

/* ---- LUNs ------------------------------------------------------------------------------------ */

typedef enum FieldKind { FIELD_BOOL, FIELD_INT, FIELD_U64, FIELD_STRING, FIELD_STRINGS } FieldKind;

/* Everything in a LunSpec that has an effect, but for its number. */
static const struct {
        FieldKind kind;
        size_t offset;
} lun_fields[] = {
#define F(kind, name)                                 \
        {                                             \
                FIELD_##kind, offsetof(LunSpec, name) \
        }
        F(STRING, path),
        F(STRING, device_type),
        F(STRING, bs_type),
        F(STRING, bs_options),
        F(BOOL, direct),
        F(BOOL, sync),
        F(INT, block_size),
        F(U64, size),
        F(BOOL, write_cache),
        F(BOOL, readonly),
        F(BOOL, removable),
        F(BOOL, online),
        F(BOOL, thin),
        F(BOOL, allow_in_use),
        F(BOOL, sense_descriptor),
        F(INT, lbppbe),
        F(INT, la_lba),
        F(INT, optimal_xfer_gran),
        F(INT, optimal_xfer_len),
        F(INT, rotation_rate),
        F(STRING, scsi_id),
        F(STRING, scsi_sn),
        F(STRING, vendor_id),
        F(STRING, product_id),
        F(STRING, product_rev),
        F(STRING, uuid),
        F(STRING, naa),
        F(BOOL, stgt_identity),
        F(INT, stgt_tid),
        F(STRINGS, mode_pages),
        F(U64, limits.iops),
        F(U64, limits.read_iops),
        F(U64, limits.write_iops),
        F(U64, limits.bandwidth),
        F(U64, limits.read_bandwidth),
        F(U64, limits.write_bandwidth),
        F(U64, limits.burst_us),
#undef F
};

#define FIELD(object, i, type) ((type *)(void *)((char *)(object) + lun_fields[i].offset))

_Static_assert(sizeof(int) == sizeof(uint32_t), "FIELD_INT holds both");

LunSpec *lun_spec_new(void)
{
        LunSpec *l = g_new0(LunSpec, 1);

        l->device_type = g_strdup("disk");
        l->bs_type = g_strdup("rdwr");
        l->write_cache = true;
        l->online = true;
        l->lbppbe = l->la_lba = l->optimal_xfer_gran = l->optimal_xfer_len = l->rotation_rate = -1;
        l->mode_pages = strings_new();
        l->deferred = params_new();
        return l;
}

LunSpec *lun_spec_dup(const LunSpec *l)
{
        LunSpec *n = g_memdup2(l, sizeof(*l));

        for (size_t i = 0; i < ELEMENTSOF(lun_fields); i++)
                if (lun_fields[i].kind == FIELD_STRING)
                        *FIELD(n, i, char *) = g_strdup(*FIELD(l, i, char *const));
                else if (lun_fields[i].kind == FIELD_STRINGS)
                        *FIELD(n, i, GPtrArray *) = strings_dup(*FIELD(l, i, GPtrArray *const));
        n->deferred = g_ptr_array_copy(l->deferred, copy_param, NULL);
        return n;
}

LunSpec *lun_spec_free(LunSpec *l)
{
        if (!l)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(lun_fields); i++)
                if (lun_fields[i].kind == FIELD_STRING)
                        g_free(*FIELD(l, i, char *));
                else if (lun_fields[i].kind == FIELD_STRINGS)
                        strings_free(FIELD(l, i, GPtrArray *));
        g_ptr_array_unref(l->deferred);
        g_free(l);
        return NULL;
}

bool lun_spec_needs_size(const LunSpec *l)
{
        return STREQ(l->bs_type, "null") || STREQ(l->bs_type, "ram");
}

bool lun_spec_is_empty(const LunSpec *l)
{
        return !l->path && l->removable && !lun_spec_needs_size(l) && !STREQ(l->bs_type, "fault");
}

static bool field_equal(const LunSpec *a, const LunSpec *b, size_t i)
{
        switch (lun_fields[i].kind) {
        case FIELD_BOOL:
                return *FIELD(a, i, const bool) == *FIELD(b, i, const bool);
        case FIELD_INT:
                return *FIELD(a, i, const int) == *FIELD(b, i, const int);
        case FIELD_U64:
                return *FIELD(a, i, const uint64_t) == *FIELD(b, i, const uint64_t);
        case FIELD_STRING:
                return g_strcmp0(*FIELD(a, i, char *const), *FIELD(b, i, char *const)) == 0;
        case FIELD_STRINGS:
                return strings_equal(*FIELD(a, i, GPtrArray *const),
                                     *FIELD(b, i, GPtrArray *const));
        }
        return false;
}

bool lun_spec_equal(const LunSpec *a, const LunSpec *b)
{
        if (a->lun != b->lun)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(lun_fields); i++)
                if (!field_equal(a, b, i))
                        return false;
        return true;
}

/* ---- accounts, portals, parameters ----------------------------------------------------------- */

AccountSpec *account_spec_new(const char *user, const char *secret)
{
        AccountSpec *a = g_new0(AccountSpec, 1);

        a->user = g_strdup(user);
        a->secret = g_strdup(secret);
        return a;
}

AccountSpec *account_spec_new_credential(const char *user, const char *credential)
{
        AccountSpec *a = account_spec_new(user, "");

        a->credential = g_strdup(credential);
        return a;
}

AccountSpec *account_spec_dup(const AccountSpec *a)
{
        AccountSpec *n;

        if (!a)
                return NULL;
        n = account_spec_new(a->user, a->secret);
        n->credential = g_strdup(a->credential);
        n->at = a->at;
        return n;
}

AccountSpec *account_spec_free(AccountSpec *a)
{
        if (!a)
                return NULL;
        g_free(a->user);
        if (a->secret)
                explicit_bzero(a->secret, strlen(a->secret));
        g_free(a->secret);
        g_free(a->credential);
        g_free(a);
        return NULL;
}

bool account_spec_equal(const AccountSpec *a, const AccountSpec *b)
{
        if (!a || !b)
                return a == b;
        return STREQ(a->user, b->user) && STREQ(a->secret, b->secret) &&
               g_strcmp0(a->credential, b->credential) == 0;
}

static void *copy_account(const void *a, void *userdata)
{
        return account_spec_dup(a);
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

static GPtrArray *accounts_new(void)
{
        return g_ptr_array_new_with_free_func(destroy_account);
}

PortalSpec *portal_spec_new(const char *address)
{
        PortalSpec *p = g_new0(PortalSpec, 1);

        p->address = g_strdup(address);
        return p;
}

PortalSpec *portal_spec_free(PortalSpec *p)
{
        if (!p)
                return NULL;
        g_free(p->address);
        g_free(p);
        return NULL;
}

static void *copy_portal(const void *p, void *userdata)
{
        const PortalSpec *o = p;
        PortalSpec *n = portal_spec_new(o->address);

        n->at = o->at;
        return n;
}

ConfigParam *config_param_new(const char *name, const char *value)
{
        ConfigParam *p = g_new0(ConfigParam, 1);

        p->name = g_strdup(name);
        p->value = g_strdup(value);
        return p;
}

ConfigParam *config_param_free(ConfigParam *p)
{
        if (!p)
                return NULL;
        g_free(p->name);
        g_free(p->value);
        g_free(p);
        return NULL;
}

/* Each name is there once; the order says nothing about their effect. */
static bool params_equal(const GPtrArray *a, const GPtrArray *b)
{
        if (a->len != b->len)
                return false;
        for (guint i = 0; i < a->len; i++) {
                const ConfigParam *p = a->pdata[i];
                bool found = false;

                for (guint k = 0; k < b->len && !found; k++) {
                        const ConfigParam *q = b->pdata[k];

                        found = STREQ(p->name, q->name) && STREQ(p->value, q->value);
                }
                if (!found)
                        return false;
        }
        return true;
}

/* ---- limits of initiators -------------------------------------------------------------------- */

static void *copy_limit(const void *p, void *userdata)
{
        const InitiatorLimit *o = p;
        InitiatorLimit *n = initiator_limit_new(o->initiator, &o->limits);

        n->at = o->at;
        return n;
}

/* Each initiator is there once; the first of two prefixes of the same length counts, so that their
 * order is part of their effect. */
static bool limits_equal(const GPtrArray *a, const GPtrArray *b)
{
        if (a->len != b->len)
                return false;
        for (guint i = 0; i < a->len; i++)
                if (!initiator_limit_equal(a->pdata[i], b->pdata[i]))
                        return false;
        return true;
}

/* ---- targets --------------------------------------------------------------------------------- */

TargetSpec *target_spec_new(const char *name)
{
        TargetSpec *t = g_new0(TargetSpec, 1);

        t->name = g_strdup(name);
        t->driver = g_strdup("iscsi");
        t->online = true;
        t->access_given = true;
        t->luns = g_ptr_array_new_with_free_func(destroy_lun);
        t->addresses = strings_new();
        t->names = strings_new();
        t->incoming = accounts_new();
        t->params = params_new();
        t->limits = g_ptr_array_new_with_free_func(destroy_limit);
        return t;
}

static void *copy_lun(const void *l, void *userdata)
{
        return lun_spec_dup(l);
}

TargetSpec *target_spec_dup(const TargetSpec *t)
{
        TargetSpec *n = g_memdup2(t, sizeof(*t));

        n->name = g_strdup(t->name);
        n->alias = g_strdup(t->alias);
        n->driver = g_strdup(t->driver);
        n->luns = g_ptr_array_copy(t->luns, copy_lun, NULL);
        n->addresses = strings_dup(t->addresses);
        n->names = strings_dup(t->names);
        n->incoming = g_ptr_array_copy(t->incoming, copy_account, NULL);
        n->outgoing = account_spec_dup(t->outgoing);
        n->params = g_ptr_array_copy(t->params, copy_param, NULL);
        n->limits = g_ptr_array_copy(t->limits, copy_limit, NULL);
        return n;
}

TargetSpec *target_spec_free(TargetSpec *t)
{
        if (!t)
                return NULL;
        g_free(t->name);
        g_free(t->alias);
        g_free(t->driver);
        strings_free(&t->luns);
        strings_free(&t->addresses);
        strings_free(&t->names);
        strings_free(&t->incoming);
        account_spec_free(t->outgoing);
        strings_free(&t->params);
        strings_free(&t->limits);
        g_free(t);
        return NULL;
}

/* A target that names nobody admits everybody, as one that says "initiator-address ALL" does. */
static bool admits_all(const TargetSpec *t)
{
        return !t->access_given || (t->names->len == 0 && t->addresses->len == 1 &&
                                    STREQ(t->addresses->pdata[0], "ALL"));
}

const char *target_spec_access(const TargetSpec *t)
{
        if (!t->access_given)
                return "everybody";
        return t->names->len > 0 || t->addresses->len > 0 ? "listed" : "nobody";
}

static bool access_equal(const TargetSpec *a, const TargetSpec *b)
{
        if (admits_all(a) || admits_all(b))
                return admits_all(a) && admits_all(b);
        return strings_equal(a->addresses, b->addresses) && strings_equal(a->names, b->names);
}

bool target_head_equal(const TargetSpec *a, const TargetSpec *b)
{
        return STREQ(a->name, b->name) && g_strcmp0(a->alias, b->alias) == 0 && a->tid == b->tid &&
               STREQ(a->driver, b->driver) && a->online == b->online && a->masked == b->masked &&
               access_equal(a, b) && accounts_equal(a->incoming, b->incoming) &&
               account_spec_equal(a->outgoing, b->outgoing) && params_equal(a->params, b->params) &&
               limits_equal(a->limits, b->limits);
}

bool target_spec_equal(const TargetSpec *a, const TargetSpec *b)
{
        if (!target_head_equal(a, b) || a->luns->len != b->luns->len)
                return false;
        for (guint i = 0; i < a->luns->len; i++)
                if (!lun_spec_equal(a->luns->pdata[i], b->luns->pdata[i]))
                        return false;
        return true;
}

/* The first index whose LUN number is not below lun. */
static guint lower_bound(const TargetSpec *t, uint16_t lun)
{
        guint lo = 0, hi = t->luns->len;

        while (lo < hi) {
                guint mid = lo + (hi - lo) / 2;
                const LunSpec *l = t->luns->pdata[mid];

                if (l->lun < lun)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo;
}

LunSpec *target_spec_find_lun(const TargetSpec *t, uint16_t lun)
{
        guint i = lower_bound(t, lun);
        LunSpec *l = i < t->luns->len ? t->luns->pdata[i] : NULL;

        return l && l->lun == lun ? l : NULL;
}

int target_spec_add_lun(TargetSpec *t, LunSpec *l)
{
        if (target_spec_find_lun(t, l->lun))
                return -EEXIST;
        g_ptr_array_insert(t->luns, (gint)lower_bound(t, l->lun), l);
        return 0;
}

bool target_spec_remove_lun(TargetSpec *t, uint16_t lun)
{
        guint i = lower_bound(t, lun);

        if (!target_spec_find_lun(t, lun))
                return false;
        g_ptr_array_remove_index(t->luns, i);
        return true;
}

int target_spec_free_lun(const TargetSpec *t, uint16_t *ret)
{
        uint16_t want = 1;

        for (guint i = 0; i < t->luns->len; i++) {
                const LunSpec *l = t->luns->pdata[i];

                if (l->lun > want)
                        break;
                if (l->lun == want)
                        want++;
        }
        if (want > CONFIG_LUN_MAX)
                return -ENOSPC;
        *ret = want;
        return 0;
}

/* ---- the whole ------------------------------------------------------------------------------- */

Desired *desired_new(void)
{
        Desired *d = g_new0(Desired, 1);

        /* keys are the names within the values */
        d->targets = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, destroy_target);
        d->portals = g_ptr_array_new_with_free_func(destroy_portal);
        d->discovery_incoming = accounts_new();
        d->accounts = accounts_new();
        d->backing_directories = strings_new();
        return d;
}

Desired *desired_dup(const Desired *d)
{
        Desired *n = desired_globals_dup(d);
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, d->targets);
        while (g_hash_table_iter_next(&iter, NULL, &value))
                desired_put(n, target_spec_dup(value));
        return n;
}

Desired *desired_globals_dup(const Desired *d)
{
        Desired *n = desired_new();

        for (guint i = 0; i < d->portals->len; i++)
                g_ptr_array_add(n->portals, copy_portal(d->portals->pdata[i], NULL));
        for (guint i = 0; i < d->discovery_incoming->len; i++)
                g_ptr_array_add(n->discovery_incoming,
                                account_spec_dup(d->discovery_incoming->pdata[i]));
        n->discovery_outgoing = account_spec_dup(d->discovery_outgoing);
        for (guint i = 0; i < d->accounts->len; i++)
                g_ptr_array_add(n->accounts, account_spec_dup(d->accounts->pdata[i]));
        for (guint i = 0; i < d->backing_directories->len; i++)
                g_ptr_array_add(n->backing_directories, g_strdup(d->backing_directories->pdata[i]));
        n->ignore_errors = d->ignore_errors;
        n->control_port = d->control_port;
        return n;
}

Desired *desired_free(Desired *d)
{
        if (!d)
                return NULL;
        g_hash_table_unref(d->targets);
        strings_free(&d->portals);
        strings_free(&d->discovery_incoming);
        account_spec_free(d->discovery_outgoing);
        strings_free(&d->accounts);
        strings_free(&d->backing_directories);
        g_free(d);
        return NULL;
}

void desired_put(Desired *d, TargetSpec *t)
{
        /* replace, so that the key is the name within the value that is in the table */
        g_hash_table_replace(d->targets, t->name, t);
}
