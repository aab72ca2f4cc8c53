/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/stat.h>

#include "bus/server.h"
#include "harness.h"

/* What a client of the private socket sees: the methods, their refusals, signals, limits. */

#define SECRET "a-secret-of-mine"
#define DBUS_UNKNOWN_OBJECT "org.freedesktop.DBus.Error.UnknownObject"

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

static void create(Fixture *f, const char *name)
{
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget", "sa{sas}a{sv}", name, 1,
                    "backing-store", 1, "/srv/a", 0);
}

static uint32_t get_u32(Fixture *f, const char *path, const char *interface, const char *property)
{
        sd_bus_error e = SD_BUS_ERROR_NULL;
        uint32_t value = 0;

        if (sd_bus_get_property_trivial(f->bus, "org.tgt1", path, interface, property, &e, 'u',
                                        &value) < 0)
                g_error("%s: %s", property, e.message);
        return value;
}

static char *get_text(Fixture *f, const char *path, const char *interface, const char *property)
{
        sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *value = NULL;

        if (sd_bus_get_property_string(f->bus, "org.tgt1", path, interface, property, &e, &value) <
            0)
                g_error("%s: %s", property, e.message);
        return g_strdup(value);
}

static void expect_text(Fixture *f, const char *path, const char *interface, const char *property,
                        const char *expected)
{
        g_autofree char *value = get_text(f, path, interface, property);

        g_assert_cmpstr(value, ==, expected);
}

static unsigned n_changes(sd_bus_message *m)
{
        const char *s;
        unsigned n = 0;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "s"), >, 0);
        while (sd_bus_message_read(m, "s", &s) > 0)
                n++;
        g_assert_cmpint(sd_bus_message_exit_container(m), >, 0);
        return n;
}

static void test_targets(Fixture *f, const void *data)
{
        const char *path;
        sd_bus_message *m =
                call(f->bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget", NULL, "sa{sas}a{sv}",
                     "IQN.2024-01.net.example:DISK", 2, "alias", 1, "one", "initiator-name", 2,
                     "iqn.a", "iqn.b", 1, "runtime", "b", 1);

        g_assert_cmpint(sd_bus_message_read(m, "o", &path), >, 0);
        g_assert_cmpstr(path, ==, TEST_TARGET_PATH);
        g_assert_cmpuint(n_changes(m), >=, 1);
        sd_bus_message_unref(m);
        path = TEST_TARGET_PATH;
        g_assert_true(harness_manager(f->h)->options.runtime);
        g_assert_cmpuint(harness_manager(f->h)->caller_uid, ==, geteuid());
        g_assert_cmpuint(harness_manager(f->h)->caller_pid, ==, getpid());
        g_assert_cmpstr(harness_manager(f->h)->caller_name, ==, "private socket");

        expect_text(f, path, IFACE_TARGET, "Name", TEST_TARGET);
        expect_text(f, path, IFACE_TARGET, "Alias", "one");
        expect_text(f, path, IFACE_TARGET, "State", "online");
        expect_text(f, path, IFACE_TARGET, "Persistence", "runtime");
        g_assert_cmpuint(get_u32(f, path, IFACE_TARGET, "Tid"), ==, 7);
        g_assert_cmpuint(get_u32(f, "/org/tgt1", IFACE_MANAGER, "NTargets"), ==, 1);
        assert_call(f->bus, TEST_TARGET_PATH "/acl/initiator_2dname_5fiqn_2ea", "org.tgt1.Acl",
                    "Remove", "a{sv}", 0);
        assert_call_fails(f->bus, TEST_TARGET_PATH "/acl/initiator_2dname_5fiqn_2ea",
                          "org.tgt1.Acl", "Remove", DBUS_UNKNOWN_OBJECT, "a{sv}", 0);

        assert_call(f->bus, path, IFACE_TARGET, "Set", "sasa{sv}", "alias", 1, "two", 0);
        expect_text(f, path, IFACE_TARGET, "Alias", "two");
        assert_call(f->bus, path, IFACE_TARGET, "Set", "sasa{sv}", "alias", 0, 0);
        expect_text(f, path, IFACE_TARGET, "Alias", "");
        assert_call(f->bus, path, IFACE_TARGET, "Delete", "a{sv}", 0);
        assert_call_fails(f->bus, path, IFACE_TARGET, "Delete", DBUS_UNKNOWN_OBJECT, "a{sv}", 0);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "DeleteTarget",
                          "org.tgt1.Error.NotFound", "sa{sv}", TEST_TARGET, 0);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "GetTarget",
                          "org.tgt1.Error.NotFound", "s", TEST_TARGET);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "GetTarget",
                          "org.tgt1.Error.InvalidArgument", "s", "not a name");
}

static void test_luns(Fixture *f, const void *data)
{
        const char *unit;
        sd_bus_message *m;
        uint16_t lun;

        create(f, TEST_TARGET);
        m = call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddLogicalUnit", NULL, "a{sas}a{sv}", 2,
                 "backing-store", 1, "/srv/b", "write-cache", 1, "off", 0);
        g_assert_cmpint(sd_bus_message_read(m, "qo", &lun, &unit), >, 0);
        g_assert_cmpuint(lun, ==, 2);
        expect_text(f, unit, "org.tgt1.LogicalUnit", "Path", "/srv/b");
        expect_text(f, unit, "org.tgt1.LogicalUnit", "Type", "disk");
        expect_text(f, unit, "org.tgt1.LogicalUnit", "Product", "product\357\277\275");
        assert_call(f->bus, unit, "org.tgt1.LogicalUnit", "Refresh", "a{sv}", 0);
        assert_call(f->bus, unit, "org.tgt1.LogicalUnit", "SetStoreOptions", "sa{sv}", "delay=1",
                    0);
        assert_call_fails(f->bus, unit, "org.tgt1.LogicalUnit", "Refresh",
                          "org.tgt1.Error.InvalidArgument", "a{sv}", 1, "force", "b", 1);
        g_assert_cmpuint(harness_manager(f->h)->ended->len, ==, 2);
        assert_call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "SetLogicalUnit", "qa{sas}a{sv}", 2, 1,
                    "write-cache", 1, "on", 0);
        assert_call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "RemoveLogicalUnit", "qa{sv}", 2, 0);
        assert_call_fails(f->bus, unit, "org.tgt1.LogicalUnit", "Refresh", DBUS_UNKNOWN_OBJECT,
                          "a{sv}", 0);
        sd_bus_message_unref(m);

        /* a dry run says what would be, and there is no unit */
        m = call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddLogicalUnit", NULL, "a{sas}a{sv}", 1,
                 "backing-store", 1, "/srv/b", 1, "dry-run", "b", 1);
        g_assert_cmpint(sd_bus_message_read(m, "qo", &lun, &unit), >, 0);
        g_assert_cmpuint(lun, ==, 2);
        g_assert_cmpstr(unit, ==, "/");
        g_assert_cmpuint(n_changes(m), ==, 1);
        sd_bus_message_unref(m);
        g_assert_cmpuint(get_u32(f, "/org/tgt1", IFACE_MANAGER, "NLogicalUnits"), ==, 1);
}

static void test_bad_arguments(Fixture *f, const void *data)
{
        const char *invalid = "org.tgt1.Error.InvalidArgument";
        unsigned before;

        create(f, TEST_TARGET);
        before = harness_manager(f->h)->n_edits;
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "Delete", invalid, "a{sv}", 1,
                          "no-such-option", "b", 1);
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "Delete", invalid, "a{sv}", 1,
                          "with-secrets", "b", 1);
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "Delete", invalid, "a{sv}", 1,
                          "force", "s", "yes");
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "Delete", invalid, "a{sv}", 1,
                          "generation", "u", 1);
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "Allow", invalid, "ssa{sv}",
                          "initiator", "iqn.a", 0);
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddAccount", invalid, "sssa{sv}",
                          "u", SECRET, "inwards", 0);
        /* a line feed would be a directive of its own in the file that is written */
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "Set", invalid, "sasa{sv}",
                          "alias", 1, "a\nbacking-store /etc/shadow", 0);
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddLogicalUnit", invalid,
                          "a{sas}a{sv}", 1, "backing-store", 1, "/srv/a\n</target>", 0);
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddAccount", invalid, "sssa{sv}",
                          "u\nx", SECRET, "incoming", 0);
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "Delete",
                          "org.freedesktop.DBus.Error.InvalidArgs", "s", "x");
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "Delete",
                          "org.tgt1.Error.Conflict", "a{sv}", 1, "generation", "t",
                          UINT64_C(12345));
        assert_call_fails(f->bus, "/org/tgt1/target/_69qn_2e2024_2d01_2enet_2eexample_3adisk",
                          IFACE_TARGET, "Delete", DBUS_UNKNOWN_OBJECT, "a{sv}", 0);
        g_assert_cmpuint(harness_manager(f->h)->n_edits, ==, before);
}

/* Everything that can be read, as one text. */
static char *dump(sd_bus_message *m)
{
        FILE *file = tmpfile();
        char *text;
        long size;

        g_assert_cmpint(sd_bus_message_dump(m, file, 0), >=, 0);
        size = ftell(file);
        text = g_malloc0((size_t)size + 1);
        rewind(file);
        g_assert_cmpuint(fread(text, 1, (size_t)size, file), ==, (size_t)size);
        (void)fclose(file);
        sd_bus_message_unref(m);
        return text;
}

static char *everything(Fixture *f)
{
        g_autofree char *below =
                dump(call(f->bus, "/org/tgt1", "org.freedesktop.DBus.ObjectManager",
                          "GetManagedObjects", NULL, NULL));
        g_autofree char *root = dump(call(f->bus, "/org/tgt1", "org.freedesktop.DBus.Properties",
                                          "GetAll", NULL, "s", IFACE_MANAGER));

        return g_strconcat(below, root, NULL);
}

static void add_session(Harness *h, void *arg)
{
        fake_manager_add_session(h->manager, *(uint64_t *)arg, TEST_TARGET);
}

static void test_secrets(Fixture *f, const void *data)
{
        g_autofree char *all = NULL;
        const char *text;
        sd_bus_message *m;
        uint64_t id = 5;

        create(f, TEST_TARGET);
        assert_call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddAccount", "sssa{sv}", "user",
                    SECRET, "incoming", 0);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "AddDiscoveryAccount", "sssa{sv}", "duser",
                    SECRET, "incoming", 0);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "AddPortal", "sa{sv}", "127.0.0.1", 0);
        harness_run(f->h, add_session, &id);

        all = everything(f);
        g_assert_null(strstr(all, SECRET));
        /* it is everything */
        g_assert_nonnull(strstr(all, TEST_TARGET_PATH "/account/incoming_5fuser"));
        g_assert_nonnull(strstr(all, "/org/tgt1/session/5"));
        g_assert_nonnull(strstr(all, "/org/tgt1/portal/_3127_2e0_2e0_2e1_3a3260"));
        g_assert_nonnull(strstr(all, "/org/tgt1/unit/"));
        g_assert_nonnull(strstr(all, "duser"));

        m = call(f->bus, "/org/tgt1", IFACE_MANAGER, "Dump", NULL, "a{sv}", 0);
        g_assert_cmpint(sd_bus_message_read(m, "s", &text), >, 0);
        g_assert_null(strstr(text, SECRET));
        g_assert_nonnull(strstr(text, "user"));
        sd_bus_message_unref(m);
        m = call(f->bus, "/org/tgt1", IFACE_MANAGER, "Dump", NULL, "a{sv}", 2, "with-secrets", "b",
                 1, "target", "s", TEST_TARGET);
        g_assert_cmpint(sd_bus_message_read(m, "s", &text), >, 0);
        g_assert_nonnull(strstr(text, SECRET));
        sd_bus_message_unref(m);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Dump", "org.tgt1.Error.NotFound",
                          "a{sv}", 1, "target", "s", "iqn.none");
}

static void test_pages(Fixture *f, const void *data)
{
        g_autofree char *after = g_strdup("");
        unsigned total = 0, pages = 0, n;

        for (unsigned i = 0; i < 25; i++) {
                g_autofree char *name = g_strdup_printf("iqn.2024-01.net.example:%02u", i);

                create(f, name);
        }
        do {
                sd_bus_message *m = call(f->bus, "/org/tgt1", IFACE_MANAGER, "ListTargets", NULL,
                                         "su", after, 10);
                const char *name, *path, *state;
                uint32_t tid, luns, sessions;

                n = 0;
                g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "(sousuu)"), >, 0);
                while (sd_bus_message_read(m, "(sousuu)", &name, &path, &tid, &state, &luns,
                                           &sessions) > 0) {
                        g_assert_cmpstr(name, >, after);
                        g_free(after);
                        after = g_strdup(name);
                        n++;
                }
                total += n;
                pages++;
                sd_bus_message_unref(m);
        } while (n == 10);
        g_assert_cmpuint(total, ==, 25);
        g_assert_cmpuint(pages, ==, 3);
}

/* What the workers count is asked for when a property is. */
static void expect_fresh_counters(Fixture *f)
{
        sd_bus_message *m = call(f->bus, "/org/tgt1/session/9", "org.freedesktop.DBus.Properties",
                                 "Get", NULL, "ss", "org.tgt1.Session", "RxBytes");
        g_autofree char *all = NULL;
        uint64_t rx;

        g_assert_cmpint(sd_bus_message_read(m, "v", "t", &rx), >, 0);
        g_assert_cmpuint(rx, ==, FAKE_FRESH_BYTES);
        sd_bus_message_unref(m);
        all = dump(call(f->bus, "/org/tgt1/session/9", "org.freedesktop.DBus.Properties", "GetAll",
                        NULL, "s", "org.tgt1.Session"));
        g_assert_nonnull(strstr(all, "4711"));
        g_assert_nonnull(strstr(all, "HeaderDigest"));
        assert_call_fails(f->bus, "/org/tgt1/session/9", "org.freedesktop.DBus.Properties", "Get",
                          "org.freedesktop.DBus.Error.UnknownProperty", "ss", "org.tgt1.Session",
                          "NoSuchThing");
        assert_call_fails(f->bus, "/org/tgt1/session/8", "org.freedesktop.DBus.Properties", "Get",
                          DBUS_UNKNOWN_OBJECT, "ss", "org.tgt1.Session", "RxBytes");
}

static void test_sessions(Fixture *f, const void *data)
{
        const char *path, *target, *initiator, *peer;
        uint64_t id, since, ids[] = { 3, 9 };
        sd_bus_message *m;

        create(f, TEST_TARGET);
        harness_run(f->h, add_session, &ids[0]);
        harness_run(f->h, add_session, &ids[1]);
        m = call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "ListSessions", NULL, "tu", UINT64_C(3),
                 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "(tossst)"), >, 0);
        g_assert_cmpint(
                sd_bus_message_read(m, "(tossst)", &id, &path, &target, &initiator, &peer, &since),
                >, 0);
        g_assert_cmpuint(id, ==, 9);
        g_assert_cmpstr(path, ==, "/org/tgt1/session/9");
        g_assert_cmpint(sd_bus_message_at_end(m, false), >, 0);
        sd_bus_message_unref(m);
        expect_text(f, "/org/tgt1/session/9", "org.tgt1.Session", "Target", TEST_TARGET);
        expect_text(f, "/org/tgt1/session/9", "org.tgt1.Session", "Isid", "00023d000001");
        expect_fresh_counters(f);
        assert_call(f->bus, "/org/tgt1/session/9", "org.tgt1.Session", "End", "a{sv}", 0);
        g_assert_cmpstr(g_ptr_array_index(harness_manager(f->h)->ended, 0), ==, "end 9");
        assert_call_fails(f->bus, "/org/tgt1/session/9", "org.tgt1.Session", "End",
                          DBUS_UNKNOWN_OBJECT, "a{sv}", 0);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "GetSession",
                          "org.tgt1.Error.NotFound", "t", UINT64_C(9));
}

static unsigned n_problems(sd_bus_message *m)
{
        const char *file, *level, *target, *directive, *text;
        unsigned n = 0;
        uint32_t line;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "(sussss)"), >, 0);
        while (sd_bus_message_read(m, "(sussss)", &file, &line, &level, &target, &directive,
                                   &text) > 0)
                n++;
        return n;
}

static void test_verify(Fixture *f, const void *data)
{
        g_autofree char *file = g_build_filename(f->h->dir, "a.conf", NULL);
        g_autofree char *fifo = g_build_filename(f->h->dir, "fifo", NULL);
        sd_bus_message *m = call(f->bus, "/org/tgt1", IFACE_MANAGER, "Reload", NULL, "a{sv}", 0);

        g_assert_cmpuint(n_changes(m), ==, 1);
        g_assert_cmpuint(n_problems(m), ==, 1);
        sd_bus_message_unref(m);
        m = call(f->bus, "/org/tgt1", IFACE_MANAGER, "Verify", NULL, "asa{sv}", 0, 0);
        g_assert_true(harness_manager(f->h)->options.dry_run);
        g_assert_cmpuint(n_problems(m), ==, 1);
        sd_bus_message_unref(m);

        g_assert_true(g_file_set_contents(file, "<target iqn.2024-01.x:y>\nbogus 1\n</target>\n",
                                          -1, NULL));
        m = call(f->bus, "/org/tgt1", IFACE_MANAGER, "Verify", NULL, "asa{sv}", 1, file, 0);
        g_assert_cmpuint(n_problems(m), >=, 1);
        sd_bus_message_unref(m);
        (void)unlink(file);
        m = call(f->bus, "/org/tgt1", IFACE_MANAGER, "VerifyText", NULL, "ssa{sv}", "t",
                 "<target iqn.2024-01.x:y>\nbacking-store /srv/a\n</target>\n", 0);
        g_assert_cmpuint(n_problems(m), ==, 0);
        sd_bus_message_unref(m);

        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Verify", "org.tgt1.Error.NotFound",
                          "asa{sv}", 1, file, 0);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Verify",
                          "org.tgt1.Error.InvalidArgument", "asa{sv}", 1, "relative", 0);
        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0); /* must not wait for a writer */
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Verify",
                          "org.tgt1.Error.InvalidArgument", "asa{sv}", 1, fifo, 0);
        (void)unlink(fifo);
}

static bool get_flag(Fixture *f, const char *property)
{
        sd_bus_error e = SD_BUS_ERROR_NULL;
        int value = 0;

        if (sd_bus_get_property_trivial(f->bus, "org.tgt1", "/org/tgt1", IFACE_MANAGER, property,
                                        &e, 'b', &value) < 0)
                g_error("%s: %s", property, e.message);
        return value;
}

static void test_daemon(Fixture *f, const void *data)
{
        static const char *const switches[][2] = { { "SetOffline", "Offline" },
                                                   { "SetDebug", "Debug" } };

        for (size_t i = 0; i < ELEMENTSOF(switches); i++) {
                assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, switches[i][0], "ba{sv}", 1, 0);
                g_assert_true(get_flag(f, switches[i][1]));
                assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, switches[i][0], "ba{sv}", 0, 0);
                g_assert_false(get_flag(f, switches[i][1]));
        }
        create(f, TEST_TARGET);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Stop", "org.tgt1.Error.InUse",
                          "a{sv}", 0);
        g_assert_cmpuint(harness_manager(f->h)->ended->len, ==, 0);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "Stop", "a{sv}", 1, "force", "b", 1);
        g_assert_cmpstr(harness_manager(f->h)->ended->pdata[0], ==, "quit");
}

/* A bound account may come from another target: its secret does not pass through the client. */
static void test_bind_account(Fixture *f, const void *data)
{
        const Desired *d;
        const TargetSpec *t;

        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget", "sa{sas}a{sv}",
                    "iqn.2024-01.net.example:other", 1, "incominguser", 1, "joe " SECRET, 0);
        create(f, TEST_TARGET);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "BindAccount", "sssa{sv}", TEST_TARGET,
                    "joe", "incoming", 0);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "BindAccount",
                          "org.tgt1.Error.NotFound", "sssa{sv}", TEST_TARGET, "jim", "incoming", 0);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "BindAccount", "sssa{sv}", "", "joe",
                    "incoming", 0);
        d = manager_desired(harness_manager(f->h));
        t = g_hash_table_lookup(d->targets, TEST_TARGET);
        g_assert_cmpstr(((AccountSpec *)t->incoming->pdata[0])->secret, ==, SECRET);
        g_assert_cmpuint(d->discovery_incoming->len, ==, 1);
}

/* ---- signals ---- */

typedef struct Seen {
        unsigned changed, manager, added, removed, rejected;
        char *last; /* path */
} Seen;

static int see(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *member = sd_bus_message_get_member(m), *path = sd_bus_message_get_path(m);
        Seen *seen = userdata;

        if (STREQ(member, "PropertiesChanged") && STREQ(path, TEST_TARGET_PATH))
                seen->changed++;
        else if (STREQ(member, "PropertiesChanged") && STREQ(path, "/org/tgt1"))
                seen->manager++;
        else if (STREQ(member, "LoginRejected"))
                seen->rejected++;
        else if (STREQ(member, "InterfacesAdded") || STREQ(member, "InterfacesRemoved")) {
                if (sd_bus_message_read(m, "o", &path) < 0)
                        g_error("no path");
                g_free(seen->last);
                seen->last = g_strdup(path);
                if (STREQ(member, "InterfacesAdded"))
                        seen->added++;
                else
                        seen->removed++;
        }
        return 0;
}

/* What was said before a call was answered has arrived when the answer has; what a turn says at
 * its end has after one more. */
static Seen collect(Fixture *f)
{
        sd_bus_slot *slot = NULL;
        Seen seen = { 0 };

        g_assert_cmpint(sd_bus_add_match(f->bus, &slot, "type='signal'", see, &seen), >=, 0);
        for (int i = 0; i < 3; i++)
                assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "ListSessions", "tu", UINT64_C(0),
                            0);
        while (sd_bus_process(f->bus, NULL) > 0)
                ;
        sd_bus_slot_unref(slot);
        return seen;
}

static void change_often(Harness *h, void *arg)
{
        const ManagerObserver *o = h->manager->observer;

        for (int i = 0; i < 10; i++) {
                o->target_changed(h->manager->observer_userdata, TEST_TARGET);
                o->changed(h->manager->observer_userdata);
        }
}

static void come_and_go(Harness *h, void *arg)
{
        fake_manager_add_session(h->manager, 77, TEST_TARGET);
        fake_manager_remove_session(h->manager, 77);
}

static void reject_often(Harness *h, void *arg)
{
        for (int i = 0; i < 1000; i++)
                h->manager->observer->login_rejected(h->manager->observer_userdata, TEST_TARGET,
                                                     "\xff\xfe", "10.0.0.1:1", "no", 0x0202);
}

static void test_signals(Fixture *f, const void *data)
{
        uint64_t id = 4;
        Seen seen;

        create(f, TEST_TARGET);
        seen = collect(f);
        g_assert_cmpuint(seen.added, ==, 2); /* target and unit */
        g_assert_cmpuint(seen.manager, ==, 1);
        g_free(seen.last);

        harness_run(f->h, change_often, NULL);
        seen = collect(f);
        g_assert_cmpuint(seen.changed, ==, 1);
        g_assert_cmpuint(seen.manager, ==, 0); /* nothing of its own is different */
        g_assert_cmpuint(seen.added + seen.removed, ==, 0);

        harness_run(f->h, come_and_go, NULL);
        seen = collect(f);
        g_assert_cmpuint(seen.added + seen.removed, ==, 0);
        g_assert_cmpuint(seen.changed, ==, 1); /* NSessions */

        harness_run(f->h, add_session, &id);
        seen = collect(f);
        g_assert_cmpuint(seen.added, ==, 1);
        g_assert_cmpuint(seen.manager, ==, 1);
        g_assert_cmpstr(seen.last, ==, "/org/tgt1/session/4");
        g_free(seen.last);

        assert_call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "Allow", "ssa{sv}", "initiator-name",
                    "iqn.a", 0);
        seen = collect(f);
        g_assert_cmpuint(seen.added, ==, 1);
        g_assert_cmpstr(seen.last, ==, TEST_TARGET_PATH "/acl/initiator_2dname_5fiqn_2ea");
        g_free(seen.last);

        harness_run(f->h, reject_often, NULL);
        seen = collect(f);
        g_assert_cmpuint(seen.rejected, >=, 1);
        g_assert_cmpuint(seen.rejected, <=, 30);

        assert_call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "Delete", "a{sv}", 0);
        seen = collect(f);
        g_assert_cmpuint(seen.removed, >=, 2); /* entry and target; the target comes last of both */
        g_free(seen.last);
}

/* ---- limits and lifetimes ---- */

static void set_hold(Harness *h, void *arg)
{
        h->manager->hold = true;
}

static void release(Harness *h, void *arg)
{
        fake_manager_release(h->manager);
}

typedef struct Answers {
        unsigned good, bad;
} Answers;

static int count(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        Answers *a = userdata;

        if (!sd_bus_message_is_method_error(m, NULL))
                a->good++;
        else if (sd_bus_message_is_method_error(m, "org.tgt1.Error.LimitExceeded"))
                a->bad++;
        else
                g_error("%s", sd_bus_message_get_error(m)->message);
        return 0;
}

static void ask_later(sd_bus *bus, Answers *a)
{
        g_assert_cmpint(sd_bus_call_method_async(bus, NULL, "org.tgt1", TEST_TARGET_PATH,
                                                 IFACE_TARGET, "Set", count, a, "sasa{sv}", "alias",
                                                 1, "x", 0),
                        >=, 0);
}

static void wait_for(sd_bus *bus, unsigned *what, unsigned n)
{
        while (*what < n)
                if (sd_bus_process(bus, NULL) == 0)
                        g_assert_cmpint(sd_bus_wait(bus, 10 * 1000000), >, 0);
}

static void test_too_many_calls(Fixture *f, const void *data)
{
        Answers a = { 0 };

        create(f, TEST_TARGET);
        harness_run(f->h, set_hold, NULL);
        for (int i = 0; i < CALLS_PER_SENDER_MAX + 5; i++)
                ask_later(f->bus, &a);
        wait_for(f->bus, &a.bad, 5);
        g_assert_cmpuint(a.good, ==, 0);
        expect_text(f, TEST_TARGET_PATH, IFACE_TARGET, "Name", TEST_TARGET); /* reading works */
        harness_run(f->h, release, NULL);
        wait_for(f->bus, &a.good, CALLS_PER_SENDER_MAX);
        g_assert_cmpuint(a.bad, ==, 5);
}

static void count_calls(Harness *h, void *arg)
{
        *(unsigned *)arg = h->server->n_calls;
}

static void wait_for_calls(Harness *h, unsigned n)
{
        unsigned now;

        for (int i = 0; i < 1000; i++) {
                harness_run(h, count_calls, &now);
                if (now == n)
                        return;
                (void)usleep(10000);
        }
        g_error("%u calls, not %u", now, n);
}

/* The client goes while its change is being made: the change is made, and nothing breaks. */
static void test_client_goes(Fixture *f, const void *data)
{
        Answers a = { 0 };
        sd_bus *other = harness_peer(f->h);

        create(f, TEST_TARGET);
        harness_run(f->h, set_hold, NULL);
        ask_later(other, &a);
        g_assert_cmpint(sd_bus_flush(other), >=, 0);
        wait_for_calls(f->h, 1);
        sd_bus_close_unref(other);
        expect_text(f, TEST_TARGET_PATH, IFACE_TARGET, "Name", TEST_TARGET);
        harness_run(f->h, release, NULL);
        wait_for_calls(f->h, 0);
        expect_text(f, TEST_TARGET_PATH, IFACE_TARGET, "Alias", "x");
}

static void drop_server(Harness *h, void *arg)
{
        h->server = bus_server_free(h->server);
        fake_manager_release(h->manager);
}

/* The server goes while the manager still works for one of its calls. */
static void test_server_goes(void)
{
        Harness *h = harness_new(NULL);
        Fixture f = { h, harness_peer(h) };
        Answers a = { 0 };

        create(&f, TEST_TARGET);
        harness_run(h, set_hold, NULL);
        ask_later(f.bus, &a);
        g_assert_cmpint(sd_bus_flush(f.bus), >=, 0);
        wait_for_calls(h, 1);
        harness_run(h, drop_server, NULL);
        for (int i = 0; i < 10 && harness_manager(h)->pending->len > 0; i++)
                ;
        g_assert_cmpuint(harness_manager(h)->pending->len, ==, 0);
        sd_bus_close_unref(f.bus);
        harness_free(h);
}

static void test_too_many_clients(Fixture *f, const void *data)
{
        sd_bus *buses[PEERS_MAX - 1];

        create(f, TEST_TARGET); /* f->bus is in */
        for (unsigned i = 0; i < PEERS_MAX - 1; i++) {
                sd_bus_message *m;

                buses[i] = harness_peer(f->h);
                m = call(buses[i], TEST_TARGET_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL,
                         NULL);
                g_assert_nonnull(m);
                sd_bus_message_unref(m);
        }
        g_assert_true(harness_refuses(f->h));
        for (unsigned i = 0; i < PEERS_MAX - 1; i++)
                sd_bus_close_unref(buses[i]);
        expect_text(f, TEST_TARGET_PATH, IFACE_TARGET, "Name", TEST_TARGET);
}

static void change_once(Harness *h, void *arg)
{
        const ManagerObserver *o = h->manager->observer;

        o->target_changed(h->manager->observer_userdata, TEST_TARGET);
}

static void count_peers(Harness *h, void *arg)
{
        *(unsigned *)arg = h->server->n_peers;
}

/* A client that asks and never reads is cut off before it takes our memory; others stay. */
static void test_deaf_client(Fixture *f, const void *data)
{
        sd_bus *deaf = harness_peer(f->h), *other;
        unsigned peers = 0;
        sd_bus_message *m;

        create(f, TEST_TARGET);
        m = call(deaf, TEST_TARGET_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL, NULL);
        sd_bus_message_unref(m);
        sd_bus_flush_close_unref(f->bus); /* it would be deaf as well */
        f->bus = NULL;
        for (unsigned i = 0; i < 4 * PEER_QUEUE_MAX; i++) {
                harness_run(f->h, change_once, NULL);
                if (i % 1000 == 0)
                        harness_run(f->h, count_peers, &peers);
                if (i % 1000 == 0 && peers == 0)
                        break;
        }
        harness_run(f->h, count_peers, &peers);
        g_assert_cmpuint(peers, ==, 0);
        sd_bus_close_unref(deaf);
        other = harness_peer(f->h);
        m = call(other, TEST_TARGET_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL, NULL);
        sd_bus_message_unref(m);
        sd_bus_flush_close_unref(other);
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                void (*run)(Fixture *f, const void *data);
        } tests[] = {
                { "/calls/targets", test_targets },
                { "/calls/luns", test_luns },
                { "/calls/bad-arguments", test_bad_arguments },
                { "/calls/secrets", test_secrets },
                { "/calls/pages", test_pages },
                { "/calls/sessions", test_sessions },
                { "/calls/verify", test_verify },
                { "/calls/daemon", test_daemon },
                { "/calls/bind-account", test_bind_account },
                { "/calls/signals", test_signals },
                { "/calls/too-many-calls", test_too_many_calls },
                { "/calls/client-goes", test_client_goes },
                { "/calls/too-many-clients", test_too_many_clients },
                { "/calls/deaf-client", test_deaf_client },
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < ELEMENTSOF(tests); i++)
                g_test_add(tests[i].name, Fixture, NULL, setup, tests[i].run, teardown);
        g_test_add_func("/calls/server-goes", test_server_goes);
        return g_test_run();
}
