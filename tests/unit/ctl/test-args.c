/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>

#include "ctl/args.h"

typedef struct Parsed {
        Ctl c;
        int code;
        char **argv, **args;
} Parsed;

static void parse(Parsed *p, const char *line)
{
        int argc;

        *p = (Parsed){ 0 };
        g_test_message("%s", line);
        g_assert_true(g_shell_parse_argv(line, &argc, &p->argv, NULL));
        options_init(&p->c.options);
        p->code = args_parse(&p->c, argc, p->argv, &p->args);
}

static void done(Parsed *p)
{
        options_done(&p->c.options);
        g_strfreev(p->argv);
}

static void test_verbs(void)
{
        static const struct {
                const char *line, *verb;
                unsigned n_args;
        } rows[] = {
                { "tgtctl", "status", 0 },
                { "tgtctl --json", "status", 0 },
                { "tgtctl status a b", "status", 2 },
                { "tgtctl --runtime delete a --force b", "delete", 2 },
                { "tgtctl account add t u --secret-file=-", "account add", 2 },
                { "tgtctl account list", "account list", 0 },
                { "tgtctl unit refresh u", "unit refresh", 1 },
                { "tgtctl deny t -- -odd", "deny", 2 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Parsed p;

                parse(&p, rows[i].line);
                g_assert_cmpint(p.code, ==, EXIT_CODE_OK);
                g_assert_cmpstr(p.c.verb->name, ==, rows[i].verb);
                g_assert_cmpuint(g_strv_length(p.args), ==, rows[i].n_args);
                done(&p);
        }
}

static void test_refused(void)
{
        static const char *const lines[] = {
                "tgtctl stauts",
                "tgtctl account",
                "tgtctl account frob x",
                "tgtctl show --frob",
                "tgtctl delete",
                "tgtctl sessions a b",
                "tgtctl status --force",
                "tgtctl status --runtime",
                "tgtctl reload --runtime",
                "tgtctl portal add 1.2.3.4:5 --force",
                "tgtctl delete x --with-secrets",
                "tgtctl --json=loud",
                "tgtctl --color=sometimes",
                "tgtctl --control-port=-1",
                "tgtctl --control-port=x",
                "tgtctl --control-port",
                "tgtctl -C",
                "tgtctl -Z",
                "tgtctl create x --set alias",
                "tgtctl create x --set =y",
                "tgtctl delete x --alias=y",
                "tgtctl add-lun t /p --alias=y",
                "tgtctl reload --generation=18446744073709551615",
                "tgtctl status --help=x",
                "tgtctl create x --include=/y",
                "tgtctl add-lun x y --thin=1",
        };
        int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                Parsed p;

                (void)dup2(null, STDERR_FILENO); /* it says what is wrong there */
                parse(&p, lines[i]);
                (void)dup2(saved, STDERR_FILENO);
                g_assert_cmpint(p.code, ==, EXIT_CODE_USAGE);
                done(&p);
        }
        (void)close(saved);
        (void)close(null);
}

static const char *setting(const Parsed *p, guint i, const char **ret_directive)
{
        const Setting *s = &g_array_index(p->c.options.settings, Setting, i);

        g_assert_cmpuint(i, <, p->c.options.settings->len);
        *ret_directive = s->directive;
        return s->value;
}

static void test_settings(void)
{
        static const struct {
                const char *line, *directive, *value;
        } rows[] = {
                { "tgtctl create n --alias=x", "alias", "x" },
                { "tgtctl create n --alias 'x y'", "alias", "x y" },
                { "tgtctl create n --set alias=x=y", "alias", "x=y" },
                { "tgtctl create n --set 'alias x'", "alias", "x" },
                { "tgtctl create n --set alias=", "alias", "" },
                { "tgtctl create n --set whatever=1", "whatever", "1" },
                { "tgtctl add-lun t /p --type disk", "device-type", "disk" },
                { "tgtctl add-lun t /p --write-cache=off", "write-cache", "off" },
                { "tgtctl add-lun t /p --vendor-id=V", "vendor_id", "V" },
                { "tgtctl add-lun t /p --vendor_id V", "vendor_id", "V" },
                { "tgtctl add-lun t /p --size 1G", "size", "1G" },
                { "tgtctl add-lun t --readonly /p", "readonly", "1" },
                { "tgtctl add-lun t --allow-in-use /p", "allow-in-use", "yes" },
                { "tgtctl add-lun t /p --thin_provisioning", "thin-provisioning", "1" },
                { "tgtctl add-lun t --thin /p", "thin-provisioning", "1" },
                { "tgtctl add-lun t /p --thin-provisioning=0", "thin-provisioning", "0" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                const char *directive, *value;
                Parsed p;

                parse(&p, rows[i].line);
                g_assert_cmpint(p.code, ==, EXIT_CODE_OK);
                value = setting(&p, 0, &directive);
                g_assert_cmpstr(directive, ==, rows[i].directive);
                g_assert_cmpstr(value, ==, rows[i].value);
                g_assert_cmpuint(p.c.options.settings->len, ==, 1);
                done(&p);
        }
}

static void test_options(void)
{
        Parsed p;

        parse(&p, "tgtctl delete x --json=short -f -n --generation=7 --socket=/s -C 3 --color=no");
        g_assert_cmpint(p.code, ==, EXIT_CODE_OK);
        g_assert_cmpint(p.c.options.json, ==, JSON_SHORT);
        g_assert_true(p.c.options.force && p.c.options.dry_run && !p.c.options.runtime);
        g_assert_cmpint(p.c.options.generation, ==, 7);
        g_assert_cmpint(p.c.options.control_port, ==, 3);
        g_assert_cmpint(p.c.options.color, ==, 0);
        g_assert_cmpstr(p.c.options.socket, ==, "/s");
        done(&p);

        parse(&p, "tgtctl list --json targets");
        g_assert_cmpint(p.c.options.json, ==, JSON_PRETTY);
        g_assert_cmpstr(p.args[0], ==, "targets");
        done(&p);

        parse(&p, "tgtctl add-lun --help");
        g_assert_true(p.c.options.help);
        g_assert_cmpstr(p.args[0], ==, "add-lun");
        done(&p);
}

/* ps(1) must not show it for longer than need be. */
static void test_secret(void)
{
        Parsed p;

        parse(&p, "tgtctl account add t u --secret=hush");
        g_assert_cmpint(p.code, ==, EXIT_CODE_OK);
        g_assert_cmpstr(p.c.options.secret, ==, "hush");
        for (char **a = p.argv; *a; a++)
                g_assert_null(strstr(*a, "hush"));
        done(&p);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/args/verbs", test_verbs);
        g_test_add_func("/args/refused", test_refused);
        g_test_add_func("/args/settings", test_settings);
        g_test_add_func("/args/options", test_options);
        g_test_add_func("/args/secret", test_secret);
        return g_test_run();
}
