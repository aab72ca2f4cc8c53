/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "bus/call.h"
#include "bus/paths.h"
#include "bus/transient.h"

#define BACKOFF_MIN_USEC UINT64_C(250000)
#define BACKOFF_MAX_USEC UINT64_C(30000000)
#define AUTH_CALLS_MAX 16                  /* of what comes with the authentication, 256 bytes */
#define ACCEPT_RETRY_USEC UINT64_C(100000) /* after EMFILE and the like */

static void connection_lost(BusConnection *c);

void server_report(BusServer *b, int priority, const char *format, ...)
{
        g_autofree char *text = NULL;
        va_list ap;

        if (!b->report)
                return;
        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        b->report(b->report_userdata, priority, text);
}

void bus_server_set_report(BusServer *b, BusReport *report, void *userdata)
{
        b->report = report;
        b->report_userdata = userdata;
}

/* ---- connections ---- */

static BusConnection *connection_new(BusServer *b, ConnectionKind kind)
{
        BusConnection *c = g_new0(BusConnection, 1);

        c->server = b;
        c->kind = kind;
        c->backoff_usec = BACKOFF_MIN_USEC;
        list_append(&b->connections, &c->node);
        if (kind == CONNECTION_PEER)
                b->n_peers++;
        return c;
}

static void connection_close(BusConnection *c)
{
        calls_drop(c->server, c);
        transients_drop(c);
        c->named = false;
        c->disconnected = sd_bus_slot_unref(c->disconnected);
        c->begun = sd_event_source_disable_unref(c->begun);
        if (!c->bus)
                return;
        (void)sd_bus_detach_event(c->bus);
        c->bus = sd_bus_close_unref(c->bus);
}

static void connection_free(BusConnection *c)
{
        connection_close(c);
        sd_event_source_disable_unref(c->retry);
        list_remove(&c->node);
        if (c->kind == CONNECTION_PEER)
                c->server->n_peers--;
        g_free(c->address);
        g_free(c);
}

void connection_check_queue(BusConnection *c)
{
        uint64_t n;

        if (c->kind == CONNECTION_PEER && sd_bus_get_n_queued_write(c->bus, &n) >= 0 &&
            n > PEER_QUEUE_MAX) {
                log_debug("A client of the private socket does not read; closing");
                connection_free(c);
        }
}

static int disconnected(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        connection_lost(userdata);
        return 0;
}

/* What every connection has, once its bus is set up. */
static int connection_start(BusConnection *c)
{
        int r;

        r = objects_add(c);
        if (r >= 0)
                r = sd_bus_match_signal_async(
                        c->bus, &c->disconnected, "org.freedesktop.DBus.Local",
                        "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
                        disconnected, NULL, c);
        if (r >= 0)
                r = sd_bus_attach_event(c->bus, c->server->event, SD_EVENT_PRIORITY_NORMAL);
        return r;
}

/* ---- to a bus ---- */

static int name_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        const sd_bus_error *e = sd_bus_message_get_error(m);
        BusConnection *c = userdata;
        uint32_t reply = 0;

        if (e) {
                /* the connection would serve nobody: try again later, policy may be reloaded */
                if (!c->complained)
                        server_report(c->server, LOG_WARNING,
                                      "The bus (%s) refuses the name " BUS_NAME ": %s", c->address,
                                      e->message ? e->message : e->name);
                c->complained = true;
                connection_lost(c);
                return 0;
        }
        c->backoff_usec = BACKOFF_MIN_USEC;
        c->complained = false;
        if (sd_bus_message_read(m, "u", &reply) >= 0 && reply == 2) /* queued */
                server_report(c->server, LOG_WARNING,
                              "Somebody else owns " BUS_NAME " on the bus (%s); waiting for it",
                              c->address);
        else
                c->named = true;
        return 0;
}

static int open_bus(const char *address, sd_bus **ret)
{
        sd_bus *bus = NULL;
        int r;

        if (STREQ(address, "system"))
                return sd_bus_open_system_with_description(ret, BUS_NAME);
        if (STREQ(address, "session"))
                return sd_bus_open_user_with_description(ret, BUS_NAME);

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                sd_bus_unref(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

static int connection_open(BusConnection *c)
{
        int r;

        /* no news there: who finds us asks for what there is. At a start, that is everything */
        signals_flush(c->server->signals);
        r = open_bus(c->address, &c->bus);
        if (r >= 0)
                r = connection_start(c);
        if (r >= 0)
                r = sd_bus_request_name_async(c->bus, NULL, BUS_NAME, SD_BUS_NAME_QUEUE,
                                              name_answer, c);
        if (r < 0)
                connection_close(c);
        return r;
}

static int retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        BusConnection *c = userdata;

        c->retry = sd_event_source_disable_unref(c->retry);
        if (connection_open(c) < 0)
                connection_lost(c);
        return 0;
}

static void connection_retry_later(BusConnection *c)
{
        int r;

        c->retry = sd_event_source_disable_unref(c->retry);
        r = sd_event_add_time_relative(c->server->event, &c->retry, CLOCK_MONOTONIC,
                                       c->backoff_usec, 0, retry, c);
        if (r < 0)
                server_report(c->server, LOG_ERR, "Cannot connect to the bus (%s) again: %s",
                              c->address, g_strerror(-r));
        c->backoff_usec = MIN(2 * c->backoff_usec, BACKOFF_MAX_USEC);
}

static void connection_lost(BusConnection *c)
{
        if (c->kind == CONNECTION_PEER) {
                connection_free(c);
                return;
        }
        if (c->named)
                server_report(c->server, LOG_NOTICE, "The bus (%s) is gone; connecting again",
                              c->address);
        connection_close(c);
        connection_retry_later(c);
}

int bus_server_connect(BusServer *b, const char *address)
{
        BusConnection *c =
                connection_new(b, STREQ(address, "system") ? CONNECTION_SYSTEM : CONNECTION_BUS);
        int r;

        c->address = g_strdup(address);
        r = connection_open(c);
        if (r == -EINVAL) {
                connection_free(c);
                return r;
        }
        if (r < 0) {
                server_report(b, LOG_NOTICE, "Cannot connect to the bus (%s) yet: %s", address,
                              g_strerror(-r));
                connection_retry_later(c);
        }
        return 0;
}

/* ---- from clients of the private socket ---- */

/* A client may send its first calls together with the end of its authentication, as libdbus does.
 * sd-bus has then read them, and waits for the descriptor to become readable: they are fetched. */
static int peer_begun(sd_event_source *source, void *userdata)
{
        BusConnection *c = userdata;
        sd_bus *bus;

        if (sd_bus_is_ready(c->bus) <= 0)
                return 0;
        bus = sd_bus_ref(c->bus); /* c may go meanwhile */
        c->begun = sd_event_source_disable_unref(c->begun);
        for (unsigned i = 0; i < AUTH_CALLS_MAX && sd_bus_process(bus, NULL) > 0; i++)
                ;
        sd_bus_unref(bus);
        return 0;
}

static int start_peer(BusConnection *c, int *fd)
{
        sd_id128_t id;
        int r;

        r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_new(&c->bus);
        if (r >= 0)
                r = sd_bus_set_fd(c->bus, *fd, *fd);
        if (r < 0)
                return r;
        take_fd(fd); /* the bus closes it */
        r = sd_bus_set_server(c->bus, true, id);
        if (r >= 0)
                r = sd_bus_set_sender(c->bus, BUS_NAME);
        if (r >= 0)
                r = sd_bus_start(c->bus);
        if (r >= 0)
                r = sd_event_add_post(c->server->event, &c->begun, peer_begun, c);
        return r < 0 ? r : connection_start(c);
}

static bool peer_is_welcome(int fd, uid_t *ret_uid, pid_t *ret_pid)
{
        socklen_t size = sizeof(struct ucred);
        struct ucred cred;

        /* of the process that connected, as the kernel saw it then */
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
                return false;
        if (cred.uid != 0 && cred.uid != geteuid())
                return false;
        *ret_uid = cred.uid;
        *ret_pid = cred.pid;
        return true;
}

static void peer_accept(BusServer *b, int connected)
{
        _cleanup_close_ int fd = connected;
        BusConnection *c;
        uid_t uid;
        pid_t pid;

        if (b->stopping || b->n_peers >= PEERS_MAX || !peer_is_welcome(fd, &uid, &pid))
                return;
        c = connection_new(b, CONNECTION_PEER);
        c->uid = uid;
        c->pid = pid;
        if (start_peer(c, &fd) < 0)
                connection_free(c);
}

static int listen_again(sd_event_source *source, uint64_t usec, void *userdata)
{
        BusServer *b = userdata;

        (void)sd_event_source_set_enabled(b->listen_source, SD_EVENT_ON);
        return 0;
}

static int peer_waits(sd_event_source *source, int listen_fd, uint32_t events, void *userdata)
{
        BusServer *b = userdata;
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
                peer_accept(b, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                /* it stays readable: look again when something may have been freed */
                (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
                (void)sd_event_source_set_time_relative(b->listen_retry, ACCEPT_RETRY_USEC);
                (void)sd_event_source_set_enabled(b->listen_retry, SD_EVENT_ONESHOT);
        }
        return 0;
}

int bus_server_listen(BusServer *b, int fd)
{
        int r;

        if (b->listen_fd >= 0)
                return -EBUSY;
        r = sd_event_add_time_relative(b->event, &b->listen_retry, CLOCK_MONOTONIC, 0, 0,
                                       listen_again, b);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->listen_retry, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_io(b->event, &b->listen_source, fd, EPOLLIN, peer_waits, b);
        if (r < 0) {
                b->listen_retry = sd_event_source_disable_unref(b->listen_retry);
                return r;
        }
        b->listen_fd = fd;
        return 0;
}

/* ---- life ---- */

int bus_server_new(Manager *m, sd_event *event, BusServer **ret)
{
        BusServer *b = g_new0(BusServer, 1);
        int r;

        b->manager = m;
        b->event = sd_event_ref(event);
        b->listen_fd = -1;
        list_init(&b->connections);
        list_init(&b->calls);
        list_init(&b->transients);
        r = signals_new(b, &b->signals);
        if (r < 0) {
                bus_server_free(b);
                return r;
        }
        *ret = b;
        return 0;
}

/* sd_bus_flush() waits for ever for a peer that does not read. The connection may go meanwhile. */
static void flush_until(sd_bus *bus, uint64_t until_ns)
{
        uint64_t n, now;

        while (sd_bus_is_open(bus) > 0 && sd_bus_get_n_queued_write(bus, &n) >= 0 && n > 0 &&
               (now = monotonic_now()) < until_ns) {
                struct pollfd p = { .fd = sd_bus_get_fd(bus), .events = POLLOUT };

                if (poll(&p, 1, (int)((until_ns - now) / NSEC_PER_MSEC + 1)) <= 0 ||
                    !(p.revents & POLLOUT) || sd_bus_process(bus, NULL) < 0)
                        return;
        }
}

void bus_server_flush(BusServer *b, uint64_t timeout_usec)
{
        uint64_t until_ns = monotonic_now() + timeout_usec * NSEC_PER_USEC;

        b->stopping = true;
        signals_flush(b->signals);
        LIST_FOREACH_SAFE (c, &b->connections, BusConnection, node) {
                sd_bus *bus = sd_bus_ref(c->bus);

                if (bus)
                        flush_until(bus, until_ns);
                sd_bus_unref(bus);
        }
}

BusServer *bus_server_free(BusServer *b)
{
        if (!b)
                return NULL;
        b->signals = signals_free(b->signals);
        LIST_FOREACH_SAFE (c, &b->connections, BusConnection, node)
                connection_free(c);
        calls_orphan(b);
        transients_free(b);
        sd_event_source_disable_unref(b->listen_source);
        sd_event_source_disable_unref(b->listen_retry);
        b->listen_fd = safe_close(b->listen_fd);
        sd_event_unref(b->event);
        g_free(b);
        return NULL;
}
