#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Acknowledged means kept. Killing the process proves nothing (the page cache survives it), so:
over the fault store, by the order of system calls, and on a disk that loses its volatile cache.
Each has a control run in which flush and FUA are ignored, and which must be found out."""
import os
import re
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402
from rawiscsi import Raw  # noqa: E402

LEDGER_IO = os.path.join(tgt.BUILD, "tests", "lib", "ledger-io")


def lose_power(inner, options="", disk=False):
    """Random I/O on a store that loses what was not flushed; returns the checker's result."""
    with tgt.scratch(disk=disk) as d:
        image = tgt.sparse(os.path.join(d, "disk.img"), 32 << 20)
        ledger = os.path.join(d, "ledger")
        fragment = tgt.disk_fragment(
            image, bs_type="fault", extra=f"bsopts \"store={inner};lose-unflushed=yes{options}\"")
        daemon = tgt.Daemon(d, {"t.conf": fragment}).start()
        load = subprocess.Popen([LEDGER_IO, "--seconds", "30", "--until-gone", "--save", ledger,
                                 "--flush", "3", "--fua", "15", daemon.url()],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert load.stdout.readline() == "running\n"
        time.sleep(2)
        daemon.kill()  # what was not flushed is only in the daemon's memory
        out, _ = load.communicate(timeout=60)
        assert load.returncode == 0, out
        return tgt.run(LEDGER_IO, "--check", image, "--load", ledger, check=False)


def test_power_loss_over_the_fault_store():
    for inner in ("rdwr", "aio"):
        p = lose_power(inner, disk=inner == "aio")
        assert p.returncode == 0, p.stdout


def test_ignored_flush_is_found_over_the_fault_store():
    p = lose_power("rdwr", ";ignore-flush=yes")
    assert p.returncode == 1 and ("lost" in p.stdout or "superseded" in p.stdout), p.stdout


def test_write_cache_taken_away():
    """What was acknowledged while there was a cache is flushed when the configuration ends it, also
    where nobody is logged in any more; without the change it is lost."""
    for change in (True, False):
        with tgt.scratch() as d:
            image = tgt.sparse(os.path.join(d, "disk.img"), 1 << 20)
            extra = 'bsopts "store=rdwr;lose-unflushed=yes"'
            daemon = tgt.Daemon(d, {"t.conf": tgt.disk_fragment(image, bs_type="fault", extra=extra)}).start()
            raw = Raw(daemon.port, target=tgt.NAME, timeout=20).login().ready()
            cdb = struct.pack(">BBIBHB", 0x2A, 0, 64, 0, 8, 0)
            assert raw.response(raw.command(cdb, write=4096, data=b"\x5a" * 4096))[0] == 0
            raw.close()
            if change:
                daemon.fragment("t.conf", tgt.disk_fragment(image, bs_type="fault",
                                                            extra=extra + "\nwrite-cache off"))
                daemon.reload()
                time.sleep(1)
            daemon.kill()
            with open(image, "rb") as f:
                f.seek(64 * 512)
                assert (f.read(4096) == b"\x5a" * 4096) == change, f"change: {change}"


def traced_write(bs_type, fua=False, flush=False, extra=""):
    """System calls of one WRITE(10) (and a SYNCHRONIZE CACHE), in their order of completion."""
    with tgt.scratch(disk=True) as d:
        image = tgt.sparse(os.path.join(d, "disk.img"), 16 << 20)
        trace = os.path.join(d, "trace")
        calls = ("pwrite64,pwritev,pwritev2,io_submit,io_getevents,fdatasync,fsync,sync_file_range,"
                 "sendmsg,sendto,write,writev")
        daemon = tgt.Daemon(d, {"t.conf": tgt.disk_fragment(image, bs_type=bs_type, extra=extra)},
                            wrap=["strace", "-f", "-yy", "-o", trace, "-e", "trace=" + calls])
        daemon.start(timeout=60)
        raw = Raw(daemon.port, target=tgt.NAME, timeout=20).login().ready()
        with open(trace) as f:
            skip = len(f.read())
        cdb = struct.pack(">BBIBHB", 0x2A, 8 if fua else 0, 64, 0, 8, 0)
        status, _, _, _ = raw.response(raw.command(cdb, write=4096, data=b"\x5a" * 4096))
        assert status == 0
        if flush:
            status, _, _, _ = raw.response(raw.command(struct.pack(">BBIBHB", 0x35, 0, 0, 0, 0, 0)))
            assert status == 0
        raw.close()
        child = tgt.run("pgrep", "-P", str(daemon.process.pid)).stdout.split()[0]
        os.kill(int(child), 15)
        daemon.process.wait(20)
        with open(trace) as f:
            f.seek(skip)
            return f.read()


def stable_before_response(trace, image="disk.img"):
    """Is there a data-sync of the image, completed, before the last status went to the socket?"""
    lines = trace.splitlines()
    responses = [i for i, line in enumerate(lines) if "TCP" in line and re.search(r"\b(sendmsg|sendto|writev?)\(", line)]
    syncs = [i for i, line in enumerate(lines)
             if (re.search(r"\bf(data)?sync\(", line) and image in line and ") = 0" in line)
             or "fdatasync resumed>" in line or "fsync resumed>" in line
             or ("RWF_DSYNC" in line and image in line) or "IOCB_CMD_FDSYNC" in line
             or ("io_submit" in line and "RWF_DSYNC" in line)]
    assert responses, trace
    return bool(syncs) and syncs[-1] < responses[-1]


def test_system_calls_of_fua_and_flush():
    for bs_type in ("rdwr", "aio"):
        assert stable_before_response(traced_write(bs_type, fua=True)), f"{bs_type}: FUA"
        assert stable_before_response(traced_write(bs_type, flush=True)), f"{bs_type}: flush"
        assert stable_before_response(traced_write(bs_type, extra="write-cache off")), \
            f"{bs_type}: write-cache off"
        assert not stable_before_response(traced_write(bs_type)), \
            f"{bs_type}: a plain write is synced, so this test proves nothing"


GUEST = r"""
set -eu
modprobe nbd nbds_max=1
mkdir -p /tmp/t/etc/targets.d /tmp/t/state /tmp/t/run
python3 $LIB/volatile-disk.py /dev/nbd0 16 /tmp/t/after.img & disk=$!
for i in $(seq 50); do [ "$(blockdev --getsize64 /dev/nbd0)" = 16777216 ] && break; sleep 0.1; done
cat > /tmp/t/etc/targets.d/disk.conf <<EOF
<target iqn.2026-01.org.example:disk>
    <backing-store /dev/nbd0>
        bs-type $TYPE
        $EXTRA
        lun 1
    </backing-store>
    initiator-address ALL
</target>
EOF
$TGTD --config-dir=/tmp/t/etc --state-dir=/tmp/t/state --runtime-dir=/tmp/t/run \
    --portal=127.0.0.1:3260 --bus=none > /tmp/t/log 2>&1 & tgtd=$!
for i in $(seq 100); do $TGTCTL --socket /tmp/t/run/control status >/dev/null 2>&1 && break; sleep 0.1; done
$IO --seconds 30 --until-gone --save /tmp/t/ledger --flush 4 --fua 20 --depth 8 --max-blocks 16 \
    iscsi://127.0.0.1/iqn.2026-01.org.example:disk/1 > /tmp/t/io.log 2>&1 & io=$!
sleep 4
kill -USR1 $disk
for i in $(seq 50); do [ -s /tmp/t/after.img ] && break; sleep 0.1; done
kill -9 $tgtd
wait $io || { cat /tmp/t/io.log /tmp/t/log; exit 1; }
cat /tmp/t/io.log
$IO --check /tmp/t/after.img --load /tmp/t/ledger && echo KEPT || echo BROKEN
"""


def guest(bs_type, extra=""):
    script = GUEST
    for k, v in {"$TGTD": tgt.TGTD, "$TGTCTL": tgt.TGTCTL, "$LIB": tgt.LIB, "$IO": LEDGER_IO,
                 "$TYPE": bs_type, "$EXTRA": extra}.items():
        script = script.replace(k, v)
    p = tgt.run(os.path.join(tgt.LIB, "guest"), "-t", "100", script, check=False, timeout=120)
    assert p.returncode == 0, p.stdout
    return p.stdout


def test_power_loss_of_a_disk_with_a_volatile_cache():
    for bs_type in ("rdwr", "aio"):
        out = guest(bs_type)
        assert "KEPT" in out, out
        assert re.search(r"[1-9]\d* with FUA|[1-9]\d* flushes", out), out


def test_ignored_flush_is_found_on_a_disk_with_a_volatile_cache():
    out = guest("fault", 'bsopts "store=aio;ignore-flush=yes"')
    assert "BROKEN" in out, out


tgt.main()
