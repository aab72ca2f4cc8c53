# SPDX-License-Identifier: GPL-2.0-or-later
"""What a process uses: processor time of its own and of each thread, memory."""
import contextlib
import os
import time


def cpu_ns(pid):
    """All threads, those that ended too, to the nanosecond: the process's clock (CPUCLOCK_SCHED)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def threads_cpu_ns(pid):
    """{thread id: (name, ns)} of those that live (schedstat: time on the processor is first)."""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/task/{tid}/comm") as f:
                name = f.read().strip()
            with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
                found[int(tid)] = (name, int(f.read().split()[0]))
    return found


def workers_cpu_ns(pid):
    """Of the threads that serve initiators."""
    return {tid: ns for tid, (name, ns) in threads_cpu_ns(pid).items()
            if name.startswith("tgt-worker")}


def kib(pid, field):
    """"Pss" or "Rss"."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(field + ":"))
