/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/socket.h>

#include "ctl/connection.h"
#include "ctl/message.h"
#include "ctl/model.h"

/* A bus that is connected to nobody: messages need one to be made. */
static sd_bus *nowhere(int fds[2])
{
        sd_bus *bus = NULL;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==,
                        0);
        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus, fds[0], fds[0]), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        return bus;
}

static sd_bus_message *new_message(sd_bus *bus)
{
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_signal(bus, &m, "/", "a.b", "C"), >=, 0);
        return m;
}

static char *as_json(sd_bus_message *m)
{
        _cleanup_json_ json_t *j = NULL;
        char *text, *copy;

        g_assert_cmpint(sd_bus_message_seal(m, 1, 0), >=, 0);
        g_assert_cmpint(sd_bus_message_rewind(m, true), >=, 0);
        g_assert_cmpint(message_read_all(m, &j), >=, 0);
        text = json_dumps(j, JSON_COMPACT);
        copy = g_strdup(text);
        free(text);
        sd_bus_message_unref(m);
        return copy;
}

static void test_json(void)
{
        int fds[2];
        sd_bus *bus = nowhere(fds);
        sd_bus_message *m = new_message(bus);
        g_autofree char *basic = NULL, *lists = NULL, *properties = NULL;
        const uint8_t bytes[] = { 0x00, 0xab, 0xff };

        g_assert_cmpint(sd_bus_message_append(m, "ybnqiuxtds", 7, 1, -2, 3, -4, 5, INT64_C(-6),
                                              UINT64_MAX, 1.5, "a\"\n"),
                        >=, 0);
        basic = as_json(m);
        g_assert_cmpstr(basic, ==,
                        "[7,true,-2,3,-4,5,-6,\"18446744073709551615\",1.5,\"a\\\"\\n\"]");

        m = new_message(bus);
        g_assert_cmpint(sd_bus_message_append(m, "a(sq)asa{us}", 2, "x", 1, "y", 2, 0, 1, 7, "z"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', bytes, sizeof(bytes)), >=, 0);
        lists = as_json(m);
        g_assert_cmpstr(lists, ==, "[[[\"x\",1],[\"y\",2]],[],[[7,\"z\"]],\"00abff\"]");

        m = new_message(bus);
        g_assert_cmpint(sd_bus_message_append(m, "a{sv}a{oa{sv}}", 2, "Name", "s", "n", "Luns",
                                              "a(qo)", 1, 3, "/u", 1, "/t", 1, "K", "b", 0),
                        >=, 0);
        properties = as_json(m);
        g_assert_cmpstr(properties, ==,
                        "[{\"Name\":\"n\",\"Luns\":[[3,\"/u\"]]},{\"/t\":{\"K\":false}}]");
        sd_bus_close_unref(bus);
        (void)close(fds[1]);
}

static void test_error_codes(void)
{
        static const struct {
                const char *name;
                ExitCode code;
        } rows[] = {
                { "org.tgt1.Error.NotFound", EXIT_CODE_NOT_FOUND },
                { "org.tgt1.Error.InUse", EXIT_CODE_CONFLICT },
                { "org.tgt1.Error.Exists", EXIT_CODE_CONFLICT },
                { "org.tgt1.Error.Conflict", EXIT_CODE_CONFLICT },
                { "org.tgt1.Error.DefinedByAdministrator", EXIT_CODE_CONFLICT },
                { "org.tgt1.Error.InvalidArgument", EXIT_CODE_FAILURE },
                { "org.tgt1.Error.Failed", EXIT_CODE_FAILURE },
                { "org.freedesktop.DBus.Error.AccessDenied", EXIT_CODE_DENIED },
                { "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", EXIT_CODE_DENIED },
                { "org.freedesktop.PolicyKit1.Error.NotAuthorized", EXIT_CODE_DENIED },
                { "org.freedesktop.DBus.Error.ServiceUnknown", EXIT_CODE_NOT_RUNNING },
                { "org.freedesktop.DBus.Error.Spawn.ChildExited", EXIT_CODE_NOT_RUNNING },
                { "org.freedesktop.systemd1.UnitMasked", EXIT_CODE_NOT_RUNNING },
                { "org.tgt1.Error.NotFoundAtAll", EXIT_CODE_FAILURE },
                { NULL, EXIT_CODE_FAILURE },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                g_assert_cmpint(error_exit_code(rows[i].name), ==, rows[i].code);
        for (int i = 0; i < _EXIT_CODE_MAX; i++)
                g_assert_nonnull(exit_code_help((ExitCode)i));
}

static void test_socket_path(void)
{
        g_autofree char *named = control_socket_path("/x", 3), *none = NULL, *zero = NULL,
                        *three = NULL, *moved = NULL, *first = NULL;

        g_unsetenv("TGT_IPC_SOCKET");
        none = control_socket_path(NULL, -1);
        zero = control_socket_path(NULL, 0);
        three = control_socket_path(NULL, 3);
        g_setenv("TGT_IPC_SOCKET", "/y/s", true);
        moved = control_socket_path(NULL, 3);
        first = control_socket_path(NULL, -1);
        g_unsetenv("TGT_IPC_SOCKET");
        g_assert_cmpstr(named, ==, "/x");
        g_assert_cmpstr(none, ==, "/run/tgt/control");
        g_assert_cmpstr(zero, ==, "/run/tgt/control");
        g_assert_cmpstr(three, ==, "/run/tgt/control.3");
        g_assert_cmpstr(moved, ==, "/y/s.3");
        g_assert_cmpstr(first, ==, "/y/s.0");
}

static void test_paths(void)
{
        char *path = NULL;
        g_autofree char *name = NULL, *session = NULL, *other = NULL, *below = NULL;

        g_assert_cmpint(sd_bus_path_encode(BUS_ROOT "/target", "iqn.2026-01.org.example:d", &path),
                        >=, 0);
        name = path_label(path, "target");
        other = path_label(path, "session");
        below = path_label("/org/tgt1/target/a/acl/b", "target");
        session = path_label("/org/tgt1/session/_312", "session");
        free(path);
        g_assert_cmpstr(name, ==, "iqn.2026-01.org.example:d");
        g_assert_cmpstr(session, ==, "12");
        g_assert_null(other);
        g_assert_null(below);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/message/json", test_json);
        g_test_add_func("/message/error-codes", test_error_codes);
        g_test_add_func("/message/socket-path", test_socket_path);
        g_test_add_func("/message/paths", test_paths);
        return g_test_run();
}
