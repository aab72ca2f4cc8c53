/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "base/parse.h"
#include "ctl/apply.h"
#include "ctl/connection.h"
#include "ctl/message.h"
#include "ctl/model.h"
#include "ctl/verb-functions.h"

/* Changes that are one: apply, and the difference between what runs and what is configured. */

/* ---- fragments ------------------------------------------------------------------------------- */

static void fragment_clear(gpointer p)
{
        FragmentText *f = p;

        if (f->text) /* there may be secrets in it */
                explicit_bzero(f->text, strlen(f->text));
        g_free(f->text);
        g_free(f->name);
}

GArray *fragments_new(void)
{
        GArray *fragments = g_array_new(FALSE, FALSE, sizeof(FragmentText));

        g_array_set_clear_func(fragments, fragment_clear);
        return fragments;
}

void fragments_add(GArray *fragments, const char *name, char *text)
{
        FragmentText f = { g_strdup(name), text };

        g_array_append_val(fragments, f);
}

static int read_file(Ctl *c, const char *path, GArray *to)
{
        g_autoptr(GError) e = NULL;
        char *text;
        size_t size;

        if (!g_file_get_contents(path, &text, &size, &e))
                return ctl_fail(c, EXIT_CODE_FAILURE, "%s.", e->message);
        if (memchr(text, '\0', size) || !g_utf8_validate(text, (gssize)size, NULL)) {
                g_free(text);
                return ctl_fail(c, EXIT_CODE_FAILURE, "%s: not a text file.", path);
        }
        fragments_add(to, path, text);
        return EXIT_CODE_OK;
}

static int read_input(Ctl *c, GArray *to)
{
        g_autoptr(GString) s = g_string_new(NULL);
        char block[4096];
        size_t n;

        while ((n = fread(block, 1, sizeof(block), stdin)) > 0)
                g_string_append_len(s, block, (gssize)n);
        explicit_bzero(block, sizeof(block));
        if (ferror(stdin) || memchr(s->str, '\0', s->len) ||
            !g_utf8_validate(s->str, (gssize)s->len, NULL))
                return ctl_fail(c, EXIT_CODE_FAILURE, "Standard input is not a text.");
        fragments_add(to, "standard input", g_string_free(g_steal_pointer(&s), FALSE));
        return EXIT_CODE_OK;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* As the daemon reads a folder of the search path. */
static int read_folder(Ctl *c, const char *path, GArray *to)
{
        g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GError) e = NULL;
        g_autoptr(GDir) dir = g_dir_open(path, 0, &e);
        const char *name;
        int code = EXIT_CODE_OK;

        if (!dir)
                return ctl_fail(c, EXIT_CODE_FAILURE, "%s.", e->message);
        while ((name = g_dir_read_name(dir)))
                if (name[0] != '.' && g_str_has_suffix(name, ".conf"))
                        g_ptr_array_add(files, g_build_filename(path, name, NULL));
        if (files->len == 0)
                return ctl_fail(c, EXIT_CODE_FAILURE, "There is no file *.conf in %s.", path);
        g_ptr_array_sort(files, compare_names);
        for (guint i = 0; i < files->len && code == EXIT_CODE_OK; i++)
                code = read_file(c, files->pdata[i], to);
        return code;
}

int fragments_read(Ctl *c, const char *arg, GArray *to)
{
        if (STREQ(arg, "-"))
                return read_input(c, to);
        if (g_file_test(arg, G_FILE_TEST_IS_DIR))
                return read_folder(c, arg, to);
        return read_file(c, arg, to);
}

/* ---- what differs ---------------------------------------------------------------------------- */

static json_t *named(const json_t *values, const char *const *names, size_t n)
{
        json_t *object = json_object();

        for (size_t i = 0; i < n; i++)
                (void)json_object_set(object, names[i], json_array_get(values, i));
        return object;
}

static json_t *changes_from_bus(const json_t *structs)
{
        static const char *const fields[] = { "Line", "Kind", "Name", "Lun", "Directives" };
        static const char *const parts[] = { "Directive", "Before", "After" };
        json_t *list = json_array(), *s, *d;
        size_t i, k;

        json_array_foreach (structs, i, s) {
                json_t *change = named(s, fields, ELEMENTSOF(fields)), *directives = json_array();

                json_array_foreach (json_array_get(s, 4), k, d)
                        (void)json_array_append_new(directives, named(d, parts, ELEMENTSOF(parts)));
                (void)json_object_set_new(change, "Directives", directives);
                (void)json_array_append_new(list, change);
        }
        return list;
}

static void tell_values(Ctl *c, char sign, const json_t *directive, const char *which)
{
        const char *name = json_text(directive, "Directive");
        const json_t *value;
        size_t i;

        json_array_foreach (json_object_get(directive, which), i, value)
                ctl_say(c, sign == '+' ? COLOR_GREEN : COLOR_RED, "%c     %s%s %s", sign, name,
                        g_str_has_prefix(name, "lun ") ? ":" : "", json_string_value(value));
}

/* What comes and goes, with what it says; what changes says it in its line. */
static void tell_details(Ctl *c, const json_t *change)
{
        char sign = *json_text(change, "Line");
        const json_t *d;
        size_t i;

        if (sign != '+' && sign != '-')
                return;
        json_array_foreach (json_object_get(change, "Directives"), i, d)
                tell_values(c, sign, d, sign == '+' ? "After" : "Before");
}

static void tell_difference(Ctl *c, const json_t *changes, const char *nothing, const char *intro)
{
        const json_t *change;
        size_t i;

        if (ctl_json(c))
                return;
        if (json_array_size(changes) == 0)
                ctl_note(c, "%s", nothing);
        else if (intro)
                ctl_note(c, "%s", intro);
        json_array_foreach (changes, i, change) {
                const char *line = json_text(change, "Line");

                ctl_say(c, change_color(line), "%s", line);
                tell_details(c, change);
        }
        if (json_array_size(changes) > 0)
                tell_confirm(c);
}

/* The reply of Apply and Compare into c->result. */
static int take_difference(Ctl *c, sd_bus_message *reply)
{
        _cleanup_json_ json_t *results = NULL;
        int r = message_read_all(reply, &results);

        if (r < 0)
                return ctl_bad_message(c, r);
        change_result(c, "Generation", json_incref(json_array_get(results, 0)));
        change_result(c, "Changes", changes_from_bus(json_array_get(results, 1)));
        change_result(c, "Problems", problems_from_bus(json_array_get(results, 2)));
        return EXIT_CODE_OK;
}

/* ---- apply ----------------------------------------------------------------------------------- */

static int append_fragments(sd_bus_message *m, const GArray *fragments)
{
        int r = sd_bus_message_open_container(m, 'a', "(ss)");

        for (guint i = 0; r >= 0 && i < fragments->len; i++) {
                const FragmentText *f = &g_array_index(fragments, FragmentText, i);

                r = sd_bus_message_append(m, "(ss)", f->name, f->text);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* The daemon puts each error on a line of its own. */
static int report_lines(Ctl *c, int code, const sd_bus_error *error)
{
        g_auto(GStrv) lines = g_strsplit(error->message ? error->message : error->name, "\n", -1);

        if (!lines[0] || !lines[1])
                return ctl_report_error(c, code, error);
        for (char **line = lines; *line; line++) {
                g_autofree char *text = ctl_in_our_words(*line);

                (void)ctl_fail(c, code, "%s", text);
        }
        return code;
}

static int begin_apply(Ctl *c, const GArray *fragments, bool dry_run, sd_bus_message **ret)
{
        bool as_told = c->options.dry_run;
        int r, code = change_begin(c, BUS_ROOT, IFACE("Manager"), "Apply", ret);

        if (code != EXIT_CODE_OK)
                return code;
        c->options.dry_run = dry_run;
        r = append_fragments(*ret, fragments);
        if (r >= 0)
                r = change_append_options(c, *ret, OPTIONS_ALL | OPTIONS_APPLY);
        c->options.dry_run = as_told;
        if (r >= 0)
                return EXIT_CODE_OK;
        sd_bus_message_unref(*ret);
        return ctl_bad_message(c, r);
}

int fragments_apply(Ctl *c, const GArray *fragments, bool dry_run, bool quiet, char **ret_error)
{
        sd_bus_message *m = NULL, *reply = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int code = begin_apply(c, fragments, dry_run, &m);

        if (code != EXIT_CODE_OK)
                return code;
        code = ctl_invoke_quiet(c, m, &error, &reply);
        if (code != EXIT_CODE_OK) {
                if (ret_error && sd_bus_error_is_set(&error))
                        *ret_error = g_strdup(error.message ? error.message : error.name);
                else
                        (void)report_lines(c, code, &error);
                sd_bus_error_free(&error);
                return code;
        }
        if (c->result)
                json_decref(c->result);
        c->result = NULL;
        code = take_difference(c, reply);
        sd_bus_message_unref(reply);
        if (code != EXIT_CODE_OK || quiet)
                return code;
        if (!ctl_json(c))
                tell_problems(c, json_object_get(c->result, "Problems"));
        tell_difference(c, json_object_get(c->result, "Changes"), "Nothing to change.",
                        dry_run ? "Would change:" : NULL);
        return EXIT_CODE_OK;
}

int verb_apply(Ctl *c, char **args)
{
        g_autoptr(GArray) fragments = fragments_new();
        int code = EXIT_CODE_OK;

        for (; *args && code == EXIT_CODE_OK; args++)
                code = fragments_read(c, *args, fragments);
        if (code != EXIT_CODE_OK)
                return code;
        return fragments_apply(c, fragments, c->options.dry_run, false, NULL);
}

/* ---- diff ------------------------------------------------------------------------------------ */

static bool is_about(const json_t *change, char *const *names)
{
        return !*names || g_strv_contains((const char *const *)names, json_text(change, "Name"));
}

/* Only what concerns the targets that were named. */
static json_t *only_of(const json_t *changes, char *const *names)
{
        json_t *list = json_array(), *change;
        size_t i;

        json_array_foreach (changes, i, change)
                if (is_about(change, names))
                        (void)json_array_append(list, change);
        return list;
}

static int compare(Ctl *c)
{
        sd_bus_message *m = NULL, *reply = NULL;
        int r, code = change_begin(c, BUS_ROOT, IFACE("Manager"), "Compare", &m);

        if (code != EXIT_CODE_OK)
                return code;
        /* it tells what files exist, which takes an authority that may have to be asked for */
        if (!c->options.no_ask_password)
                (void)sd_bus_message_set_allow_interactive_authorization(m, true);
        r = change_append_options(c, m, OPTIONS_NONE);
        if (r < 0) {
                sd_bus_message_unref(m);
                return ctl_bad_message(c, r);
        }
        code = ctl_invoke(c, m, &reply);
        if (code == EXIT_CODE_OK)
                code = take_difference(c, reply);
        sd_bus_message_unref(reply);
        return code;
}

int verb_diff(Ctl *c, char **args)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        json_t *changes, *problems;
        int code = EXIT_CODE_OK;
        bool errors;

        for (; *args && code == EXIT_CODE_OK; args++) {
                char *name = NULL;

                /* one that is only configured is not there to be found */
                if (strchr(*args, ':'))
                        name = g_ascii_strdown(*args, -1);
                else
                        code = model_resolve(c, *args, &name, NULL);
                if (name)
                        g_ptr_array_add(names, name);
        }
        g_ptr_array_add(names, NULL);
        if (code == EXIT_CODE_OK)
                code = compare(c);
        if (code != EXIT_CODE_OK)
                return code;
        changes = only_of(json_object_get(c->result, "Changes"), (char **)names->pdata);
        (void)json_object_set_new(c->result, "Changes", changes);
        problems = json_object_get(c->result, "Problems");
        errors = problems_have_error(problems);
        if (!ctl_json(c))
                tell_problems(c, problems);
        tell_difference(c, changes,
                        errors ? "Apart from that, what runs is what is configured."
                               : "What runs is what is configured.",
                        NULL);
        if (errors)
                return EXIT_CODE_FAILURE;
        return json_array_size(changes) > 0 ? EXIT_CODE_DIFFERS : EXIT_CODE_OK;
}

/* ---- what waits to be confirmed -------------------------------------------------------------- */

static int end_waiting(Ctl *c, const char *method, const char *done)
{
        static const char *const outs[] = { NULL };
        sd_bus_message *m = NULL;
        int code = change_begin(c, BUS_ROOT, IFACE("Manager"), method, &m);

        if (code != EXIT_CODE_OK)
                return code;
        code = change_finish(c, m, 0, OPTIONS_GENERATION, outs);
        if (code == EXIT_CODE_OK && !ctl_json(c))
                ctl_note(c, "%s", done);
        return code;
}

int verb_confirm(Ctl *c, char **args)
{
        return end_waiting(c, "Confirm", "This stays.");
}

int verb_rollback(Ctl *c, char **args)
{
        return end_waiting(c, "Rollback", "This is taken back.");
}
