/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "daemon/open-policy.h"

#define RETRY_FIRST NSEC_PER_SEC
#define RETRY_MAX (10 * NSEC_PER_SEC)
#define RETRY_PER_UNIT (20 * NSEC_PER_MSEC) /* many that are away share the attempts */
#define CLOSING_RETRY (200 * NSEC_PER_MSEC)
#define ORIGINAL_RETRY (20 * NSEC_PER_MSEC)
#define REFRESH_INTERVAL (5 * NSEC_PER_SEC)
#define REFRESH_BATCH 64

/* ---- jobs ------------------------------------------------------------------------------------
 * A unit has at most one under way. Each has its own copy of what it reads, since the unit's
 * settings may change meanwhile. */

typedef struct StoreJob {
        LoopJob job;
        Unit *unit; /* held */
        char *path, *type, *options;
        StoreSpec spec;
        Store *store; /* refresh, configure: held; open: the result */
        StoreIdentity id;
        StoreError error;
        int result;
        UnitJobDone *done;
        void *userdata;
} StoreJob;

static StoreJob *store_job_new(Unit *u, void (*work)(LoopJob *), void (*done)(LoopJob *))
{
        const LunSpec *l = u->spec;
        StoreJob *j = g_new0(StoreJob, 1);

        j->job.work = work;
        j->job.done = done;
        j->unit = unit_ref(u);
        j->path = g_strdup(l->path);
        j->type = g_strdup(l->bs_type);
        j->options = g_strdup(l->bs_options);
        j->spec = (StoreSpec){
                .type = j->type,
                .path = j->path,
                .options = j->options,
                .size = l->size,
                .readonly = l->readonly,
                .direct = l->direct,
                .sync = l->sync,
                .allow_in_use = l->allow_in_use,
                .granularity = l->block_size,
                .open_path = opener_open,
                .open_userdata = &u->manager->opener,
        };
        u->job = true;
        u->manager->n_jobs++;
        return j;
}

/* The unit, on which nothing is under way any more; false: it is not served any more. */
static bool store_job_over(StoreJob *j)
{
        Unit *u = j->unit;

        u->job = false;
        u->manager->n_jobs--;
        return u->state < UNIT_CLOSING && u->manager->state != MANAGER_STOPPING;
}

static void store_job_free(StoreJob *j)
{
        store_unref(j->store);
        unit_unref(j->unit);
        g_free(j->path);
        g_free(j->type);
        g_free(j->options);
        g_free(j);
}

static StoreJob *from_job(LoopJob *job)
{
        return CONTAINER_OF(job, StoreJob, job);
}

/* ---- away and back --------------------------------------------------------------------------- */

/* text: why it is not ready, or NULL now that it is. */
static void journal_unit(Unit *u, int priority, const char *id, const char *text)
{
        Manager *m = u->manager;
        const UnitOwner *owner =
                u->owners && u->owners->len > 0 ? &g_array_index(u->owners, UnitOwner, 0) : NULL;
        unsigned suppressed;
        char lun[8] = "";

        if (!ratelimit_pass(&m->store_rate, loop_now(m->loop), &suppressed))
                return;
        if (owner)
                snprintf(lun, sizeof(lun), "%u", owner->lun);
        log_send(priority, id,
                 LOG_FIELDS({ "TARGET", owner ? owner->target->name : NULL }, { "LUN", lun },
                            { "UNIT_UUID", u->uuid }, { "BACKING_STORE", unit_name(u) },
                            { "REASON", text }),
                 "LUN %s of %s is %s%s", lun, owner ? owner->target->name : "no target",
                 text ? "not ready: " : "ready: ", text ? text : unit_name(u));
}

static void retry_later(Unit *u)
{
        Manager *m = u->manager;
        uint64_t most = MAX(RETRY_MAX, m->n_away * RETRY_PER_UNIT);
        uint64_t wait = min_u64(RETRY_FIRST << MIN(u->n_retries, 10U), most);

        if (u->state != UNIT_AWAY)
                return;
        u->n_retries++;
        loop_timer_in(m->loop, &u->retry, wait);
}

void unit_journal_away(Unit *u)
{
        if (u->journaled)
                return;
        u->journaled = true;
        journal_unit(u, LOG_WARNING, MSG_STORE_AWAY, u->reason ? u->reason : "");
}

static void unit_away(Unit *u, const char *reason)
{
        bool was_ready = u->state == UNIT_READY;

        unit_set_state(u, UNIT_AWAY, "%s", reason);
        if (u->listed)
                unit_journal_away(u);
        if (was_ready)
                unit_publish_store(u);
        retry_later(u);
}

/* What the workers were given fits what is open now, or a new LogicalUnit takes its place: block
 * geometry cannot change under an initiator's feet. */
static bool lu_fits(const Unit *u)
{
        const LuConfig *old = lu_config(u->lu);
        LuConfig new;

        unit_lu_config(u, &new);
        return old->lbppbe == new.lbppbe && old->thin == new.thin &&
               old->rotation_rate ==
                       new.rotation_rate &&lu_identity_equal(&old->identity, &new.identity);
}

void unit_publish_store(Unit *u)
{
        Store *store = u->state == UNIT_READY && u->spec->online ? u->store : NULL;

        if (!u->lu)
                return;
        if (store && !lu_fits(u)) {
                unit_drop_lu(u);
                unit_republish(u);
                return;
        }
        unit_change(u, u->lu, LU_CHANGE_STORE, store, NULL);
        if (store)
                unit_change(u, u->lu, LU_CHANGE_STATE, NULL, NULL);
}

static void unit_ready(Unit *u)
{
        u->n_retries = 0;
        u->refused = false;
        loop_timer_cancel(u->manager->loop, &u->retry);
        unit_set_state(u, UNIT_READY, NULL);
        if (u->journaled) {
                journal_unit(u, LOG_NOTICE, MSG_STORE_READY, NULL);
                u->journaled = false;
        }
        unit_publish_store(u);
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool store_spec_equal(const LunSpec *a, const LunSpec *b)
{
        return g_strcmp0(a->bs_type, b->bs_type) == 0 &&
               g_strcmp0(a->bs_options, b->bs_options) == 0 && a->direct == b->direct &&
               a->sync == b->sync && a->size == b->size;
}

static void claim_store_id(Unit *u, const StoreIdentity *id)
{
        Manager *m = u->manager;

        if (u->has_store_id && g_hash_table_lookup(m->units_by_store, &u->store_id) == u)
                g_hash_table_remove(m->units_by_store, &u->store_id);
        u->store_id = *id;
        u->has_store_id = id->kind != 0;
        if (u->has_store_id)
                g_hash_table_replace(m->units_by_store, &u->store_id, u);
}

static void open_work(LoopJob *job)
{
        StoreJob *j = from_job(job);

        j->result = store_open(&j->spec, &j->store, &j->error);
}

/* Why it could not be opened; the store does not know what tgtd-open never opens. */
static char *open_reason(const StoreJob *j)
{
        if (j->result == -EACCES && j->path && open_policy_check_resolved(j->path, O_RDWR) < 0)
                return g_strdup_printf(
                        "%s: nothing below /etc, /usr, /boot, /proc, /sys and /run is "
                        "served; move it to /srv, for example",
                        j->path);
        return g_strdup(*j->error.text ? j->error.text : strerror(-j->result));
}

/* What is at path, without opening it: so that two names of one thing are one unit, and a device
 * that is ours already is not opened a second time. */
static void look_work(LoopJob *job)
{
        StoreJob *j = from_job(job);
        struct stat st;
        int fd;

        fd = opener_open(j->path, O_PATH | O_CLOEXEC, j->spec.open_userdata);
        if (fd < 0)
                j->result = fd;
        else if (fstat(fd, &st) < 0)
                j->result = -errno;
        else if (S_ISBLK(st.st_mode))
                j->id = (StoreIdentity){ .kind = 2, .a = st.st_rdev };
        else
                j->id = (StoreIdentity){ .kind = 1, .a = st.st_dev, .b = st.st_ino };
        safe_close(fd);
}

void unit_contradicts(Unit *u, Unit *other, const LunSpec *said)
{
        g_autofree char *where = origin_format(said->at);

        unit_leave_alias(u);
        u->refused = true;
        unit_set_state(u, UNIT_AWAY,
                       "%s is the same as %s (%s), which is configured differently; one disk "
                       "has one configuration",
                       unit_name(u), unit_name(other), where);
        if (u->listed)
                unit_journal_away(u);
        retry_later(u);
}

/* The same file or device as other, which is served. */
static void meet_served(Unit *u, Unit *other)
{
        if (!lun_specs_agree(u->spec, other->spec)) {
                unit_contradicts(u, other, other->spec);
                return;
        }
        identities_alias(u->manager->identities, u->key, other->key);
        unit_make_alias(u, other);
        u->refused = u->journaled = false;
        loop_timer_cancel(u->manager->loop, &u->retry);
        unit_set_state(u, UNIT_NEW, NULL);
}

/* ... as other, which is no longer served, but not closed yet. */
static void meet_leaving(Unit *u, Unit *other)
{
        if (other->state == UNIT_LINGERING && store_spec_equal(u->spec, other->spec) &&
            other->store_readonly == u->spec->readonly) {
                /* the store knows what is still under way in it: go on with the same one */
                StoreIdentity id = other->store_id;

                u->store = store_ref(other->store);
                u->store_readonly = other->store_readonly;
                (void)unit_claim(u);
                claim_store_id(u, &id);
                unit_ready(u);
                return;
        }
        unit_set_state(u, UNIT_OPENING, "%s: requests of its earlier use are still under way",
                       unit_name(u));
        loop_timer_in(u->manager->loop, &u->retry, CLOSING_RETRY);
}

/* The unit that u is recorded to be another name of, while it is not yet known what that is. */
static Unit *unseen_original(Unit *u)
{
        Manager *m = u->manager;
        const char *key = identities_original(m->identities, u->key);
        Unit *original = NULL;

        if (!key || u->spec->uuid)
                return NULL;
        if (m->current && m->current->candidates)
                original = g_hash_table_lookup(m->current->candidates, key);
        if (!original)
                original = g_hash_table_lookup(m->units_by_key, key);
        if (!original || original == u || original->has_store_id)
                return NULL;
        return original->state == UNIT_NEW || original->state == UNIT_OPENING ? original : NULL;
}

/* u's store is the thing id. true: nobody else's, it is u's from now on. */
static bool unit_takes(Unit *u, const StoreIdentity *id)
{
        Unit *other = g_hash_table_lookup(u->manager->units_by_store, id);

        if (other && other != u && other->state < UNIT_CLOSING)
                meet_served(u, other);
        else if (other && other != u)
                meet_leaving(u, other);
        else if (unseen_original(u))
                /* if that is another thing, the identity is its, not ours */
                loop_timer_in(u->manager->loop, &u->retry, ORIGINAL_RETRY);
        else if (unit_claim(u) < 0)
                unit_away(u, "No identity could be made");
        else {
                claim_store_id(u, id);
                return true;
        }
        return false;
}

/* What is found by looking is known not to be another's; what is on other machines is not. */
static bool is_remote(const Unit *u)
{
        const StoreType *type = store_type_find(u->spec->bs_type);

        return type && type->remote;
}

/* Once: it is the same for all of them. */
static void report_ring(Manager *m, int r)
{
        if (r >= 0 || m->ring_reported)
                return;
        m->ring_reported = true;
        if (r == -EOPNOTSUPP)
                log_info("Writes of bs-type aio to files go through threads: io_uring serves for "
                         "them from Linux 6.12 on.");
        else
                log_info("Writes of bs-type aio to files go through threads: io_uring is refused "
                         "(%s), by kernel.io_uring_disabled or by SystemCallFilter= of the unit.",
                         strerror(-r));
}

static void opened(Unit *u, StoreJob *j)
{
        StoreIdentity id = store_identity(j->store);

        if (is_remote(u)) {
                if (!unit_takes(u, &id))
                        return;
        } else {
                claim_store_id(u, &id);
                (void)unit_claim(u); /* what is not looked at first: in memory */
        }
        report_ring(u->manager, store_caps(j->store).ring_error);
        u->store = TAKE_PTR(j->store);
        u->store_readonly = j->spec.readonly;
        unit_ready(u);
}

static void open_done(LoopJob *job)
{
        StoreJob *j = from_job(job);
        Unit *u = j->unit;
        g_autofree char *reason = NULL;

        if (!store_job_over(j))
                ;
        else if (j->result < 0) {
                u->refused = j->result != -ENOENT && j->result != -ENXIO && j->result != -ENODEV;
                reason = open_reason(j);
                unit_away(u, reason);
        } else if (j->spec.readonly != u->spec->readonly || j->spec.size != u->spec->size) {
                /* the settings have changed meanwhile */
                g_clear_pointer(&j->store, store_unref);
                unit_start(u);
        } else
                opened(u, j);
        store_job_free(j);
}

static void unit_open(Unit *u)
{
        StoreJob *j = store_job_new(u, open_work, open_done);
        Manager *m = u->manager;

        manager_job(m, is_remote(u) ? &m->remote_lane : &m->open_lane, &j->job);
}

static void look_done(LoopJob *job)
{
        StoreJob *j = from_job(job);
        Unit *u = j->unit;
        g_autofree char *reason = NULL;

        if (!store_job_over(j))
                ;
        else if (j->result < 0) {
                reason = g_strdup_printf("%s: %s", j->path, strerror(-j->result));
                unit_away(u, reason);
        } else if (unit_takes(u, &j->id))
                unit_open(u);
        store_job_free(j);
}

static void again_done(LoopJob *job);
static void refresh_work(LoopJob *job);

void unit_start(Unit *u)
{
        Manager *m = u->manager;
        StoreJob *j;

        if (u->job || u->alias || u->predecessor || u->state > UNIT_AWAY ||
            u->state == UNIT_READY || m->state == MANAGER_STOPPING)
                return;
        if (u->store && u->state == UNIT_AWAY) {
                /* it was open: the same store comes back, with what it remembers */
                j = store_job_new(u, refresh_work, again_done);
                j->store = store_ref(u->store);
                manager_job(m, store_lane(u->store), &j->job);
                return;
        }
        if (lun_spec_is_empty(u->spec)) {
                (void)unit_claim(u);
                unit_ready(u);
                return;
        }
        if (u->state != UNIT_AWAY)
                unit_set_state(u, UNIT_OPENING, "%s is being opened", unit_name(u));
        if (!identity_has_path(u->spec)) {
                unit_open(u);
                return;
        }
        j = store_job_new(u, look_work, look_done);
        manager_job(m, &m->open_lane, &j->job);
}

static void reopen_closed(Unit *u)
{
        if (u->state != UNIT_CLOSING)
                return;
        u->store = store_unref(u->store);
        u->state = UNIT_NEW;
        unit_start(u);
}

void unit_reopen(Unit *u)
{
        loop_timer_cancel(u->manager->loop, &u->retry);
        unit_set_state(u, UNIT_CLOSING, "%s is being opened anew", unit_name(u));
        if (u->lu)
                unit_change(u, u->lu, LU_CHANGE_STORE, NULL, reopen_closed);
        else
                reopen_closed(u);
}

/* ---- refreshing ------------------------------------------------------------------------------ */

static void refresh_work(LoopJob *job)
{
        StoreJob *j = from_job(job);

        j->result = store_refresh(j->store, &j->spec, &j->error);
}

/* What waited for a job to end: the unit was closed meanwhile, to be opened anew. */
static void unit_go_on(Unit *u)
{
        if (u->state == UNIT_NEW && !u->store)
                unit_start(u);
}

/* After store_refresh() of a unit whose store is open. */
static void refreshed(Unit *u, StoreJob *j)
{
        StoreIdentity id = store_identity(j->store);
        const char *text = *j->error.text ? j->error.text : strerror(-j->result);

        if (j->result < 0) {
                unit_away(u, text);
                return;
        }
        if (u->has_store_id && memcmp(&id, &u->store_id, sizeof(id)) != 0) {
                claim_store_id(u, &id);
                /* another disk, whatever its name: initiators are not to go on as if nothing was */
                if (u->state == UNIT_READY)
                        unit_away(u, "another file or device stands under its path now");
        }
        if (u->state == UNIT_AWAY)
                unit_ready(u);
        if (j->result > 0 && u->lu) {
                unit_change(u, u->lu, LU_CHANGE_SIZE, NULL, NULL);
                OBSERVE(u->manager, unit_changed, u->uuid);
        }
}

static void again_done(LoopJob *job)
{
        StoreJob *j = from_job(job);

        if (store_job_over(j) && j->unit->store == j->store)
                refreshed(j->unit, j);
        if (j->done)
                j->done(j->result < 0 ? j->result : 0, j->error.text, j->userdata);
        unit_go_on(j->unit);
        store_job_free(j);
}

int unit_refresh(Unit *u, UnitJobDone *done, void *userdata)
{
        StoreJob *j;

        if (u->job || !u->store)
                return -EBUSY;
        j = store_job_new(u, refresh_work, again_done);
        j->store = store_ref(u->store);
        j->done = done;
        j->userdata = userdata;
        manager_job(u->manager, store_lane(u->store), &j->job);
        return 0;
}

static void configure_work(LoopJob *job)
{
        StoreJob *j = from_job(job);

        j->result = store_configure(j->store, j->options, &j->error);
}

static void configure_done(LoopJob *job)
{
        StoreJob *j = from_job(job);

        (void)store_job_over(j);
        j->done(j->result, j->error.text, j->userdata);
        unit_go_on(j->unit);
        store_job_free(j);
}

int unit_configure(Unit *u, const char *options, UnitJobDone *done, void *userdata)
{
        StoreJob *j;

        if (u->job || !u->store)
                return -EBUSY;
        j = store_job_new(u, configure_work, configure_done);
        j->store = store_ref(u->store);
        g_free(j->options);
        j->options = g_strdup(options);
        j->done = done;
        j->userdata = userdata;
        /* not on the store's lane: what hangs there is perhaps what is to be undone */
        manager_job(u->manager, &u->manager->open_lane, &j->job);
        return 0;
}

/* Round robin over all units, so that many cost no more than few. */
static void on_refresh(LoopTimer *timer)
{
        Manager *m = CONTAINER_OF(timer, Manager, refresh);
        size_t n = g_hash_table_size(m->units_by_key), begun = 0;
        GHashTableIter iter;
        gpointer value;
        size_t i = 0;

        if (m->refresh_next >= n)
                m->refresh_next = 0;
        g_hash_table_iter_init(&iter, m->units_by_key);
        while (begun < REFRESH_BATCH && g_hash_table_iter_next(&iter, NULL, &value)) {
                Unit *u = value;

                if (i++ < m->refresh_next)
                        continue;
                m->refresh_next++;
                if (u->state == UNIT_READY && u->has_store_id && unit_refresh(u, NULL, NULL) == 0)
                        begun++;
        }
        loop_timer_in(m->loop, &m->refresh, REFRESH_INTERVAL);
}

void refresh_init(Manager *m)
{
        m->refresh.fire = on_refresh;
        loop_timer_in(m->loop, &m->refresh, REFRESH_INTERVAL);
}

void refresh_stop(Manager *m)
{
        loop_timer_cancel(m->loop, &m->refresh);
}
