/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "base/image-name.h"

static void test_names(void)
{
        static const struct {
                const char *text, *pool, *space, *image, *snapshot;
        } rows[] = {
                { "disk", "rbd", "", "disk", "" },
                { "disk@then", "rbd", "", "disk", "then" },
                { "p/disk", "p", "", "disk", "" },
                { "p/disk@then", "p", "", "disk", "then" },
                { "p/n/disk", "p", "n", "disk", "" },
                { "p/n/disk@then", "p", "n", "disk", "then" },
                { "p@1/disk", "p@1", "", "disk", "" },
                { "volume-0a.b_c", "rbd", "", "volume-0a.b_c", "" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                ImageName n;

                g_test_message("%s", rows[i].text);
                g_assert_cmpint(image_name_parse(rows[i].text, &n), ==, 0);
                g_assert_cmpstr(n.pool, ==, rows[i].pool);
                g_assert_cmpstr(n.space, ==, rows[i].space);
                g_assert_cmpstr(n.image, ==, rows[i].image);
                g_assert_cmpstr(n.snapshot, ==, rows[i].snapshot);
        }
}

static void test_no_names(void)
{
        static const char *const rows[] = { "",       "/",       "@",       "/disk",     "p/",
                                            "p//d",   "p/n/",    "p/n/d/e", "d@",        "@s",
                                            "p/@s",   "p/d@a@b", "p/n@x/d", "d@a/b/c/d", "/a/b",
                                            "p/n/@s", "d@@s",    "//" };
        g_autofree char *longest = g_strnfill(IMAGE_NAME_PART_MAX - 1, 'x'),
                        *longer = g_strnfill(IMAGE_NAME_PART_MAX, 'x');
        ImageName n = { .pool = "untouched" };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_test_message("%s", rows[i]);
                g_assert_cmpint(image_name_parse(rows[i], &n), ==, -EINVAL);
        }
        g_assert_cmpint(image_name_parse(longer, &n), ==, -EINVAL);
        g_assert_cmpstr(n.pool, ==, "untouched");
        g_assert_cmpint(image_name_parse(longest, &n), ==, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/image-name/names", test_names);
        g_test_add_func("/image-name/no-names", test_no_names);
        return g_test_run();
}
