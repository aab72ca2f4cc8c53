/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/worker.h"

#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "engine/loop-epoll.h"
#include "engine/socket.h"

/* ---- what iscsi and scsi ask for ---- */

static void host_event(void *userdata, const IscsiEvent *event)
{
        Worker *w = userdata;

        if (event->kind == ISCSI_EVENT_LOGIN)
                registrar_placed(w->registrar, event->session);
        control_iscsi_event(w->control, event);
}

static void host_claim(void *userdata, IscsiClaim *claim)
{
        Worker *w = userdata;

        registrar_claim(w->registrar, claim);
}

void worker_claim_answered(LoopTask *task)
{
        IscsiClaim *claim = CONTAINER_OF(task, IscsiClaim, task);
        Socket *s = conn_user(claim->conn);

        /* without one the connection is closed, and gives back what it was granted */
        if (s && claim->result == 0)
                s->granted = true;
        iscsi_claim_done(claim);
}

static void host_session_ended(void *userdata, uint64_t session)
{
        Worker *w = userdata;

        registrar_ended(w->registrar, session);
}

static void host_move(void *userdata, Conn *conn, unsigned worker)
{
        socket_move(conn_user(conn), worker);
}

static void host_wake(void *userdata, Conn *conn)
{
        socket_wake(conn_user(conn));
}

static int host_random(void *buf, size_t n)
{
        uint8_t *p = buf;

        while (n > 0) {
                ssize_t k = getrandom(p, n, 0);

                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                p += k;
                n -= (size_t)k;
        }
        return 0;
}

static const IscsiHostOps iscsi_host_ops = {
        .event = host_event,
        .claim = host_claim,
        .session_ended = host_session_ended,
        .move = host_move,
        .wake = host_wake,
        .random = host_random,
};

static void scsi_event(void *userdata, const ScsiEvent *event)
{
        Worker *w = userdata;

        control_scsi_event(w->control, event);
}

/* ---- statistics ---- */

static uint64_t thread_time(pthread_t thread)
{
        struct timespec ts;
        clockid_t clock;

        if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &ts) < 0)
                return 0;
        return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

void worker_stats(const Worker *w, EngineWorkerStats *ret)
{
        LoopStats loop;

        epoll_loop_stats(w->loop, &loop);
        *ret = (EngineWorkerStats){ .index = w->index,
                                    .turns = loop.turns,
                                    .sleeps = loop.sleeps,
                                    .receives = COUNTER_READ(&w->traffic, receives),
                                    .sends = COUNTER_READ(&w->traffic, sends),
                                    .rx_bytes = COUNTER_READ(&w->traffic, rx_bytes),
                                    .tx_bytes = COUNTER_READ(&w->traffic, tx_bytes),
                                    .commands = iscsi_worker_commands(w->iscsi),
                                    .errors = scsi_worker_errors(w->scsi),
                                    .busy_ns = w->started ? thread_time(w->thread) : 0 };
        scsi_worker_latency(w->scsi, &ret->latency);
}

/* ---- life ---- */

static void stop_run(LoopTask *task)
{
        Worker *w = CONTAINER_OF(task, Worker, stop_task);

        epoll_loop_stop(w->loop);
}

int worker_init(Worker *w, JobPool *jobs, Budget *budget, size_t keep_bytes,
                const EngineConfig *config)
{
        ScsiHost scsi_host = { .event = scsi_event, .userdata = w };
        int r;

        list_init(&w->sockets);
        w->stop_task.run = stop_run;
        r = epoll_loop_new(w->index, jobs, &w->loop);
        if (r < 0)
                return r;
        epoll_loop_spin(w->loop, config->spin);
        r = buffer_pool_new(budget, keep_bytes, &w->buffers);
        if (r < 0)
                return r;
        buffer_pool_set_loop(w->buffers, w->loop);
        r = scsi_worker_new(w->loop, w->buffers, &config->scsi, &scsi_host, &w->scsi);
        if (r < 0)
                return r;
        return iscsi_worker_new(w->loop, w->scsi, &config->iscsi, &iscsi_host_ops, w, &w->iscsi);
}

static void *worker_main(void *arg)
{
        Worker *w = arg;
        PlacementThread *thread = NULL;
        char name[16];

        (void)snprintf(name, sizeof(name), "tgt-worker%u", w->index);
        (void)pthread_setname_np(pthread_self(), name);
        /* without: runs wherever the scheduler likes */
        if (w->wake_ns > 0 && placement_thread_new(&thread) == 0)
                placement_init(&w->placement, &placement_thread_ops, thread, w->wake_ns);
        epoll_loop_run(w->loop);
        (void)placement_thread_free(thread);
        return NULL;
}

int worker_start(Worker *w)
{
        sigset_t all, old;
        int r;

        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&w->thread, NULL, worker_main, w);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        w->started = r == 0;
        return -r;
}

void worker_stop(Worker *w)
{
        if (!w->started)
                return;
        loop_post(w->loop, &w->stop_task);
        (void)pthread_join(w->thread, NULL);
        w->started = false;
}

bool worker_done(Worker *w)
{
        unsigned ghosts = 0;

        w->iscsi = iscsi_worker_free(w->iscsi);
        w->scsi = scsi_worker_free(w->scsi, &ghosts);
        if (ghosts > 0)
                return false;
        w->buffers = buffer_pool_free(w->buffers);
        w->loop = epoll_loop_free(w->loop);
        return true;
}
