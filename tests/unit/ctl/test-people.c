/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "ctl/progress.h"
#include "ctl/target-name.h"

/* What is made for people alone: names that are filled up, and the bar of what takes long. */

#define NOVEMBER_2026 1795651200 /* the 26th */

static void test_names(void)
{
        static const struct {
                const char *name, *host, *whole;
        } rows[] = {
                { "disk1", "storage.example.org", "iqn.2026-11.org.example.storage:disk1" },
                { "disk1", "storage", "iqn.2026-11.local.storage:disk1" },
                { "Disk.1", "Storage.Example.ORG.", "iqn.2026-11.org.example.storage:disk.1" },
                { "a", "my_host", "iqn.2026-11.local.my-host:a" },
                { "a", "", "iqn.2026-11.local.localhost:a" },
                { "", "h", NULL },
                { "ign.2026-01.org.example:x", "h", NULL },
                { "a b", "h", NULL },
                { "a/b", "h", NULL },
                { "\303\244", "h", NULL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                const char *why;
                g_autofree char *whole =
                        target_name_make(rows[i].name, rows[i].host, NOVEMBER_2026, &why);

                g_test_message("%s on %s", rows[i].name, rows[i].host);
                g_assert_cmpstr(whole, ==, rows[i].whole);
                g_assert_true((why == NULL) == (whole != NULL));
        }
        g_assert_true(target_name_is_full("IQN.2026-01.org.example:x"));
        g_assert_true(target_name_is_full("eui.0123456789abcdef"));
        g_assert_false(target_name_is_full("iqn"));
}

static void test_bar(void)
{
        static const struct {
                uint64_t done, total, usec;
                unsigned width;
                const char *line;
        } rows[] = {
                { 0, 100, 0, 45, "Allocating [................]   0% 0B of 100B" },
                { 50, 100, 0, 45, "Allocating [#######........]  50% 50B of 100B" },
                { 100, 100, 0, 45, "Allocating [##############] 100% 100B of 100B" },
                { UINT64_C(1) << 30, UINT64_C(4) << 30, 2000000, 79,
                  "Allocating [########...........................]  25% 1G of 4G, 512M/s, 6s "
                  "left" },
                { 50, 100, 0, 20, "Allocating 50%" },
                { 0, 0, 0, 45, "Allocating [..................]   0% 0B of 1B" },
        };

        unsigned before = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *line = progress_line("Allocating", rows[i].done, rows[i].total,
                                                      rows[i].usec, rows[i].width);

                g_test_message("%s", line);
                g_assert_cmpstr(line, ==, rows[i].line);
                g_assert_cmpuint(strlen(line), <=, rows[i].width);
        }
        for (uint64_t done = 0; done <= 1000; done++) { /* never backwards */
                g_autofree char *line = progress_line("Sanitizing", done, 1000, 0, 60);
                unsigned filled = 0;

                for (const char *p = line; *p; p++)
                        filled += *p == '#';
                g_assert_cmpuint(filled, >=, before);
                before = filled;
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/people/names", test_names);
        g_test_add_func("/people/bar", test_bar);
        return g_test_run();
}
