/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <stdio.h>

#define OPEN_JOBS_MAX 128
#define REMOTE_JOBS_MAX 32 /* that may wait for other machines: not in the way of files */
#define DISK_TRANSFER_MAX BUFFER_MAX_SIZE

/* ---- the object ------------------------------------------------------------------------------ */

Unit *unit_ref(Unit *u)
{
        u->refs++;
        return u;
}

Unit *unit_unref(Unit *u)
{
        if (!u || --u->refs > 0)
                return NULL;
        lu_unref(u->lu);
        store_unref(u->store);
        lun_spec_free(u->spec);
        if (u->aliases)
                g_ptr_array_unref(u->aliases);
        if (u->owners)
                g_array_unref(u->owners);
        g_free(u->reason);
        g_free(u->key);
        identity_clear(&u->identity);
        g_free(u);
        return NULL;
}

Unit *unit_resolve(Unit *u)
{
        return u->alias ? u->alias : u;
}

static bool unit_settled(const Unit *u)
{
        const Unit *real = u->alias ? u->alias : u;

        return real->state == UNIT_READY || real->state == UNIT_AWAY;
}

const char *unit_name(const Unit *u)
{
        return u->spec->path ? u->spec->path : u->spec->bs_type;
}

static int unit_identify(Unit *u)
{
        int r;

        identity_clear(&u->identity);
        r = identities_resolve(u->manager->identities, u->key, u->spec, &u->identity);
        if (r < 0)
                return r;
        uuid_format(u->identity.uuid, u->uuid);
        return 0;
}

static void on_retry(LoopTimer *timer)
{
        Unit *u = CONTAINER_OF(timer, Unit, retry);

        if (u->state == UNIT_LINGERING) {
                if (store_busy(u->store) == 0)
                        unit_closed(u);
                else
                        loop_timer_in(u->manager->loop, &u->retry, NSEC_PER_SEC);
        } else if (!u->job)
                unit_start(u);
}

int unit_new(Manager *m, const LunSpec *l, char *key, Unit **ret)
{
        Unit *u = g_new0(Unit, 1);
        int r;

        u->manager = m;
        u->refs = 1;
        u->key = key;
        u->spec = lun_spec_dup(l);
        u->retry.fire = on_retry;
        r = unit_identify(u);
        if (r < 0) {
                unit_unref(u);
                return r;
        }
        *ret = u;
        return 0;
}

static void tell_waiter(Unit *u)
{
        if (u->waiter && unit_settled(u))
                edit_unit_settled(TAKE_PTR(u->waiter), u);
}

void unit_set_state(Unit *u, UnitState state, const char *format, ...)
{
        Manager *m = u->manager;
        va_list ap;

        if (u->state == UNIT_AWAY)
                m->n_away--;
        if (state == UNIT_AWAY)
                m->n_away++;
        u->state = state;
        g_clear_pointer(&u->reason, g_free);
        if (format) {
                va_start(ap, format);
                u->reason = g_strdup_vprintf(format, ap);
                va_end(ap);
        }
        if (u->listed && !u->alias)
                OBSERVE(m, unit_changed, u->uuid);
        tell_waiter(u);
        for (guint i = 0; u->aliases && i < u->aliases->len; i++)
                tell_waiter(g_ptr_array_index(u->aliases, i));
}

/* ---- tables ---------------------------------------------------------------------------------- */

static guint store_id_hash(gconstpointer p)
{
        const StoreIdentity *id = p;
        guint64 mixed = id->kind ^ id->a * 0x9e3779b97f4a7c15 ^ id->b * 0xc2b2ae3d27d4eb4f;

        return g_int64_hash(&mixed);
}

static gboolean store_id_equal(gconstpointer pa, gconstpointer pb)
{
        const StoreIdentity *a = pa, *b = pb;

        return a->kind == b->kind && a->a == b->a && a->b == b->b;
}

static void run_republish(LoopTask *task);

void units_init(Manager *m)
{
        m->units = g_hash_table_new(g_str_hash, g_str_equal);
        m->unit_order = g_tree_new(compare_strings);
        m->units_by_key = g_hash_table_new(g_str_hash, g_str_equal);
        m->claims = g_hash_table_new(g_str_hash, g_str_equal);
        m->units_by_store = g_hash_table_new(store_id_hash, store_id_equal);
        m->republish = g_hash_table_new(NULL, NULL);
        m->dropped = g_ptr_array_new();
        m->republish_task.run = run_republish;
        m->open_lane.max = OPEN_JOBS_MAX;
        m->remote_lane.max = REMOTE_JOBS_MAX;
        m->store_rate = (RateLimit){ .interval_ns = NSEC_PER_SEC, .burst = 100 };
}

void units_done(Manager *m)
{
        for (guint i = 0; i < m->dropped->len; i++)
                lu_unref(g_ptr_array_index(m->dropped, i));
        g_ptr_array_unref(m->dropped);
        store_host_free(m->store_host);
        g_hash_table_unref(m->republish);
        g_hash_table_unref(m->units_by_store);
        g_hash_table_unref(m->claims);
        g_hash_table_unref(m->units_by_key);
        g_hash_table_unref(m->units);
        g_tree_unref(m->unit_order);
}

static void unit_list_uuid(Unit *u)
{
        Manager *m = u->manager;

        g_hash_table_replace(m->units, u->uuid, u);
        g_tree_replace(m->unit_order, u->uuid, u->uuid);
        OBSERVE(m, unit_added, u->uuid);
}

static void unit_unlist_uuid(Unit *u)
{
        Manager *m = u->manager;

        if (g_hash_table_lookup(m->units, u->uuid) != u)
                return;
        g_hash_table_remove(m->units, u->uuid);
        g_tree_remove(m->unit_order, u->uuid);
        OBSERVE(m, unit_removed, u->uuid);
}

void unit_list(Unit *u)
{
        Manager *m = u->manager;
        Unit *old = g_hash_table_lookup(m->units_by_key, u->key);

        if (old)
                old->listed = false;
        u->listed = true;
        g_hash_table_replace(m->units_by_key, u->key, u);
        if (u->alias)
                return;
        /* two that are recorded as one: until both have been seen, the first one is shown */
        old = g_hash_table_lookup(m->units, u->uuid);
        if (old && old->listed && g_hash_table_lookup(m->claims, u->uuid) != u)
                return;
        if (old)
                unit_unlist_uuid(old);
        unit_list_uuid(u);
}

static void unit_unlist(Unit *u)
{
        Manager *m = u->manager;

        u->listed = false;
        if (g_hash_table_lookup(m->units_by_key, u->key) == u)
                g_hash_table_remove(m->units_by_key, u->key);
        unit_unlist_uuid(u);
}

void unit_own(Unit *u, Target *t, uint16_t lun)
{
        UnitOwner owner = { t, lun };

        if (!u->owners)
                u->owners = g_array_sized_new(FALSE, FALSE, sizeof(UnitOwner), 1);
        g_array_append_val(u->owners, owner);
}

void unit_disown(Unit *u, Target *t, uint16_t lun)
{
        for (guint i = 0; u->owners && i < u->owners->len; i++) {
                const UnitOwner *owner = &g_array_index(u->owners, UnitOwner, i);

                if (owner->target == t && owner->lun == lun) {
                        g_array_remove_index(u->owners, i);
                        return;
                }
        }
}

void unit_mappings_changed(Unit *u)
{
        Manager *m = u->manager;
        const Unit *real = unit_resolve(u);

        if (g_hash_table_lookup(m->units, real->uuid) == real)
                OBSERVE(m, unit_changed, real->uuid);
}

/* ---- holding and retiring -------------------------------------------------------------------- */

void unit_hold(Unit *u)
{
        u->n_maps++;
}

static void forget_store_id(Unit *u)
{
        Manager *m = u->manager;

        if (u->has_store_id && g_hash_table_lookup(m->units_by_store, &u->store_id) == u)
                g_hash_table_remove(m->units_by_store, &u->store_id);
        u->has_store_id = false;
}

void unit_closed(Unit *u)
{
        Unit *successor = TAKE_PTR(u->successor);

        forget_store_id(u);
        u->store = store_unref(u->store);
        u->state = UNIT_CLOSED;
        if (successor) {
                successor->predecessor = NULL;
                if (successor->n_maps > 0)
                        unit_start(successor);
                unit_unref(successor);
        }
        unit_unref(u);
}

static void unit_retired(Unit *u)
{
        u->lu = lu_unref(u->lu);
        if (!u->store || store_busy(u->store) == 0) {
                unit_closed(u);
                return;
        }
        /* what is stuck below may still write: whoever opens this again must know its ranges, and
         * they belong to the store */
        u->state = UNIT_LINGERING;
        loop_timer_in(u->manager->loop, &u->retry, NSEC_PER_SEC);
}

static void unit_retire(Unit *u)
{
        loop_timer_cancel(u->manager->loop, &u->retry);
        unit_unlist(u);
        if (g_hash_table_lookup(u->manager->claims, u->uuid) == u)
                g_hash_table_remove(u->manager->claims, u->uuid);
        unit_leave_alias(u);
        if (u->predecessor) {
                u->predecessor->successor = NULL;
                u->predecessor = NULL;
                unit_unref(u);
        }
        u->waiter = NULL;
        unit_set_state(u, UNIT_RETIRING, NULL);
        if (u->manager->state == MANAGER_STOPPING)
                unit_closed(u); /* the workers are gone */
        else if (u->lu)
                unit_change(u, u->lu, LU_CHANGE_RETIRE, NULL, unit_retired);
        else
                unit_retired(u);
}

void unit_release(Unit *u)
{
        if (--u->n_maps == 0)
                unit_retire(u);
}

/* ---- aliases: one store, several keys -------------------------------------------------------- */

void unit_make_alias(Unit *u, Unit *real)
{
        if (u->alias == real)
                return;
        unit_leave_alias(u);
        unit_hold(real);
        if (!real->aliases)
                real->aliases = g_ptr_array_new();
        g_ptr_array_add(real->aliases, u);
        u->alias = real;
        unit_unlist_uuid(u);
        if (real->listed && g_hash_table_lookup(u->manager->units, real->uuid) != real)
                unit_list_uuid(real);
        unit_mappings_changed(real);
        unit_drop_lu(u);
        unit_republish(u);
}

void unit_leave_alias(Unit *u)
{
        Unit *real = TAKE_PTR(u->alias);

        if (!real)
                return;
        g_ptr_array_remove(real->aliases, u);
        if (u->listed && !g_hash_table_lookup(u->manager->units, u->uuid))
                unit_list_uuid(u);
        unit_mappings_changed(real);
        unit_republish(u);
        unit_release(real);
}

int unit_claim(Unit *u)
{
        Manager *m = u->manager;
        Unit *claimant = g_hash_table_lookup(m->claims, u->uuid), *shown;
        int r;

        if (claimant && claimant != u && !u->takes_over) {
                unit_unlist_uuid(u);
                identities_renew(m->identities, u->key);
                r = unit_identify(u);
                if (r < 0)
                        return r;
                unit_drop_lu(u);
                unit_republish(u);
        }
        g_hash_table_replace(m->claims, u->uuid, u);
        shown = g_hash_table_lookup(m->units, u->uuid);
        if (!u->listed || shown == u)
                return 0;
        if (shown)
                unit_unlist_uuid(shown);
        unit_list_uuid(u);
        return 0;
}

/* ---- what a unit is made of ------------------------------------------------------------------ */

bool lun_specs_agree(const LunSpec *a, const LunSpec *b)
{
        LunSpec *copy = lun_spec_dup(b);
        bool equal;

        copy->lun = a->lun;
        g_free(copy->path);
        copy->path = g_strdup(a->path);
        copy->allow_in_use = a->allow_in_use; /* says how it may be opened, not what it is */
        equal = lun_spec_equal(a, copy);
        lun_spec_free(copy);
        return equal;
}

bool lun_specs_compatible(const LunSpec *a, const LunSpec *b)
{
        LunSpec *copy = lun_spec_dup(b);
        bool equal;

        copy->write_cache = a->write_cache;
        copy->readonly = a->readonly;
        copy->online = a->online;
        copy->limits = a->limits;
        /* a disk in memory cannot grow in place */
        if (STREQ(a->bs_type, "null"))
                copy->size = a->size;
        equal = lun_specs_agree(a, copy);
        lun_spec_free(copy);
        return equal;
}

static uint8_t exponent(uint32_t physical, uint32_t logical)
{
        uint8_t e = 0;

        while (e < 15 && (logical << (e + 1)) <= physical && physical % (logical << (e + 1)) == 0)
                e++;
        return e;
}

_Static_assert(CONFIG_MODE_PAGES_MAX <= LU_MODE_PAGES_MAX, "a unit takes what a file may say");

static void unit_mode_pages(const LunSpec *l, LuModePage *ret)
{
        for (guint i = 0; i < l->mode_pages->len; i++) {
                ModePageSpec page;

                mode_page_spec(g_ptr_array_index(l->mode_pages, i), &page);
                ret[i] = (LuModePage){ page.page, page.subpage, page.length, { 0 } };
                memcpy(ret[i].bytes, page.bytes, page.length);
        }
}

void unit_lu_config(const Unit *u, LuConfig *ret)
{
        const LunSpec *l = u->spec;
        StoreCaps caps = { 0 };
        uint32_t block = l->block_size ? l->block_size : 512;

        if (u->store)
                caps = store_caps(u->store);
        *ret = (LuConfig){
                .identity = u->identity,
                .name = unit_name(u),
                .block_size = block,
                .lbppbe = l->lbppbe >= 0 ? (uint8_t)l->lbppbe : exponent(caps.physical_size, block),
                .lowest_aligned = l->la_lba >= 0 ? (uint16_t)l->la_lba : 0,
                .opt_granularity = l->optimal_xfer_gran >= 0 ? (uint32_t)l->optimal_xfer_gran : 0,
                .opt_length = l->optimal_xfer_len >= 0 ? (uint32_t)l->optimal_xfer_len : 0,
                .max_transfer = (uint32_t)(DISK_TRANSFER_MAX / block),
                .rotation_rate = l->rotation_rate >= 0          ? (uint16_t)l->rotation_rate
                                 : u->store && !caps.rotational ? 1
                                                                : 0,
                /* advertised only where it does something */
                .thin = l->thin && caps.discard_granularity > 0 ? LU_THIN : LU_THICK,
                .readonly = l->readonly || caps.readonly,
                .write_cache = l->write_cache,
                .removable = l->removable,
                .descriptor_sense = l->sense_descriptor,
        };
}

static Store *served_store(const Unit *u)
{
        return u->state == UNIT_READY && u->spec->online ? u->store : NULL;
}

int unit_need_lu(Unit *u)
{
        Engine *engine = u->manager->engine;
        g_autofree LuModePage *pages = NULL;
        LuConfig config;
        int r;

        if (u->lu)
                return 0;
        unit_lu_config(u, &config);
        pages = g_new(LuModePage, MAX(u->spec->mode_pages->len, 1U));
        unit_mode_pages(u->spec, pages);
        config.mode_pages = pages;
        config.n_mode_pages = u->spec->mode_pages->len;
        config.operation = operation_of(u->manager, u->uuid);
        config.keeper = &u->manager->keeper;
        r = throttle_make(u->manager, &u->spec->limits, &config.throttle);
        if (r >= 0)
                r = lu_new(&config, served_store(u),
                           engine_coordinator(engine, g_str_hash(u->uuid)), &u->lu);
        throttle_unref(config.throttle);
        return r;
}

void unit_drop_lu(Unit *u)
{
        if (u->lu)
                g_ptr_array_add(u->manager->dropped, TAKE_PTR(u->lu));
}

static void unit_limit(Unit *u);

void unit_update(Unit *u, const LunSpec *l)
{
        LunSpec *old = u->spec;
        bool reopen = (u->store_readonly && !l->readonly) || old->size != l->size;

        u->n_updates++;
        u->spec = lun_spec_dup(l);
        g_free(u->spec->path); /* l may call it by another name */
        u->spec->path = g_strdup(old->path);
        if (u->lu && (old->readonly != l->readonly || old->write_cache != l->write_cache))
                unit_change(u, u->lu, LU_CHANGE_STATE, NULL,
                            old->write_cache && !l->write_cache ? unit_flush : NULL);
        if (u->lu && !limit_spec_equal(&old->limits, &l->limits))
                unit_limit(u);
        if (u->store && reopen)
                unit_reopen(u);
        else if (old->online != l->online)
                unit_publish_store(u);
        lun_spec_free(old);
        OBSERVE(u->manager, unit_changed, u->uuid);
}

/* ---- changes of what workers have ------------------------------------------------------------ */

typedef struct UnitChange {
        LuChange change;
        Unit *unit; /* NULL: nobody waits */
        LogicalUnit *lu;
        Store *store;
        Throttle *throttle;
        void (*then)(Unit *u);
} UnitChange;

static void on_unit_change(LuChange *change)
{
        UnitChange *c = CONTAINER_OF(change, UnitChange, change);

        if (c->unit && c->then)
                c->then(c->unit);
        lu_unref(c->lu);
        store_unref(c->store);
        throttle_unref(c->throttle);
        unit_unref(c->unit);
        g_free(c);
}

static void change_lu(Manager *m, Unit *u, LogicalUnit *lu, LuChangeKind kind, Store *store,
                      Throttle *throttle, void (*then)(Unit *u))
{
        UnitChange *c = g_new0(UnitChange, 1);

        c->throttle = c->change.throttle = throttle_ref(throttle);
        c->unit = u ? unit_ref(u) : NULL;
        c->lu = lu_ref(lu);
        c->store = store ? store_ref(store) : NULL;
        c->then = then;
        c->change.kind = kind;
        c->change.store = store;
        if (u) {
                LuConfig config;

                unit_lu_config(u, &config);
                c->change.readonly = config.readonly;
                c->change.write_cache = config.write_cache;
        }
        c->change.origin = m->loop;
        c->change.done = on_unit_change;
        c->change.lu = lu;
        lu_change(lu, &c->change);
}

void unit_change(Unit *u, LogicalUnit *lu, LuChangeKind kind, Store *store, void (*then)(Unit *u))
{
        change_lu(u->manager, u, lu, kind, store, NULL, then);
}

static void unit_limit(Unit *u)
{
        Throttle *throttle;
        int r = throttle_make(u->manager, &u->spec->limits, &throttle);

        if (r < 0) {
                log_error("%s keeps the limits that it had: %s", unit_name(u), strerror(-r));
                return;
        }
        change_lu(u->manager, u, u->lu, LU_CHANGE_LIMITS, NULL, throttle, NULL);
        throttle_unref(throttle);
}

/* ---- publishing again ------------------------------------------------------------------------ */

static void republish_owners(Unit *u)
{
        for (guint i = 0; u->owners && i < u->owners->len; i++)
                g_hash_table_add(u->manager->republish,
                                 g_array_index(u->owners, UnitOwner, i).target);
}

void unit_republish(Unit *u)
{
        republish_owners(u);
        for (guint i = 0; u->aliases && i < u->aliases->len; i++)
                republish_owners(g_ptr_array_index(u->aliases, i));
        loop_defer(u->manager->loop, &u->manager->republish_task);
}

typedef struct Republish {
        Manager *manager;
        GPtrArray *dropped;
} Republish;

static void on_republished(void *userdata, int r)
{
        Republish *p = userdata;

        for (guint i = 0; i < p->dropped->len; i++) {
                LogicalUnit *lu = g_ptr_array_index(p->dropped, i);

                change_lu(p->manager, NULL, lu, LU_CHANGE_RETIRE, NULL, NULL, NULL);
                lu_unref(lu);
        }
        g_ptr_array_unref(p->dropped);
        g_free(p);
}

static int republish_all(Manager *m, Republish *p)
{
        g_autoptr(GHashTable) rebuilt = g_hash_table_new(g_str_hash, g_str_equal);
        GHashTableIter iter;
        gpointer target;
        int r;

        g_hash_table_iter_init(&iter, m->republish);
        while (g_hash_table_iter_next(&iter, &target, NULL)) {
                Target *t = target;
                const TargetSpec *spec = g_hash_table_lookup(m->desired->targets, t->name);

                if (!spec)
                        continue;
                r = target_build(m, t, spec);
                if (r < 0)
                        return r;
                g_hash_table_insert(rebuilt, t->name, t);
        }
        return targets_publish(m, rebuilt, m->desired, on_republished, p);
}

void units_republish(Manager *m)
{
        Republish *p;
        int r;

        if (m->state == MANAGER_STOPPING ||
            (g_hash_table_size(m->republish) == 0 && m->dropped->len == 0))
                return;
        p = g_new0(Republish, 1);
        p->manager = m;
        p->dropped = TAKE_PTR(m->dropped);
        m->dropped = g_ptr_array_new();
        r = republish_all(m, p);
        if (r >= 0) {
                g_hash_table_remove_all(m->republish);
                return;
        }
        /* out of memory: what is published stays, and the next attempt takes all of it along */
        log_error("Could not publish the units that changed: %s", strerror(-r));
        g_ptr_array_unref(m->dropped);
        m->dropped = p->dropped;
        g_free(p);
}

static void run_republish(LoopTask *task)
{
        Manager *m = CONTAINER_OF(task, Manager, republish_task);

        /* a change that is publishing has made its map already: it calls us when it is over */
        if (!m->current || m->current->phase < EDIT_PERSISTING)
                units_republish(m);
}
