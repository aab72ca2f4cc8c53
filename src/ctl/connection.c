/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/agent.h"
#include "ctl/connection.h"
#include "ctl/message.h"

#define CONTROL_SOCKET "/run/tgt/control"
/* somebody may be typing a password, or thousands of targets are being set up */
#define CHANGE_TIMEOUT_USEC (10 * 60 * UINT64_C(1000000))
#define READ_TIMEOUT_USEC (60 * UINT64_C(1000000))

const char *ctl_start_hint(void)
{
        return "Start it with: systemctl start tgtd.service\n"
               "Or let the first initiator start it: systemctl enable --now tgtd.socket";
}

/* The first row whose name fits decides; a name that ends in '.' fits all that begin so. */
static const struct {
        const char *name;
        ExitCode code;
} error_codes[] = {
        { "org.tgt1.Error.NotFound", EXIT_CODE_NOT_FOUND },
        { "org.tgt1.Error.Exists", EXIT_CODE_CONFLICT },
        { "org.tgt1.Error.InUse", EXIT_CODE_CONFLICT },
        { "org.tgt1.Error.Conflict", EXIT_CODE_CONFLICT },
        { "org.tgt1.Error.Unconfirmed", EXIT_CODE_CONFLICT },
        { "org.tgt1.Error.DefinedByAdministrator", EXIT_CODE_CONFLICT },
        { SD_BUS_ERROR_UNKNOWN_OBJECT, EXIT_CODE_NOT_FOUND },
        { SD_BUS_ERROR_ACCESS_DENIED, EXIT_CODE_DENIED },
        { SD_BUS_ERROR_AUTH_FAILED, EXIT_CODE_DENIED },
        { SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, EXIT_CODE_DENIED },
        { "org.freedesktop.PolicyKit1.Error.", EXIT_CODE_DENIED },
        { "System.Error.EACCES", EXIT_CODE_DENIED },
        { "System.Error.EPERM", EXIT_CODE_DENIED },
        { SD_BUS_ERROR_SERVICE_UNKNOWN, EXIT_CODE_NOT_RUNNING },
        { SD_BUS_ERROR_NAME_HAS_NO_OWNER, EXIT_CODE_NOT_RUNNING },
        { SD_BUS_ERROR_NO_REPLY, EXIT_CODE_NOT_RUNNING },
        { SD_BUS_ERROR_TIMEOUT, EXIT_CODE_NOT_RUNNING },
        { "org.freedesktop.DBus.Error.TimedOut", EXIT_CODE_NOT_RUNNING },
        { "System.Error.ETIMEDOUT", EXIT_CODE_NOT_RUNNING },
        { SD_BUS_ERROR_DISCONNECTED, EXIT_CODE_NOT_RUNNING },
        { SD_BUS_ERROR_NO_SERVER, EXIT_CODE_NOT_RUNNING },
        { "org.freedesktop.DBus.Error.Spawn.", EXIT_CODE_NOT_RUNNING },
        { "org.freedesktop.systemd1.", EXIT_CODE_NOT_RUNNING },
        { "System.Error.ECONNRESET", EXIT_CODE_NOT_RUNNING },
        { "System.Error.ENOTCONN", EXIT_CODE_NOT_RUNNING },
};

ExitCode error_exit_code(const char *name)
{
        for (size_t i = 0; name && i < ELEMENTSOF(error_codes); i++) {
                size_t n = strlen(error_codes[i].name);

                if (error_codes[i].name[n - 1] == '.' ? strncmp(name, error_codes[i].name, n) == 0
                                                      : STREQ(name, error_codes[i].name))
                        return error_codes[i].code;
        }
        return EXIT_CODE_FAILURE;
}

char *control_socket_path(const char *socket, int64_t control_port)
{
        const char *e = getenv("TGT_IPC_SOCKET");

        if (socket)
                return g_strdup(socket);
        if (e && *e) /* as with stgt, the number is always there */
                return g_strdup_printf("%s.%" PRIi64, e, MAX(control_port, 0));
        /* the first instance has no number in its name */
        return control_port > 0 ? g_strdup_printf(CONTROL_SOCKET ".%" PRIi64, control_port)
                                : g_strdup(CONTROL_SOCKET);
}

static int refuse(Ctl *c, ExitCode code, const char *format, ...) _printf_(3, 4);
static int refuse(Ctl *c, ExitCode code, const char *format, ...)
{
        va_list ap;

        g_free(c->connect_why);
        va_start(ap, format);
        c->connect_why = g_strdup_vprintf(format, ap);
        va_end(ap);
        return code;
}

static int connect_socket(Ctl *c, const char *path)
{
        g_autofree char *escaped = g_uri_escape_string(path, "/", false);
        g_autofree char *address = g_strdup_printf("unix:path=%s", escaped);
        sd_bus *bus = NULL;
        int r = sd_bus_new(&bus);

        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_flush(bus); /* authentication is over, or failed */
        if (r < 0)
                sd_bus_close_unref(bus);
        if (r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR)
                return refuse(c, EXIT_CODE_NOT_RUNNING,
                              "tgtd is not running (nobody listens on %s).\n%s", path,
                              ctl_start_hint());
        if (r == -EACCES || r == -EPERM || r == -ECONNRESET || r == -EPIPE)
                return refuse(c, EXIT_CODE_DENIED,
                              "tgtd refuses to talk on %s: only root and the user it runs as may "
                              "use the private socket.",
                              path);
        if (r < 0)
                return refuse(c, EXIT_CODE_NOT_RUNNING, "Cannot connect to %s: %s.", path,
                              g_strerror(-r));
        c->bus = bus;
        c->peer = true;
        return EXIT_CODE_OK;
}

bool ctl_is_on_bus(sd_bus *bus)
{
        sd_bus_message *reply = NULL;
        int owned = 0;

        if (sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                               "org.freedesktop.DBus", "NameHasOwner", NULL, &reply, "s",
                               BUS_NAME) < 0 ||
            sd_bus_message_read(reply, "b", &owned) < 0)
                owned = 0;
        sd_bus_message_unref(reply);
        return owned;
}

static bool is_there(const Ctl *c)
{
        if (!c->peer)
                return ctl_is_on_bus(c->bus);
        return sd_bus_is_open(c->bus) > 0 && sd_bus_process(c->bus, NULL) >= 0;
}

bool ctl_wait_for_end(Ctl *c)
{
        const struct timespec pause = { .tv_nsec = 100 * (long)NSEC_PER_MSEC };

        for (unsigned i = 0; i < 300; i++) {
                if (!is_there(c))
                        return true;
                (void)nanosleep(&pause, NULL);
        }
        return false;
}

static bool name_is_activatable(sd_bus *bus)
{
        char **names = NULL;
        bool found = false;

        if (sd_bus_list_names(bus, NULL, &names) < 0)
                return false;
        for (char **n = names; n && *n; n++) {
                found = found || STREQ(*n, BUS_NAME);
                free(*n);
        }
        free(names);
        return found;
}

static int open_bus(const char *which, sd_bus **ret)
{
        int r;

        if (!which || STREQ(which, "system"))
                return sd_bus_open_system(ret);
        if (STREQ(which, "session") || STREQ(which, "user"))
                return sd_bus_open_user(ret);
        r = sd_bus_new(ret);
        if (r >= 0)
                r = sd_bus_set_address(*ret, which);
        if (r >= 0)
                r = sd_bus_set_bus_client(*ret, true);
        if (r >= 0)
                r = sd_bus_start(*ret);
        if (r < 0)
                *ret = sd_bus_close_unref(*ret);
        return r;
}

/* only: a bus was named, so the private socket is not tried. */
static int connect_bus(Ctl *c, const char *which, bool only)
{
        bool may_start = !(c->verb->flags & VERB_READ_ONLY);
        g_autofree char *path = NULL;
        sd_bus *bus = NULL;
        int r = open_bus(which, &bus), code;

        if (r >= 0 && ctl_is_on_bus(bus)) {
                c->bus = bus;
                return EXIT_CODE_OK;
        }
        if (!only) {
                path = control_socket_path(NULL, -1);
                code = connect_socket(c, path);
                if (code == EXIT_CODE_OK || (code == EXIT_CODE_DENIED && r < 0)) {
                        sd_bus_flush_close_unref(bus);
                        return code;
                }
        }
        if (r >= 0 && may_start && name_is_activatable(bus)) {
                c->bus = bus;
                return EXIT_CODE_OK;
        }
        sd_bus_flush_close_unref(bus);
        if (r < 0 && only)
                return refuse(c, EXIT_CODE_NOT_RUNNING, "Cannot connect to the %s bus: %s.", which,
                              g_strerror(-r));
        if (r < 0)
                return refuse(c, EXIT_CODE_NOT_RUNNING,
                              "tgtd is not running (no system bus: %s; and nobody listens on %s)."
                              "\n%s",
                              g_strerror(-r), path, ctl_start_hint());
        return refuse(c, EXIT_CODE_NOT_RUNNING,
                      "tgtd is not running (%s is not on the %s bus).\n%s", BUS_NAME,
                      which ? which : "system", ctl_start_hint());
}

static int connect_any(Ctl *c)
{
        const Options *o = &c->options;
        g_autofree char *path = NULL;
        bool private = o->bus && STREQ(o->bus, "private");

        if (o->socket || o->control_port >= 0 || private || (!o->bus && getenv("TGT_IPC_SOCKET"))) {
                path = control_socket_path(o->socket, o->control_port);
                return connect_socket(c, path);
        }
        return connect_bus(c, o->bus, o->bus != NULL);
}

int ctl_connect(Ctl *c)
{
        bool interactive = !c->options.no_ask_password && !(c->verb->flags & VERB_READ_ONLY);

        if (c->connected)
                return c->connect_code;
        c->connected = true;
        c->connect_code = connect_any(c);
        if (c->connect_code == EXIT_CODE_OK && interactive && !c->peer) {
                (void)sd_bus_set_allow_interactive_authorization(c->bus, true);
                agent_open();
        }
        return c->connect_code;
}

int ctl_need(Ctl *c)
{
        int code = ctl_connect(c);

        return code == EXIT_CODE_OK ? code : ctl_fail(c, code, "%s", c->connect_why);
}

int ctl_bad_message(Ctl *c, int r)
{
        return ctl_fail(c, EXIT_CODE_FAILURE, "A message to or from tgtd makes no sense: %s.",
                        g_strerror(-r));
}

int ctl_method(Ctl *c, const char *path, const char *interface, const char *member,
               sd_bus_message **ret)
{
        int code = ctl_need(c), r;

        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_new_method_call(c->bus, ret, c->peer ? NULL : BUS_NAME, path, interface,
                                           member);
        if (r >= 0)
                /* whatever happens between our look at the bus and this call */
                r = sd_bus_message_set_auto_start(*ret, !(c->verb->flags & VERB_READ_ONLY));
        return r < 0 ? ctl_bad_message(c, r) : EXIT_CODE_OK;
}

int ctl_invoke_quiet(Ctl *c, sd_bus_message *m, sd_bus_error *error, sd_bus_message **ret_reply)
{
        uint64_t timeout =
                c->verb->flags & VERB_READ_ONLY ? READ_TIMEOUT_USEC : CHANGE_TIMEOUT_USEC;
        int r = sd_bus_call(c->bus, m, timeout, error, ret_reply);

        sd_bus_message_unref(m);
        if (r >= 0)
                return EXIT_CODE_OK;
        if (!sd_bus_error_is_set(error))
                (void)sd_bus_error_set_errno(error, r);
        return error_exit_code(error->name);
}

char *ctl_in_our_words(const char *message)
{
        GString *s = g_string_new(message);

        (void)g_string_replace(s, "the option force", "--force", 0);
        (void)g_string_replace(s, "use force", "use --force", 0);
        (void)g_string_replace(s, "use runtime or force", "use --runtime or --force", 0);
        return g_string_free(s, FALSE);
}

int ctl_report_error(Ctl *c, int code, const sd_bus_error *error)
{
        g_autofree char *text = ctl_in_our_words(error->message ? error->message : error->name);
        const char *hint = "";

        g_free(c->error_name);
        c->error_name = g_strdup(error->name);
        if (c->caught) /* the words of whoever catches it */
                return ctl_fail(c, (ExitCode)code, "%s", text);
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED)) {
                text[strcspn(text, ";")] = '\0'; /* what follows is for who calls the method */
                hint = ".\nRun it on a terminal and without --no-ask-password, or as root.";
        } else if (code == EXIT_CODE_DENIED && geteuid() != 0)
                hint = "\npolkit decides who may do this; root always may.";
        else if (code == EXIT_CODE_NOT_RUNNING)
                hint = "\nSee: systemctl status tgtd.service";
        return ctl_fail(c, (ExitCode)code, "%s%s", text, hint);
}

int ctl_invoke(Ctl *c, sd_bus_message *m, sd_bus_message **ret_reply)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int code = ctl_invoke_quiet(c, m, &error, ret_reply);

        if (code != EXIT_CODE_OK)
                (void)ctl_report_error(c, code, &error);
        sd_bus_error_free(&error);
        return code;
}

int ctl_get_all(Ctl *c, const char *path, const char *interface, json_t **ret)
{
        sd_bus_message *m = NULL, *reply = NULL;
        int r, code = ctl_method(c, path, "org.freedesktop.DBus.Properties", "GetAll", &m);

        if (code != EXIT_CODE_OK)
                return code;
        r = sd_bus_message_append(m, "s", interface);
        if (r < 0) {
                sd_bus_message_unref(m);
                return ctl_bad_message(c, r);
        }
        code = ctl_invoke(c, m, &reply);
        if (code != EXIT_CODE_OK)
                return code;
        r = message_read_json(reply, ret);
        sd_bus_message_unref(reply);
        return r < 0 ? ctl_bad_message(c, r) : EXIT_CODE_OK;
}
