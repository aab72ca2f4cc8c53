/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config.h"
#include "ctl/args.h"
#include "ctl/doctor.h"
#include "ctl/generate.h"
#include "ctl/verbs.h"

static const char *const word_kinds[_WORD_KIND_MAX] = {
        [WORD_NONE] = "none",           [WORD_TARGET] = "target",       [WORD_UNIT] = "unit",
        [WORD_SESSION] = "session",     [WORD_FILE] = "file",           [WORD_LUN] = "lun",
        [WORD_OBJECTS] = "objects",     [WORD_DIRECTIVE] = "directive", [WORD_VERB] = "verb",
        [WORD_INITIATOR] = "initiator", [WORD_USER] = "user",           [WORD_ON_OFF] = "on-off",
};

void roff_append(const char *text, GString *to)
{
        for (const char *p = text; *p; p++) {
                if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
                        g_string_append(to, "\\&");
                if (*p == '\\')
                        g_string_append(to, "\\e");
                else if (*p == '-')
                        g_string_append(to, "\\-");
                else
                        g_string_append_c(to, *p);
        }
}

static void roff_paragraphs(const char *text, GString *to)
{
        g_auto(GStrv) paragraphs = g_strsplit(text, "\n\n", -1);

        for (char **p = paragraphs; *p; p++) {
                if (p != paragraphs)
                        g_string_append(to, ".sp\n");
                roff_append(*p, to);
                g_string_append_c(to, '\n');
        }
}

/* "\fB\-\-json\fR[=\fIMODE\fR]" */
static void roff_option(const Option *o, GString *to)
{
        if (o->letter)
                g_string_append_printf(to, "\\fB\\-%c\\fR, ", o->letter);
        g_string_append(to, "\\fB\\-\\-");
        roff_append(o->name, to);
        g_string_append(to, "\\fR");
        if (o->value)
                g_string_append_printf(to, "%s\\fI%s\\fR", o->value[0] == '[' ? "" : "=", o->value);
        g_string_append_c(to, '\n');
}

static void man_verbs(GString *to)
{
        for (const Verb *v = verbs(); v->name; v++) {
                g_auto(GStrv) examples = g_strsplit(v->examples, "\n", -1);

                if (v->group)
                        g_string_append_printf(to, ".SS %s\n", v->group);
                g_string_append(to, ".TP\n\\fB");
                roff_append(v->name, to);
                g_string_append(to, "\\fR \\fI");
                roff_append(v->args, to);
                g_string_append(to, "\\fR\n");
                roff_append(v->help, to);
                g_string_append(to, ".\n");
                roff_paragraphs(v->description, to);
                g_string_append(to, ".sp\n.nf\n");
                for (char **e = examples; *e; e++) {
                        g_string_append(to, "$ ");
                        roff_append(*e, to);
                        g_string_append_c(to, '\n');
                }
                g_string_append(to, ".fi\n");
        }
}

static void man_options(GString *to)
{
        for (const Option *o = options_table(); o->name; o++) {
                g_string_append(to, ".TP\n");
                roff_option(o, to);
                roff_append(o->help, to);
                g_string_append(to, ".\n");
                if (o->verbs) {
                        g_auto(GStrv) names = g_strsplit(o->verbs, ",", -1);
                        g_autofree char *list = g_strjoinv(", ", names);

                        g_string_append(to, "For ");
                        roff_append(list, to);
                        g_string_append(to, ".\n");
                }
        }
}

static void man_exit_codes(GString *to)
{
        for (int i = 0; i < _EXIT_CODE_MAX; i++) {
                g_string_append_printf(to, ".TP\n.B %d\n", i);
                roff_append(exit_code_help((ExitCode)i), to);
                g_string_append_c(to, '\n');
        }
}

/* Options that v takes (NULL: those of all verbs), "--name" or "--name=". */
static void option_words(const Verb *v, GString *to)
{
        for (const Option *o = options_table(); o->name; o++)
                if (v ? o->verbs && option_applies(o, v) : !o->verbs)
                        g_string_append_printf(to, "--%s%s ", o->name,
                                               o->value && o->value[0] != '[' ? "=" : "");
        if (!v)
                return;
        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++) {
                g_autofree char *name = g_strdelimit(g_strdup(d->name), "_", '-');

                if (d->supported && option_directive(d->name, v->flags))
                        g_string_append_printf(to, "--%s= ", name);
        }
}

static void words_of(const Verb *v, GString *to)
{
        for (size_t i = 0; i < ELEMENTSOF(v->words); i++)
                if (i == 0 || v->words[i] != WORD_NONE || v->max_args == i + 1)
                        g_string_append_printf(to, "%s ", word_kinds[v->words[i]]);
}

/* "on|off", but not "PATH|NONE" or "0..15". */
static bool is_choice(const char *values)
{
        return strchr(values, '|') &&
               strspn(values, "abcdefghijklmnopqrstuvwxyz0123456789-|") == strlen(values);
}

static void directive_choices(GString *to)
{
        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++) {
                g_autofree char *name = g_strdelimit(g_strdup(d->name), "_", '-');
                g_autofree char *values = g_strdelimit(g_strdup(d->values), "|", ' ');

                if (d->supported && is_choice(d->values))
                        g_string_append_printf(to, "        choices_of[--%s]='%s'\n", name, values);
        }
}

/* Assignments that bash and zsh both understand; the scripts declare the names. Verbs of two words
 * are keys with an underscore. */
static void completion_tables(GString *to)
{
        for (const Verb *v = verbs(); v->name; v++) {
                g_autofree char *key = g_strdelimit(g_strdup(v->name), " ", '_');

                g_string_append_printf(to, "        words_of[%s]='", key);
                words_of(v, to);
                g_string_append_printf(to, "'\n        options_of[%s]='", key);
                option_words(v, to);
                g_string_append(to, "'\n");
        }
        for (const Option *o = options_table(); o->name; o++)
                if (o->choices)
                        g_string_append_printf(to, "        choices_of[--%s]='%s'\n", o->name,
                                               o->choices);
        directive_choices(to);
        g_string_append(to, "        global_options='");
        option_words(NULL, to);
        g_string_append(to, "'\n        directives='");
        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++)
                if (d->supported &&
                    option_directive(d->name, VERB_TARGET_DIRECTIVES | VERB_LUN_DIRECTIVES))
                        g_string_append_printf(to, "%s ", d->name);
        g_string_append(to, "'\n");
}

/* What a first word of several verbs stands for: "add, remove". */
static void second_words(const char *word, GString *to)
{
        const char *separator = "";

        for (const Verb *v = verbs(); v->name; v++) {
                size_t n = strlen(word);

                if (strncmp(v->name, word, n) != 0 || v->name[n] != ' ')
                        continue;
                g_string_append_printf(to, "%s%s", separator, v->name + n + 1);
                separator = ", ";
        }
}

/* "verb:explanation", first words only. */
static void completion_verbs(GString *to)
{
        g_autofree const char **words = verb_first_words();

        for (const char **w = words; *w; w++) {
                unsigned n;
                char *const alone[] = { (char *)*w, NULL };
                const Verb *v = verb_find(alone, &n);

                g_string_append_printf(to, "                '%s:", *w);
                if (v)
                        g_string_append(to, v->help);
                else
                        second_words(*w, to);
                g_string_append(to, "'\n");
        }
}

/* ---- fish: its own syntax, the same rows ---- */

/* In single quotes of fish, \\ and ' are escaped. */
static void fish_quote(const char *text, GString *to)
{
        g_string_append_c(to, '\'');
        for (const char *p = text; *p; p++) {
                if (*p == '\'' || *p == '\\')
                        g_string_append_c(to, '\\');
                g_string_append_c(to, *p);
        }
        g_string_append_c(to, '\'');
}

/* "case 'account add'; echo target none": by verb, what its words are. */
static void fish_words(GString *to)
{
        for (const Verb *v = verbs(); v->name; v++) {
                g_string_append_printf(to, "        case '%s'\n                printf '%%s\\n' ",
                                       v->name);
                words_of(v, to);
                g_string_append_c(to, '\n');
        }
}

static void fish_verb(const char *condition, const char *word, const char *help, GString *to)
{
        g_string_append_printf(to, "complete -c tgtctl -n %s -f -a %s -d ", condition, word);
        fish_quote(help, to);
        g_string_append_c(to, '\n');
}

static void fish_verbs(GString *to)
{
        g_autofree const char **words = verb_first_words();

        for (const char **w = words; *w; w++) {
                unsigned n;
                char *const alone[] = { (char *)*w, NULL };
                const Verb *v = verb_find(alone, &n);
                g_autoptr(GString) help = g_string_new(v ? v->help : "");

                if (!v)
                        second_words(*w, help);
                fish_verb("__tgtctl_no_word", *w, help->str, to);
        }
        for (const Verb *v = verbs(); v->name; v++) {
                const char *space = strchr(v->name, ' ');
                g_autofree char *condition = NULL;

                if (!space)
                        continue;
                condition = g_strdup_printf("'__tgtctl_one_word %.*s'", (int)(space - v->name),
                                            v->name);
                fish_verb(condition, space + 1, v->help, to);
        }
}

static void fish_option(const char *condition, const Option *o, GString *to)
{
        g_string_append(to, "complete -c tgtctl");
        if (condition)
                g_string_append_printf(to, " -n '%s'", condition);
        g_string_append_printf(to, " -l %s", o->name);
        if (o->letter)
                g_string_append_printf(to, " -s %c", o->letter);
        if (o->value && o->choices)
                g_string_append_printf(to, " %s -a '%s'", o->value[0] == '[' ? "-f" : "-x",
                                       o->choices);
        else if (o->value && o->value[0] != '[')
                g_string_append(to, " -r");
        g_string_append(to, " -d ");
        fish_quote(o->help, to);
        g_string_append_c(to, '\n');
}

static void fish_directive(const DirectiveDoc *d, GString *to)
{
        static const unsigned places[] = { VERB_TARGET_DIRECTIVES, VERB_LUN_DIRECTIVES };
        g_autofree char *name = g_strdelimit(g_strdup(d->name), "_", '-');
        g_autofree char *values = g_strdelimit(g_strdup(d->values), "|", ' ');
        g_autoptr(GString) condition = g_string_new("__tgtctl_verb_is");

        for (const Option *o = options_table(); o->name; o++)
                if (STREQ(o->name, name))
                        return; /* said already */
        for (const Verb *v = verbs(); v->name; v++)
                for (size_t i = 0; i < ELEMENTSOF(places); i++)
                        if ((v->flags & places[i]) && option_directive(d->name, places[i])) {
                                g_string_append_printf(condition, " %s", v->name);
                                break;
                        }
        if (STREQ(condition->str, "__tgtctl_verb_is"))
                return;
        g_string_append_printf(to, "complete -c tgtctl -n '%s' -l %s ", condition->str, name);
        if (is_choice(d->values))
                g_string_append_printf(to, "-x -a '%s'", values);
        else
                g_string_append(to, "-r");
        g_string_append(to, " -d ");
        fish_quote(d->help, to);
        g_string_append_c(to, '\n');
}

static void fish_options(GString *to)
{
        for (const Option *o = options_table(); o->name; o++) {
                g_auto(GStrv) names = o->verbs ? g_strsplit(o->verbs, ",", -1) : NULL;
                g_autoptr(GString) condition = g_string_new("__tgtctl_verb_is");

                for (char **n = names; n && *n; n++) {
                        g_autofree char *key = g_strdelimit(g_strdup(*n), " ", '_');

                        g_string_append_printf(condition, " %s", key);
                }
                fish_option(names ? condition->str : NULL, o, to);
        }
        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++)
                if (d->supported)
                        fish_directive(d, to);
}

/* Options whose value can be the next word. */
static void fish_with_value(GString *to)
{
        g_string_append(to, "        set -l with_value");
        for (const Option *o = options_table(); o->name; o++)
                if (o->value && o->value[0] != '[') {
                        g_string_append_printf(to, " --%s", o->name);
                        if (o->letter)
                                g_string_append_printf(to, " -%c", o->letter);
                }
        g_string_append_c(to, '\n');
}

static void fish_directives(GString *to)
{
        g_string_append(to, "                printf '%s\\n'");
        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++)
                if (d->supported &&
                    option_directive(d->name, VERB_TARGET_DIRECTIVES | VERB_LUN_DIRECTIVES))
                        g_string_append_printf(to, " %s", d->name);
        g_string_append_c(to, '\n');
}

static void version(GString *to)
{
        g_string_append(to, ".TH TGTCTL 1 \"\" \"tgt " TGT_VERSION "\" \"tgtctl\"\n");
}

static void man_checks(GString *to)
{
        for (const Check *c = doctor_checks(); c->name; c++) {
                g_string_append_printf(to, ".TP\n\\fB%s\\fR\n", c->name);
                roff_append(c->looks_at, to);
                g_string_append(to, ".\n");
        }
}

static const Mark marks[] = {
        { "@MAN_TITLE@", version },
        { "@MAN_VERBS@", man_verbs },
        { "@MAN_OPTIONS@", man_options },
        { "@MAN_EXIT_CODES@", man_exit_codes },
        { "@MAN_CHECKS@", man_checks },
        { "@COMPLETION_TABLES@", completion_tables },
        { "@COMPLETION_VERBS@", completion_verbs },
        { "@FISH_WORDS@", fish_words },
        { "@FISH_VERBS@", fish_verbs },
        { "@FISH_OPTIONS@", fish_options },
        { "@FISH_WITH_VALUE@", fish_with_value },
        { "@FISH_DIRECTIVES@", fish_directives },
        { NULL },
};

static bool expand(const Mark *table, const char *line, GString *to)
{
        for (const Mark *m = table; m->mark; m++)
                if (STREQ(m->mark, line)) {
                        m->write(to);
                        return true;
                }
        return false;
}

char *generate(const char *template, char **ret_mark)
{
        g_auto(GStrv) lines = g_strsplit(template, "\n", -1);
        GString *to = g_string_new(NULL);

        for (char **l = lines; *l; l++) {
                size_t n = strlen(*l);

                if (n > 2 && (*l)[0] == '@' && (*l)[n - 1] == '@') {
                        if (expand(marks, *l, to) || expand(stgt_marks, *l, to))
                                continue;
                        *ret_mark = g_strdup(*l);
                        (void)g_string_free(to, TRUE);
                        return NULL;
                }
                g_string_append_printf(to, "%s%s", *l, l[1] ? "\n" : "");
        }
        return g_string_free(to, FALSE);
}
