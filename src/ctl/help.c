/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config.h"
#include "ctl/args.h"
#include "ctl/help.h"
#include "base/suggest.h"
#include "ctl/verb-functions.h"

#define HELP_COLUMN 34 /* where the explanations start */
#define TEXT_WIDTH 100

static void title(const Terminal *t, const char *text, GString *to)
{
        g_string_append_printf(to, "\n%s%s:%s\n", color_on(t->color, COLOR_UNDERLINE), text,
                               color_off(t->color, COLOR_UNDERLINE));
}

/* Breaks lines at blanks; those after the first begin at column indent. */
static void wrap(const char *text, size_t indent, size_t column, GString *to)
{
        g_auto(GStrv) words = g_strsplit(text, " ", -1);
        bool first = true;

        for (char **w = words; *w; w++) {
                size_t n = (size_t)g_utf8_strlen(*w, -1);

                if (!first && column + 1 + n > TEXT_WIDTH) {
                        g_string_append_printf(to, "\n%*s", (int)indent, "");
                        column = indent;
                } else if (!first) {
                        g_string_append_c(to, ' ');
                        column++;
                }
                g_string_append(to, *w);
                column += n;
                first = false;
        }
        g_string_append_c(to, '\n');
}

static void row(const char *left, const char *right, GString *to)
{
        if (strlen(left) + 3 > HELP_COLUMN)
                g_string_append_printf(to, "  %s\n%*s", left, HELP_COLUMN, "");
        else
                g_string_append_printf(to, "  %-*s", HELP_COLUMN - 2, left);
        wrap(right, HELP_COLUMN, HELP_COLUMN, to);
}

static void paragraphs(const char *text, GString *to)
{
        g_auto(GStrv) parts = g_strsplit(text, "\n\n", -1);

        for (char **p = parts; *p; p++) {
                if (p != parts)
                        g_string_append_c(to, '\n');
                wrap(*p, 0, 0, to);
        }
}

/* "-f --force", "   --socket=PATH". */
static char *option_text(const Option *o)
{
        char letter[4] = "  ";

        if (o->letter)
                (void)g_snprintf(letter, sizeof(letter), "-%c", o->letter);
        return g_strdup_printf("%s --%s%s%s", letter, o->name,
                               o->value && o->value[0] != '[' ? "=" : "", o->value ? o->value : "");
}

static void option_rows(const Verb *v, bool global, GString *to)
{
        for (const Option *o = options_table(); o->name; o++) {
                g_autofree char *text = NULL;

                if (global != !o->verbs || (v && !option_applies(o, v)))
                        continue;
                text = option_text(o);
                row(text, o->help, to);
        }
}

void help_all(const Terminal *t, GString *to)
{
        g_string_append_printf(to,
                               "%stgtctl%s [OPTIONS...] [VERB [ARGUMENTS...]]\n\n"
                               "Control the SCSI target daemon tgtd.\n",
                               color_on(t->color, COLOR_BOLD), color_off(t->color, COLOR_BOLD));
        for (const Verb *v = verbs(); v->name; v++) {
                g_autofree char *text = g_strdup_printf("%s %s", v->name, v->args);

                if (v->group)
                        title(t, v->group, to);
                row(text, v->help, to);
        }
        title(t, "Options", to);
        option_rows(NULL, true, to);
        title(t, "Options of some verbs", to);
        option_rows(NULL, false, to);
        g_string_append(to,
                        "\nA target can be called by what stands behind the ':' of its name, if "
                        "that is unique.\n"
                        "See tgtctl help VERB for more of a verb, and tgtctl(1).\n");
}

static void directive_rows(const Terminal *t, const Verb *v, GString *to)
{
        if (!(v->flags & (VERB_TARGET_DIRECTIVES | VERB_LUN_DIRECTIVES)))
                return;
        title(t, "Directives", to);
        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++) {
                g_autofree char *text = NULL;

                if (!d->supported || !option_directive(d->name, v->flags))
                        continue;
                text = g_strdup_printf("   --%s=%s", d->name, d->values);
                (void)g_strdelimit(text, "_", '-');
                row(text, d->help, to);
        }
}

void help_verb(const Terminal *t, const Verb *v, GString *to)
{
        g_auto(GStrv) examples = g_strsplit(v->examples, "\n", -1);

        g_string_append_printf(to, "%stgtctl %s%s %s\n\n%s.\n\n", color_on(t->color, COLOR_BOLD),
                               v->name, color_off(t->color, COLOR_BOLD), v->args, v->help);
        paragraphs(v->description, to);
        for (const Option *o = options_table(); o->name; o++)
                if (o->verbs && option_applies(o, v)) {
                        title(t, "Options", to);
                        option_rows(v, false, to);
                        break;
                }
        directive_rows(t, v, to);
        title(t, g_strv_length(examples) > 1 ? "Examples" : "Example", to);
        for (char **e = examples; *e; e++)
                g_string_append_printf(to, "  %s\n", *e);
}

unsigned help_verbs(const Terminal *t, const char *word, GString *to)
{
        unsigned n = 0;

        for (const Verb *v = verbs(); v->name; v++) {
                size_t length = strlen(word);

                if (strncmp(v->name, word, length) != 0 || v->name[length] != ' ')
                        continue;
                g_string_append(to, n++ > 0 ? "\n" : "");
                help_verb(t, v, to);
        }
        return n;
}

int verb_help(Ctl *c, char **args)
{
        g_autoptr(GString) s = g_string_new(NULL);
        const Verb *v = NULL;
        unsigned words;

        if (!args[0])
                help_all(&c->terminal, s);
        else if ((v = verb_find(args, &words)))
                help_verb(&c->terminal, v, s);
        else if (help_verbs(&c->terminal, args[0], s) == 0) {
                g_autofree const char **known = verb_first_words();
                const char *near = suggest(args[0], known);

                return ctl_fail(c, EXIT_CODE_USAGE, "There is no verb %s.%s%s%s", args[0],
                                near ? " Did you mean \"" : "", near ? near : "",
                                near ? "\"?" : "");
        }
        ctl_show(c, s->str);
        return EXIT_CODE_OK;
}
