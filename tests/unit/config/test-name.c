/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config.h"

static void test_names(void)
{
        static const struct {
                const char *name, *normal; /* NULL: refused */
                int r;
        } rows[] = {
                { "iqn.2001-04.com.example:disk", "iqn.2001-04.com.example:disk", 0 },
                { "IQN.2001-04.COM.Example:Disk", "iqn.2001-04.com.example:disk", 0 },
                { "iqn.2001-04.com.example", "iqn.2001-04.com.example", 0 },
                { "iqn.2001-04.com.example:a_b", "iqn.2001-04.com.example:a_b", 1 },
                { "iqn.foo:bar", "iqn.foo:bar", 1 },
                { "iqn.2001-4.com.example", "iqn.2001-4.com.example", 1 },
                { "eui.02004567A425678D", "eui.02004567a425678d", 0 },
                { "naa.52004567BA64678D", "naa.52004567ba64678d", 0 },
                { "naa.62004567BA64678D0123456789ABCDEF", "naa.62004567ba64678d0123456789abcdef",
                  0 },
                { "iqn.2001-04.com.example:\xc3\x9c", "iqn.2001-04.com.example:\xc3\xbc", 0 },
                { "eui.02004567A425678", NULL, -EINVAL },
                { "eui.02004567A425678Z", NULL, -EINVAL },
                { "naa.5200", NULL, -EINVAL },
                { "iqn.", NULL, -EINVAL },
                { "", NULL, -EINVAL },
                { "disk1", NULL, -EINVAL },
                { "iqn.2001-04.com.example:a b", NULL, -EINVAL },
                { "iqn.2001-04.com.example:a/b", NULL, -EINVAL },
                { "iqn.2001-04.com.example:a,b", NULL, -EINVAL },
                { "iqn.2001-04.com.example:\n", NULL, -EINVAL },
                { "iqn.2001-04.com.example:\xff", NULL, -EINVAL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *name = NULL;
                char why[200] = "";

                g_test_message("%s", rows[i].name);
                g_assert_cmpint(iscsi_name_normalize(rows[i].name, &name, why, sizeof(why)), ==,
                                rows[i].r);
                g_assert_cmpstr(name, ==, rows[i].normal);
                g_assert_cmpint(*why != '\0', ==, rows[i].r != 0);
        }
}

static void test_length(void)
{
        g_autoptr(GString) s = g_string_new("iqn.2001-04.com.example:");
        g_autofree char *name = NULL;

        while (s->len < 223)
                g_string_append_c(s, 'x');
        g_assert_cmpint(iscsi_name_normalize(s->str, &name, NULL, 0), ==, 0);
        g_string_append_c(s, 'x');
        g_assert_cmpint(iscsi_name_normalize(s->str, &name, NULL, 0), ==, -EINVAL);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/name/names", test_names);
        g_test_add_func("/name/length", test_length);
        return g_test_run();
}
