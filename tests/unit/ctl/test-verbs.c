/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config.h"
#include "ctl/args.h"
#include "ctl/generate.h"
#include "ctl/help.h"
#include "base/suggest.h"
#include "ctl/verb-functions.h"

static const Terminal plain = { .unicode = true };

static char *generated(const char *mark)
{
        g_autofree char *unknown = NULL;
        char *text = generate(mark, &unknown);

        g_assert_null(unknown);
        g_assert_nonnull(text);
        return text;
}

/* As roff has it. */
static char *escaped(const char *text)
{
        g_auto(GStrv) parts = g_strsplit(text, "-", -1);

        return g_strjoinv("\\-", parts);
}

/* The synopsis shows what is needed, what may be left out and what repeats. */
static void check_synopsis(const Verb *v)
{
        g_auto(GStrv) without = g_strsplit(v->args, "[--DIRECTIVE=VALUE...]", -1);
        g_autofree char *args = g_strjoinv("", without);
        g_auto(GStrv) words = g_strsplit(args, " ", -1);
        unsigned required = 0;
        int depth = 0;

        for (char **w = words; *w; w++) {
                required += depth == 0 && **w && **w != '[';
                for (const char *p = *w; *p; p++)
                        depth += (*p == '[') - (*p == ']');
        }
        g_assert_cmpint(depth, ==, 0);
        g_assert_cmpuint(required, ==, v->min_args);
        g_assert_cmpint(v->max_args == ANY_NUMBER, ==, strstr(args, "...") != NULL);
        g_assert_cmpint(strstr(v->args, "[--DIRECTIVE=VALUE...]") != NULL, ==,
                        (v->flags & (VERB_TARGET_DIRECTIVES | VERB_LUN_DIRECTIVES)) != 0);
}

static void test_rows(void)
{
        unsigned n_default = 0;

        for (const Verb *v = verbs(); v->name; v++) {
                g_auto(GStrv) words = g_strsplit(v->name, " ", -1);
                unsigned n = 0, group = 0;

                g_test_message("%s", v->name);
                g_assert_nonnull(v->run);
                g_assert_nonnull(v->args);
                g_assert_nonnull(v->help);
                g_assert_true(g_ascii_isupper(v->help[0]));
                g_assert_false(g_str_has_suffix(v->help, "."));
                g_assert_cmpuint(strlen(v->help), <=, 64);
                g_assert_true(g_str_has_suffix(v->description, "."));
                g_assert_cmpuint(v->min_args, <=, v->max_args);
                g_assert_cmpuint(g_strv_length(words), <=, 2);
                n_default += (v->flags & VERB_DEFAULT) != 0;
                /* found by its own name, and no other has it */
                g_assert_true(verb_find(words, &n) == v);
                g_assert_cmpuint(n, ==, g_strv_length(words));
                for (const Verb *w = verbs(); w != v; w++)
                        g_assert_cmpstr(w->name, !=, v->name);
                /* "account" alone would hide "account add" */
                for (const Verb *w = verbs(); w->name && words[1]; w++)
                        g_assert_cmpstr(w->name, !=, words[0]);
                group += v->group != NULL;
                g_assert_true(v != verbs() || group == 1);
                check_synopsis(v);
        }
        g_assert_cmpuint(n_default, ==, 1);
        g_assert_true(verb_default()->flags & VERB_READ_ONLY);
}

/* What changes something must never be marked as what does not, and the other way round. */
static void test_read_only(void)
{
        static const char *const read_only[] = { "status",       "list",    "show",   "sessions",
                                                 "monitor",      "dump",    "verify", "help",
                                                 "account list", "diff",    "cat",    "stats",
                                                 "top",          "metrics", NULL };

        for (const Verb *v = verbs(); v->name; v++) {
                g_test_message("%s", v->name);
                if (v->flags & VERB_LOCAL) { /* reaches no daemon: there is nothing to change */
                        g_assert_true(v->flags & VERB_READ_ONLY);
                        continue;
                }
                g_assert_cmpint((v->flags & VERB_READ_ONLY) != 0, ==,
                                g_strv_contains(read_only, v->name));
        }
}

/* Examples are commands that the parser takes, of the verb that they are for. */
static void test_examples(void)
{
        for (const Verb *v = verbs(); v->name; v++) {
                g_auto(GStrv) lines = g_strsplit(v->examples, "\n", -1);

                for (char **l = lines; *l; l++) {
                        g_autofree char *command = g_strndup(*l, strcspn(*l, ">"));
                        g_auto(GStrv) argv = NULL;
                        Ctl c = { 0 };
                        char **args;
                        int argc;

                        g_test_message("%s", command);
                        g_assert_true(g_shell_parse_argv(command, &argc, &argv, NULL));
                        g_assert_cmpstr(argv[0], ==, "tgtctl");
                        options_init(&c.options);
                        g_assert_cmpint(args_parse(&c, argc, argv, &args), ==, EXIT_CODE_OK);
                        g_assert_true(c.verb == v);
                        options_done(&c.options);
                }
        }
}

static void test_help(void)
{
        g_autoptr(GString) all = g_string_new(NULL);

        help_all(&plain, all);
        for (const Verb *v = verbs(); v->name; v++) {
                g_autoptr(GString) one = g_string_new(NULL);
                g_autofree char *line = g_strdup_printf("\n  %s %s", v->name, v->args);

                g_test_message("%s", v->name);
                g_strchomp(line);
                g_assert_nonnull(strstr(all->str, line));
                g_assert_nonnull(strstr(all->str, v->help));
                help_verb(&plain, v, one);
                g_assert_true(g_str_has_prefix(one->str, "tgtctl "));
                g_assert_nonnull(strstr(one->str, v->name));
                g_assert_nonnull(strstr(one->str, "Example"));
        }
        for (const Option *o = options_table(); o->name; o++) {
                g_autofree char *name = g_strconcat("--", o->name, NULL);

                g_assert_nonnull(strstr(all->str, name));
                g_assert_nonnull(strstr(all->str, o->help));
        }
}

static void test_options(void)
{
        for (const Option *o = options_table(); o->name; o++) {
                g_auto(GStrv) names = g_strsplit(o->verbs ? o->verbs : "", ",", -1);

                g_test_message("--%s", o->name);
                g_assert_nonnull(o->help);
                for (const Option *p = options_table(); p != o; p++) {
                        g_assert_cmpstr(p->name, !=, o->name);
                        g_assert_true(!o->letter || p->letter != o->letter);
                }
                for (char **n = names; *n && **n; n++) {
                        g_auto(GStrv) words = g_strsplit(*n, " ", -1);
                        unsigned k;
                        const Verb *v = verb_find(words, &k);

                        g_test_message("of %s", *n);
                        g_assert_nonnull(v);
                        g_assert_cmpstr(v->name, ==, *n);
                        g_assert_true(option_applies(o, v));
                }
        }
}

static void test_man(void)
{
        g_autofree char *man = generated("@MAN_VERBS@"), *options = generated("@MAN_OPTIONS@");
        g_autofree char *codes = generated("@MAN_EXIT_CODES@");

        for (const Verb *v = verbs(); v->name; v++) {
                g_autofree char *name = escaped(v->name);
                g_autofree char *line = g_strdup_printf(".TP\n\\fB%s\\fR", name);
                g_auto(GStrv) examples = g_strsplit(v->examples, "\n", -1);

                g_test_message("%s", v->name);
                g_assert_nonnull(strstr(man, line));
                g_assert_cmpuint(strlen(v->examples), >, 0);
                for (char **e = examples; *e; e++) {
                        g_autofree char *example = escaped(*e);

                        g_assert_nonnull(strstr(man, example));
                }
        }
        for (const Option *o = options_table(); o->name; o++) {
                g_autofree char *name = escaped(o->name);
                g_autofree char *text = g_strconcat("\\fB\\-\\-", name, "\\fR", NULL);

                g_assert_nonnull(strstr(options, text));
        }
        for (int i = 0; i < _EXIT_CODE_MAX; i++) {
                g_autofree char *line = g_strdup_printf(".B %d\n", i);

                g_assert_nonnull(strstr(codes, line));
        }
}

static void test_completion(void)
{
        g_autofree char *tables = generated("@COMPLETION_TABLES@");
        g_autofree char *described = generated("@COMPLETION_VERBS@");
        g_autofree const char **words = verb_first_words();

        for (const Verb *v = verbs(); v->name; v++) {
                g_autofree char *key = g_strdelimit(g_strdup(v->name), " ", '_');
                g_autofree char *kinds = g_strdup_printf("words_of[%s]='", key);
                g_autofree char *options = g_strdup_printf("options_of[%s]='", key);

                g_assert_nonnull(strstr(tables, kinds));
                g_assert_nonnull(strstr(tables, options));
        }
        for (const char **w = words; *w; w++) {
                g_autofree char *text = g_strdup_printf("'%s:", *w);

                g_assert_nonnull(strstr(described, text));
        }
        for (const Option *o = options_table(); o->name; o++) {
                g_autofree char *text = g_strdup_printf("--%s", o->name);

                g_assert_nonnull(strstr(tables, text));
        }
        /* one quote that is not closed would break the script */
        g_assert_null(strstr(tables, "\"'\""));
}

static void test_generate(void)
{
        g_autofree char *mark = NULL, *none = generate("a\n@NOT_THERE@\nb\n", &mark);
        g_autofree char *text = generate("a\n@b\nc@\n", &mark);

        g_assert_null(none);
        g_assert_cmpstr(mark, ==, "@NOT_THERE@");
        g_assert_cmpstr(text, ==, "a\n@b\nc@\n");
}

static void test_personalities(void)
{
        g_assert_cmpstr(personality_find("/usr/bin/tgtctl")->name, ==, "tgtctl");
        g_assert_cmpstr(personality_find("whatever")->name, ==, "tgtctl");
        g_assert_cmpstr(personality_find(NULL)->name, ==, "tgtctl");
        for (const Personality *p = personalities(); p->name; p++) {
                g_assert_nonnull(p->main);
                g_assert_nonnull(p->help);
                g_assert_true(personality_find(p->name) == p);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/verbs/rows", test_rows);
        g_test_add_func("/verbs/read-only", test_read_only);
        g_test_add_func("/verbs/examples", test_examples);
        g_test_add_func("/verbs/help", test_help);
        g_test_add_func("/verbs/options", test_options);
        g_test_add_func("/verbs/man", test_man);
        g_test_add_func("/verbs/completion", test_completion);
        g_test_add_func("/verbs/generate", test_generate);
        g_test_add_func("/verbs/personalities", test_personalities);
        return g_test_run();
}
