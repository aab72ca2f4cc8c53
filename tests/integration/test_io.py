#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Data through real initiators, verified byte for byte."""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402
from rawiscsi import Raw  # noqa: E402

LEDGER_IO = os.path.join(tgt.BUILD, "tests", "lib", "ledger-io")
STORES = ("rdwr", "aio", "ram")


def serve(directory, bs_type, size=256 << 20, extra="thin-provisioning yes", port=None):
    path = "NONE"
    if bs_type != "ram":
        path = tgt.sparse(os.path.join(directory, "disk.img"), size)
    else:
        extra += f"\n    size {size}"
    return tgt.Daemon(directory, {"t.conf": tgt.disk_fragment(path, extra=extra, bs_type=bs_type)},
                      port=port)


def test_qemu_img_convert():
    for store in STORES:
        with tgt.scratch(disk=store == "aio") as d, serve(d, store) as daemon:
            image = os.path.join(d, "source.img")
            with open(image, "wb") as f:
                f.truncate(256 << 20)
                for offset in (0, 1 << 20, (100 << 20) + 512, (256 << 20) - 65536):
                    f.seek(offset)
                    f.write(os.urandom(65536))
            tgt.run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, daemon.url())
            tgt.run("qemu-img", "compare", "-f", "raw", "-F", "raw", image, daemon.url())


def test_qemu_io_patterns():
    commands = ["write -P 0xaa 0 1M", "write -P 0xbb 512 512", "write -P 0xcc 1048064 8k",
                "write -z 4M 1M", "write -P 0xdd 8M 16M", "discard 9M 1M", "flush",
                "read -P 0xaa 0 512", "read -P 0xbb 512 512", "read -P 0xaa 1k 1047040",
                "read -P 0xcc 1048064 8k", "read -P 0 4M 1M", "read -P 0xdd 8M 1M",
                "read -P 0 9M 1M", "read -P 0xdd 10M 14M"]
    for store in STORES:
        with tgt.scratch(disk=store == "aio") as d, serve(d, store) as daemon:
            argv = ["qemu-io", "-f", "raw", "-t", "writeback", "-d", "unmap"]
            for c in commands:
                argv += ["-c", c]
            out = tgt.run(*argv, daemon.url()).stdout
            assert not re.search(r"(read|write|discard|flush) failed|Pattern verif", out), out


def test_4096_byte_blocks():
    for store in STORES:
        with tgt.scratch(disk=store == "aio") as d, \
                serve(d, store, extra="block-size 4096") as daemon:
            tgt.run(LEDGER_IO, "--seconds", "2", "--max-blocks", "16", daemon.url())


def test_ledger():
    """Random overlapping I/O over two paths: nothing lost, stale, torn or resurrected."""
    for store in STORES:
        with tgt.scratch(disk=store == "aio") as d, serve(d, store) as daemon:
            tgt.run(LEDGER_IO, "--seconds", "4", "--unmap", "5", daemon.url(), daemon.url(),
                    daemon.url())


def test_hundred_sessions():
    with tgt.scratch() as d, serve(d, "rdwr") as daemon:
        raws = [Raw(daemon.port, target=tgt.NAME, initiator=f"iqn.2026-01.org.example:i{i}").login()
                for i in range(100)]
        for raw in raws:
            raw.ready()
        for raw in raws:
            status, data, _, _ = raw.read10(0, 128)
            assert status == 0 and len(data) == 65536
        listed = tgt.json.loads(daemon.ctl("sessions", "--json=short").stdout)
        assert len(listed) == 100, f"{len(listed)} sessions are listed"
        for raw in raws:
            raw.close()
        tgt.eventually(lambda: not tgt.json.loads(daemon.ctl("sessions", "--json=short").stdout),
                       what="sessions gone")


def test_kill_and_restart_under_load():
    with tgt.scratch() as d:
        daemon = serve(d, "rdwr").start()
        load = subprocess.Popen([LEDGER_IO, "--seconds", "8", daemon.url(), daemon.url()],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert load.stdout.readline() == "running\n"
        for _ in range(3):
            time.sleep(1)
            daemon.kill()
            daemon.start()
        out, _ = load.communicate(timeout=90)
        assert load.returncode == 0, f"exit {load.returncode}: {out}"
        daemon.stop()


def test_idle_costs_nothing():
    with tgt.scratch() as d, serve(d, "rdwr") as daemon:
        raws = [Raw(daemon.port, target=tgt.NAME, initiator=f"iqn.2026-01.org.example:i{i}").login()
                for i in range(50)]
        time.sleep(0.5)
        before = daemon.cpu_seconds()
        time.sleep(3)
        used = daemon.cpu_seconds() - before
        assert used <= 0.02, f"an idle daemon used {used:.2f} s of CPU in 3 s"
        for raw in raws:
            raw.close()


tgt.main()
