/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <pthread.h>

#include "base/counter.h"
#include "engine/acceptor.h"
#include "engine/control.h"
#include "engine/engine.h"
#include "engine/jobs.h"
#include "engine/placement.h"
#include "engine/registrar.h"

/* One data-plane thread and what is its own. After worker_start() only that thread touches it, but
 * for what is constant from then on. */

/* What went through the sockets of a worker; system calls count whether or not they moved
 * something. Any thread may read (base/counter.h). */
typedef struct WorkerTraffic {
        uint64_t receives, sends, rx_bytes, tx_bytes;
} WorkerTraffic;

typedef struct Worker Worker;
struct Worker {
        unsigned index;
        Loop *loop;
        BufferPool *buffers;
        ScsiWorker *scsi;
        IscsiWorker *iscsi;
        List sockets;  /* Socket.link */
        bool stopping; /* takes no connection any more */
        WorkerTraffic traffic;
        Placement placement;

        /* shared, constant: */
        uint64_t wake_ns; /* EngineConfig's, or what was measured; 0: is not to be placed */
        Worker *workers;  /* all of them */
        Registrar *registrar;
        Acceptor *acceptor; /* worker 0's */
        Control *control;

        pthread_t thread;
        bool started;
        LoopTask stop_task;
};

/* Everything but the thread. index and the shared fields are set. */
int worker_init(Worker *w, JobPool *jobs, Budget *budget, size_t keep_bytes,
                const EngineConfig *config);
int worker_start(Worker *w);
/* Ends the thread and waits for it. */
void worker_stop(Worker *w);
/* Its thread has ended and nothing is pending; idempotent. false: stores still hold requests, and
 * with them buffers and the loop, which are left behind. */
bool worker_done(Worker *w);

/* On its loop. */
void worker_stats(const Worker *w, EngineWorkerStats *ret);

/* RegistrarHost's part that needs workers. */
void worker_claim_answered(LoopTask *task);
