/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/parse.h"
#include "ctl/message.h"
#include "ctl/tgt-admin.h"

static const AdmOption options[] = {
        { "execute", 'e', NULL,
          "Make the targets of the configuration file that do not run yet, and delete those made "
          "by "
          "tgtadm that it does not have and nobody uses." },
        { "delete", OPT_DELETE, "WHAT", "Delete targets that nobody uses; see \"--delete help\"." },
        { "offline", OPT_OFFLINE, "WHAT", "Let targets refuse logins; see \"--offline help\"." },
        { "ready", OPT_READY, "WHAT", "Let them admit logins again; see \"--ready help\"." },
        { "update", OPT_UPDATE, "WHAT",
          "Make targets what the configuration file says; see \"--update help\"." },
        { "show", 's', NULL, "Show all targets." },
        { "control-port", 'C', "NUMBER", "Which instance of the daemon, if there are several." },
        { "conf", 'c', "FILE", "The configuration file (/etc/tgt/targets.conf)." },
        { "ignore-errors", OPT_IGNORE_ERRORS, NULL,
          "Go on with the next target after an error; so does \"ignore-errors yes\" in the file." },
        { "force", 'f', NULL, "Also where initiators are logged in: they lose their disks." },
        { "pretend", 'p', NULL, "Only say what would be done." },
        { "dump", OPT_DUMP, NULL, "Print what runs as a configuration file." },
        { "with-secrets", OPT_WITH_SECRETS, NULL, "With --dump: also the secrets of accounts." },
        { "with-identities", OPT_WITH_IDENTITIES, NULL,
          "With --dump: also the identities of disks that were generated." },
        { "verbose", 'v', NULL, "Also say what is done." },
        { "help", 'h', NULL, "Show this, and end." },
        { NULL },
};

const AdmOption *admin_options(void)
{
        return options;
}

/* ---- saying ---------------------------------------------------------------------------------- */

void admin_comment(const Admin *a, const char *format, ...)
{
        g_autofree char *text = NULL, *clean = NULL;
        va_list ap;

        if (!admin_has(a, 'v') && !admin_has(a, 'p'))
                return;
        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        clean = text_sanitize(text, true);
        (void)printf("# %s\n", clean);
}

int admin_stop(int code, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vprintf(format, ap);
        va_end(ap);
        return code;
}

int admin_failed(Admin *a, int code, const char *what)
{
        Adm adm = { .ctl = &a->ctl };
        g_autofree char *text = NULL;

        if (code != EXIT_CODE_NOT_RUNNING && a->ctl.bus && what) {
                text = g_strdup_printf("%s: %s", what, a->ctl.caught->str);
                g_string_assign(a->ctl.caught, text);
        }
        return adm_failed(&adm, code);
}

int admin_tolerate(const Admin *a, int code)
{
        bool tolerant = admin_has(a, OPT_IGNORE_ERRORS) || (a->wanted && a->wanted->ignore_errors);

        return tolerant && code != ADM_NOT_CONNECTED ? ADMIN_OK : code;
}

static char *command_line(const GPtrArray *words)
{
        GString *s = g_string_new(NULL);

        for (guint i = 0; i < words->len; i++) {
                const char *word = g_ptr_array_index(words, i);
                g_autofree char *quoted = NULL;

                if (!*word || strpbrk(word, " \t\"'\\$`&;|<>()*?[]#~"))
                        quoted = g_shell_quote(word);
                g_string_append_printf(s, "%s%s", i > 0 ? " " : "", quoted ?: word);
        }
        return g_string_free(s, FALSE);
}

int admin_step(Admin *a, ...)
{
        g_autofree char *port = g_strdup_printf("%" PRIi64, MAX(a->ctl.options.control_port, 0));
        g_autoptr(GPtrArray) words = g_ptr_array_new();
        g_autofree char *line = NULL;
        const char *word;
        va_list ap;
        int r = ADM_OK;

        g_ptr_array_add(words, (char *)"tgtadm");
        g_ptr_array_add(words, (char *)"-C");
        g_ptr_array_add(words, port);
        va_start(ap, a);
        while ((word = va_arg(ap, const char *)))
                g_ptr_array_add(words, (char *)word);
        va_end(ap);
        line = command_line(words);
        if (admin_has(a, 'v') || admin_has(a, 'p'))
                (void)printf("%s\n", line);
        if (!admin_has(a, 'p')) {
                /* the daemon is the one that we are connected to, whatever its number */
                g_autoptr(GPtrArray) argv = g_ptr_array_copy(words, NULL, NULL);

                g_ptr_array_remove_range(argv, 1, 2);
                g_ptr_array_add(argv, NULL);
                r = adm_run(&a->ctl, (int)argv->len - 1, (char **)argv->pdata);
        }
        if (r != ADM_OK && admin_tolerate(a, r) != ADMIN_OK)
                (void)printf("Command:\n\t%s\nexited with code: %d.\n", line, r);
        return admin_tolerate(a, r);
}

/* ---- what runs ------------------------------------------------------------------------------- */

int admin_get_targets(Admin *a)
{
        Adm adm = { .ctl = &a->ctl };

        json_decref(a->targets);
        a->targets = NULL;
        return adm_targets(&adm, &a->targets);
}

const json_t *admin_find_name(const Admin *a, const char *name)
{
        const json_t *t;
        size_t i;

        json_array_foreach (a->targets, i, t)
                if (STREQ(json_text(t, "Name"), name))
                        return t;
        return NULL;
}

const json_t *admin_find(const Admin *a, const char *what)
{
        g_autofree char *name = NULL;
        char why[256];
        const json_t *t;
        size_t i;

        if (g_str_has_prefix(what, "tid=")) {
                json_array_foreach (a->targets, i, t) {
                        g_autofree char *tid =
                                g_strdup_printf("%lld", (long long)json_number(t, "Tid"));

                        if (STREQ(tid, what + strlen("tid=")))
                                return t;
                }
                return NULL;
        }
        if (iscsi_name_normalize(what, &name, why, sizeof(why)) < 0)
                return NULL;
        return admin_find_name(a, name);
}

/* ---- actions that need no file --------------------------------------------------------------- */

static int show(Admin *a)
{
        return admin_step(a, "--op", "show", "--mode", "target", NULL);
}

/* stgt's word for a secret that is not told. config refuses it as a secret. */
#define NO_SECRET "PLEASE_CORRECT_THE_PASSWORD"

static int dump(Admin *a)
{
        bool secrets = admin_has(a, OPT_WITH_SECRETS);
        sd_bus_message *m = NULL, *reply = NULL;
        g_autoptr(GString) text = NULL;
        const char *dumped;
        int r, code = ctl_method(&a->ctl, BUS_ROOT, IFACE("Manager"), "Dump", &m);

        if (code != EXIT_CODE_OK)
                return admin_failed(a, code, NULL);
        r = sd_bus_message_append(m, "a{sv}", 2, "with-secrets", "b", (int)secrets,
                                  "with-identities", "b", (int)admin_has(a, OPT_WITH_IDENTITIES));
        if (r < 0) {
                sd_bus_message_unref(m);
                return admin_failed(a, ctl_bad_message(&a->ctl, r), NULL);
        }
        code = ctl_invoke(&a->ctl, m, &reply);
        if (code != EXIT_CODE_OK)
                return admin_failed(a, code, NULL);
        r = sd_bus_message_read(reply, "s", &dumped);
        text = g_string_new(r >= 0 ? dumped : "");
        sd_bus_message_unref(reply);
        if (r < 0)
                return admin_failed(a, ctl_bad_message(&a->ctl, r), NULL);
        (void)g_string_replace(text, " # the secret is not shown: write it behind the user\n",
                               " " NO_SECRET "\n", 0);
        (void)printf("default-driver iscsi\n\n%s\n", text->str);
        explicit_bzero(text->str, text->len);
        return ADMIN_OK;
}

int admin_delete_target(Admin *a, const json_t *target)
{
        g_autofree char *tid = g_strdup_printf("--tid=%lld", (long long)json_number(target, "Tid"));
        const char *force = admin_has(a, 'f') ? "--force" : NULL;

        if (json_number(target, "NSessions") > 0 && !force) {
                admin_comment(a, "Target %s is in use, it won't be deleted.",
                              json_text(target, "Name"));
                return ADMIN_OK;
        }
        admin_comment(a, "Removing target: %s", json_text(target, "Name"));
        return admin_step(a, "--mode", "target", "--op", "delete", tid, force, NULL);
}

static int delete_targets(Admin *a, const char *what)
{
        const json_t *t;
        size_t i;
        int r = admin_get_targets(a);

        if (r != ADM_OK)
                return r;
        if (!STREQ(what, "ALL")) {
                t = admin_find(a, what);
                if (t)
                        return admin_delete_target(a, t);
                if (g_str_has_prefix(what, "tid="))
                        admin_comment(a, "Target with tid %s does not exist!", what + 4);
                else
                        admin_comment(a, "Target %s does not exist!", what);
                return ADMIN_OK;
        }
        json_array_foreach (a->targets, i, t)
                if (r == ADMIN_OK)
                        r = admin_delete_target(a, t);
        return r;
}

static int set_state(Admin *a, const char *tid, const char *state)
{
        g_autofree char *option = g_strdup_printf("--tid=%s", tid);

        return admin_step(a, "--op", "update", "--mode", "target", option, "-n", "state", "-v",
                          state, NULL);
}

static int set_state_of(Admin *a, const json_t *target, const char *state)
{
        g_autofree char *tid = g_strdup_printf("%lld", (long long)json_number(target, "Tid"));

        return set_state(a, tid, state);
}

static int set_states(Admin *a, const char *what, const char *state)
{
        const json_t *t;
        size_t i;
        int r;

        if (g_str_has_prefix(what, "tid="))
                return set_state(a, what + strlen("tid="), state);
        r = admin_get_targets(a);
        if (r != ADM_OK)
                return r;
        if (!STREQ(what, "ALL")) {
                t = admin_find(a, what);
                if (t)
                        return set_state_of(a, t, state);
                return admin_stop(ADMIN_WRONG,
                                  "There is no target with name \"%s\", can't %s it!\n", what,
                                  state);
        }
        json_array_foreach (a->targets, i, t)
                if (r == ADMIN_OK)
                        r = set_state_of(a, t, state);
        return r;
}

/* ---- the command line ------------------------------------------------------------------------ */

static void print_help(void)
{
        (void)printf("Usage: tgt-admin [OPTION...]\n\n"
                     "Configures the SCSI target daemon from a file.\n\n");
        for (const AdmOption *o = options; o->name; o++) {
                g_autofree char *name =
                        o->letter < 128 ? g_strdup_printf("-%c, --%s%s%s", o->letter, o->name,
                                                          o->value ? " " : "", o->value ?: "")
                                        : g_strdup_printf("    --%s%s%s", o->name,
                                                          o->value ? " " : "", o->value ?: "");

                (void)printf("  %-28s %s\n", name, o->help);
        }
        (void)printf("\nSee tgt-admin(8).\n");
}

static const char *option_help(const char *name)
{
        for (const AdmOption *o = options; o->name; o++)
                if (STREQ(o->name, name))
                        return o->help;
        return "";
}

static int print_what(const char *option)
{
        (void)printf("      --%s WHAT\n        %s\n\nWHAT is one of:\n"
                     "      ALL            all targets\n"
                     "      tid=4          the target with this number\n"
                     "      iqn.2026-01.org.example:disk\n"
                     "                     the target of this name\n"
                     "      help           this\n",
                     option, option_help(option));
        return ADMIN_OK;
}

static int run_file_action(Admin *a)
{
        if (admin_has(a, OPT_UPDATE))
                return admin_update(a, a->given[OPT_UPDATE]);
        return admin_execute(a);
}

/* Actions with a WHAT. */
static const struct {
        int option;
        const char *name;
} with_what[] = {
        { OPT_DELETE, "delete" },
        { OPT_OFFLINE, "offline" },
        { OPT_READY, "ready" },
        { OPT_UPDATE, "update" },
};

static int run_action(Admin *a)
{
        if (admin_has(a, 'h')) {
                print_help();
                return ADMIN_OK;
        }
        for (size_t i = 0; i < ELEMENTSOF(with_what); i++)
                if (g_strcmp0(a->given[with_what[i].option], "help") == 0)
                        return print_what(with_what[i].name);
        if (admin_has(a, OPT_OFFLINE) && admin_has(a, OPT_READY))
                return admin_stop(ADMIN_WRONG,
                                  "Invalid value (you can't use both ready and offline)!\n");
        if (admin_has(a, 'e') || admin_has(a, OPT_UPDATE))
                return run_file_action(a);
        if (admin_has(a, OPT_DELETE))
                return delete_targets(a, a->given[OPT_DELETE]);
        if (admin_has(a, OPT_OFFLINE))
                return set_states(a, a->given[OPT_OFFLINE], "offline");
        if (admin_has(a, OPT_READY))
                return set_states(a, a->given[OPT_READY], "ready");
        if (admin_has(a, 's'))
                return show(a);
        if (admin_has(a, OPT_DUMP))
                return dump(a);
        return admin_stop(ADMIN_OK, "No action specified.\n");
}

/* false: something is not an option. */
static bool parse(Admin *a, int argc, char **argv)
{
        g_autoptr(GArray) longs = g_array_new(TRUE, TRUE, sizeof(struct option));
        g_autoptr(GString) shorts = g_string_new(NULL);
        bool good = true;
        int letter;

        adm_getopt(options, longs, shorts);
        opterr = 0;
        while ((letter = getopt_long(argc, argv, shorts->str,
                                     (const struct option *)(const void *)longs->data, NULL)) >=
               0) {
                if (letter != '?') {
                        a->given[letter] = optarg ?: "";
                        continue;
                }
                good = false;
                if (optopt) /* known, but without its value, or a letter */
                        (void)fprintf(stderr, "%s: not an option, or without its value\n",
                                      argv[optind - 1]);
                else
                        (void)fprintf(stderr, "Unknown option: %s\n",
                                      argv[optind - 1] + strspn(argv[optind - 1], "-"));
        }
        opterr = 1;
        for (; optind < argc; optind++) {
                (void)fprintf(stderr, "%s: not an option\n", argv[optind]);
                good = false;
        }
        return good;
}

static bool has_action(const Admin *a)
{
        static const int actions[] = { 'e', 's', OPT_DUMP };

        for (size_t i = 0; i < ELEMENTSOF(actions); i++)
                if (admin_has(a, actions[i]))
                        return true;
        for (size_t i = 0; i < ELEMENTSOF(with_what); i++)
                if (admin_has(a, with_what[i].option))
                        return true;
        return false;
}

static int take_control_port(Admin *a)
{
        const char *text = a->given['C'];
        uint32_t port;

        if (!text)
                return ADMIN_OK;
        if (parse_u32(text, 0, INT16_MAX, &port) < 0)
                return admin_stop(ADMIN_WRONG,
                                  "--control-port %s: a number from 0 to %d expected\n", text,
                                  INT16_MAX);
        a->ctl.options.control_port = port;
        return ADMIN_OK;
}

static int run(Admin *a, int argc, char **argv)
{
        int r;

        if (argc == 1) {
                print_help();
                return ADMIN_OK;
        }
        /* stgt ends with 0 where nothing was to be done; what was to be done is not done half */
        if (!parse(a, argc, argv) && has_action(a))
                return ADMIN_WRONG;
        r = take_control_port(a);
        return r == ADMIN_OK ? run_action(a) : r;
}

int tgt_admin_main(int argc, char **argv)
{
        Admin a = { 0 };
        int r;

        adm_ctl_init(&a.ctl);
        r = run(&a, argc, argv);
        json_decref(a.targets);
        desired_free(a.wanted);
        if (a.bad)
                g_hash_table_unref(a.bad);
        if (a.problems)
                g_ptr_array_unref(a.problems);
        adm_ctl_done(&a.ctl);
        if (fflush(stdout) != 0 && r == ADMIN_OK)
                r = EIO;
        return r;
}
