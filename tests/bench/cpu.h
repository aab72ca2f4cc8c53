/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/base.h"

/* Processor time that a process has used, all threads, those that ended too. */

typedef struct Cpu {
        uint64_t total_ns; /* exact, by the process's clock */
        double user;       /* the part of it in user mode, by the kernel's ticks: 0 to 1 */
        uint64_t user_ticks, system_ticks;
} Cpu;

int cpu_read(pid_t pid, Cpu *ret);
/* What was used between two readings. */
Cpu cpu_between(const Cpu *before, const Cpu *after);
