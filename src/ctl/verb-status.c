/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/parse.h"
#include "config/config.h"
#include "ctl/connection.h"
#include "ctl/format.h"
#include "ctl/model.h"
#include "ctl/offline.h"
#include "ctl/operation.h"
#include "ctl/verb-functions.h"
#include "ctl/verb-list.h"

#define STATUS_MAX_SESSIONS 10 /* of one target; "sessions" shows them all */
#define STATUS_MAX_OPERATIONS 10
#define STATUS_MAX_CHANGES 10 /* that wait to be confirmed; "show" shows them all */

static void heading(Ctl *c, GString *s, const char *state, const char *text)
{
        bool color = c->terminal.color;
        g_autofree char *clean = text_sanitize(text, c->terminal.unicode);

        g_string_append_printf(s, "%s%s%s %s%s%s\n", color_on(color, state_color(state)),
                               c->terminal.unicode ? "\xe2\x97\x8f" : "*",
                               color_off(color, state_color(state)), color_on(color, COLOR_BOLD),
                               clean, color_off(color, COLOR_BOLD));
}

static void field(Ctl *c, GString *s, const char *label, Color color, const char *format, ...)
        _printf_(5, 6);
static void field(Ctl *c, GString *s, const char *label, Color color, const char *format, ...)
{
        g_autofree char *text = NULL, *clean = NULL, *fitted = NULL;
        unsigned width = c->terminal.width;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        clean = text_sanitize(text, c->terminal.unicode);
        fitted = width > 20 && !c->options.full
                         ? text_ellipsize(clean, width - 15, false, c->terminal.unicode)
                         : g_strdup(clean);
        g_string_append_printf(s, "%12s%c %s%s%s\n", label, *label ? ':' : ' ',
                               color_on(c->terminal.color, color), fitted,
                               color_off(c->terminal.color, color));
}

static void format_access(Ctl *c, GString *s, const char *access, const json_t *acls)
{
        const char *label = "Access";
        json_t *acl;
        size_t i;

        if (STREQ(access, "everybody"))
                field(c, s, label, COLOR_YELLOW, "everybody (the fragment names no initiator)");
        else if (json_array_size(acls) == 0)
                field(c, s, label, COLOR_YELLOW, "nobody (see tgtctl help allow)");
        json_array_foreach (acls, i, acl) {
                const char *kind = json_text(acl, "Kind"), *value = json_text(acl, "Value");

                if (STREQ(value, "ALL"))
                        field(c, s, label, COLOR_NONE, "every %s",
                              STREQ(kind, "initiator-name") ? "name" : "address");
                else
                        field(c, s, label, COLOR_NONE, "%s", value);
                label = "";
        }
}

/* A dictionary of limits as tgtctl set-limit takes them. */
static char *limits_text(const json_t *limits)
{
        LimitSpec l = { 0 };

        for (size_t i = 0; i < n_limit_fields(); i++) {
                const LimitField *f = &limit_fields()[i];

                *limit_field(&l, f) = (uint64_t)json_number(limits, f->property);
        }
        return limit_spec_format(&l);
}

static void format_limits(Ctl *c, GString *s, const json_t *initiators)
{
        const char *label = "Limits", *initiator;
        json_t *limits;

        json_object_foreach ((json_t *)initiators, initiator, limits) {
                g_autofree char *text = limits_text(limits);

                field(c, s, label, COLOR_NONE, "%s  %s", initiator, text);
                label = "";
        }
}

static void format_luns(Ctl *c, GString *s, const json_t *luns)
{
        const char *label = "LUNs";
        json_t *lun;
        size_t i;

        if (json_array_size(luns) == 0)
                field(c, s, label, COLOR_YELLOW, "none (see tgtctl help add-lun)");
        json_array_foreach (luns, i, lun) {
                const char *state = json_text(lun, "State"), *reason = json_text(lun, "Reason");
                g_autofree char *size = format_bytes((uint64_t)json_number(lun, "Size"));
                g_autofree char *limits = limits_text(json_object_get(lun, "Limits"));
                const json_t *operation = json_object_get(lun, "Operation");
                g_autofree char *doing = operation_text(operation);
                bool bad =
                        STREQ(state, "not-ready") || STREQ(json_text(operation, "State"), "failed");
                const char *path = json_text(lun, "Path");

                field(c, s, label,
                      bad      ? COLOR_RED
                      : *doing ? COLOR_YELLOW
                               : COLOR_NONE,
                      "%lld  %s %s%s%s  %s%s%s%s%s%s%s%s%s", (long long)json_number(lun, "Lun"),
                      *json_text(lun, "Type") ? json_text(lun, "Type") : "(being set up)",
                      json_text(lun, "StoreType"), *path ? " " : "", path,
                      json_number(lun, "Size") > 0 ? size : "",
                      json_number(lun, "Size") > 0 ? " " : "", state,
                      *reason                                          ? ": "
                      : json_is_true(json_object_get(lun, "Readonly")) ? ", read-only"
                                                                       : "",
                      reason, *limits ? ", " : "", limits, *doing ? ", " : "", doing);
                label = "";
        }
}

static void format_sessions(Ctl *c, GString *s, const json_t *sessions)
{
        const char *label = "Sessions";
        uint64_t now = (uint64_t)g_get_real_time();
        json_t *session;
        size_t i;

        if (json_array_size(sessions) == 0)
                field(c, s, label, COLOR_NONE, "none");
        json_array_foreach (sessions, i, session) {
                g_autofree char *ago = format_ago((uint64_t)json_number(session, "Since"), now);

                if (i == STATUS_MAX_SESSIONS) {
                        field(c, s, "", COLOR_GREY, "and %zu more (see tgtctl sessions)",
                              json_array_size(sessions) - i);
                        break;
                }
                field(c, s, label, COLOR_NONE, "%lld  %s from %s, %s",
                      (long long)json_number(session, "Id"), json_text(session, "Initiator"),
                      json_text(session, "Peer"), ago);
                label = "";
        }
}

static void format_accounts(Ctl *c, GString *s, const json_t *accounts)
{
        const char *label = "CHAP";
        json_t *account;
        size_t i;

        json_array_foreach (accounts, i, account) {
                field(c, s, label, COLOR_NONE, "%s (%s)", json_text(account, "User"),
                      json_text(account, "Direction"));
                label = "";
        }
}

/* A target as model_target() has it; sessions may be NULL. */
static void format_target(Ctl *c, GString *s, const json_t *t, const json_t *sessions)
{
        const char *state = json_text(t, "State"), *alias = json_text(t, "Alias");
        const json_t *source = json_object_get(t, "Source");
        const char *file = json_text(source, "File");

        heading(c, s, state, json_text(t, "Name"));
        field(c, s, "State", state_color(state), "%s", state);
        if (*alias)
                field(c, s, "Alias", COLOR_NONE, "%s", alias);
        if (*file)
                field(c, s, "Defined", COLOR_NONE, "%s:%lld (%s)", file,
                      (long long)json_number(source, "Line"), json_text(t, "Persistence"));
        else
                field(c, s, "Defined", COLOR_NONE, "%s", json_text(t, "Persistence"));
        format_access(c, s, json_text(t, "Access"), json_object_get(t, "Acls"));
        format_accounts(c, s, json_object_get(t, "Accounts"));
        format_limits(c, s, json_object_get(t, "InitiatorLimits"));
        format_luns(c, s, json_object_get(t, "LogicalUnits"));
        if (sessions)
                format_sessions(c, s, sessions);
}

static int status_target(Ctl *c, const char *name, GString *s, json_t *all)
{
        _cleanup_json_ json_t *target = NULL, *sessions = NULL;
        g_autofree char *path = NULL;
        int code = model_resolve(c, name, NULL, &path);

        if (code == EXIT_CODE_OK)
                code = model_target(c, path, &target);
        if (code == EXIT_CODE_OK)
                code = model_sessions(c, path, &sessions);
        if (code != EXIT_CODE_OK)
                return code;
        if (s->len > 0)
                g_string_append_c(s, '\n');
        format_target(c, s, target, sessions);
        (void)json_object_set(target, "Sessions", sessions);
        (void)json_array_append(all, target);
        return EXIT_CODE_OK;
}

static void format_units(Ctl *c, GString *s, const json_t *units)
{
        json_t *unit;
        size_t i, n_bad = 0;

        json_array_foreach (units, i, unit)
                n_bad += !STREQ(json_text(unit, "State"), "ready");
        if (n_bad > 0)
                field(c, s, "Units", COLOR_RED,
                      "%zu, of which %zu not ready (see tgtctl list luns)", json_array_size(units),
                      n_bad);
        else
                field(c, s, "Units", COLOR_NONE, "%zu", json_array_size(units));
}

static void format_unconfirmed(Ctl *c, GString *s, const json_t *manager)
{
        gint64 until = json_number(manager, "ConfirmUntil") / 1000000;
        gint64 left = until - g_get_real_time() / 1000000;
        const json_t *change, *changes = json_object_get(manager, "ConfirmChanges");
        const char *label = "Changes";
        size_t i;

        if (until == 0)
                return;
        field(c, s, "Unconfirmed", COLOR_YELLOW,
              "a change by %s, taken back in %" G_GINT64_FORMAT " s (tgtctl confirm)",
              json_text(manager, "ConfirmBy"), MAX(left, 0));
        json_array_foreach (changes, i, change) {
                if (i == STATUS_MAX_CHANGES)
                        break;
                field(c, s, label, COLOR_NONE, "%s", json_string_value(change));
                label = "";
        }
        if (json_array_size(changes) > STATUS_MAX_CHANGES)
                field(c, s, label, COLOR_NONE, "and %zu more (tgtctl show)",
                      json_array_size(changes) - STATUS_MAX_CHANGES);
}

/* What is being done to whole units, or could not be. */
static int format_operations(Ctl *c, GString *s, const json_t *manager)
{
        const json_t *path, *paths = json_object_get(manager, "Operations");
        const char *label = "Operations";
        size_t i;

        json_array_foreach (paths, i, path) {
                _cleanup_json_ json_t *unit = NULL;
                g_autofree char *doing = NULL;
                const json_t *operation;
                int code;

                if (i == STATUS_MAX_OPERATIONS) {
                        field(c, s, label, COLOR_GREY, "and %zu more (tgtctl show)",
                              json_array_size(paths) - i);
                        break;
                }
                code = model_unit(c, json_string_value(path), &unit);
                if (code == EXIT_CODE_NOT_FOUND)
                        continue; /* it has just gone */
                if (code != EXIT_CODE_OK)
                        return code;
                operation = json_object_get(unit, "Operation");
                doing = operation_text(operation);
                if (!*doing)
                        continue;
                field(c, s, label,
                      STREQ(json_text(operation, "State"), "failed") ? COLOR_RED : COLOR_YELLOW,
                      "%s: %s",
                      *json_text(unit, "Path") ? json_text(unit, "Path") : json_text(unit, "Uuid"),
                      doing);
                label = "";
        }
        return EXIT_CODE_OK;
}

/* What is not as it is after a start. */
static void format_switches(Ctl *c, GString *s, const json_t *manager)
{
        if (json_is_true(json_object_get(manager, "Offline")))
                field(c, s, "Offline", COLOR_YELLOW,
                      "new connections are closed (until tgtctl online)");
        if (json_is_true(json_object_get(manager, "Debug")))
                field(c, s, "Debug", COLOR_YELLOW, "on (until tgtctl debug off)");
}

static int status_daemon(Ctl *c, GString *s, json_t **ret)
{
        _cleanup_json_ json_t *manager = NULL, *portals = NULL, *targets = NULL, *units = NULL;
        const char *state, *label = "Portals";
        g_autofree char *title = NULL;
        json_t *portal;
        size_t i;
        int code = model_manager(c, &manager);

        if (code == EXIT_CODE_OK)
                code = model_portals(c, &portals);
        if (code == EXIT_CODE_OK)
                code = model_targets(c, &targets);
        if (code == EXIT_CODE_OK)
                code = model_units(c, &units);
        if (code != EXIT_CODE_OK)
                return code;

        state = json_text(manager, "State");
        title = g_strdup_printf("tgtd %s", json_text(manager, "Version"));
        heading(c, s, state, title);
        field(c, s, "State", state_color(state), "%s", state);
        format_switches(c, s, manager);
        if (json_array_size(portals) == 0)
                field(c, s, label, COLOR_YELLOW, "none (see tgtctl help portal)");
        json_array_foreach (portals, i, portal) {
                field(c, s, label, COLOR_NONE, "%s (%s)", json_text(portal, "Address"),
                      json_text(portal, "Source"));
                label = "";
        }
        field(c, s, "Targets", COLOR_NONE, "%lld", (long long)json_number(manager, "NTargets"));
        format_units(c, s, units);
        field(c, s, "Sessions", COLOR_NONE, "%lld", (long long)json_number(manager, "NSessions"));
        field(c, s, "Generation", COLOR_NONE, "%lld",
              (long long)json_number(manager, "Generation"));
        format_unconfirmed(c, s, manager);
        code = format_operations(c, s, manager);
        if (code != EXIT_CODE_OK)
                return code;
        if (json_array_size(targets) > 0) {
                g_string_append_c(s, '\n');
                format_list(c, "targets", targets, s);
        }
        (void)json_object_set(manager, "Portals", portals);
        (void)json_object_set(manager, "Targets", targets);
        *ret = TAKE_PTR(manager);
        return EXIT_CODE_OK;
}

static int status_offline(Ctl *c, char **args)
{
        _cleanup_json_ json_t *shown = json_array();
        g_autoptr(GString) s = g_string_new(NULL);
        int code = EXIT_CODE_NOT_RUNNING;
        Desired *d = NULL;

        offline_load(c, &d);
        if (!d)
                return code;
        for (char **a = args; *a; a++) {
                const TargetSpec *t = offline_find(d, *a);
                json_t *target;

                if (!t) {
                        code = ctl_fail(c, EXIT_CODE_NOT_FOUND, "No target %s is configured.", *a);
                        continue;
                }
                target = offline_target(t);
                if (s->len > 0)
                        g_string_append_c(s, '\n');
                format_target(c, s, target, NULL);
                (void)json_array_append_new(shown, target);
        }
        if (!*args) {
                json_decref(shown);
                shown = offline_targets(d);
                format_list(c, "targets", shown, s);
        }
        (void)desired_free(d);
        if (ctl_json(c))
                (void)ctl_show_json(c, shown);
        else
                ctl_show(c, s->str);
        return code;
}

int verb_status(Ctl *c, char **args)
{
        _cleanup_json_ json_t *shown = NULL;
        g_autoptr(GString) s = g_string_new(NULL);
        int code = ctl_connect(c);

        if (code == EXIT_CODE_NOT_RUNNING)
                return status_offline(c, args);
        if (code != EXIT_CODE_OK)
                return ctl_need(c);
        if (!*args)
                code = status_daemon(c, s, &shown);
        else
                shown = json_array();
        for (; *args; args++) {
                /* one that is not there does not hide the others */
                int r = status_target(c, *args, s, shown);

                code = code != EXIT_CODE_OK ? code : r;
        }
        if (ctl_json(c) && shown)
                (void)ctl_show_json(c, shown);
        else if (s->len > 0)
                ctl_show(c, s->str);
        return code;
}

static char *scalar(const json_t *v)
{
        switch (json_typeof(v)) {
        case JSON_STRING:
                return g_strdup(json_string_value(v));
        case JSON_INTEGER:
                return g_strdup_printf("%lld", (long long)json_integer_value(v));
        case JSON_REAL:
                return g_strdup_printf("%g", json_real_value(v));
        case JSON_TRUE:
                return g_strdup("yes");
        case JSON_FALSE:
                return g_strdup("no");
        default:
                return g_strdup("");
        }
}

/* Key=value, one a line; what is within is Outer.Inner=value, elements of lists Outer.0=value. */
static void format_properties(Ctl *c, const char *prefix, json_t *v, GString *s)
{
        const char *key;
        json_t *inner;
        size_t i;

        if (json_is_object(v)) {
                json_object_foreach (v, key, inner) {
                        g_autofree char *name =
                                *prefix ? g_strconcat(prefix, ".", key, NULL) : g_strdup(key);

                        format_properties(c, name, inner, s);
                }
        } else if (json_is_array(v)) {
                json_array_foreach (v, i, inner) {
                        g_autofree char *name = g_strdup_printf("%s.%zu", prefix, i);

                        format_properties(c, name, inner, s);
                }
                if (json_array_size(v) == 0)
                        g_string_append_printf(s, "%s=\n", prefix);
        } else {
                g_autofree char *text = scalar(v),
                                *clean = text_sanitize(text, c->terminal.unicode);

                g_string_append_printf(s, "%s=%s\n", prefix, clean);
        }
}

static bool looks_like_uuid(const char *s)
{
        for (size_t i = 0; i < 36; i++)
                if (i == 8 || i == 13 || i == 18 || i == 23 ? s[i] != '-' : unhex_char(s[i]) < 0)
                        return false;
        return s[36] == '\0';
}

/* A session by its number, a unit by its UUID or as TARGET/LUN, a target by its name. */
static int load_object(Ctl *c, const char *name, json_t **ret)
{
        g_autofree char *path = NULL;
        uint64_t id;
        int code;

        if (parse_u64(name, 0, INT64_MAX, &id) >= 0) {
                code = model_get_session(c, id, &path);
                return code == EXIT_CODE_OK ? ctl_get_all(c, path, IFACE("Session"), ret) : code;
        }
        if (looks_like_uuid(name) || strchr(name, '/')) {
                code = model_resolve_unit(c, name, &path);
                return code == EXIT_CODE_OK ? model_unit(c, path, ret) : code;
        }
        code = model_resolve(c, name, NULL, &path);
        return code == EXIT_CODE_OK ? model_target(c, path, ret) : code;
}

int verb_show(Ctl *c, char **args)
{
        _cleanup_json_ json_t *all = json_array();
        g_autoptr(GString) s = g_string_new(NULL);
        int code = EXIT_CODE_OK;

        for (char **a = args; *a; a++) {
                json_t *object = NULL;
                int r = load_object(c, *a, &object);

                code = code != EXIT_CODE_OK ? code : r;
                if (r != EXIT_CODE_OK)
                        continue;
                if (s->len > 0)
                        g_string_append_c(s, '\n');
                format_properties(c, "", object, s);
                (void)json_array_append_new(all, object);
        }
        if (!args[0]) {
                json_t *manager = NULL;

                code = model_manager(c, &manager);
                if (code == EXIT_CODE_OK) {
                        format_properties(c, "", manager, s);
                        (void)json_array_append_new(all, manager);
                }
        }
        if (ctl_json(c) && json_array_size(all) == 1)
                (void)ctl_show_json(c, json_array_get(all, 0));
        else if (ctl_json(c) && json_array_size(all) > 1)
                (void)ctl_show_json(c, all);
        else if (s->len > 0 && !ctl_json(c))
                ctl_show(c, s->str);
        return code;
}
