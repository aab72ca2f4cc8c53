#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a hostile or broken initiator sends: the daemon lives, serves the others, and stays small."""
import contextlib
import os
import random
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402
from rawiscsi import (DATA_OUT, FINAL, LOGOUT, NOP_OUT, R2T, REJECT, SCSI, SNACK, TEXT, TMF, Closed,  # noqa: E402
                      Raw, bhs)

WRITE10 = struct.pack(">BBIBHB", 0x2A, 0, 0, 0, 64, 0)  # 32 KiB at LBA 0
READ10 = struct.pack(">BBIBHB", 0x28, 0, 0, 0, 64, 0)
BYTES = 64 * 512


@contextlib.contextmanager
def served():
    """A daemon with one disk, and a bystander that must be served until the end."""
    with tgt.scratch() as d:
        path = tgt.sparse(os.path.join(d, "disk.img"), 64 << 20)
        with tgt.Daemon(d, {"t.conf": tgt.disk_fragment(path)}) as daemon:
            bystander = connect(daemon, initiator="iqn.2026-01.org.example:bystander")
            yield daemon
            assert daemon.process.poll() is None, "tgtd ended"
            status, data, _, _ = bystander.ready().read10(0, 8)
            assert status == 0 and len(data) == 4096, "the other session is not served any more"
            bystander.close()


def connect(daemon, **kw):
    return Raw(daemon.port, target=tgt.NAME, **kw).login().ready()


def refused(raw):
    """The target refuses: Reject, CHECK CONDITION or closing; never silence, never good status."""
    try:
        while True:
            pdu = raw.receive()
            if pdu.opcode == REJECT:
                return True
            if pdu.opcode in (0x21, 0x25) and (pdu.opcode == 0x21 or pdu.flags & 1):
                assert pdu.bhs[2] != 0 or pdu.status != 0, "accepted"
                return True
    except Closed:
        return True


def r2t(raw, cdb=WRITE10, size=BYTES):
    itt = raw.command(cdb, write=size)
    pdu = raw.expect(R2T)
    offset, length = struct.unpack_from(">II", pdu.bhs, 40)
    return itt, pdu.ttt, offset, length


def test_data_out_beyond_r2t():
    with served() as daemon:
        raw = connect(daemon)
        itt, ttt, offset, length = r2t(raw)
        raw.data_out(itt, ttt, offset + length, b"x" * 4096)
        assert refused(raw)


def test_data_out_past_the_end():
    with served() as daemon:
        raw = connect(daemon)
        itt, ttt, _, _ = r2t(raw)
        raw.data_out(itt, ttt, 0xFFFFF000, b"x" * 8192)
        assert refused(raw)


def test_data_out_too_long():
    with served() as daemon:
        raw = connect(daemon)
        itt, ttt, offset, length = r2t(raw)
        raw.data_out(itt, ttt, offset, b"x" * (length + 4096))
        assert refused(raw)


def test_burst_sent_twice():
    with served() as daemon:
        raw = connect(daemon)
        itt, ttt, offset, length = r2t(raw)
        raw.data_out(itt, ttt, offset, b"x" * length)
        raw.data_out(itt, ttt, offset, b"y" * length)
        seen = []
        raw.sock.settimeout(2)
        with contextlib.suppress(Closed, socket.timeout):
            while REJECT not in seen:
                seen.append(raw.receive().opcode)
        assert REJECT in seen, "the second burst was taken"
        assert itt


def test_data_out_for_a_read():
    with served() as daemon:
        raw = connect(daemon)
        itt = raw.command(READ10, read=BYTES)
        raw.data_out(itt, 0xFFFFFFFF, 0, b"x" * 4096)
        with contextlib.suppress(AssertionError):
            raw.response(itt)
        assert refused(raw)


def test_data_out_for_nothing():
    with served() as daemon:
        raw = connect(daemon)
        raw.data_out(0x7777, 0x1234, 0, b"x" * 4096)
        assert refused(raw)


def test_huge_expected_length():
    with served() as daemon:
        raw = connect(daemon)
        status, data, _, pdu = raw.response(raw.command(READ10, read=1, edtl=0xFFFFFFFF))
        assert status == 0 and len(data) == BYTES
        residual, = struct.unpack_from(">I", pdu.bhs, 44)
        assert pdu.flags & 0x02 and residual == 0xFFFFFFFF - BYTES, "underflow and residual"
        itt = raw.command(WRITE10, write=1, edtl=0xFFFFFFFF)
        pdu = raw.receive()
        if pdu.opcode == R2T:
            offset, length = struct.unpack_from(">II", pdu.bhs, 40)
            assert offset + length <= BYTES, "asks for more than the command takes"
        raw.close()
        assert itt


def test_bad_ahs():
    cdb = bytes([0x7F, 0, 0, 0, 0, 0, 0, 24]) + bytes(8)
    for ahs in (struct.pack(">HBB", 1, 1, 0),          # extended CDB with no byte of it
                struct.pack(">HBB", 0, 1, 0),          # length 0
                struct.pack(">HBB", 0xFFFF, 1, 0),     # longer than the AHS
                struct.pack(">HBB", 3, 1, 0),          # too short for opcode 7Fh's length
                struct.pack(">HBB", 1, 0x3F, 0),       # reserved type
                struct.pack(">HBBI", 5, 2, 0, 512),    # bidirectional
                b"\xff" * 255 * 4):
        with served() as daemon:
            raw = connect(daemon)
            raw.command(cdb, read=512, ahs=ahs)
            assert refused(raw), ahs[:8].hex()


def test_write_without_expected_length():
    with served() as daemon:
        raw = connect(daemon)
        raw.command(WRITE10, write=1, edtl=0, data=b"x" * 4096)
        assert refused(raw)


def test_write_same_sent_as_a_read():
    with served() as daemon:
        raw = connect(daemon)
        cdb = struct.pack(">BBQIBB", 0x93, 0, 0, 8, 0, 0)
        raw.command(cdb, read=512)
        assert refused(raw)


def test_immediate_data_longer_than_first_burst():
    with served() as daemon:
        raw = connect(daemon)
        raw.command(struct.pack(">BBIBHB", 0x2A, 0, 0, 0, 512, 0), write=262144, data=b"x" * 131072)
        assert refused(raw)


def test_data_segment_longer_than_declared():
    with served() as daemon:
        raw = connect(daemon)
        limit = int(raw.keys["MaxRecvDataSegmentLength"])
        raw.sock.sendall(bhs(NOP_OUT | 0x40, itt=0x99, data_length=min(limit + 4, 0xFFFFFF),
                             rest=struct.pack(">III", 0xFFFFFFFF, raw.cmdsn, 0)))
        assert refused(raw)


def test_command_outside_of_the_window():
    with served() as daemon:
        raw = connect(daemon)
        raw.command(READ10, read=BYTES, cmdsn=raw.cmdsn + 100000)  # ignored (RFC 7143 4.2.2.1)
        raw.command(READ10, read=BYTES, cmdsn=(raw.cmdsn - 5) & 0xFFFFFFFF)
        status, data, _, _ = raw.read10(0, 8)
        assert status == 0 and len(data) == 4096


def test_everything_before_login():
    with served() as daemon:
        for opcode in list(range(0, 0x20)) + [0x3F]:
            if opcode == 3:
                continue
            raw = Raw(daemon.port)
            raw.send(bhs(opcode | 0x40, itt=1, rest=struct.pack(">III", 0xFFFFFFFF, 1, 1)))
            assert raw.closed(), f"opcode {opcode:#x} keeps the connection before login"


def test_login_text():
    texts = [b"", b"\0" * 100, b"=\0", b"a\0", b"a=b\0" * 2048, b"X" * 8000, b"InitiatorName=\0",
             b"InitiatorName=iqn.2026-01.org.example:x\0" * 2,
             b"InitiatorName=" + b"i" * 5000 + b"\0", b"SessionType=Nonsense\0InitiatorName=iqn.x:y\0",
             b"InitiatorName=iqn.2026-01.org.example:x\0SessionType=Discovery\0"
             + b"X-" + b"k" * 62 + b"=" + b"v" * 255 + b"\0",
             b"MaxRecvDataSegmentLength=99999999999999999999\0", b"\xff\xfe=\x01\0"]
    with served() as daemon:
        for text in texts:
            for csg in (0, 1, 2, 3):
                raw = Raw(daemon.port)
                with contextlib.suppress(Closed, AssertionError):
                    reply = raw.login_pdu(text, csg=csg)
                    assert len(reply.data) <= 8192, "the answer is longer than any initiator takes"
                raw.close()
        with contextlib.suppress(Closed, AssertionError, ConnectionError, socket.timeout):
            raw = Raw(daemon.port)
            for _ in range(1000):  # text without end
                raw.login_pdu(b"a" * 8000, transit=False, cont=True)
            raise AssertionError("takes login text without end")


def test_chap_without_a_method():
    with served() as daemon:
        raw = Raw(daemon.port)
        with contextlib.suppress(Closed):
            reply = raw.login_pdu({"InitiatorName": raw.initiator, "TargetName": tgt.NAME,
                                   "AuthMethod": "CHAP", "CHAP_A": "5", "CHAP_N": "a",
                                   "CHAP_R": "0b" + "A" * 4000}, csg=0, nsg=1)
            assert reply.bhs[36] != 0


def test_task_management_storm():
    with served() as daemon:
        raw = connect(daemon)
        functions = [1, 2, 4, 5, 6, 8, 9, 0, 10, 127]  # but cold reset, which ends the session
        for i in range(2000):
            raw.itt += 1
            raw.send(bhs(TMF | 0x40, FINAL | functions[i % 10], 1, raw.itt,
                         rest=struct.pack(">IIIII", 0x11, raw.cmdsn, raw.statsn + 1, 0, 0)))
            if i % 100 == 99:
                for _ in range(100):
                    raw.receive()
        raw.close()


def test_unknown_requests():
    with served() as daemon:
        for opcode in (0x1C, 0x1E, 0x3F, SNACK):
            raw = connect(daemon)
            raw.send(bhs(opcode | 0x40, itt=5, rest=struct.pack(">III", 0xFFFFFFFF, raw.cmdsn, 1)))
            assert refused(raw), f"opcode {opcode:#x}"


def test_text_with_continue_bit_and_no_data():
    with served() as daemon:
        raw = connect(daemon)
        raw.send(bhs(TEXT, 0x40, 0, 9, rest=struct.pack(">III", 0xFFFFFFFF, raw.cmdsn,
                                                        raw.statsn + 1)))
        with contextlib.suppress(Closed, socket.timeout):
            raw.sock.settimeout(1)
            raw.receive()
        raw.close()


def test_random_headers():
    rng = random.Random(7143)
    with served() as daemon:
        for _ in range(300):
            raw = connect(daemon)
            raw.sock.settimeout(0.05)
            with contextlib.suppress(Closed, socket.timeout, OSError):
                for _ in range(5):
                    head = bytearray(rng.randbytes(48))
                    head[0] = rng.choice([SCSI, TMF, TEXT, DATA_OUT, LOGOUT, NOP_OUT]) | 0x40
                    head[4] = rng.choice([0, 0, 1, 255])
                    head[5:8] = rng.choice([0, 0, 4, 512, 70000]).to_bytes(3, "big")
                    raw.sock.sendall(bytes(head) + rng.randbytes(rng.choice([0, 512, 4096])))
                raw.receive()
            raw.close()


def memory(daemon):
    with open(f"/proc/{daemon.process.pid}/status") as f:
        return int(next(x for x in f if x.startswith("VmRSS")).split()[1]) * 1024


def test_initiators_that_never_read():
    with served() as daemon:
        before = memory(daemon)
        raws = []
        for i in range(20):
            raw = connect(daemon, initiator=f"iqn.2026-01.org.example:deaf{i}")
            raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(128):
                    raw.command(struct.pack(">BBIBHB", 0x28, 0, 0, 0, 2048, 0), read=1 << 20)
            raws.append(raw)
        grown = memory(daemon) - before
        # every budget is counted in I/O buffers: a quarter of memory and at most 2 GiB by default
        assert grown < 3 << 30, f"grew by {grown >> 20} MiB"
        for raw in raws:
            raw.close()
        tgt.eventually(lambda: memory(daemon) - before < 256 << 20, 20, "memory given back")


def test_initiators_that_take_all_memory():
    """However many hold what they can get, the others get theirs."""
    with served() as daemon:
        steady = connect(daemon, initiator="iqn.2026-01.org.example:steady")
        raws = []
        for i in range(6):
            raw = connect(daemon, initiator=f"iqn.2026-01.org.example:greedy{i}")
            raw.sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(128):
                    raw.command(struct.pack(">BBQIBB", 0x88, 0, 0, 16384, 0, 0), read=8 << 20)
            raws.append(raw)
        for i in range(20):
            status, data, _, _ = steady.read10(0, 128)
            assert status == 0 and len(data) == 65536, f"status {status:#x} of a session that was there"
            new = connect(daemon, initiator=f"iqn.2026-01.org.example:new{i}")
            status, data, _, _ = new.read10(0, 128)
            assert status == 0 and len(data) == 65536, f"status {status:#x} of a new session"
            new.close()
        for raw in raws:
            raw.close()


def test_half_open_connections():
    with served() as daemon:
        held = []
        for _ in range(600):
            with contextlib.suppress(OSError):
                s = socket.create_connection(("127.0.0.1", daemon.port), timeout=2)
                held.append(s)
        for s in held:
            s.close()
        connect(daemon).close()


def test_reinstatement_under_load():
    with served() as daemon:
        for i in range(50):
            raw = Raw(daemon.port, target=tgt.NAME, initiator="iqn.2026-01.org.example:again").login()
            for _ in range(16):
                raw.command(READ10 if i % 2 else WRITE10, read=BYTES if i % 2 else 0,
                            write=0 if i % 2 else BYTES)
            if i % 3 == 0:
                raw.close()


tgt.main()
