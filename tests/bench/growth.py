# SPDX-License-Identifier: GPL-2.0-or-later
"""How a running tgtd grows: what tests/bench/scale measures and tests/integration/test_scale.py holds.

server: anything with .port and .process, as benchlib.Ours and tgt.Daemon have them."""
import contextlib
import os
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import benchlib as b  # noqa: E402
import crowd  # noqa: E402
import proc  # noqa: E402
import rawiscsi  # noqa: E402
import tgt  # noqa: E402

FLOOD_MIB = 4  # of a flood that may pass beside a command of another connection, on average,
FLOOD_MIB_P99 = 32  # and beside all but one in a hundred
HANGING = 'fault\n  bsopts "store=ram;hang=read"'  # what a fragment says after bs-type
SESSION_KIB = 16  # of memory that a silent session may take
THREADS = 32  # fewer, however many units: workers, control, some that run jobs


def connections(server, counts, rounds, target="ram", depth=32, **options):
    """{number of connections: results}, in turn."""
    runs = {n: [] for n in counts}
    for _ in range(rounds):
        for n in counts:
            runs[n].append(b.load(server, target, connections=n, depth=depth, bs="4K", **options))
    return runs


def flood(server, target, read=100, seconds=1.0):
    """The result of a connection that reads 4 KiB at a time, while another has 64 commands of 1 MiB in
    flight; with the MiB of those that pass beside each of its commands."""
    heavy = b.load_start(server, target, connections=1, depth=64, bs="1M", read=read,
                         time=f"{int(seconds * 1000) + 600}ms", warmup="100ms")
    time.sleep(0.4)
    # the generators must not wait for one another: that would be the scheduler's fairness
    light = b.load(server, target, ("chrt", "--fifo", "1"), depth=1, bs="4K", warmup="100ms",
                   time=f"{int(seconds * 1000)}ms")
    result = b.load_result(heavy, "the flood")
    return {**light, "flood_iops": result["iops"],
            "mib_per_command": b.quotient(result["iops"], light["iops"]),
            "mib_p99": result["iops"] * light["lat_us"]["p99"] / 1e6}


def spread(server, target, n, seconds=1.0):
    """The share of each worker of the processor time that n connections of a target take."""
    pid = server.process.pid
    load = b.load_start(server, target, connections=n, depth=8, bs="4K",
                        time=f"{int(seconds * 1000) + 500}ms", warmup="100ms")
    time.sleep(0.4)
    before = proc.workers_cpu_ns(pid)
    time.sleep(seconds)
    used = [ns - before[tid] for tid, ns in proc.workers_cpu_ns(pid).items()]
    b.load_result(load, "spread")
    return [ns / sum(used) for ns in used]


def silent(server, target, n, seconds):
    """n sessions that say nothing: percent of a processor, KiB of memory of each."""
    pid = server.process.pid
    with crowd.Crowd(server.port, target, 64) as few:  # what is allocated once
        few.rest(0.2)
    time.sleep(0.5)
    before = proc.kib(pid, "Pss")
    with crowd.Crowd(server.port, target, n) as many:
        many.rest(0.5)
        kib = (proc.kib(pid, "Pss") - before) / n
        cpu = proc.cpu_ns(pid)
        many.rest(seconds)
        percent = (proc.cpu_ns(pid) - cpu) / seconds / 1e9 * 100
        return {"kib": kib, "cpu_percent": percent, "answered": many.answered}


def beside(server, target, hung, rounds, n=32, seconds=0.5):
    """{"alone", "beside": results} of a load on target, without and with n commands of hung, another
    target's name, that get no answer; in turn."""
    runs = {"alone": [], "beside": []}
    for _ in range(rounds):
        for kind, results in runs.items():
            with contextlib.ExitStack() as stack:
                if kind == "beside":
                    raw = rawiscsi.Raw(server.port, target=hung).login().ready()
                    stack.callback(raw.close)
                    for i in range(n):
                        raw.command(struct.pack(">BBIBHB", 0x28, 0, i * 8, 0, 8, 0), read=4096)
                results.append(b.load(server, target, depth=32, bs="4K", warmup="100ms",
                                      time=f"{int(seconds * 1000)}ms"))
                if kind == "beside":
                    raw.sock.settimeout(0.1)
                    with contextlib.suppress(TimeoutError):
                        raise AssertionError(f"it does not hang: {raw.receive().bhs.hex()}")
    return runs


@contextlib.contextmanager
def many_units(directory, n):
    """A daemon with n targets of a unit each: (daemon, seconds until it was ready)."""
    text = "".join(f"<target iqn.2026-01.org.example:t{i}>\n  <backing-store NONE>\n"
                   "    bs-type null\n    size 1G\n  </backing-store>\n"
                   "  initiator-address ALL\n</target>\n" for i in range(n))
    begin = time.monotonic()
    with tgt.Daemon(directory, {"many.conf": text}) as daemon:
        yield daemon, time.monotonic() - begin
