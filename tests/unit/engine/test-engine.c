/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "engine/engine.h"
#include "engine/jobs.h"
#include "engine/loop-epoll.h"
#include "fake-iscsi.h"

/* The engine with its threads and real sockets, over a protocol that is no iSCSI. */

#define WORKERS 3

typedef struct World {
        JobPool *jobs;
        Loop *control;
        Engine *engine;
        SockAddr address;
        unsigned n_events, n_changed;
        uint64_t n_dropped, last_event;
        bool stopped;
        int answer;
        bool answered;
        size_t n_infos;
        uint64_t infos[64];
} World;

typedef bool Condition(World *w);

static void on_iscsi(void *userdata, const IscsiEvent *event)
{
        World *w = userdata;

        if (event->kind == ISCSI_EVENT_LOGIN)
                return;
        g_assert_cmpstr(event->target, ==, "t");
        g_assert_cmpstr(event->reason, ==, "r");
        g_assert_null(event->initiator);
        g_assert_cmpuint(event->session, ==, w->n_events++);
}

static void on_changed(void *userdata)
{
        World *w = userdata;

        w->n_changed++;
}

static void on_dropped(void *userdata, uint64_t n)
{
        World *w = userdata;

        w->n_dropped += n;
}

static void on_answer(void *userdata, int r)
{
        World *w = userdata;

        w->answered = true;
        w->answer = r;
}

static void on_stopped(void *userdata)
{
        World *w = userdata;

        w->stopped = true;
}

static void on_sessions(void *userdata, const IscsiSessionInfo *sessions, size_t n)
{
        World *w = userdata;

        w->answered = true;
        w->n_infos = n;
        for (size_t i = 0; i < n; i++)
                w->infos[i] = sessions[i].id;
}

static void on_session_stats(void *userdata, const IscsiSessionStats *rows, size_t n)
{
        World *w = userdata;

        w->answered = true;
        w->n_infos = n;
        for (size_t i = 0; i < n; i++) {
                w->infos[i] = rows[i].info.id;
                g_assert_cmpuint(rows[i].latency.read.sum, ==, rows[i].info.id);
        }
}

static void on_workers(void *userdata, const EngineWorkerStats *rows, size_t n)
{
        World *w = userdata;

        w->answered = true;
        g_assert_cmpuint(n, ==, WORKERS);
        for (unsigned i = 0; i < n; i++) {
                g_assert_cmpuint(rows[i].index, ==, i);
                g_assert_cmpuint(rows[i].commands, ==, i);
                g_assert_cmpuint(rows[i].turns, >, 0);
                g_assert_cmpuint(rows[i].latency.write.sum, ==, FAKE_LATENCY);
        }
}

static void control_until(World *w, Condition *cond)
{
        gint64 end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

        while (!cond(w)) {
                g_assert_cmpint(g_get_monotonic_time(), <, end);
                epoll_loop_turn(w->control, false);
                g_usleep(200);
        }
}

static bool is_answered(World *w)
{
        return w->answered;
}

static bool is_stopped(World *w)
{
        return w->stopped;
}

static int listen_on(SockAddr *ret)
{
        socklen_t len = sizeof(*ret);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        *ret = (SockAddr){ .in = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
        g_assert_cmpint(bind(fd, &ret->sa, sizeof(ret->in)), ==, 0);
        g_assert_cmpint(listen(fd, 128), ==, 0);
        g_assert_cmpint(getsockname(fd, &ret->sa, &len), ==, 0);
        return fd;
}

static void world_new(World *w, gconstpointer data)
{
        static const EngineEvents events = { .iscsi = on_iscsi,
                                             .sessions_changed = on_changed,
                                             .dropped = on_dropped };
        EngineConfig config;
        int fd;

        *w = (World){ 0 };
        g_assert_cmpint(jobs_new(1, NSEC_PER_SEC, &w->jobs), ==, 0);
        g_assert_cmpint(epoll_loop_new(99, w->jobs, &w->control), ==, 0);
        engine_config_default(&config);
        config.workers = WORKERS;
        g_assert_cmpint(engine_new(&config, w->control, &events, w, &w->engine), ==, 0);
        g_assert_cmpuint(engine_workers(w->engine), ==, WORKERS);
        fd = listen_on(&w->address);
        g_assert_cmpint(engine_listen(w->engine, fd), ==, 0);
}

static void world_free(World *w, gconstpointer data)
{
        if (!w->stopped) {
                engine_stop(w->engine, 5 * NSEC_PER_SEC, on_stopped, w);
                control_until(w, is_stopped);
        }
        w->engine = engine_free(w->engine);
        epoll_loop_turn(w->control, false); /* what was on its way finds nobody */
        g_assert_cmpint(jobs_free(w->jobs, NSEC_PER_SEC), ==, 0);
        w->control = epoll_loop_free(w->control);
}

/* ---- a client ---- */

static int dial(World *w)
{
        struct timeval timeout = { .tv_sec = 10 };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(connect(fd, &w->address.sa, sizeof(w->address.in)), ==, 0);
        g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), ==, 0);
        return fd;
}

static void say(int fd, const char *text)
{
        g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, (gssize)strlen(text));
}

static void expect(int fd, const char *text)
{
        char got[64] = "";

        g_assert_cmpint(recv(fd, got, strlen(text), MSG_WAITALL), ==, (gssize)strlen(text));
        g_assert_cmpstr(got, ==, text);
}

static void expect_end(int fd)
{
        char byte;

        g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 0); /* an end, not a reset */
}

/* Logs in; returns the worker. */
static unsigned log_in(int fd, char name)
{
        char text[3] = { 'L', name, 0 }, got[2];

        say(fd, text);
        g_assert_cmpint(recv(fd, got, 2, MSG_WAITALL), ==, 2);
        g_assert_cmpint(got[0], ==, '+');
        return (unsigned)(got[1] - '0');
}

/* ---- tests ---- */

static void test_echo(World *w, gconstpointer data)
{
        int fd[8];

        for (unsigned round = 0; round < 3; round++) {
                for (unsigned i = 0; i < ELEMENTSOF(fd); i++)
                        fd[i] = dial(w);
                for (unsigned i = 0; i < ELEMENTSOF(fd); i++)
                        say(fd[i], "hello");
                for (unsigned i = 0; i < ELEMENTSOF(fd); i++)
                        expect(fd[i], "hello");
                for (unsigned i = 0; i < ELEMENTSOF(fd); i++)
                        (void)close(fd[i]);
        }
}

static int option(int fd, int level, int name)
{
        int value = -1;
        socklen_t n = sizeof(value);

        g_assert_cmpint(getsockopt(fd, level, name, &value, &n), ==, 0);
        return value;
}

/* The other end of fd, which is in this process too. */
static int other_end(int fd)
{
        struct sockaddr_in mine, peer;
        socklen_t n = sizeof(mine);

        g_assert_cmpint(getsockname(fd, (struct sockaddr *)&mine, &n), ==, 0);
        for (int other = 0; other < 1024; other++) {
                n = sizeof(peer);
                if (getpeername(other, (struct sockaddr *)&peer, &n) == 0 &&
                    peer.sin_family == AF_INET && peer.sin_port == mine.sin_port)
                        return other;
        }
        return -1;
}

/* A peer that vanishes without a word is noticed, whether something is on its way to it or not. */
static void test_dead_peers(World *w, gconstpointer data)
{
        int fd = dial(w), other;

        say(fd, "hello");
        expect(fd, "hello");
        other = other_end(fd);
        g_assert_cmpint(other, >=, 0);
        g_assert_cmpint(option(other, SOL_SOCKET, SO_KEEPALIVE), ==, 1);
        g_assert_cmpint(option(other, IPPROTO_TCP, TCP_KEEPIDLE) +
                                option(other, IPPROTO_TCP, TCP_KEEPINTVL) *
                                        option(other, IPPROTO_TCP, TCP_KEEPCNT),
                        <=, 120);
        g_assert_cmpint(option(other, IPPROTO_TCP, TCP_USER_TIMEOUT), >, 0);
        g_assert_cmpint(option(other, IPPROTO_TCP, TCP_USER_TIMEOUT), <=, 120 * 1000);
        g_assert_cmpint(option(other, IPPROTO_TCP, TCP_NODELAY), ==, 1);
        (void)close(fd);
}

/* Much more than the buffers of both sides hold, while we do not read: back-pressure, then all of
 * it in order. */
static void test_back_pressure(World *w, gconstpointer data)
{
        enum { TOTAL = 32 * 1024 * 1024 };
        g_autofree uint8_t *chunk = g_malloc(65536);
        gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
        size_t sent = 0, got = 0;
        unsigned stalled = 0;
        int fd = dial(w);

        while (got < TOTAL) {
                struct pollfd p = { .fd = fd, .events = POLLIN };

                g_assert_cmpint(g_get_monotonic_time(), <, end);
                /* write until it is refused for a while: the other side must have stopped */
                while (sent < TOTAL && stalled < 20) {
                        size_t n = MIN((size_t)65536, TOTAL - sent);
                        ssize_t k;

                        for (size_t i = 0; i < n; i++)
                                chunk[i] = (uint8_t)((sent + i) % 61);
                        k = send(fd, chunk, n, MSG_NOSIGNAL | MSG_DONTWAIT);
                        if (k < 0) {
                                g_assert_cmpint(errno, ==, EAGAIN);
                                stalled++;
                                g_usleep(1000);
                        } else {
                                sent += (size_t)k;
                        }
                }
                stalled = 0;
                while (poll(&p, 1, sent < TOTAL ? 0 : 5000) > 0) {
                        ssize_t k = recv(fd, chunk, 65536, 0);

                        g_assert_cmpint(k, >, 0);
                        for (ssize_t i = 0; i < k; i++)
                                g_assert_cmpint(chunk[i], ==, (got + (size_t)i) % 61);
                        got += (size_t)k;
                        if (got == TOTAL)
                                break;
                }
        }
        (void)close(fd);
}

/* Its length is on the wire when it turns out to be shorter: the connection breaks, and no other
 * bytes are made up. */
static void test_short_file(World *w, gconstpointer data)
{
        g_autofree uint8_t *got = g_malloc(FAKE_FILE + 1);
        int fd = dial(w), other = dial(w);
        ssize_t n;

        say(fd, "S");
        n = recv(fd, got, FAKE_FILE + 1, MSG_WAITALL);
        g_assert_cmpint(n, >, FAKE_FILE / 4); /* the kernel may stop before what is missing */
        g_assert_cmpint(n, <=, 1 + FAKE_FILE / 2);
        for (ssize_t i = 1; i < n; i++)
                g_assert_cmpint(got[i], ==, (i - 1) / 4096);
        say(other, "hello");
        expect(other, "hello");
        (void)close(fd);
        (void)close(other);
}

/* Sessions spread over the workers, the connection moves with them, and what is sent at once
 * after the answer arrives there. */
static void test_move(World *w, gconstpointer data)
{
        unsigned on[WORKERS] = { 0 };
        int fd[9];

        for (unsigned i = 0; i < ELEMENTSOF(fd); i++) {
                fd[i] = dial(w);
                on[log_in(fd[i], (char)('a' + i))]++;
        }
        for (unsigned i = 0; i < WORKERS; i++)
                g_assert_cmpuint(on[i], ==, ELEMENTSOF(fd) / WORKERS);
        g_assert_cmpuint(engine_n_sessions(w->engine), ==, ELEMENTSOF(fd));
        for (unsigned i = 0; i < ELEMENTSOF(fd); i++) {
                say(fd[i], "moved");
                expect(fd[i], "moved");
                (void)close(fd[i]);
        }
        while (engine_n_sessions(w->engine) > 0)
                g_usleep(500);
        epoll_loop_turn(w->control, false);
        g_assert_cmpuint(w->n_changed, >, 0);
}

static void test_sessions(World *w, gconstpointer data)
{
        int fd[7];

        for (unsigned i = 0; i < ELEMENTSOF(fd); i++) {
                fd[i] = dial(w);
                (void)log_in(fd[i], (char)('a' + i));
        }
        g_assert_cmpint(engine_session_stats(w->engine, 0, 5, on_session_stats, w), ==, 0);
        control_until(w, is_answered);
        g_assert_cmpuint(w->n_infos, ==, 5);
        for (size_t i = 1; i < w->n_infos; i++)
                g_assert_cmpuint(w->infos[i], >, w->infos[i - 1]);
        w->answered = false;
        g_assert_cmpint(engine_session_stats(w->engine, w->infos[4], 64, on_session_stats, w), ==,
                        0);
        control_until(w, is_answered);
        g_assert_cmpuint(w->n_infos, ==, 2);
        w->answered = false;
        g_assert_cmpint(engine_sessions(w->engine, 0, 5, on_sessions, w), ==, 0);
        control_until(w, is_answered);
        g_assert_cmpuint(w->n_infos, ==, 5);
        for (size_t i = 1; i < w->n_infos; i++)
                g_assert_cmpuint(w->infos[i], >, w->infos[i - 1]);
        w->answered = false;
        g_assert_cmpint(engine_sessions(w->engine, w->infos[4], 5, on_sessions, w), ==, 0);
        control_until(w, is_answered);
        g_assert_cmpuint(w->n_infos, ==, 2);
        w->answered = false;
        g_assert_cmpint(engine_worker_stats(w->engine, on_workers, w), ==, 0);
        control_until(w, is_answered);

        w->answered = false;
        g_assert_cmpint(engine_end_session(w->engine, w->infos[1], on_answer, w), ==, 0);
        control_until(w, is_answered);
        g_assert_cmpint(w->answer, ==, 0);
        expect(fd[6], FAKE_END);
        expect_end(fd[6]);
        w->answered = false;
        g_assert_cmpint(engine_end_session(w->engine, 987654, on_answer, w), ==, 0);
        control_until(w, is_answered);
        g_assert_cmpint(w->answer, ==, -ENOENT);
        for (unsigned i = 0; i < ELEMENTSOF(fd); i++)
                (void)close(fd[i]);
}

static void test_reinstatement(World *w, gconstpointer data)
{
        int old = -1;

        for (unsigned i = 0; i < 30; i++) {
                int fd = dial(w);

                (void)log_in(fd, 'a');
                g_assert_cmpuint(engine_n_sessions(w->engine), ==, 1);
                if (old >= 0) {
                        expect(old, FAKE_END);
                        expect_end(old);
                        (void)close(old);
                }
                old = fd;
        }
        (void)close(old);
}

/* The last answer arrives even if the peer had sent more than was read. */
static void test_orderly_end(World *w, gconstpointer data)
{
        static char more[200000];

        memset(more, 'x', sizeof(more));
        for (unsigned i = 0; i < 20; i++) {
                int fd = dial(w);

                say(fd, "Q");
                (void)send(fd, more, sizeof(more), MSG_NOSIGNAL | MSG_DONTWAIT);
                g_usleep(2000);
                expect(fd, "bye");
                expect_end(fd);
                (void)close(fd);
        }
}

/* Connections that vanish at any moment of login and afterwards, and of the move. */
static void test_vanish(World *w, gconstpointer data)
{
        struct linger reset = { .l_onoff = 1, .l_linger = 0 };

        for (unsigned i = 0; i < 300; i++) {
                int fd = dial(w);
                char text[3] = { 'L', (char)('a' + i % 5), 0 };

                if (i & 1)
                        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
                say(fd, text);
                if (i % 3 == 0)
                        expect(fd, "+");
                if (i % 7 == 0)
                        say(fd, "M");
                g_usleep(i % 4 * 50);
                (void)close(fd);
        }
        for (unsigned i = 0; engine_n_sessions(w->engine) > 0; i++) {
                g_assert_cmpuint(i, <, 10000);
                g_usleep(500);
        }
}

/* logins_max is 8: the ninth waits until one of them is gone. */
static void test_logins_max(World *w, gconstpointer data)
{
        struct pollfd p;
        int fd[9];

        for (unsigned i = 0; i < 8; i++) {
                fd[i] = dial(w);
                say(fd[i], "x");
                expect(fd[i], "x");
        }
        fd[8] = dial(w);
        say(fd[8], "y");
        p = (struct pollfd){ .fd = fd[8], .events = POLLIN };
        g_assert_cmpint(poll(&p, 1, 200), ==, 0);
        (void)close(fd[0]);
        expect(fd[8], "y");
        /* who has logged in does not count */
        (void)log_in(fd[1], 'a');
        fd[0] = dial(w);
        say(fd[0], "z");
        expect(fd[0], "z");
        for (unsigned i = 0; i < ELEMENTSOF(fd); i++)
                (void)close(fd[i]);
}

static uint64_t cpu_ns(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
        return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* No descriptor for a waiting connection: no spinning, and it is served when there is one. */
static void test_out_of_descriptors(World *w, gconstpointer data)
{
        struct rlimit old, low;
        uint64_t before;
        int fd, reserve;

        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        reserve = dup(fd);
        low = (struct rlimit){ .rlim_cur = (rlim_t)reserve, .rlim_max = old.rlim_max };
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
        g_assert_cmpint(connect(fd, &w->address.sa, sizeof(w->address.in)), ==, 0);
        say(fd, "late");
        g_usleep(50 * 1000);
        before = cpu_ns();
        g_usleep(400 * 1000);
        g_assert_cmpuint(cpu_ns() - before, <, 20 * NSEC_PER_MSEC);
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
        expect(fd, "late");
        (void)close(fd);
        (void)close(reserve);
}

/* With sessions open and nothing to do, no thread runs. */
static void test_idle(World *w, gconstpointer data)
{
        uint64_t before;
        int fd[6];

        for (unsigned i = 0; i < ELEMENTSOF(fd); i++) {
                fd[i] = dial(w);
                (void)log_in(fd[i], (char)('a' + i));
        }
        g_usleep(50 * 1000);
        before = cpu_ns();
        g_usleep(400 * 1000);
        g_assert_cmpuint(cpu_ns() - before, <, 10 * NSEC_PER_MSEC);
        for (unsigned i = 0; i < ELEMENTSOF(fd); i++)
                (void)close(fd[i]);
}

static bool all_events(World *w)
{
        return w->n_events + w->n_dropped >= FAKE_EVENTS;
}

static void test_events(World *w, gconstpointer data)
{
        int fd = dial(w);

        /* the control thread does not look: what is too much is dropped and counted */
        say(fd, "V");
        expect(fd, "v");
        control_until(w, all_events);
        g_assert_cmpuint(w->n_events, ==, 4096);
        g_assert_cmpuint(w->n_dropped, ==, FAKE_EVENTS - 4096);
        (void)close(fd);
}

static void test_unlisten(World *w, gconstpointer data)
{
        SockAddr second;
        int fd = listen_on(&second), r;

        g_assert_cmpint(engine_listen(w->engine, 0), <, 0);
        g_assert_cmpint(engine_listen(w->engine, fd), ==, 0);
        fd = dial(w);
        say(fd, "a");
        expect(fd, "a");
        g_assert_cmpint(engine_unlisten(w->engine, &w->address), ==, 0);
        g_assert_cmpint(engine_unlisten(w->engine, &w->address), ==, -ENOENT);
        /* those that are there stay */
        say(fd, "b");
        expect(fd, "b");
        (void)close(fd);
        for (unsigned i = 0;; i++) {
                g_assert_cmpuint(i, <, 1000);
                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                r = connect(fd, &w->address.sa, sizeof(w->address.in));
                (void)close(fd);
                if (r < 0)
                        break;
                g_usleep(1000);
        }
        w->address = second;
        fd = dial(w);
        say(fd, "c");
        expect(fd, "c");
        (void)close(fd);
}

/* Sessions are told, connections without one are closed, nobody listens any more. */
static void test_stop(World *w, gconstpointer data)
{
        int session = dial(w), login = dial(w), fd, r;

        (void)log_in(session, 'a');
        say(login, "x");
        expect(login, "x");
        engine_stop(w->engine, 5 * NSEC_PER_SEC, on_stopped, w);
        expect(session, FAKE_END);
        expect_end(session);
        (void)close(session);
        control_until(w, is_stopped);
        expect_end(login);
        (void)close(login);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        r = connect(fd, &w->address.sa, sizeof(w->address.in));
        g_assert_cmpint(r, <, 0);
        (void)close(fd);
}

static void test_publish(World *w, gconstpointer data)
{
        g_assert_cmpint(engine_publish(w->engine, NULL, on_answer, w), ==, 0);
        g_assert_false(w->answered);
        control_until(w, is_answered);
        g_assert_cmpint(w->answer, ==, 0);
}

#define ADD(name, test) g_test_add("/engine/" name, World, NULL, world_new, test, world_free)

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        ADD("echo", test_echo);
        ADD("dead-peers", test_dead_peers);
        ADD("back-pressure", test_back_pressure);
        ADD("short-file", test_short_file);
        ADD("move", test_move);
        ADD("sessions", test_sessions);
        ADD("reinstatement", test_reinstatement);
        ADD("orderly-end", test_orderly_end);
        ADD("vanish", test_vanish);
        ADD("logins-max", test_logins_max);
        ADD("out-of-descriptors", test_out_of_descriptors);
        ADD("idle", test_idle);
        ADD("events", test_events);
        ADD("unlisten", test_unlisten);
        ADD("stop", test_stop);
        ADD("publish", test_publish);
        return g_test_run();
}
