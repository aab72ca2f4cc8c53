/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>

#include "base/parse.h"
#include "config/config.h"
#include "ctl/args.h"
#include "base/suggest.h"
#include "ctl/verb-functions.h"

/* getopt's val: an option of the table, a directive, or what getopt itself says */
#define VAL_OPTION 0x1000
#define VAL_DIRECTIVE 0x2000

static void setting_clear(Setting *s)
{
        g_free(s->directive);
        g_free(s->value);
}

void options_init(Options *o)
{
        *o = (Options){ .color = -1, .control_port = -1, .generation = -1 };
        o->settings = g_array_new(FALSE, TRUE, sizeof(Setting));
        g_array_set_clear_func(o->settings, (GDestroyNotify)setting_clear);
}

void options_done(Options *o)
{
        if (o->settings)
                g_array_unref(o->settings);
        o->settings = NULL;
        if (o->secret)
                explicit_bzero(o->secret, strlen(o->secret));
        g_free(TAKE_PTR(o->secret));
}

static char dash(char c)
{
        return c == '_' ? '-' : c;
}

static bool same_name(const char *a, const char *b)
{
        for (; *a && dash(*a) == dash(*b); a++, b++)
                ;
        return !*a && !*b;
}

static bool stands_in(const DirectiveDoc *d, unsigned where)
{
        /* what may stand anywhere (include) is of files, not of objects */
        if (strstr(d->where, "global"))
                return false;
        return ((where & VERB_TARGET_DIRECTIVES) && strstr(d->where, "target")) ||
               ((where & VERB_LUN_DIRECTIVES) && strstr(d->where, "lun"));
}

const char *option_directive(const char *name, unsigned where)
{
        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++)
                if (stands_in(d, where) && same_name(d->name, name))
                        return d->name;
        return NULL;
}

const char *directive_name(const char *name)
{
        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++)
                if (same_name(d->name, name))
                        return d->name;
        return name;
}

bool directive_takes_many(const char *name)
{
        for (const DirectiveDoc *d = config_directive_docs(); d->name; d++)
                if (same_name(d->name, name))
                        return d->many;
        return true;
}

/* "--readonly" alone means "readonly 1"; such options take a value only after "=". */
static const char *switch_value(const DirectiveDoc *d)
{
        return STREQ(d->values, "yes|no") ? "yes" : STREQ(d->values, "1|0") ? "1" : NULL;
}

/* In getopt's form: our own options, then every directive, which ours hide. */
static GArray *long_options(GPtrArray *names)
{
        GArray *a = g_array_new(TRUE, TRUE, sizeof(struct option));
        const DirectiveDoc *docs = config_directive_docs();
        int i = 0;

        for (const Option *o = options_table(); o->name; o++, i++) {
                bool optional = o->type == OPTION_JSON || o->type == OPTION_COLOR;
                struct option g = { o->name,
                                    !o->value  ? no_argument
                                    : optional ? optional_argument
                                               : required_argument,
                                    NULL, VAL_OPTION + i };

                g_array_append_val(a, g);
        }
        for (i = 0; docs[i].name; i++) {
                char *name = g_strdelimit(g_strdup(docs[i].name), "_", '-');
                struct option g = { name,
                                    switch_value(&docs[i]) ? optional_argument : required_argument,
                                    NULL, VAL_DIRECTIVE + i };
                bool hidden = !stands_in(&docs[i], VERB_TARGET_DIRECTIVES | VERB_LUN_DIRECTIVES);

                g_ptr_array_add(names, name);
                for (const Option *o = options_table(); o->name; o++)
                        hidden = hidden || STREQ(o->name, name);
                if (hidden)
                        continue;
                g_array_append_val(a, g);
                if (strchr(name, '-')) {
                        g.name = g_strdelimit(g_strdup(name), "-", '_');
                        g_ptr_array_add(names, (char *)g.name);
                        g_array_append_val(a, g);
                }
        }
        return a;
}

static char *short_options(void)
{
        GString *s = g_string_new(":"); /* missing values are told apart from unknown options */

        for (const Option *o = options_table(); o->name; o++) {
                if (o->letter)
                        g_string_append_c(s, o->letter);
                if (o->letter && o->value)
                        g_string_append_c(s, ':');
        }
        return g_string_free(s, FALSE);
}

void options_add_setting(Options *o, const char *directive, const char *value)
{
        Setting s = { g_strdup(directive), g_strdup(value) };

        g_array_append_val(o->settings, s);
}

static int set_json(Ctl *c, const char *value)
{
        if (!value || STREQ(value, "pretty"))
                c->options.json = JSON_PRETTY;
        else if (STREQ(value, "short"))
                c->options.json = JSON_SHORT;
        else if (STREQ(value, "off"))
                c->options.json = JSON_OFF;
        else
                return ctl_fail(c, EXIT_CODE_USAGE, "--json is pretty, short or off, not \"%s\".",
                                value);
        return 0;
}

static int set_color(Ctl *c, const char *value)
{
        bool yes = true;

        if (value && STREQ(value, "auto"))
                c->options.color = -1;
        else if (value && parse_bool(value, &yes) < 0)
                return ctl_fail(c, EXIT_CODE_USAGE, "--color is yes, no or auto, not \"%s\".",
                                value);
        else
                c->options.color = yes;
        return 0;
}

static int set_duration(Ctl *c, const Option *o, const char *value, void *field)
{
        uint64_t *ns = field;

        if (parse_duration(value, ns) < 0 || *ns == 0)
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "--%s: expected a time such as 30s or 2min, not %s.", o->name,
                                value);
        return 0;
}

static int set_number(Ctl *c, const Option *o, const char *value)
{
        uint64_t n;

        if (parse_u64(value, 0, INT64_MAX, &n) < 0)
                return ctl_fail(c, EXIT_CODE_USAGE, "--%s wants a number, not \"%s\".", o->name,
                                value);
        *(int64_t *)((char *)&c->options + o->offset) = (int64_t)n;
        return 0;
}

/* "DIRECTIVE=VALUE" or "DIRECTIVE VALUE"; which directives there are is the daemon's to say. */
static int set_directive(Ctl *c, const char *text)
{
        size_t n = strcspn(text, "= \t");
        g_autofree char *name = g_strndup(text, n);
        const char *value = text + n;

        if (n == 0 || !*value)
                return ctl_fail(c, EXIT_CODE_USAGE, "--set wants DIRECTIVE=VALUE, not \"%s\".",
                                text);
        options_add_setting(&c->options, name, value + 1);
        return 0;
}

static int apply_option(Ctl *c, const Option *o, char *value)
{
        void *field = (char *)&c->options + o->offset;

        switch (o->type) {
        case OPTION_FLAG:
                *(bool *)field = true;
                return 0;
        case OPTION_STRING:
                *(const char **)field = value;
                return 0;
        case OPTION_SECRET:
                g_free(*(char **)field);
                *(char **)field = g_strdup(value);
                /* others can read our command line: leave it there for as short as possible */
                explicit_bzero(value, strlen(value));
                return 0;
        case OPTION_NUMBER:
                return set_number(c, o, value);
        case OPTION_DURATION:
                return set_duration(c, o, value, field);
        case OPTION_JSON:
                return set_json(c, value);
        case OPTION_COLOR:
                return set_color(c, value);
        case OPTION_DIRECTIVE:
                return set_directive(c, value);
        case OPTION_ALIAS:
                options_add_setting(&c->options, o->directive, value ? value : "1");
                return 0;
        }
        return 0;
}

static int unknown_option(Ctl *c, const char *word)
{
        g_autoptr(GPtrArray) known = g_ptr_array_new(),
                             names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GArray) options = long_options(names);
        g_autofree char *name = NULL;
        const char *near;

        if (!word || !g_str_has_prefix(word, "--"))
                return ctl_fail(c, EXIT_CODE_USAGE, "Unknown option %s. See tgtctl --help.",
                                word ? word : "");
        name = g_strndup(word + 2, strcspn(word + 2, "="));
        for (guint i = 0; i < options->len; i++)
                g_ptr_array_add(known, (char *)g_array_index(options, struct option, i).name);
        g_ptr_array_add(known, NULL);
        near = suggest(name, (const char *const *)known->pdata);
        if (near)
                return ctl_fail(c, EXIT_CODE_USAGE, "Unknown option --%s. Did you mean --%s?", name,
                                near);
        return ctl_fail(c, EXIT_CODE_USAGE, "Unknown option --%s. See tgtctl --help.", name);
}

/* Bits of the options that were given; the table is far smaller than 64 rows. */
static int parse_options(Ctl *c, int argc, char **argv, uint64_t *ret_given,
                         GPtrArray *ret_directives)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GArray) longs = long_options(names);
        g_autofree char *shorts = short_options();
        const Option *table = options_table();
        const DirectiveDoc *docs = config_directive_docs();
        int k, r;

        optind = 0; /* start over, also when called twice */
        opterr = 0;
        while ((k = getopt_long(argc, argv, shorts, (struct option *)longs->data, NULL)) >= 0) {
                size_t i = 0;

                if (k == ':')
                        return ctl_fail(c, EXIT_CODE_USAGE, "%s wants a value.", argv[optind - 1]);
                if (k == '?')
                        return unknown_option(c, argv[optind - 1]);
                if (k >= VAL_DIRECTIVE) {
                        const DirectiveDoc *d = &docs[k - VAL_DIRECTIVE];

                        g_ptr_array_add(ret_directives, (char *)d->name);
                        options_add_setting(&c->options, d->name,
                                            optarg ? optarg : switch_value(d));
                        continue;
                }
                if (k >= VAL_OPTION)
                        i = (size_t)(k - VAL_OPTION);
                else
                        while (table[i].letter != k)
                                i++;
                *ret_given |= UINT64_C(1) << i;
                r = apply_option(c, &table[i], optarg);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int unknown_verb(Ctl *c, char **args)
{
        g_autofree const char **words = verb_first_words();
        g_autofree char *two = NULL;
        const char *near = NULL;

        for (const char **w = words; *w; w++)
                if (STREQ(*w, args[0])) { /* the first word of two */
                        g_autoptr(GPtrArray) all = g_ptr_array_new();

                        for (const Verb *v = verbs(); v->name; v++)
                                g_ptr_array_add(all, (char *)v->name);
                        g_ptr_array_add(all, NULL);
                        two = g_strjoin(" ", args[0], args[1], NULL);
                        near = args[1] ? suggest(two, (const char *const *)all->pdata) : NULL;
                        if (near)
                                break;
                        return ctl_fail(c, EXIT_CODE_USAGE,
                                        "%s wants a second word. See tgtctl help %s.", args[0],
                                        args[0]);
                }
        if (!near)
                near = suggest(args[0], words);
        if (near)
                return ctl_fail(c, EXIT_CODE_USAGE, "Unknown verb %s. Did you mean \"%s\"?",
                                two ? two : args[0], near);
        return ctl_fail(c, EXIT_CODE_USAGE, "Unknown verb %s. See tgtctl --help.", args[0]);
}

static int check_options(Ctl *c, uint64_t given, GPtrArray *directives)
{
        const Option *table = options_table();
        const Verb *v = c->verb;

        for (size_t i = 0; table[i].name; i++)
                if ((given & (UINT64_C(1) << i)) && !option_applies(&table[i], v))
                        return ctl_fail(c, EXIT_CODE_USAGE,
                                        "--%s has no meaning for %s. See tgtctl help %s.",
                                        table[i].name, v->name, v->name);
        for (guint i = 0; i < directives->len; i++)
                if (!option_directive(g_ptr_array_index(directives, i), v->flags))
                        return ctl_fail(c, EXIT_CODE_USAGE,
                                        "The directive %s cannot be given to %s.",
                                        (char *)g_ptr_array_index(directives, i), v->name);
        return 0;
}

int args_parse(Ctl *c, int argc, char **argv, char ***ret_args)
{
        g_autoptr(GPtrArray) directives = g_ptr_array_new();
        uint64_t given = 0;
        unsigned n_words = 0, n;
        char **args;
        int r = parse_options(c, argc, argv, &given, directives);

        if (r != 0)
                return r;
        args = argv + optind;
        *ret_args = args;
        if (c->options.version)
                return 0;
        if (!*args)
                c->verb = c->options.help ? NULL : verb_default();
        else
                c->verb = verb_find(args, &n_words);
        if (c->options.help)
                return 0; /* of the verb, or of all if there is none of that name */
        if (!c->verb)
                return unknown_verb(c, args);

        *ret_args = args + n_words;
        n = g_strv_length(*ret_args);
        if (n < c->verb->min_args)
                return ctl_fail(c, EXIT_CODE_USAGE, "Too few arguments. Usage: tgtctl %s %s",
                                c->verb->name, c->verb->args);
        if (n > c->verb->max_args)
                return ctl_fail(c, EXIT_CODE_USAGE, "Too many arguments. Usage: tgtctl %s %s",
                                c->verb->name, c->verb->args);
        return check_options(c, given, directives);
}
