/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/base.h"
#include "harness.h"

/* Limits of rate as a client of the bus sets and reads them. */

static const char invalid[] = "org.tgt1.Error.InvalidArgument";

static sd_bus_message *property(sd_bus *bus, const char *path, const char *interface,
                                const char *name, const char *type)
{
        sd_bus_error e = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL;

        if (sd_bus_get_property(bus, "org.tgt1", path, interface, name, &e, &m, type) < 0)
                g_error("%s: %s", name, e.message);
        return m;
}

/* m is at a dictionary: the value of name or 0, and how many there are. */
static uint64_t limit_in(sd_bus_message *m, const char *name, unsigned *ret_n)
{
        uint64_t v, found = 0;
        const char *key;

        *ret_n = 0;
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{st}"), >=, 0);
        while (sd_bus_message_read(m, "{st}", &key, &v) > 0) {
                ++*ret_n;
                if (STREQ(key, name))
                        found = v;
        }
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        return found;
}

static sd_bus *begin(Harness **ret)
{
        Harness *h = harness_new(NULL);
        sd_bus *bus = harness_peer(h);

        assert_call(bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget", "sa{sas}a{sv}", TEST_TARGET, 2,
                    "backing-store", 1, "/srv/a", "limit-initiator", 1, "ALL iops=10k", 0);
        *ret = h;
        return bus;
}

static void end(Harness *h, sd_bus *bus)
{
        sd_bus_flush_close_unref(bus);
        harness_free(h);
}

/* How many limits initiator has, and that of this name. */
static unsigned n_limits_of(sd_bus *bus, const char *initiator, const char *name, uint64_t *ret)
{
        sd_bus_message *m =
                property(bus, TEST_TARGET_PATH, IFACE_TARGET, "InitiatorLimits", "a{sa{st}}");
        unsigned n = 0;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sa{st}}"), >, 0);
        while (sd_bus_message_enter_container(m, 'e', "sa{st}") > 0) {
                const char *who;
                uint64_t v;
                unsigned k;

                g_assert_cmpint(sd_bus_message_read(m, "s", &who), >, 0);
                v = limit_in(m, name, &k);
                if (STREQ(who, initiator)) {
                        *ret = v;
                        n = k;
                }
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        }
        sd_bus_message_unref(m);
        return n;
}

static void set(sd_bus *bus, const char *initiator, const char *name, uint64_t v, const char *error)
{
        if (error)
                assert_call_fails(bus, TEST_TARGET_PATH, IFACE_TARGET, "SetInitiatorLimits", error,
                                  "sa{st}a{sv}", initiator, 1, name, v, 0);
        else
                assert_call(bus, TEST_TARGET_PATH, IFACE_TARGET, "SetInitiatorLimits",
                            "sa{st}a{sv}", initiator, 1, name, v, 0);
}

static void test_initiator(void)
{
        Harness *h;
        sd_bus *bus = begin(&h);
        uint64_t v = 0;

        g_assert_cmpuint(n_limits_of(bus, "ALL", "iops", &v), ==, 1);
        g_assert_cmpuint(v, ==, 10000);
        assert_call(bus, TEST_TARGET_PATH, IFACE_TARGET, "SetInitiatorLimits", "sa{st}a{sv}",
                    "IQN.a", 2, "write-bandwidth", UINT64_C(1000000), "burst-usec",
                    UINT64_C(2000000), 0);
        g_assert_cmpuint(n_limits_of(bus, "iqn.a", "burst-usec", &v), ==, 2);
        g_assert_cmpuint(v, ==, 2000000);
        set(bus, "iqn.a", "speed", 500, invalid);
        set(bus, "iqn.a", "bandwidth", 50, invalid);
        set(bus, "iqn.a", "burst-usec", 1, invalid);
        set(bus, "not an initiator", "iops", 50, invalid);
        g_assert_cmpuint(n_limits_of(bus, "iqn.a", "burst-usec", &v), ==, 2);
        set(bus, "iqn.a", "iops", 50, NULL);
        g_assert_cmpuint(n_limits_of(bus, "iqn.a", "iops", &v), ==, 1);
        g_assert_cmpuint(v, ==, 50);
        set(bus, "iqn.a", "iops", 0, NULL);
        g_assert_cmpuint(n_limits_of(bus, "iqn.a", "iops", &v), ==, 0);
        end(h, bus);
}

static void test_unit(void)
{
        Harness *h;
        sd_bus *bus = begin(&h);
        g_autofree char *unit = harness_unit_path(bus);
        sd_bus_message *m;
        unsigned n;

        assert_call_fails(bus, TEST_TARGET_PATH, IFACE_TARGET, "SetLogicalUnit", invalid,
                          "qa{sas}a{sv}", 1, 1, "limit-iops", 1, "10X", 0);
        assert_call(bus, TEST_TARGET_PATH, IFACE_TARGET, "SetLogicalUnit", "qa{sas}a{sv}", 1, 2,
                    "limit-read-iops", 1, "10k", "limit-bandwidth", 1, "64Mi", 0);
        m = property(bus, unit, "org.tgt1.LogicalUnit", "Limits", "a{st}");
        g_assert_cmpuint(limit_in(m, "bandwidth", &n), ==, 64 * MIB);
        g_assert_cmpuint(n, ==, 2);
        sd_bus_message_unref(m);
        assert_call(bus, TEST_TARGET_PATH, IFACE_TARGET, "SetLogicalUnit", "qa{sas}a{sv}", 1, 2,
                    "limit-read-iops", 0, "limit-bandwidth", 1, "0", 0);
        m = property(bus, unit, "org.tgt1.LogicalUnit", "Limits", "a{st}");
        g_assert_cmpuint(limit_in(m, "bandwidth", &n), ==, 0);
        g_assert_cmpuint(n, ==, 0);
        sd_bus_message_unref(m);
        end(h, bus);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/limits/initiator", test_initiator);
        g_test_add_func("/limits/unit", test_unit);
        return g_test_run();
}
