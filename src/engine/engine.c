/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/engine.h"

#include <sched.h>
#include <sys/sysinfo.h>

#include "engine/collect.h"
#include "engine/jobs.h"
#include "engine/loop-epoll.h"
#include "engine/socket.h"
#include "engine/worker.h"

#define JOBS_MAX 256
#define JOB_IDLE_NS (10 * NSEC_PER_SEC)
#define MEMORY_MAX (2 * GIB)
/* Jobs that are still running when everything else is over get so long. */
#define JOBS_STOP_NS (1 * NSEC_PER_SEC)
/* Turns of the loops after their threads have ended: messages between them go to and fro; enough
 * when no job was there for so many. */
#define SETTLE_TURNS 1000
#define SETTLE_QUIET 16
/* Room for sessions that begin while they are listed. */
#define SESSIONS_SLACK 16

typedef struct Listening {
        SockAddr address;
        Listener *listener;
        List link;
} Listening;

struct Engine {
        Control *control;
        JobPool *jobs;
        Budget budget;
        Worker *workers;
        unsigned n_workers;
        Registrar *registrar;
        Acceptor *acceptor;
        List listening;
        struct StopOp *stop; /* while stopping and afterwards */
};

static struct StopOp *stop_new(Engine *e);

/* ---- start ---- */

void engine_config_default(EngineConfig *ret)
{
        *ret = (EngineConfig){ .wake_ns = WAKE_MEASURE,
                               .scsi = { .ghost_wait = 5 * NSEC_PER_SEC, .tasks_per_slot = 4096 } };
        iscsi_limits_default(&ret->iscsi);
}

static unsigned default_workers(void)
{
        cpu_set_t set;

        /* the mask rather than the machine: a container's share */
        if (sched_getaffinity(0, sizeof(set), &set) < 0)
                return 1;
        return (unsigned)MAX(CPU_COUNT(&set), 1);
}

static uint64_t default_memory(void)
{
        struct sysinfo info;

        if (sysinfo(&info) < 0)
                return 256 * MIB;
        return min_u64((uint64_t)info.totalram * info.mem_unit / 4, MEMORY_MAX);
}

static void host_end(void *userdata, unsigned worker, uint64_t session, const char *reason)
{
        Engine *e = userdata;

        /* -ENOENT: it ended by itself */
        (void)iscsi_worker_end_session(e->workers[worker].iscsi, session, reason);
}

static void host_changed(void *userdata)
{
        Engine *e = userdata;

        control_sessions_changed(e->control);
}

static const RegistrarHost registrar_host = {
        .answered = worker_claim_answered,
        .end = host_end,
        .changed = host_changed,
};

static uint64_t wake_cost(const EngineConfig *config)
{
        /* a worker that polls must not take the processor of whom it waits for */
        if (config->spin > 0)
                return 0;
        return config->wake_ns == WAKE_MEASURE ? placement_measure_wake() : config->wake_ns;
}

static int make_workers(Engine *e, const EngineConfig *config)
{
        size_t keep = (size_t)e->budget.left / e->n_workers / 4;
        uint64_t wake_ns = wake_cost(config);
        int r;

        e->workers = calloc(e->n_workers, sizeof(*e->workers));
        if (!e->workers)
                return -ENOMEM;
        for (unsigned i = 0; i < e->n_workers; i++) {
                Worker *w = &e->workers[i];

                w->index = i;
                w->workers = e->workers;
                w->control = e->control;
                w->wake_ns = wake_ns;
                r = worker_init(w, e->jobs, &e->budget, keep, config);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int make_shared(Engine *e, const EngineConfig *config)
{
        Loop *loops[SCSI_WORKERS_MAX];
        IscsiLimits limits;
        int r;

        iscsi_limits_default(&limits);
        if (config->iscsi.sessions_max)
                limits.sessions_max = config->iscsi.sessions_max;
        if (config->iscsi.logins_max)
                limits.logins_max = config->iscsi.logins_max;
        for (unsigned i = 0; i < e->n_workers; i++)
                loops[i] = e->workers[i].loop;
        r = registrar_new(loops, e->n_workers, limits.sessions_max, &registrar_host, e,
                          &e->registrar);
        if (r < 0)
                return r;
        r = acceptor_new(loops[0], limits.logins_max, &e->acceptor);
        if (r < 0)
                return r;
        acceptor_set_worker(e->acceptor, &e->workers[0]);
        for (unsigned i = 0; i < e->n_workers; i++) {
                e->workers[i].registrar = e->registrar;
                e->workers[i].acceptor = e->acceptor;
        }
        return 0;
}

static int engine_start(Engine *e, const EngineConfig *config, Loop *control,
                        const EngineEvents *events, void *userdata)
{
        int r;

        r = control_new(control, events, userdata, &e->control);
        if (r < 0)
                return r;
        r = jobs_new(config->jobs_max ? config->jobs_max : JOBS_MAX, JOB_IDLE_NS, &e->jobs);
        if (r < 0)
                return r;
        r = make_workers(e, config);
        if (r < 0)
                return r;
        r = make_shared(e, config);
        if (r < 0)
                return r;
        e->stop = stop_new(e);
        if (!e->stop)
                return -ENOMEM;
        for (unsigned i = 0; i < e->n_workers; i++) {
                r = worker_start(&e->workers[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

int engine_new(const EngineConfig *config, Loop *control, const EngineEvents *events,
               void *userdata, Engine **ret)
{
        Engine *e = calloc(1, sizeof(*e));
        unsigned n = config->workers ? config->workers : default_workers();
        int r;

        if (!e)
                return -ENOMEM;
        list_init(&e->listening);
        e->n_workers = MIN(n, (unsigned)SCSI_WORKERS_MAX);
        e->budget.left = (int64_t)(config->memory_max ? config->memory_max : default_memory());
        r = engine_start(e, config, control, events, userdata);
        if (r < 0) {
                (void)engine_free(e);
                return r;
        }
        *ret = e;
        return 0;
}

unsigned engine_workers(const Engine *e)
{
        return e->n_workers;
}

Loop *engine_coordinator(Engine *e, uint64_t key)
{
        return e->workers[key % e->n_workers].loop;
}

void engine_job(Engine *e, LoopLane *lane, LoopJob *job)
{
        jobs_queue(e->jobs, lane, job, control_loop(e->control));
        jobs_wake(e->jobs);
}

/* ---- a message to every worker, an answer when all have read it ---- */

typedef struct Broadcast Broadcast;

typedef struct BroadcastMessage {
        LoopTask task;
        Broadcast *all;
        Worker *worker;
} BroadcastMessage;

struct Broadcast {
        Engine *engine;
        IscsiMap *map;
        unsigned pending; /* atomic */
        LoopTask reply;
        Control *control;
        EngineDone *done;
        void *userdata;
        BroadcastMessage messages[];
};

static void publish_reply(LoopTask *task)
{
        Broadcast *b = CONTAINER_OF(task, Broadcast, reply);

        if (b->done && !control_closed(b->control))
                b->done(b->userdata, 0);
        (void)iscsi_map_unref(b->map);
        (void)control_unref(b->control);
        free(b);
}

static void publish_run(LoopTask *task)
{
        BroadcastMessage *m = CONTAINER_OF(task, BroadcastMessage, task);
        Broadcast *b = m->all;

        iscsi_worker_set_map(m->worker->iscsi, b->map);
        if (__atomic_sub_fetch(&b->pending, 1, __ATOMIC_ACQ_REL) == 0)
                loop_post(control_loop(b->control), &b->reply);
}

int engine_publish(Engine *e, IscsiMap *map, EngineDone *done, void *userdata)
{
        Broadcast *b = calloc(1, sizeof(*b) + e->n_workers * sizeof(b->messages[0]));

        if (!b)
                return -ENOMEM;
        b->engine = e;
        b->map = iscsi_map_ref(map);
        b->pending = e->n_workers;
        b->reply.run = publish_reply;
        b->control = control_ref(e->control);
        b->done = done;
        b->userdata = userdata;
        for (unsigned i = 0; i < e->n_workers; i++) {
                b->messages[i] = (BroadcastMessage){ { .run = publish_run }, b, &e->workers[i] };
                loop_post(e->workers[i].loop, &b->messages[i].task);
        }
        return 0;
}

/* ---- portals ---- */

int engine_listen(Engine *e, int fd)
{
        Listening *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        r = listener_new(e->acceptor, fd, &l->address, &l->listener);
        if (r < 0) {
                free(l);
                return r;
        }
        list_append(&e->listening, &l->link);
        return 0;
}

int engine_unlisten(Engine *e, const SockAddr *address)
{
        LIST_FOREACH (l, &e->listening, Listening, link) {
                if (!sockaddr_equal(&l->address, address))
                        continue;
                listener_remove(l->listener);
                list_remove(&l->link);
                free(l);
                return 0;
        }
        return -ENOENT;
}

void engine_refuse(Engine *e, bool refuse)
{
        acceptor_refuse(e->acceptor, refuse);
}

/* The listeners are the acceptor's; this is only the way to find them. */
static void forget_listening(Engine *e)
{
        LIST_FOREACH_SAFE (l, &e->listening, Listening, link) {
                list_remove(&l->link);
                free(l);
        }
}

/* ---- sessions ---- */

unsigned engine_n_sessions(const Engine *e)
{
        return registrar_n_sessions(e->registrar);
}

static int compare_sessions(const void *a, const void *b)
{
        const IscsiSessionInfo *x = a, *y = b;

        return x->id < y->id ? -1 : x->id > y->id;
}

static size_t find_sessions(Worker *w, const CollectFrom *from, void *rows, size_t max)
{
        return iscsi_worker_sessions(w->iscsi, from->id, rows, max);
}

static void deliver_sessions(CollectDone *done, void *userdata, const void *rows, size_t n)
{
        ((EngineSessions *)done)(userdata, rows, n);
}

/* Whoever wants all says a large number. */
static int collect_sessions(Engine *e, const CollectKind *kind, uint64_t after, size_t max,
                            CollectDone *done, void *userdata)
{
        max = MIN(max, (size_t)registrar_n_entries(e->registrar) + SESSIONS_SLACK);
        return collect(kind, e->workers, e->n_workers, &(CollectFrom){ after, 0 }, max, done,
                       userdata);
}

int engine_sessions(Engine *e, uint64_t after, size_t max, EngineSessions *done, void *userdata)
{
        static const CollectKind kind = { sizeof(IscsiSessionInfo), find_sessions, compare_sessions,
                                          deliver_sessions };

        return collect_sessions(e, &kind, after, max, (CollectDone *)done, userdata);
}

static int compare_session_stats(const void *a, const void *b)
{
        const IscsiSessionStats *x = a, *y = b;

        return compare_sessions(&x->info, &y->info);
}

static size_t find_session_stats(Worker *w, const CollectFrom *from, void *rows, size_t max)
{
        return iscsi_worker_session_stats(w->iscsi, from->id, rows, max);
}

static void deliver_session_stats(CollectDone *done, void *userdata, const void *rows, size_t n)
{
        ((EngineSessionStats *)done)(userdata, rows, n);
}

int engine_session_stats(Engine *e, uint64_t after, size_t max, EngineSessionStats *done,
                         void *userdata)
{
        static const CollectKind kind = { sizeof(IscsiSessionStats), find_session_stats,
                                          compare_session_stats, deliver_session_stats };

        return collect_sessions(e, &kind, after, max, (CollectDone *)done, userdata);
}

static int compare_nexuses(const void *a, const void *b)
{
        const IscsiNexusStats *x = a, *y = b;

        if (x->session != y->session)
                return x->session < y->session ? -1 : 1;
        return x->itl.lun < y->itl.lun ? -1 : x->itl.lun > y->itl.lun;
}

static size_t find_nexuses(Worker *w, const CollectFrom *from, void *rows, size_t max)
{
        return iscsi_worker_nexuses(w->iscsi, from->id, from->lun, rows, max);
}

static void deliver_nexuses(CollectDone *done, void *userdata, const void *rows, size_t n)
{
        ((EngineNexuses *)done)(userdata, rows, n);
}

int engine_nexuses(Engine *e, uint64_t session, uint32_t lun, size_t max, EngineNexuses *done,
                   void *userdata)
{
        static const CollectKind kind = { sizeof(IscsiNexusStats), find_nexuses, compare_nexuses,
                                          deliver_nexuses };

        return collect(&kind, e->workers, e->n_workers, &(CollectFrom){ session, lun }, max,
                       (CollectDone *)done, userdata);
}

/* ---- workers ---- */

static int compare_workers(const void *a, const void *b)
{
        const EngineWorkerStats *x = a, *y = b;

        return x->index < y->index ? -1 : x->index > y->index;
}

static size_t find_worker(Worker *w, const CollectFrom *from, void *rows, size_t max)
{
        worker_stats(w, rows);
        return 1;
}

static void deliver_workers(CollectDone *done, void *userdata, const void *rows, size_t n)
{
        ((EngineWorkers *)done)(userdata, rows, n);
}

int engine_worker_stats(Engine *e, EngineWorkers *done, void *userdata)
{
        static const CollectKind kind = { sizeof(EngineWorkerStats), find_worker, compare_workers,
                                          deliver_workers };

        return collect(&kind, e->workers, e->n_workers, &(CollectFrom){ 0 }, e->n_workers,
                       (CollectDone *)done, userdata);
}

typedef struct EndOp {
        LoopTask task;
        Control *control;
        EngineDone *done;
        void *userdata;
        int result;
} EndOp;

static void end_reply(LoopTask *task)
{
        EndOp *op = CONTAINER_OF(task, EndOp, task);

        if (!control_closed(op->control))
                op->done(op->userdata, op->result);
        (void)control_unref(op->control);
        free(op);
}

int engine_end_session(Engine *e, uint64_t session, EngineDone *done, void *userdata)
{
        EndOp *op = NULL;
        int r;

        if (done) {
                op = calloc(1, sizeof(*op));
                if (!op)
                        return -ENOMEM;
        }
        r = registrar_end(e->registrar, session, "ended by the administrator");
        if (!op)
                return 0;
        *op = (EndOp){ .task.run = end_reply,
                       .control = control_ref(e->control),
                       .done = done,
                       .userdata = userdata,
                       .result = r };
        loop_post(control_loop(e->control), &op->task);
        return 0;
}

/* ---- stop ---- */

typedef struct StopMessage {
        LoopTask stop, close;
        struct StopOp *op;
        Worker *worker;
} StopMessage;

/* Made with the engine: stopping must not fail. */
typedef struct StopOp {
        Engine *engine;
        void (*done)(void *userdata); /* not NULL: begun */
        void *userdata;
        LoopTimer timer;  /* control loop's: enough was waited */
        unsigned pending; /* atomic: workers with sessions */
        LoopTask reply;   /* every session is over */
        bool timed_out, finishing;
        unsigned closing; /* atomic: workers with sockets */
        LoopTask closed;
        StopMessage messages[];
} StopOp;

static void stop_closed(LoopTask *task)
{
        StopOp *op = CONTAINER_OF(task, StopOp, closed);

        op->done(op->userdata);
}

/* Connections that are logging in, or whose peer does not close. */
static void close_sockets(LoopTask *task)
{
        StopMessage *m = CONTAINER_OF(task, StopMessage, close);
        StopOp *op = m->op;

        m->worker->stopping = true;
        LIST_FOREACH_SAFE (s, &m->worker->sockets, Socket, link)
                socket_fail(s, -ESHUTDOWN);
        if (__atomic_sub_fetch(&op->closing, 1, __ATOMIC_ACQ_REL) == 0)
                loop_post(control_loop(op->engine->control), &op->closed);
}

static void stop_finish(StopOp *op)
{
        Engine *e = op->engine;

        if (op->finishing)
                return;
        op->finishing = true;
        loop_timer_cancel(control_loop(e->control), &op->timer);
        for (unsigned i = 0; i < e->n_workers; i++)
                loop_post(e->workers[i].loop, &op->messages[i].close);
}

static void stop_reply(LoopTask *task)
{
        stop_finish(CONTAINER_OF(task, StopOp, reply));
}

static void stop_timeout(LoopTimer *timer)
{
        StopOp *op = CONTAINER_OF(timer, StopOp, timer);

        op->timed_out = true;
        stop_finish(op);
}

static void worker_over(void *userdata)
{
        StopOp *op = userdata;

        if (__atomic_sub_fetch(&op->pending, 1, __ATOMIC_ACQ_REL) == 0)
                loop_post(control_loop(op->engine->control), &op->reply);
}

static void stop_run(LoopTask *task)
{
        StopMessage *m = CONTAINER_OF(task, StopMessage, stop);

        if (m->worker->index == 0)
                acceptor_stop(m->op->engine->acceptor);
        iscsi_worker_shutdown(m->worker->iscsi, worker_over, m->op);
}

static StopOp *stop_new(Engine *e)
{
        StopOp *op = calloc(1, sizeof(*op) + e->n_workers * sizeof(op->messages[0]));

        if (!op)
                return NULL;
        op->engine = e;
        op->timer.fire = stop_timeout;
        op->pending = op->closing = e->n_workers;
        op->reply.run = stop_reply;
        op->closed.run = stop_closed;
        for (unsigned i = 0; i < e->n_workers; i++)
                op->messages[i] = (StopMessage){ .stop.run = stop_run,
                                                 .close.run = close_sockets,
                                                 .op = op,
                                                 .worker = &e->workers[i] };
        return op;
}

void engine_stop(Engine *e, uint64_t timeout_ns, void (*done)(void *userdata), void *userdata)
{
        StopOp *op = e->stop;

        if (op->done)
                return;
        op->done = done;
        op->userdata = userdata;
        forget_listening(e);
        loop_timer_in(control_loop(e->control), &op->timer, timeout_ns);
        for (unsigned i = 0; i < e->n_workers; i++)
                loop_post(e->workers[i].loop, &op->messages[i].stop);
}

/* Runs what is still posted on the loops, whose threads have ended; false: a job is stuck. */
static bool settle(Engine *e)
{
        unsigned quiet = 0;

        for (unsigned i = 0; i < SETTLE_TURNS && quiet < SETTLE_QUIET; i++) {
                quiet = jobs_idle(e->jobs) ? quiet + 1 : 0;
                for (unsigned k = 0; k < e->n_workers; k++)
                        epoll_loop_turn(e->workers[k].loop, false);
                if (!jobs_idle(e->jobs))
                        (void)usleep(1000);
        }
        return quiet >= SETTLE_QUIET;
}

Engine *engine_free(Engine *e)
{
        bool running, stuck;

        if (!e)
                return NULL;
        running = e->n_workers > 0 && e->workers && e->workers[e->n_workers - 1].started;
        if (e->control)
                control_close(e->control);
        for (unsigned i = 0; e->workers && i < e->n_workers; i++)
                worker_stop(&e->workers[i]);
        stuck = e->stop && e->stop->timed_out;
        if (running && !settle(e))
                stuck = true;
        if (jobs_free(e->jobs, JOBS_STOP_NS) < 0)
                stuck = true;
        forget_listening(e);
        /* What is stuck below still refers to all this; the process is about to end. */
        if (stuck)
                return NULL;
        if (e->acceptor)
                e->acceptor = acceptor_free(e->acceptor);
        for (unsigned i = 0; e->workers && i < e->n_workers; i++)
                stuck |= !worker_done(&e->workers[i]);
        if (stuck)
                return NULL;
        e->registrar = registrar_free(e->registrar);
        (void)control_unref(e->control);
        free(e->stop);
        free(e->workers);
        free(e);
        return NULL;
}
