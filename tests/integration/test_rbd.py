#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Backing stores in a real Ceph cluster: one monitor, one OSD in memory."""
import contextlib
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import ceph  # noqa: E402
import tgt  # noqa: E402
from rawiscsi import Raw  # noqa: E402

LEDGER_IO = os.path.join(tgt.BUILD, "tests", "lib", "ledger-io")
CONTRACT = os.path.join(tgt.BUILD, "tests", "unit", "store", "test-store-rbd")
MODULES = os.path.join(tgt.BUILD, "src", "store")
ONE, TWO, FILE = (f"iqn.2026-01.org.example:{n}" for n in ("one", "two", "file"))
MIB = 1 << 20
NOT_READY = (2, 4)
cluster = None


def target(name, *luns, options="id=tgt", extra=""):
    """A target of images; options: bsopts, to which conf is added."""
    body = "".join(f"  <backing-store {image}>\n    bs-type rbd\n"
                   f"    bsopts \"conf={cluster.conf};{options}\"\n    {extra}\n  </backing-store>\n"
                   for image in luns)
    return f"<target {name}>\n  initiator-address ALL\n{body}</target>\n"


def serve(directory, fragments, modules=MODULES, **kw):
    return tgt.Daemon(directory, fragments, env={"TGT_MODULE_DIR": modules}, **kw)


@contextlib.contextmanager
def serving(directory, fragments, *names):
    """A daemon whose images are open: that may take longer than its start waits."""
    with serve(directory, fragments) as daemon:
        for name in names or (ONE,):
            eventually_ready(daemon, name)
        yield daemon


def file_target(directory):
    return tgt.disk_fragment(tgt.sparse(os.path.join(directory, "disk.img"), 16 * MIB), name=FILE)


def qemu_io(url, *commands):
    argv = ["qemu-io", "-f", "raw", "-t", "writeback", "-d", "unmap"]
    for c in commands:
        argv += ["-c", c]
    out = tgt.run(*argv, url).stdout
    assert not re.search(r"(read|write|discard|flush) failed|Pattern verif", out), out


def show(daemon, lun, what):
    found = re.search(rf"^\s*{what}=(.*)", daemon.ctl("show", lun).stdout, re.M)
    return found.group(1) if found else None


def state_of(raw, lun=1):
    """GOOD is 0; otherwise (sense key, ASC)."""
    status, _, sense, _ = raw.response(raw.command(bytes(6), lun=lun))
    return status if status != 2 else (sense[2] & 15, sense[12])


def login(daemon, name):
    return Raw(daemon.port, target=name, initiator="iqn.2026-01.org.example:raw").login()


def ready(daemon, name, seconds=40):
    """A session whose LUN is ready."""
    raw = login(daemon, name)
    tgt.eventually(lambda: time.sleep(0.05) or state_of(raw) == 0, seconds, f"{name} ready")
    return raw


def eventually_ready(daemon, name):
    ready(daemon, name).close()


def refused(daemon, pattern, *argv):
    p = daemon.ctl(*argv, check=False)
    assert p.returncode != 0, f"{argv} succeeded: {p.stdout}"
    assert re.search(pattern, p.stdout), f"no {pattern!r} in: {p.stdout}"


# ---- the store by itself ----

def test_contract():
    env = {**os.environ, "CEPH_CONF": cluster.conf, "TGT_MODULE_DIR": MODULES}
    out = tgt.run(CONTRACT, "--tap", env=env, timeout=120).stdout
    good = len(re.findall(r"^ok ", out, re.M))
    assert not re.search(r"^not ok|# skip", out, re.M | re.I) and good >= 19, out


# ---- through initiators ----

def test_data_and_space():
    cluster.create("data", 64 * MIB)
    with tgt.scratch() as d, \
            serving(d, {"1.conf": target(ONE, "data", extra="thin-provisioning yes")}) as daemon:
        qemu_io(daemon.url(ONE), "write -P 0xaa 0 1M", "write -P 0xbb 512 512", "write -z 4M 1M",
                "write -P 0xdd 8M 16M", "discard 9M 1M", "discard 12587008 4k", "flush",
                "read -P 0xaa 0 512", "read -P 0xbb 512 512", "read -P 0xaa 1k 1047552",
                "read -P 0 4M 1M", "read -P 0xdd 8M 1M", "read -P 0 9M 1M", "read -P 0 12587008 4k",
                "read -P 0xdd 10M 2M")
        # another client sees what was flushed
        assert cluster.read("data", 0, 1536) == b"\xaa" * 512 + b"\xbb" * 512 + b"\xaa" * 512
        assert cluster.read("data", 9 * MIB, MIB) == bytes(MIB)
        assert cluster.read("data", 12587008, 4096) == bytes(4096)
        assert cluster.read("data", 24 * MIB - 4096, 4096) == b"\xdd" * 4096


def test_ledger():
    """Random overlapping I/O over two paths: nothing lost, stale, torn or resurrected."""
    cluster.create("ledger", 64 * MIB)
    with tgt.scratch() as d, \
            serving(d, {"1.conf": target(ONE, "ledger", extra="thin-provisioning yes")}) as daemon:
        tgt.run(LEDGER_IO, "--seconds", "3", "--unmap", "5", daemon.url(ONE), daemon.url(ONE))


def test_one_image_is_one_unit():
    cluster.create("shared", 16 * MIB)
    with tgt.scratch() as d:
        fragments = {"1.conf": target(ONE, "shared"), "2.conf": target(TWO, "rbd/shared")}
        with serving(d, fragments, ONE, TWO) as daemon:
            uuid = show(daemon, f"{ONE}/1", "Uuid")
            assert uuid and show(daemon, f"{TWO}/1", "Uuid") == uuid
            qemu_io(daemon.url(ONE), "write -P 0x11 0 1M")
            qemu_io(daemon.url(TWO), "read -P 0x11 0 1M")
            # a reservation by one path holds on the other
            raw, other = ready(daemon, ONE), Raw(daemon.port, target=TWO,
                                                 initiator="iqn.2026-01.org.example:else").login()
            tgt.eventually(lambda: state_of(other) == 0)
            assert raw.response(raw.command(b"\x16" + bytes(5)))[0] == 0  # RESERVE(6)
            assert state_of(other) == 0x18
            # what only turns out to be the same when it is open is not served a second time
            link = os.path.join(d, "link.conf")
            os.symlink(cluster.conf, link)
            daemon.fragment("3.conf", target(FILE, "shared", options=f"id=tgt;conf={link}"))
            p = daemon.ctl("reload", check=False)
            assert "is the same as shared" in p.stdout and "configured differently" in p.stdout, p.stdout
            assert show(daemon, f"{FILE}/1", "Uuid") != uuid
        # and again after a restart, in any order of opening
        daemon.start()
        assert show(daemon, f"{ONE}/1", "Uuid") == show(daemon, f"{TWO}/1", "Uuid") == uuid
        daemon.stop()


def grows(daemon, name, image, size):
    raw = ready(daemon, name)
    cluster.resize(image, size)

    def grown():
        time.sleep(0.05)
        status, _, sense, _ = raw.response(raw.command(bytes(6)))
        return status == 2 and sense[12:14] == b"\x2a\x09"
    tgt.eventually(grown, 15, "UNIT ATTENTION 2A/09")
    raw.close()


def test_two_hosts():
    """librbd's lock goes to whoever writes; neither sees less than what was written."""
    cluster.create("both", 16 * MIB)
    with tgt.scratch() as d, tgt.scratch() as e:
        with serving(d, {"1.conf": target(ONE, "both")}) as a, \
                serving(e, {"1.conf": target(ONE, "both")}) as b:
            for i in range(3):
                for daemon, other in ((a, b), (b, a)):
                    byte = f"0x{17 * (i + 1):02x}"
                    qemu_io(daemon.url(ONE), f"write -P {byte} {i}M 64k", "flush")
                    qemu_io(other.url(ONE), f"read -P {byte} {i}M 64k")


def test_resize_is_seen():
    cluster.create("grows", 16 * MIB)
    with tgt.scratch() as d, serve(d, {"1.conf": target(ONE, "grows")}) as daemon:
        grows(daemon, ONE, "grows", 32 * MIB)
        qemu_io(daemon.url(ONE), "write -P 0x22 31M 1M", "read -P 0x22 31M 1M")


def test_snapshot_is_read_only():
    cluster.create("origin", 16 * MIB)
    with tgt.scratch() as d, serving(d, {"1.conf": target(ONE, "origin")}) as daemon:
        qemu_io(daemon.url(ONE), "write -P 0x33 0 1M", "flush")
        cluster.snapshot("origin", "then")
        qemu_io(daemon.url(ONE), "write -P 0x44 0 1M", "flush")
        daemon.fragment("2.conf", target(TWO, "origin@then"))
        daemon.reload()
        raw = ready(daemon, TWO)
        out = tgt.run("qemu-io", "-f", "raw", "-r", "-c", "read -P 0x33 0 1M", daemon.url(TWO)).stdout
        assert "verification failed" not in out and "read 1048576/1048576" in out, out
        itt = raw.command(b"\x2a\0\0\0\0\0\0\0\1\0", write=512, data=b"\xaa" * 512)
        status, _, sense, _ = raw.response(itt)
        assert (status, sense[2] & 15, sense[12]) == (2, 7, 0x27), (status, sense)  # DATA PROTECT
        assert show(daemon, f"{ONE}/1", "Uuid") != show(daemon, f"{TWO}/1", "Uuid")


# ---- when the cluster does not answer ----

def test_cluster_hangs():
    """Only its own units wait; nothing that was acknowledged is lost when it goes on."""
    cluster.create("hangs", 64 * MIB)
    cluster.create("later", 16 * MIB)
    with tgt.scratch() as d:
        fragments = {"1.conf": target(ONE, "hangs"), "f.conf": file_target(d)}
        with serving(d, fragments) as daemon:
            load = subprocess.Popen([LEDGER_IO, "--seconds", "7", daemon.url(ONE), daemon.url(ONE)],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert load.stdout.readline() == "running\n"
            time.sleep(0.5)
            with cluster.stopped("osd"):
                begin = time.monotonic()
                qemu_io(daemon.url(FILE), "write -P 0x55 0 8M", "flush", "read -P 0x55 0 8M")
                daemon.ctl("status")
                # an answer, and a sentence
                refused(daemon, "does not answer", "add-lun", "--runtime", FILE, "later",
                        "--bs-type=rbd", f"--bsopts=conf={cluster.conf};id=tgt", "--lun=9")
                assert time.monotonic() - begin < 25
                time.sleep(max(0, begin + 6 - time.monotonic()))  # longer than it remembers watchers
            out, _ = load.communicate(timeout=90)
            assert load.returncode == 0, f"exit {load.returncode}: {out}"
            grows(daemon, ONE, "hangs", 96 * MIB)


def test_late_write_does_not_land_on_a_newer_one():
    """A write is given up while the cluster hangs, the LUN is removed and comes back."""
    cluster.create("ghost", 16 * MIB)
    write = b"\x2a\0\0\0\0\0\0\0\1\0"
    with tgt.scratch() as d, serve(d, {"1.conf": target(ONE, "ghost")}) as daemon:
        raw = ready(daemon, ONE)
        with cluster.stopped("osd"):
            raw.command(write, write=512, data=b"\xaa" * 512)
            time.sleep(0.3)
            raw.close()
            begin = time.monotonic()
            os.unlink(os.path.join(daemon.config, "targets.d", "1.conf"))
            daemon.reload()
            assert time.monotonic() - begin < 25
            daemon.fragment("1.conf", target(ONE, "ghost"))
            daemon.reload()
        again = ready(daemon, ONE)
        tgt.eventually(lambda: again.response(
            again.command(write, write=512, data=b"\xbb" * 512))[0] == 0, 20, "the newer write")
        time.sleep(0.5)
        assert cluster.read("ghost", 0, 512) == b"\xbb" * 512


def test_cluster_is_missing_at_start():
    cluster.create("absent", 16 * MIB)
    with tgt.scratch() as d, contextlib.ExitStack() as stopped:
        for name in ("mon", "osd"):
            stopped.enter_context(cluster.stopped(name))
        daemon = serve(d, {"1.conf": target(ONE, "absent"), "f.conf": file_target(d)})
        begin = time.monotonic()
        daemon.start()
        assert time.monotonic() - begin < 25
        qemu_io(daemon.url(FILE), "write -P 0x66 0 1M", "read -P 0x66 0 1M")
        raw = login(daemon, ONE)
        tgt.eventually(lambda: state_of(raw) == NOT_READY, what="02/04")
        stopped.close()
        tgt.eventually(lambda: time.sleep(0.1) or state_of(raw) == 0, 40, "ready")
        qemu_io(daemon.url(ONE), "write -P 0x77 0 1M", "flush", "read -P 0x77 0 1M")
        daemon.stop()


def test_daemon_ends_while_the_cluster_hangs():
    cluster.create("stuck", 16 * MIB)
    with tgt.scratch() as d, serve(d, {"1.conf": target(ONE, "stuck")}) as daemon:
        raw = ready(daemon, ONE)
        with cluster.stopped("osd"):
            raw.command(b"\x2a\0\0\0\0\0\0\0\1\0", write=512, data=b"\xaa" * 512)
            time.sleep(0.3)
            begin = time.monotonic()
            daemon.stop(timeout=25)
            assert time.monotonic() - begin < 25
        daemon.start()  # __exit__ stops it


def test_daemon_ends_while_it_connects():
    with tgt.scratch() as d, cluster.stopped("mon"):
        daemon = serve(d, {"1.conf": target(ONE, "unseen")}).start()
        begin = time.monotonic()
        daemon.stop(timeout=25)
        assert time.monotonic() - begin < 25


def test_killed_and_started_again():
    """Who was killed has the image's lock: it is broken, and nothing of it lands late."""
    cluster.create("killed", 64 * MIB)
    with tgt.scratch() as d:
        daemon = serve(d, {"1.conf": target(ONE, "killed")}).start()
        eventually_ready(daemon, ONE)
        load = subprocess.Popen([LEDGER_IO, "--seconds", "5", daemon.url(ONE)],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert load.stdout.readline() == "running\n"
        time.sleep(1)
        daemon.kill()
        daemon.start()
        out, _ = load.communicate(timeout=90)
        assert load.returncode == 0, f"exit {load.returncode}: {out}"
        daemon.stop()
        with cluster.image("killed") as image:  # properly closed: nobody has to break anything
            assert not list(image.list_lockers() or []), "the lock was not given back"


# ---- what is refused ----

def test_refusals_help():
    cluster.create("good", 16 * MIB)
    with tgt.scratch() as d, \
            serving(d, {"1.conf": target(ONE, "good"), "f.conf": file_target(d)}) as daemon:
        options = f"conf={cluster.conf};id=tgt"
        for pattern, path, bsopts in (
                (r"rbd create --size", "no-such", options),
                (r"no pool nowhere", "nowhere/x", options),
                (r"conf, id, cluster", "x", options + ";colour=red"),
                (r"keys do not belong.*id=NAME", "x", options + ";cephx_key=U0VDUkVU"),
                (r"keys do not belong.*id=NAME", "x", options + ";virsecretuuid=1"),
                (r"\[POOL/\[NAMESPACE/\]\]IMAGE", "a/b/c/d", options),
                (r"/nowhere.conf does not exist", "x", "conf=/nowhere.conf"),
                (r"no keyring of client.nobody", "x", f"conf={cluster.conf};id=nobody")):
            refused(daemon, pattern, "add-lun", "--runtime", FILE, path, "--bs-type=rbd", f"--bsopts={bsopts}")
        assert "U0VDUkVU" not in daemon.log()
        assert "LUN 2" not in daemon.ctl("dump", FILE).stdout and "rbd" not in daemon.ctl("dump", FILE).stdout


def test_tgtadm():
    """stgt's command line: what it names is no file below the current directory."""
    cluster.create("adm", 16 * MIB)
    with tgt.scratch() as d:
        os.symlink(tgt.TGTCTL, os.path.join(d, "tgtadm"))
        env = {"TGT_IPC_SOCKET": os.path.join(d, "ipc"), "TGT_MODULE_DIR": MODULES}
        with tgt.Daemon(d, {}, args=["--control-port=0"], env=env) as daemon:
            def adm(*argv, check=True):
                return tgt.run(os.path.join(d, "tgtadm"), "--lld", "iscsi", "--op", *argv, check=check,
                               env={**os.environ, **env}).stdout
            adm("new", "--mode", "target", "--tid", "1", "-T", ONE)
            new = ("new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", "rbd/adm", "-E", "rbd",
                   "-S", f"conf={cluster.conf};id=tgt")
            while "does not answer" in (out := adm(*new, check=False)):  # on a busy machine
                pass
            assert not out.strip(), out
            adm("bind", "--mode", "target", "--tid", "1", "-I", "ALL")
            shown = adm("show", "--mode", "target")
            assert "Backing store type: rbd" in shown and "Backing store path: rbd/adm" in shown, shown
            qemu_io(daemon.url(ONE), "write -P 0x12 0 64k", "read -P 0x12 0 64k")


def test_verify_needs_no_cluster():
    with tgt.scratch() as d:
        good, bad = os.path.join(d, "good.conf"), os.path.join(d, "bad.conf")
        with open(good, "w") as f:
            f.write(target(ONE, "pool/image@snapshot"))
        with open(bad, "w") as f:
            f.write(target(ONE, "/srv/disk.img") + target(TWO, "x", options="cephx_key=U0VDUkVU"))
        with cluster.stopped("mon"):
            begin = time.monotonic()
            tgt.run(tgt.TGTCTL, "verify", good)
            p = tgt.run(tgt.TGTCTL, "verify", bad, check=False)
            assert time.monotonic() - begin < 25
        assert p.returncode != 0 and "bad.conf:3: " in p.stdout and "IMAGE[@SNAPSHOT]" in p.stdout, p.stdout
        assert "cephx_key is not supported" in p.stdout and "U0VDUkVU" not in p.stdout, p.stdout


def test_without_the_module():
    cluster.create("unserved", 16 * MIB)
    with tgt.scratch() as d:
        fragments = {"1.conf": target(ONE, "unserved"), "f.conf": file_target(d)}
        with serve(d, fragments, modules="/nonexistent") as daemon:
            reason = show(daemon, f"{ONE}/1", "Reason")
            assert "store-rbd.so" in reason and "install the package" in reason, reason
            qemu_io(daemon.url(FILE), "write -P 0x88 0 1M", "read -P 0x88 0 1M")
            # what the daemon does not need, it does not have
            with open(f"/proc/{daemon.process.pid}/maps") as f:
                assert "librbd" not in f.read()


# ---- as it is installed ----

SANDBOXED = r"""
set -eu
trap 'r=$?; [ $r = 0 ] || { echo "FAILED at line $LINENO"; journalctl -b --no-pager -n 40; }; exit $r' EXIT
/usr/bin/python3 SOURCE/tests/lib/ceph.py /tmp > /tmp/ceph.out 2>&1 &
systemctl enable --now tgtd.socket
for i in $(seq 400); do grep -q ready /tmp/ceph.out && break; sleep 0.1; done
mkdir /etc/ceph
sed '/^keyring/d' /tmp/ceph/ceph.conf > /etc/ceph/ceph.conf
install -m 0600 /tmp/ceph/client.admin.keyring /etc/ceph/ceph.client.admin.keyring
# from here on as targets.conf(5) has it
ceph auth get-or-create client.tgt mon 'profile rbd' osd 'profile rbd pool=rbd' \
    -o /etc/ceph/ceph.client.tgt.keyring
chgrp tgt /etc/ceph/ceph.client.tgt.keyring
chmod 0640 /etc/ceph/ceph.client.tgt.keyring
rbd create rbd/disk1 --size 64M
cat > /etc/tgt/targets.d/disk1.conf <<END
<target iqn.2001-04.com.example:disk1>
    initiator-address 127.0.0.1
    <backing-store rbd/disk1>
        bs-type rbd
        bsopts "id=tgt"
        thin-provisioning 1
    </backing-store>
</target>
END
disk=iscsi://127.0.0.1/iqn.2001-04.com.example:disk1/1
for i in $(seq 60); do qemu-img info $disk > /tmp/info 2>&1 && break; sleep 0.5; done
qemu-io -f raw -t writeback -c 'write -P 0x99 0 1M' -c flush -c 'read -P 0x99 0 1M' \
    $disk > /tmp/out 2>&1 || { cat /tmp/out; exit 1; }
if grep -E 'failed|verification' /tmp/out; then exit 1; fi
[ "$(ps -o user= -C tgtd)" = tgt ]
pid=$(systemctl show -P MainPID tgtd.service)
grep -q "/tgt/store-rbd.so" /proc/$pid/maps
# client.admin, which is meant where no id is given, has a key that only root may read
if out=$(tgtctl add-lun --runtime disk1 rbd/disk2 --bs-type=rbd --lun=2 2>&1); then echo "$out"; exit 1; fi
grep -q 'keyring of client.admin' <<< "$out" || { echo "$out"; exit 1; }
systemctl stop tgtd.service
[ "$(rbd lock ls rbd/disk1)" = "" ]
key=$(sed -n 's/.*key = //p' /etc/ceph/ceph.client.tgt.keyring)
[ -n "$key" ]
if journalctl -b --no-pager | grep -F "$key"; then exit 1; fi
echo MACHINE-DONE
"""


def test_in_the_sandbox_of_its_unit():
    dest = os.path.join(tgt.BUILD, "dest-rbd")
    tgt.run("rm", "-rf", dest)
    tgt.run("meson", "install", "-C", tgt.BUILD, "--no-rebuild", "--destdir", dest)
    p = tgt.run(os.path.join(tgt.LIB, "machine"), "-d", dest, "-b", tgt.SOURCE, "bash", "-c",
                SANDBOXED.replace("SOURCE", tgt.SOURCE), check=False, timeout=120)
    assert p.returncode == 0 and "MACHINE-DONE" in p.stdout, f"exit {p.returncode}\n{p.stdout}"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tgt.scratch() as directory, ceph.Cluster(directory) as cluster:
        tgt.main()
