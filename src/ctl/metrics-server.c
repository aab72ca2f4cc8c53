/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <locale.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "base/list.h"
#include "ctl/args.h"
#include "ctl/connection.h"
#include "ctl/statistics.h"
#include "ctl/verb-functions.h"

/* tgt-metrics: GET /metrics on the socket that tgt-metrics.socket passes, for Prometheus. It asks
 * the daemon as any user may, and ends when nobody has come for a while; whoever comes next starts
 * it again. What a client can make it hold is bounded: connections, bytes of a request, time. */

#define CONNECTIONS_MAX 32
#define REQUEST_MAX (16 * KIB) /* request line and headers */
#define SILENCE_MAX 5          /* s: nothing moves on a connection */
#define CONNECTION_MAX 15      /* s: all of it, however it moves */
#define IDLE_MAX 60            /* s without a connection: ends */
#define LOOK_INTERVAL_MS 500

#define CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

typedef struct Connection {
        List link;
        int fd;
        int64_t since; /* usec */
} Connection;

typedef struct Server {
        const Verb *verb; /* metrics: reads only, so that nothing starts the daemon */
        Options options;
        List connections; /* Connection */
        int64_t active;   /* usec: when there last was one */
} Server;

/* ---- answers ---- */

/* A connection to the daemon of each scrape's own: the daemon comes and goes. */
static char *collect(Server *s)
{
        Ctl c = { .verb = s->verb, .options = s->options };
        char *text = NULL;

        if (ctl_connect(&c) == EXIT_CODE_OK)
                (void)metrics_collect(&c, &text);
        sd_bus_flush_close_unref(c.bus);
        g_free(c.connect_why);
        g_free(c.error_name);
        return text ? text : metrics_down();
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              char *body, const char *allow)
{
        struct MHD_Response *r =
                MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_COPY);
        enum MHD_Result result = MHD_NO;

        g_free(body);
        if (!r)
                return MHD_NO;
        if (MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
            MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES &&
            (!allow || MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, allow) == MHD_YES))
                result = MHD_queue_response(connection, status, r);
        MHD_destroy_response(r);
        return result;
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection,
                                  const char *url, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **state)
{
        static const char text[] = "text/plain; charset=utf-8";
        bool head = STREQ(method, MHD_HTTP_METHOD_HEAD);

        if (!head && !STREQ(method, MHD_HTTP_METHOD_GET))
                return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, text,
                              g_strdup("GET and HEAD are served here.\n"), "GET, HEAD");
        if (!STREQ(url, "/metrics"))
                return answer(connection, MHD_HTTP_NOT_FOUND, text,
                              g_strdup("There is only /metrics.\n"), NULL);
        return answer(connection, MHD_HTTP_OK, CONTENT_TYPE, collect(userdata), NULL);
}

/* ---- bounds ---- */

static void on_connection(void *userdata, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode code)
{
        Server *s = userdata;
        const union MHD_ConnectionInfo *info;
        Connection *x = *state;

        if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
                if (x)
                        list_remove(&x->link);
                g_free(x);
                *state = NULL;
                return;
        }
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        x = g_new0(Connection, 1);
        x->fd = info ? info->connect_fd : -1;
        x->since = g_get_monotonic_time();
        list_append(&s->connections, &x->link);
        *state = x;
}

/* One byte now and then keeps a connection from being silent. */
static void end_old(Server *s)
{
        int64_t now = g_get_monotonic_time();

        LIST_FOREACH (x, &s->connections, Connection, link)
                if (now - x->since > CONNECTION_MAX * G_USEC_PER_SEC && x->fd >= 0)
                        (void)shutdown(x->fd, SHUT_RDWR);
        if (!list_empty(&s->connections))
                s->active = now;
}

static int serve(Server *s, int fd)
{
        struct MHD_Daemon *d = MHD_start_daemon(
                MHD_USE_EPOLL, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
                MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                (size_t)REQUEST_MAX, MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_MAX,
                MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_END);

        if (!d) {
                (void)fprintf(stderr, "tgt-metrics: cannot serve on the socket that was passed\n");
                return EXIT_CODE_FAILURE;
        }
        s->active = g_get_monotonic_time();
        while (g_get_monotonic_time() - s->active < IDLE_MAX * G_USEC_PER_SEC) {
                if (MHD_run_wait(d, LOOK_INTERVAL_MS) != MHD_YES)
                        break;
                end_old(s);
        }
        MHD_stop_daemon(d);
        return EXIT_CODE_OK;
}

static int run(Server *s, int argc, char **argv)
{
        char *const metrics[] = { (char *)"metrics", NULL };
        Ctl c = { 0 };
        unsigned words;
        char **args;
        int code;

        s->verb = verb_find(metrics, &words);
        options_init(&c.options);
        code = args_parse(&c, argc, argv, &args);
        s->options = c.options;
        if (code == EXIT_CODE_OK && (c.options.help || c.options.version || optind < argc)) {
                (void)puts("tgt-metrics [--bus=BUS|--socket=PATH|--control-port=N]\n\n"
                           "Serves /metrics on the one socket that the service manager passes; see "
                           "tgt-metrics.socket(8).");
                code = c.options.help || c.options.version ? EXIT_CODE_OK : EXIT_CODE_USAGE;
        } else if (code == EXIT_CODE_OK && sd_listen_fds(0) != 1) {
                (void)fprintf(stderr,
                              "tgt-metrics: one listening socket is expected from the service "
                              "manager; start tgt-metrics.socket\n");
                code = EXIT_CODE_USAGE;
        } else if (code == EXIT_CODE_OK)
                code = serve(s, SD_LISTEN_FDS_START);
        options_done(&c.options);
        return code;
}

int main(int argc, char **argv)
{
        Server s = { 0 };

        (void)setlocale(LC_ALL, "");
        list_init(&s.connections);
        return run(&s, argc, argv);
}
