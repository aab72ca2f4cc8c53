/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helpers.h"

/* One directive at a time, as clients give them. */

#define A "iqn.2026-01.com.example:a"

static void assert_set(TargetSpec *t, LunSpec *l, const char *directive, const char *value,
                       const char *expected)
{
        Problem *p = NULL;
        int r = config_set(t, l, directive, value, NULL, &p);
        g_autofree char *text = p ? problem_format(p) : NULL;

        g_assert_cmpstr(text, ==, expected);
        g_assert_cmpint(r, ==, !p ? 0 : p->level == PROBLEM_ERROR ? -EINVAL : 1);
        problem_free(p);
}

static void test_target(void)
{
        TargetSpec *t = target_spec_new(A);

        assert_set(t, NULL, "alias", "x \"y\" # \\#z", NULL);
        g_assert_cmpstr(t->alias, ==, "x \"y\" # \\#z"); /* no file, no quoting */
        assert_set(t, NULL, "alias", NULL, NULL);
        g_assert_null(t->alias);
        assert_set(t, NULL, "MaxBurstLength", "65536", NULL);
        assert_set(t, NULL, "maxburstlength", "131072", NULL);
        g_assert_cmpuint(t->params->len, ==, 1);
        assert_set(t, NULL, "MaxBurstLength", NULL, NULL);
        g_assert_cmpuint(t->params->len, ==, 0);
        assert_set(t, NULL, "state", "offline", NULL);
        g_assert_false(t->online);
        assert_set(t, NULL, "state", "gone", A ": state: \"gone\": ready or offline expected");
        assert_set(t, NULL, "portal", "192.0.2.1", A ": portal: stands outside of all blocks only");
        assert_set(t, NULL, "include", "/etc/passwd",
                   A ": include: stands outside of all blocks only");
        assert_set(t, NULL, "RedirectPort", "1", A ": RedirectPort: not supported by this build");
        assert_set(t, NULL, "direct-store", "/dev/a",
                   A ": direct-store: not supported by this build");
        assert_set(t, NULL, "stat", "ready", A ": stat: unknown directive; is \"state\" meant?");
        target_spec_free(t);
}

/* A new target admits nobody; a first rule opens it, and taking the last away closes it again. */
static void test_access(void)
{
        TargetSpec *t = target_spec_new(A);

        g_assert_true(t->access_given && t->names->len == 0 && t->addresses->len == 0);
        assert_set(t, NULL, "initiator-address", "192.0.2.1", NULL);
        assert_set(t, NULL, "initiator-address", "192.0.2.2", NULL);
        assert_set(t, NULL, "initiator-address", "192.0.2.2", NULL);
        g_assert_cmpuint(t->addresses->len, ==, 2);
        assert_set(t, NULL, "initiator-address", NULL, NULL);
        g_assert_true(t->access_given && t->addresses->len == 0);
        assert_set(t, NULL, "initiator-name", "ALL", NULL);
        assert_set(t, NULL, "initiator-name", "NONE", NULL);
        g_assert_true(t->access_given && t->names->len == 0);
        target_spec_free(t);
}

static void test_accounts(void)
{
        TargetSpec *t = target_spec_new(A);
        const AccountSpec *a;

        assert_set(t, NULL, "incominguser", "alice secretsecret1", NULL);
        assert_set(t, NULL, "incominguser", "\"al ice\" \"secret secret\"", NULL);
        assert_set(t, NULL, "incominguser", "alice secretsecret2", NULL);
        g_assert_cmpuint(t->incoming->len, ==, 2);
        a = t->incoming->pdata[0];
        g_assert_cmpstr(a->secret, ==, "secretsecret2");
        assert_set(t, NULL, "outgoinguser", "bob secretsecret1", NULL);
        assert_set(t, NULL, "outgoinguser", "carol secretsecret3", NULL);
        g_assert_cmpstr(t->outgoing->user, ==, "carol");
        assert_set(t, NULL, "outgoinguser", NULL, NULL);
        g_assert_null(t->outgoing);
        assert_set(t, NULL, "incominguser", "dave short",
                   "warning: " A ": incominguser: the secret of \"dave\" is shorter than the 12 "
                   "bytes that RFC 7143 asks for; some initiators refuse it");
        target_spec_free(t);
}

/* An account that did not come through the table cannot break out of its line either. */
static void test_account_texts(void)
{
        static const char *const wrong[] = { "a\n</target>", "\x1b[1m", "", "\xff" };
        g_autofree char *big = g_strnfill(256, 'x');

        for (size_t i = 0; i <= G_N_ELEMENTS(wrong); i++) {
                const char *text = i < G_N_ELEMENTS(wrong) ? wrong[i] : big;
                TargetSpec *t = target_spec_new(A);
                Desired *d = desired_new();

                g_ptr_array_add(t->incoming, account_spec_new("user", text));
                g_assert_false(config_verify_target(t, NULL));
                g_ptr_array_set_size(t->incoming, 0);
                t->outgoing = account_spec_new(text, "secretsecret1");
                g_assert_false(config_verify_target(t, NULL));
                d->discovery_outgoing = TAKE_PTR(t->outgoing);
                g_assert_false(config_verify(d, NULL, NULL));
                g_assert_true(config_verify_target(t, NULL));
                desired_free(d);
                target_spec_free(t);
        }
}

static void test_luns(void)
{
        TargetSpec *t = target_spec_new(A);
        g_autofree char *text = NULL;
        LunSpec *l;

        assert_set(t, NULL, "backing-store", "/dev/a", NULL);
        assert_set(t, NULL, "backing-store", "/dev/b", NULL);
        assert_set(t, NULL, "write-cache", "off", NULL);
        assert_set(t, NULL, "lun", "4", A ": lun: in a target it needs exactly one LUN");
        text = luns_text(t);
        g_assert_cmpstr(text, ==, "1=/dev/a 2=/dev/b");
        g_assert_false(target_spec_find_lun(t, 2)->write_cache);
        l = target_spec_find_lun(t, 2);
        assert_set(t, l, "write-cache", NULL, NULL);
        g_assert_true(l->write_cache);
        assert_set(NULL, l, "backing-store", "/dev/c", NULL);
        g_assert_cmpstr(l->path, ==, "/dev/c");
        assert_set(t, l, "params", "thin_provisioning=1,vendor_id=ACME", NULL);
        g_assert_true(l->thin);
        g_assert_cmpstr(l->vendor_id, ==, "ACME");
        assert_set(t, l, "alias", "x", A ": alias: is for a target, not for a LUN");
        assert_set(t, NULL, "write-cache", "x", A ": write-cache: \"x\": on or off expected");
        assert_set(t, l, "backing-store", NULL, NULL);
        g_assert_null(l->path);
        assert_set(t, l, "naa", "0x60000000000000000E00000000010001", NULL);
        g_assert_cmpstr(l->naa, ==, "60000000000000000e00000000010001");
        assert_set(t, l, "lun", "1", NULL);
        g_assert_false(config_verify_target(t, NULL)); /* 1 is there already */
        assert_set(t, NULL, "backing-store", NULL, NULL);
        g_assert_cmpuint(t->luns->len, ==, 0);
        target_spec_free(t);
}

static void test_numbers(void)
{
        TargetSpec *t = target_spec_new(A);
        uint16_t n = 0;

        for (unsigned i = 1; i <= CONFIG_LUN_MAX; i++) {
                LunSpec *l = lun_spec_new();

                g_assert_cmpint(target_spec_free_lun(t, &n), ==, 0);
                g_assert_cmpuint(n, ==, i);
                l->lun = n;
                l->path = g_strdup_printf("/dev/%u", i);
                g_assert_cmpint(target_spec_add_lun(t, l), ==, 0);
                if (i == 40) /* the rest at once: what is looked for is the lowest */
                        break;
        }
        g_assert_true(target_spec_remove_lun(t, 17));
        g_assert_false(target_spec_remove_lun(t, 17));
        g_assert_cmpint(target_spec_free_lun(t, &n), ==, 0);
        g_assert_cmpuint(n, ==, 17);
        for (unsigned i = 1; i <= CONFIG_LUN_MAX; i++) {
                LunSpec *l = lun_spec_new();

                l->lun = (uint16_t)i;
                l->path = g_strdup_printf("/dev/%u", i);
                if (target_spec_add_lun(t, l) == -EEXIST)
                        lun_spec_free(l);
        }
        g_assert_cmpuint(t->luns->len, ==, CONFIG_LUN_MAX);
        g_assert_cmpint(target_spec_free_lun(t, &n), ==, -ENOSPC);
        assert_set(t, NULL, "backing-store", "/dev/x", A ": backing-store: no LUN number is left");
        g_assert_true(config_verify_target(t, NULL));
        target_spec_free(t);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/set/target", test_target);
        g_test_add_func("/set/access", test_access);
        g_test_add_func("/set/accounts", test_accounts);
        g_test_add_func("/set/account-texts", test_account_texts);
        g_test_add_func("/set/luns", test_luns);
        g_test_add_func("/set/numbers", test_numbers);
        return g_test_run();
}
