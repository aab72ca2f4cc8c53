/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>

#include "base/parse.h"
#include "ctl/change.h"
#include "ctl/connection.h"
#include "ctl/format.h"
#include "ctl/message.h"
#include "ctl/model.h"
#include "ctl/operation.h"
#include "ctl/progress.h"
#include "ctl/verb-functions.h"

/* sanitize and format: ask, begin, and watch; copy. */

#define LOOK_MSEC 200
#define PATTERN_MAX 4096

typedef struct Operate {
        const char *member, *doing, *done; /* "Sanitize", "Sanitizing", "Sanitized" */
        const char *method;                /* its argument; NULL: it has none */
} Operate;

/* ---- asking ---------------------------------------------------------------------------------- */

/* "/srv/disk1.img (10G, LUN 1 of iqn...:disk1)" */
static char *describe(const Ctl *c, const json_t *unit)
{
        const json_t *mapping, *mappings = json_object_get(unit, "Mappings");
        const char *path = json_text(unit, "Path");
        g_autofree char *size = format_bytes((uint64_t)json_number(unit, "Size")), *clean = NULL;
        g_autoptr(GString) s = g_string_new(*path ? path : json_text(unit, "Uuid"));
        size_t i;

        g_string_append_printf(s, " (%s", size);
        json_array_foreach (mappings, i, mapping)
                g_string_append_printf(s, ", LUN %lld of %s",
                                       (long long)json_number(mapping, "Lun"),
                                       json_text(mapping, "Target"));
        g_string_append_c(s, ')');
        clean = text_sanitize(s->str, c->terminal.unicode);
        return TAKE_PTR(clean);
}

static int confirm(Ctl *c, const json_t *unit)
{
        g_autofree char *what = describe(c, unit);
        char line[16];

        if (c->options.yes)
                return EXIT_CODE_OK;
        if (c->options.no_ask_password || !isatty(STDIN_FILENO))
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "All data of %s would be lost. Give --yes if that is meant.", what);
        (void)fprintf(stderr, "All data of %s will be lost.\nType \"yes\" to go on: ", what);
        if (fgets(line, sizeof(line), stdin) && STREQ(line, "yes\n"))
                return EXIT_CODE_OK;
        return ctl_fail(c, EXIT_CODE_FAILURE, "Nothing was done.");
}

/* ---- beginning ------------------------------------------------------------------------------- */

static int append_pattern(Ctl *c, sd_bus_message *m)
{
        const char *hex = c->options.pattern;
        size_t n = strlen(hex) / 2;
        g_autofree uint8_t *bytes = g_malloc(n + 1);
        int r;

        for (size_t i = 0; i < n; i++)
                bytes[i] = (uint8_t)(unhex_char(hex[2 * i]) << 4 | unhex_char(hex[2 * i + 1]));
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "pattern");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', bytes, n);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_options(Ctl *c, sd_bus_message *m)
{
        const Options *o = &c->options;
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        if (r >= 0 && o->force)
                r = sd_bus_message_append(m, "{sv}", "force", "b", 1);
        if (r >= 0 && o->preallocate)
                r = sd_bus_message_append(m, "{sv}", "preallocate", "b", 1);
        if (r >= 0 && o->restricted)
                r = sd_bus_message_append(m, "{sv}", "restricted", "b", 1);
        if (r >= 0 && o->invert)
                r = sd_bus_message_append(m, "{sv}", "invert", "b", 1);
        if (r >= 0 && o->passes > 0)
                r = sd_bus_message_append(m, "{sv}", "passes", "u", (uint32_t)o->passes);
        if (r >= 0 && o->pattern)
                r = append_pattern(c, m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int begin(Ctl *c, const char *path, const Operate *how)
{
        sd_bus_message *m = NULL;
        int r = 0, code = ctl_method(c, path, IFACE("LogicalUnit"), how->member, &m);

        if (code != EXIT_CODE_OK)
                return code;
        if (how->method)
                r = sd_bus_message_append(m, "s", how->method);
        if (r >= 0)
                r = append_options(c, m);
        if (r < 0) {
                sd_bus_message_unref(m);
                return ctl_bad_message(c, r);
        }
        return ctl_invoke(c, m, NULL);
}

static int check_pattern(Ctl *c)
{
        const char *hex = c->options.pattern;
        size_t n = hex ? strlen(hex) : 0;

        for (size_t i = 0; i < n; i++)
                if (unhex_char(hex[i]) < 0)
                        n = 1;
        if (hex && (n == 0 || n % 2 || n / 2 > PATTERN_MAX))
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "--pattern wants bytes as hexadecimal digits, such as aa55, not "
                                "\"%s\".",
                                hex);
        return EXIT_CODE_OK;
}

/* ---- watching -------------------------------------------------------------------------------- */

/* *ret: the property Operation. */
static int look(Ctl *c, const char *path, json_t **ret)
{
        _cleanup_json_ json_t *unit = NULL;
        int code = ctl_get_all(c, path, IFACE("LogicalUnit"), &unit);

        if (code == EXIT_CODE_OK)
                *ret = json_incref(json_object_get(unit, "Operation"));
        return code;
}

/* Until it is over, fails, or nobody wants to wait any more. *ret: what was seen last. */
static int watch(Ctl *c, const char *path, const Operate *how, json_t **ret)
{
        Progress bar = progress_begin(c, how->doing);
        int code;

        for (;;) {
                json_decref(*ret);
                *ret = NULL;
                code = look(c, path, ret);
                if (code != EXIT_CODE_OK || !STREQ(json_text(*ret, "State"), "running") ||
                    progress_interrupted())
                        break;
                progress_draw(&bar, (uint64_t)json_number(*ret, "Done"),
                              (uint64_t)json_number(*ret, "Total"));
                (void)poll(NULL, 0, LOOK_MSEC);
        }
        progress_end(&bar);
        return code;
}

static int tell_end(Ctl *c, const char *name, const json_t *unit, const Operate *how,
                    const json_t *operation)
{
        g_autofree char *what = describe(c, unit);
        const char *state = json_text(operation, "State");

        change_result(c, "State", json_string(*state ? state : "done"));
        if (STREQ(state, "failed"))
                return ctl_fail(c, EXIT_CODE_FAILURE,
                                "%s %s has failed: %s. It cannot be read until that is done again, "
                                "or left behind: tgtctl sanitize %s --exit-failure",
                                how->doing, what, json_text(operation, "Reason"), name);
        if (STREQ(state, "running")) {
                if (!ctl_json(c))
                        ctl_say(c, COLOR_NONE,
                                "%s %s has begun; tgtctl show %s says how far it is.", how->doing,
                                what, name);
                return EXIT_CODE_OK;
        }
        if (!ctl_json(c))
                ctl_say(c, COLOR_GREEN, "%s %s.", how->done, what);
        return EXIT_CODE_OK;
}

static int wait_for_end(Ctl *c, const char *path, const char *name, const json_t *unit,
                        const Operate *how)
{
        _cleanup_json_ json_t *operation = NULL;
        int code = c->options.no_wait ? look(c, path, &operation) : watch(c, path, how, &operation);

        if (code != EXIT_CODE_OK) {
                ctl_note(c, "It has begun, and goes on: tgtctl show %s", name);
                return code;
        }
        if (progress_interrupted() && STREQ(json_text(operation, "State"), "running")) {
                (void)ctl_fail(c, EXIT_CODE_FAILURE,
                               "Interrupted the waiting; %s goes on: tgtctl show %s",
                               operation_doing(operation), name);
                progress_die();
        }
        return tell_end(c, name, unit, how, operation);
}

static int operate(Ctl *c, const char *name, const Operate *how)
{
        _cleanup_json_ json_t *unit = NULL;
        g_autofree char *path = NULL;
        int code = check_pattern(c);

        if (code == EXIT_CODE_OK)
                code = model_resolve_unit(c, name, &path);
        if (code == EXIT_CODE_OK)
                code = model_unit(c, path, &unit);
        if (code == EXIT_CODE_OK)
                code = confirm(c, unit);
        if (code == EXIT_CODE_OK)
                code = begin(c, path, how);
        if (code != EXIT_CODE_OK)
                return code;
        change_result(c, "Uuid", json_string(json_text(unit, "Uuid")));
        return wait_for_end(c, path, name, unit, how);
}

static int exit_failure(Ctl *c, const char *name)
{
        const Operate how = { .member = "ExitFailure" };
        g_autofree char *path = NULL;
        int code = model_resolve_unit(c, name, &path);

        if (code == EXIT_CODE_OK)
                code = begin(c, path, &how);
        if (code == EXIT_CODE_OK && !ctl_json(c))
                ctl_say(c, COLOR_NONE, "What is on %s can be read again.", name);
        return code;
}

int verb_sanitize(Ctl *c, char **args)
{
        const Options *o = &c->options;
        Operate how = { "Sanitize", "Sanitizing", "Sanitized",
                        o->method ? o->method : "overwrite" };
        bool others = o->method || o->passes > 0 || o->pattern || o->invert || o->restricted;

        if (o->exit_failure && (others || o->force))
                return ctl_fail(c, EXIT_CODE_USAGE, "--exit-failure goes with no other option.");
        if (o->exit_failure)
                return exit_failure(c, args[0]);
        if (o->passes > 31)
                return ctl_fail(c, EXIT_CODE_USAGE, "--passes wants a number from 1 to 31.");
        if (!STREQ(how.method, "overwrite") && (o->passes > 0 || o->pattern || o->invert))
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "--passes, --pattern and --invert are of --method=overwrite.");
        return operate(c, args[0], &how);
}

int verb_copy(Ctl *c, char **args)
{
        g_autofree char *file = g_canonicalize_filename(args[1], NULL), *path = NULL, *all = NULL;
        _cleanup_json_ json_t *unit = NULL, *results = NULL;
        sd_bus_message *m = NULL, *reply = NULL;
        int r, code = model_resolve_unit(c, args[0], &path);

        if (code == EXIT_CODE_OK)
                code = model_unit(c, path, &unit);
        if (code == EXIT_CODE_OK)
                code = ctl_method(c, path, IFACE("LogicalUnit"), "Copy", &m);
        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_append(m, "s", file);
        if (r >= 0)
                r = append_options(c, m);
        if (r < 0) {
                sd_bus_message_unref(m);
                return ctl_bad_message(c, r);
        }
        code = progress_invoke(c, "Copying", m, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = message_read_all(reply, &results);
        sd_bus_message_unref(reply);
        if (r < 0)
                return ctl_bad_message(c, r);
        change_result(c, "Path", json_incref(json_array_get(results, 0)));
        all = describe(c, unit);
        if (!ctl_json(c))
                ctl_say(c, COLOR_GREEN, "Copied %s to %s.", all, file);
        return EXIT_CODE_OK;
}

int verb_format(Ctl *c, char **args)
{
        static const Operate how = { "Format", "Formatting", "Formatted", NULL };

        return operate(c, args[0], &how);
}
