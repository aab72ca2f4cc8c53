/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness.h"

/* The contract of store.h over what is on this host: files, devices, memory. */

static void test_types(void)
{
        size_t n = 0;

        for (const StoreType *t = store_types(); t->name; t++, n++) {
                size_t i;

                g_assert_true(store_type_find(t->name) == t);
                g_assert_nonnull(t->open);
                g_assert_nonnull(t->options);
                g_assert_cmpuint(strlen(t->summary), >, 10);
                /* of what is elsewhere, a test that makes it has the suite */
                g_assert_true(t->remote == (t->key != NULL));
                if (t->remote)
                        continue;
                for (i = 0; i < n_kinds && strcmp(kinds[i].spec.type, t->name) != 0; i++)
                        ;
                g_assert_cmpuint(i, <, n_kinds); /* each is in the suite */
        }
        g_assert_cmpuint(n, ==, 6);
        g_assert_null(store_type_find("glfs"));
}

static void no_devices(void)
{
        g_test_skip("no loop devices: needs root and /dev/loop-control");
}

/* With --devices: over loop devices of 4096-byte blocks, under requests of 512. */
int main(int argc, char **argv)
{
        bool devices = argc > 1 && strcmp(argv[argc - 1], "--devices") == 0;

        if (devices)
                argc--;
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/store/types", test_types);
        if (!devices)
                contract_add("/store", kinds, n_kinds);
        else if (have_devices())
                contract_add("/store/device", device_kinds, n_device_kinds);
        else
                g_test_add_func("/store/device", no_devices);
        return g_test_run();
}
