/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/acceptor.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "engine/socket.h"

#define ACCEPT_BATCH 64                /* per listener and turn */
#define PAUSE_NS (200 * NSEC_PER_MSEC) /* when descriptors or memory ran out */

struct Acceptor {
        Loop *loop;
        Worker *worker;
        List listeners;
        unsigned logins_max, n_logins;
        LoopTimer pause; /* armed: out of something */
        bool stopped;
        bool refuses; /* atomic */
};

static bool may_accept(const Acceptor *a)
{
        return a->n_logins < a->logins_max && !a->pause.at;
}

static void watch_all(Acceptor *a)
{
        uint32_t events = may_accept(a) ? EPOLLIN : 0;

        LIST_FOREACH (l, &a->listeners, Listener, link)
                if (loop_io(a->loop, &l->io, events) < 0 && !a->pause.at)
                        loop_timer_in(a->loop, &a->pause, PAUSE_NS);
}

static void pause_fire(LoopTimer *timer)
{
        watch_all(CONTAINER_OF(timer, Acceptor, pause));
}

static bool out_of_something(int error)
{
        return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void take_connection(Acceptor *a, int fd, const SockAddr *peer)
{
        int r;

        if (__atomic_load_n(&a->refuses, __ATOMIC_RELAXED)) {
                (void)safe_close(fd);
                return;
        }
        a->n_logins++;
        r = socket_new(a->worker, fd, peer);
        if (r < 0) {
                a->n_logins--;
                (void)safe_close(fd);
        }
}

static void accept_ready(LoopIo *io, uint32_t events)
{
        Listener *l = CONTAINER_OF(io, Listener, io);
        Acceptor *a = l->acceptor;

        for (unsigned i = 0; i < ACCEPT_BATCH && may_accept(a); i++) {
                SockAddr peer = { 0 };
                socklen_t len = sizeof(peer);
                int fd = accept4(io->fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd >= 0) {
                        take_connection(a, fd, &peer);
                } else if (errno == EINVAL || errno == EBADF) {
                        /* somebody who shares it has shut it down */
                        (void)loop_io(a->loop, io, 0);
                        return;
                } else if (out_of_something(errno)) {
                        loop_timer_in(a->loop, &a->pause, PAUSE_NS);
                } else if (errno == EAGAIN) {
                        break;
                }
                /* others are errors of the one connection (accept(2)) */
        }
        if (!may_accept(a))
                watch_all(a);
}

void acceptor_login_over(Acceptor *a)
{
        bool could = may_accept(a);

        a->n_logins--;
        if (!could && may_accept(a))
                watch_all(a);
}

/* ---- listeners ---- */

static void listener_free(Listener *l)
{
        (void)loop_io(l->acceptor->loop, &l->io, 0);
        list_remove(&l->link);
        (void)safe_close(l->io.fd);
        free(l);
}

static void listener_add(LoopTask *task)
{
        Listener *l = CONTAINER_OF(task, Listener, add_task);

        list_append(&l->acceptor->listeners, &l->link);
        if (!l->acceptor->stopped)
                watch_all(l->acceptor);
}

static void listener_gone(LoopTask *task)
{
        listener_free(CONTAINER_OF(task, Listener, remove_task));
}

static int check_listening(int fd, SockAddr *ret)
{
        int listening = 0, type = 0;
        socklen_t len = sizeof(listening);

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
                return -errno;
        len = sizeof(type);
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
                return -errno;
        len = sizeof(*ret);
        *ret = (SockAddr){ 0 };
        if (getsockname(fd, &ret->sa, &len) < 0)
                return -errno;
        if (!listening || type != SOCK_STREAM ||
            (ret->sa.sa_family != AF_INET && ret->sa.sa_family != AF_INET6))
                return -EINVAL;
        return 0;
}

int listener_new(Acceptor *a, int fd, SockAddr *ret_address, Listener **ret)
{
        int r, flags;
        Listener *l;

        r = check_listening(fd, ret_address);
        if (r < 0)
                return r;
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        *l = (Listener){ .io = { .ready = accept_ready, .fd = fd },
                         .acceptor = a,
                         .add_task.run = listener_add,
                         .remove_task.run = listener_gone };
        loop_post(a->loop, &l->add_task);
        *ret = l;
        return 0;
}

void listener_remove(Listener *l)
{
        /* Not shutdown(), which would take effect earlier: the socket may be PID 1's as well. */
        loop_post(l->acceptor->loop, &l->remove_task);
}

/* ---- life ---- */

int acceptor_new(Loop *loop, unsigned logins_max, Acceptor **ret)
{
        Acceptor *a = calloc(1, sizeof(*a));

        if (!a)
                return -ENOMEM;
        *a = (Acceptor){ .loop = loop,
                         .logins_max = MAX(logins_max, 1U),
                         .pause.fire = pause_fire };
        list_init(&a->listeners);
        *ret = a;
        return 0;
}

void acceptor_set_worker(Acceptor *a, Worker *worker)
{
        a->worker = worker;
}

void acceptor_refuse(Acceptor *a, bool refuse)
{
        __atomic_store_n(&a->refuses, refuse, __ATOMIC_RELAXED);
}

void acceptor_stop(Acceptor *a)
{
        a->stopped = true;
        loop_timer_cancel(a->loop, &a->pause);
        LIST_FOREACH_SAFE (l, &a->listeners, Listener, link)
                listener_free(l);
}

Acceptor *acceptor_free(Acceptor *a)
{
        if (!a)
                return NULL;
        acceptor_stop(a);
        free(a);
        return NULL;
}
