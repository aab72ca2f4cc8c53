#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Statistics: exact after real I/O, whoever asks: tgtctl stats, top, metrics, D-Bus."""
import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import rawiscsi  # noqa: E402
import terminal  # noqa: E402
import tgt  # noqa: E402

OTHER = "iqn.2026-01.org.example:other"
MANY = 1100  # LUNs: more than a page of any list


@contextlib.contextmanager
def daemon(fragment=None, workers=2, **kw):
    with tgt.scratch() as d:
        path = tgt.sparse(os.path.join(d, "disk.img"), 16 << 20)
        text = fragment or tgt.disk_fragment(path) + tgt.disk_fragment(path, OTHER)
        with tgt.Daemon(d, {"a.conf": text}, args=[f"--workers={workers}"], **kw) as it:
            yield it


def login(d, target=tgt.NAME, initiator="iqn.2026-01.org.example:raw"):
    return rawiscsi.Raw(d.port, initiator=initiator, target=target).login().ready()


def write10(raw, lba, blocks):
    cdb = struct.pack(">BBIBHB", 0x2A, 0, lba, 0, blocks, 0)
    n = blocks * 512
    return raw.response(raw.command(cdb, write=n, data=b"x" * n))[0]


def stats(d, *args):
    return json.loads(d.ctl("stats", *args, "--json", stderr=subprocess.PIPE).stdout)


def settled(d, reads, writes):
    """A command counts when its answer has gone; its time, a moment later."""
    def look():
        unit = stats(d, tgt.NAME + "/1")["LogicalUnits"][0]
        done = unit["Latency"]["read"]["Count"], unit["Latency"]["write"]["Count"]
        return unit if done == (reads, writes) else None
    return tgt.eventually(look, what=f"{reads} reads and {writes} writes")


def test_exact_counts():
    with daemon() as d:
        a = login(d)
        b = login(d, OTHER, "iqn.2026-01.org.example:second")
        assert stats(d, tgt.NAME + "/1")["LogicalUnits"][0]["Statistics"]["reads"] == 0
        for i in range(10):
            assert a.read10(i * 8, 8)[0] == 0
        for i in range(3):
            assert write10(a, i, 4) == 0
        assert b.read10(0, 16)[0] == 0
        assert a.read10(1 << 20, 1)[0] == 2  # beyond the end: CHECK CONDITION
        unit = settled(d, 12, 3)
        s = unit["Statistics"]
        assert (s["reads"], s["writes"], s["errors"], s["in-flight"]) == (12, 3, 1, 0), s
        assert s["read-bytes"] == 10 * 8 * 512 + 16 * 512, s
        assert s["write-bytes"] == 3 * 4 * 512, s
        assert {m["Target"] for m in unit["Mappings"]} == {tgt.NAME, OTHER}  # one unit, two paths
        for direction in "read", "write":
            t = unit["Latency"][direction]
            assert 0 < t["P50"] <= t["P99"] <= t["P999"], t
            assert t["Sum"] > 0 and sum(t["Counts"]) == t["Count"] and sorted(t["Ends"]) == t["Ends"]
        everything = stats(d)
        mine = {(n["Target"], n["Initiator"]): n["Statistics"] for n in everything["Nexuses"]}
        assert len(mine) == 2
        one = mine[(tgt.NAME, "iqn.2026-01.org.example:raw")]
        assert (one["reads"], one["writes"], one["errors"]) == (11, 3, 1), one
        assert (one["reads-submitted"], one["read-bytes"]) == (11, 10 * 8 * 512), one
        assert mine[(OTHER, "iqn.2026-01.org.example:second")]["reads"] == 1
        sessions = {x["Initiator"]: x["Statistics"] for x in everything["Sessions"]}
        first = sessions["iqn.2026-01.org.example:raw"]
        assert first["commands"] == one["reads"] + one["writes"] + one["others"], (first, one)
        assert first["data-in-pdus"] == 10 and first["rx-bytes"] > 3 * 2048, first
        # each session's own times, and what they add up to at the workers, as at the unit
        counts = {x["Initiator"].split(":")[1]: [x["Latency"][d]["Count"] for d in ("read", "write")]
                  for x in everything["Sessions"]}
        assert counts == {"raw": [11, 3], "second": [1, 0]}, counts
        for direction in "read", "write":
            of_workers = [w["Latency"][direction] for w in everything["Workers"]]
            assert sum(t["Sum"] for t in of_workers) == unit["Latency"][direction]["Sum"]
        workers = everything["Workers"]
        assert len(workers) == 2
        total = {k: sum(w["Statistics"][k] for w in workers) for k in workers[0]["Statistics"]}
        assert total["commands"] == sum(x["commands"] for x in sessions.values()), total
        assert total["errors"] >= 1 and total["turns"] >= total["sleeps"] > 0, total
        assert total["receives"] > 0 and total["sends"] > 0 and total["busy-usec"] > 0, total
        # the session's own counters go with it, the unit's and its worker's stay
        a.close()
        tgt.eventually(lambda: len(stats(d)["Nexuses"]) == 1, what="the end of the session")
        assert settled(d, 12, 3)["Statistics"]["write-bytes"] == 3 * 4 * 512
        assert [sum(w["Latency"][direction]["Count"] for w in stats(d)["Workers"])
                for direction in ("read", "write")] == [12, 3]
        b.close()


def test_tables():
    with daemon() as d:
        raw = login(d)
        assert raw.read10(0, 8)[0] == 0 and write10(raw, 0, 1) == 0
        settled(d, 1, 1)
        by = {what: d.ctl("stats", "--by=" + what).stdout for what in ("lun", "session", "worker")}
        assert by["lun"] == d.ctl("stats").stdout
        assert re.search(r"^ *1 +\S+ +iqn\.2026-01\.org\.example:raw +\d+ .*[\d.]+us$", by["session"],
                         re.M), by
        assert by["session"].endswith("1 session.\n") and by["worker"].endswith("2 workers.\n"), by
        assert d.ctl("stats", "--by=session", OTHER).stdout.endswith("0 sessions.\n")
        for wrong, why in ((["--by=day"], "lun, session or worker"),
                           (["--by=session", tgt.NAME + "/1"], "do not go together"),
                           (["--by=worker", tgt.NAME], "name none")):
            p = d.ctl("stats", *wrong, check=False)
            assert p.returncode == 2 and why in p.stdout, p
        raw.close()


def test_latency_of_a_slow_disk():
    """The time that the backing store takes is in the histogram, and only there."""
    with tgt.scratch() as where:
        path = tgt.sparse(os.path.join(where, "disk.img"), 16 << 20)
        with daemon(tgt.disk_fragment(path, extra="bsopts \"store=rdwr\"", bs_type="fault")) as d:
            slow_disk(d)


def slow_disk(d):
    raw = login(d)
    d.ctl("unit", "store-options", tgt.NAME + "/1", "ops=read;delay=300ms")
    for _ in range(3):
        assert raw.read10(0, 1)[0] == 0
    assert write10(raw, 0, 1) == 0
    t = settled(d, 3, 1)["Latency"]
    assert t["read"]["P50"] >= 300e6 and 0.9e9 <= t["read"]["Sum"], t
    assert t["write"]["P50"] < t["read"]["P50"], t
    itt = raw.command(struct.pack(">BBIBHB", 0x28, 0, 0, 0, 4, 0), read=2048)
    row = tgt.eventually(lambda: [n for n in stats(d)["Nexuses"] if n["Statistics"]["in-flight"]],
                         what="a command under way")[0]["Statistics"]
    assert (row["reads"], row["reads-submitted"]) == (3, 4), row
    assert row["read-bytes-submitted"] == row["read-bytes"] + 2048, row
    assert raw.response(itt)[0] == 0
    raw.close()


def test_many_luns():
    """Pages follow each other without a gap, and the daemon answers others between them."""
    luns = "".join(f"  <backing-store n{i}>\n    bs-type null\n    size 1M\n    lun {i}\n  </backing-store>\n"
                   for i in range(1, MANY + 1))
    with daemon(f"<target {tgt.NAME}>\n{luns}  initiator-address ALL\n</target>\n") as d:
        raw = [login(d, initiator=f"iqn.2026-01.org.example:{i}") for i in range(2)]
        everything = stats(d)
        assert len(everything["LogicalUnits"]) == MANY
        rows = [(n["Session"], n["Lun"]) for n in everything["Nexuses"]]
        assert len(rows) == 2 * MANY and len(set(rows)) == 2 * MANY and rows == sorted(rows)
        families = {f.name for f in metrics(d)}
        assert "tgt_logical_unit_operations" in families
        for r in raw:
            r.close()


def metrics(d):
    return list(text_string_to_metric_families(d.ctl("metrics").stdout))


def test_metrics():
    with daemon() as d:
        raw = login(d)
        for i in range(20):
            assert raw.read10(i, 2)[0] == 0
        assert write10(raw, 0, 1) == 0
        settled(d, 20, 1)
        text = d.ctl("metrics").stdout
        assert text.endswith("# EOF\n")
        families = {f.name: f for f in text_string_to_metric_families(text)}
        value = {(s.name, s.labels.get("operation"), s.labels.get("le")): s.value
                 for f in families.values() for s in f.samples}
        assert value[("tgt_up", None, None)] == 1 and value[("tgt_sessions", None, None)] == 1
        assert value[("tgt_logical_unit_operations_total", "read", None)] == 20
        assert value[("tgt_logical_unit_transferred_bytes_total", "read", None)] == 20 * 1024
        assert value[("tgt_logical_unit_transferred_bytes_total", "write", None)] == 512
        assert value[("tgt_logical_unit_latency_seconds_count", "read", None)] == 20
        assert sum(s.value for s in families["tgt_worker_latency_seconds"].samples
                   if s.name.endswith("_count")) == 21
        assert value[("tgt_logical_unit_latency_seconds_bucket", "read", "+Inf")] == 20
        assert value[("tgt_logical_unit_latency_seconds_sum", "read", None)] > 0
        buckets = [s for s in families["tgt_logical_unit_latency_seconds"].samples
                   if s.name.endswith("_bucket") and s.labels["operation"] == "read"]
        values = [s.value for s in buckets]
        assert values == sorted(values) and len(values) > 10
        for f in families.values():
            assert f.documentation and f.type in ("counter", "gauge", "info", "histogram"), f
            assert not f.unit or f.name.endswith("_" + f.unit), f.name
        mappings = {(s.labels["target"], s.labels["lun"]) for s in families["tgt_mapping"].samples}
        assert mappings == {(tgt.NAME, "1"), (OTHER, "1")}
        raw.close()
    with tgt.scratch() as empty:
        p = tgt.run(tgt.TGTCTL, "--socket", empty + "/control", "metrics", check=False)
        assert p.returncode == 3, p
        assert [s.value for f in text_string_to_metric_families(p.stdout) for s in f.samples] == [0]


def load(d, seconds):
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", os.path.join(tgt.BUILD, "tests", "bench", "bench-load"),
         f"--port={d.port}", f"--target={tgt.NAME}", "--depth=4", f"--time={seconds}s"],
        stdout=subprocess.DEVNULL)


def test_top():
    with daemon() as d:
        idle = login(d, OTHER)
        p = load(d, 60)
        try:
            tgt.eventually(lambda: len(stats(d)["Nexuses"]) == 2, what="the load")
            rows = json.loads(d.ctl("top", "--json").stdout)
            busy = {r["Target"]: r for r in rows}
            assert rows[0]["Target"] == tgt.NAME, rows  # the busiest first
            assert busy[tgt.NAME]["Reads"] > 0 and busy[tgt.NAME]["Latency"] > 0, rows
            assert abs(busy[tgt.NAME]["Bytes"] / busy[tgt.NAME]["Reads"] - 4096) < 1, rows
            assert busy[OTHER]["Reads"] == 0, rows
            out = d.ctl("top", "--batch", "--iterations=2").stdout
            assert out.count("workers busy:") == 2 and out.count("TARGET") == 2, out
            assert "\x1b" not in out
            # on a terminal: sorts by letter, hides what is idle, and leaves it as it was
            argv = [tgt.TGTCTL, "--socket", os.path.join(d.runtime, "control"), "top"]
            code, screen = terminal.run(argv, [("reads/s", "r"), ("sorted by READ/S", "R"),
                                               ("READ/S, reversed", "o"), ("o all", "q")])
            assert code == 0, screen
            last = screen.split("\x1b[H")[-1]
            assert last.count("iqn.") == 2, last  # one row: target and initiator
            assert screen.endswith("\x1b[?7h\x1b[?25h\x1b[?1049l"), screen[-60:]
            # one that is too small, and an interrupt
            env = {**os.environ, "LINES": "4", "COLUMNS": "40"}
            code, screen = terminal.run(["sh", "-c", 'stty rows 4 cols 40; exec "$@"', "sh"] + argv,
                                        [("reads/s", "\x03")], env=env)
            assert code == 0, screen
            frame = screen.split("\x1b[H")[-1].split("\x1b[J")[0]
            assert frame.count("\n") <= 3, frame
            assert screen.endswith("\x1b[?1049l"), screen[-60:]
        finally:
            p.kill()
            p.wait()
        idle.close()
        # the daemon goes while somebody watches: the reason stays on the screen that is left
        threading.Timer(2, d.stop).start()
        code, screen = terminal.run(argv)
        assert code == 3 and screen.split("\x1b[?1049l")[1].strip(), (code, screen[-200:])


def test_probes_are_in_the_binary():
    """What bpftrace attaches to; the number of arguments is an interface."""
    notes = tgt.run("readelf", "-n", tgt.TGTD).stdout
    probes = {m.group(1): (m.group(2), m.group(3).split()) for m in re.finditer(
        r"Provider: tgt\n\s*Name: (\S+)\n.*Semaphore: (\S+)\n\s*Arguments: (.*)", notes)}
    assert {n: len(a) for n, (_, a) in probes.items()} == {"command__start": 5, "command__done": 6}, notes
    assert all(int(s, 16) for s, _ in probes.values()), notes
    script = os.path.join(tgt.SOURCE, "trace", "commands.bt")
    with open(script, encoding="utf-8") as f:
        used = dict(re.findall(r"usdt:/usr/sbin/tgtd:tgt:(\w+)(?:.*?)(arg\d)", f.read(), re.S))
    assert set(used) == set(probes), used


def test_http():
    """The endpoint on a socket that is passed to it, as systemd would."""
    port = tgt.free_port()
    with daemon() as d:
        server = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", "systemd-socket-activate", "-l", f"127.0.0.1:{port}",
             os.path.join(tgt.BUILD, "src", "ctl", "tgt-metrics"), "--socket", os.path.join(d.runtime, "control")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def get():
                with contextlib.suppress(OSError):
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as r:
                        return r.headers["Content-Type"], r.read().decode()
                return None
            kind, text = tgt.eventually(get, what="an answer over HTTP")
            assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8", kind
            names = {f.name for f in text_string_to_metric_families(text)}
            assert {"tgt_up", "tgt_worker_turns", "tgt_worker_latency_seconds", "tgt_logical_unit_operations"} <= names, names
            with socket.create_connection(("127.0.0.1", port)) as s:
                s.sendall(b"nonsense\r\n\r\n" * 4)
                assert b"200 OK" not in s.recv(4096)
            d.stop()
            assert "tgt_up 0\n" in get()[1]  # it sees that the daemon has gone
        finally:
            server.kill()
            server.wait()
    p = tgt.run(os.path.join(tgt.BUILD, "src", "ctl", "tgt-metrics"), check=False)
    assert p.returncode == 2 and "tgt-metrics.socket" in p.stdout, p


def test_refusals():
    with daemon() as d:
        p = d.ctl("stats", "nobody", check=False)
        assert p.returncode == 4 and "There is no target nobody" in p.stdout, p
        p = d.ctl("stats", "disk/9", check=False)
        assert p.returncode == 4 and "9" in p.stdout, p
        p = d.ctl("stats", "disk/x", check=False)
        assert p.returncode == 2 and "LUN is a number" in p.stdout, p
        p = d.ctl("top", "--delay=soon", check=False)
        assert p.returncode == 2, p
        out = d.ctl("stats", "disk").stdout
        assert re.search(rf"{re.escape(tgt.NAME)} +1 +0 ", out) and "1 LUN." in out, out
    p = tgt.run(tgt.TGTCTL, "--socket", "/nonexistent/control", "top", check=False)
    assert p.returncode == 3 and "not running" in p.stdout, p


tgt.main()
