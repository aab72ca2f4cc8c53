/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/parse.h"
#include "latency.h"

/* bench-exchange [TIME]: what a READ of 4 KiB takes where nothing is done but to exchange its
 * bytes. One process asks with a header, another answers with a header and the data, over TCP on
 * loopback; both sleep in epoll_wait(2) until there is something to read, as a target and its
 * initiator do. No target that sleeps can be faster on this machine. */

#define ASK 48U
#define ANSWER (ASK + 4096U)

/* Sleeps until all of a message of size bytes is here. 0: the other side has closed. */
static int receive(int epoll_fd, int fd, size_t size)
{
        static uint8_t buffer[256 * KIB];
        struct epoll_event event;

        for (size_t have = 0; have < size;) {
                ssize_t n;

                if (epoll_wait(epoll_fd, &event, 1, -1) < 0)
                        return -errno;
                n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
                if (n == 0)
                        return 0;
                if (n < 0 && errno != EAGAIN)
                        return -errno;
                have += n > 0 ? (size_t)n : 0;
        }
        return 1;
}

static int transmit(int fd, size_t size)
{
        static uint8_t header[ASK], data[ANSWER - ASK];
        struct iovec iov[] = { { header, ASK }, { data, size - ASK } };
        struct msghdr msg = { .msg_iov = iov, .msg_iovlen = size > ASK ? 2 : 1 };

        return sendmsg(fd, &msg, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -errno;
}

static int watch(int fd)
{
        struct epoll_event event = { .events = EPOLLIN };
        int epoll_fd = epoll_create1(EPOLL_CLOEXEC), one = 1;

        if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ||
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
                return -errno;
        return epoll_fd;
}

static int answer(int listen_fd)
{
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC), epoll_fd = watch(fd), r;

        if (epoll_fd < 0)
                return epoll_fd;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
        while ((r = receive(epoll_fd, fd, ASK)) > 0) {
                r = transmit(fd, ANSWER);
                if (r < 0)
                        return r;
        }
        return r;
}

static int ask(const struct sockaddr_in *to, uint64_t ns, Histogram *ret)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), epoll_fd, r = 0;
        uint64_t start, end;

        if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
                return -errno;
        epoll_fd = watch(fd);
        if (epoll_fd < 0)
                return epoll_fd;
        end = monotonic_now() + ns;
        while (r == 0 && (start = monotonic_now()) < end) {
                r = transmit(fd, ASK);
                if (r == 0)
                        r = receive(epoll_fd, fd, ANSWER) > 0 ? 0 : -EIO;
                histogram_add(ret, monotonic_now() - start);
        }
        (void)close(epoll_fd);
        (void)close(fd);
        return r;
}

static int exchange(uint64_t ns, Histogram *ret)
{
        struct sockaddr_in at = { .sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r, status;
        socklen_t size = sizeof(at);
        pid_t child;

        if (bind(listen_fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
            listen(listen_fd, 1) < 0 || getsockname(listen_fd, (struct sockaddr *)&at, &size) < 0)
                return -errno;
        child = fork();
        if (child < 0)
                return -errno;
        if (child == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                _exit(answer(listen_fd) < 0 ? 1 : 0);
        }
        (void)close(listen_fd); /* whoever ends first is noticed by the other */
        r = ask(&at, ns, ret);
        if (waitpid(child, &status, 0) < 0)
                return -errno;
        return r == 0 && status != 0 ? -EIO : r;
}

static double seconds_of(struct timeval t)
{
        return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* The figures that bench-load gives of a target; here it is the process that answered. */
static void print(const Histogram *h, double seconds)
{
        struct rusage own, answering;
        double n = (double)MAX(h->n, UINT64_C(1)), user, system;

        (void)getrusage(RUSAGE_SELF, &own);
        (void)getrusage(RUSAGE_CHILDREN, &answering);
        user = seconds_of(answering.ru_utime);
        system = seconds_of(answering.ru_stime);
        (void)printf("{\"iops\": %.1f, \"mb_s\": %.2f, ", n / seconds,
                     n * (ANSWER - ASK) / seconds / 1e6);
        histogram_print_json(h);
        (void)printf(", \"cpu_us\": %.3f, \"cpu_user_us\": %.3f, \"cpu_system_us\": %.3f, "
                     "\"load_busy\": %.3f}\n",
                     (user + system) / n * 1e6, user / n * 1e6, system / n * 1e6,
                     (seconds_of(own.ru_utime) + seconds_of(own.ru_stime)) / seconds);
}

int main(int argc, char *argv[])
{
        uint64_t ns = NSEC_PER_SEC;
        static Histogram latency;
        int r;

        if (argc > 2 || (argc == 2 && parse_duration(argv[1], &ns) < 0)) {
                (void)fputs("bench-exchange [TIME]\n", stderr);
                return 2;
        }
        r = exchange(ns, &latency);
        if (r < 0) {
                (void)fprintf(stderr, "bench-exchange: %s\n", strerror(-r));
                return 1;
        }
        print(&latency, (double)ns / 1e9);
        return 0;
}
