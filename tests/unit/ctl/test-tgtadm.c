/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/generate.h"
#include "ctl/tgtadm.h"

/* The table of tgtadm: each row can be told, checked and found. */

static bool is_option(char letter)
{
        for (const AdmOption *o = adm_options(); o->name; o++)
                if (o->letter == letter)
                        return true;
        return false;
}

static void test_rows(void)
{
        for (const AdmRow *r = adm_rows(); r->run; r++) {
                g_test_message("%s %s", adm_mode_names[r->mode], adm_op_names[r->op]);
                g_assert_true(adm_row_find(r->mode, r->op) == r); /* there is no other */
                g_assert_true(*r->help && g_str_has_suffix(r->help, "."));
                for (const char *p = r->required; *p; p++) {
                        g_assert_true(is_option(*p));
                        g_assert_cmpstr(adm_missing(r, *p), !=, "an option is missing");
                        g_assert_null(strchr(r->allowed, *p));
                }
                for (const char *p = r->allowed; *p; p++)
                        g_assert_true(is_option(*p));
        }
}

/* What the synopsis names is what the row takes, and all of it. */
static void test_synopsis(void)
{
        for (const AdmRow *r = adm_rows(); r->run; r++)
                for (const AdmOption *o = adm_options(); o->name; o++) {
                        g_autofree char *name = g_strdup_printf("--%s", o->name);
                        const char *at = strstr(r->synopsis, name);
                        bool named = at && (!at[strlen(name)] || strchr(" ]", at[strlen(name)]));
                        bool taken =
                                strchr(r->required, o->letter) || strchr(r->allowed, o->letter);

                        if (strchr("LHBY", o->letter)) /* one value each, or none */
                                continue;
                        g_test_message("%s %s %s", adm_mode_names[r->mode], adm_op_names[r->op],
                                       name);
                        g_assert_cmpint(named, ==, taken);
                }
}

static void test_options(void)
{
        for (const AdmOption *o = adm_options(); o->name; o++)
                for (const AdmOption *p = o + 1; p->name; p++) {
                        g_assert_cmpint(o->letter, !=, p->letter);
                        g_assert_cmpstr(o->name, !=, p->name);
                }
}

static void test_help(void)
{
        g_autoptr(GString) help = g_string_new(NULL);
        g_autofree char *mark = NULL;
        g_autofree char *man = generate("@ADM_ROWS@\n@ADM_OPTIONS@\n", &mark);

        adm_help(help);
        for (const AdmRow *r = adm_rows(); r->run; r++) {
                g_assert_nonnull(strstr(help->str, r->help));
                g_assert_nonnull(strstr(man, adm_mode_names[r->mode]));
        }
        for (const AdmOption *o = adm_options(); o->name; o++)
                g_assert_nonnull(strstr(help->str, o->help));
}

/* As Linux' sd once counted. */
static void test_megabytes(void)
{
        g_assert_cmpuint(adm_megabytes(0), ==, 0);
        g_assert_cmpuint(adm_megabytes(512), ==, 0);
        g_assert_cmpuint(adm_megabytes(100 * MIB), ==, 105);
        g_assert_cmpuint(adm_megabytes(1024 * GIB), ==, 1099512);
}

static void test_peers(void)
{
        static const char *const examples[][2] = { { "127.0.0.1:3260", "127.0.0.1" },
                                                   { "[::1]:3260", "::1" },
                                                   { "[fe80::1%eth0]:1", "fe80::1%eth0" },
                                                   { "", "" } };

        for (size_t i = 0; i < ELEMENTSOF(examples); i++) {
                g_autofree char *address = adm_peer_address(examples[i][0]);

                g_assert_cmpstr(address, ==, examples[i][1]);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/tgtadm/rows", test_rows);
        g_test_add_func("/tgtadm/synopsis", test_synopsis);
        g_test_add_func("/tgtadm/options", test_options);
        g_test_add_func("/tgtadm/help", test_help);
        g_test_add_func("/tgtadm/megabytes", test_megabytes);
        g_test_add_func("/tgtadm/peers", test_peers);
        return g_test_run();
}
