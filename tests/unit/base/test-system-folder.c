/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "base/system-folder.h"

static void test_folders(void)
{
        static const struct {
                const char *path, *folder;
        } rows[] = {
                { "/etc", "/etc" },         { "/etc/shadow", "/etc" },
                { "/usr/share/x", "/usr" }, { "/lib64/ld.so", "/lib64" },
                { "/proc/1/mem", "/proc" }, { "/", NULL },
                { "/etcetera/disk", NULL }, { "/lib65", NULL },
                { "/srv/etc/disk", NULL },  { "/var/lib/tgt/disks/a.img", NULL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                g_assert_cmpstr(system_folder(rows[i].path), ==, rows[i].folder);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/system-folder/folders", test_folders);
        return g_test_run();
}
