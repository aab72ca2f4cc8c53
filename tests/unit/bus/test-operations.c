/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus/server.h"
#include "harness.h"

/* Sanitize, Format, ExitFailure, and what is told of them. */

#define IFACE_UNIT "org.tgt1.LogicalUnit"

typedef struct Fixture {
        Harness *h;
        sd_bus *bus;
        char *unit;
} Fixture;

static void setup(Fixture *f, const void *data)
{
        f->h = harness_new(NULL);
        f->bus = harness_peer(f->h);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget", "sa{sas}a{sv}", TEST_TARGET,
                    1, "backing-store", 1, "/srv/disk", 0);
        f->unit = harness_unit_path(f->bus);
        g_ptr_array_set_size(harness_manager(f->h)->ended, 0);
}

static void teardown(Fixture *f, const void *data)
{
        g_free(f->unit);
        sd_bus_flush_close_unref(f->bus);
        harness_free(f->h);
}

static void expect_asked(Fixture *f, const char *text)
{
        GPtrArray *ended = harness_manager(f->h)->ended;

        g_assert_cmpuint(ended->len, ==, text ? 1 : 0);
        if (text)
                g_assert_cmpstr(ended->pdata[0], ==, text);
        g_ptr_array_set_size(ended, 0);
}

static void test_asks(Fixture *f, const void *data)
{
        assert_call(f->bus, f->unit, IFACE_UNIT, "Sanitize", "sa{sv}", "overwrite", 0);
        expect_asked(f, "overwrite 0");
        assert_call(f->bus, f->unit, IFACE_UNIT, "Sanitize", "sa{sv}", "overwrite", 5, "passes",
                    "u", 3, "invert", "b", 1, "restricted", "b", 1, "force", "b", 1, "pattern",
                    "ay", 3, 0xaa, 0x00, 0x55);
        expect_asked(f, "overwrite 3 aa0055 invert restricted force");
        assert_call(f->bus, f->unit, IFACE_UNIT, "Sanitize", "sa{sv}", "block-erase", 1, "force",
                    "b", 1);
        expect_asked(f, "block-erase 0 force");
        assert_call(f->bus, f->unit, IFACE_UNIT, "Format", "a{sv}", 1, "pattern", "ay", 1, 0x07);
        expect_asked(f, "format 0 07");
        assert_call(f->bus, f->unit, IFACE_UNIT, "ExitFailure", "a{sv}", 0);
        expect_asked(f, "exit-failure 0");
}

static void test_refuses(Fixture *f, const void *data)
{
        const char *error = "org.tgt1.Error.InvalidArgument";

        assert_call_fails(f->bus, f->unit, IFACE_UNIT, "Sanitize", error, "sa{sv}", "melt", 0);
        assert_call_fails(f->bus, f->unit, IFACE_UNIT, "Sanitize", error, "sa{sv}", "format", 0);
        assert_call_fails(f->bus, f->unit, IFACE_UNIT, "Sanitize", error, "sa{sv}", "", 0);
        assert_call_fails(f->bus, f->unit, IFACE_UNIT, "Sanitize", error, "sa{sv}", "block-erase",
                          1, "passes", "u", 3);
        assert_call_fails(f->bus, f->unit, IFACE_UNIT, "Sanitize", error, "sa{sv}", "block-erase",
                          1, "pattern", "ay", 1, 1);
        assert_call_fails(f->bus, f->unit, IFACE_UNIT, "Format", error, "a{sv}", 1, "passes", "u",
                          3);
        assert_call_fails(f->bus, f->unit, IFACE_UNIT, "ExitFailure", error, "a{sv}", 1, "force",
                          "b", 1);
        expect_asked(f, NULL);
}

static void test_copy(Fixture *f, const void *data)
{
        GPtrArray *ended = harness_manager(f->h)->ended;
        sd_bus_message *m;
        const char *made;

        m = call(f->bus, f->unit, IFACE_UNIT, "Copy", NULL, "sa{sv}", "/srv/copy.img", 1,
                 "preallocate", "b", 1);
        g_assert_nonnull(m);
        g_assert_cmpint(sd_bus_message_read(m, "s", &made), >, 0);
        g_assert_cmpstr(made, ==, "/srv/copy.img");
        sd_bus_message_unref(m);
        ended = harness_manager(f->h)->ended;
        g_assert_cmpuint(ended->len, ==, 2);
        g_assert_cmpstr(ended->pdata[0], ==, "make /srv/copy.img preallocate");
        g_assert_cmpstr(ended->pdata[1], ==, "keep /srv/copy.img");
        g_ptr_array_set_size(ended, 0);
        assert_call_fails(f->bus, f->unit, IFACE_UNIT, "Copy", "org.tgt1.Error.InUse", "sa{sv}",
                          "/srv/busy", 0);
        assert_call_fails(f->bus, f->unit, IFACE_UNIT, "Copy", "org.tgt1.Error.InvalidArgument",
                          "sa{sv}", "copy.img", 0);
        assert_call_fails(f->bus, f->unit, IFACE_UNIT, "Copy", "org.tgt1.Error.InvalidArgument",
                          "sa{sv}", "/srv/", 0);
        expect_asked(f, NULL);
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        const char *interface;
        GString *s = userdata;

        g_assert_cmpint(sd_bus_message_read(m, "s", &interface), >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sv}"), >=, 0);
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                const char *name;

                g_assert_cmpint(sd_bus_message_read(m, "s", &name), >=, 0);
                g_string_append_printf(s, "%s ", name);
                g_assert_cmpint(sd_bus_message_skip(m, "v"), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        }
        return 0;
}

/* Only what moves is told while it does. */
static void test_tells(Fixture *f, const void *data)
{
        g_autoptr(GString) changed = g_string_new(NULL);
        g_autofree char *rule =
                g_strdup_printf("type='signal',member='PropertiesChanged',path='%s'", f->unit);
        sd_bus_message *m;
        const char *key;
        unsigned n = 0;

        m = call(f->bus, f->unit, "org.freedesktop.DBus.Properties", "Get", NULL, "ss", IFACE_UNIT,
                 "Operation");
        g_assert_cmpint(sd_bus_message_enter_container(m, 'v', "a{sv}"), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sv}"), >, 0);
        g_assert_cmpint(sd_bus_message_at_end(m, false), >, 0);
        sd_bus_message_unref(m);

        g_assert_cmpint(sd_bus_add_match(f->bus, NULL, rule, on_changed, changed), >=, 0);
        assert_call(f->bus, f->unit, IFACE_UNIT, "Format", "a{sv}", 0);
        for (unsigned i = 0; i < 100 && changed->len == 0; i++) {
                g_assert_cmpint(sd_bus_wait(f->bus, 100000), >=, 0);
                while (sd_bus_process(f->bus, NULL) > 0)
                        ;
        }
        g_assert_cmpstr(changed->str, ==, "Operation ");

        m = call(f->bus, f->unit, "org.freedesktop.DBus.Properties", "Get", NULL, "ss", IFACE_UNIT,
                 "Operation");
        g_assert_cmpint(sd_bus_message_enter_container(m, 'v', "a{sv}"), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sv}"), >, 0);
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                uint64_t v;

                g_assert_cmpint(sd_bus_message_read(m, "s", &key), >=, 0);
                n++;
                if (STREQ(key, "Done") || STREQ(key, "Total")) {
                        g_assert_cmpint(sd_bus_message_read(m, "v", "t", &v), >=, 0);
                        g_assert_cmpuint(v, ==, STREQ(key, "Done") ? 3 : 8);
                } else
                        g_assert_cmpint(sd_bus_message_skip(m, "v"), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        }
        g_assert_cmpuint(n, ==, 7);
        sd_bus_message_unref(m);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add("/operations/asks", Fixture, NULL, setup, test_asks, teardown);
        g_test_add("/operations/refuses", Fixture, NULL, setup, test_refuses, teardown);
        g_test_add("/operations/copy", Fixture, NULL, setup, test_copy, teardown);
        g_test_add("/operations/tells", Fixture, NULL, setup, test_tells, teardown);
        return g_test_run();
}
