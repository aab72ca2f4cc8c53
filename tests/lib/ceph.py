# SPDX-License-Identifier: GPL-2.0-or-later
"""A Ceph cluster of one's own: one monitor and one OSD in memory, as plain processes on loopback, with
cephx. Clients: admin, tgt (as the documentation makes it) and reader."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid

import rados
import rbd

import tgt

CONF = """[global]
fsid = {fsid}
mon host = [v1:127.0.0.1:{port}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = true
ms bind msgr2 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {dir}/$name.keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon allow pool delete = true
osd crush chooseleaf type = 0
run dir = {dir}
log file = {dir}/$name.log
admin socket = {dir}/$name.$pid.asok
mon data avail crit = 1
mon data avail warn = 1
[client]
log file =
admin socket =
[client.tgt]
# what a store must not do, whatever is written here
rbd cache = true
rados osd op timeout = 2
[mon]
mon data = {dir}/mon
[osd]
osd data = {dir}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd class load list = *
osd class default list = *
osd client watch timeout = 5
"""
ADMIN = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"]
RBD = ["--cap", "mon", "profile rbd", "--cap", "osd", "profile rbd pool=rbd"]
READ = ["--cap", "mon", "profile rbd-read-only", "--cap", "osd", "profile rbd-read-only pool=rbd"]


class Cluster:
    """Use as a context: started on entry. conf: what clients are to read."""

    def __init__(self, directory):
        self.dir = os.path.join(directory, "ceph")
        self.conf = os.path.join(self.dir, "ceph.conf")
        self.processes = {}
        self.admin = self.pool = None

    def __enter__(self):
        for attempt in range(3):
            try:
                return self.start()
            except Exception as e:  # noqa: BLE001 - whatever it was, it is tried again
                print(f"# ceph does not start: {e}", flush=True)
                self.stop()
                if attempt == 2:
                    raise
        raise AssertionError("not reached")

    def __exit__(self, *_):
        self.stop()

    # ---- starting ----

    def spawn(self, name, *argv):
        log = open(os.path.join(self.dir, f"{name}.out"), "ab")
        self.processes[name] = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *argv, "-c", self.conf, "-f"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()

    def keyring(self, name, *caps):
        path = os.path.join(self.dir, f"{name}.keyring")
        tgt.run("ceph-authtool", "-C", path, "--gen-key", "-n", name, *caps)
        return path

    def make_monitor(self, fsid, port):
        mon = self.keyring("mon.", "--cap", "mon", "allow *")
        for name, caps in (("client.admin", ADMIN), ("client.tgt", RBD), ("client.reader", READ),
                           ("osd.0", ["--cap", "mon", "allow profile osd", "--cap", "osd", "allow *"])):
            tgt.run("ceph-authtool", mon, "--import-keyring", self.keyring(name, *caps))
        monmap = os.path.join(self.dir, "monmap")
        tgt.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{port}]", monmap)
        tgt.run("ceph-mon", "-c", self.conf, "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", mon)
        shutil.copy(mon, os.path.join(self.dir, "mon", "keyring"))

    def start(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        for d in ("mon", "osd"):
            os.makedirs(os.path.join(self.dir, d))
        fsid, port = str(uuid.uuid4()), tgt.free_port()
        with open(self.conf, "w") as f:
            f.write(CONF.format(fsid=fsid, port=port, dir=self.dir))
        self.make_monitor(fsid, port)
        self.spawn("mon", "ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())
        tgt.run("ceph-osd", "-c", self.conf, "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.admin = rados.Rados(conffile=self.conf, rados_id="admin")
        self.admin.conf_set("client_mount_timeout", "15")
        self.admin.conf_set("rados_mon_op_timeout", "15")
        self.admin.conf_set("rbd_cache", "false")
        self.admin.connect()
        self.command("osd new", uuid=osd, id=0)
        self.spawn("osd", "ceph-osd", "-i", "0")
        tgt.eventually(lambda: self.command("osd stat")["num_up_osds"] == 1, 20, "the OSD is up")
        self.command("osd pool create", pool="rbd", pg_num=8, size=1)
        self.pool = self.admin.open_ioctx("rbd")
        rbd.RBD().pool_init(self.pool, True)
        return self

    def stop(self):
        if self.pool:
            self.pool.close()
        with contextlib.suppress(Exception):
            self.admin.shutdown()
        for p in self.processes.values():
            if p.poll() is None:
                p.kill()
            p.wait()
        self.processes = {}
        self.admin = self.pool = None

    def command(self, prefix, **arguments):
        text = json.dumps({"prefix": prefix, "format": "json", **arguments})
        r, out, error = self.admin.mon_command(text, b"")
        assert r == 0, f"{prefix}: {error}"
        return json.loads(out) if out.strip() else None

    # ---- what may happen to it ----

    def signal(self, name, what):
        self.processes[name].send_signal(what)

    @contextlib.contextmanager
    def stopped(self, name):
        """The OSD or the monitor hangs meanwhile."""
        self.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(name, signal.SIGCONT)

    # ---- images ----

    def create(self, name, size, **options):
        rbd.RBD().create(self.pool, name, size, old_format=False, **options)
        return f"rbd/{name}"

    def image(self, name):
        return rbd.Image(self.pool, name)

    def resize(self, name, size):
        with self.image(name) as image:
            image.resize(size)

    def read(self, name, offset, length):
        with rbd.Image(self.pool, name, read_only=True) as image:
            return image.read(offset, length)

    def snapshot(self, name, snapshot):
        with self.image(name) as image:
            image.create_snap(snapshot)


if __name__ == "__main__":  # ceph.py DIRECTORY: until it is killed; says "ready"
    with Cluster(sys.argv[1]):
        print("ready", flush=True)
        signal.pause()
