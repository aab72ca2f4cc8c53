/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "fake-manager.h"

typedef struct Answer {
        Manager *manager;
        EditDone *done;
        SessionsDone *sessions_done;
        GArray *sessions;
        IoLatency latency; /* of each of them */
        void *userdata;
        GDestroyNotify destroy;
        EditResult result;
        sd_event_source *source;
} Answer;

#define CALL(m, member, ...)                                                          \
        do {                                                                          \
                if ((m)->observer)                                                    \
                        (m)->observer->member((m)->observer_userdata, ##__VA_ARGS__); \
        } while (0)

static void answer_free(Answer *a)
{
        sd_event_source_disable_unref(a->source);
        bus_error_clear(&a->result.error);
        g_clear_pointer(&a->result.changes, g_ptr_array_unref);
        g_clear_pointer(&a->result.details, g_ptr_array_unref);
        g_clear_pointer(&a->result.problems, g_ptr_array_unref);
        g_clear_pointer(&a->sessions, g_array_unref);
        g_free(a);
}

static int give_answer(sd_event_source *source, void *userdata)
{
        Answer *a = userdata;
        Manager *m = a->manager;

        if (m->hold)
                return 0;
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
        if (a->done)
                a->done(&a->result, a->userdata);
        else
                a->sessions_done((const SessionInfo *)(void *)a->sessions->data, a->sessions->len,
                                 a->userdata);
        if (a->destroy)
                a->destroy(a->userdata);
        g_ptr_array_remove(m->pending, a);
        return 0;
}

static Answer *answer_new(Manager *m, EditDone *done, void *userdata, GDestroyNotify destroy)
{
        Answer *a = g_new0(Answer, 1);

        a->manager = m;
        a->done = done;
        a->userdata = userdata;
        a->destroy = destroy;
        a->result.changes = g_ptr_array_new_with_free_func(g_free);
        a->result.details = g_ptr_array_new_with_free_func((GDestroyNotify)change_detail_free);
        a->result.problems = g_ptr_array_new_with_free_func((GDestroyNotify)problem_free);
        g_ptr_array_add(m->pending, a);
        if (sd_event_add_defer(m->event, &a->source, give_answer, a) < 0)
                g_error("sd_event_add_defer");
        if (m->hold)
                (void)sd_event_source_set_enabled(a->source, SD_EVENT_OFF);
        return a;
}

Manager *fake_manager_new(sd_event *event)
{
        Manager *m = g_new0(Manager, 1);

        m->event = sd_event_ref(event);
        m->desired = desired_new();
        m->generation = 1;
        m->trusted = g_strdup("/srv");
        m->pending = g_ptr_array_new_with_free_func((GDestroyNotify)answer_free);
        m->sessions = g_ptr_array_new_with_free_func(g_free);
        m->ended = g_ptr_array_new_with_free_func(g_free);
        return m;
}

Manager *fake_manager_free(Manager *m)
{
        if (!m)
                return NULL;
        g_ptr_array_unref(m->pending);
        g_ptr_array_unref(m->sessions);
        g_ptr_array_unref(m->ended);
        desired_free(m->desired);
        g_free(m->trusted);
        g_free(m->caller_name);
        sd_event_unref(m->event);
        g_free(m);
        return NULL;
}

void fake_manager_release(Manager *m)
{
        m->hold = false;
        for (guint i = 0; i < m->pending->len; i++) {
                Answer *a = g_ptr_array_index(m->pending, i);

                (void)sd_event_source_set_enabled(a->source, SD_EVENT_ONESHOT);
        }
}

/* ---- changes ---- */

static void remember(Manager *m, const Caller *caller, const EditOptions *options)
{
        m->caller_uid = caller->uid;
        m->caller_pid = caller->pid;
        g_free(m->caller_name);
        m->caller_name = g_strdup(caller->name);
        if (options)
                m->options = *options;
}

static char *unit_uuid(const char *target, uint16_t lun)
{
        return g_strdup_printf("%08x-0000-4000-8000-00000000%04x", g_str_hash(target), lun);
}

static void observe_units(Manager *m, const TargetSpec *t, bool added)
{
        for (guint i = 0; i < t->luns->len; i++) {
                const LunSpec *l = g_ptr_array_index(t->luns, i);
                g_autofree char *uuid = unit_uuid(t->name, l->lun);

                if (added)
                        CALL(m, unit_added, uuid);
                else
                        CALL(m, unit_removed, uuid);
        }
}

static void observe(Manager *m, const Change *c)
{
        const TargetSpec *t = c->after ? c->after : c->before;
        g_autofree char *uuid = NULL;

        switch (c->kind) {
        case CHANGE_ADD_TARGET:
                CALL(m, target_added, t->name);
                observe_units(m, t, true);
                break;
        case CHANGE_REMOVE_TARGET:
                observe_units(m, t, false);
                CALL(m, target_removed, t->name);
                break;
        case CHANGE_ADD_LUN:
                uuid = unit_uuid(t->name, c->lun_after->lun);
                CALL(m, unit_added, uuid);
                CALL(m, target_changed, t->name);
                break;
        case CHANGE_REMOVE_LUN:
                uuid = unit_uuid(t->name, c->lun_before->lun);
                CALL(m, unit_removed, uuid);
                CALL(m, target_changed, t->name);
                break;
        case CHANGE_ADD_PORTAL:
        case CHANGE_REMOVE_PORTAL:
                CALL(m, portals_changed);
                break;
        case CHANGE_DISCOVERY:
        case CHANGE_ACCOUNTS:
                break;
        default:
                CALL(m, target_changed, t->name);
        }
}

void manager_edit(Manager *m, const Caller *caller, const EditOptions *options,
                  const char *const *targets, EditFunc *edit, EditDone *done, void *userdata,
                  GDestroyNotify destroy)
{
        Answer *a = answer_new(m, done, userdata, destroy);
        Desired *after, *before = m->desired;
        g_autoptr(GPtrArray) diff = NULL;

        remember(m, caller, options);
        if (options->has_generation && options->generation != m->generation) {
                bus_error_set(&a->result.error, ERROR_CONFLICT, "generation is %" PRIu64,
                              m->generation);
                return;
        }
        after = desired_dup(before);
        if (edit(after, userdata, &a->result.error) < 0) {
                desired_free(after);
                return;
        }
        m->n_edits++;
        diff = config_diff(before, after);
        for (guint i = 0; i < diff->len; i++) {
                g_ptr_array_add(a->result.changes, change_format(g_ptr_array_index(diff, i)));
                if (options->detailed)
                        g_ptr_array_add(a->result.details, change_detail_new(diff->pdata[i]));
        }
        if (options->dry_run) {
                g_clear_pointer(&diff, g_ptr_array_unref);
                desired_free(after);
                return;
        }
        m->desired = after;
        m->generation++;
        for (guint i = 0; i < diff->len; i++)
                observe(m, g_ptr_array_index(diff, i));
        CALL(m, changed);
        g_clear_pointer(&diff, g_ptr_array_unref);
        desired_free(before);
}

void manager_confirm(Manager *m, const Caller *caller, const EditOptions *options, EditDone *done,
                     void *userdata, GDestroyNotify destroy)
{
        Answer *a = answer_new(m, done, userdata, destroy);

        remember(m, caller, options);
        bus_error_set(&a->result.error, ERROR_NOT_FOUND, "nothing waits");
}

void manager_rollback(Manager *m, const Caller *caller, const EditOptions *options, EditDone *done,
                      void *userdata, GDestroyNotify destroy)
{
        manager_confirm(m, caller, options, done, userdata, destroy);
}

bool manager_armed(const Manager *m, ArmedInfo *ret)
{
        return false;
}

void manager_reload(Manager *m, const Caller *caller, const EditOptions *options, EditDone *done,
                    void *userdata, GDestroyNotify destroy)
{
        Answer *a = answer_new(m, done, userdata, destroy);
        Problem *p = g_new0(Problem, 1);

        remember(m, caller, options);
        p->level = PROBLEM_ERROR;
        p->at = (Origin){ g_intern_string("/etc/tgt/targets.d/a.conf"), 7 };
        p->directive = g_strdup("lun");
        p->text = g_strdup("a number expected");
        g_ptr_array_add(a->result.problems, p);
        g_ptr_array_add(a->result.changes, g_strdup("+ target iqn.x"));
}

static void note_work(Manager *m, const Caller *caller, char *what, EditDone *done, void *userdata,
                      GDestroyNotify destroy)
{
        (void)answer_new(m, done, userdata, destroy);
        remember(m, caller, NULL);
        g_ptr_array_add(m->ended, what);
}

void manager_unit_configure(Manager *m, const Caller *caller, const char *uuid, const char *options,
                            EditDone *done, void *userdata, GDestroyNotify destroy)
{
        note_work(m, caller, g_strdup_printf("configure %s", options), done, userdata, destroy);
}

FileMaking *manager_copy_unit(Manager *m, const Caller *caller, const char *uuid,
                              const FileWish *wish, FileDone *done, void *userdata, BusError *e)
{
        if (strstr(wish->path, "busy")) {
                bus_error_set(e, ERROR_IN_USE, "It can be written");
                return NULL;
        }
        return manager_make_file(m, wish, done, userdata);
}

size_t manager_operations(const Manager *m, const char **ret, size_t max)
{
        return 0;
}

uint64_t manager_operations_version(const Manager *m)
{
        return 0;
}

void manager_unit_operate(Manager *m, const Caller *caller, const char *uuid,
                          const UnitOperation *wish, EditDone *done, void *userdata,
                          GDestroyNotify destroy)
{
        GString *s = g_string_new(wish->kind);

        g_string_append_printf(s, " %u", wish->passes);
        for (size_t i = 0; i < wish->n_pattern; i++)
                g_string_append_printf(s, "%s%02x", i == 0 ? " " : "", wish->pattern[i]);
        g_string_append_printf(s, "%s%s%s", wish->invert ? " invert" : "",
                               wish->restricted ? " restricted" : "", wish->force ? " force" : "");
        m->operation = (UnitOperationInfo){
                .kind = "format", .reason = "", .by = "me", .done = 3, .total = 8, .started_usec = 5
        };
        note_work(m, caller, g_string_free(s, FALSE), done, userdata, destroy);
        CALL(m, unit_progress, uuid);
}

void manager_unit_refresh(Manager *m, const Caller *caller, const char *uuid, EditDone *done,
                          void *userdata, GDestroyNotify destroy)
{
        note_work(m, caller, g_strdup_printf("refresh %s", uuid), done, userdata, destroy);
}

void manager_end_session(Manager *m, const Caller *caller, uint64_t id, EditDone *done,
                         void *userdata, GDestroyNotify destroy)
{
        note_work(m, caller, g_strdup_printf("end %" PRIu64, id), done, userdata, destroy);
        fake_manager_remove_session(m, id);
}

/* ---- reading ---- */

const Desired *manager_desired(const Manager *m)
{
        return m->desired;
}

uint64_t manager_generation(const Manager *m)
{
        return m->generation;
}

const char *manager_state(const Manager *m)
{
        return "running";
}

bool manager_path_is_trusted(const Manager *m, const char *path)
{
        size_t n = strlen(m->trusted);

        return strncmp(path, m->trusted, n) == 0 && path[n] == '/' && !strstr(path, "/..");
}

ConfigCheckParam *manager_check_param(void)
{
        return NULL;
}

const char *const *manager_store_types(const Manager *m)
{
        static const char *const types[] = { "rdwr", "null", NULL };

        return types;
}

GPtrArray *manager_target_params(const Manager *m, const TargetSpec *t)
{
        GPtrArray *params = g_ptr_array_new_with_free_func(g_free);

        g_ptr_array_add(params, g_strdup("MaxBurstLength"));
        g_ptr_array_add(params, g_strdup("262144"));
        return params;
}

uint32_t manager_target_tid(const Manager *m, const char *target)
{
        return g_hash_table_contains(m->desired->targets, target) ? 7 : 0;
}

const char *manager_target_of_tid(const Manager *m, uint32_t tid)
{
        GHashTableIter iter;
        gpointer name = NULL;

        g_hash_table_iter_init(&iter, m->desired->targets);
        return tid == 7 && g_hash_table_iter_next(&iter, &name, NULL) ? name : NULL;
}

typedef struct Unit {
        const TargetSpec *target;
        const LunSpec *lun;
        const char *uuid; /* interned */
} Unit;

static int compare_units(const void *a, const void *b)
{
        return strcmp(((const Unit *)a)->uuid, ((const Unit *)b)->uuid);
}

static GArray *units(const Manager *m)
{
        GArray *all = g_array_new(FALSE, TRUE, sizeof(Unit));
        GHashTableIter i;
        gpointer value;

        g_hash_table_iter_init(&i, m->desired->targets);
        while (g_hash_table_iter_next(&i, NULL, &value)) {
                const TargetSpec *t = value;

                for (guint j = 0; j < t->luns->len; j++) {
                        const LunSpec *l = g_ptr_array_index(t->luns, j);
                        g_autofree char *uuid = unit_uuid(t->name, l->lun);
                        Unit unit = { t, l, g_intern_string(uuid) };

                        g_array_append_val(all, unit);
                }
        }
        g_array_sort(all, compare_units);
        return all;
}

size_t manager_n_units(const Manager *m)
{
        g_autoptr(GArray) all = units(m);

        return all->len;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t manager_target_names(Manager *m, const char *after, const char **ret, size_t max)
{
        guint n_names;
        g_autofree gpointer *names =
                g_hash_table_get_keys_as_array(manager_desired(m)->targets, &n_names);
        size_t n = 0;

        qsort(names, n_names, sizeof(*names), compare_names);
        for (guint i = 0; i < n_names && n < max; i++)
                if (!after || strcmp(names[i], after) > 0)
                        ret[n++] = names[i];
        return n;
}

size_t manager_unit_uuids(Manager *m, const char *after, const char **ret, size_t max)
{
        g_autoptr(GArray) all = units(m);
        size_t n = 0;

        for (guint i = 0; i < all->len && n < max; i++) {
                const Unit *u = &g_array_index(all, Unit, i);

                if (!after || strcmp(u->uuid, after) > 0)
                        ret[n++] = u->uuid;
        }
        return n;
}

static bool find_unit(Manager *m, const char *uuid, Unit *ret)
{
        g_autoptr(GArray) all = units(m);

        for (guint i = 0; i < all->len; i++)
                if (STREQ(g_array_index(all, Unit, i).uuid, uuid)) {
                        *ret = g_array_index(all, Unit, i);
                        return true;
                }
        return false;
}

int manager_unit(Manager *m, const char *uuid, UnitInfo *ret)
{
        Unit u;

        if (!find_unit(m, uuid, &u))
                return -ENOENT;
        *ret = (UnitInfo){ .uuid = u.uuid,
                           .state = "ready",
                           .reason = "",
                           .spec = u.lun,
                           .size = MIB,
                           .block_size = 512,
                           .scsi_id = "id",
                           .serial = "serial",
                           .vendor = "vendor",
                           .product = "product\xff", /* not UTF-8 */
                           .revision = "1",
                           .naa = "60",
                           .reads = 3,
                           .operation = m->operation };
        return 0;
}

static void fake_latency(IoLatency *ret)
{
        *ret = (IoLatency){ 0 };
        times_add(&ret->read, 100);
        times_add(&ret->read, 100);
        times_add(&ret->read, 5000);
}

int manager_unit_latency(Manager *m, const char *uuid, IoLatency *ret)
{
        Unit u;

        if (!find_unit(m, uuid, &u))
                return -ENOENT;
        fake_latency(ret);
        return 0;
}

void manager_nexuses(Manager *m, uint64_t session, uint32_t lun, size_t max, NexusesDone *done,
                     void *userdata)
{
        NexusInfo rows[4];
        size_t n = 0;

        for (guint i = 0; i < m->sessions->len; i++) {
                const FakeSession *s = g_ptr_array_index(m->sessions, i);

                for (uint16_t l = 1; l <= 2 && n < MIN(max, ELEMENTSOF(rows)); l++)
                        if (s->info.id > session || (s->info.id == session && l >= lun))
                                rows[n++] = (NexusInfo){ .session = s->info.id,
                                                         .target = s->info.target,
                                                         .initiator = s->info.initiator,
                                                         .lun = l,
                                                         .reads = 7 };
        }
        done(0, rows, n, userdata);
}

void manager_workers(Manager *m, WorkersDone *done, void *userdata)
{
        IoLatency latency;
        const WorkerInfo rows[] = { { .index = 0, .turns = 10, .latency = &latency },
                                    { .index = 1, .turns = 11, .latency = &latency } };

        fake_latency(&latency);
        done(0, rows, ELEMENTSOF(rows), userdata);
}

size_t manager_unit_mappings(Manager *m, const char *uuid, UnitMapping *ret, size_t max)
{
        Unit u;

        if (!find_unit(m, uuid, &u))
                return 0;
        if (max > 0)
                ret[0] = (UnitMapping){ u.target->name, u.lun->lun };
        if (!m->shared_with)
                return 1;
        if (max > 1)
                ret[1] = (UnitMapping){ m->shared_with, 5 };
        return 2;
}

const char *manager_unit_of(Manager *m, const char *target, uint16_t lun)
{
        const TargetSpec *t = g_hash_table_lookup(m->desired->targets, target);
        g_autofree char *uuid = unit_uuid(target, lun);

        return t && target_spec_find_lun(t, lun) ? g_intern_string(uuid) : NULL;
}

size_t manager_portals(const Manager *m, PortalInfo *ret, size_t max)
{
        size_t n = 0;

        for (guint i = 0; i < m->desired->portals->len && n < max; i++) {
                const PortalSpec *p = g_ptr_array_index(m->desired->portals, i);

                ret[n++] = (PortalInfo){ p->address, 1, "command" };
        }
        return n;
}

/* ---- sessions ---- */

static FakeSession *find_session(Manager *m, uint64_t id, guint *ret_index)
{
        for (guint i = 0; i < m->sessions->len; i++) {
                FakeSession *s = g_ptr_array_index(m->sessions, i);

                if (s->info.id == id) {
                        *ret_index = i;
                        return s;
                }
        }
        return NULL;
}

void fake_manager_add_session(Manager *m, uint64_t id, const char *target)
{
        FakeSession *s = g_new0(FakeSession, 1);

        s->info = (SessionInfo){ .id = id,
                                 .target = g_intern_string(target),
                                 .initiator = "iqn.initiator",
                                 .alias = "\xff",
                                 .peer = "10.0.0.1:5000",
                                 .portal = "10.0.0.2:3260",
                                 .tsih = 1,
                                 .isid = "00023d000001",
                                 .header_digest = true,
                                 .since_usec = 5 };
        g_ptr_array_add(m->sessions, s);
        CALL(m, session_added, id, s->info.target);
}

void fake_manager_remove_session(Manager *m, uint64_t id)
{
        guint i;
        FakeSession *s = find_session(m, id, &i);
        const char *target;

        if (!s)
                return;
        target = s->info.target;
        g_ptr_array_remove_index(m->sessions, i);
        CALL(m, session_removed, id, target);
}

int manager_session(Manager *m, uint64_t id, SessionInfo *ret)
{
        guint i;
        FakeSession *s = find_session(m, id, &i);

        if (!s)
                return -ENOENT;
        *ret = s->info;
        return 0;
}

size_t manager_session_ids(Manager *m, uint64_t after, uint64_t *ret, size_t max)
{
        size_t n = 0;

        for (guint i = 0; i < m->sessions->len && n < max; i++) {
                const FakeSession *s = g_ptr_array_index(m->sessions, i);

                if (s->info.id > after)
                        ret[n++] = s->info.id;
        }
        return n;
}

void manager_sessions(Manager *m, const char *target, uint64_t after, size_t max,
                      SessionsDone *done, void *userdata, GDestroyNotify destroy)
{
        Answer *a = answer_new(m, NULL, userdata, destroy);

        a->sessions_done = done;
        a->sessions = g_array_new(FALSE, FALSE, sizeof(SessionInfo));
        for (guint i = 0; i < m->sessions->len && a->sessions->len < max; i++) {
                const FakeSession *s = g_ptr_array_index(m->sessions, i);

                if (s->info.id > after && (!target || STREQ(s->info.target, target)))
                        g_array_append_val(a->sessions, s->info);
        }
        for (guint i = 0; i < a->sessions->len; i++)
                g_array_index(a->sessions, SessionInfo, i).rx_bytes = FAKE_FRESH_BYTES;
}

void manager_session_stats(Manager *m, uint64_t after, size_t max, SessionsDone *done,
                           void *userdata)
{
        Answer *a;

        manager_sessions(m, NULL, after, max, done, userdata, NULL);
        a = g_ptr_array_index(m->pending, m->pending->len - 1);
        fake_latency(&a->latency);
        for (guint i = 0; i < a->sessions->len; i++)
                g_array_index(a->sessions, SessionInfo, i).latency = &a->latency;
}

unsigned manager_n_sessions(const Manager *m, const char *target)
{
        unsigned n = 0;

        for (guint i = 0; i < m->sessions->len; i++) {
                const FakeSession *s = g_ptr_array_index(m->sessions, i);

                if (!target || STREQ(s->info.target, target))
                        n++;
        }
        return n;
}

void manager_set_observer(Manager *m, const ManagerObserver *observer, void *userdata)
{
        m->observer = observer;
        m->observer_userdata = userdata;
}

/* ---- the process ---- */

bool manager_is_offline(const Manager *m)
{
        return m->offline;
}

void manager_set_offline(Manager *m, const Caller *caller, bool offline)
{
        remember(m, caller, NULL);
        m->offline = offline;
        CALL(m, changed);
}

bool manager_is_debugging(const Manager *m)
{
        return m->debugging;
}

void manager_set_debugging(Manager *m, const Caller *caller, bool debugging)
{
        remember(m, caller, NULL);
        m->debugging = debugging;
        CALL(m, changed);
}

const char *manager_targets_conf(const Manager *m)
{
        return "/etc/tgt/targets.conf";
}

void manager_quit(Manager *m, const Caller *caller)
{
        remember(m, caller, NULL);
        g_ptr_array_add(m->ended, g_strdup("quit"));
}

/* ---- files: no more than their names ---- */

struct FileMaking {
        Manager *manager;
        char *path;
        FileDone *done;
        void *userdata;
        bool cancelled;
};

static void file_answer(const EditResult *result, void *userdata)
{
        FileMaking *f = userdata;
        BusError e = { 0 };

        if (f->cancelled)
                bus_error_set(&e, ERROR_FAILED, "it was given up");
        else if (g_str_has_suffix(f->path, "full.img"))
                bus_error_set(&e, ERROR_BACKING_STORE, "there is no room for it");
        else
                CALL(f->manager, file_progress, f->path, 1, 2);
        f->done(f->path, &e, f->userdata);
        bus_error_clear(&e);
}

FileMaking *manager_make_file(Manager *m, const FileWish *wish, FileDone *done, void *userdata)
{
        FileMaking *f = g_new0(FileMaking, 1);

        f->manager = m;
        f->path = wish->path
                          ? g_strdup(wish->path)
                          : manager_file_path(wish->folder ? wish->folder : manager_file_folder(m),
                                              wish->target);
        f->done = done;
        f->userdata = userdata;
        g_ptr_array_add(m->ended, g_strdup_printf("make %s%s%s", f->path,
                                                  wish->preallocate ? " preallocate" : "",
                                                  wish->numbered ? " numbered" : ""));
        (void)answer_new(m, file_answer, f, NULL);
        return f;
}

void manager_cancel_file(FileMaking *f)
{
        f->cancelled = true;
}

void manager_end_file(FileMaking *f, bool keep)
{
        if (!f)
                return;
        g_ptr_array_add(f->manager->ended,
                        g_strdup_printf("%s %s", keep ? "keep" : "drop", f->path));
        g_free(f->path);
        g_free(f);
}

const char *manager_file_folder(const Manager *m)
{
        return "/srv/disks";
}

char *manager_file_path(const char *folder, const char *target)
{
        return g_strdup_printf("%s/%s.img", folder, target);
}
