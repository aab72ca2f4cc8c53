#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What large installations need, of what tests/bench/scale measures: as ratios, or in processor time and
memory, so that a busy machine does not matter."""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, "..", "bench"))
import benchlib  # noqa: E402
import growth  # noqa: E402
import proc  # noqa: E402
import tgt  # noqa: E402
from rawiscsi import Raw  # noqa: E402



def target(name, store="ram", directive=""):
    return (f"<target {benchlib.PREFIX}{name}>\n  <backing-store NONE>\n    bs-type {store}\n"
            f"    size 256M\n  </backing-store>\n  initiator-address ALL\n  {directive}\n</target>\n")


def daemon(directory, *args, directive="", more=""):
    return tgt.Daemon(directory, {"bench.conf": target("ram", directive=directive) + more},
                      args=args)


def test_ten_thousand_targets():
    with tgt.scratch() as d, growth.many_units(d, 10000) as (server, seconds):
        mib = proc.kib(server.process.pid, "Rss") >> 10
        print(f"# 10,000 targets: ready in {seconds:.1f} s, {mib} MiB")
        raw = Raw(server.port).login(session="Discovery")
        assert raw.send_targets().count(b"TargetName=") == 10000
        raw.close()
        url = server.url("iqn.2026-01.org.example:t9999")
        assert "Peripheral" in tgt.run("iscsi-inq", url).stdout
        assert mib <= 100, f"{mib} MiB"
        assert len(proc.workers_cpu_ns(server.process.pid)) == len(os.sched_getaffinity(0))
        tgt.eventually(lambda: len(proc.threads_cpu_ns(server.process.pid)) < growth.THREADS, 30,
                       "threads only for workers, and a few for jobs")


def test_silent_sessions():
    with tgt.scratch() as d, daemon(d) as server:
        figures = growth.silent(server, benchlib.PREFIX + "ram", 1000, 3)
        print(f"# {figures}")
        assert figures["cpu_percent"] < 0.1
        assert figures["kib"] <= growth.SESSION_KIB


def test_silent_sessions_that_are_asked():
    """NOPs five times as often as in the figure of tests/bench/scale, at no more than twice the cost."""
    with tgt.scratch() as d, daemon(d, directive="nop_interval 1") as server:
        figures = growth.silent(server, benchlib.PREFIX + "ram", 1000, 4)
        print(f"# {figures}")
        assert figures["answered"] > 3000
        assert figures["cpu_percent"] < 5 * 0.5 * 2


def test_connections_do_not_slow_one_another():
    with tgt.scratch() as d, daemon(d, "--workers=2") as server:
        benchlib.fill(server, "ram")
        for read in (100, 0):
            runs = growth.connections(server, (1, 8, 64), 4, read=read, time="300ms",
                                      warmup="100ms")
            one = benchlib.median(runs[1], "iops")
            for n in (8, 64):  # on a quiet machine about twice as many
                most = max(r["iops"] for r in runs[n])
                print(f"# read {read} %: IOPS of {n} connections {most / one:.2f} of one's")
                assert most > 0.7 * one, f"{n} connections: {most / one:.2f} of one's IOPS"


def test_connections_get_equal_shares():
    with tgt.scratch() as d, daemon(d, "--workers=1") as server:
        benchlib.fill(server, "ram")
        runs = growth.connections(server, (8,), 3, time="500ms", warmup="100ms")[8]
        shares = [least / most for least, most in (r["connection_iops"] for r in runs)]
        print(f"# least of most: {shares}")
        assert max(shares) > 0.7


def test_connections_of_a_target_use_all_workers():
    with tgt.scratch() as d, daemon(d, "--workers=2") as server:
        shares = growth.spread(server, "ram", 16)
        print(f"# shares of the workers: {shares}")
        assert len(shares) == 2 and min(shares) > 0.25


def worker_processors(server):
    return [os.sched_getaffinity(tid) for tid in proc.workers_cpu_ns(server.process.pid)]


def test_worker_goes_where_its_initiator_runs():
    everywhere = os.sched_getaffinity(0)
    # on a busy machine a wake-up takes next to nothing, and waiting long
    with tgt.scratch() as d, daemon(d, "--workers=1", "--wake-cost=100000") as server:
        benchlib.fill(server, "ram")
        for cpu in sorted(everywhere)[:2]:
            load = benchlib.load_start(server, "ram", ("taskset", "-c", str(cpu)), depth=1, bs="4K",
                                       warmup="100ms", time="20s")
            tgt.eventually(lambda: worker_processors(server) == [{cpu}], 20,
                           f"the worker is bound to processor {cpu}, where its data comes from")
            load.terminate()
            load.communicate()
    # turns of megabytes: they are better off with a processor each
    with tgt.scratch() as d, daemon(d, "--workers=1", "--wake-cost=10") as server:
        load = benchlib.load_start(server, "ram", ("taskset", "-c", str(cpu)), depth=32, bs="1M",
                                   warmup="100ms", time="2s")
        while load.poll() is None:
            assert worker_processors(server) == [everywhere]
            time.sleep(0.05)
        assert benchlib.load_result(load, "megabytes")["iops"] > 100


def test_worker_that_may_run_anywhere_does():
    everywhere = os.sched_getaffinity(0)
    for option in ("--wake-cost=0", "--spin=10"):
        with tgt.scratch() as d, daemon(d, "--workers=1", option) as server:
            one = ("taskset", "-c", str(min(everywhere)))
            assert benchlib.load(server, "ram", one, depth=1, bs="4K", time="1s")["iops"] > 0
            assert worker_processors(server) == [everywhere]


def test_flood_does_not_starve_others():
    with tgt.scratch() as d, daemon(d, "--workers=1") as server:
        benchlib.fill(server, "ram")
        rounds = [growth.flood(server, "ram", seconds=0.4) for _ in range(5)]
        # the least of five: without a turn's limit p99 is 74 MiB and more in every round, while the kernel's
        # own queues (4 MiB of a sender's) and a machine that stalls show in some. Of writes a turn finds no
        # more than the kernel's queue has, limit or not: nothing here could tell
        mib, p99 = (min(r[k] for r in rounds) for k in ("mib_per_command", "mib_p99"))
        print(f"# {mib:.1f} MiB of the flood beside each command, p99 {p99:.1f}")
        assert mib <= growth.FLOOD_MIB and p99 <= growth.FLOOD_MIB_P99


def test_hanging_store_does_not_slow_others():
    with tgt.scratch() as d, daemon(d, more=target("hung", growth.HANGING)) as server:
        benchlib.fill(server, "ram")
        runs = growth.beside(server, "ram", benchlib.PREFIX + "hung", 4, seconds=0.3)
        ratio = benchlib.Ratio(runs["beside"], runs["alone"], "iops")
        print(f"# IOPS beside a store that hangs: {ratio} of those without")
        assert ratio.high > 0.7


tgt.main()
