/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi/trace.h"

#ifdef TGT_USDT
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

#define SEMAPHORE __attribute__((section(".probes"), visibility("hidden")))
volatile unsigned short tgt_command__start_semaphore SEMAPHORE;
volatile unsigned short tgt_command__done_semaphore SEMAPHORE;

void trace_start(const Task *task)
{
        DTRACE_PROBE5(tgt, command__start, task->nexus->session, lun_decode(task->lun),
                      (uint32_t)task_cdb(task)[0], task->lba,
                      (uint64_t)task->in_expected + task->out_expected);
}

/* Six arguments are what bpftrace can read on x86-64. */
void trace_done(const Task *task)
{
        if (task->state == TASK_IDLE)
                return; /* it was released */
        DTRACE_PROBE6(tgt, command__done, task->nexus->session, lun_decode(task->lun),
                      (uint32_t)task_cdb(task)[0], task->lba, (uint32_t)task->status,
                      task->nexus->worker->now - task->since);
}
#endif
