#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""FORMAT UNIT and SANITIZE of a real daemon: how they go on over resets, restarts and crashes, and
what becomes of them when the store fails."""
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import rawiscsi  # noqa: E402
import tgt  # noqa: E402

SIZE = 16 << 20
IN_PROGRESS, FORMATTING, SANITIZE_FAILED = (2, 0x041B), (2, 0x0404), (3, 0x3103)
OVERWRITE, ERASE, EXIT, IMMED, AUSE = 1, 2, 0x1F, 0x80, 0x20


def image(d, byte=b"x", name="disk.img"):
    path = os.path.join(d, name)
    with open(path, "wb") as f:
        f.write(byte * SIZE)
    return path


def slow(path, options="delay=150ms;ops=write,zero"):
    return tgt.disk_fragment(path, bs_type="fault", extra=f'bsopts "store=rdwr;{options}"')


def login(daemon):
    return rawiscsi.Raw(daemon.port, target=tgt.NAME).login()


def sense(reply):
    status, _, data = reply[:3]
    return (data[2] & 15, data[12] << 8 | data[13]) if status == 2 else status


def ready(raw):
    """What TEST UNIT READY says when there is no unit attention."""
    for _ in range(10):
        reply = raw.response(raw.command(bytes(6)))
        if sense(reply) == 0 or sense(reply)[0] != 6:
            return reply
    raise AssertionError("unit attentions without end")


def progress(raw):
    data = raw.response(raw.command(b"\x03\0\0\0\xfc\0", read=252))[1]
    return data[16] << 8 | data[17] if data[15] & 0x80 else None


def sanitize(raw, action, pattern=b"", passes=1):
    data = struct.pack(">BBH", passes, 0, len(pattern)) + pattern if pattern else b""
    cdb = struct.pack(">BBIBHB", 0x48, action, 0, 0, len(data), 0)
    return raw.command(cdb, write=len(data), data=data)


def wait_ready(raw, seconds=30):
    end = time.monotonic() + seconds
    while (found := sense(ready(raw))) != 0:
        assert found in (IN_PROGRESS, FORMATTING), found
        assert time.monotonic() < end, "it does not end"
        time.sleep(0.1)


def content(path):
    with open(path, "rb") as f:
        return set(f.read())


def marks(daemon):
    d = os.path.join(daemon.state, "operations")
    return os.listdir(d) if os.path.isdir(d) else []


def wait_progress(raw, least):
    end = time.monotonic() + 20
    while (p := progress(raw)) < least:
        assert time.monotonic() < end, p
        time.sleep(0.05)
    return p


def test_resets_do_not_end_it():
    """What iscsi-test-cu's SANITIZE Reset does, on a disk that is slow enough."""
    with tgt.scratch() as d:
        path = image(d)
        with tgt.Daemon(d, {"t.conf": slow(path)}) as daemon:
            raw = login(daemon).ready()
            itt = sanitize(raw, OVERWRITE, b"\xaa" * 512)
            assert sense(ready(raw)) == IN_PROGRESS
            for function in (1, 2, 5, 6):  # ABORT TASK, ABORT TASK SET, LUN and TARGET WARM RESET
                raw.itt += 1
                head = rawiscsi.bhs(rawiscsi.TMF | rawiscsi.IMMEDIATE, rawiscsi.FINAL | function, 1,
                                    raw.itt, 0, 0, struct.pack(">III", itt, raw.cmdsn, raw.statsn + 1)
                                    + struct.pack(">I", raw.cmdsn))
                raw.send(head)
                raw.expect(rawiscsi.TMF_RESPONSE)
                assert sense(ready(raw)) == IN_PROGRESS
            before = progress(raw)
            raw.close()
            raw = login(daemon)
            assert sense(ready(raw)) == IN_PROGRESS
            assert sense(raw.read10(0, 1)) == IN_PROGRESS
            assert sense(sanitize_now(raw, ERASE)) == IN_PROGRESS
            assert raw.response(raw.command(b"\x12\0\0\0\x60\0", read=96))[0] == 0
            wait_progress(raw, before + 1)
            wait_ready(raw)
            assert content(path) == {0xAA} and not marks(daemon)


def sanitize_now(raw, action, pattern=b"", passes=1):
    return raw.response(sanitize(raw, action, pattern, passes))


def interrupted(end):
    with tgt.scratch() as d:
        path = image(d)
        daemon = tgt.Daemon(d, {"t.conf": slow(path)})
        with daemon:
            raw = login(daemon).ready()
            assert sanitize_now(raw, OVERWRITE | IMMED, b"\x55", 2)[0] == 0
            assert len(marks(daemon)) == 1  # before it is answered
            at = wait_progress(raw, 0x2000)
            end(daemon)
            assert 0x55 in content(path) and len(marks(daemon)) == 1
            # what it has left is done, and on the disk of that moment
            with open(path, "r+b") as f:
                f.seek(SIZE - 4096)
                f.write(b"secret" * 600)
            daemon.start()
            raw = login(daemon)
            assert sense(ready(raw)) == IN_PROGRESS
            found = progress(raw)
            wait_ready(raw)
            assert content(path) == {0x55} and not marks(daemon)
            assert "goes on" in daemon.log() and "is over" in daemon.log()
            raw.close()
            return at, found


def test_restart():
    at, found = interrupted(lambda daemon: daemon.stop())
    assert found >= at  # from where it was


def test_crash():
    at, found = interrupted(lambda daemon: daemon.kill())
    assert found < at  # all of it again: what had not been flushed is nobody's word


def test_format():
    with tgt.scratch() as d:
        path = image(d)
        with tgt.Daemon(d, {"t.conf": slow(path)}) as daemon:
            raw = login(daemon).ready()
            data = bytes([0, 0x8A, 0, 0, 0, 1, 0, 1, 0x77])  # FOV, IP, IMMED
            assert raw.response(raw.command(b"\x04\x10\0\0\0\0", write=len(data), data=data))[0] == 0
            assert sense(ready(raw)) == FORMATTING
            wait_progress(raw, 1)
            daemon.kill()
            daemon.start()
            raw = login(daemon)
            assert sense(ready(raw)) == FORMATTING
            wait_ready(raw)
            assert content(path) == {0x77}


def test_another_file_under_its_name():
    """It is not what was to be wiped, and is not wiped."""
    with tgt.scratch() as d:
        path = image(d)
        daemon = tgt.Daemon(d, {"t.conf": slow(path)})
        with daemon:
            raw = login(daemon).ready()
            assert sanitize_now(raw, ERASE | IMMED)[0] == 0
            daemon.kill()
            os.rename(image(d, b"y", "other.img"), path)
            daemon.start()
            raw = login(daemon)
            end = time.monotonic() + 10
            while sense(ready(raw)) != SANITIZE_FAILED:
                assert time.monotonic() < end
                time.sleep(0.05)
            assert content(path) == {ord("y")}
            assert sense(raw.read10(0, 1)) == SANITIZE_FAILED
            assert sanitize_now(raw, EXIT)[0] == 0
            assert sense(ready(raw)) == 0 and not marks(daemon)
            assert "another disk" in daemon.log() or "Stale" in daemon.log()


def test_failure_outlasts_a_restart():
    with tgt.scratch() as d:
        path = image(d)
        fragment = slow(path, "error=EIO;ops=write,zero;range=8M+4M")
        with tgt.Daemon(d, {"t.conf": fragment}) as daemon:
            raw = login(daemon).ready()
            assert sense(sanitize_now(raw, OVERWRITE, b"\xaa")) == SANITIZE_FAILED
            for restart in (daemon.stop, daemon.kill):
                restart()
                daemon.start()
                raw = login(daemon)
                assert sense(ready(raw)) == SANITIZE_FAILED
                assert sense(sanitize_now(raw, EXIT)) == (5, 0x2400)  # AUSE was 0
            daemon.stop()
            daemon.fragment("t.conf", slow(path, "delay=1ms"))
            daemon.start()
            raw = login(daemon)
            assert sense(ready(raw)) == SANITIZE_FAILED
            assert sanitize_now(raw, ERASE)[0] == 0
            assert sense(ready(raw)) == 0 and content(path) == {0}


def test_damaged_mark():
    """Something was being done, and nobody knows what: the data is not given out as if nothing was."""
    with tgt.scratch() as d:
        path = image(d)
        with tgt.Daemon(d, {"t.conf": slow(path)}) as daemon:
            raw = login(daemon).ready()
            assert sanitize_now(raw, ERASE | IMMED)[0] == 0
            daemon.kill()
            mark = os.path.join(daemon.state, "operations", marks(daemon)[0])
            with open(mark, "r+b") as f:
                f.seek(40)
                f.write(b"?")
            daemon.start()
            raw = login(daemon)
            assert sense(ready(raw)) == SANITIZE_FAILED
            assert "cannot be read" in daemon.log()
            assert sanitize_now(raw, ERASE)[0] == 0
            assert sense(ready(raw)) == 0 and not marks(daemon)


def test_read_only():
    with tgt.scratch() as d:
        path = image(d)
        fragment = tgt.disk_fragment(path, extra="readonly 1")
        with tgt.Daemon(d, {"t.conf": fragment}) as daemon:
            raw = login(daemon).ready()
            assert sense(sanitize_now(raw, ERASE)) == (7, 0x2700)
            assert sense(raw.response(raw.command(b"\x04\0\0\0\0\0"))) == (7, 0x2700)
            assert content(path) == {ord("x")} and not marks(daemon)


def test_unwritable_state():
    """What could not be gone on with after a crash is not begun."""
    with tgt.scratch() as d:
        path = image(d)
        with tgt.Daemon(d, {"t.conf": slow(path)}) as daemon:
            raw = login(daemon).ready()
            with open(os.path.join(daemon.state, "operations"), "w"):
                pass  # a file where a directory is to be
            assert sense(sanitize_now(raw, ERASE)) == (4, 0x4400)
            assert sense(ready(raw)) == 0 and content(path) == {ord("x")}
            assert "could not be written" in daemon.log()


tgt.main()
