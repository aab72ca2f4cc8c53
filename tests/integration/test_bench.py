#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The load generator must not believe what it is told, and the judge must not call noise a victory: a
benchmark that counts wrong answers measures nothing."""
import importlib.machinery
import importlib.util
import os
import socket
import struct
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, "..", "bench"))
import benchlib  # noqa: E402
import tgt  # noqa: E402

DATA_IN, RESPONSE, R2T = 0x25, 0x21, 0x31


def script(name):
    path = os.path.join(HERE, "..", "bench", name)
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


# ---- a target whose answers are changed on the way ----

class Liar:
    """Between an initiator and the target: from the hundredth PDU of an opcode on, what change() makes
    of it. Headers come without digests unless header_digest; login is left alone."""

    def __init__(self, port, opcode, change, header_digest=False):
        self.port, self.opcode, self.change = port, opcode, change
        self.extra = 4 if header_digest else 0
        self.seen = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with self.listener:
            near, _ = self.listener.accept()
        far = socket.create_connection(("127.0.0.1", self.port))
        threading.Thread(target=self.pump, args=(near, far), daemon=True).start()
        self.answers(far, near)

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass

    def answers(self, source, sink):
        stream = source.makefile("rb")
        login = True
        try:
            while header := stream.read(48):
                rest = (0 if login else self.extra) + (-(-int.from_bytes(header[5:8], "big") // 4) * 4)
                if self.extra and not login and header[5:8] != b"\0\0\0":
                    rest += 4  # both digests, or none
                body = stream.read(rest)
                login = login and header[0] & 0x3F != 0x23
                if header[0] & 0x3F == self.opcode:
                    self.seen += 1
                    if self.seen > 100:
                        header, body = self.change(bytearray(header), bytearray(body))
                sink.sendall(bytes(header) + bytes(body))
        except OSError:
            pass


def put(at, fmt, value):
    def change(header, body):
        struct.pack_into(fmt, header, at, value)
        return header, body
    return change


def add(at, n):
    def change(header, body):
        struct.pack_into(">I", header, at, struct.unpack_from(">I", header, at)[0] + n & 0xFFFFFFFF)
        return header, body
    return change


def last_byte(header, body):
    body[-1] ^= 1
    return header, body


LIES = [
    # what the generator says, opcode, the lie, options
    ("READ: status 02", DATA_IN, put(3, ">B", 2), {}),
    ("a residual of 512 bytes", DATA_IN, put(44, ">I", 512), {}),
    ("StatSN", DATA_IN, add(24, 1), {}),
    ("Data-In number 1 at 0, expected 0", DATA_IN, put(36, ">I", 1), {}),
    ("Data-In number 0 at 512", DATA_IN, put(40, ">I", 512), {}),
    ("for task", DATA_IN, put(16, ">I", 0xABCD), {}),
    ("opcode 31 for task", DATA_IN, put(0, ">B", R2T), {}),
    ("unexpected opcode 3f", DATA_IN, put(0, ">B", 0x3F), {}),
    ("WRITE: status 02", RESPONSE, put(3, ">B", 0x02), {"read": 0}),
    ("iSCSI response 01", RESPONSE, put(2, ">B", 1), {"read": 0}),
    ("a data digest is wrong", DATA_IN, last_byte, {"header_digest": True, "data_digest": True}),
    ("a header digest is wrong", DATA_IN, put(8, ">B", 1),
     {"header_digest": True, "data_digest": True}),
    ("R2T for more than MaxBurstLength", R2T, put(44, ">I", 1 << 20),
     {"read": 0, "initial_r2t": True, "no_immediate": True, "max_burst": "64K",
      "first_burst": "64K"}),
    ("R2T number 0 at 512", R2T, put(40, ">I", 512),
     {"read": 0, "initial_r2t": True, "no_immediate": True}),
]


def serve(directory):
    text = (f"<target {benchlib.PREFIX}ram>\n  <backing-store NONE>\n    bs-type ram\n    size 64M\n"
            "  </backing-store>\n  initiator-address ALL\n</target>\n")
    return tgt.Daemon(directory, {"ram.conf": text})


def generate(server, port, **options):
    """The CompletedProcess of a generator that goes by way of port."""
    argv = benchlib.load_argv(server, "ram", depth=4, **{"time": "300ms", "warmup": "50ms", **options})
    argv = [f"--port={port}" if a.startswith("--port=") else a for a in argv]
    return tgt.run(*argv, check=False, timeout=30)


def test_lies_are_found():
    with tgt.scratch() as d, serve(d) as server:
        for said, opcode, change, options in LIES:
            liar = Liar(server.port, opcode, change, options.get("header_digest", False))
            p = generate(server, liar.address, **options)
            assert liar.seen > 100, f"{said}: {p.stdout}"
            assert p.returncode == 1 and said in p.stdout, f"{said}: exit {p.returncode}, {p.stdout}"


def test_truth_is_believed():
    with tgt.scratch() as d, serve(d) as server:
        for _, opcode, _, options in LIES:
            p = generate(server, Liar(server.port, opcode, lambda h, b: (h, b),
                                      options.get("header_digest", False)).address, **options)
            assert p.returncode == 0, p.stdout


def in_flight(server, options, time):
    """Commands in flight, which by Little's law are rate times latency, as a part of what was asked for."""
    r = benchlib.load(server, "ram", depth=4, time=time, warmup="100ms", **options)
    size = 131072 if "bs" in options else 4096
    assert r["ios"] > 100 and r["retries"] == 0
    assert abs(r["mb_s"] / (r["iops"] * size / 1e6) - 1) < 0.01, r
    assert 0 < r["lat_us"]["p50"] <= r["lat_us"]["p99"] <= r["lat_us"]["p99.9"]
    assert abs(r["cpu_user_us"] + r["cpu_system_us"] - r["cpu_us"]) < 0.01
    assert 0 < r["cpu_us"] * r["iops"] / 1e6 <= os.cpu_count() + 0.1
    return r["iops"] * r["lat_us"]["mean"] / 1e6 / (4 * options.get("connections", 1))


def test_figures_agree():
    with tgt.scratch() as d, serve(d) as server:
        for options in ({}, {"read": 0, "bs": "128K"}, {"bs": "128K"}, {"bs": "128K", "copy": True},
                        {"connections": 4, "threads": 2, "read": 50}, {"spin": True}):
            # what is under way at the end is in no latency: on a busy machine that may be much of a short time
            for time in "500ms", "1500ms", "4500ms":
                found = in_flight(server, options, time)
                print(f"# {options}: {found:.2f} of what was to be in flight, in {time}")
                if abs(found - 1) < 0.2:
                    break
            else:
                raise AssertionError(f"{options}: the figures do not agree")


def test_fill_writes_every_block():
    with tgt.scratch() as d, tgt.Daemon(d, {"f.conf": tgt.disk_fragment(
            tgt.sparse(f"{d}/disk", 8 << 20), benchlib.PREFIX + "ram")}) as server:
        benchlib.fill(server, "ram")
        assert os.stat(f"{d}/disk").st_blocks * 512 >= 8 << 20


def test_nobody_there():
    with tgt.scratch() as d, serve(d) as server:
        p = generate(server, tgt.free_port())
        assert p.returncode == 1 and "connect to" in p.stdout, p.stdout


# ---- the judge ----

def runs(cpu, iops):
    return [{"cpu_us": c, "iops": i, "lat_us": {"p50": c}} for c, i in zip(cpu, iops)]


def verdicts(ours, theirs):
    bench = script("run")
    result = [{"scene": "tmpfs", "case": "4k-read", "text": "", "against": "stgt rdwr",
               "rows": {"ram": ours, "stgt rdwr": theirs}}]
    sys.argv = ["run"]
    bars = [v for v, _ in bench.judge_bars(result, bench.arguments())]
    return bars + [v for v, _ in bench.judge_parity(result)]


def test_verdicts():
    theirs = runs([10.0] * 5, [100] * 5)
    # the bar of this case is 0.21 of their processor time; then IOPS, then processor time no worse
    assert verdicts(runs([2.0] * 5, [200] * 5), theirs) == ["met", "met", "met"]
    assert verdicts(runs([2.2] * 5, [200] * 5), theirs) == ["NOT MET", "met", "met"]
    assert verdicts(runs([9, 11, 10, 10, 9], [90, 120, 99, 101, 80]), theirs) == [
        "NOT MET", "tie", "tie"]
    assert verdicts(runs([11, 12, 11, 12, 13], [99, 98, 80, 70, 90]), theirs) == [
        "NOT MET", "NOT MET", "NOT MET"]


def test_chart():
    chart = script("chart.py")
    points = [{"x": x, "iops": 1000.0 * x, "cpu_us": 3.0, "lat_us.p50": 50.0, "lat_us.p99": 90.0}
              for x in (1, 2, 4)]
    sweep = {axis: {label: points for label in chart.COLOURS} for axis in ("depth", "connections")}
    machine = {"cpu": "A & B <C>", "virtual": False, "cores": 2, "memory_gib": 1, "kernel": "Linux",
               "congestion_control": "cubic", "tgt": "1", "stgt": "2", "date": "2026-01-01"}
    svg = chart.draw({"machine": machine, "sweep": {**sweep, "connections_depth": 8}})
    tgt.run("xmllint", "--noout", "-", input=svg)
    assert "A &amp; B &lt;C&gt;" in svg


tgt.main()
