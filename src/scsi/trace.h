/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "scsi/core.h"

/* USDT probes of provider tgt, for bpftrace, perf, gdb and SystemTap; trace/commands.bt is an
 * example. Their arguments are an interface (tgtd(8)).
 *
 *   command__start  session, LUN, opcode, LBA, bytes expected
 *   command__done   session, LUN, opcode, LBA, status, latency in ns
 *
 * While nobody traces, each costs a look at its semaphore, which whoever traces raises. */

void trace_start(const Task *task);
void trace_done(const Task *task);

#ifdef TGT_USDT
extern volatile unsigned short tgt_command__start_semaphore, tgt_command__done_semaphore;

static inline void trace_command_start(const Task *task)
{
        if (UNLIKELY(tgt_command__start_semaphore > 0))
                trace_start(task);
}

/* Before what is left of task is given back; once. */
static inline void trace_command_done(const Task *task)
{
        if (UNLIKELY(tgt_command__done_semaphore > 0))
                trace_done(task);
}
#else
static inline void trace_command_start(const Task *task)
{
}

static inline void trace_command_done(const Task *task)
{
}
#endif
