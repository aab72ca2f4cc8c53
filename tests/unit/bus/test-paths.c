/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <systemd/sd-bus.h>

#include "bus/paths.h"

static void test_round_trip(void)
{
        static const char *const names[] = { "iqn.2024-01.net.example:a_b",
                                             "eui.0123456789abcdef",
                                             "naa.1",
                                             "a/b",
                                             "\303\251",
                                             "_",
                                             "1" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *path = path_of_target(names[i]), *name = NULL;
                _cleanup_free_ char *acl = path_of_acl(names[i], KIND_NAME, names[i]);
                _cleanup_free_ char *target = NULL, *kind = NULL, *value = NULL, *none = NULL;

                g_assert_true(sd_bus_object_path_is_valid(path));
                g_assert_true(sd_bus_object_path_is_valid(acl));
                g_assert_cmpint(path_parse_target(path, &name), ==, 1);
                g_assert_cmpstr(name, ==, names[i]);
                g_assert_cmpint(path_parse_acl(acl, &target, &kind, &value), ==, 1);
                g_assert_cmpstr(target, ==, names[i]);
                g_assert_cmpstr(kind, ==, KIND_NAME);
                g_assert_cmpstr(value, ==, names[i]);
                g_assert_cmpint(path_parse_target(acl, &none), ==, 0);
                g_assert_cmpint(path_parse_account(acl, &none, &none, &none), ==, 0);
        }
}

static void test_units_and_sessions(void)
{
        _cleanup_free_ char *unit = path_of_unit("0a-0b"), *uuid = NULL;
        _cleanup_free_ char *session = path_of_session(UINT64_MAX);
        uint64_t id;

        g_assert_cmpstr(unit, ==, "/org/tgt1/unit/0a_0b");
        g_assert_cmpint(path_parse_unit(unit, &uuid), ==, 1);
        g_assert_cmpstr(uuid, ==, "0a-0b");
        g_assert_cmpint(path_parse_session(session, &id), ==, 1);
        g_assert_cmpuint(id, ==, UINT64_MAX);
        g_assert_cmpint(path_parse_session("/org/tgt1/session/01", &id), ==, 0);
        g_assert_cmpint(path_parse_session("/org/tgt1/session/0x1", &id), ==, 0);
        g_assert_cmpint(path_parse_session("/org/tgt1/session/18446744073709551616", &id), ==, 0);
        g_assert_cmpint(path_parse_session("/org/tgt1/session/", &id), ==, 0);
        g_assert_cmpint(path_parse_session("/org/tgt1/sessions", &id), ==, 0);
}

/* _69 is "i": the same name, but not its path. */
static void test_canonical(void)
{
        _cleanup_free_ char *name = NULL, *a = NULL, *b = NULL, *c = NULL;

        g_assert_cmpint(path_parse_target("/org/tgt1/target/_69qn", &name), ==, 0);
        g_assert_cmpint(path_parse_target("/org/tgt1/target/iqn", &name), ==, 1);
        g_assert_cmpint(path_parse_target("/org/tgt1/target/iqn_2E", &a), ==, 0);
        g_assert_cmpint(path_parse_acl("/org/tgt1/target/iqn/acl/nounderscore", &a, &b, &c), ==, 0);
        g_assert_cmpint(path_parse_portal("/org/tgt1/portal", &a), ==, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/paths/round-trip", test_round_trip);
        g_test_add_func("/paths/units-and-sessions", test_units_and_sessions);
        g_test_add_func("/paths/canonical", test_canonical);
        return g_test_run();
}
