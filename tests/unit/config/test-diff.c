/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helpers.h"

#include "config/directives.h"

#define A "iqn.2026-01.com.example:a"
#define B "iqn.2026-01.com.example:b"
#define C "iqn.2026-01.com.example:c"

static void assert_diff(const char *from, const char *to, const char *expected)
{
        _cleanup_loaded_ Loaded a = load(from), b = load(to);
        g_autoptr(GPtrArray) changes = config_diff(a.desired, b.desired);
        g_autoptr(GString) got = g_string_new(NULL);

        for (guint i = 0; i < changes->len; i++) {
                g_autofree char *line = change_format(changes->pdata[i]);

                g_string_append_printf(got, "%s\n", line);
        }
        g_assert_cmpstr(got->str, ==, expected);
}

static void assert_change(const char *before, const char *after, const char *expected)
{
        g_autofree char *a =
                g_strdup_printf("<target " A ">\nbacking-store /dev/a\n%s\n</target>\n", before);
        g_autofree char *b =
                g_strdup_printf("<target " A ">\nbacking-store /dev/a\n%s\n</target>\n", after);

        assert_diff(a, b, expected);
}

static void test_nothing(void)
{
        assert_diff("", "", "");
        assert_change("alias x\nwrite-cache off", "write-cache off\nalias \"x\"", "");
        /* said or left out: the same effect */
        assert_change("", "initiator-address ALL", "");
        assert_change("", "lun 1", "");
        assert_change("", "write-cache on\nbs-type rdwr\ndevice-type disk\nstate ready", "");
        assert_change("", "IFMarker No", "");
}

static void test_changes(void)
{
        assert_change("", "alias x", "~ target " A ": alias default -> x\n");
        assert_change("", "state offline", "~ target " A ": state ready -> offline\n");
        assert_change("", "initiator-name NONE",
                      "~ target " A ": initiator-address ALL -> none, "
                      "initiator-name none -> NONE\n");
        assert_change("incominguser alice secretsecret1", "incominguser alice secretsecret2",
                      "~ target " A ": incominguser alice (another secret)\n");
        assert_change("incominguser alice secretsecret1", "incominguser bob secretsecret1",
                      "~ target " A ": incominguser alice -> bob\n");
        assert_change("MaxBurstLength 65536", "MaxBurstLength 131072",
                      "~ target " A ": MaxBurstLength 65536 -> 131072\n");
        assert_change("", "write-cache off", "~ target " A " lun 1: write-cache on -> off\n");
        assert_change("", "write-cache off\nreadonly yes",
                      "~ target " A " lun 1: write-cache on -> off, readonly 0 -> 1\n");
        assert_change("", "bs-type aio",
                      "~ target " A " lun 1 (replaced): bs-type default -> aio\n");
        assert_change("", "path /dev/b",
                      "~ target " A " lun 1 (replaced): backing-store /dev/a -> /dev/b\n");
        assert_change("", "lun 7", "- target " A " lun 1: /dev/a\n+ target " A " lun 7: /dev/a\n");
        assert_change("", "backing-store /dev/b", "+ target " A " lun 2: /dev/b\n");
}

/* In an order in which it can be done. */
static void test_order(void)
{
        assert_diff("portal 192.0.2.1\nincomingdiscoveryuser a secretsecret1\n"
                    "<target " A ">\nbacking-store /dev/a\nbacking-store /dev/b\n"
                    "backing-store /dev/c\n</target>\n"
                    "<target " B ">\n</target>\n",
                    "portal 192.0.2.2\n"
                    "<target " A ">\nalias x\n<backing-store /dev/d>\nlun 4\n</backing-store>\n"
                    "<backing-store /dev/e>\nlun 2\n</backing-store>\n"
                    "<backing-store /dev/a>\nlun 1\nreadonly 1\n</backing-store>\n</target>\n"
                    "<target " C ">\nbacking-store /dev/c\n</target>\n",
                    "~ accounts of discovery\n"
                    "- portal 192.0.2.1:3260\n"
                    "- target " B "\n"
                    "- target " A " lun 3: /dev/c\n"
                    "~ target " A ": alias default -> x\n"
                    "~ target " A " lun 1: readonly 0 -> 1\n"
                    "~ target " A " lun 2 (replaced): backing-store /dev/b -> /dev/e\n"
                    "+ target " A " lun 4: /dev/d\n"
                    "+ target " C "\n"
                    "+ portal 192.0.2.2:3260\n");
}

/* Every directive of a LUN makes a difference, and of the right kind. */
static void test_kinds(void)
{
        static const char *const in_place[] = { "write-cache off", "readonly 1", "online 0",
                                                "size 1G", "allow-in-use yes" };
        static const char *const replaces[] = { "block-size 4096",
                                                "scsi_id x",
                                                "bsoflags sync",
                                                "thin-provisioning 1",
                                                "mode_page 8:0:1",
                                                "removable 1",
                                                "uuid 0f2c1a5e-8d21-4d3c-9b5e-6a4f3c2b1d0e" };
        _cleanup_loaded_ Loaded a = load("<target " A ">\nbacking-store /dev/a\n</target>\n");

        for (size_t i = 0; i < G_N_ELEMENTS(in_place) + G_N_ELEMENTS(replaces); i++) {
                bool first = i < G_N_ELEMENTS(in_place);
                g_autofree char *text =
                        g_strdup_printf("<target " A ">\nbacking-store /dev/a\n%s\n</target>\n",
                                        first ? in_place[i] : replaces[i - G_N_ELEMENTS(in_place)]);
                _cleanup_loaded_ Loaded b = load(text);
                g_autoptr(GPtrArray) changes = config_diff(a.desired, b.desired);
                const Change *c;

                g_test_message("%s", text);
                g_assert_cmpuint(changes->len, ==, 1);
                c = changes->pdata[0];
                g_assert_cmpint(c->kind, ==, first ? CHANGE_LUN : CHANGE_REPLACE_LUN);
                g_assert_true(c->before == target(&a, A) && c->after == target(&b, A));
                g_assert_true(c->lun_before == lun(&a, A, 1) && c->lun_after == lun(&b, A, 1));
        }
}

static const struct {
        const char *before, *after;
        ChangeKind kind;
} media[] = {
        { "backing-store NONE\nremovable 1", "backing-store /dev/b\nremovable 1", CHANGE_LUN },
        { "backing-store NONE\nremovable 1",
          "backing-store /dev/b\nremovable 1\nuuid 0f2c1a5e-8d21-4d3c-9b5e-6a4f3c2b1d0e",
          CHANGE_LUN },
        { "backing-store NONE\nremovable 1", "backing-store /dev/b", CHANGE_REPLACE_LUN },
        { "backing-store /dev/b\nremovable 1\nonline 0", "backing-store NONE\nremovable 1",
          CHANGE_LUN },
        { "backing-store /dev/b\nremovable 1", "backing-store NONE\nremovable 1",
          CHANGE_REPLACE_LUN },
        { "backing-store /dev/b\nonline 0", "backing-store /dev/c\nonline 0", CHANGE_REPLACE_LUN },
        { "backing-store NONE\nremovable 1\nbs-type null\nsize 1G",
          "backing-store /dev/b\nremovable 1\nbs-type null\nsize 1G", CHANGE_REPLACE_LUN },
};

/* A medium is put into a drive without taking anything away from anybody. */
static void test_media(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(media); i++) {
                g_autofree char *x = g_strdup_printf("<target " A ">\n%s\n</target>\n",
                                                     media[i].before),
                                *y = g_strdup_printf("<target " A ">\n%s\n</target>\n",
                                                     media[i].after);
                _cleanup_loaded_ Loaded a = load(x);
                _cleanup_loaded_ Loaded b = load(y);
                g_autoptr(GPtrArray) changes = config_diff(a.desired, b.desired);

                g_test_message("%s -> %s", x, y);
                g_assert_cmpuint(changes->len, ==, 1);
                g_assert_cmpint(((const Change *)changes->pdata[0])->kind, ==, media[i].kind);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/diff/nothing", test_nothing);
        g_test_add_func("/diff/media", test_media);
        g_test_add_func("/diff/changes", test_changes);
        g_test_add_func("/diff/order", test_order);
        g_test_add_func("/diff/kinds", test_kinds);
        return g_test_run();
}
