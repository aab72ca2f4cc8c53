/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager-internal.h"

#include <stdio.h>
#include <stdlib.h>

/* Formats and sanitizes. The device server does them (scsi/operation.c); here is what outlives it:
 * a mark per unit (operation-mark.h), what the journal and the bus are told, and how a client asks
 * for one. */

#define TELL_NS NSEC_PER_SEC
#define STOP_NS NSEC_PER_SEC
#define MARKS_AT_ONCE 4

static Unit *unit_of(Manager *m, const LogicalUnit *lu, char ret_uuid[37])
{
        uuid_format(lu_config(lu)->identity.uuid, ret_uuid);
        return g_hash_table_lookup(m->units, ret_uuid);
}

const LuOperation *operation_of(const Manager *m, const char *uuid)
{
        const OperationMark *mark = g_hash_table_lookup(m->operations, uuid);

        return mark ? &mark->what : NULL;
}

void operation_info(Manager *m, const Unit *u, UnitOperationInfo *ret)
{
        const OperationMark *mark = g_hash_table_lookup(m->operations, u->uuid);
        LuOperationInfo info = { 0 };

        *ret = (UnitOperationInfo){ .reason = "", .by = "" };
        if (!mark)
                return;
        if (u->lu)
                lu_operation(u->lu, &info);
        ret->kind = operation_kind_name(mark->what.kind);
        ret->failed = mark->what.failed;
        ret->reason = !mark->what.failed             ? ""
                      : mark->what.error == -ESTALE  ? "another disk may stand under its path"
                      : mark->what.error == -EBADMSG ? "what was kept of it is damaged"
                      : mark->what.error             ? strerror(-mark->what.error)
                                                     : "";
        ret->by = mark->what.by;
        ret->done = info.done;
        ret->total = info.total;
        ret->started_usec = mark->started_usec;
}

size_t manager_operations(const Manager *m, const char **ret, size_t max)
{
        GHashTableIter iter;
        gpointer uuid;
        size_t n = 0;

        g_hash_table_iter_init(&iter, m->operations);
        while (n < max && g_hash_table_iter_next(&iter, &uuid, NULL))
                if (g_hash_table_contains(m->units, uuid))
                        ret[n++] = uuid;
        return n;
}

uint64_t manager_operations_version(const Manager *m)
{
        return m->operations_version;
}

/* ---- the journal ----------------------------------------------------------------------------- */

static char *describe(const LuOperation *what)
{
        if (what->kind == LU_OPERATION_FORMAT)
                return g_strdup("format");
        if (what->kind == LU_OPERATION_BLOCK_ERASE)
                return g_strdup("sanitize by block erase");
        return g_strdup_printf("sanitize by %u overwrite%s", what->passes,
                               what->passes == 1 ? "" : "s");
}

/* what: of the operation; then: what has become of it. */
static void journal(Manager *m, const char *uuid, int priority, const char *id,
                    const LuOperation *what, const char *then)
{
        const Unit *u = g_hash_table_lookup(m->units, uuid);
        const UnitOwner *owner = u && u->owners && u->owners->len > 0
                                         ? &g_array_index(u->owners, UnitOwner, 0)
                                         : NULL;
        const char *name = u ? unit_name(u) : uuid;
        g_autofree char *operation = describe(what);
        g_autofree char *lun = owner ? g_strdup_printf("%u", owner->lun) : NULL;
        g_autofree char *text = g_strdup_printf("%s: %s %s%s%s", name, operation, then,
                                                *what->by ? ", asked for by " : "", what->by);

        log_send(priority, id,
                 LOG_FIELDS({ "TARGET", owner ? owner->target->name : NULL }, { "LUN", lun },
                            { "UNIT_UUID", uuid }, { "BACKING_STORE", name }, { "CHANGE", text }),
                 "%s", text);
}

static void journal_change(Manager *m, const char *uuid, const LuOperation *before,
                           const LuOperation *after)
{
        if (!after && before && before->failed)
                journal(m, uuid, LOG_NOTICE, MSG_OPERATION_DONE, before,
                        "had failed, and that is left behind");
        else if (!after && before)
                journal(m, uuid, LOG_NOTICE, MSG_OPERATION_DONE, before, "is over");
        else if (after && after->failed) {
                g_autofree char *why = g_strdup_printf("has failed: %s", strerror(-after->error));

                journal(m, uuid, LOG_ERR, MSG_OPERATION_FAILED, after, why);
        } else if (after && (!before || before->failed))
                journal(m, uuid, LOG_NOTICE, MSG_OPERATION, after, "begins");
}

/* ---- how far they are --------------------------------------------------------------------------
 */

static bool any_runs(const Manager *m)
{
        GHashTableIter iter;
        gpointer mark;

        g_hash_table_iter_init(&iter, m->operations);
        while (g_hash_table_iter_next(&iter, NULL, &mark))
                if (!((const OperationMark *)mark)->what.failed)
                        return true;
        return false;
}

static void tell_later(Manager *m)
{
        if (!m->operation_tell.at && m->state != MANAGER_STOPPING && any_runs(m))
                loop_timer_in(m->loop, &m->operation_tell, TELL_NS);
}

static void tell(LoopTimer *timer)
{
        Manager *m = CONTAINER_OF(timer, Manager, operation_tell);
        GHashTableIter iter;
        gpointer uuid, value;

        g_hash_table_iter_init(&iter, m->operations);
        while (g_hash_table_iter_next(&iter, &uuid, &value)) {
                const Unit *u = g_hash_table_lookup(m->units, uuid);
                OperationMark *mark = value;
                LuOperationInfo info;

                if (mark->what.failed || !u || !u->lu)
                        continue;
                lu_operation(u->lu, &info);
                if (info.done == mark->told)
                        continue;
                mark->told = info.done;
                OBSERVE(m, unit_progress, uuid);
        }
        tell_later(m);
}

/* ---- keeping --------------------------------------------------------------------------------- */

/* From a coordinator's thread to ours, to a job and back. */
typedef struct Keeping {
        Manager *manager;
        LogicalUnit *lu;     /* held */
        bool gone;           /* that is all: nothing is kept */
        OperationMark *mark; /* NULL: it goes */
        char uuid[37];
        char *text;
        int result;
        LoopTask task;
        LoopJob job;
} Keeping;

static void keeping_free(Keeping *k)
{
        lu_unref(k->lu);
        free(k->mark);
        g_free(k->text);
        free(k);
}

static void store_work(LoopJob *job)
{
        Keeping *k = CONTAINER_OF(job, Keeping, job);

        k->result = operation_mark_store(k->manager->operation_dir, k->uuid, k->text);
}

static void store_done(LoopJob *job)
{
        Keeping *k = CONTAINER_OF(job, Keeping, job);
        Manager *m = k->manager;

        m->n_jobs--;
        if (k->result < 0) {
                unsigned suppressed;

                if (ratelimit_pass(&m->store_rate, loop_now(m->loop), &suppressed))
                        log_error("%s/%s could not be %s: %s; the operation waits for that",
                                  m->operation_dir, k->uuid, k->text ? "written" : "removed",
                                  strerror(-k->result));
        } else {
                journal_change(m, k->uuid, operation_of(m, k->uuid),
                               k->mark ? &k->mark->what : NULL);
                if (k->mark)
                        g_hash_table_replace(m->operations, g_strdup(k->uuid), TAKE_PTR(k->mark));
                else
                        g_hash_table_remove(m->operations, k->uuid);
                m->operations_version++;
                manager_touch(m);
                if (g_hash_table_contains(m->units, k->uuid))
                        OBSERVE(m, unit_changed, k->uuid);
                tell_later(m);
        }
        lu_kept(k->lu, k->result);
        keeping_free(k);
}

static void keep_arrives(LoopTask *task)
{
        Keeping *k = CONTAINER_OF(task, Keeping, task);
        Manager *m = k->manager;
        const OperationMark *before;

        uuid_format(lu_config(k->lu)->identity.uuid, k->uuid);
        before = g_hash_table_lookup(m->operations, k->uuid);
        if (k->mark) {
                k->mark->started_usec = before && (k->mark->what.failed || !before->what.failed)
                                                ? before->started_usec
                                                : (uint64_t)g_get_real_time();
                k->text = operation_mark_format(k->mark, m->boot);
        }
        m->n_jobs++;
        k->job = (LoopJob){ .work = store_work, .done = store_done };
        manager_job(m, &m->operation_lane, &k->job);
}

static void gone_arrives(LoopTask *task)
{
        Keeping *k = CONTAINER_OF(task, Keeping, task);
        Unit *u = unit_of(k->manager, k->lu, k->uuid);

        if (u)
                (void)unit_refresh(u, NULL, NULL);
        keeping_free(k);
}

static Keeping *keeping_new(Manager *m, LogicalUnit *lu, const LuOperation *what)
{
        Keeping *k = calloc(1, sizeof(*k));

        if (!k)
                return NULL;
        if (what) {
                k->mark = calloc(1, sizeof(*k->mark));
                if (!k->mark) {
                        free(k);
                        return NULL;
                }
                k->mark->what = *what;
        }
        k->manager = m;
        k->lu = lu_ref(lu);
        return k;
}

/* On the coordinator's thread, as is on_gone(). */
static void on_keep(void *userdata, LogicalUnit *lu, const LuOperation *what)
{
        Manager *m = userdata;
        Keeping *k = keeping_new(m, lu, what);

        if (!k) {
                lu_kept(lu, -ENOMEM);
                return;
        }
        k->task.run = keep_arrives;
        loop_post(m->loop, &k->task);
}

/* Without memory nobody is told: the store is looked at every now and then anyway. */
static void on_gone(void *userdata, LogicalUnit *lu)
{
        Manager *m = userdata;
        Keeping *k = keeping_new(m, lu, NULL);

        if (!k)
                return;
        k->task.run = gone_arrives;
        loop_post(m->loop, &k->task);
}

/* ---- at start ----------------------------------------------------------------------------------
 */

static void found_mark(void *userdata, const char *uuid, int r, const char *text)
{
        Manager *m = userdata;
        OperationMark *mark = calloc(1, sizeof(*mark));

        if (!mark)
                return;
        if (r >= 0)
                r = operation_mark_parse(text, m->boot, mark);
        if (r < 0) {
                log_error(
                        "%s/%s cannot be read: %s; its unit was being formatted or sanitized, and "
                        "is not served until that is done again, or left behind by "
                        "\"tgtctl sanitize --exit-failure\"",
                        m->operation_dir, uuid, strerror(-r));
                operation_mark_unreadable(mark, r);
        } else if (!mark->what.failed)
                journal(m, uuid, LOG_NOTICE, MSG_OPERATION, &mark->what, "goes on");
        g_hash_table_replace(m->operations, g_strdup(uuid), mark);
}

void operations_open(Manager *m)
{
        int r;

        m->operations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free);
        m->operation_dir = g_build_filename(m->state_dir, "operations", NULL);
        m->operation_lane.max = MARKS_AT_ONCE;
        m->operation_tell.fire = tell;
        m->keeper = (LuKeeper){ .keep = on_keep, .gone = on_gone, .userdata = m };
        operation_boot_id(m->boot);
        r = operation_marks_load(m->operation_dir, found_mark, m);
        if (r < 0)
                log_error(
                        "%s: %s; if units were being formatted or sanitized, they are served now, "
                        "and that does not go on",
                        m->operation_dir, strerror(-r));
        tell_later(m);
}

void operations_close(Manager *m)
{
        if (m->operations)
                g_hash_table_unref(m->operations);
        m->operations = NULL;
        g_free(m->operation_dir);
}

/* ---- at the end --------------------------------------------------------------------------------
 */

typedef struct OperationStop {
        Manager *manager;
        void (*then)(Manager *m);
        unsigned n_pending;
        bool over; /* time was, for those that hang */
        LoopTimer timer;
} OperationStop;

static void stop_over(OperationStop *s)
{
        if (s->over)
                return;
        s->over = true;
        loop_timer_cancel(s->manager->loop, &s->timer);
        s->then(s->manager);
}

static void on_stop_timer(LoopTimer *timer)
{
        stop_over(CONTAINER_OF(timer, OperationStop, timer));
}

static void on_suspended(void *userdata, int r)
{
        OperationStop *s = userdata;

        if (--s->n_pending > 0)
                return;
        stop_over(s);
        g_free(s);
}

void operations_suspend(Manager *m, void (*then)(Manager *m))
{
        OperationStop *s = g_new0(OperationStop, 1);
        GHashTableIter iter;
        gpointer value;

        loop_timer_cancel(m->loop, &m->operation_tell);
        *s = (OperationStop){ .manager = m, .then = then, .n_pending = 1 };
        s->timer.fire = on_stop_timer;
        loop_timer_in(m->loop, &s->timer, STOP_NS);
        g_hash_table_iter_init(&iter, m->units);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const Unit *u = value;
                LuOperationInfo info = { 0 };

                if (u->lu)
                        lu_operation(u->lu, &info);
                if (info.kind != LU_OPERATION_NONE && !info.failed &&
                    lu_operate(u->lu, LU_OPERATE_SUSPEND, NULL, m->loop, on_suspended, s) >= 0)
                        s->n_pending++;
        }
        on_suspended(s, 0);
}

/* ---- clients -----------------------------------------------------------------------------------
 */

static void on_operate(void *userdata, int r)
{
        static const struct {
                int error;
                const char *name, *text;
        } errors[] = {
                { EBUSY, ERROR_IN_USE,
                  "An operation is under way there already; wait for its end" },
                { EROFS, ERROR_INVALID, "It is read-only, or an initiator has write-protected it" },
                { ENODEV, ERROR_BACKING_STORE, "It is not ready: nothing could be changed" },
                { EPERM, ERROR_INVALID,
                  "It was begun so that only another one that succeeds leads out of its failure" },
        };

        if (r == 0) {
                action_over(userdata, NULL, NULL);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (errors[i].error == -r) {
                        action_over(userdata, errors[i].name, errors[i].text);
                        return;
                }
        action_over(userdata, ERROR_FAILED,
                    "It could not be recorded in the state directory, so nothing was begun; the "
                    "journal says why");
}

/* Initiators at any target that maps u; newly allocated, NULL: none. */
static char *users_of(Manager *m, const Unit *u)
{
        UnitMapping mappings[64];
        size_t n = manager_unit_mappings(m, u->uuid, mappings, ELEMENTSOF(mappings));

        for (size_t i = 0; i < n; i++) {
                char *who = sessions_initiators(m, mappings[i].target);

                if (who)
                        return who;
        }
        return NULL;
}

/* -1 with *e set. */
static int check_wish(Manager *m, const Unit *u, const UnitOperation *wish, BusError *e)
{
        g_autofree char *who = NULL;
        uint32_t block;

        if (!u)
                return bus_error_set(e, ERROR_NOT_FOUND, "There is no such unit");
        if (!u->lu)
                return bus_error_set(e, ERROR_BACKING_STORE, "It is not served yet");
        block = lu_config(u->lu)->block_size;
        if (wish->n_pattern > MIN(block, UNIT_PATTERN_MAX))
                return bus_error_set(e, ERROR_INVALID,
                                     "The pattern is longer than a block of %u bytes", block);
        if (wish->passes > 31)
                return bus_error_set(e, ERROR_INVALID, "passes: expected a number from 1 to 31");
        who = wish->force || STREQ(wish->kind, "exit-failure") ? NULL : users_of(m, u);
        if (who)
                return bus_error_set(e, ERROR_IN_USE,
                                     "In use by %s; end the sessions first, or use force to take "
                                     "the data away under them",
                                     who);
        return 0;
}

static LuOperationKind kind_of(const char *name)
{
        for (LuOperationKind kind = LU_OPERATION_FORMAT; operation_kind_name(kind); kind++)
                if (STREQ(name, operation_kind_name(kind)))
                        return kind;
        return LU_OPERATION_NONE; /* "exit-failure" */
}

static void fill_operation(LuOperation *ret, LuOperationKind kind, const Caller *caller,
                           const UnitOperation *wish)
{
        *ret = (LuOperation){
                .kind = kind,
                .unrestricted = !wish->restricted,
                .invert = wish->invert,
                .passes = (uint8_t)MAX(wish->passes, 1U),
                .pattern_length = (uint16_t)wish->n_pattern,
        };
        if (wish->n_pattern > 0)
                memcpy(ret->pattern, wish->pattern, wish->n_pattern);
        else if (kind == LU_OPERATION_OVERWRITE)
                ret->pattern_length = 1;
        snprintf(ret->by, sizeof(ret->by), "uid %u (%s)", (unsigned)caller->uid,
                 caller->name ? caller->name : "");
}

void manager_unit_operate(Manager *m, const Caller *caller, const char *uuid,
                          const UnitOperation *wish, EditDone *done, void *userdata,
                          GDestroyNotify destroy)
{
        LuOperationKind kind = kind_of(wish->kind);
        Unit *u = g_hash_table_lookup(m->units, uuid);
        Action *a = action_new(m, caller, done, userdata, destroy,
                               g_strdup_printf("~ unit %s: %s", uuid, wish->kind));
        BusError e = { 0 };
        LuOperation what;
        int r;

        if (m->state == MANAGER_STOPPING)
                bus_error_set(&e, ERROR_FAILED, "The daemon is stopping");
        else
                (void)check_wish(m, u, wish, &e);
        if (e.name) {
                action_over(a, e.name, e.text);
                bus_error_clear(&e);
                return;
        }
        fill_operation(&what, kind, caller, wish);
        r = lu_operate(u->lu, kind == LU_OPERATION_NONE ? LU_OPERATE_EXIT : LU_OPERATE_START, &what,
                       m->loop, on_operate, a);
        if (r < 0)
                on_operate(a, r);
}
