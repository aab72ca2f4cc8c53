# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmarks share: the two targets, the load generator, medians and their noise."""
import contextlib
import datetime
import errno
import json
import math
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import tgt  # noqa: E402

STGT_CONTROL = 17  # its control port: not the one of an stgt that may run here
PREFIX = "iqn.2026-01.org.tgt1.bench:"
PLACES = {"tmpfs": "/dev/shm", "disk": "/var/tmp"}
ON_LOOP = "ext4 in memory"  # a place too: a real file system on a disk that is not the limit


def fail(text):
    sys.exit(f"bench: {text}")


class Unavailable(Exception):
    """This machine cannot make a place to measure in."""


def program(*parts):
    path = os.path.join(tgt.BUILD, *parts)
    if not os.access(path, os.X_OK):
        fail(f"{path} is missing")
    return path


def alone():
    """Until this process ends no other benchmark begins on this machine: it would measure both."""
    lock = socket.socket(socket.AF_UNIX)
    said = False
    while True:
        try:
            lock.bind("\0tgt-bench")
            return lock
        except OSError as e:
            if e.errno != errno.EADDRINUSE:
                raise
        if not said:
            print("another benchmark runs here: waiting for its end", file=sys.stderr)
            said = True
        time.sleep(1)


@contextlib.contextmanager
def scratch(place, mib=0):
    """mib: what will be written there, for a place that is made to measure."""
    directory = tempfile.mkdtemp(prefix="tgt-bench-",
                                 dir=PLACES["tmpfs" if place == ON_LOOP else place])
    try:
        if place == ON_LOOP:
            with ext4_on_loop(directory, mib) as mounted:
                yield mounted
        else:
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def ext4_on_loop(directory, mib):
    """A loop device over a file in memory."""
    image, mounted = os.path.join(directory, "image"), os.path.join(directory, "mounted")
    os.mkdir(mounted)
    with open(image, "wb") as f:
        f.truncate((mib + mib // 8 + 64) << 20)
    for argv in (["mkfs.ext4", "-q", "-F", image], ["mount", "-o", "loop", image, mounted]):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(f"{' '.join(argv)}: {done.stderr.strip()}")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True)


def make_file(path, mib):
    """Real blocks, so that no run pays for allocating them."""
    chunk = os.urandom(1 << 20)
    with open(path, "wb") as f:
        for _ in range(mib):
            f.write(chunk)
        f.flush()
        os.fsync(f.fileno())
    return path


# ---- the targets ----

class Stgt:
    """The packaged stgt with the defaults it comes with. units: [(name, store, path)]; digests: the
    targets agree to digests that an initiator asks for, which by default they do not."""
    name = "stgt"

    def __init__(self, directory, units, digests=False):
        self.env = {**os.environ, "TGT_IPC_SOCKET": os.path.join(directory, "stgt")}
        self.port, self.log = tgt.free_port(), os.path.join(directory, "stgt.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/tgtd", "-f", "-C", str(STGT_CONTROL), "--iscsi",
                 f"portal=127.0.0.1:{self.port}"], env=self.env, stdout=log, stderr=log)
        try:
            self.set_up(units, digests)
        except BaseException:
            self.stop()
            raise

    def set_up(self, units, digests):
        end = time.monotonic() + 10
        while self.admin("--op", "show", "--mode", "sys", check=False).returncode != 0:
            if time.monotonic() > end or self.process.poll() is not None:
                fail("stgt does not start")
            time.sleep(0.1)
        for tid, (name, store, path) in enumerate(units, 1):
            target = ("--mode", "target", "--tid", str(tid))
            self.admin("--op", "new", *target, "-T", PREFIX + name)
            self.admin("--op", "new", "--mode", "logicalunit", "--tid", str(tid), "--lun", "1",
                       "-b", path, "--bstype", store)
            for key in ("HeaderDigest", "DataDigest") if digests else ():
                self.admin("--op", "update", *target, "--name", key, "--value", "CRC32C")
            self.admin("--op", "bind", *target, "-I", "ALL")

    def admin(self, *argv, check=True):
        return subprocess.run(["/usr/sbin/tgtadm", "-C", str(STGT_CONTROL), "--lld", "iscsi",
                               *argv], env=self.env, check=check, capture_output=True, text=True)

    def stop(self):
        self.process.send_signal(signal.SIGKILL)  # SIGTERM does not end it
        self.process.wait()


class Ours:
    """units: [(name, store, path)]; a path of NONE is a unit in memory of mib MiB."""
    name = "tgtd"

    def __init__(self, directory, units, args=(), mib=1024, extra=""):
        config = os.path.join(directory, "etc")
        os.makedirs(os.path.join(config, "targets.d"))
        with open(os.path.join(config, "targets.d", "bench.conf"), "w") as f:
            for name, store, path in units:
                size = f"  size {mib}M\n" if path == "NONE" else ""
                f.write(f"<target {PREFIX}{name}>\n <backing-store {path}>\n  bs-type {store}\n"
                        f"{size} </backing-store>\n initiator-address ALL\n {extra}\n</target>\n")
        self.port, self.log = tgt.free_port(), os.path.join(directory, "tgtd.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [tgt.TGTD, f"--config-dir={config}", f"--state-dir={directory}/state",
                 f"--runtime-dir={directory}/run", f"--portal=127.0.0.1:{self.port}", "--bus=none",
                 *args], stdout=log, stderr=log)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


# ---- load ----

def load_argv(server, target, **options):
    """options are those of bench-load; True is a flag, False and None are left out."""
    argv = [program("tests", "bench", "bench-load"), f"--target={PREFIX}{target}",
            f"--port={server.port}", f"--pid={server.process.pid}", "--json"]
    for key, value in options.items():
        key = "--" + key.replace("_", "-")
        if value is True:
            argv.append(key)
        elif value is not None and value is not False:
            argv.append(f"{key}={value}")
    return argv


def load_result(process, what):
    out, err = process.communicate(timeout=120)
    if process.returncode != 0:
        fail(f"{what}: {err.strip()}")
    return json.loads(out)


def load_start(server, target, first=(), **options):
    return subprocess.Popen([*first, *load_argv(server, target, **options)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def load(server, target, first=(), **options):
    """first: a command that runs the generator, as chrt(1) does."""
    result = load_result(load_start(server, target, first, **options), f"{target} {options}")
    if server.process.poll() is not None:
        fail(f"the target ended: exit {server.process.returncode}")
    return result


def exchange(seconds):
    """The bytes of a read of 4 KiB, exchanged over TCP without a target: what bench-exchange says."""
    argv = [program("tests", "bench", "bench-exchange"), f"{int(seconds * 1000)}ms"]
    return load_result(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True), "bench-exchange")


def wait_for(server, target):
    argv = load_argv(server, target, time="10ms", warmup="1ms")
    for _ in range(100):
        if subprocess.run(argv, capture_output=True, check=False).returncode == 0:
            return
        if server.process.poll() is not None:
            break
        time.sleep(0.1)
    with open(server.log, errors="replace") as f:
        said = "".join(f.readlines()[:8])
    fail(f"{server.name} does not serve {target}:\n{said}")


def fill(server, target):
    """Memory that was never written reads as one page of zeros, which is in every cache."""
    load(server, target, fill=True, bs="1M", depth=8)


# ---- statistics ----

def value(run, key):
    """key: "iops", or "lat_us.p50"."""
    for part in re.split(r"\.(?=[a-z])", key):
        run = run[part]
    return run


def median(runs, key):
    return statistics.median(value(r, key) for r in runs)


def quotient(a, b):
    return a / b if b else math.inf


class Ratio:
    """Of the medians of a and b, with the lowest and the highest of the rounds: a and b ran in turn,
    so each round is a pair. The range of five pairs holds the true median in 15 of 16 cases."""

    def __init__(self, a, b, key):
        pairs = [quotient(value(x, key), value(y, key)) for x, y in zip(a, b)]
        self.median = quotient(median(a, key), median(b, key))
        self.low, self.high = min([*pairs, self.median]), max([*pairs, self.median])

    def __str__(self):
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"

    def compare(self, limit=1.0):
        """-1 below, 1 above, 0 a tie: the noise is larger than the difference."""
        return -1 if self.high < limit else 1 if self.low > limit else 0


# ---- where it was measured ----

def first_line(path, key=None):
    with contextlib.suppress(OSError):
        with open(path) as f:
            for line in f:
                if key is None or line.startswith(key):
                    return line.split(":", 1)[-1].strip()
    return "unknown"


def machine():
    stgt = subprocess.run(["/usr/sbin/tgtadm", "-V"], capture_output=True, text=True, check=False)
    ours = subprocess.run([tgt.TGTD, "--version"], capture_output=True, text=True, check=False)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "cpu": first_line("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "kernel": f"Linux {platform.release()}",
        "virtual": " hypervisor" in first_line("/proc/cpuinfo", "flags"),
        "congestion_control": first_line("/proc/sys/net/ipv4/tcp_congestion_control"),
        "tgt": ours.stdout.split()[-1] if ours.stdout else "unknown",
        "stgt": stgt.stdout.strip() or "unknown",
    }


def machine_text(m):
    return (f"{m['cpu']}{' (virtual machine)' if m['virtual'] else ''}, {m['cores']} cores, "
            f"{m['memory_gib']} GiB, {m['kernel']}, TCP {m['congestion_control']}; "
            f"tgt {m['tgt']}, stgt {m['stgt']}; {m['date']}")


def write_json(path, data):
    with open(path, "w") as f:
        json.dump(data, f, indent=1)
        f.write("\n")
