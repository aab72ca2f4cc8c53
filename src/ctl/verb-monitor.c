/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <time.h>

#include "ctl/connection.h"
#include "ctl/message.h"
#include "ctl/model.h"
#include "ctl/verb-functions.h"

/* known: what objects were, path -> object of properties. The daemon tells all properties of an
 * object when one has changed; people want the one. */
typedef struct Monitor {
        Ctl *c;
        GHashTable *known;
} Monitor;

typedef struct Event {
        const char *signal; /* as on the bus */
        const char *word;   /* for people */
        const char *path;   /* of the object that it is about */
        json_t *arguments;  /* array */
} Event;

/* "target iqn...", "session 3", "unit UUID": the object behind a path, as people call it. */
char *describe_path(const char *path)
{
        static const char *const kinds[] = { "target", "session", "portal" };
        const char *rest =
                g_str_has_prefix(path, BUS_ROOT "/") ? path + strlen(BUS_ROOT "/") : NULL;
        g_auto(GStrv) parts = NULL;

        if (!rest)
                return g_strdup(STREQ(path, BUS_ROOT) ? "tgtd" : path);
        parts = g_strsplit(rest, "/", -1);
        if (parts[0] && parts[1] && STREQ(parts[0], "unit")) /* '_' stands for '-' there */
                return g_strdup_printf("unit %s", g_strdelimit(parts[1], "_", '-'));
        for (size_t i = 0; parts[1] && i < ELEMENTSOF(kinds); i++) {
                g_autofree char *start = g_strdup_printf(BUS_ROOT "/%s/%s", kinds[i], parts[1]);
                g_autofree char *name = NULL, *entry = NULL, *prefix = NULL;
                char *label = NULL;

                if (!STREQ(parts[0], kinds[i]) || !(name = path_label(start, kinds[i])))
                        continue;
                if (!parts[2] || !parts[3])
                        return g_strdup_printf("%s %s", kinds[i], name);
                prefix = g_strdup_printf("%s/%s", start, parts[2]);
                if (sd_bus_path_decode(path, prefix, &label) > 0)
                        entry = g_strdelimit(g_strdup(label), "_", ' ');
                free(label);
                return g_strdup_printf("%s %s %s %s", kinds[i], name, parts[2],
                                       entry ? entry : parts[3]);
        }
        return g_strdup(path);
}

static void know(Monitor *m, const char *path, json_t *properties)
{
        json_t *have = g_hash_table_lookup(m->known, path);

        if (have)
                (void)json_object_update(have, properties);
        else
                g_hash_table_insert(m->known, g_strdup(path), json_deep_copy(properties));
}

/* " 1 5" for [[1, "/..."], [5, "/..."]]; NULL if v is no such list. */
static char *describe_luns(const json_t *v)
{
        GString *s = g_string_new(NULL);
        json_t *lun;
        size_t i;

        json_array_foreach (v, i, lun)
                g_string_append_printf(s, "%s%lld", i > 0 ? "," : "",
                                       (long long)json_integer_value(json_array_get(lun, 0)));
        return g_string_free(s, FALSE);
}

static char *describe_value(const char *key, const json_t *v)
{
        char *dump, *text;

        if (json_is_string(v))
                return g_strdup(json_string_value(v));
        if (STREQ(key, "LogicalUnits"))
                return describe_luns(v);
        dump = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
        text = g_strdup(dump ? dump : "");
        free(dump);
        return text;
}

/* " Key=value" for each that is not what it was; NULL if there is none. */
static char *describe_changes(const Monitor *m, const char *path, json_t *changed)
{
        const json_t *before = g_hash_table_lookup(m->known, path);
        GString *s = g_string_new(NULL);
        const char *key;
        json_t *v;

        json_object_foreach (changed, key, v) {
                g_autofree char *text = NULL;

                if (before && json_equal(json_object_get(before, key), v))
                        continue;
                /* their objects come and go with lines of their own */
                if (STREQ(key, "Acls") || STREQ(key, "Accounts"))
                        continue;
                text = describe_value(key, v);
                g_string_append_printf(s, " %s=%s", key, text);
        }
        return g_string_free(s, s->len == 0);
}

static char *describe_rejection(const json_t *arguments)
{
        const char *target = json_string_value(json_array_get(arguments, 0));

        return g_strdup_printf("login refused: %s from %s to %s: %s (%04x)",
                               json_string_value(json_array_get(arguments, 1)),
                               json_string_value(json_array_get(arguments, 2)),
                               target && *target ? target : "no target",
                               json_string_value(json_array_get(arguments, 3)),
                               (unsigned)json_integer_value(json_array_get(arguments, 4)));
}

/* NULL: nothing that people would want to know. */
static char *describe_event(Monitor *m, const Event *e)
{
        g_autofree char *object = describe_path(e->path), *changes = NULL;
        json_t *values = json_array_get(e->arguments, 1), *properties;
        const char *interface;

        if (STREQ(e->signal, "LoginRejected"))
                return describe_rejection(e->arguments);
        if (STREQ(e->signal, "PropertiesChanged")) {
                changes = describe_changes(m, e->path, values);
                know(m, e->path, values);
                if (!changes)
                        return NULL;
        } else if (STREQ(e->signal, "InterfacesAdded")) {
                json_object_foreach (values, interface, properties)
                        know(m, e->path, properties);
        } else if (STREQ(e->signal, "InterfacesRemoved"))
                (void)g_hash_table_remove(m->known, e->path);
        return g_strdup_printf("%s %s%s", e->word, object, changes ? changes : "");
}

static void tell(Monitor *m, const Event *e)
{
        const Ctl *c = m->c;
        g_autofree char *line = NULL, *clean = NULL;
        time_t now = time(NULL);
        char clock[32] = "";
        struct tm tm;

        if (ctl_json(c)) {
                _cleanup_json_ json_t *j = json_pack(
                        "{s:I, s:s, s:s, s:O}", "Time", (json_int_t)g_get_real_time(), "Signal",
                        e->signal, "Object", e->path, "Arguments", e->arguments);

                (void)ctl_show_json(m->c, j);
        } else {
                line = describe_event(m, e);
                if (!line)
                        return;
                if (localtime_r(&now, &tm))
                        (void)strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
                clean = text_sanitize(line, c->terminal.unicode);
                (void)printf("%s %s\n", clock, clean);
        }
        (void)fflush(stdout);
}

/* What is told of: the signals of the contract, and the daemon coming and going. */
static const struct {
        const char *interface, *member, *word;
        bool path_is_argument; /* the object is the first argument, not the sender */
} signals[] = {
        { "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", "added", true },
        { "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", "removed", true },
        { "org.freedesktop.DBus.Properties", "PropertiesChanged", "changed", false },
        { IFACE("Manager"), "LoginRejected", "login refused", false },
};

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        _cleanup_json_ json_t *arguments = NULL;

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                Event e = { signals[i].member, signals[i].word, sd_bus_message_get_path(m), NULL };

                if (!sd_bus_message_is_signal(m, signals[i].interface, signals[i].member))
                        continue;
                if (message_read_all(m, &arguments) < 0)
                        return 0;
                if (signals[i].path_is_argument)
                        e.path = json_string_value(json_array_get(arguments, 0));
                e.arguments = arguments;
                if (e.path)
                        tell(userdata, &e);
                return 0;
        }
        return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *name, *before, *after;
        Event e = { "NameOwnerChanged", NULL, BUS_ROOT, NULL };
        _cleanup_json_ json_t *arguments = NULL;

        if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0)
                return 0;
        arguments = json_pack("[s, s, s]", name, before, after);
        e.arguments = arguments;
        e.word = *after ? "started" : "stopped";
        tell(userdata, &e);
        return 0;
}

static int subscribe(Monitor *monitor)
{
        const Ctl *c = monitor->c;
        int r;

        /* between peers there is nobody to filter: the match is local */
        r = sd_bus_add_match(c->bus, NULL,
                             c->peer ? "type='signal'"
                                     : "type='signal',sender='" BUS_NAME
                                       "',path_namespace='" BUS_ROOT "'",
                             on_signal, monitor);
        if (r >= 0 && !c->peer)
                r = sd_bus_add_match(c->bus, NULL,
                                     "type='signal',sender='org.freedesktop.DBus',"
                                     "member='NameOwnerChanged',arg0='" BUS_NAME "'",
                                     on_owner, monitor);
        return r;
}

/* What there is at the start; of more targets than this, the first change of each is told whole. */
#define KNOWN_AT_START_MAX 1000

static int learn(Monitor *m)
{
        Ctl *c = m->c;
        _cleanup_json_ json_t *manager = NULL, *targets = NULL;
        json_t *target;
        size_t i;
        int code = ctl_get_all(c, BUS_ROOT, IFACE("Manager"), &manager);

        if (code != EXIT_CODE_OK)
                return code;
        know(m, BUS_ROOT, manager);
        code = model_targets(c, &targets);
        json_array_foreach (targets, i, target) {
                _cleanup_json_ json_t *properties = NULL;

                if (code != EXIT_CODE_OK || i == KNOWN_AT_START_MAX)
                        break;
                code = ctl_get_all(c, json_text(target, "Object"), IFACE("Target"), &properties);
                if (code == EXIT_CODE_OK)
                        know(m, json_text(target, "Object"), properties);
        }
        return code;
}

static int watch(Ctl *c)
{
        int r;

        do {
                r = sd_bus_process(c->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(c->bus, UINT64_MAX);
        } while (r >= 0 || r == -EINTR);
        return ctl_fail(c, EXIT_CODE_NOT_RUNNING, "The connection to tgtd has ended.");
}

int verb_monitor(Ctl *c, char **args)
{
        g_autoptr(GHashTable) known =
                g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_decref);
        Monitor m = { c, known };
        int r, code = ctl_need(c);

        if (code != EXIT_CODE_OK)
                return code;
        r = subscribe(&m);
        if (r < 0)
                return ctl_fail(c, EXIT_CODE_FAILURE, "Cannot subscribe to signals: %s.",
                                g_strerror(-r));
        if (!ctl_json(c))
                code = learn(&m);
        if (code != EXIT_CODE_OK)
                return code;
        c->options.no_pager = true; /* there is no end to page to */
        ctl_note(c, "Watching; ^C ends it.");
        return watch(c);
}
