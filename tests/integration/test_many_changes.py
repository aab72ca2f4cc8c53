#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What changes cost where there are many targets. Times are compared with each other, so that a slow
machine fails nothing; the figures are printed."""
import glob
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import dbus  # noqa: E402
import proc  # noqa: E402
import tgt  # noqa: E402
import tgtbus  # noqa: E402
from rawiscsi import Raw  # noqa: E402

PREFIX = "iqn.2026-01.org.example:"


def fragment(n):
    return "".join(f"<target {PREFIX}t{i}>\n  <backing-store NONE>\n"
                   "    bs-type null\n    size 1G\n  </backing-store>\n"
                   "  initiator-address ALL\n</target>\n" for i in range(n))


def seconds(function, *args, **kw):
    begin = time.monotonic()
    value = function(*args, **kw)
    return time.monotonic() - begin, value


def quickest_create(client, name, n=60):
    """What else the machine does only ever adds."""
    return min(seconds(client.create, f"{PREFIX}{name}{i}", runtime=True)[0] for i in range(n))


def test_send_targets_in_order():
    with tgt.scratch() as d, tgt.Daemon(d, {"many.conf": fragment(1500)}) as daemon:
        raw = Raw(daemon.port).login(session="Discovery")
        names = re.findall(rb"TargetName=([^\0]+)", raw.send_targets())
        raw.close()
        assert len(names) == 1500 and names == sorted(names)


def test_a_start_is_no_news():
    """Who finds the daemon on the bus asks for what there is; a signal for each of many objects would hold
    up the answer. From then on, what is new is told."""
    with tgt.scratch() as d, tgtbus.own_bus(d) as address:
        seen = os.path.join(d, "seen")
        with open(seen, "w") as f:
            monitor = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "dbus-monitor", "--address", address,
                                        "type='signal'"], stdout=f)

        def news():
            with open(seen) as f:
                return re.findall(r"InterfacesAdded\n +object path \"(.*)\"", f.read())
        tgt.eventually(lambda: os.path.getsize(seen) > 0, what="the monitor")
        with tgt.Daemon(d, {"some.conf": fragment(50)}, args=[f"--bus={address}"]):
            bus = dbus.bus.BusConnection(address)
            tgt.eventually(lambda: bus.name_has_owner("org.tgt1"), what="the name")
            client = tgtbus.Client(bus=bus)
            assert client.get("NTargets") == 50
            client.create(PREFIX + "new", runtime=True)
            tgt.eventually(lambda: any(p.endswith("new") for p in news()), what="the signal")
            assert all("new" in p for p in news()), len(news())
        monitor.kill()
        monitor.wait()


def test_a_change_costs_what_it_touches():
    """Among 10,000 targets as among none; and what runs beside it is not held up."""
    with tgt.scratch() as d:
        with tgt.Daemon(d) as daemon:
            few = quickest_create(tgtbus.Client(daemon), "few")
    with tgt.scratch() as d:
        with tgt.Daemon(d, {"many.conf": fragment(10000)}) as daemon:
            client = tgtbus.Client(daemon)
            client.create(PREFIX + "first", runtime=True)  # what start left to do is done
            many = quickest_create(client, "many")
            took, rows = min(seconds(client.pages, "ListTargets") for _ in range(3))
            names = [str(r[0]) for r in rows]
            assert names == sorted(names) and len(names) == 10061
            tenth = min(seconds(client.manager.ListTargets, "", dbus.UInt32(1000))[0] for _ in range(5))
            units, listed = seconds(client.pages, "ListLogicalUnits")
            assert len(listed) == 10000
            print(f"# one more target: {few * 1000:.2f} ms among none, {many * 1000:.2f} ms among "
                  f"10,000; listing them {took:.2f} s, their units {units:.2f} s")
            assert many < 4 * few, f"{many} s among 10,000, {few} s among none"
            assert took < 40 * tenth, f"{took} s for all, {tenth} s for a tenth"
            check_undisturbed(daemon)


def latencies(raw, until):
    """Of READ(10) of one block, one after the other, in seconds."""
    found = []
    cdb = bytes((0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0))
    while not until():
        took, answer = seconds(lambda: raw.response(raw.command(cdb, read=512)))
        assert answer[0] == 0, answer
        found.append(took)
    return sorted(found)


def ended(function):
    """Runs it in a process of its own, since a thread would keep ours waiting; tells whether it is over."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        finally:
            os._exit(1)

    def look():
        over, status = os.waitpid(pid, os.WNOHANG)
        assert status == 0
        return over == pid
    return look


def check_undisturbed(daemon):
    raw = Raw(daemon.port, target=PREFIX + "t7", initiator=PREFIX + "reader").login()
    raw.response(raw.command(bytes(6)))  # the unit attention of power on

    def p99(a):
        return a[len(a) * 99 // 100] * 1e6
    for i in range(4):  # something else may begin or end between the two
        end = time.monotonic() + 1.5
        alone = latencies(raw, lambda: time.monotonic() > end)
        beside = latencies(raw, ended(lambda: quickest_create(tgtbus.Client(daemon), f"beside{i}-", 300)))
        print(f"# reads: p99 {p99(alone):.0f} us alone, {p99(beside):.0f} us beside 300 changes "
              f"({len(beside)} reads)", flush=True)
        assert len(beside) > 20
        if p99(beside) < 20 * p99(alone):
            break
    else:
        raise AssertionError("reads beside changes take longer in every round")
    raw.close()


def test_one_by_one():
    with tgt.scratch() as d:
        with tgt.Daemon(d) as daemon:
            client = tgtbus.Client(daemon)
            pid, used = daemon.process.pid, []
            for k in range(2):
                begin = proc.cpu_ns(pid)
                for i in range(500):
                    client.create(f"{PREFIX}{k}-{i}", runtime=True)
                used.append((proc.cpu_ns(pid) - begin) / 1e9)
            print(f"# processor time of 1,000 targets one by one: {used[0]:.2f} s, then {used[1]:.2f} s")
            assert used[1] < 3 * used[0], used
            assert client.get("NTargets") == 1000


def count_syncs(path):
    with open(path) as f:
        return len(re.findall(r"^[0-9]+ +[0-9.]+ (?:fsync|fdatasync|syncfs|sync_file_range)\(", f.read(), re.M))


def test_changes_that_wait_share_their_syncs():
    """16 targets made at once: a batch is what waits while another one is written."""
    with tgt.scratch(disk=True) as d:
        trace = os.path.join(d, "trace")
        wrap = ["strace", "-f", "-ttt", "-o", trace, "-e",
                "trace=fsync,fdatasync,syncfs,sync_file_range"]
        daemon = tgt.Daemon(d, wrap=wrap).start(timeout=60)
        try:
            client = tgtbus.Client(daemon)
            client.create(PREFIX + "first")
            before = count_syncs(trace)
            for i in range(15):
                client.create_without_waiting(f"{PREFIX}s{i}")
            client.flush()
            tgt.eventually(lambda: client.get("NTargets") == 16, what="16 targets")
            batches = client.get("Generation") - 2
            syncs = count_syncs(trace) - before
            print(f"# 15 persistent targets at once: {batches} batches, {syncs} fsyncs")
            assert batches <= 5, f"{batches} batches for 15 changes that were sent at once"
            assert 1 <= syncs <= 3 * batches, (syncs, batches)
        finally:
            # nothing but the log has been synchronised: what ends the process does no harm
            task = f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children"
            with open(task) as f:
                for pid in f.read().split():
                    os.kill(int(pid), signal.SIGKILL)
            daemon.process.wait()
        assert len(glob.glob(os.path.join(d, "state", "targets.d", "*.conf"))) == 16
        with tgt.Daemon(d) as daemon:
            assert tgtbus.Client(daemon).get("NTargets") == 16


tgt.main()
