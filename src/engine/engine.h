/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/addr.h"
#include "base/base.h"
#include "base/loop.h"
#include "iscsi/iscsi.h"
#include "scsi/scsi.h"

/* engine: the only place with data-plane threads, event loops and sockets.
 *
 *   Workers     N threads, each an epoll Loop with a ScsiWorker and an IscsiWorker
 *   Acceptor    listening sockets, on worker 0; logins run there
 *   Registrar   the table of sessions of the process: reinstatement, TSIH, placement of sessions on
 *               workers. The one thing that workers share under a lock, which only logins and ends
 *               of sessions take
 *   Job pool    threads for what may block, one LoopLane per store
 *
 * Threads. Everything below is called on the control thread, whose Loop is given to engine_new();
 * nothing but engine_free() blocks; answers and events come back as tasks on that loop. The control
 * thread and the workers share nothing else but immutable, reference-counted maps and messages.
 *
 * May include: base, store, scsi, iscsi. */

typedef struct Engine Engine;

#define WAKE_MEASURE UINT64_MAX /* the default */

typedef struct EngineConfig {
        unsigned workers;    /* 0: one per core we may run on */
        uint64_t spin;       /* ns that a worker polls before it sleeps; 0: not at all */
        uint64_t wake_ns;    /* what it takes to wake a thread on another processor; 0: workers run
                              * where the scheduler likes, as with spin; WAKE_MEASURE */
        uint64_t memory_max; /* bytes of I/O buffers; 0: a quarter of RAM, at most 2 GiB */
        unsigned jobs_max;   /* threads of the job pool; 0: 256 */
        IscsiLimits iscsi;
        ScsiLimits scsi;
} EngineConfig;

void engine_config_default(EngineConfig *ret);

/* Copies of what workers report; strings live for the call. On the control thread, in the order of
 * each worker; at most 4096 are queued, then they are counted as dropped. */
typedef struct EngineEvents {
        void (*iscsi)(void *userdata, const IscsiEvent *event);
        void (*scsi)(void *userdata, const ScsiEvent *event);
        void (*sessions_changed)(void *userdata); /* the number of sessions moved */
        void (*dropped)(void *userdata, uint64_t n);
} EngineEvents;

int engine_new(const EngineConfig *config, Loop *control, const EngineEvents *events,
               void *userdata, Engine **ret);
/* Stops listening, ends sessions with an async message, waits at most timeout_ns for stores, then
 * done() on the control loop. The workers' loops go on, so that units can be retired, until
 * engine_free(), which waits for jobs (at most a second or two). What is stuck in a store by then
 * is left behind: the process had better end. */
void engine_stop(Engine *e, uint64_t timeout_ns, void (*done)(void *userdata), void *userdata);
Engine *engine_free(Engine *e);

unsigned engine_workers(const Engine *e);
/* What a worker did since it started. */
typedef struct EngineWorkerStats {
        unsigned index;
        uint64_t turns;  /* of its loop */
        uint64_t sleeps; /* of them: it waited, and something woke it up */
        uint64_t receives, sends, rx_bytes, tx_bytes;
        uint64_t commands; /* SCSI commands that came */
        uint64_t errors;   /* CHECK CONDITION but unit attention */
        uint64_t busy_ns;  /* processor time, the kernel's included */
        IoLatency latency; /* of what its sessions read and wrote */
} EngineWorkerStats;

/* Of all workers, ascending, in an array as with engine_sessions(). */
typedef void EngineWorkers(void *userdata, const EngineWorkerStats *rows, size_t n);
int engine_worker_stats(Engine *e, EngineWorkers *done, void *userdata);
/* The loop that coordinates the i-th unit: spread over workers. */
Loop *engine_coordinator(Engine *e, uint64_t key);

/* Runs work() on the job pool, done() on the control loop. */
void engine_job(Engine *e, LoopLane *lane, LoopJob *job);

/* Every worker uses map from its next turn on. done() (may be NULL) when all do; the old one is
 * dropped by then. Takes a reference. */
typedef void EngineDone(void *userdata, int r);
int engine_publish(Engine *e, IscsiMap *map, EngineDone *done, void *userdata);

/* Takes fd (a listening stream socket) on success. tpgt and what SendTargets says are the map's. */
int engine_listen(Engine *e, int fd);
/* Stops listening on the socket bound to address and closes it, on worker 0's loop: a moment later.
 * -ENOENT. */
int engine_unlisten(Engine *e, const SockAddr *address);

/* New connections are closed as soon as they come, or no longer; sessions go on. */
void engine_refuse(Engine *e, bool refuse);

/* Sessions with id greater than after, ascending, at most max, into an array that done() gets and
 * that is freed after it. */
typedef void EngineSessions(void *userdata, const IscsiSessionInfo *sessions, size_t n);
int engine_sessions(Engine *e, uint64_t after, size_t max, EngineSessions *done, void *userdata);
typedef void EngineSessionStats(void *userdata, const IscsiSessionStats *rows, size_t n);
int engine_session_stats(Engine *e, uint64_t after, size_t max, EngineSessionStats *done,
                         void *userdata);
/* What sessions did at LUNs: from LUN lun of session on, by session and LUN, at most max. */
typedef void EngineNexuses(void *userdata, const IscsiNexusStats *rows, size_t n);
int engine_nexuses(Engine *e, uint64_t session, uint32_t lun, size_t max, EngineNexuses *done,
                   void *userdata);
unsigned engine_n_sessions(const Engine *e); /* normal sessions now */
/* -ENOENT by done() if there is none. */
int engine_end_session(Engine *e, uint64_t session, EngineDone *done, void *userdata);
