#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What stalls below one LUN stalls that LUN: no worker waits in a store or in a file system, so that all
others of the same worker go on as before."""
import contextlib
import os
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, "..", "bench"))
import benchlib  # noqa: E402
import growth  # noqa: E402
import tgt  # noqa: E402
from rawiscsi import RESPONSE, Raw  # noqa: E402

STALLED, HEALTHY = benchlib.PREFIX + "stalled", benchlib.PREFIX + "ram"
BLOCK = 4096


def fragment(path, store, options=""):
    return (f"<target {STALLED}>\n  <backing-store {path}>\n    bs-type {store}\n    {options}\n"
            f"  </backing-store>\n  initiator-address ALL\n</target>\n"
            f"<target {HEALTHY}>\n  <backing-store NONE>\n    bs-type ram\n    size 64M\n"
            f"  </backing-store>\n  initiator-address ALL\n</target>\n")


@contextlib.contextmanager
def file_system(directory):
    """A mounted ext4 of its own."""
    image, where = os.path.join(directory, "image"), os.path.join(directory, "mnt")
    tgt.sparse(image, 256 << 20)
    os.mkdir(where)
    tgt.run("mkfs.ext4", "-q", image)
    tgt.run("mount", "-o", "loop", image, where)
    try:
        yield where
    finally:
        tgt.run("umount", where)


@contextlib.contextmanager
def frozen(where):
    tgt.run("fsfreeze", "--freeze", where)
    try:
        yield
    finally:
        tgt.run("fsfreeze", "--unfreeze", where)


def reads_per_second(port, seconds=0.5):
    raw = Raw(port, target=HEALTHY).login().ready()
    n, begin = 0, time.monotonic()
    while time.monotonic() - begin < seconds:
        assert raw.read10(n % 1000, 8)[0] == 0
        n += 1
    raw.close()
    return n / seconds


def write(raw, block):
    cdb = struct.pack(">BBIBHB", 0x2A, 0, block * 8, 0, 8, 0)
    return raw.command(cdb, write=BLOCK, data=bytes([block + 1]) * BLOCK)


def check_frozen(store):
    with tgt.scratch(disk=True) as d, file_system(d) as where:
        path = os.path.join(where, "disk")
        with open(path, "wb") as f:
            f.write(bytes(64 << 20))
        subprocess.run(["sync"], check=True)
        with tgt.Daemon(d, {"a.conf": fragment(path, store)}, args=["--workers=1"]) as daemon:
            raw = Raw(daemon.port, target=STALLED, timeout=10).login().ready()
            before = max(reads_per_second(daemon.port) for _ in range(3))
            with frozen(where):
                tags = {write(raw, block) for block in range(8)}
                time.sleep(0.2)
                # also from here: another session of the LUN that stalls
                Raw(daemon.port, "iqn.2026-01.org.example:other", STALLED).login().ready().close()
                for _ in range(12):  # one quiet moment is enough: a worker that waits has none
                    during = reads_per_second(daemon.port)
                    if during > before / 3:
                        break
                raw.sock.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    raise AssertionError(f"answered while frozen: {raw.receive().opcode:#x}")
                raw.sock.settimeout(10)
            print(f"# {store}: {before:.0f} reads/s of the other LUN before, {during:.0f} meanwhile")
            assert during > before / 3
            for _ in range(8):  # in whatever order
                pdu = raw.receive()
                assert pdu.opcode == RESPONSE and pdu.status == 0
                tags.discard(pdu.itt)
            assert not tags
            for block in range(8):
                assert raw.read10(block * 8, 8)[1] == bytes([block + 1]) * BLOCK
            raw.close()


def test_frozen_file_system_rdwr():
    check_frozen("rdwr")


def test_frozen_file_system_aio():
    check_frozen("aio")


def test_hung_store():
    with tgt.scratch() as d:
        text = fragment("NONE", "fault", "size 64M\n    bsopts \"store=null;hang=read,write\"")
        with tgt.Daemon(d, {"a.conf": text}, args=["--workers=1"]) as daemon:
            benchlib.fill(daemon, "ram")
            runs = growth.beside(daemon, "ram", STALLED, 4)
            # one quiet moment is enough: a worker that waits has none
            iops = max(r["iops"] for r in runs["beside"]) / benchlib.median(runs["alone"], "iops")
            cpu = min(r["cpu_us"] for r in runs["beside"]) / benchlib.median(runs["alone"], "cpu_us")
            print(f"# a LUN beside one that hangs: IOPS {iops:.2f}, CPU per I/O {cpu:.2f} of alone")
            assert iops > 0.6 and cpu < 1.4


tgt.main()
