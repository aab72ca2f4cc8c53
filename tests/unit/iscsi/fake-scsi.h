/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "scsi/scsi.h"

/* A scripted device server in place of src/scsi, so that the session engine can be brought into
 * corners that a real one seldom visits. One disk of FAKE_BLOCKS blocks of 512 bytes at every LUN.
 * READ(10), WRITE(10), TEST UNIT READY; opcode FFh is CHECK CONDITION; 7Fh answers its CDB. */

#define FAKE_BLOCKS 4096
#define FAKE_LATENCY 4711 /* ns: sum of what a nexus read */

typedef struct FakeScsi {
        BufferPool *buffers;
        Budget budget;
        Loop *loop;
        uint8_t *disk;
        StoreLoan lent; /* memory like disk, from which READ is sent if the transport can */
        bool hold;      /* tasks stay where they are: complete by fake_run() */
        bool gate;      /* writes do not ask for their data: until fake_run() */
        bool hold_tmf;  /* done() comes by fake_run() */
        bool fail_open;
        bool tas;          /* aborted tasks answer TASK ABORTED */
        uint32_t short_by; /* READ sends that many bytes fewer, CHECK CONDITION */
        unsigned n_submitted, n_aborted, n_completed, n_released, n_remapped, n_tmfs;
        unsigned n_open; /* nexuses */
        int last_error;  /* of task_data_out_done() */
        Task *tasks[1024];
        unsigned n_tasks; /* held */
        unsigned n_live;  /* not released */
        Tmf *tmf;
        TmfFunction last_tmf;
        TmfResponse tmf_response;             /* for all but ABORT TASK */
        Throttle *throttles[NEXUS_THROTTLES]; /* of the nexus that was last told */
        unsigned n_throttled;
        uint8_t last_cdb[CDB_MAX];
        uint16_t last_cdb_length;
} FakeScsi;

extern FakeScsi fake;

void fake_init(Loop *loop);
void fake_done(void);
/* Everything that is held goes on. */
void fake_run(void);
/* What task sends is no longer lent; copied: there is memory for that. */
void fake_recall(Task *task, bool copied);
