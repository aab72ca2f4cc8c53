/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/wait.h>

#include "bus/server.h"
#include "harness.h"
#include "mock-polkit.h"

/* Who may change what over a bus: a dbus-daemon of our own, and a polkit that says what a test
 * wants. Tests that need somebody else's uid run as root only. */

#define SECRET "a-secret-of-mine"
#define DENIED "org.freedesktop.DBus.Error.AccessDenied"
#define NOBODY 65534

typedef struct Fixture {
        TestBus *bus_daemon;
        MockPolkit *polkit;
        Harness *h;
        sd_bus *bus;
} Fixture;

static bool name_is_owned(sd_bus *bus)
{
        return sd_bus_get_name_creds(bus, "org.tgt1", 0, NULL) >= 0;
}

static void wait_for_name(sd_bus *bus)
{
        for (int i = 0; i < 1000 && !name_is_owned(bus); i++)
                (void)usleep(10000);
        g_assert_true(name_is_owned(bus));
}

static char *policy_file;

static void setup_as(Fixture *f, const char *address, const char *policy)
{
        f->bus_daemon = test_bus_new(policy);
        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", f->bus_daemon->address, TRUE);
        f->polkit = mock_polkit_new(f->bus_daemon->address);
        f->h = harness_new(address ? address : f->bus_daemon->address);
        f->bus = harness_client(f->bus_daemon->address);
        wait_for_name(f->bus);
}

static void setup_system(Fixture *f, const void *data)
{
        setup_as(f, "system", NULL);
}

static void setup_private(Fixture *f, const void *data)
{
        setup_as(f, NULL, NULL);
}

/* The bus lets only root and tgt own names here. */
static void setup_policy(Fixture *f, const void *data)
{
        if (geteuid() == 0)
                setup_as(f, "system", policy_file);
}

static void teardown(Fixture *f, const void *data)
{
        if (!f->h)
                return;
        harness_free(f->h);
        sd_bus_flush_close_unref(f->bus);
        f->polkit = mock_polkit_free(f->polkit);
        test_bus_free(f->bus_daemon);
}

static void create(Fixture *f, const char *store)
{
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "CreateTarget", "sa{sas}a{sv}", TEST_TARGET,
                    1, "backing-store", 1, store, 0);
}

static void count_edits(Harness *h, void *arg)
{
        *(unsigned *)arg = h->manager->n_edits;
}

static unsigned n_edits(Fixture *f)
{
        unsigned n;

        harness_run(f->h, count_edits, &n);
        return n;
}

static void expect_asked(Fixture *f, const char *expected)
{
        g_autofree char *asked = mock_polkit_asked(f->polkit);

        g_assert_cmpstr(asked, ==, expected);
}

static void test_allow(Fixture *f, const void *data)
{
        create(f, "/srv/a");
        /* root is asked about as well: the answer is polkit's */
        expect_asked(f,
                     "org.tgt1.target.manage method=CreateTarget target=" TEST_TARGET " flags=0\n");
        g_assert_cmpuint(n_edits(f), ==, 1);
        g_assert_cmpuint(harness_manager(f->h)->caller_uid, ==, geteuid());
        g_assert_cmpuint(harness_manager(f->h)->caller_pid, ==, getpid());
        g_assert_true(g_str_has_prefix(harness_manager(f->h)->caller_name, ":"));
}

static void test_details(Fixture *f, const void *data)
{
        create(f, "/srv/a");
        mock_polkit_set(f->polkit, POLKIT_YES, NULL);
        assert_call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddAccount", "sssa{sv}", "me", SECRET,
                    "incoming", 0);
        assert_call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "Allow", "ssa{sv}", "initiator-name",
                    "iqn.a", 0);
        assert_call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "RemoveLogicalUnit", "qa{sv}", 1, 0);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "AddPortal", "sa{sv}", "127.0.0.1", 0);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "Reload", "a{sv}", 0);
        expect_asked(f, "org.tgt1.account.manage method=AddAccount target=" TEST_TARGET
                        " user=me flags=0\n"
                        "org.tgt1.access.manage method=Allow target=" TEST_TARGET
                        " initiator=iqn.a flags=0\n"
                        "org.tgt1.lun.manage method=RemoveLogicalUnit target=" TEST_TARGET
                        " lun=1 flags=0\n"
                        "org.tgt1.portal.manage method=AddPortal portal=127.0.0.1 flags=0\n"
                        "org.tgt1.reload method=Reload flags=0\n");
}

/* What erases or gives away a whole disk is asked for by itself. */
static void test_operations(Fixture *f, const void *data)
{
        g_autofree char *path = NULL, *uuid = NULL, *of = NULL, *all = NULL;

        create(f, "/srv/a");
        path = harness_unit_path(f->bus);
        uuid = g_strdelimit(g_strdup(strrchr(path, '/') + 1), "_", '-');
        g_free(mock_polkit_asked(f->polkit));
        mock_polkit_set(f->polkit, POLKIT_YES, NULL);
        assert_call(f->bus, path, "org.tgt1.LogicalUnit", "Sanitize", "sa{sv}", "overwrite", 0);
        assert_call(f->bus, path, "org.tgt1.LogicalUnit", "ExitFailure", "a{sv}", 0);
        assert_call(f->bus, path, "org.tgt1.LogicalUnit", "Format", "a{sv}", 0);
        assert_call(f->bus, path, "org.tgt1.LogicalUnit", "Copy", "sa{sv}", "/root/x", 0);
        of = g_strdup_printf("target=" TEST_TARGET " lun=1 unit=%s", uuid);
        all = g_strdup_printf("org.tgt1.lun.sanitize method=Sanitize %s flags=0\n"
                              "org.tgt1.lun.sanitize method=ExitFailure %s flags=0\n"
                              "org.tgt1.lun.format method=Format %s flags=0\n"
                              "org.tgt1.lun.copy method=Copy %s flags=0\n"
                              "org.tgt1.use-any-path method=Copy %s path=/root/x flags=0\n",
                              of, of, of, of, of);
        expect_asked(f, all);
        g_ptr_array_set_size(harness_manager(f->h)->ended, 0);
        mock_polkit_set(f->polkit, POLKIT_NO, NULL);
        assert_call_fails(f->bus, path, "org.tgt1.LogicalUnit", "Sanitize",
                          SD_BUS_ERROR_ACCESS_DENIED, "sa{sv}", "overwrite", 0);
        assert_call_fails(f->bus, path, "org.tgt1.LogicalUnit", "Copy", SD_BUS_ERROR_ACCESS_DENIED,
                          "sa{sv}", "/srv/x", 0);
        g_assert_cmpuint(harness_manager(f->h)->ended->len, ==, 0);
}

/* Who may write a whole block may change all that is in it. */
static void test_whole_block(Fixture *f, const void *data)
{
        static const char *const block =
                "<target " TEST_TARGET ">\nbacking-store /srv/a\n</target>\n";

        mock_polkit_set(f->polkit, POLKIT_YES, NULL);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "ReplaceTarget", "ssa{sv}", TEST_TARGET,
                    block, 0);
        /* and what was made at runtime goes with a revert */
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "Reload", "a{sv}", 1, "revert", "b", 1);
        expect_asked(f,
                     "org.tgt1.target.manage method=ReplaceTarget target=" TEST_TARGET " flags=0\n"
                     "org.tgt1.lun.manage method=ReplaceTarget target=" TEST_TARGET " flags=0\n"
                     "org.tgt1.access.manage method=ReplaceTarget target=" TEST_TARGET " flags=0\n"
                     "org.tgt1.account.manage method=ReplaceTarget target=" TEST_TARGET " flags=0\n"
                     "org.tgt1.reload method=Reload flags=0\n"
                     "org.tgt1.target.manage method=Reload flags=0\n");
}

static void share(Harness *h, void *arg)
{
        h->manager->shared_with = arg;
}

/* What sets a unit for two targets is asked of both. */
static void test_shared_unit(Fixture *f, const void *data)
{
        static const char other[] = "iqn.2024-01.net.example:other";

        create(f, "/srv/a");
        harness_run(f->h, share, (void *)other);
        mock_polkit_set(f->polkit, POLKIT_YES, NULL);
        assert_call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "SetLogicalUnit", "qa{sas}a{sv}", 1, 1,
                    "write-cache", 1, "off", 0);
        expect_asked(f, "org.tgt1.lun.manage method=SetLogicalUnit target=" TEST_TARGET
                        " lun=1 flags=0\n"
                        "org.tgt1.lun.manage method=SetLogicalUnit "
                        "target=iqn.2024-01.net.example:other lun=5 flags=0\n");
}

static void add_session(Harness *h, void *arg)
{
        fake_manager_add_session(h->manager, 8, TEST_TARGET);
}

static void test_session(Fixture *f, const void *data)
{
        create(f, "/srv/a");
        harness_run(f->h, add_session, NULL);
        mock_polkit_set(f->polkit, POLKIT_NO, NULL);
        assert_call_fails(f->bus, "/org/tgt1/session/8", "org.tgt1.Session", "End", DENIED, "a{sv}",
                          0);
        expect_asked(f, "org.tgt1.session.end method=End target=" TEST_TARGET
                        " initiator=iqn.initiator flags=0\n");
        g_assert_cmpuint(harness_manager(f->h)->ended->len, ==, 0);
}

static void test_paths(Fixture *f, const void *data)
{
        create(f, "/srv/a"); /* below a trusted directory: one question */
        mock_polkit_set(f->polkit, POLKIT_YES, NULL);
        assert_call(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddLogicalUnit", "a{sas}a{sv}", 1,
                    "backing-store", 1, "/etc/shadow", 0);
        expect_asked(f, "org.tgt1.lun.manage method=AddLogicalUnit target=" TEST_TARGET " flags=0\n"
                        "org.tgt1.use-any-path method=AddLogicalUnit target=" TEST_TARGET
                        " path=/etc/shadow flags=0\n");
        g_assert_cmpuint(n_edits(f), ==, 2);

        mock_polkit_set(f->polkit, POLKIT_YES, "org.tgt1.use-any-path");
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddLogicalUnit", DENIED,
                          "a{sas}a{sv}", 1, "backing-store", 1, "/dev/sda", 0);
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "SetLogicalUnit", DENIED,
                          "qa{sas}a{sv}", 1, 1, "path", 1, "/srv/../dev/sda", 0);
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "Set", DENIED, "sasa{sv}", "path",
                          1, "/dev/sda", 0);
        /* a dry run tells what is there: it takes the same */
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddLogicalUnit", DENIED,
                          "a{sas}a{sv}", 1, "backing-store", 1, "/dev/sda", 1, "dry-run", "b", 1);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Verify", DENIED, "asa{sv}", 1,
                          "/etc/shadow", 0);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Apply", DENIED, "a(ss)a{sv}", 1, "t",
                          "<target " TEST_TARGET ">\nbacking-store /srv/a\nbacking-store "
                          "/dev/sda\n</target>\n",
                          0);
        g_assert_cmpuint(n_edits(f), ==, 2);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "Apply", "a(ss)a{sv}", 1, "t",
                    "<target " TEST_TARGET ">\nalias x\nbacking-store /srv/a\n</target>\n", 0);
        g_assert_cmpuint(n_edits(f), ==, 3);
}

/* Who may write a text may not thereby read files, however the text says that it wants to. */
static void test_includes(Fixture *f, const void *data)
{
        static const char *const texts[] = {
                "include /etc/shadow\n",
                "<target " TEST_TARGET ">\nIncludeOptional = /etc/shadow\n</target>\n",
                "incl\\\n  ude /etc/shadow\n",
                "# a comment\\\r\n/* and\nanother */ inc\\\r\nlude /etc/shadow\n",
        };

        mock_polkit_set(f->polkit, POLKIT_YES, "org.tgt1.use-any-path");
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "VerifyText", DENIED,
                                  "ssa{sv}", "t", texts[i], 0);
                assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Apply", DENIED, "a(ss)a{sv}",
                                  2, "s", "", "t", texts[i], 0);
                assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "ReplaceTarget", DENIED,
                                  "ssa{sv}", TEST_TARGET, texts[i], 0);
        }
        g_assert_cmpuint(n_edits(f), ==, 0);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "Apply", "a(ss)a{sv}", 1, "t",
                    "# includes nothing\n<target " TEST_TARGET
                    ">\nalias \"include x\"\n</target>\n",
                    0);
        g_assert_cmpuint(n_edits(f), ==, 1);
}

/* Who may not apply is told nothing of what the fragments would have met. */
static void test_apply(Fixture *f, const void *data)
{
        mock_polkit_set(f->polkit, POLKIT_NO, "org.tgt1.apply");
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Apply", DENIED, "a(ss)a{sv}", 1, "t",
                          "nonsense\n", 0);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Apply", DENIED, "a(ss)a{sv}", 0, 1,
                          "dry-run", "b", 1);
        mock_polkit_set(f->polkit, POLKIT_YES, NULL);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Apply",
                          "org.tgt1.Error.InvalidArgument", "a(ss)a{sv}", 1, "t", "nonsense\n", 0);
        g_assert_cmpuint(n_edits(f), ==, 0);
}

static void test_deny(Fixture *f, const void *data)
{
        size_t n = 0;
        g_autofree char *asked = NULL;

        create(f, "/srv/a");
        mock_polkit_set(f->polkit, POLKIT_NO, NULL);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "DeleteTarget", DENIED, "sa{sv}",
                          TEST_TARGET, 0);
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddAccount", DENIED, "sssa{sv}",
                          "me", SECRET, "incoming", 0);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "DeleteTarget", DENIED, "sa{sv}",
                          TEST_TARGET, 1, "dry-run", "b", 1);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Verify", DENIED, "asa{sv}", 0, 0);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Dump", DENIED, "a{sv}", 1,
                          "with-secrets", "b", 1);
        /* whether a target is there is no secret, but what a probe finds out is not told */
        assert_call_fails(f->bus, TEST_TARGET_PATH, IFACE_TARGET, "AddLogicalUnit", DENIED,
                          "a{sas}a{sv}", 1, "backing-store", 1, "not even a path", 0);
        g_assert_cmpuint(n_edits(f), ==, 1);
        asked = mock_polkit_asked(f->polkit);
        for (const char *p = asked; *p; p++)
                n += *p == '\n';
        g_assert_cmpuint(n, ==, 6);
        g_assert_null(strstr(asked, SECRET));

        /* reading needs nobody's leave */
        mock_polkit_set(f->polkit, POLKIT_NO, NULL);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "ListTargets", "su", "", 0);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "Dump", "a{sv}", 0);
        expect_asked(f, "");
}

static void test_challenge(Fixture *f, const void *data)
{
        mock_polkit_set(f->polkit, POLKIT_CHALLENGE, NULL);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Reload",
                          "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "a{sv}",
                          0);
        expect_asked(f, "org.tgt1.reload method=Reload flags=0\n");

        mock_polkit_set(f->polkit, POLKIT_YES, NULL);
        g_assert_cmpint(sd_bus_set_allow_interactive_authorization(f->bus, true), >=, 0);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "Reload", "a{sv}", 0);
        expect_asked(f, "org.tgt1.reload method=Reload flags=1\n");
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
        g_assert_cmpint(sd_bus_call_method_async(bus, NULL, "org.tgt1", "/org/tgt1", IFACE_MANAGER,
                                                 "AddPortal", count, a, "sa{sv}", "127.0.0.1", 0),
                        >=, 0);
        g_assert_cmpint(sd_bus_flush(bus), >=, 0);
}

static void wait_for(sd_bus *bus, unsigned *what, unsigned n)
{
        while (*what < n)
                if (sd_bus_process(bus, NULL) == 0)
                        g_assert_cmpint(sd_bus_wait(bus, 10 * 1000000), >, 0);
}

static void test_slow(Fixture *f, const void *data)
{
        sd_bus *other = harness_client(f->bus_daemon->address);
        Answers a = { 0 };

        mock_polkit_set(f->polkit, POLKIT_HOLD, NULL);
        ask_later(f->bus, &a);
        mock_polkit_wait_asked(f->polkit, 1);
        /* nobody waits for it, and nothing has happened yet */
        assert_call(other, "/org/tgt1", IFACE_MANAGER, "ListTargets", "su", "", 0);
        g_assert_cmpuint(n_edits(f), ==, 0);
        mock_polkit_release(f->polkit);
        wait_for(f->bus, &a.good, 1);
        g_assert_cmpuint(n_edits(f), ==, 1);
        sd_bus_flush_close_unref(other);
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

static void test_caller_vanishes(Fixture *f, const void *data)
{
        sd_bus *other = harness_client(f->bus_daemon->address);
        Answers a = { 0 };

        mock_polkit_set(f->polkit, POLKIT_HOLD, NULL);
        ask_later(other, &a);
        mock_polkit_wait_asked(f->polkit, 1);
        wait_for_calls(f->h, 1);
        sd_bus_close_unref(other);
        mock_polkit_wait_cancelled(f->polkit, 1);
        wait_for_calls(f->h, 0);
        mock_polkit_release(f->polkit); /* too late */
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "ListTargets", "su", "", 0);
        g_assert_cmpuint(n_edits(f), ==, 0);
}

static void test_many_questions(Fixture *f, const void *data)
{
        sd_bus *other = harness_client(f->bus_daemon->address);
        Answers a = { 0 }, b = { 0 };

        mock_polkit_set(f->polkit, POLKIT_HOLD, NULL);
        for (int i = 0; i < CALLS_PER_SENDER_MAX + 3; i++)
                ask_later(f->bus, &a);
        wait_for(f->bus, &a.bad, 3);
        mock_polkit_wait_asked(f->polkit, CALLS_PER_SENDER_MAX);
        ask_later(other, &b); /* others are not affected */
        mock_polkit_wait_asked(f->polkit, CALLS_PER_SENDER_MAX + 1);
        g_assert_cmpuint(b.bad, ==, 0);
        sd_bus_close_unref(other);
        g_assert_cmpuint(n_edits(f), ==, 0);
}

static void test_many_clients(Fixture *f, const void *data)
{
        sd_bus *clients[CALLS_PER_USER_MAX / CALLS_PER_SENDER_MAX + 1];
        Answers a = { 0 };

        mock_polkit_set(f->polkit, POLKIT_HOLD, NULL);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = harness_client(f->bus_daemon->address);
                for (int j = 0; j < CALLS_PER_SENDER_MAX; j++)
                        ask_later(clients[i], &a);
                if (i + 1 < ELEMENTSOF(clients)) /* in this order */
                        mock_polkit_wait_asked(f->polkit, (unsigned)(i + 1) * CALLS_PER_SENDER_MAX);
        }
        wait_for(clients[ELEMENTSOF(clients) - 1], &a.bad, CALLS_PER_SENDER_MAX);
        g_assert_cmpuint(a.good, ==, 0);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                sd_bus_close_unref(clients[i]);
        wait_for_calls(f->h, 0);
        g_assert_cmpuint(n_edits(f), ==, 0);
}

static void test_no_polkit(Fixture *f, const void *data)
{
        f->polkit = mock_polkit_free(f->polkit);
        assert_call_fails(f->bus, "/org/tgt1", IFACE_MANAGER, "Reload", DENIED, "a{sv}", 0);
        assert_call(f->bus, "/org/tgt1", IFACE_MANAGER, "ListTargets", "su", "", 0);
}

static void test_bus_goes(Fixture *f, const void *data)
{
        sd_bus_flush_close_unref(f->bus);
        f->polkit = mock_polkit_free(f->polkit);
        test_bus_stop(f->bus_daemon);
        (void)usleep(100000);
        test_bus_start(f->bus_daemon);
        f->polkit = mock_polkit_new(f->bus_daemon->address);
        f->bus = harness_client(f->bus_daemon->address);
        wait_for_name(f->bus);
        create(f, "/srv/a");
        g_assert_cmpuint(n_edits(f), ==, 1);
}

/* Without polkit: our own uid. */
static void test_private_bus(Fixture *f, const void *data)
{
        create(f, "/etc/shadow");
        expect_asked(f, "");
        g_assert_cmpuint(n_edits(f), ==, 1);
}

/* busctl as that user. Its exit status. */
static int busctl_as(uid_t uid, const char *const *argv)
{
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                if (uid != 0 && (setgid(uid) < 0 || setuid(uid) < 0))
                        _exit(99);
                execvp("busctl", (char **)argv);
                _exit(98);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), <, 98);
        return WEXITSTATUS(status);
}

static int as_nobody(const char *address, const char *member, const char *signature)
{
        g_autofree char *option = g_strdup_printf("--address=%s", address);
        bool two = *signature == 's';
        const char *const argv[] = { "busctl",   option,         "--quiet",        "call",
                                     "org.tgt1", "/org/tgt1",    IFACE_MANAGER,    member,
                                     signature,  two ? "" : "0", two ? "0" : NULL, NULL };

        return busctl_as(NOBODY, argv);
}

static int own_name_as(const char *address, uid_t uid)
{
        g_autofree char *option = g_strdup_printf("--address=%s", address);
        const char *const argv[] = { "busctl",
                                     option,
                                     "--quiet",
                                     "call",
                                     "org.freedesktop.DBus",
                                     "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus",
                                     "RequestName",
                                     "su",
                                     "org.tgt1",
                                     "0",
                                     NULL };

        return busctl_as(uid, argv);
}

static bool cannot_be_nobody(void)
{
        if (geteuid() == 0)
                return false;
        g_test_skip("needs root");
        return true;
}

static void test_others_private_bus(Fixture *f, const void *data)
{
        if (cannot_be_nobody())
                return;
        g_assert_cmpint(as_nobody(f->bus_daemon->address, "ListTargets", "su"), ==, 0);
        g_assert_cmpint(as_nobody(f->bus_daemon->address, "Reload", "a{sv}"), !=, 0);
        g_assert_cmpuint(harness_manager(f->h)->caller_pid, ==, 0); /* it came nowhere */
}

static void test_others_system(Fixture *f, const void *data)
{
        if (cannot_be_nobody())
                return;
        g_assert_cmpint(as_nobody(f->bus_daemon->address, "Reload", "a{sv}"), ==, 0);
        g_assert_cmpuint(harness_manager(f->h)->caller_uid, ==, NOBODY);
        mock_polkit_set(f->polkit, POLKIT_NO, NULL);
        g_assert_cmpint(as_nobody(f->bus_daemon->address, "Reload", "a{sv}"), !=, 0);
        g_assert_cmpint(as_nobody(f->bus_daemon->address, "ListTargets", "su"), ==, 0);
}

/* The policy that is installed: everybody may ask, polkit is asked, nobody takes the name. */
static void test_bus_policy(Fixture *f, const void *data)
{
        if (cannot_be_nobody())
                return;
        g_assert_cmpint(as_nobody(f->bus_daemon->address, "ListTargets", "su"), ==, 0);
        mock_polkit_set(f->polkit, POLKIT_NO, NULL);
        g_assert_cmpint(as_nobody(f->bus_daemon->address, "Reload", "a{sv}"), !=, 0);
        mock_polkit_wait_asked(f->polkit, 1); /* it was polkit that refused */
        mock_polkit_set(f->polkit, POLKIT_YES, NULL);
        g_assert_cmpint(as_nobody(f->bus_daemon->address, "Reload", "a{sv}"), ==, 0);
        harness_free(f->h);
        f->h = NULL;
        g_assert_cmpint(own_name_as(f->bus_daemon->address, NOBODY), !=, 0);
        g_assert_cmpint(own_name_as(f->bus_daemon->address, 0), ==, 0);
        sd_bus_flush_close_unref(f->bus);
        f->polkit = mock_polkit_free(f->polkit);
        test_bus_free(f->bus_daemon);
}

/* This program again, as a client of the private socket with that uid. Its exit status. */
static int peer_as(const char *socket, const char *uid)
{
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                execl("/proc/self/exe", "test-polkit", "--peer", socket, uid, (char *)NULL);
                _exit(98);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), <, 98);
        return WEXITSTATUS(status);
}

/* 0: was answered, 1: was not */
static int be_peer(const char *socket, const char *uid)
{
        g_autofree char *address = g_strdup_printf("unix:path=%s", socket);
        sd_bus *bus = NULL;
        int r;

        if (setuid((uid_t)atoi(uid)) < 0 || sd_bus_new(&bus) < 0 ||
            sd_bus_set_address(bus, address) < 0)
                return 99;
        r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_call_method(bus, "org.tgt1", "/org/tgt1", IFACE_MANAGER, "ListTargets",
                                       NULL, NULL, "su", "", 0);
        sd_bus_close_unref(bus);
        return r < 0;
}

static void test_others_socket(Fixture *f, const void *data)
{
        if (cannot_be_nobody())
                return;
        /* the file mode lets everybody connect in this test; the server does not */
        g_assert_cmpint(peer_as(f->h->socket, "0"), ==, 0);
        g_assert_cmpint(peer_as(f->h->socket, "65534"), ==, 1);
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                void (*setup)(Fixture *f, const void *data);
                void (*run)(Fixture *f, const void *data);
        } tests[] = {
                { "/polkit/allow", setup_system, test_allow },
                { "/polkit/details", setup_system, test_details },
                { "/polkit/operations", setup_system, test_operations },
                { "/polkit/whole-block", setup_system, test_whole_block },
                { "/polkit/shared-unit", setup_system, test_shared_unit },
                { "/polkit/session", setup_system, test_session },
                { "/polkit/paths", setup_system, test_paths },
                { "/polkit/includes", setup_system, test_includes },
                { "/polkit/apply", setup_system, test_apply },
                { "/polkit/deny", setup_system, test_deny },
                { "/polkit/challenge", setup_system, test_challenge },
                { "/polkit/slow", setup_system, test_slow },
                { "/polkit/caller-vanishes", setup_system, test_caller_vanishes },
                { "/polkit/many-questions", setup_system, test_many_questions },
                { "/polkit/many-clients", setup_system, test_many_clients },
                { "/polkit/no-polkit", setup_system, test_no_polkit },
                { "/polkit/bus-goes", setup_system, test_bus_goes },
                { "/polkit/private-bus", setup_private, test_private_bus },
                { "/polkit/others-private-bus", setup_private, test_others_private_bus },
                { "/polkit/others-system", setup_system, test_others_system },
                { "/polkit/bus-policy", setup_policy, test_bus_policy },
                { "/polkit/others-socket", setup_private, test_others_socket },
        };
        int r;

        if (argc == 4 && STREQ(argv[1], "--peer"))
                return be_peer(argv[2], argv[3]);
        g_test_init(&argc, &argv, NULL);
        if (argc != 2)
                g_error("usage: test-polkit BUS-POLICY");
        policy_file = realpath(argv[1], NULL); /* the bus looks for it from its own folder */
        g_assert_nonnull(policy_file);
        for (size_t i = 0; i < ELEMENTSOF(tests); i++)
                g_test_add(tests[i].name, Fixture, NULL, tests[i].setup, tests[i].run, teardown);
        r = g_test_run();
        free(policy_file);
        return r;
}
