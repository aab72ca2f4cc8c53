#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Minutes of random I/O while things go wrong, judged by the ledger; and what leaks over time."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402

LEDGER_IO = os.path.join(tgt.BUILD, "tests", "lib", "ledger-io")
SECONDS = int(os.environ.get("TGT_SOAK_SECONDS", "120"))


def memory(daemon):
    """Our own: what is mapped of a disk is the disk's."""
    with open(f"/proc/{daemon.process.pid}/status") as f:
        return int(next(x for x in f if x.startswith("RssAnon")).split()[1]) >> 10


def load(daemon, seconds, paths=3, *options):
    return subprocess.Popen([LEDGER_IO, "--seconds", str(seconds), "--unmap", "5", *options]
                            + [daemon.url()] * paths, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def soak(bs_type, disturb=None):
    with tgt.scratch(disk=bs_type == "aio") as d:
        path = tgt.sparse(os.path.join(d, "disk.img"), 64 << 20)
        fragment = tgt.disk_fragment(path, bs_type=bs_type, extra="thin-provisioning yes")
        daemon = tgt.Daemon(d, {"t.conf": fragment}).start()
        p = load(daemon, SECONDS)
        assert p.stdout.readline() == "running\n"
        time.sleep(5)
        before = memory(daemon)
        end = time.monotonic() + SECONDS - 10
        while time.monotonic() < end and p.poll() is None:
            time.sleep(1)
            if disturb:
                disturb(daemon)
        out, _ = p.communicate(timeout=120)
        assert p.returncode == 0, out
        print(f"# {bs_type}: {out.splitlines()[-1]}; {before} MiB, then {memory(daemon)} MiB")
        assert disturb or memory(daemon) < before * 2 + 32, "memory grows"
        daemon.stop()


def test_rdwr():
    soak("rdwr")


def test_aio():
    soak("aio")


def test_killed_again_and_again():
    def kill(daemon):
        daemon.kill()
        daemon.start()
        time.sleep(1)
    soak("rdwr", kill)


def test_reloaded_again_and_again():
    def reload(daemon):
        daemon.fragment("u.conf", f"<target iqn.2026-01.org.example:other>\n  <backing-store NONE>\n"
                        "bs-type ram\nsize 1M\n</backing-store>\n  alias "
                        f"a{time.monotonic_ns()}\n</target>\n")
        daemon.reload()
    soak("rdwr", reload)


tgt.main()
