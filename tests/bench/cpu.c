/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cpu.h"

#include <stdio.h>
#include <time.h>

/* Fields 14 and 15 of proc(5)'s stat, in ticks: too coarse for the sum, right for the shares. */
static int read_ticks(pid_t pid, Cpu *ret)
{
        unsigned long long user, system;
        char path[64], line[1024], *p;
        FILE *f;
        int n;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        f = fopen(path, "re");
        if (!f)
                return -errno;
        p = fgets(line, sizeof(line), f);
        (void)fclose(f);
        p = p ? strrchr(line, ')') : NULL; /* the name may hold anything */
        if (!p)
                return -EIO;
        n = sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system);
        if (n != 2)
                return -EIO;
        ret->user_ticks = user;
        ret->system_ticks = system;
        return 0;
}

int cpu_read(pid_t pid, Cpu *ret)
{
        struct timespec ts;
        clockid_t id;
        int r;

        *ret = (Cpu){ 0 };
        r = clock_getcpuclockid(pid, &id);
        if (r != 0)
                return -r;
        if (clock_gettime(id, &ts) < 0)
                return -errno;
        ret->total_ns = (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
        return read_ticks(pid, ret);
}

Cpu cpu_between(const Cpu *before, const Cpu *after)
{
        Cpu d = { .total_ns = after->total_ns - before->total_ns,
                  .user_ticks = after->user_ticks - before->user_ticks,
                  .system_ticks = after->system_ticks - before->system_ticks };
        uint64_t ticks = d.user_ticks + d.system_ticks;

        d.user = ticks ? (double)d.user_ticks / (double)ticks : 0;
        return d;
}
