/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/server.h"
#include "harness.h"

/* The methods that list statistics. */

static void add_session(Harness *h, void *arg)
{
        fake_manager_add_session(h->manager, *(uint64_t *)arg, TEST_TARGET);
}

/* Of an a{st}. */
static uint64_t read_counter(sd_bus_message *m, const char *name)
{
        uint64_t value, found = UINT64_MAX;
        const char *key;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{st}"), >, 0);
        while (sd_bus_message_read(m, "{st}", &key, &value) > 0)
                if (STREQ(key, name))
                        found = value;
        g_assert_cmpint(sd_bus_message_exit_container(m), >, 0);
        return found;
}

static void expect_latencies(sd_bus_message *m)
{
        const uint64_t *ends, *counts;
        size_t n_ends, n_counts;
        const char *name;
        uint64_t sum;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{s(tatat)}"), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'e', "s(tatat)"), >, 0);
        g_assert_cmpint(sd_bus_message_read(m, "s", &name), >, 0);
        g_assert_cmpstr(name, ==, "read");
        g_assert_cmpint(sd_bus_message_enter_container(m, 'r', "tatat"), >, 0);
        g_assert_cmpint(sd_bus_message_read(m, "t", &sum), >, 0);
        g_assert_cmpuint(sum, ==, 5200);
        g_assert_cmpint(sd_bus_message_read_array(m, 't', (const void **)&ends, &n_ends), >, 0);
        g_assert_cmpint(sd_bus_message_read_array(m, 't', (const void **)&counts, &n_counts), >, 0);
        g_assert_cmpuint(n_ends, ==, 2 * sizeof(uint64_t));
        g_assert_cmpuint(n_counts, ==, 2 * sizeof(uint64_t));
        g_assert_cmpuint(ends[0], ==, 1024);
        g_assert_cmpuint(counts[0], ==, 2);
        g_assert_cmpuint(ends[1], ==, 5120);
        g_assert_cmpuint(counts[1], ==, 1);
        g_assert_cmpint(sd_bus_message_exit_container(m), >, 0);
        g_assert_cmpint(sd_bus_message_exit_container(m), >, 0);
        g_assert_cmpint(sd_bus_message_skip(m, "{s(tatat)}"), >, 0);
        g_assert_cmpint(sd_bus_message_exit_container(m), >, 0);
}

static void expect_nexus(sd_bus_message *m, uint64_t session, uint16_t lun)
{
        const char *target, *initiator;
        uint64_t id;
        uint16_t l;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'r', "tssqa{st}"), >, 0);
        g_assert_cmpint(sd_bus_message_read(m, "tssq", &id, &target, &initiator, &l), >, 0);
        g_assert_cmpuint(id, ==, session);
        g_assert_cmpuint(l, ==, lun);
        g_assert_cmpstr(target, ==, TEST_TARGET);
        g_assert_cmpuint(read_counter(m, "reads"), ==, 7);
        g_assert_cmpint(sd_bus_message_exit_container(m), >, 0);
}

static void test_statistics(void)
{
        Harness *h = harness_new(NULL);
        sd_bus *bus = harness_peer(h);
        uint64_t ids[] = { 3, 9 };
        const char *uuid;
        sd_bus_message *m;
        uint32_t worker;

        assert_call(bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget", "sa{sas}a{sv}", TEST_TARGET, 1,
                    "backing-store", 1, "/srv/a", 0);
        harness_run(h, add_session, &ids[0]);
        harness_run(h, add_session, &ids[1]);
        m = call(bus, "/org/tgt1", IFACE_MANAGER, "ListLogicalUnitStatistics", NULL, "su", "", 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "(sa(sq)a{st}a{s(tatat)})"), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'r', "sa(sq)a{st}a{s(tatat)}"), >, 0);
        g_assert_cmpint(sd_bus_message_read(m, "s", &uuid), >, 0);
        g_assert_cmpint(sd_bus_message_skip(m, "a(sq)"), >, 0);
        g_assert_cmpuint(read_counter(m, "reads"), ==, 3);
        expect_latencies(m);
        sd_bus_message_unref(m);

        m = call(bus, "/org/tgt1", IFACE_MANAGER, "ListSessionStatistics", NULL, "tu", UINT64_C(3),
                 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "(tssa{st}a{s(tatat)})"), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'r', "tssa{st}a{s(tatat)}"), >, 0);
        g_assert_cmpint(sd_bus_message_skip(m, "tss"), >, 0);
        g_assert_cmpuint(read_counter(m, "rx-bytes"), ==, FAKE_FRESH_BYTES);
        expect_latencies(m);
        sd_bus_message_unref(m);
        m = call(bus, "/org/tgt1/session/9", "org.freedesktop.DBus.Properties", "Get", NULL, "ss",
                 "org.tgt1.Session", "Latency");
        g_assert_cmpint(sd_bus_message_enter_container(m, 'v', "a{s(tatat)}"), >, 0);
        expect_latencies(m);
        sd_bus_message_unref(m);

        /* pages by session and LUN */
        m = call(bus, "/org/tgt1", IFACE_MANAGER, "ListNexusStatistics", NULL, "tuu", UINT64_C(3),
                 2, 2);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "(tssqa{st})"), >, 0);
        expect_nexus(m, 3, 2);
        expect_nexus(m, 9, 1);
        g_assert_cmpint(sd_bus_message_at_end(m, false), >, 0);
        sd_bus_message_unref(m);

        m = call(bus, "/org/tgt1", IFACE_MANAGER, "ListWorkerStatistics", NULL, "");
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "(ua{st}a{s(tatat)})"), >, 0);
        for (unsigned i = 0; i < 2; i++) {
                g_assert_cmpint(sd_bus_message_enter_container(m, 'r', "ua{st}a{s(tatat)}"), >, 0);
                g_assert_cmpint(sd_bus_message_read(m, "u", &worker), >, 0);
                g_assert_cmpuint(worker, ==, i);
                g_assert_cmpuint(read_counter(m, "turns"), ==, 10 + i);
                expect_latencies(m);
                g_assert_cmpint(sd_bus_message_exit_container(m), >, 0);
        }
        sd_bus_message_unref(m);
        sd_bus_flush_close_unref(bus);
        harness_free(h);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/statistics/lists", test_statistics);
        return g_test_run();
}
