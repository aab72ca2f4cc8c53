/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "base/addr.h"
#include "base/parse.h"
#include "config/config.h"
#include "ctl/args.h"
#include "ctl/change.h"
#include "ctl/connection.h"
#include "ctl/format.h"
#include "ctl/message.h"
#include "ctl/model.h"
#include "ctl/target-name.h"
#include "ctl/verb-functions.h"

static const char *const no_outs[] = { NULL };
static const char *const object_outs[] = { "Object", NULL };

/* Only files have folders; what other stores make of a path is theirs. */
static bool store_has_files(const Options *o)
{
        for (guint i = 0; i < o->settings->len; i++) {
                const Setting *s = &g_array_index(o->settings, Setting, i);

                if (STREQ(s->directive, "bs-type"))
                        return STREQ(s->value, "rdwr") || STREQ(s->value, "aio");
        }
        return true;
}

/* The daemon has another working directory than we. */
static void make_paths_absolute(Options *o)
{
        if (!store_has_files(o))
                return;
        for (guint i = 0; i < o->settings->len; i++) {
                Setting *s = &g_array_index(o->settings, Setting, i);
                char *path;

                if (!STREQ(s->directive, "backing-store") && !STREQ(s->directive, "direct-store") &&
                    !STREQ(s->directive, "path"))
                        continue;
                if (!*s->value || g_path_is_absolute(s->value) || STREQ(s->value, "NONE") ||
                    g_str_has_prefix(s->value, "NONE:"))
                        continue;
                path = g_canonicalize_filename(s->value, NULL);
                g_free(s->value);
                s->value = path;
        }
}

/* A generation holds for one change; the first of several would end it. */
static int check_generation(Ctl *c, guint n)
{
        if (c->options.generation >= 0 && n > 1)
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "--generation goes with one change; these would be %u.", n);
        return EXIT_CODE_OK;
}

/* --size without anything that is there already asks for a file; it is no directive then. */
static int take_file_size(Ctl *c)
{
        GArray *settings = c->options.settings;

        for (guint i = 0; i < settings->len; i++) {
                const Setting *s = &g_array_index(settings, Setting, i);

                if (!STREQ(s->directive, "size"))
                        continue;
                if (parse_size(s->value, &c->options.file_size) < 0 || c->options.file_size == 0)
                        return ctl_fail(c, EXIT_CODE_USAGE,
                                        "--size wants a size such as 10G, not \"%s\".", s->value);
                g_array_remove_index(settings, i--);
        }
        return EXIT_CODE_OK;
}

static bool names_a_store(const Options *o)
{
        if (!store_has_files(o))
                return true;
        for (guint i = 0; i < o->settings->len; i++) {
                const char *directive = g_array_index(o->settings, Setting, i).directive;

                if (STREQ(directive, "backing-store") || STREQ(directive, "direct-store"))
                        return true;
        }
        return false;
}

static int check_file_options(Ctl *c)
{
        if (c->options.file_size == 0 && (c->options.preallocate || c->options.store_dir))
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "--%s is about the file that is made for --size.",
                                c->options.preallocate ? "preallocate" : "store-dir");
        return EXIT_CODE_OK;
}

/* *ret_name: newly allocated. */
static int complete_name(Ctl *c, const char *given, char **ret_name)
{
        const char *why;

        if (target_name_is_full(given)) {
                *ret_name = g_strdup(given);
                return EXIT_CODE_OK;
        }
        *ret_name = target_name_make(given, g_get_host_name(), time(NULL), &why);
        if (!*ret_name)
                return ctl_fail(c, EXIT_CODE_FAILURE, "\"%s\" is no name for a target: %s.", given,
                                why);
        ctl_note(c, "Naming it %s.", *ret_name);
        return EXIT_CODE_OK;
}

static bool admits_somebody(const Options *o)
{
        for (guint i = 0; i < o->settings->len; i++)
                if (g_str_has_prefix(g_array_index(o->settings, Setting, i).directive,
                                     "initiator-"))
                        return true;
        return false;
}

/* Where the file is, and what is still to be done. */
static int tell_created(Ctl *c, const char *name)
{
        _cleanup_json_ json_t *target = NULL;
        const char *colon = strchr(name, ':');
        json_t *lun;
        size_t i;
        int code = EXIT_CODE_OK;

        if (c->options.file_size > 0)
                code = model_target(c, json_text(c->result, "Object"), &target);
        json_array_foreach (json_object_get(target, "LogicalUnits"), i, lun) {
                g_autofree char *size = format_bytes((uint64_t)json_number(lun, "Size"));

                ctl_say(c, COLOR_NONE, "LUN %lld is %s, %s.", (long long)json_number(lun, "Lun"),
                        json_text(lun, "Path"), size);
        }
        if (code == EXIT_CODE_OK && !admits_somebody(&c->options))
                ctl_note(c, "Nobody may log in yet: tgtctl allow %s INITIATOR|ADDRESS|ALL",
                         colon && colon[1] ? colon + 1 : name);
        return code;
}

int verb_create(Ctl *c, char **args)
{
        g_autofree char *name = NULL;
        sd_bus_message *m = NULL;
        int r, code = take_file_size(c);

        if (code == EXIT_CODE_OK)
                code = check_file_options(c);
        if (code == EXIT_CODE_OK)
                code = complete_name(c, args[0], &name);
        if (code == EXIT_CODE_OK)
                code = change_begin(c, BUS_ROOT, IFACE("Manager"), "CreateTarget", &m);
        if (code != EXIT_CODE_OK)
                return code;
        make_paths_absolute(&c->options);
        r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = change_append_settings(c, m);
        code = change_finish(c, m, r, OPTIONS_ALL | OPTIONS_FILE, object_outs);
        if (code != EXIT_CODE_OK || c->options.dry_run || ctl_json(c))
                return code;
        return tell_created(c, name);
}

int verb_delete(Ctl *c, char **args)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        int code = check_generation(c, g_strv_length(args));

        /* all of them are there before the first goes */
        for (; *args && code == EXIT_CODE_OK; args++) {
                char *name = NULL;

                code = model_resolve(c, *args, &name, NULL);
                if (code == EXIT_CODE_OK)
                        g_ptr_array_add(names, name);
        }
        for (guint i = 0; i < names->len && code == EXIT_CODE_OK; i++) {
                const char *name = g_ptr_array_index(names, i);
                sd_bus_message *m = NULL;

                code = change_begin(c, BUS_ROOT, IFACE("Manager"), "DeleteTarget", &m);
                if (code == EXIT_CODE_OK)
                        code = change_finish(c, m, sd_bus_message_append(m, "s", name), OPTIONS_ALL,
                                             no_outs);
        }
        return code;
}

int change_begin_target(Ctl *c, const char *name, const char *member, sd_bus_message **ret)
{
        g_autofree char *path = NULL;
        int code = model_resolve(c, name, NULL, &path);

        return code == EXIT_CODE_OK ? change_begin(c, path, IFACE("Target"), member, ret) : code;
}

int verb_add_lun(Ctl *c, char **args)
{
        static const char *const outs[] = { "Lun", "Object", NULL };
        sd_bus_message *m = NULL;
        int code;

        if (args[1])
                options_add_setting(&c->options, "backing-store", args[1]);
        if (c->options.settings->len == 0)
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "Say what is behind the LUN: a PATH, or --bs-type=null --size=1G, "
                                "or another directive of targets.conf(5).");
        make_paths_absolute(&c->options);
        code = names_a_store(&c->options) ? EXIT_CODE_OK : take_file_size(c);
        if (code == EXIT_CODE_OK)
                code = check_file_options(c);
        if (code == EXIT_CODE_OK)
                code = change_begin_target(c, args[0], "AddLogicalUnit", &m);
        if (code != EXIT_CODE_OK)
                return code;
        return change_finish(c, m, change_append_settings(c, m), OPTIONS_ALL | OPTIONS_FILE, outs);
}

static int parse_lun(Ctl *c, const char *text, uint16_t *ret)
{
        uint32_t lun;

        if (parse_u32(text, 0, 16383, &lun) < 0)
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "\"%s\" is not a LUN: a number from 0 to 16383.", text);
        *ret = (uint16_t)lun;
        return EXIT_CODE_OK;
}

int verb_remove_lun(Ctl *c, char **args)
{
        const char *target = args[0];
        g_autofree char *path = NULL;
        uint16_t lun = 0;
        int code = check_generation(c, g_strv_length(args) - 1);

        for (char **a = args + 1; *a && code == EXIT_CODE_OK; a++)
                code = parse_lun(c, *a, &lun); /* all, before the first goes */
        if (code == EXIT_CODE_OK)
                code = model_resolve(c, target, NULL, &path);
        for (args++; *args && code == EXIT_CODE_OK; args++) {
                sd_bus_message *m = NULL;

                (void)parse_lun(c, *args, &lun);
                code = change_begin(c, path, IFACE("Target"), "RemoveLogicalUnit", &m);
                if (code == EXIT_CODE_OK)
                        code = change_finish(c, m, sd_bus_message_append(m, "q", lun), OPTIONS_ALL,
                                             no_outs);
        }
        return code;
}

const char *access_kind(const char *value)
{
        AddrPrefix prefix;

        if (addr_prefix_parse(value, &prefix) >= 0)
                return "initiator-address";
        if (g_str_has_prefix(value, "iqn.") || g_str_has_prefix(value, "eui.") ||
            g_str_has_prefix(value, "naa."))
                return "initiator-name";
        return NULL;
}

static int change_access(Ctl *c, char **args, const char *member, const char *const *outs)
{
        const char *target = args[0];
        g_autofree char *path = NULL;
        int code = check_generation(c, g_strv_length(args) - 1);

        for (char **a = args + 1; *a && code == EXIT_CODE_OK; a++)
                if (!access_kind(*a))
                        code = ctl_fail(c, EXIT_CODE_USAGE,
                                        "\"%s\" is neither the name of an initiator (iqn., eui., "
                                        "naa.) nor an address, a prefix (10.0.0.0/8) or ALL.",
                                        *a);
        if (code == EXIT_CODE_OK)
                code = model_resolve(c, target, NULL, &path);
        for (args++; *args && code == EXIT_CODE_OK; args++) {
                sd_bus_message *m = NULL;
                int r;

                code = change_begin(c, path, IFACE("Target"), member, &m);
                if (code != EXIT_CODE_OK)
                        break;
                r = sd_bus_message_append(m, "ss", access_kind(*args), *args);
                code = change_finish(c, m, r, OPTIONS_ALL, outs);
        }
        return code;
}

int verb_allow(Ctl *c, char **args)
{
        return change_access(c, args, "Allow", object_outs);
}

int verb_deny(Ctl *c, char **args)
{
        return change_access(c, args, "Deny", no_outs);
}

int verb_set(Ctl *c, char **args)
{
        const char *directive = directive_name(args[1]);
        sd_bus_message *m = NULL;
        int r, code;

        if (!directive_takes_many(directive) && g_strv_length(args) > 3)
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "%s has one value; put quotes around what has blanks in it.",
                                directive);
        code = change_begin_target(c, args[0], "Set", &m);
        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_append(m, "s", directive);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, args + 2);
        return change_finish(c, m, r, OPTIONS_ALL, no_outs);
}

int verb_set_lun(Ctl *c, char **args)
{
        sd_bus_message *m = NULL;
        uint16_t lun = 0;
        int r, code = parse_lun(c, args[1], &lun);

        if (code != EXIT_CODE_OK)
                return code;
        if (!args[2] && c->options.settings->len == 0)
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "Say which directive to set. Usage: tgtctl %s %s", c->verb->name,
                                c->verb->args);
        if (args[2] && !args[3])
                return ctl_fail(c, EXIT_CODE_USAGE, "%s wants a value.", args[2]);
        if (args[2] && g_strv_length(args) > 4 && !directive_takes_many(directive_name(args[2])))
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "%s has one value; put quotes around what has blanks in it.",
                                args[2]);
        for (char **v = args + 3; args[2] && *v; v++)
                options_add_setting(&c->options, directive_name(args[2]), *v);
        make_paths_absolute(&c->options);
        code = change_begin_target(c, args[0], "SetLogicalUnit", &m);
        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_append(m, "q", lun);
        if (r >= 0)
                r = change_append_settings(c, m);
        return change_finish(c, m, r, OPTIONS_ALL, no_outs);
}

static int change_portals(Ctl *c, char **args, const char *member, unsigned mask,
                          const char *const *outs)
{
        int code = check_generation(c, g_strv_length(args));

        for (; *args && code == EXIT_CODE_OK; args++) {
                sd_bus_message *m = NULL;

                code = change_begin(c, BUS_ROOT, IFACE("Manager"), member, &m);
                if (code == EXIT_CODE_OK)
                        code = change_finish(c, m, sd_bus_message_append(m, "s", *args), mask,
                                             outs);
        }
        return code;
}

int verb_portal_add(Ctl *c, char **args)
{
        return change_portals(c, args, "AddPortal", OPTIONS_ALL & ~OPTIONS_FORCE, object_outs);
}

int verb_portal_remove(Ctl *c, char **args)
{
        return change_portals(c, args, "RemovePortal", OPTIONS_ALL, no_outs);
}

/* Whole names may be of targets that do not run yet. */
static int full_names(Ctl *c, char **args, GPtrArray *to)
{
        int code = EXIT_CODE_OK;

        for (; *args && code == EXIT_CODE_OK; args++) {
                char *name = NULL;

                if (target_name_is_full(*args))
                        name = g_ascii_strdown(*args, -1);
                else
                        code = model_resolve(c, *args, &name, NULL);
                if (name)
                        g_ptr_array_add(to, name);
        }
        g_ptr_array_add(to, NULL);
        return code;
}

int verb_reload(Ctl *c, char **args)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        _cleanup_json_ json_t *results = NULL, *problems = NULL;
        unsigned mask = (OPTIONS_ALL & ~OPTIONS_RUNTIME) | OPTIONS_RELOAD;
        sd_bus_message *m = NULL;
        bool errors;
        int code = full_names(c, args, names);

        if (code == EXIT_CODE_OK)
                code = change_begin(c, BUS_ROOT, IFACE("Manager"), "Reload", &m);
        c->options.only = *args ? (char **)names->pdata : NULL;
        if (code == EXIT_CODE_OK)
                code = change_send(c, m, 0, mask, &results);
        c->options.only = NULL;
        if (code != EXIT_CODE_OK)
                return code;
        problems = problems_from_bus(json_array_get(results, 1));
        errors = problems_have_error(problems);
        if (!ctl_json(c))
                tell_problems(c, problems);
        change_result(c, "Changes", json_incref(json_array_get(results, 0)));
        change_result(c, "Problems", json_incref(problems));
        tell_changes(c, json_array_get(results, 0));
        return errors ? EXIT_CODE_FAILURE : EXIT_CODE_OK;
}

static int end_session(Ctl *c, uint64_t id)
{
        g_autofree char *path = g_strdup_printf(BUS_ROOT "/session/%" PRIu64, id);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL;
        int r, code = change_begin(c, path, IFACE("Session"), "End", &m);

        if (code != EXIT_CODE_OK)
                return code;
        r = change_append_options(c, m, OPTIONS_NONE);
        if (r < 0) {
                sd_bus_message_unref(m);
                return ctl_bad_message(c, r);
        }
        code = ctl_invoke_quiet(c, m, &error, NULL);
        if (code == EXIT_CODE_NOT_FOUND)
                (void)ctl_fail(c, code, "There is no session %" PRIu64 ".", id);
        else if (code != EXIT_CODE_OK)
                (void)ctl_report_error(c, code, &error);
        else {
                change_result(c, "Ended", json_pack("[I]", (json_int_t)id));
                if (!ctl_json(c))
                        ctl_say(c, COLOR_NONE, "Ended session %" PRIu64 ".", id);
        }
        sd_bus_error_free(&error);
        return code;
}

/* Every session of the initiator of that name. */
static int end_sessions_of(Ctl *c, const char *initiator)
{
        _cleanup_json_ json_t *sessions = NULL;
        json_t *session;
        unsigned n = 0;
        size_t i;
        int code = model_sessions(c, NULL, &sessions);

        json_array_foreach (sessions, i, session) {
                if (code != EXIT_CODE_OK)
                        break;
                if (g_ascii_strcasecmp(json_text(session, "Initiator"), initiator) != 0)
                        continue;
                n++;
                code = end_session(c, (uint64_t)json_number(session, "Id"));
        }
        if (code == EXIT_CODE_OK && n == 0)
                return ctl_fail(c, EXIT_CODE_NOT_FOUND, "No session is of the initiator %s.",
                                initiator);
        return code;
}

int verb_disconnect(Ctl *c, char **args)
{
        int code = EXIT_CODE_OK;

        for (; *args && code == EXIT_CODE_OK; args++) {
                uint64_t id;

                if (parse_u64(*args, 1, INT64_MAX, &id) >= 0)
                        code = end_session(c, id);
                else
                        code = end_sessions_of(c, *args);
        }
        return code;
}

int verb_unit_refresh(Ctl *c, char **args)
{
        int code = EXIT_CODE_OK;

        for (; *args && code == EXIT_CODE_OK; args++) {
                g_autofree char *path = NULL;
                sd_bus_message *m = NULL;

                code = model_resolve_unit(c, *args, &path);
                if (code == EXIT_CODE_OK)
                        code = change_begin(c, path, IFACE("LogicalUnit"), "Refresh", &m);
                if (code == EXIT_CODE_OK)
                        code = change_finish(c, m, 0, OPTIONS_NONE, NULL);
        }
        return code;
}

int verb_unit_store_options(Ctl *c, char **args)
{
        g_autofree char *path = NULL;
        sd_bus_message *m = NULL;
        int code = model_resolve_unit(c, args[0], &path);

        if (code == EXIT_CODE_OK)
                code = change_begin(c, path, IFACE("LogicalUnit"), "SetStoreOptions", &m);
        if (code == EXIT_CODE_OK)
                code = change_finish(c, m, sd_bus_message_append(m, "s", args[1]), OPTIONS_NONE,
                                     NULL);
        return code;
}
