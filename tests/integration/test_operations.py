#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""FORMAT UNIT and SANITIZE of a real daemon: how they go on over resets, restarts and crashes, what
becomes of them when the store fails, and how tgtctl asks for them and shows them."""
import json
import os
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import rawiscsi  # noqa: E402
import terminal  # noqa: E402
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


def test_removed_and_added():
    """What was begun goes on where the disk is served again, under whatever LUN."""
    with tgt.scratch() as d:
        path = image(d)
        with tgt.Daemon(d, {"t.conf": slow(path)}) as daemon:
            raw = login(daemon).ready()
            assert sanitize_now(raw, OVERWRITE | IMMED, b"\x33")[0] == 0
            wait_progress(raw, 0x1000)
            raw.close()
            daemon.ctl("delete", "disk", "--force")
            assert len(marks(daemon)) == 1
            left = content(path)
            daemon.ctl("create", tgt.NAME, "--backing-store=" + path, "--initiator-address=ALL")
            raw = login(daemon)
            wait_ready(raw)
            assert ord("x") in left and content(path) == {0x33} and not marks(daemon)


def test_file_comes_later():
    """The disk is not there at the start; when it comes, what is left is done before anything else."""
    with tgt.scratch() as d:
        path = image(d)
        with tgt.Daemon(d, {"t.conf": slow(path)}) as daemon:
            raw = login(daemon).ready()
            assert sanitize_now(raw, OVERWRITE | IMMED, b"\x33")[0] == 0
            wait_progress(raw, 0x1000)
            daemon.kill()
            os.rename(path, path + ".away")
            daemon.start()
            raw = login(daemon)
            assert sense(ready(raw)) == IN_PROGRESS
            os.rename(path + ".away", path)
            wait_ready(raw)
            assert content(path) == {0x33} and not marks(daemon)


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


# ---- tgtctl ----

def argv(daemon, *words):
    return [tgt.TGTCTL, "--socket", os.path.join(daemon.runtime, "control"), *words]


def test_asks_first():
    with tgt.scratch() as d:
        path = image(d)
        with tgt.Daemon(d, {"t.conf": slow(path)}) as daemon:
            for verb in ("sanitize", "format"):
                p = daemon.ctl(verb, "disk/1", check=False)
                assert p.returncode == 2 and "--yes" in p.stdout and path in p.stdout, p
                code, out = terminal.run(argv(daemon, verb, "disk/1"), [("go on: ", "y\n")])
                assert code == 1 and "Nothing was done" in out, out
                code, out = terminal.run(argv(daemon, verb, "disk/1", "--no-ask-password"))
                assert code == 2, out
            assert content(path) == {ord("x")} and "begins" not in daemon.log()
            code, out = terminal.run(argv(daemon, "sanitize", "disk/1", "--pattern=aa"),
                                     [("go on: ", "yes\n")])
            assert code == 0 and "Sanitizing [" in out and "Sanitized " + path in out, out
            assert content(path) == {0xAA}


def test_no_wait_and_status():
    with tgt.scratch() as d:
        path = image(d)
        with tgt.Daemon(d, {"t.conf": slow(path)}) as daemon:
            out = daemon.ctl("format", "disk/1", "--yes", "--no-wait").stdout
            assert "Formatting" in out and "has begun" in out, out
            assert "formatting" in daemon.ctl("status").stdout
            assert f"{path}  16M ready, formatting, " in daemon.ctl("status", "disk").stdout
            shown = daemon.ctl("show", "disk/1").stdout
            assert "Operation.Kind=format" in shown and "Operation.By=uid " in shown, shown
            p = daemon.ctl("sanitize", "disk/1", "--yes", check=False)
            assert p.returncode == 6 and "under way" in p.stdout, p
            raw = login(daemon)
            assert sense(ready(raw)) == FORMATTING
            wait_ready(raw)
            assert "Operation" not in daemon.ctl("show", "disk/1").stdout
            assert "formatting" not in daemon.ctl("status").stdout
            assert content(path) == {0}
            # for scripts
            raw.close()
            daemon.ctl("unit", "store-options", "disk/1", "delay=0s")
            p = daemon.ctl("--quiet", "sanitize", "disk/1", "--yes", "--json=short")
            assert json.loads(p.stdout.splitlines()[-1])["State"] == "done", p
            p = daemon.ctl("--quiet", "sanitize", "disk/1", "--yes", "--passes=2", "--pattern=0f",
                           "--invert")
            assert p.stdout == "" and content(path) == {0x0F}, p


def test_interrupt_ends_the_waiting_only():
    with tgt.scratch() as d:
        path = image(d)
        with tgt.Daemon(d, {"t.conf": slow(path)}) as daemon:
            p = subprocess.Popen(argv(daemon, "sanitize", "disk/1", "--yes", "--pattern=aa"),
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            end = time.monotonic() + 10
            while "begins" not in daemon.log():
                assert time.monotonic() < end
                time.sleep(0.05)
            time.sleep(0.3)
            p.send_signal(signal.SIGINT)
            out = p.communicate(timeout=10)[0]
            assert p.returncode == -signal.SIGINT and "goes on" in out, (p.returncode, out)
            raw = login(daemon)
            assert sense(ready(raw)) == IN_PROGRESS
            wait_ready(raw)
            assert content(path) == {0xAA}


def test_not_under_initiators():
    with tgt.scratch() as d:
        path = image(d)
        with tgt.Daemon(d, {"t.conf": slow(path, "delay=1ms")}) as daemon:
            raw = login(daemon).ready()
            for verb in ("sanitize", "format"):
                p = daemon.ctl(verb, "disk/1", "--yes", check=False)
                assert p.returncode == 6 and raw.initiator in p.stdout and "--force" in p.stdout, p
            assert content(path) == {ord("x")}
            daemon.ctl("sanitize", "disk/1", "--yes", "--force", "--pattern=5a")
            assert content(path) == {0x5A}
            assert sense(raw.response(raw.command(bytes(6)))) == (6, 0x2800)


def test_failure_and_the_way_out():
    with tgt.scratch() as d:
        path = image(d)
        with tgt.Daemon(d, {"t.conf": slow(path, "error=EIO;ops=write,zero")}) as daemon:
            for verb, found in (("sanitize", SANITIZE_FAILED), ("format", (3, 0x3100))):
                p = daemon.ctl(verb, "disk/1", "--yes", check=False)
                assert p.returncode == 1 and "--exit-failure" in p.stdout, p
                assert "has failed: Input/output error" in daemon.ctl("status").stdout
                raw = login(daemon)
                assert sense(ready(raw)) == found
                raw.close()
                daemon.ctl("sanitize", "disk/1", "--exit-failure")
                assert "failed" not in daemon.ctl("status").stdout
                raw = login(daemon)
                assert sense(ready(raw)) == 0
                raw.close()
            p = daemon.ctl("sanitize", "disk/1", "--yes", "--restricted", check=False)
            assert p.returncode == 1
            p = daemon.ctl("sanitize", "disk/1", "--exit-failure", check=False)
            assert p.returncode == 1 and "another one that succeeds" in p.stdout, p
            daemon.ctl("unit", "store-options", "disk/1", "error=none")
            daemon.ctl("sanitize", "disk/1", "--yes", "--method=block-erase")
            assert content(path) == {0}


def test_copy():
    with tgt.scratch() as d:
        path = image(d)
        with open(path, "r+b") as f:
            f.truncate(SIZE)
            f.seek(4 << 20)
            f.write(bytes(range(256)) * 4096)
            f.truncate(64 << 20)
        to = os.path.join(d, "copy.img")
        fragment = tgt.disk_fragment(path, extra="readonly {}")
        with tgt.Daemon(d, {"t.conf": fragment.format(0)}) as daemon:
            # what is written meanwhile would be half in it
            p = daemon.ctl("copy", "disk/1", to, check=False)
            assert p.returncode == 6 and "readonly" in p.stdout and not os.path.exists(to), p
            daemon.ctl("set-lun", "disk", "1", "readonly", "yes", "--runtime", "--force")
            code, out = terminal.run(argv(daemon, "copy", "disk/1", to))
            assert code == 0 and f"Copied {path} (64M" in out and f"to {to}." in out, out
            with open(path, "rb") as a, open(to, "rb") as b:
                assert a.read() == b.read()
            st = os.stat(to)
            assert st.st_mode & 0o777 == 0o600 and st.st_blocks * 512 <= SIZE + (1 << 20), st
            # never over something
            p = daemon.ctl("copy", "disk/1", to, check=False)
            assert p.returncode == 6 and "not overwritten" in p.stdout, p
            assert daemon.ctl("copy", "disk/1", "/proc/x", check=False).returncode == 1
            os.unlink(to)
            daemon.ctl("set-lun", "disk", "1", "readonly", "no", "--runtime", "--force")
            daemon.ctl("set-lun", "disk", "1", "online", "no", "--runtime", "--force")
            p = daemon.ctl("--quiet", "copy", "disk/1", to, "--json=short")
            assert json.loads(p.stdout.splitlines()[-1])["Path"] == to, p
            assert "Copied: unit " in daemon.log()


def test_copy_is_given_up():
    """Ctrl-C, and nothing is left behind; nor if the disk could be written meanwhile."""
    with tgt.scratch(disk=True) as d:
        path = image(d)
        to = os.path.join(d, "copy.img")
        with tgt.Daemon(d, {"t.conf": tgt.disk_fragment(path, extra="readonly 1")}) as daemon:
            log = os.path.join(d, "strace.log")
            for ending in ("interrupt", "writable"):
                trace = subprocess.Popen(
                    ["strace", "-f", "-q", "-o", log, "-e", "trace=copy_file_range", "-e",
                     "inject=copy_file_range:delay_enter=3s", "-p", str(daemon.process.pid)],
                    stderr=subprocess.PIPE)
                tgt.eventually(lambda: "TracerPid:\t0" not in
                               open(f"/proc/{daemon.process.pid}/status").read(), what="strace")
                p = subprocess.Popen(argv(daemon, "copy", "disk/1", to), stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True)
                tgt.eventually(lambda: "copy_file_range" in open(log).read(), what="the copy")
                if ending == "interrupt":
                    p.send_signal(signal.SIGINT)
                else:
                    daemon.ctl("set-lun", "disk", "1", "readonly", "no", "--runtime", "--force")
                out = p.communicate(timeout=20)[0]
                if ending == "interrupt":
                    assert p.returncode == -signal.SIGINT and "removes what" in out, out
                else:
                    assert p.returncode == 6 and "worth nothing" in out, (p.returncode, out)
                trace.send_signal(signal.SIGINT)
                trace.communicate(timeout=20)
                tgt.eventually(lambda: not [n for n in os.listdir(d) if "copy" in n], what="nothing")
                os.unlink(log)


def test_mistakes():
    with tgt.scratch() as d:
        path = image(d)
        with tgt.Daemon(d, {"t.conf": tgt.disk_fragment(path)}) as daemon:
            for words, code in ((["--pattern=a"], 2), (["--pattern=zz"], 2), (["--pattern="], 2),
                                (["--passes=32"], 2), (["--method=melt"], 1),
                                (["--method=block-erase", "--passes=2"], 2),
                                (["--exit-failure", "--force"], 2), (["--pattern=" + "00" * 513], 1)):
                p = daemon.ctl("sanitize", "disk/1", "--yes", *words, check=False)
                assert p.returncode == code, (words, p)
            assert daemon.ctl("sanitize", "disk/2", "--yes", check=False).returncode == 4
            assert content(path) == {ord("x")}
        with tgt.Daemon(d, {"t.conf": tgt.disk_fragment(path, extra="readonly 1")}) as daemon:
            p = daemon.ctl("format", "disk/1", "--yes", check=False)
            assert p.returncode != 0 and "read-only" in p.stdout, p


tgt.main()
