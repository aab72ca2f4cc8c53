#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is sent from where the store has it (a loan) is what was read: a command that comes after the
read, by the rules of SAM, does not change it, however long the initiator takes to receive it."""
import contextlib
import json
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402
from rawiscsi import FINAL, Raw  # noqa: E402

SIZE = 16 << 20
READ, WRITE = 128 << 10, 64 << 10  # bytes; a write goes as immediate data
SIMPLE, ORDERED = 1, 2
OLD, NEW = b"o", b"n"
# reads that the kernel takes at once, and more than it takes; with as many writes they fit into the
# window of CmdSN
DEPTHS = 2, 48


class Disk:
    """A daemon with one disk full of OLD, which it lends, and who reads it without receiving."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.filler = Raw(daemon.port, "iqn.2026-01.org.example:filler", tgt.NAME).login().ready()
        for at in range(0, SIZE, WRITE):
            assert self.filler.response(write(self.filler, at, OLD))[0] == 0
        self.filler.close()
        self.writes = SIZE // WRITE
        tgt.eventually(lambda: self.count("sessions") == 0)  # only one initiator's disk is lent
        # the smallest buffer that there is
        self.reader = Raw(daemon.port, target=tgt.NAME, timeout=20, window=1).login().ready()

    def count(self, what):
        it = json.loads(self.daemon.ctl("stats", "--json", stderr=subprocess.PIPE).stdout)
        if what == "sessions":
            return len(it["Nexuses"])
        return it["LogicalUnits"][0]["Statistics"][what]

    def read_slowly(self, depth):
        """Asks for depth reads, one behind the other, and returns their tags when they are done."""
        tags = [self.reader.command(cdb(0x28, i * READ, READ), read=READ) for i in range(depth)]
        tgt.eventually(lambda: self.count("reads") == depth, what="the reads")
        return tags

    def expect_writes(self, n):
        """They are done, though nothing of what was read before has been received."""
        self.writes += n
        tgt.eventually(lambda: self.count("writes") == self.writes, what="the writes")

    def expect_old(self, tags):
        for i, tag in enumerate(tags):
            status, data, _, _ = self.reader.response(tag)
            assert status == 0 and len(data) == READ
            assert data == OLD * READ, \
                f"read {i}: {data.count(NEW)} bytes of what was written after it, from {data.index(NEW)} on"


def cdb(opcode, at, length):
    return struct.pack(">BBIBHB", opcode, 0, at // 512, 0, length // 512, 0)


def write(raw, at, what, attribute=SIMPLE):
    return raw.command(cdb(0x2A, at, WRITE), write=WRITE, data=what * WRITE, flags=FINAL | 0x20 | attribute)


def each(check):
    """check(disk, depth) over each store that lends, on one worker and on two, for each depth."""
    for store in "rdwr", "ram":
        for workers in 1, 2:
            for depth in DEPTHS:
                print(f"# {store}, {workers} workers, {depth} reads", flush=True)
                with tgt.scratch() as d:
                    path = tgt.sparse(os.path.join(d, "disk"), SIZE) if store == "rdwr" else "NONE"
                    size = "" if store == "rdwr" else f"size {SIZE}"
                    text = tgt.disk_fragment(path, bs_type=store, extra=size)
                    with tgt.Daemon(d, {"a.conf": text}, args=[f"--workers={workers}"]) as daemon:
                        disk = Disk(daemon)
                        check(disk, depth)
                        disk.reader.close()


def check_ordered(disk, depth):
    tags = disk.read_slowly(depth)
    writes = [write(disk.reader, i * READ, NEW, ORDERED) for i in range(depth)]
    disk.expect_writes(depth)
    disk.expect_old(tags)
    for tag in writes:
        assert disk.reader.response(tag)[0] == 0
    assert disk.reader.read10(0, WRITE // 512)[1] == NEW * WRITE


def test_ordered_write():
    """SAM-5 8.6: it begins when the reads before it are over."""
    each(check_ordered)


def check_second(disk, depth):
    tags = disk.read_slowly(depth)
    with contextlib.closing(Raw(disk.daemon.port, "iqn.2026-01.org.example:second", tgt.NAME)) as second:
        second.login().ready()
        for i in range(depth):
            assert second.response(write(second, i * READ, NEW))[0] == 0
        disk.expect_old(tags)


def test_second_initiator():
    """It came when the reads were done: nothing of what it writes is in them."""
    each(check_second)


tgt.main()
