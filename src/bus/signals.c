/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <time.h>

#include "bus/objects.h"

/* What the manager reports is noted, and said once at the end of the turn: an object that came and
 * went meanwhile is not mentioned, one that changed ten times changed once. Whether it is there
 * now is asked of the model; whether it was there before is what the first report says. What hangs
 * below a target has no reports of its own, so the paths that clients were told are kept. */

#define REJECTED_BURST 20
#define REJECTED_INTERVAL_NS (200 * NSEC_PER_MSEC)

typedef struct Pending {
        ObjectKind kind;
        char *path, *name; /* name: of a target, UUID of a unit */
        uint64_t id;       /* of a session */
        bool existed;
        bool all;      /* any property may have changed */
        bool sessions; /* NSessions has */
        bool progress; /* of the operation of a unit */
} Pending;

/* The manager's own properties as they were last told: it reports every turn in which something
 * may have moved, and mostly nothing of this has. */
typedef struct Told {
        const char *state; /* interned */
        uint64_t generation;
        unsigned n_targets, n_sessions;
        size_t n_units;
        uint64_t confirm_until, operations;
        bool offline, debugging;
} Told;

struct Signals {
        BusServer *server;
        sd_event_source *source; /* armed while something is pending */
        GHashTable *pending;     /* path -> Pending*, owned */
        GPtrArray *order;        /* Pending*, borrowed */
        GHashTable *below;       /* target -> strv of the paths below it that were announced */
        char **portals;          /* announced */
        bool portals_changed;
        Told told;
        RateLimit rejected;
};

static void pending_free(Pending *p)
{
        free(p->path);
        g_free(p->name);
        g_free(p);
}

static void strv_free(char **strv)
{
        for (char **s = strv; s && *s; s++)
                free(*s);
        free(strv);
}

static bool strv_has(char **strv, const char *s)
{
        for (; strv && *strv; strv++)
                if (STREQ(*strv, s))
                        return true;
        return false;
}

/* ---- saying it, on every connection ---- */

typedef enum EmitKind { EMIT_ADDED, EMIT_REMOVED, EMIT_CHANGED } EmitKind;

static int emit_on(sd_bus *bus, EmitKind kind, const char *path, const char *interface,
                   char **properties)
{
        switch (kind) {
        case EMIT_ADDED:
                return sd_bus_emit_interfaces_added(bus, path, interface, NULL);
        case EMIT_REMOVED:
                return sd_bus_emit_interfaces_removed(bus, path, interface, NULL);
        default:
                return sd_bus_emit_properties_changed_strv(bus, path, interface, properties);
        }
}

/* properties: of EMIT_CHANGED; NULL: all that can change. */
static void emit(Signals *s, EmitKind kind, const char *path, const char *interface,
                 char **properties)
{
        LIST_FOREACH_SAFE (c, &s->server->connections, BusConnection, node) {
                int r;

                if (!c->bus)
                        continue;
                r = emit_on(c->bus, kind, path, interface, properties);
                if (r < 0)
                        log_debug("Cannot send a signal about %s: %s", path, g_strerror(-r));
                connection_check_queue(c);
        }
}

static const char *interface_below(const char *path)
{
        return strstr(path, "/acl/") ? INTERFACE_ACL : INTERFACE_ACCOUNT;
}

/* From what clients know to what there is now. */
static void emit_difference(Signals *s, char **before, char **after, const char *interface)
{
        for (char **p = before; p && *p; p++)
                if (!strv_has(after, *p))
                        emit(s, EMIT_REMOVED, *p, interface ? interface : interface_below(*p),
                             NULL);
        for (char **p = after; p && *p; p++)
                if (!strv_has(before, *p))
                        emit(s, EMIT_ADDED, *p, interface ? interface : interface_below(*p), NULL);
}

static void flush_below(Signals *s, const char *target)
{
        const Desired *d = manager_desired(s->server->manager);
        const TargetSpec *t = g_hash_table_lookup(d->targets, target);
        char **before = g_hash_table_lookup(s->below, target), **after = NULL;

        if (t && objects_below_target(t, &after) < 0)
                return; /* out of memory: what was announced stays the reference */
        emit_difference(s, before, after, NULL);
        if (after)
                g_hash_table_replace(s->below, g_strdup(target), after);
        else
                g_hash_table_remove(s->below, target);
}

static const char *interface_of(ObjectKind kind)
{
        static const char *const names[N_OBJECT_KINDS] = {
                [OBJECT_MANAGER] = INTERFACE_MANAGER, [OBJECT_TARGET] = INTERFACE_TARGET,
                [OBJECT_UNIT] = INTERFACE_UNIT,       [OBJECT_SESSION] = INTERFACE_SESSION,
                [OBJECT_PORTAL] = INTERFACE_PORTAL,
        };

        return names[kind];
}

static bool exists(Manager *m, const Pending *p)
{
        SessionInfo session;
        UnitInfo unit;

        switch (p->kind) {
        case OBJECT_TARGET:
                return g_hash_table_contains(manager_desired(m)->targets, p->name);
        case OBJECT_UNIT:
                return manager_unit(m, p->name, &unit) >= 0;
        case OBJECT_SESSION:
                return manager_session(m, p->id, &session) >= 0;
        default:
                return true;
        }
}

static Told told_now(Manager *m)
{
        ArmedInfo armed = { 0 };

        (void)manager_armed(m, &armed);
        return (Told){
                .confirm_until = armed.until_usec,
                .operations = manager_operations_version(m),
                .state = g_intern_string(manager_state(m)),
                .generation = manager_generation(m),
                .n_targets = g_hash_table_size(manager_desired(m)->targets),
                .n_sessions = manager_n_sessions(m, NULL),
                .n_units = manager_n_units(m),
                .offline = manager_is_offline(m),
                .debugging = manager_is_debugging(m),
        };
}

static void flush_manager(Signals *s)
{
        Told now = told_now(s->server->manager), *old = &s->told;
        const char *names[16];
        size_t n = 0;

        if (now.state != old->state)
                names[n++] = "State";
        if (now.n_targets != old->n_targets)
                names[n++] = "NTargets";
        if (now.n_units != old->n_units)
                names[n++] = "NLogicalUnits";
        if (now.n_sessions != old->n_sessions)
                names[n++] = "NSessions";
        if (now.offline != old->offline)
                names[n++] = "Offline";
        if (now.debugging != old->debugging)
                names[n++] = "Debug";
        if (now.operations != old->operations)
                names[n++] = "Operations";
        if (now.generation != old->generation) {
                names[n++] = "Generation";
                names[n++] = "DiscoveryAccounts"; /* part of what is configured */
                names[n++] = "Accounts";
        }
        if (now.confirm_until != old->confirm_until) {
                names[n++] = "ConfirmUntil";
                names[n++] = "ConfirmGeneration";
                names[n++] = "ConfirmBy";
                names[n++] = "ConfirmChanges";
        }
        names[n] = NULL;
        s->told = now;
        if (n > 0)
                emit(s, EMIT_CHANGED, BUS_ROOT, INTERFACE_MANAGER, (char **)names);
}

static void flush_one(Signals *s, const Pending *p)
{
        static const char *const n_sessions[] = { "NSessions", NULL };
        static const char *const operation[] = { "Operation", NULL };
        const char *interface = interface_of(p->kind);
        bool now = exists(s->server->manager, p);

        if (p->kind == OBJECT_MANAGER) {
                flush_manager(s);
                return;
        }
        if (p->kind == OBJECT_TARGET && !now)
                flush_below(s, p->name);
        if (now && !p->existed)
                emit(s, EMIT_ADDED, p->path, interface, NULL);
        else if (!now && p->existed)
                emit(s, EMIT_REMOVED, p->path, interface, NULL);
        else if (now && p->all)
                emit(s, EMIT_CHANGED, p->path, interface, NULL);
        else if (now && p->sessions)
                emit(s, EMIT_CHANGED, p->path, interface, (char **)n_sessions);
        else if (now && p->progress)
                emit(s, EMIT_CHANGED, p->path, interface, (char **)operation);
        if (p->kind == OBJECT_TARGET && now)
                flush_below(s, p->name);
}

static void flush_portals(Signals *s)
{
        char **after = NULL;

        s->portals_changed = false;
        if (objects_portals(s->server->manager, &after) < 0)
                return;
        emit_difference(s, s->portals, after, INTERFACE_PORTAL);
        strv_free(s->portals);
        s->portals = after;
}

void signals_flush(Signals *s)
{
        GHashTable *pending = s->pending; /* what is noted meanwhile is for the next turn */
        GPtrArray *order = s->order;

        s->pending =
                g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)pending_free);
        s->order = g_ptr_array_new();
        (void)sd_event_source_set_enabled(s->source, SD_EVENT_OFF);

        for (guint i = 0; i < order->len; i++)
                flush_one(s, g_ptr_array_index(order, i));
        if (s->portals_changed)
                flush_portals(s);
        g_ptr_array_unref(order);
        g_hash_table_unref(pending);
}

static int turn_ends(sd_event_source *source, void *userdata)
{
        signals_flush(userdata);
        return 0;
}

/* ---- noting it ---- */

/* Takes path; NULL (out of memory) is a signal lost. */
static Pending *note(Signals *s, ObjectKind kind, char *path, const char *name, uint64_t id,
                     bool existed)
{
        Pending *p;

        (void)sd_event_source_set_enabled(s->source, SD_EVENT_ONESHOT);
        if (!path)
                return NULL;
        p = g_hash_table_lookup(s->pending, path);
        if (p) {
                free(path);
                return p;
        }
        p = g_new0(Pending, 1);
        p->kind = kind;
        p->path = path;
        p->name = g_strdup(name);
        p->id = id;
        p->existed = existed;
        g_hash_table_insert(s->pending, p->path, p);
        g_ptr_array_add(s->order, p);
        return p;
}

static void note_all(Signals *s, ObjectKind kind, char *path, const char *name, uint64_t id,
                     bool existed)
{
        Pending *p = note(s, kind, path, name, id, existed);

        if (p)
                p->all = true;
}

static void note_sessions(Signals *s, const char *target)
{
        Pending *p = note(s, OBJECT_MANAGER, strdup(BUS_ROOT), NULL, 0, true);

        if (p)
                p->sessions = true;
        if (!target || !target[0])
                return;
        p = note(s, OBJECT_TARGET, path_of_target(target), target, 0, true);
        if (p)
                p->sessions = true;
}

static void changed(void *userdata)
{
        note_all(userdata, OBJECT_MANAGER, strdup(BUS_ROOT), NULL, 0, true);
}

static void target_added(void *userdata, const char *name)
{
        note_all(userdata, OBJECT_TARGET, path_of_target(name), name, 0, false);
}

static void target_removed(void *userdata, const char *name)
{
        note_all(userdata, OBJECT_TARGET, path_of_target(name), name, 0, true);
}

static void unit_added(void *userdata, const char *uuid)
{
        note_all(userdata, OBJECT_UNIT, path_of_unit(uuid), uuid, 0, false);
}

static void unit_removed(void *userdata, const char *uuid)
{
        note_all(userdata, OBJECT_UNIT, path_of_unit(uuid), uuid, 0, true);
}

static void unit_progress(void *userdata, const char *uuid)
{
        Pending *p = note(userdata, OBJECT_UNIT, path_of_unit(uuid), uuid, 0, true);

        if (p)
                p->progress = true;
}

static void session_added(void *userdata, uint64_t id, const char *target)
{
        note_all(userdata, OBJECT_SESSION, path_of_session(id), NULL, id, false);
        note_sessions(userdata, target);
}

static void session_removed(void *userdata, uint64_t id, const char *target)
{
        note_all(userdata, OBJECT_SESSION, path_of_session(id), NULL, id, true);
        note_sessions(userdata, target);
}

static void portals_changed(void *userdata)
{
        Signals *s = userdata;

        s->portals_changed = true;
        (void)sd_event_source_set_enabled(s->source, SD_EVENT_ONESHOT);
}

static int emit_rejected(sd_bus *bus, const char *const texts[4], uint16_t status)
{
        sd_bus_message *m = NULL;
        int r = sd_bus_message_new_signal(bus, &m, BUS_ROOT, INTERFACE_MANAGER, "LoginRejected");

        for (size_t i = 0; r >= 0 && i < 4; i++)
                r = append_text(m, texts[i]);
        if (r >= 0)
                r = sd_bus_message_append(m, "q", status);
        if (r >= 0)
                r = sd_bus_send(bus, m, NULL);
        sd_bus_message_unref(m);
        return r;
}

static void login_rejected(void *userdata, const char *target, const char *initiator,
                           const char *peer, const char *reason, uint16_t status)
{
        const char *const texts[] = { target, initiator, peer, reason };
        Signals *s = userdata;
        unsigned suppressed;
        uint64_t now_usec;

        /* a peer can cause these as fast as it can connect; the journal counts what is dropped */
        if (sd_event_now(s->server->event, CLOCK_MONOTONIC, &now_usec) < 0 ||
            !ratelimit_pass(&s->rejected, now_usec * NSEC_PER_USEC, &suppressed))
                return;
        LIST_FOREACH_SAFE (c, &s->server->connections, BusConnection, node) {
                if (!c->bus)
                        continue;
                (void)emit_rejected(c->bus, texts, status);
                connection_check_queue(c);
        }
}

static void file_progress(void *userdata, const char *path, uint64_t done, uint64_t total)
{
        Signals *s = userdata;

        LIST_FOREACH_SAFE (c, &s->server->connections, BusConnection, node) {
                if (!c->bus)
                        continue;
                /* who does not hear of it hears of the next */
                (void)sd_bus_emit_signal(c->bus, BUS_ROOT, INTERFACE_MANAGER, "FileProgress", "stt",
                                         path, done, total);
                connection_check_queue(c);
        }
}

static const ManagerObserver observer = {
        .target_added = target_added,
        .target_removed = target_removed,
        .target_changed = target_removed, /* it was there; flush_one() sees whether it is */
        .unit_added = unit_added,
        .unit_removed = unit_removed,
        .unit_changed = unit_removed,
        .unit_progress = unit_progress,
        .session_added = session_added,
        .session_removed = session_removed,
        .portals_changed = portals_changed,
        .login_rejected = login_rejected,
        .file_progress = file_progress,
        .changed = changed,
};

/* ---- life ---- */

/* What is there already needs no signal: clients ask when they come. */
static int take_stock(Signals *s)
{
        const Desired *d = manager_desired(s->server->manager);
        GHashTableIter i;
        gpointer value;
        int r;

        s->told = told_now(s->server->manager);
        g_hash_table_iter_init(&i, d->targets);
        while (g_hash_table_iter_next(&i, NULL, &value)) {
                const TargetSpec *t = value;
                char **paths = NULL;

                r = objects_below_target(t, &paths);
                if (r < 0)
                        return r;
                if (paths)
                        g_hash_table_replace(s->below, g_strdup(t->name), paths);
        }
        return objects_portals(s->server->manager, &s->portals);
}

int signals_new(BusServer *server, Signals **ret)
{
        Signals *s = g_new0(Signals, 1);
        int r;

        s->server = server;
        s->rejected.burst = REJECTED_BURST;
        s->rejected.interval_ns = REJECTED_INTERVAL_NS;
        s->pending =
                g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)pending_free);
        s->order = g_ptr_array_new();
        s->below =
                g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)strv_free);
        r = sd_event_add_defer(server->event, &s->source, turn_ends, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->source, SD_EVENT_OFF);
        if (r >= 0)
                r = take_stock(s);
        if (r < 0) {
                signals_free(s);
                return r;
        }
        manager_set_observer(server->manager, &observer, s);
        *ret = s;
        return 0;
}

Signals *signals_free(Signals *s)
{
        if (!s)
                return NULL;
        manager_set_observer(s->server->manager, NULL, NULL);
        sd_event_source_disable_unref(s->source);
        g_hash_table_unref(s->pending);
        g_ptr_array_unref(s->order);
        g_hash_table_unref(s->below);
        strv_free(s->portals);
        g_free(s);
        return NULL;
}
