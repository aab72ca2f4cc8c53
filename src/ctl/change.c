/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/change.h"

#include <inttypes.h>

#include "ctl/connection.h"
#include "ctl/message.h"
#include "ctl/model.h"
#include "ctl/progress.h"

int change_begin(Ctl *c, const char *path, const char *interface, const char *member,
                 sd_bus_message **ret)
{
        return ctl_method(c, path, interface, member, ret);
}

static int append_values(sd_bus_message *m, const GArray *settings, const char *directive)
{
        int r = sd_bus_message_open_container(m, 'a', "s");

        for (guint i = 0; i < settings->len && r >= 0; i++) {
                const Setting *s = &g_array_index(settings, Setting, i);

                if (STREQ(s->directive, directive))
                        r = sd_bus_message_append(m, "s", s->value);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_directive(sd_bus_message *m, const GArray *settings, guint i)
{
        const char *directive = g_array_index(settings, Setting, i).directive;
        int r;

        for (guint k = 0; k < i; k++)
                if (STREQ(g_array_index(settings, Setting, k).directive, directive))
                        return 0; /* went with its first */
        r = sd_bus_message_open_container(m, 'e', "sas");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", directive);
        if (r >= 0)
                r = append_values(m, settings, directive);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int change_append_settings(Ctl *c, sd_bus_message *m)
{
        const GArray *settings = c->options.settings;
        int r = sd_bus_message_open_container(m, 'a', "{sas}");

        for (guint i = 0; i < settings->len && r >= 0; i++)
                r = append_directive(m, settings, i);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_file_options(const Options *o, sd_bus_message *m)
{
        g_autofree char *directory =
                o->store_dir ? g_canonicalize_filename(o->store_dir, NULL) : NULL;
        int r = sd_bus_message_append(m, "{sv}", "size", "t", o->file_size);

        if (r >= 0 && o->preallocate)
                r = sd_bus_message_append(m, "{sv}", "preallocate", "b", 1);
        if (r >= 0 && directory)
                r = sd_bus_message_append(m, "{sv}", "directory", "s", directory);
        return r;
}

int change_append_strings(sd_bus_message *m, const char *name, char *const *values)
{
        int r = sd_bus_message_open_container(m, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **)values);
        for (int i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

int change_append_options(Ctl *c, sd_bus_message *m, unsigned mask)
{
        const Options *o = &c->options;
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        if (r >= 0 && o->runtime && (mask & OPTIONS_RUNTIME))
                r = sd_bus_message_append(m, "{sv}", "runtime", "b", 1);
        if (r >= 0 && o->force && (mask & OPTIONS_FORCE))
                r = sd_bus_message_append(m, "{sv}", "force", "b", 1);
        if (r >= 0 && o->dry_run && (mask & OPTIONS_DRY_RUN))
                r = sd_bus_message_append(m, "{sv}", "dry-run", "b", 1);
        if (r >= 0 && o->generation >= 0 && (mask & OPTIONS_GENERATION))
                r = sd_bus_message_append(m, "{sv}", "generation", "t", (uint64_t)o->generation);
        if (r >= 0 && o->prune && (mask & OPTIONS_APPLY))
                r = sd_bus_message_append(m, "{sv}", "prune", "b", 1);
        if (r >= 0 && o->confirm_within > 0 && (mask & OPTIONS_CONFIRM))
                r = sd_bus_message_append(m, "{sv}", "confirm-within", "t",
                                          o->confirm_within / NSEC_PER_USEC);
        if (r >= 0 && o->revert && (mask & OPTIONS_RELOAD))
                r = sd_bus_message_append(m, "{sv}", "revert", "b", 1);
        if (r >= 0 && o->only && (mask & OPTIONS_RELOAD))
                r = change_append_strings(m, "targets", o->only);
        if (r >= 0 && o->file_size > 0 && (mask & OPTIONS_FILE))
                r = append_file_options(o, m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

void change_result(Ctl *c, const char *name, json_t *value)
{
        json_t *have;

        if (!c->result)
                c->result = json_object();
        have = json_object_get(c->result, name);
        if (json_is_array(have) && json_is_array(value)) {
                (void)json_array_extend(have, value);
                json_decref(value);
        } else
                (void)json_object_set_new(c->result, name, value);
}

/* "+ target ...", "- ...", "~ ...": as differences are colored everywhere. */
Color change_color(const char *line)
{
        return *line == '+'   ? COLOR_GREEN
               : *line == '-' ? COLOR_RED
               : *line == '~' ? COLOR_YELLOW
                              : COLOR_NONE;
}

void tell_confirm(Ctl *c)
{
        if (c->options.confirm_within > 0 && !c->options.dry_run)
                ctl_note(c,
                         "This is taken back in %" PRIu64 " s, unless it is confirmed: "
                         "tgtctl confirm",
                         c->options.confirm_within / NSEC_PER_SEC);
}

void tell_changes(Ctl *c, const json_t *changes)
{
        const json_t *line;
        size_t i;

        if (ctl_json(c))
                return;
        if (json_array_size(changes) == 0)
                ctl_note(c, "Nothing to change.");
        else if (c->options.dry_run)
                ctl_note(c, "Would change:");
        json_array_foreach (changes, i, line) {
                const char *text = json_string_value(line) ? json_string_value(line) : "";

                ctl_say(c, change_color(text), "%s", text);
        }
        if (json_array_size(changes) > 0)
                tell_confirm(c);
}

int change_send(Ctl *c, sd_bus_message *m, int appended, unsigned mask, json_t **ret)
{
        sd_bus_message *reply = NULL;
        int code, r = appended;

        if (r >= 0)
                r = change_append_options(c, m, mask);
        if (r < 0) {
                sd_bus_message_unref(m);
                return ctl_bad_message(c, r);
        }
        if ((mask & OPTIONS_FILE) && c->options.preallocate)
                code = progress_invoke(c, "Allocating", m, &reply);
        else
                code = ctl_invoke(c, m, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = message_read_all(reply, ret);
        sd_bus_message_unref(reply);
        return r < 0 ? ctl_bad_message(c, r) : EXIT_CODE_OK;
}

int change_finish(Ctl *c, sd_bus_message *m, int appended, unsigned mask, const char *const *outs)
{
        _cleanup_json_ json_t *results = NULL;
        int code = change_send(c, m, appended, mask, &results);
        size_t n = 0;

        if (code != EXIT_CODE_OK)
                return code;
        if (!outs) {
                if (!c->result)
                        c->result = json_object(); /* as JSON, what has nothing to tell is {} */
                return EXIT_CODE_OK;
        }
        for (; outs[n]; n++)
                change_result(c, outs[n], json_incref(json_array_get(results, n)));
        if (!json_is_array(json_array_get(results, n)))
                return ctl_bad_message(c, -EBADMSG);
        tell_changes(c, json_array_get(results, n));
        change_result(c, "Changes", json_incref(json_array_get(results, n)));
        return EXIT_CODE_OK;
}

json_t *problems_from_bus(const json_t *structs)
{
        static const char *const fields[] = {
                "File", "Line", "Level", "Target", "Directive", "Text"
        };
        json_t *list = json_array(), *s;
        size_t i;

        json_array_foreach (structs, i, s) {
                json_t *p = json_object();

                for (size_t k = 0; k < ELEMENTSOF(fields); k++)
                        (void)json_object_set(p, fields[k], json_array_get(s, k));
                (void)json_array_append_new(list, p);
        }
        return list;
}

bool problems_have_error(const json_t *problems)
{
        json_t *p;
        size_t i;

        json_array_foreach (problems, i, p)
                if (STREQ(json_text(p, "Level"), "error"))
                        return true;
        return false;
}

void tell_problems(Ctl *c, const json_t *problems)
{
        json_t *p;
        size_t i;

        json_array_foreach (problems, i, p) {
                const char *target = json_text(p, "Target"), *directive = json_text(p, "Directive");
                bool error = STREQ(json_text(p, "Level"), "error");
                g_autoptr(GString) s = g_string_new(json_text(p, "File"));
                g_autofree char *text = NULL;

                if (json_number(p, "Line") > 0)
                        g_string_append_printf(s, ":%lld", (long long)json_number(p, "Line"));
                g_string_append_printf(s, ": %s", error ? "error: " : "warning: ");
                if (*target)
                        g_string_append_printf(s, "%s: ", target);
                if (*directive)
                        g_string_append_printf(s, "%s: ", directive);
                text = ctl_in_our_words(json_text(p, "Text"));
                g_string_append(s, text);
                if (error)
                        (void)ctl_fail(c, EXIT_CODE_FAILURE, "%s", s->str);
                else
                        ctl_note(c, "%s", s->str);
        }
}
