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
#define WAKE_MAX 1000000
#define CONTROL_PORT_MAX INT16_MAX
/* below the directories of the first instance: another one shares nothing with it */
#define INSTANCE "instance.%d"

typedef struct Given {
        char *config_dir, *state_dir, *runtime_dir, *bus, *control_socket, *opener;
        char **portals, **rest;
        char **iscsi, *iser, *pid_file;
        int threads;
        gboolean foreground, no_daemon;
        int workers, spin, wake, control_port;
        bool debug;
        gboolean version;
} Given;

static int complain(const char *format, const char *what)
{
        fprintf(stderr, "tgtd: ");
        /* the formats are this file's own */
        fprintf(stderr, format, what);
        fprintf(stderr, "\n");
        return -EINVAL;
}

/* stgt's takes 0 or 1; without a value it is on. */
static gboolean take_debug(const char *name, const char *value, gpointer data, GError **error)
{
        Given *g = data;

        if (value && !STREQ(value, "0") && !STREQ(value, "1")) {
                g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                            "%s %s: 0 or 1 expected", name, value);
                return FALSE;
        }
        g->debug = !value || *value == '1';
        return TRUE;
}

static int parse_given(Given *g, int argc, char **argv)
{
        GOptionGroup *group;
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
                { "wake-cost", 0, 0, G_OPTION_ARG_INT, &g->wake,
                  "What it takes to wake a thread on another processor (measured)", "USEC" },
                { "debug", 'd', G_OPTION_FLAG_OPTIONAL_ARG, G_OPTION_ARG_CALLBACK,
                  (gpointer)take_debug, "Log more", "0|1" },
                { "iscsi", 0, 0, G_OPTION_ARG_STRING_ARRAY, &g->iscsi,
                  "As --portal, in the words of stgt", "portal=ADDR[:PORT],..." },
                { "iser", 0, 0, G_OPTION_ARG_STRING, &g->iser, "Not supported by this build",
                  "..." },
                { "pid-file", 'p', 0, G_OPTION_ARG_FILENAME, &g->pid_file,
                  "Write the process id into FILE", "FILE" },
                { "foreground", 'f', 0, G_OPTION_ARG_NONE, &g->foreground,
                  "Taken for stgt's sake: it always is", NULL },
                { "nodaemonize", 'D', 0, G_OPTION_ARG_NONE, &g->no_daemon,
                  "Taken for stgt's sake: as --foreground", NULL },
                { "nr_iothreads", 't', 0, G_OPTION_ARG_INT, &g->threads,
                  "Taken for stgt's sake, and without effect; see --workers", "N" },
                { "version", 0, 0, G_OPTION_ARG_NONE, &g->version, "Print the version", NULL },
                { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &g->rest, NULL, NULL },
                { NULL }
        };
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) copy = g_strdupv(argv);

        g_option_context_set_summary(context, "Serves SCSI logical units over iSCSI, in the "
                                              "foreground; see tgtd(8).");
        group = g_option_group_new("tgtd", NULL, NULL, g, NULL); /* g: for take_debug() */
        g_option_group_add_entries(group, entries);
        g_option_context_set_main_group(context, group);
        if (!g_option_context_parse_strv(context, &copy, &error))
                return complain("%s", error->message);
        if (g->rest)
                return complain("unexpected argument %s", g->rest[0]);
        return 0;
}

static int take_portal(const char *option, const char *text, Options *o)
{
        SockAddr *address = &o->portals[o->n_portals];
        g_autofree char *whole = g_strconcat(option, text, NULL);

        if (sockaddr_parse(text, 3260, true, address) < 0)
                return complain("%s: expected ADDR, ADDR:PORT, [ADDR6]:PORT or :PORT; names are "
                                "not looked up",
                                whole);
        o->n_portals++;
        return 0;
}

/* "portal=ADDR,portal=ADDR,nop_interval=0" of stgt */
static int take_iscsi(const char *text, Options *o)
{
        g_auto(GStrv) words = g_strsplit(text, ",", -1);

        o->portals = g_renew(SockAddr, o->portals, o->n_portals + g_strv_length(words) + 1);
        for (char **w = words; *w; w++) {
                if (g_str_has_prefix(*w, "portal=")) {
                        int r = take_portal("--iscsi portal=", *w + strlen("portal="), o);

                        if (r < 0)
                                return r;
                } else if (!STREQ(*w, "nop_interval=0") && !g_str_has_prefix(*w, "nop_count=")) {
                        return complain("--iscsi %s: expected portal=ADDR[:PORT]; nop_interval and "
                                        "nop_count are set for each target, see targets.conf(5)",
                                        *w);
                }
        }
        return 0;
}

static int take_portals(const Given *g, Options *o)
{
        size_t n = g->portals ? g_strv_length(g->portals) : 0;
        int r = 0;

        if (g->iser)
                return complain("--iser %s: not supported by this build", g->iser);
        o->portals = g_new0(SockAddr, n + 1);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = take_portal("--portal=", g->portals[i], o);
        for (char **i = g->iscsi; i && *i && r >= 0; i++)
                r = take_iscsi(*i, o);
        return r;
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
        if (g->wake < -1 || g->wake > WAKE_MAX)
                return complain("--wake-cost: expected microseconds from 0 to %s", "1000000");
        if (g->control_port < 0 || g->control_port > CONTROL_PORT_MAX)
                return complain("--control-port: expected a number from 0 to %s", "32767");
        o->workers = (unsigned)g->workers;
        o->spin = (unsigned)g->spin;
        o->wake = g->wake;
        o->debug = g->debug;
        return 0;
}

/* otherwise: newly allocated, taken */
static char *or_default(const char *given, const char *environment, char *otherwise)
{
        g_autofree char *owned = otherwise;
        const char *set = g_getenv(environment);

        if (given)
                return g_canonicalize_filename(given, NULL);
        return set && *set ? g_strdup(set) : TAKE_PTR(owned);
}

static char *instance_dir(const Given *g, const char *dir)
{
        if (g->control_port == 0)
                return g_strdup(dir);
        return g_strdup_printf("%s/" INSTANCE, dir, g->control_port);
}

/* Someone who keeps the state elsewhere runs an instance of his own: it has nothing to do with
 * /run/tgt. */
static char *default_runtime_dir(const Given *g, const Options *o)
{
        if (g->state_dir && !g_getenv("RUNTIME_DIRECTORY"))
                return g_build_filename(o->state_dir, "run", NULL);
        return instance_dir(g, RUNTIME_DIR);
}

/* Where tgtctl and tgtadm look for it. */
static char *default_control_socket(const Given *g, const Options *o)
{
        const char *prefix = g_getenv("TGT_IPC_SOCKET");
        bool elsewhere = g->runtime_dir || g->state_dir || g_getenv("RUNTIME_DIRECTORY");

        if (prefix && *prefix)
                return g_strdup_printf("%s.%d", prefix, g->control_port);
        if (g->control_port > 0)
                return g_strdup_printf("%s/control.%d", elsewhere ? o->runtime_dir : RUNTIME_DIR,
                                       g->control_port);
        return g_build_filename(o->runtime_dir, "control", NULL);
}

static void take_paths(const Given *g, Options *o)
{
        /* not named: the vendor's fragments in /usr count too */
        if (g->config_dir)
                o->config_dir = g_canonicalize_filename(g->config_dir, NULL);
        else if (g->control_port > 0)
                o->config_dir = instance_dir(g, CONFIG_DIR);
        o->state_dir = or_default(g->state_dir, "STATE_DIRECTORY", instance_dir(g, STATE_DIR));
        o->runtime_dir = or_default(g->runtime_dir, "RUNTIME_DIRECTORY", default_runtime_dir(g, o));
        o->control_socket =
                g->control_socket ? g_strdup(g->control_socket) : default_control_socket(g, o);
        o->pid_file = g_strdup(g->pid_file);
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
        g_free(g->iser);
        g_free(g->pid_file);
        g_strfreev(g->iscsi);
        g_strfreev(g->portals);
        g_strfreev(g->rest);
}

int options_parse(Options *o, int argc, char **argv)
{
        Given g = { .wake = -1 };
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
        g_free(o->pid_file);
        g_free(o->opener_socket);
        g_free(o->portals);
        *o = (Options){ 0 };
}
