/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "config/config.h"

/* Build time only: generate-man TEMPLATE > OUTPUT. A line "@DIRECTIVES where@" of the template
 * becomes the directives whose first place is that, "@REFUSED@" those that are refused by name: the
 * page says what the table says. */

/* As roff wants it: "-" is a hyphen unless escaped, and a line may not begin with a control
 * character. */
static void append_escaped(GString *to, const char *text, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (i == 0 && (text[i] == '.' || text[i] == '\''))
                        g_string_append(to, "\\&");
                if (text[i] == '-' || text[i] == '\\')
                        g_string_append_c(to, '\\');
                g_string_append_c(to, text[i]);
        }
}

static bool is_placeholder(char c)
{
        return g_ascii_isupper(c) || c == '_';
}

/* Words in capitals stand for something, the others are written as they are. One capital alone, as
 * in "K|M", is a word. */
static void append_values(GString *to, const char *values)
{
        while (*values) {
                size_t n = strspn(values, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
                bool placeholder = n > 1 && !STREQ(values, "NONE") && !STREQ(values, "ALL");

                if (g_str_has_prefix(values, "ALL|") || g_str_has_prefix(values, "NONE|") ||
                    g_str_has_prefix(values, "CRC"))
                        placeholder = false;
                if (!placeholder) {
                        n = MAX(n, (size_t)1);
                        while (values[n] && !is_placeholder(values[n]))
                                n++;
                }
                g_string_append(to, placeholder ? "\\fI" : "\\fB");
                append_escaped(to, values, n);
                g_string_append(to, "\\fR");
                values += n;
        }
}

static void append_directive(GString *to, const DirectiveDoc *d)
{
        g_string_append(to, ".TP\n\\fB");
        append_escaped(to, d->name, strlen(d->name));
        g_string_append(to, "\\fR ");
        append_values(to, d->values);
        g_string_append_c(to, '\n');
        append_escaped(to, d->help, strlen(d->help));
        if (d->standard)
                g_string_append_printf(to, "\nThe default is \\fB%s\\fR.", d->standard);
        if (d->many)
                g_string_append(to, "\nMay be given more than once.");
        if (!STREQ(d->since, "stgt"))
                g_string_append_printf(to, "\nNot in stgt; since %s.", d->since);
        g_string_append_c(to, '\n');
}

/* The place under which a directive is described: the innermost but for include. */
static const char *first_place(const DirectiveDoc *d)
{
        if (strstr(d->where, "global"))
                return "global";
        return strstr(d->where, "lun") ? "lun" : "target";
}

static void append_directives(GString *to, const char *where)
{
        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++)
                if (d->supported && STREQ(first_place(d), where))
                        append_directive(to, d);
}

static void append_refused(GString *to)
{
        const char *separator = "";

        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++)
                if (!d->supported) {
                        g_string_append(to, separator);
                        g_string_append(to, "\\fB");
                        append_escaped(to, d->name, strlen(d->name));
                        g_string_append(to, "\\fR");
                        separator = ",\n";
                }
        g_string_append(to, ".\n");
}

static char *generate(const char *template)
{
        g_auto(GStrv) lines = g_strsplit(template, "\n", -1);
        GString *to = g_string_new(NULL);

        for (char **l = lines; *l; l++) {
                if (g_str_has_prefix(*l, "@DIRECTIVES ") && g_str_has_suffix(*l, "@")) {
                        (*l)[strlen(*l) - 1] = '\0';
                        append_directives(to, *l + strlen("@DIRECTIVES "));
                } else if (STREQ(*l, "@REFUSED@")) {
                        append_refused(to);
                } else {
                        g_string_append(to, *l);
                        if (l[1])
                                g_string_append_c(to, '\n');
                }
        }
        return g_string_free(to, FALSE);
}

int main(int argc, char **argv)
{
        g_autofree char *template = NULL, *text = NULL;
        g_autoptr(GError) error = NULL;

        if (argc != 2 || !g_file_get_contents(argv[1], &template, NULL, &error)) {
                (void)fprintf(stderr, "%s\n", error ? error->message : "one TEMPLATE is needed");
                return EXIT_FAILURE;
        }
        text = generate(template);
        return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
