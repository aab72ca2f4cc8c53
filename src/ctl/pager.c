/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <glib.h>
#include <langinfo.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "ctl/pager.h"

static pid_t pager_pid;
static int saved_stdout = -1;

static bool privileges_are_borrowed(void)
{
        return getenv("SUDO_UID") || getenv("PKEXEC_UID") || geteuid() != getuid();
}

static void set_default(const char *name, const char *own, const char *value)
{
        const char *e = getenv(own);

        g_setenv(name, e ? e : value, true);
}

/* In the child; returns only if nothing could be started. */
static void exec_pager(const char *command, bool secure)
{
        /* quit if it fits, colors, cut lines, keep the screen, leave on interrupt */
        set_default("LESS", "TGT_LESS", "FRSXMK");
        if (STREQ(nl_langinfo(CODESET), "UTF-8"))
                g_setenv("LESSCHARSET", "utf-8", true);
        if (secure) {
                g_setenv("LESSSECURE", "1", true);
                g_unsetenv("LESSOPEN");
                g_unsetenv("LESSCLOSE");
                execlp("less", "less", NULL);
                return;
        }
        if (command)
                execl("/bin/sh", "sh", "-c", command, NULL);
        execlp("less", "less", NULL);
        execlp("more", "more", NULL);
}

static void run_child(int fd, const char *command, bool secure, int ready)
{
        char failed = 1;

        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void)signal(SIGINT, SIG_DFL);
        if (dup2(fd, STDIN_FILENO) >= 0)
                exec_pager(command, secure);
        /* the other end closes itself when a pager does start */
        (void)!write(ready, &failed, 1);
        _exit(127);
}

int pager_open(void)
{
        const char *command = getenv("TGT_PAGER");
        _cleanup_close_ int in = -1, out = -1, wait_for = -1, ready = -1;
        bool secure = privileges_are_borrowed();
        int fds[2];
        char failed;

        if (pager_pid > 0 || !isatty(STDOUT_FILENO) || !isatty(STDERR_FILENO))
                return 0;
        if (!command)
                command = getenv("PAGER");
        if (command && (!*command || STREQ(command, "cat")))
                return 0;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return 0;
        in = fds[0];
        out = fds[1];
        if (pipe2(fds, O_CLOEXEC) < 0)
                return 0;
        wait_for = fds[0];
        ready = fds[1];

        (void)fflush(stdout);
        pager_pid = fork();
        if (pager_pid < 0) {
                pager_pid = 0;
                return 0;
        }
        if (pager_pid == 0)
                run_child(in, command, secure, ready);

        ready = safe_close(ready);
        if (read(wait_for, &failed, 1) != 0) {
                (void)waitpid(pager_pid, NULL, 0);
                pager_pid = 0;
                return 0;
        }
        saved_stdout = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        if (saved_stdout >= 0)
                (void)dup2(out, STDOUT_FILENO);
        /* ^C ends the reader's search, not us before him; a reader who quits early is no error */
        (void)signal(SIGINT, SIG_IGN);
        (void)signal(SIGPIPE, SIG_IGN);
        return 1;
}

void pager_close(void)
{
        if (pager_pid <= 0)
                return;
        (void)fflush(stdout);
        if (saved_stdout >= 0) {
                (void)dup2(saved_stdout, STDOUT_FILENO);
                saved_stdout = safe_close(saved_stdout);
        }
        while (waitpid(pager_pid, NULL, 0) < 0 && errno == EINTR)
                ;
        pager_pid = 0;
        (void)signal(SIGINT, SIG_DFL);
}
