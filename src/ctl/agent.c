/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>

#include "base/base.h"
#include "ctl/agent.h"

#define AGENT_START_TIMEOUT_MSEC 5000

static pid_t agent_pid;

static void run_child(int notify)
{
        /* A desktop's agent comes before ours; but polkit looks for such only within a login
         * session, and outside of one it would not find ours either (polkit 122). */
        const char *fallback = sd_pid_get_session(getppid(), NULL) >= 0 ? "--fallback" : NULL;
        char fd[16];
        int keep = fcntl(notify, F_DUPFD, 3); /* without close-on-exec */

        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void)snprintf(fd, sizeof(fd), "%d", keep);
        if (keep >= 0)
                execlp("pkttyagent", "pkttyagent", "--notify-fd", fd, fallback, NULL);
        _exit(127);
}

void agent_open(void)
{
        struct pollfd p = { .events = POLLHUP };
        int fds[2];

        if (agent_pid > 0 || geteuid() == 0 || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return;
        agent_pid = fork();
        if (agent_pid == 0)
                run_child(fds[1]);
        (void)safe_close(fds[1]);
        if (agent_pid > 0) {
                /* it closes its end once it is registered, or by failing to start */
                p.fd = fds[0];
                while (poll(&p, 1, AGENT_START_TIMEOUT_MSEC) < 0 && errno == EINTR)
                        ;
        } else
                agent_pid = 0;
        (void)safe_close(fds[0]);
}

void agent_close(void)
{
        if (agent_pid <= 0)
                return;
        (void)kill(agent_pid, SIGTERM);
        while (waitpid(agent_pid, NULL, 0) < 0 && errno == EINTR)
                ;
        agent_pid = 0;
}
