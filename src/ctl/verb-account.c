/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <termios.h>

#include "ctl/change.h"
#include "ctl/connection.h"
#include "ctl/model.h"
#include "ctl/verb-functions.h"

#define SECRET_MAX 1024

static const char *const no_outs[] = { NULL };
static const char *const object_outs[] = { "Object", NULL };

/* Secrets are wiped when they are done with. */
static void secret_free(char *s)
{
        if (s)
                explicit_bzero(s, strlen(s));
        g_free(s);
}

DEFINE_CLEANUP(char *, secret_free);

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
        interrupted = signal;
}

/* The first line of fd, at most SECRET_MAX bytes; read byte by byte, since what follows it is not
 * ours. -EMSGSIZE: longer; -EINVAL: a NUL in it; -ENODATA: nothing there;
 * -EINTR: the user gave up. */
static int read_line(int fd, char **ret)
{
        _cleanup_(secret_freep) char *line = g_malloc0(SECRET_MAX + 1);
        size_t n = 0;

        for (;;) {
                char b;
                ssize_t r = read(fd, &b, 1);

                if (r < 0 && errno == EINTR && !interrupted)
                        continue;
                if (r < 0)
                        return -errno;
                if (r == 0 || b == '\n')
                        break;
                if (b == '\0')
                        return -EINVAL;
                if (n == SECRET_MAX)
                        return -EMSGSIZE;
                line[n++] = b;
        }
        if (n > 0 && line[n - 1] == '\r')
                line[n - 1] = '\0';
        if (line[0] == '\0')
                return -ENODATA;
        *ret = TAKE_PTR(line);
        return 0;
}

static int read_from(Ctl *c, int fd, const char *what, char **ret)
{
        int r = read_line(fd, ret);

        if (r == -EINTR)
                return ctl_fail(c, EXIT_CODE_FAILURE, "Interrupted.");
        if (r == -ENODATA)
                return ctl_fail(c, EXIT_CODE_USAGE, "There is no secret in %s.", what);
        if (r < 0)
                return ctl_fail(c, EXIT_CODE_FAILURE, "The secret cannot be read from %s: %s.",
                                what, g_strerror(-r));
        return EXIT_CODE_OK;
}

static int read_file(Ctl *c, const char *path, char **ret)
{
        _cleanup_close_ int fd = -1;
        struct stat st;

        if (STREQ(path, "-"))
                return read_from(c, STDIN_FILENO, "standard input", ret);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return ctl_fail(c, EXIT_CODE_FAILURE, "Cannot open %s: %s.", path,
                                g_strerror(errno));
        if (fstat(fd, &st) >= 0 && S_ISREG(st.st_mode) && (st.st_mode & 0077))
                ctl_note(c, "Others may read %s; consider chmod 600.", path);
        return read_from(c, fd, path, ret);
}

/* One line without echo. Whoever interrupts gets his echo back first. */
static int prompt_once(Ctl *c, int tty, const char *prompt, char **ret)
{
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
        struct sigaction old_actions[ELEMENTSOF(signals)], action = { .sa_handler = on_interrupt };
        struct termios old, quiet;
        int r;

        if (tcgetattr(tty, &old) < 0)
                return ctl_fail(c, EXIT_CODE_FAILURE, "Cannot ask on the terminal: %s.",
                                g_strerror(errno));
        interrupted = 0;
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                (void)sigaction(signals[i], &action, &old_actions[i]);
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        quiet.c_lflag |= ECHONL | ICANON | ISIG;
        (void)dprintf(tty, "%s", prompt);
        (void)tcsetattr(tty, TCSAFLUSH, &quiet);
        r = read_from(c, tty, "what was typed", ret);
        (void)tcsetattr(tty, TCSAFLUSH, &old);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                (void)sigaction(signals[i], &old_actions[i], NULL);
        if (interrupted)
                (void)raise(interrupted);
        return r;
}

static int prompt(Ctl *c, const char *user, char **ret)
{
        _cleanup_close_ int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        _cleanup_(secret_freep) char *first = NULL, *second = NULL;
        g_autofree char *text = g_strdup_printf("CHAP secret of %s: ", user);
        int code;

        if (tty < 0)
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "There is no terminal to ask for the secret; use --secret-file.");
        code = prompt_once(c, tty, text, &first);
        if (code == EXIT_CODE_OK)
                code = prompt_once(c, tty, "Once more: ", &second);
        if (code != EXIT_CODE_OK)
                return code;
        if (!STREQ(first, second))
                return ctl_fail(c, EXIT_CODE_USAGE, "The two are not the same.");
        *ret = TAKE_PTR(first);
        return EXIT_CODE_OK;
}

/* --secret, --secret-file, standard input if somebody pipes into it, the terminal. */
static int get_secret(Ctl *c, const char *user, char **ret)
{
        const Options *o = &c->options;

        if (o->secret && o->secret_file)
                return ctl_fail(c, EXIT_CODE_USAGE, "Give --secret or --secret-file, not both.");
        if (o->secret) {
                *ret = g_strdup(o->secret);
                return EXIT_CODE_OK;
        }
        if (o->secret_file)
                return read_file(c, o->secret_file, ret);
        if (!isatty(STDIN_FILENO))
                return read_from(c, STDIN_FILENO, "standard input", ret);
        if (o->no_ask_password)
                return ctl_fail(c, EXIT_CODE_USAGE,
                                "A secret is needed and may not be asked for; use --secret-file.");
        return prompt(c, user, ret);
}

/* The method for a target, or for discovery if there is none. */
static int begin(Ctl *c, const char *target, const char *member, const char *discovery,
                 sd_bus_message **ret)
{
        if (target)
                return change_begin_target(c, target, member, ret);
        return change_begin(c, BUS_ROOT, IFACE("Manager"), discovery, ret);
}

static const char *direction(const Ctl *c)
{
        return c->options.outgoing ? "outgoing" : "incoming";
}

int verb_account_add(Ctl *c, char **args)
{
        const char *target = args[1] ? args[0] : NULL, *user = args[1] ? args[1] : args[0];
        _cleanup_(secret_freep) char *secret = NULL;
        sd_bus_message *m = NULL;
        int r, code = begin(c, target, "AddAccount", "AddDiscoveryAccount", &m);

        if (code != EXIT_CODE_OK)
                return code;
        code = get_secret(c, user, &secret);
        if (code != EXIT_CODE_OK) {
                sd_bus_message_unref(m);
                return code;
        }
        r = sd_bus_message_sensitive(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "sss", user, secret, direction(c));
        return change_finish(c, m, r, OPTIONS_ALL, target ? object_outs : no_outs);
}

/* ---- accounts that nobody asks for yet --------------------------------------------------------
 */

int verb_account_create(Ctl *c, char **args)
{
        _cleanup_(secret_freep) char *secret = NULL;
        sd_bus_message *m = NULL;
        int r, code = change_begin(c, BUS_ROOT, IFACE("Manager"), "AddAccount", &m);

        if (code != EXIT_CODE_OK)
                return code;
        code = get_secret(c, args[0], &secret);
        if (code != EXIT_CODE_OK) {
                sd_bus_message_unref(m);
                return code;
        }
        r = sd_bus_message_sensitive(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", args[0], secret);
        return change_finish(c, m, r, OPTIONS_ALL, no_outs);
}

int verb_account_delete(Ctl *c, char **args)
{
        sd_bus_message *m = NULL;
        int code = change_begin(c, BUS_ROOT, IFACE("Manager"), "RemoveAccount", &m);

        if (code != EXIT_CODE_OK)
                return code;
        return change_finish(c, m, sd_bus_message_append(m, "s", args[0]), OPTIONS_ALL, no_outs);
}

int verb_account_bind(Ctl *c, char **args)
{
        g_autofree char *target = args[1] ? NULL : g_strdup("");
        const char *user = args[1] ? args[1] : args[0];
        sd_bus_message *m = NULL;
        int code = target ? EXIT_CODE_OK : model_resolve(c, args[0], &target, NULL);

        if (code == EXIT_CODE_OK)
                code = change_begin(c, BUS_ROOT, IFACE("Manager"), "BindAccount", &m);
        if (code != EXIT_CODE_OK)
                return code;
        return change_finish(c, m, sd_bus_message_append(m, "sss", target, user, direction(c)),
                             OPTIONS_ALL, no_outs);
}

/* ---- accounts of targets, and of discovery ----------------------------------------------------
 */

int verb_account_remove(Ctl *c, char **args)
{
        const char *target = args[1] ? args[0] : NULL, *user = args[1] ? args[1] : args[0];
        sd_bus_message *m = NULL;
        int code = begin(c, target, "RemoveAccount", "RemoveDiscoveryAccount", &m);

        if (code != EXIT_CODE_OK)
                return code;
        return change_finish(c, m, sd_bus_message_append(m, "ss", user, direction(c)), OPTIONS_ALL,
                             no_outs);
}
