/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/socket.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#define RX_IOV 16
#define TX_IOV 128
/* Bytes that one connection may move in a turn before others get theirs. */
#define RX_TURN (1 * MIB)
#define TX_TURN (2 * MIB)
/* How long the peer may take for what we sent last, and then to close. */
#define FINISH_NS (5 * NSEC_PER_SEC)
#define DRAIN_NS (2 * NSEC_PER_SEC)

/* ---- options ---- */

static void set_option(int fd, int level, int name, int value)
{
        /* none of them is worth refusing a connection for */
        (void)setsockopt(fd, level, name, &value, sizeof(value));
}

/* A peer that answers nothing, or takes nothing of what waits for it, is gone after this. */
#define PEER_GONE_S 90
#define PEER_IDLE_S 30
#define PEER_PROBES 6

static void set_options(int fd)
{
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, PEER_IDLE_S);
        set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, (PEER_GONE_S - PEER_IDLE_S) / PEER_PROBES);
        set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, PEER_PROBES);
        /* keep-alive probes are not sent while data is unacknowledged */
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, PEER_GONE_S * 1000);
        /* bbr and the like pace; storage on a LAN is better off without */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", sizeof("cubic") - 1);
}

/* ---- end ---- */

static void login_over(Socket *s)
{
        if (!s->logging_in)
                return;
        s->logging_in = false;
        acceptor_login_over(s->worker->acceptor); /* logins are on its worker */
}

/* conn has been told already. */
static void socket_close(Socket *s)
{
        Loop *loop = s->worker->loop;

        login_over(s);
        loop_timer_cancel(loop, &s->timer);
        (void)loop_io(loop, &s->io, 0);
        s->io.fd = safe_close(s->io.fd);
        list_remove(&s->link);
        s->state = SOCKET_CLOSED;
        /* perhaps from inside a function that still looks at s: freed at the end of the turn */
        loop_defer(loop, &s->flush_task);
}

void socket_fail(Socket *s, int error)
{
        Conn *conn = TAKE_PTR(s->conn);

        if (s->state == SOCKET_CLOSED)
                return;
        socket_close(s);
        if (conn)
                conn_closed(conn, error);
}

static void timer_fire(LoopTimer *timer)
{
        socket_fail(CONTAINER_OF(timer, Socket, timer), -ETIMEDOUT);
}

/* All was sent. To close now with bytes unread would make the kernel send RST, and the peer's might
 * throw away our last PDU with it: shut down, and let the peer close. */
static void socket_finish(Socket *s)
{
        Conn *conn = TAKE_PTR(s->conn);

        login_over(s);
        if (s->rx_eof || shutdown(s->io.fd, SHUT_WR) < 0) {
                socket_close(s);
        } else {
                s->state = SOCKET_DRAINING;
                loop_timer_in(s->worker->loop, &s->timer, DRAIN_NS);
                if (loop_io(s->worker->loop, &s->io, EPOLLIN) < 0)
                        socket_close(s);
        }
        conn_closed(conn, 0);
}

static void drain(Socket *s)
{
        uint8_t scratch[16 * KIB];
        ssize_t n = recv(s->io.fd, scratch, sizeof(scratch), MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                socket_close(s);
}

/* ---- watching ---- */

static void watch(Socket *s)
{
        uint32_t events = 0;
        int r;

        if (!s->rx_paused && !s->rx_eof)
                events |= EPOLLIN;
        if (s->tx_blocked)
                events |= EPOLLOUT;
        r = loop_io(s->worker->loop, &s->io, events);
        if (r < 0)
                socket_fail(s, r);
}

/* ---- bytes ---- */

/* Cuts iov to max bytes, so that one system call does not take more than a turn may; returns what
 * is left of max. */
static size_t iov_limit(struct iovec *iov, size_t *n, size_t max)
{
        for (size_t i = 0; i < *n; i++) {
                if (iov[i].iov_len >= max) {
                        iov[i].iov_len = max;
                        *n = i + 1;
                        return 0;
                }
                max -= iov[i].iov_len;
        }
        return max;
}

static void sample_placement(Socket *s)
{
        int cpu;
        socklen_t n = sizeof(cpu);

        if (getsockopt(s->io.fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &n) == 0)
                placement_sample(&s->worker->placement, cpu, loop_now(s->worker->loop));
}

/* One receive for all that there is, as far as conn takes it. */
static void receive(Socket *s)
{
        struct iovec iov[RX_IOV];
        struct msghdr msg = { .msg_iov = iov };
        size_t budget = RX_TURN, want, n_iov;
        ssize_t n;

        do {
                n_iov = conn_want(s->conn, iov, RX_IOV);
                if (n_iov == 0) {
                        s->rx_paused = true;
                        break;
                }
                want = budget - iov_limit(iov, &n_iov, budget);
                msg.msg_iovlen = n_iov;
                n = recvmsg(s->io.fd, &msg, MSG_DONTWAIT);
                COUNTER_ADD(&s->worker->traffic, receives, 1);
                if (n < 0) {
                        if (errno == EAGAIN || errno == EINTR)
                                break;
                        socket_fail(s, -errno);
                        return;
                }
                if (n == 0)
                        s->rx_eof = true;
                COUNTER_ADD(&s->worker->traffic, rx_bytes, n);
                if (placement_due(&s->worker->placement))
                        sample_placement(s);
                conn_got(s->conn, (size_t)n);
                budget -= MIN(budget, (size_t)n);
        } while ((size_t)n == want && budget > 0 && !conn_finished(s->conn));
        socket_wake(s);
}

/* One send for all that is queued. false: the connection broke. */
static bool transmit(Socket *s)
{
        struct iovec iov[TX_IOV];
        struct msghdr msg = { .msg_iov = iov };
        size_t budget = TX_TURN, total, n_iov;
        ssize_t n;

        s->tx_blocked = false;
        while (!s->tx_blocked) {
                n_iov = conn_out(s->conn, iov, TX_IOV);
                total = budget - iov_limit(iov, &n_iov, budget);
                if (total == 0)
                        break;
                msg.msg_iovlen = n_iov;
                /* EFAULT: a file that is lent from is shorter than it was, after its length was
                 * sent; this stream cannot go on */
                n = sendmsg(s->io.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
                COUNTER_ADD(&s->worker->traffic, sends, 1);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        if (errno != EAGAIN) {
                                socket_fail(s, -errno);
                                return false;
                        }
                        s->tx_blocked = true;
                        break;
                }
                COUNTER_ADD(&s->worker->traffic, tx_bytes, n);
                loop_refresh(s->worker->loop); /* what is sent is timed until here */
                conn_sent(s->conn, (size_t)n);
                budget -= MIN(budget, (size_t)n);
                if ((size_t)n < total || budget == 0)
                        s->tx_blocked = true;
                s->heavy = budget == 0;
        }
        return true;
}

static void ready(LoopIo *io, uint32_t events)
{
        Socket *s = CONTAINER_OF(io, Socket, io);

        if (s->state == SOCKET_DRAINING) {
                drain(s);
                return;
        }
        if (io->events & EPOLLIN)
                receive(s); /* which also finds out what is wrong with it */
        else if (events & (EPOLLERR | EPOLLHUP))
                socket_fail(s, -ECONNRESET);
        else
                socket_wake(s);
}

/* ---- the hand-over ---- */

static void arrive(LoopTask *task)
{
        Socket *s = CONTAINER_OF(task, Socket, move_task);
        Worker *w = s->worker;

        s->state = SOCKET_OPEN;
        list_append(&w->sockets, &s->link);
        conn_attach(s->conn, w->iscsi);
        if (w->stopping) {
                socket_fail(s, -ESHUTDOWN);
        } else {
                watch(s);
                socket_wake(s);
        }
}

static void depart(Socket *s)
{
        Loop *loop = s->worker->loop;

        login_over(s);
        loop_timer_cancel(loop, &s->timer);
        (void)loop_io(loop, &s->io, 0);
        list_remove(&s->link);
        conn_detach(s->conn);
        s->worker = TAKE_PTR(s->move_to);
        s->state = SOCKET_MOVING;
        s->rx_paused = s->tx_blocked = false;
        loop_post(s->worker->loop, &s->move_task);
}

/* ---- end of turn ---- */

static void flush(LoopTask *task)
{
        Socket *s = CONTAINER_OF(task, Socket, flush_task);
        struct iovec iov[RX_IOV];
        bool finished;

        if (s->state != SOCKET_OPEN) {
                if (s->state == SOCKET_CLOSED)
                        free(s);
                return;
        }
        if (s->move_to && !conn_finished(s->conn)) {
                depart(s);
                return;
        }
        if (s->heavy) { /* those that have little to send go first */
                s->heavy = false;
                socket_wake(s);
                return;
        }
        if (!transmit(s))
                return;
        if (s->granted)
                login_over(s);
        finished = conn_finished(s->conn);
        if (finished && !s->tx_blocked) {
                socket_finish(s);
                return;
        }
        if (finished) {
                s->rx_paused = true;
                if (!s->timer.at)
                        loop_timer_in(s->worker->loop, &s->timer, FINISH_NS);
        } else if (s->rx_paused) {
                s->rx_paused = conn_want(s->conn, iov, RX_IOV) == 0;
        }
        watch(s);
}

void socket_wake(Socket *s)
{
        if (s->state == SOCKET_OPEN)
                loop_defer(s->worker->loop, &s->flush_task);
}

void socket_move(Socket *s, unsigned worker)
{
        if (worker == s->worker->index)
                return;
        s->move_to = &s->worker->workers[worker];
        socket_wake(s);
}

int socket_new(Worker *w, int fd, const SockAddr *peer)
{
        SockAddr local = { 0 };
        socklen_t len = sizeof(local);
        Socket *s;
        int r;

        if (getsockname(fd, &local.sa, &len) < 0)
                return -errno;
        set_options(fd);
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (Socket){ .io = { .ready = ready, .fd = fd },
                       .state = SOCKET_OPEN,
                       .worker = w,
                       .flush_task.run = flush,
                       .move_task.run = arrive,
                       .timer.fire = timer_fire };
        r = conn_new(w->iscsi, &local, peer, s, &s->conn);
        if (r < 0) {
                free(s);
                return r;
        }
        list_append(&w->sockets, &s->link);
        s->logging_in = true;
        watch(s); /* an error ends s by itself */
        return 0;
}
