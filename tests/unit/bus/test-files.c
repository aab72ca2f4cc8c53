/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/server.h"
#include "harness.h"

/* Methods that have a file made for a LUN: it is made first, and goes again if nothing comes of it.
 */

typedef struct Fixture {
        Harness *h;
        sd_bus *bus;
} Fixture;

static void setup(Fixture *f, const void *data)
{
        f->h = harness_new(NULL);
        f->bus = harness_peer(f->h);
}

static void teardown(Fixture *f, const void *data)
{
        sd_bus_flush_close_unref(f->bus);
        harness_free(f->h);
}

static void set_hold(Harness *h, void *arg)
{
        h->manager->hold = true;
}

static void release(Harness *h, void *arg)
{
        fake_manager_release(h->manager);
}

static void count_calls(Harness *h, void *arg)
{
        *(unsigned *)arg = h->server->n_calls;
}

static void expect_ended(Fixture *f, const char *const *texts)
{
        const GPtrArray *ended = harness_manager(f->h)->ended;

        for (guint i = 0; i < ended->len; i++)
                g_test_message("%s", (char *)ended->pdata[i]);
        g_assert_cmpuint(ended->len, ==, g_strv_length((char **)texts));
        for (guint i = 0; i < ended->len; i++)
                g_assert_cmpstr(ended->pdata[i], ==, texts[i]);
        g_ptr_array_set_size(harness_manager(f->h)->ended, 0);
}

static void count_peers(Harness *h, void *arg)
{
        *(unsigned *)arg = h->server->n_peers;
}

static void wait_until(Harness *h, HarnessFunc *count, unsigned n)
{
        unsigned now = 0;

        for (int i = 0; i < 1000; i++) {
                harness_run(h, count, &now);
                if (now == n)
                        return;
                (void)usleep(10000);
        }
        g_error("%u, not %u", now, n);
}

static int on_file_progress(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        *(bool *)userdata = true;
        return 0;
}

#define FULL "iqn.2024-01.net.example:full"

/* A file is made before the change, and kept if that comes to something. */
static void test_files(Fixture *f, const void *data)
{
        bool told = false;

        g_assert_cmpint(sd_bus_add_match(f->bus, NULL, "type='signal',member='FileProgress'",
                                         on_file_progress, &told),
                        >=, 0);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget", "sa{sas}a{sv}", TEST_TARGET,
                    0, 2, "size", "t", UINT64_C(1) << 20, "preallocate", "b", 1);
        expect_ended(f, (const char *const[]){ "make /srv/disks/" TEST_TARGET ".img preallocate",
                                               "keep /srv/disks/" TEST_TARGET ".img", NULL });
        while (sd_bus_process(f->bus, NULL) > 0)
                ;
        g_assert_true(told);
        assert_call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddLogicalUnit", "a{sas}a{sv}", 0, 2,
                    "size", "t", UINT64_C(1) << 20, "directory", "s", "/srv/x");
        expect_ended(f, (const char *const[]){ "make /srv/x/" TEST_TARGET ".img numbered",
                                               "keep /srv/x/" TEST_TARGET ".img", NULL });

        /* refused before anything is made */
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget",
                          "org.tgt1.Error.Exists", "sa{sas}a{sv}", TEST_TARGET, 0, 1, "size", "t",
                          UINT64_C(512));
        expect_ended(f, (const char *const[]){ NULL });
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget",
                          "org.tgt1.Error.BackingStore", "sa{sas}a{sv}", FULL, 0, 1, "size", "t",
                          UINT64_C(512));
        expect_ended(f, (const char *const[]){ "make /srv/disks/" FULL ".img",
                                               "drop /srv/disks/" FULL ".img", NULL });
        /* refused after that: gone again */
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget",
                          "org.tgt1.Error.Conflict", "sa{sas}a{sv}", "iqn.a:b", 0, 2, "size", "t",
                          UINT64_C(512), "generation", "t", UINT64_C(4711));
        expect_ended(f, (const char *const[]){ "make /srv/disks/iqn.a:b.img",
                                               "drop /srv/disks/iqn.a:b.img", NULL });
}

static void test_bad_files(Fixture *f, const void *data)
{
        static const char bad[] = "org.tgt1.Error.InvalidArgument";

#define CREATE_FAILS(...)                                                                          \
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget", bad, "sa{sas}a{sv}", \
                          TEST_TARGET, __VA_ARGS__)
        CREATE_FAILS(0, 1, "preallocate", "b", 1);
        CREATE_FAILS(0, 1, "directory", "s", "/srv");
        CREATE_FAILS(0, 2, "size", "t", UINT64_C(512), "directory", "s", "srv");
        CREATE_FAILS(0, 2, "size", "t", UINT64_C(512), "directory", "s", "/srv/\n");
        CREATE_FAILS(1, "backing-store", 1, "/srv/x", 1, "size", "t", UINT64_C(512));
        CREATE_FAILS(1, "direct-store", 1, "/srv/x", 1, "size", "t", UINT64_C(512));
        CREATE_FAILS(1, "bs-type", 1, "ram", 1, "size", "t", UINT64_C(512));
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "DeleteTarget", bad, "sa{sv}",
                          TEST_TARGET, 1, "size", "t", UINT64_C(512));
        expect_ended(f, (const char *const[]){ NULL });
}

static int ignore(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return 0;
}

/* The client goes while its file is being made: it is given up, and nothing is created. */
static void test_client_goes_while_a_file_is_made(Fixture *f, const void *data)
{
        sd_bus *other = harness_peer(f->h);

        harness_run(f->h, set_hold, NULL);
        g_assert_cmpint(sd_bus_call_method_async(other, NULL, NULL, "/org/tgt1", IFACE_MANAGER,
                                                 "CreateTarget", ignore, NULL, "sa{sas}a{sv}",
                                                 TEST_TARGET, 0, 1, "size", "t", UINT64_C(512)),
                        >=, 0);
        g_assert_cmpint(sd_bus_flush(other), >=, 0);
        wait_until(f->h, count_calls, 1);
        sd_bus_close_unref(other);
        wait_until(f->h, count_peers, 1);
        harness_run(f->h, release, NULL);
        wait_until(f->h, count_calls, 0);
        expect_ended(f, (const char *const[]){ "make /srv/disks/" TEST_TARGET ".img",
                                               "drop /srv/disks/" TEST_TARGET ".img", NULL });
        g_assert_cmpuint(g_hash_table_size(harness_manager(f->h)->desired->targets), ==, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add("/files/made", Fixture, NULL, setup, test_files, teardown);
        g_test_add("/files/refused", Fixture, NULL, setup, test_bad_files, teardown);
        g_test_add("/files/client-goes", Fixture, NULL, setup,
                   test_client_goes_while_a_file_is_made, teardown);
        return g_test_run();
}
