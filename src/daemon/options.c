/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/options.h"

#include <stdio.h>

#include <glib.h>

#include "base/parse.h"
#include "daemon/open-policy.h"

#define CONFIG_DIR "/etc/tgt"
#define STATE_DIR "/var/lib/tgt"
#define RUNTIME_DIR "/run/tgt"
#define WORKERS_MAX 64
#define SPIN_MAX 10000
#define CONTROL_PORT_MAX INT16_MAX

typedef struct Given {
        char *config_dir, *state_dir, *runtime_dir, *bus, *control_socket, *opener;
        char **portals, **rest;
        int workers, spin, control_port;
        gboolean debug, version;
} Given;

static int complain(const char *format, const char *what)
{
        fprintf(stderr, "tgtd: ");
        /* the formats are this file's own */
        fprintf(stderr, format, what);
        fprintf(stderr, "\n");
        return -EINVAL;
}

static int parse_given(Given *g, int argc, char **argv)
{
        GOptionEntry entries[] = {
                { "config-dir", 0, 0, G_OPTION_ARG_FILENAME, &g->config_dir,
                  "Read targets.conf and targets.d from DIR (" CONFIG_DIR ")", "DIR" },
                { "portal", 0, 0, G_OPTION_ARG_STRING_ARRAY, &g->portals,
                  "Listen on ADDR, port 3260; may be repeated", "ADDR[:PORT]" },
                { "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &g->state_dir,
                  "Keep identities and lasting changes in DIR (" STATE_DIR ")", "DIR" },
                { "runtime-dir", 0, 0, G_OPTION_ARG_FILENAME, &g->runtime_dir,
                  "Keep passing changes and the control socket in DIR", "DIR" },
                { "bus", 0, 0, G_OPTION_ARG_STRING, &g->bus,
                  "Be org.tgt1 on none, system, session or a D-Bus address (none)", "BUS" },
                { "control-port", 'C', 0, G_OPTION_ARG_INT, &g->control_port,
                  "Number of this instance, for a second one (0)", "N" },
                { "control-socket", 0, 0, G_OPTION_ARG_FILENAME, &g->control_socket,
                  "Serve tgtctl on PATH instead", "PATH" },
                { "opener", 0, 0, G_OPTION_ARG_FILENAME, &g->opener,
                  "Ask tgtd-open at PATH for what may not be opened; none: do not ask", "PATH" },
                { "workers", 0, 0, G_OPTION_ARG_INT, &g->workers,
                  "Threads that serve initiators (one per core)", "N" },
                { "spin", 0, 0, G_OPTION_ARG_INT, &g->spin,
                  "Poll so long before a thread sleeps: latency for processor time (0)", "USEC" },
                { "debug", 'd', 0, G_OPTION_ARG_NONE, &g->debug, "Log more", NULL },
                { "version", 0, 0, G_OPTION_ARG_NONE, &g->version, "Print the version", NULL },
                { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &g->rest, NULL, NULL },
                { NULL }
        };
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) copy = g_strdupv(argv);

        g_option_context_set_summary(context, "Serves SCSI logical units over iSCSI, in the "
                                              "foreground; see tgtd(8).");
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse_strv(context, &copy, &error))
                return complain("%s", error->message);
        if (g->rest)
                return complain("unexpected argument %s", g->rest[0]);
        return 0;
}

static int take_portals(const Given *g, Options *o)
{
        size_t n = g->portals ? g_strv_length(g->portals) : 0;

        o->portals = g_new0(SockAddr, MAX(n, (size_t)1));
        for (; o->n_portals < n; o->n_portals++)
                if (sockaddr_parse(g->portals[o->n_portals], 3260, true,
                                   &o->portals[o->n_portals]) < 0)
                        return complain("--portal=%s: expected ADDR, ADDR:PORT, [ADDR6]:PORT or "
                                        ":PORT; names are not looked up",
                                        g->portals[o->n_portals]);
        return 0;
}

static int take_bus(const Given *g, Options *o)
{
        if (!g->bus || STREQ(g->bus, "none"))
                return 0;
        if (!STREQ(g->bus, "system") && !STREQ(g->bus, "session") && !strchr(g->bus, ':'))
                return complain("--bus=%s: expected none, system, session or a D-Bus address",
                                g->bus);
        o->bus = g_strdup(g->bus);
        return 0;
}

static int take_numbers(const Given *g, Options *o)
{
        if (g->workers < 0 || g->workers > WORKERS_MAX)
                return complain("--workers: expected a number from 1 to %s", "64");
        if (g->spin < 0 || g->spin > SPIN_MAX)
                return complain("--spin: expected microseconds from 0 to %s", "10000");
        if (g->control_port < 0 || g->control_port > CONTROL_PORT_MAX)
                return complain("--control-port: expected a number from 0 to %s", "32767");
        o->workers = (unsigned)g->workers;
        o->spin = (unsigned)g->spin;
        o->debug = g->debug;
        return 0;
}

static char *or_default(const char *given, const char *environment, const char *otherwise)
{
        const char *set = g_getenv(environment);

        if (given)
                return g_canonicalize_filename(given, NULL);
        return g_strdup(set && *set ? set : otherwise);
}

/* Someone who keeps the state elsewhere runs an instance of his own: it has nothing to do with
 * /run/tgt. */
static char *default_runtime_dir(const Given *g, const Options *o)
{
        if (g->state_dir && !g_getenv("RUNTIME_DIRECTORY"))
                return g_build_filename(o->state_dir, "run", NULL);
        return g_strdup(RUNTIME_DIR);
}

static char *default_control_socket(const Given *g, const Options *o)
{
        const char *prefix = g_getenv("TGT_IPC_SOCKET");

        if (prefix && *prefix)
                return g_strdup_printf("%s.%d", prefix, g->control_port);
        if (g->control_port > 0)
                return g_strdup_printf("%s/control.%d", o->runtime_dir, g->control_port);
        return g_build_filename(o->runtime_dir, "control", NULL);
}

static void take_paths(const Given *g, Options *o)
{
        g_autofree char *runtime = NULL;

        /* not named: the vendor's fragments in /usr count too */
        o->config_dir = g->config_dir ? g_canonicalize_filename(g->config_dir, NULL) : NULL;
        o->state_dir = or_default(g->state_dir, "STATE_DIRECTORY", STATE_DIR);
        runtime = default_runtime_dir(g, o);
        o->runtime_dir = or_default(g->runtime_dir, "RUNTIME_DIRECTORY", runtime);
        o->control_socket =
                g->control_socket ? g_strdup(g->control_socket) : default_control_socket(g, o);
        if (!g->opener || !STREQ(g->opener, "none"))
                o->opener_socket = g_strdup(g->opener ? g->opener : OPEN_SOCKET_PATH);
}

static void given_clear(Given *g)
{
        g_free(g->config_dir);
        g_free(g->state_dir);
        g_free(g->runtime_dir);
        g_free(g->bus);
        g_free(g->control_socket);
        g_free(g->opener);
        g_strfreev(g->portals);
        g_strfreev(g->rest);
}

int options_parse(Options *o, int argc, char **argv)
{
        Given g = { 0 };
        int r;

        *o = (Options){ 0 };
        r = parse_given(&g, argc, argv);
        if (r >= 0 && g.version) {
                printf("tgtd " TGT_VERSION "\n");
                r = 1;
        } else if (r >= 0) {
                r = take_portals(&g, o);
                if (r >= 0)
                        r = take_bus(&g, o);
                if (r >= 0)
                        r = take_numbers(&g, o);
                if (r >= 0)
                        take_paths(&g, o);
        }
        given_clear(&g);
        return r;
}

void options_clear(Options *o)
{
        g_free(o->config_dir);
        g_free(o->state_dir);
        g_free(o->runtime_dir);
        g_free(o->bus);
        g_free(o->control_socket);
        g_free(o->opener_socket);
        g_free(o->portals);
        *o = (Options){ 0 };
}
