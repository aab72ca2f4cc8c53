/* SPDX-License-Identifier: GPL-2.0-or-later */

/* tgtd-open: opens backing stores for tgtd, which may not (open-policy.h). Runs as root, started by
 * its socket, serves each client in a thread of its own, since an open() can hang for as long as
 * what is below it does, and goes away when nobody has asked for a while. */

#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>

#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "daemon/open-policy.h"

#define IDLE_MS 30000
#define THREADS_MAX 256
#define THREAD_STACK (64 * 1024)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned n_running; /* under lock */

static unsigned running(int delta)
{
        unsigned n;

        pthread_mutex_lock(&lock);
        n = n_running += (unsigned)delta;
        pthread_mutex_unlock(&lock);
        return n;
}

static void *serve_thread(void *userdata)
{
        int fd = (int)(intptr_t)userdata;
        struct timeval patience = { .tv_sec = 5 };
        int r;

        /* a client that connects and says nothing */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        r = open_serve(fd);
        if (r < 0)
                log_warning("Could not answer a request: %s", strerror(-r));
        safe_close(fd);
        (void)running(-1);
        return NULL;
}

/* Root, ourselves, or the one user that tgtd runs as. */
static bool peer_allowed(int fd, const char *user)
{
        const struct passwd *pw;
        struct ucred peer;
        socklen_t size = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return false;
        if (peer.uid == 0 || peer.uid == geteuid())
                return true;
        pw = getpwnam(user);
        if (pw && pw->pw_uid == peer.uid)
                return true;
        log_warning("Refused a request of user %u: only %s may ask.", (unsigned)peer.uid, user);
        return false;
}

static int start_thread(int fd)
{
        pthread_attr_t attr;
        pthread_t thread;
        int r;

        pthread_attr_init(&attr);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attr, THREAD_STACK);
        (void)running(1);
        r = pthread_create(&thread, &attr, serve_thread, (void *)(intptr_t)fd);
        pthread_attr_destroy(&attr);
        if (r != 0)
                (void)running(-1);
        return -r;
}

static int accept_one(int listener, const char *user)
{
        _cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        int r;

        if (fd < 0)
                return errno == EAGAIN || errno == ECONNABORTED || errno == EINTR ? 0 : -errno;
        if (!peer_allowed(fd, user) || running(0) >= THREADS_MAX)
                return 0;
        r = start_thread(fd);
        if (r < 0)
                return r;
        (void)take_fd(&fd);
        return 0;
}

static int serve(int listener, const char *user)
{
        for (;;) {
                struct pollfd p = { .fd = listener, .events = POLLIN };
                int r = poll(&p, 1, IDLE_MS);

                if (r < 0 && errno != EINTR)
                        return -errno;
                if (r == 0 && running(0) == 0)
                        return 0; /* the socket unit starts us again */
                if (r > 0) {
                        r = accept_one(listener, user);
                        if (r < 0)
                                return r;
                }
        }
}

int main(int argc, char **argv)
{
        const char *user = argc > 1 ? argv[1] : "tgt";
        int r;

        if (argc > 2 || (argc > 1 && argv[1][0] == '-')) {
                fprintf(stderr, "Usage: %s [USER]\nStarted by tgtd-open.socket; see tgtd(8).\n",
                        argv[0]);
                return 2;
        }
        if (sd_listen_fds(1) != 1 ||
            sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_SEQPACKET, 1) <= 0) {
                log_error("Expected one listening socket from the service manager.");
                return 2;
        }
        r = serve(SD_LISTEN_FDS_START, user);
        if (r < 0)
                log_error("Giving up: %s", strerror(-r));
        return r < 0 ? 1 : 0;
}
