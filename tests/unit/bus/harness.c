/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "harness.h"

static void check(int r, const char *what)
{
        if (r < 0)
                g_error("%s: %s", what, g_strerror(-r));
}

typedef struct Work {
        HarnessFunc *func;
        void *arg;
        bool done;
        pthread_mutex_t lock;
        pthread_cond_t cond;
} Work;

static int do_work(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        Harness *h = userdata;
        Work *work;

        if (read(fd, &work, sizeof(work)) != sizeof(work))
                g_error("read");
        work->func(h, work->arg);
        pthread_mutex_lock(&work->lock);
        work->done = true;
        pthread_cond_signal(&work->cond);
        pthread_mutex_unlock(&work->lock);
        return 0;
}

void harness_run(Harness *h, HarnessFunc *func, void *arg)
{
        Work work = { func, arg, false, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };
        Work *p = &work;

        if (write(h->wake[1], &p, sizeof(p)) != sizeof(p))
                g_error("write");
        pthread_mutex_lock(&work.lock);
        while (!work.done)
                pthread_cond_wait(&work.cond, &work.lock);
        pthread_mutex_unlock(&work.lock);
}

static void nothing(Harness *h, void *arg)
{
}

Manager *harness_manager(Harness *h)
{
        harness_run(h, nothing, NULL);
        return h->manager;
}

static void *thread_main(void *arg)
{
        Harness *h = arg;

        check(sd_event_loop(h->event), "sd_event_loop");
        return NULL;
}

static void keep_report(void *userdata, int priority, const char *text)
{
        Harness *h = userdata;

        g_string_append_printf(h->reports, "%s\n", text);
}

static int listen_on(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            chmod(path, 0666) < 0 || listen(fd, 128) < 0)
                g_error("socket %s: %s", path, g_strerror(errno));
        return fd;
}

Harness *harness_new(const char *bus)
{
        Harness *h = g_new0(Harness, 1);

        h->dir = g_dir_make_tmp("tgt-bus-XXXXXX", NULL);
        check(chmod(h->dir, 0755), "chmod");
        h->socket = g_build_filename(h->dir, "socket", NULL);
        h->reports = g_string_new(NULL);
        check(sd_event_new(&h->event), "sd_event_new");
        h->manager = fake_manager_new(h->event);
        check(bus_server_new(h->manager, h->event, &h->server), "bus_server_new");
        bus_server_set_report(h->server, keep_report, h);
        check(bus_server_listen(h->server, listen_on(h->socket)), "bus_server_listen");
        if (bus)
                check(bus_server_connect(h->server, bus), "bus_server_connect");
        if (pipe(h->wake) < 0)
                g_error("pipe");
        check(sd_event_add_io(h->event, NULL, h->wake[0], EPOLLIN, do_work, h), "sd_event_add_io");
        g_assert_cmpint(pthread_create(&h->thread, NULL, thread_main, h), ==, 0);
        return h;
}

static void stop(Harness *h, void *arg)
{
        if (h->server)
                bus_server_flush(h->server, 1000000);
        h->server = bus_server_free(h->server);
        check(sd_event_exit(h->event, 0), "sd_event_exit");
}

Harness *harness_free(Harness *h)
{
        if (!h)
                return NULL;
        harness_run(h, stop, NULL);
        pthread_join(h->thread, NULL);
        fake_manager_free(h->manager);
        sd_event_unref(h->event);
        (void)close(h->wake[0]);
        (void)close(h->wake[1]);
        (void)unlink(h->socket);
        (void)rmdir(h->dir);
        g_string_free(h->reports, TRUE);
        g_free(h->socket);
        g_free(h->dir);
        g_free(h);
        return NULL;
}

sd_bus *harness_peer(Harness *h)
{
        g_autofree char *address = g_strdup_printf("unix:path=%s", h->socket);
        sd_bus *bus = NULL;

        check(sd_bus_new(&bus), "sd_bus_new");
        check(sd_bus_set_address(bus, address), "sd_bus_set_address");
        check(sd_bus_start(bus), "sd_bus_start");
        return bus;
}

static bool is_closed(int fd)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };
        char byte;

        while (poll(&p, 1, 10000) > 0) {
                ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

                if (n >= 0 || errno != EAGAIN)
                        return n <= 0;
        }
        return false;
}

bool harness_refuses(Harness *h)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool closed;

        g_strlcpy(address.sun_path, h->socket, sizeof(address.sun_path));
        g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
        closed = is_closed(fd);
        (void)close(fd);
        return closed;
}

sd_bus *harness_client(const char *address)
{
        sd_bus *bus = NULL;

        check(sd_bus_new(&bus), "sd_bus_new");
        check(sd_bus_set_address(bus, address), "sd_bus_set_address");
        check(sd_bus_set_bus_client(bus, true), "sd_bus_set_bus_client");
        check(sd_bus_start(bus), "sd_bus_start");
        return bus;
}

sd_bus_message *call(sd_bus *bus, const char *path, const char *interface, const char *member,
                     char **error_name, const char *types, ...)
{
        sd_bus_error e = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL, *reply = NULL;
        va_list ap;
        int r;

        check(sd_bus_message_new_method_call(bus, &m, "org.tgt1", path, interface, member),
              "sd_bus_message_new_method_call");
        if (types) {
                va_start(ap, types);
                check(sd_bus_message_appendv(m, types, ap), "sd_bus_message_appendv");
                va_end(ap);
        }
        r = sd_bus_call(bus, m, 10 * 1000000, &e, &reply);
        sd_bus_message_unref(m);
        if (r < 0) {
                if (!error_name)
                        g_error("%s: %s: %s", member, e.name ? e.name : g_strerror(-r), e.message);
                g_test_message("%s: %s: %s", member, e.name, e.message);
                /* every refusal has a sentence */
                g_assert_cmpuint(e.message ? strlen(e.message) : 0, >, 10);
                *error_name = g_strdup(e.name ? e.name : g_strerror(-r));
                sd_bus_error_free(&e);
                return NULL;
        }
        return reply;
}

/* ---- dbus-daemon ---- */

/* As the system bus: what is not allowed is denied. The policy file is what is tested. */
static const char system_config[] =
        "<!DOCTYPE busconfig PUBLIC '-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN' "
        "'http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd'>\n"
        "<busconfig><type>system</type><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>"
        "<policy context='default'><allow user='*'/><deny own='*'/>"
        "<deny send_type='method_call'/><allow send_type='signal'/>"
        "<allow send_requested_reply='true' send_type='method_return'/>"
        "<allow send_requested_reply='true' send_type='error'/>"
        "<allow receive_type='method_call'/><allow receive_type='method_return'/>"
        "<allow receive_type='error'/><allow receive_type='signal'/>"
        "<allow send_destination='org.freedesktop.DBus'/>"
        "<allow send_destination='org.freedesktop.PolicyKit1'/></policy>"
        "<policy user='root'><allow own='org.freedesktop.PolicyKit1'/></policy>"
        "<include>%s</include></busconfig>\n";

static const char config[] =
        "<!DOCTYPE busconfig PUBLIC '-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN' "
        "'http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd'>\n"
        "<busconfig><type>session</type><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>"
        "<policy context='default'><allow user='*'/><allow own='*'/><allow send_type='*'/>"
        "<allow receive_type='*'/><allow send_destination='*'/></policy></busconfig>\n";

void test_bus_start(TestBus *b)
{
        g_autofree char *file = g_strdup_printf("--config-file=%s/config", b->dir);
        char line[256];
        int out[2];

        if (pipe(out) < 0)
                g_error("pipe");
        b->pid = fork();
        if (b->pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing */
                (void)dup2(out[1], STDOUT_FILENO);
                (void)close(out[0]);
                (void)close(out[1]);
                execlp("dbus-daemon", "dbus-daemon", file, "--nofork", "--nopidfile", "--nosyslog",
                       "--print-address", (char *)NULL);
                _exit(127);
        }
        (void)close(out[1]);
        if (b->pid < 0 || read(out[0], line, sizeof(line)) <= 0)
                g_error("dbus-daemon does not start");
        (void)close(out[0]);
}

void test_bus_stop(TestBus *b)
{
        g_autofree char *path = g_build_filename(b->dir, "bus", NULL);

        (void)kill(b->pid, SIGTERM);
        (void)waitpid(b->pid, NULL, 0);
        (void)unlink(path);
}

TestBus *test_bus_new(const char *policy)
{
        TestBus *b = g_new0(TestBus, 1);
        g_autofree char *file = NULL, *text = NULL;

        b->dir = g_dir_make_tmp("tgt-dbus-XXXXXX", NULL);
        check(chmod(b->dir, 0755), "chmod");
        b->address = g_strdup_printf("unix:path=%s/bus", b->dir);
        file = g_build_filename(b->dir, "config", NULL);
        text = policy ? g_strdup_printf(system_config, b->dir, policy)
                      : g_strdup_printf(config, b->dir);
        g_assert_true(g_file_set_contents(file, text, -1, NULL));
        test_bus_start(b);
        return b;
}

TestBus *test_bus_free(TestBus *b)
{
        g_autofree char *file = g_build_filename(b->dir, "config", NULL);

        test_bus_stop(b);
        (void)unlink(file);
        (void)rmdir(b->dir);
        g_free(b->dir);
        g_free(b->address);
        g_free(b);
        return NULL;
}

char *harness_unit_path(sd_bus *bus)
{
        sd_bus_message *m =
                call(bus, "/org/tgt1", IFACE_MANAGER, "ListLogicalUnits", NULL, "su", "", 0);
        const char *uuid, *path;
        char *copy;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "(sosssstua(sq))"), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'r', "sosssstua(sq)"), >, 0);
        g_assert_cmpint(sd_bus_message_read(m, "so", &uuid, &path), >, 0);
        copy = g_strdup(path);
        sd_bus_message_unref(m);
        return copy;
}
