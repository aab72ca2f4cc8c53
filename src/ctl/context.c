/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/context.h"
#include "ctl/pager.h"
#include "ctl/screen.h"

static const char *const exit_code_helps[_EXIT_CODE_MAX] = {
        [EXIT_CODE_OK] = "Done.",
        [EXIT_CODE_FAILURE] = "Failed, for a reason that the other codes do not name; verify found "
                              "errors.",
        [EXIT_CODE_USAGE] = "The command line is wrong. Nothing was done.",
        [EXIT_CODE_NOT_RUNNING] = "The daemon is not running or cannot be reached.",
        [EXIT_CODE_NOT_FOUND] = "There is no such target, unit, LUN, session, portal or account.",
        [EXIT_CODE_DENIED] = "Access denied.",
        [EXIT_CODE_CONFLICT] = "In use, already there, defined by the administrator, or changed "
                               "meanwhile. --force helps against some of these.",
        [EXIT_CODE_DIFFERS] = "Of diff: what is configured is not what runs.",
};

const char *exit_code_help(ExitCode code)
{
        return exit_code_helps[code];
}

static void print_error(Ctl *c, Color color, const char *format, va_list ap)
{
        g_autofree char *text = g_strdup_vprintf(format, ap);
        g_auto(GStrv) lines = NULL;

        if (c->caught) {
                g_string_append_printf(c->caught, "%s%s", c->caught->len > 0 ? "\n" : "", text);
                return;
        }
        lines = g_strsplit(text, "\n", -1);
        screen_close(); /* what is said there would go with it */
        (void)fflush(stdout);
        for (char **l = lines; *l; l++) {
                g_autofree char *clean = text_sanitize(*l, c->terminal.unicode);

                (void)fprintf(stderr, "%s%s%s\n", color_on(c->terminal.color_error, color), clean,
                              color_off(c->terminal.color_error, color));
        }
}

int ctl_fail(Ctl *c, ExitCode code, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        print_error(c, COLOR_RED, format, ap);
        va_end(ap);
        return code;
}

void ctl_note(Ctl *c, const char *format, ...)
{
        va_list ap;

        if (c->options.quiet)
                return;
        va_start(ap, format);
        print_error(c, COLOR_NONE, format, ap);
        va_end(ap);
}

void ctl_say(Ctl *c, Color color, const char *format, ...)
{
        g_autofree char *text = NULL, *clean = NULL;
        va_list ap;

        if (c->options.quiet)
                return;
        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        clean = text_sanitize(text, c->terminal.unicode);
        (void)printf("%s%s%s\n", color_on(c->terminal.color, color), clean,
                     color_off(c->terminal.color, color));
}

void ctl_show(Ctl *c, const char *text)
{
        if (!c->options.no_pager)
                (void)pager_open();
        (void)fputs(text, stdout);
}

int ctl_show_json(Ctl *c, const json_t *j)
{
        size_t flags =
                JSON_ENCODE_ANY | (c->options.json == JSON_SHORT ? JSON_COMPACT : JSON_INDENT(8));
        g_autofree char *text = NULL;
        char *dump = json_dumps(j, flags);

        if (!dump)
                return ctl_fail(c, EXIT_CODE_FAILURE, "Out of memory.");
        text = g_strconcat(dump, "\n", NULL);
        free(dump);
        if (c->options.json == JSON_PRETTY)
                ctl_show(c, text);
        else
                (void)fputs(text, stdout);
        return EXIT_CODE_OK;
}

void ctl_show_table(Ctl *c, const Table *t, const char *noun)
{
        g_autoptr(GString) s = g_string_new(NULL);
        size_t n = table_rows(t);

        table_format(t, &c->terminal, c->options.full, !c->options.no_legend, s);
        if (!c->options.no_legend)
                g_string_append_printf(s, "\n%zu %s%s.\n", n, noun, n == 1 ? "" : "s");
        ctl_show(c, s->str);
}
