#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tgtctl create --size: the file behind the disk is made by the daemon, whole or not at all."""
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import terminal  # noqa: E402
import tgt  # noqa: E402

DISK = "iqn.2026-01.org.example:disk"
OTHER = "iqn.2026-01.org.example:other"


def ctl(d, *argv, code=0):
    p = d.ctl(*argv, check=False)
    assert p.returncode == code, f"{argv}: exit {p.returncode}: {p.stdout}"
    return p.stdout


def files(directory):
    return sorted(os.path.relpath(os.path.join(at, n), directory)
                  for at, _, names in os.walk(directory) for n in names if n.endswith(".img"))


@contextlib.contextmanager
def daemon(**kw):
    with tgt.scratch() as directory, tgt.Daemon(directory, **kw) as d:
        yield d


@contextlib.contextmanager
def slow(d, seconds):
    """fallocate(2) of the daemon takes so long, each time."""
    log = os.path.join(d.dir, "strace.log")
    p = subprocess.Popen(["strace", "-f", "-q", "-o", log, "-e", "trace=fallocate", "-e",
                          f"inject=fallocate:delay_enter={seconds}s", "-p", str(d.process.pid)],
                         stderr=subprocess.PIPE, text=True)
    try:
        tgt.eventually(lambda: "TracerPid:\t0" not in open(f"/proc/{d.process.pid}/status").read(),
                       what="strace")
        yield log
    finally:
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=20)


def test_create_makes_the_file():
    with daemon() as d:
        out = ctl(d, "create", DISK, "--size", "64M", "--initiator-name=ALL")
        path = os.path.join(d.state, "disks", DISK + ".img")
        assert f"LUN 1 is {path}, 64M." in out and "Nobody may" not in out, out
        st = os.stat(path)
        assert (st.st_size, st.st_mode & 0o777) == (64 << 20, 0o600), st
        assert st.st_blocks * 512 < 1 << 20, st
        assert "Total size:67108864" in tgt.run("iscsi-readcapacity16", d.url(DISK)).stdout
        # deleting the target is not deleting the disk, and the disk is not overwritten
        ctl(d, "delete", DISK)
        out = ctl(d, "create", DISK, "--size", "64M", code=6)
        assert "is there already and is not overwritten" in out, out
        assert os.stat(path).st_ino == st.st_ino and ctl(d, "list", "--json=short") == "[]\n"


def test_a_short_name():
    with daemon() as d:
        out = ctl(d, "create", "disk1", "--size=1M")
        found = re.search(r"Naming it (iqn\.\d{4}-\d\d\.\S+:disk1)\.", out)
        assert found and found[1] in ctl(d, "list"), out
        assert "Nobody may log in yet: tgtctl allow disk1 " in out, out
        assert ctl(d, "create", "disk:1", "--size=1M", code=1).startswith('"disk:1" is no name'), out
        assert files(d.dir) == [f"state/disks/{found[1]}.img"], files(d.dir)


def test_more_luns_and_other_folders():
    with daemon() as d:
        ctl(d, "create", DISK, "--size=1M")
        ctl(d, "add-lun", DISK, "--size=2M")
        there = os.path.join(d.dir, "there")
        os.mkdir(there)
        ctl(d, "add-lun", DISK, "--size=3M", "--store-dir", there)
        assert files(d.dir) == [f"state/disks/{DISK}-2.img", f"state/disks/{DISK}.img",
                                f"there/{DISK}.img"], files(d.dir)
        luns = json.loads(ctl(d, "list", "luns", "--json=short"))
        assert [x["Size"] for x in luns] == [1 << 20, 2 << 20, 3 << 20], luns
        for argv, why in ((["--store-dir=/etc"], "the system itself"),
                          (["--store-dir", os.path.join(d.dir, "nowhere")], "No such file")):
            assert why in ctl(d, "add-lun", DISK, "--size=1M", *argv, code=1)
        # --size of what is there remains what it was: the part that is served
        big = tgt.sparse(os.path.join(d.dir, "big"), 8 << 20)
        ctl(d, "add-lun", DISK, big, "--size=4M", "--lun=9")
        ctl(d, "add-lun", DISK, "--bs-type=null", "--size=4M", "--lun=10")
        assert len(files(d.dir)) == 3


def test_refused_changes_leave_nothing():
    with daemon() as d:
        for argv, code in ((["--alias=x", "--size=1M", "--generation=999"], 6),
                           (["--size=1000"], 1), (["--size=frob"], 2), (["--size=0"], 2),
                           (["--size=1M", "--lun=99999"], 1), (["--preallocate"], 2),
                           (["--store-dir=/srv"], 2), (["--size=1M", "--bs-type=ram"], 1),
                           (["--size=1M", "--backing-store=/x"], 1),
                           (["--size=1M", "--MaxBurstLength=1"], 1), (["--size=999P"], 1)):
            ctl(d, "create", DISK, *argv, code=code)
        assert "+ target" in ctl(d, "create", DISK, "--size=1M", "--dry-run")
        assert files(d.dir) == []
        assert ctl(d, "list", "--json=short") == "[]\n"


def test_no_room():
    with daemon() as d:
        small = os.path.join(d.dir, "small")
        os.mkdir(small)
        tgt.run("mount", "-t", "tmpfs", "-o", "size=8m", "tgt-test", small)
        try:
            out = ctl(d, "create", DISK, "--size=16M", "--store-dir", small, code=1)
            assert "8 MiB are free there, and the file would have 16 (use --force" in out, out
            for more in ([], ["--force"]):
                out = ctl(d, "create", DISK, "--size=16M", "--preallocate", "--store-dir", small,
                          *more, code=1)
                assert "8 MiB are free" in out and "force" not in out, out
            assert os.listdir(small) == []
            ctl(d, "create", DISK, "--size=16M", "--store-dir", small, "--force")
            ctl(d, "create", OTHER, "--size=7M", "--preallocate", "--store-dir", small)
            assert os.stat(os.path.join(small, OTHER + ".img")).st_blocks * 512 >= 7 << 20
            ctl(d, "delete", DISK, OTHER)
        finally:
            tgt.run("umount", "-l", small)


def test_room_that_goes_meanwhile():
    """fallocate() says so half-way: nothing is left of it."""
    with daemon() as d:
        small = os.path.join(d.dir, "small")
        os.mkdir(small)
        tgt.run("mount", "-t", "tmpfs", "-o", "size=200m", "tgt-test", small)
        try:
            with slow(d, 1) as log:
                p = subprocess.Popen([tgt.TGTCTL, "--socket", os.path.join(d.runtime, "control"),
                                      "create", DISK, "--size=160M", "--preallocate", "--store-dir", small],
                                     stderr=subprocess.PIPE, text=True)
                tgt.eventually(lambda: "fallocate" in open(log).read(), what="fallocate")
                with open(os.path.join(small, "other"), "wb") as f:
                    f.write(b"x" * (100 << 20))
                err = p.communicate(timeout=30)[1]
                assert p.returncode == 1 and "No space left" in err, err
            assert os.listdir(small) == ["other"]
            assert os.statvfs(small).f_bfree * 4096 >= 99 << 20
        finally:
            tgt.run("umount", "-l", small)


def test_interrupted():
    """Ctrl-C while the space is taken: the command ends by it, and the daemon takes it all back."""
    with daemon() as d, slow(d, 0.5) as log:
        p = subprocess.Popen([tgt.TGTCTL, "--socket", os.path.join(d.runtime, "control"), "create",
                              DISK, "--size=1G", "--preallocate"], stderr=subprocess.PIPE, text=True)
        tgt.eventually(lambda: open(log).read().count("fallocate") >= 2, what="fallocate")
        p.send_signal(signal.SIGINT)
        err = p.communicate(timeout=10)[1]
        assert p.returncode == -signal.SIGINT and "the daemon removes" in err, (p.returncode, err)
        # the daemon is not at it any more, whatever was asked of it
        tgt.eventually(lambda: not any(
            os.readlink(f"/proc/{d.process.pid}/fd/{n}").startswith(os.path.join(d.state, "disks"))
            for n in os.listdir(f"/proc/{d.process.pid}/fd") if os.path.lexists(
                f"/proc/{d.process.pid}/fd/{n}")), what="the file closed")
        calls = open(log).read().count("fallocate(")
        time.sleep(1)
        assert open(log).read().count("fallocate(") == calls < 16
        assert files(d.dir) == [] and ctl(d, "list", "--json=short") == "[]\n"
        ctl(d, "create", DISK, "--size=1M")


def test_killed_daemon_leaves_nothing():
    with daemon() as d:
        with slow(d, 0.5) as log:
            p = subprocess.Popen([tgt.TGTCTL, "--socket", os.path.join(d.runtime, "control"), "create",
                                  DISK, "--size=1G", "--preallocate"], stderr=subprocess.PIPE, text=True)
            tgt.eventually(lambda: open(log).read().count("fallocate") >= 2, what="fallocate")
            d.kill()
            p.communicate(timeout=10)
        assert p.returncode not in (0, None) and files(d.dir) == []
        d.start()
        assert ctl(d, "list", "--json=short") == "[]\n"


def disk(d, name=DISK):
    return os.path.join(d.state, "disks", name + ".img")


def test_taken_back_with_its_file():
    """Of a change that is not confirmed, the file goes if there is nothing in it, and stays if there is."""
    with daemon() as d:
        def create(*more):
            ctl(d, "create", DISK, "--size", "64M", "--initiator-name=ALL", "--confirm-within=10min", *more)
            assert os.path.exists(disk(d))
        # untouched, though an initiator has read all of it
        for more in ((), ("--preallocate",), ("--runtime",)):
            create(*more)
            tgt.run("qemu-img", "convert", "-O", "raw", d.url(DISK), os.path.join(d.dir, "copy"))
            out = ctl(d, "rollback")
            assert f"- file {disk(d)} (if nothing was written to it)" in out, out
            tgt.eventually(lambda: not os.path.exists(disk(d)), what="the file removed")
            tgt.eventually(lambda: "and is removed: nothing was written to it" in d.log(), what="the journal")
        # written to by an initiator
        create()
        tgt.run("qemu-io", "-f", "raw", "-c", "write -P 7 1M 4k", d.url(DISK))
        ctl(d, "rollback")
        tgt.eventually(lambda: f"{disk(d)} was made for a change that was taken back, and stays: it was written to"
                       in d.log(), what="the journal")
        with open(disk(d), "rb") as f:
            f.seek(1 << 20)
            assert f.read(4096) == b"\7" * 4096
        os.unlink(disk(d))
        # confirmed
        create()
        ctl(d, "confirm")
        ctl(d, "delete", DISK)
        assert os.path.exists(disk(d))
        os.unlink(disk(d))
        # another file of that name, or one that somebody has a second name of
        for touch in (lambda: (os.rename(disk(d), disk(d) + ".old"), tgt.sparse(disk(d), 64 << 20)),
                      lambda: os.link(disk(d), disk(d) + ".other"), lambda: os.truncate(disk(d), 128 << 20)):
            create()
            touch()
            before = d.log().count("and stays: it was written to, or is another file now")
            ctl(d, "rollback")
            tgt.eventually(lambda n=before: d.log().count("and stays: it was written to, or is another") == n + 1,
                           what="the journal")
            assert os.path.exists(disk(d))
            os.unlink(disk(d))
        # one of two LUNs, by the timer
        ctl(d, "create", OTHER, "--size", "1M")
        ctl(d, "add-lun", OTHER, "--size", "1M", "--confirm-within=1s")
        tgt.eventually(lambda: files(d.state) == [f"disks/{OTHER}.img"],
                       what="one file less")


def test_taken_back_at_the_next_start():
    with daemon() as d:
        for written in False, True:
            ctl(d, "create", DISK, "--size", "1M", "--initiator-name=ALL", "--confirm-within=2s")
            if written:
                tgt.run("qemu-io", "-f", "raw", "-c", "write -P 7 0 4k", d.url(DISK))
            d.kill()
            time.sleep(2.5)
            d.start()
            assert ctl(d, "list", "--json=short") == "[]\n"
            if written:
                tgt.eventually(lambda: "and stays: it was written to" in d.log(), what="the journal")
            else:
                tgt.eventually(lambda: "and is removed" in d.log(), what="the journal")
            assert os.path.exists(disk(d)) == written


def test_a_file_that_something_else_serves_stays():
    """What was not confirmed is taken back at the next start, where a fragment names its file."""
    with daemon() as d:
        ctl(d, "create", DISK, "--size", "1M", "--confirm-within=2s")
        d.kill()
        time.sleep(2.5)
        with open(os.path.join(d.dir, "etc", "targets.d", "other.conf"), "w", encoding="utf-8") as f:
            f.write(f"<target {OTHER}>\nbacking-store {disk(d)}\n</target>\n")
        d.start()
        assert "and stays: something else serves it now" in d.log(), d.log()
        assert os.path.exists(disk(d))


def test_progress_on_a_terminal():
    with daemon() as d, slow(d, 0.3):
        code, out = terminal.run([tgt.TGTCTL, "--socket", os.path.join(d.runtime, "control"), "create",
                                  DISK, "--size=512M", "--preallocate"], env={"TERM": "xterm"})
        assert code == 0, out
        percents = [int(x) for x in re.findall(r"Allocating \[[#.]+\] +(\d+)%", out)]
        assert len(percents) >= 3 and percents == sorted(percents) and percents[-1] <= 100, out
        assert re.search(r"\r\x1b\[K", out), out
    with daemon() as d, slow(d, 0.3):  # and nothing of the kind elsewhere
        assert "Allocating" not in ctl(d, "create", DISK, "--size=256M", "--preallocate")


if __name__ == "__main__":
    tgt.main()
