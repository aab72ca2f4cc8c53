# SPDX-License-Identifier: GPL-2.0-or-later
"""What the integration tests share: a TAP runner, and a tgtd of one's own.

A test file defines functions test_*() and ends with tgt.main(). Each function is one test; a failed
assertion or an exception fails it. There is no way to skip.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def use_build(directory):
    """Which build is tested; else TGT_BUILD, or ./build."""
    global BUILD, TGTD, TGTCTL
    BUILD = os.path.abspath(directory)
    TGTD = os.path.join(BUILD, "src", "daemon", "tgtd")
    TGTCTL = os.path.join(BUILD, "src", "ctl", "tgtctl")


use_build(os.environ.get("TGT_BUILD") or "build")
LIB = os.path.join(SOURCE, "tests", "lib")
NAME = "iqn.2026-01.org.example:disk"
INITIATOR = "iqn.2026-01.org.example:initiator"


def main():
    tests = [(n, f) for n, f in vars(sys.modules["__main__"]).items()
             if n.startswith("test_") and callable(f)]
    if len(sys.argv) > 1:
        tests = [(n, f) for n, f in tests if any(a in n for a in sys.argv[1:])]
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for i, (name, function) in enumerate(tests, 1):
        begin = time.monotonic()
        try:
            function()
            verdict = "ok"
        except Exception:  # noqa: BLE001 - whatever a test raises is its failure
            verdict = "not ok"
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("# " + line)
        print(f"{verdict} {i} {name} ({time.monotonic() - begin:.1f} s)", flush=True)
    sys.exit(1 if failed or not tests else 0)


def run(*argv, check=True, timeout=120, **kw):
    """Runs a command, returns its CompletedProcess with text output (stderr in stdout)."""
    kw.setdefault("stdout", subprocess.PIPE)
    kw.setdefault("stderr", subprocess.STDOUT)
    p = subprocess.run([str(a) for a in argv], text=True, errors="replace", timeout=timeout, check=False, **kw)
    if check and p.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {p.returncode}\n{p.stdout}")
    return p


def eventually(condition, seconds=10, what="condition"):
    """Waits until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not become true within {seconds} s"
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def scratch(disk=False):
    """A temporary directory, in memory or (disk=True) on a real file system."""
    d = tempfile.mkdtemp(prefix="tgt-test-", dir="/var/tmp" if disk else "/dev/shm")
    try:
        yield d
    finally:
        shutil.rmtree(d, ignore_errors=True)


def sparse(path, size):
    with open(path, "wb") as f:
        f.truncate(size)
    return path


class Daemon:
    """A tgtd in the foreground with directories of its own. fragments: {file name: text}."""

    def __init__(self, directory, fragments=None, port=None, args=(), env=None, wrap=()):
        self.dir = directory
        self.port = port or free_port()
        self.config = os.path.join(directory, "etc")
        self.state = os.path.join(directory, "state")
        self.runtime = os.path.join(directory, "run")
        self.log_path = os.path.join(directory, "tgtd.log")
        self.args, self.env, self.wrap = list(args), env or {}, list(wrap)
        self.process = None
        for d in (os.path.join(self.config, "targets.d"), self.state, self.runtime):
            os.makedirs(d, exist_ok=True)
        for name, text in (fragments or {}).items():
            self.fragment(name, text)

    def fragment(self, name, text):
        with open(os.path.join(self.config, "targets.d", name), "w") as f:
            f.write(text)

    def start(self, timeout=30):
        """Returns when the daemon says READY=1; raises with its log if it ends before."""
        path = os.path.join(self.dir, "notify")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(0.1)
            log = open(self.log_path, "ab")
            self.process = subprocess.Popen(  # it ends with the test, whatever ends that
                ["setpriv", "--pdeathsig", "KILL", "--"] + self.wrap
                + [TGTD, f"--config-dir={self.config}", f"--state-dir={self.state}",
                   f"--runtime-dir={self.runtime}", f"--portal=127.0.0.1:{self.port}",
                   "--bus=none"] + self.args,
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, "NOTIFY_SOCKET": path, **self.env})
            log.close()
            end = time.monotonic() + timeout
            while True:
                with contextlib.suppress(socket.timeout):
                    if b"READY=1" in notify.recv(4096).split(b"\n"):
                        return self
                assert self.process.poll() is None, "tgtd ended:\n" + self.log()
                assert time.monotonic() < end, "tgtd is not ready:\n" + self.log()

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def stop(self, timeout=20):
        """SIGTERM; the exit code must be 0 (a sanitizer's report is not)."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("tgtd does not stop:\n" + self.log()) from None
        assert self.process.returncode == 0, f"exit {self.process.returncode}:\n" + self.log()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def reload(self):
        return self.ctl("reload")

    def ctl(self, *argv, check=True, **kw):
        return run(TGTCTL, "--socket", os.path.join(self.runtime, "control"), *argv, check=check, **kw)

    def url(self, target=NAME, lun=1):
        return f"iscsi://127.0.0.1:{self.port}/{target}/{lun}"

    def portal(self):
        return f"iscsi://127.0.0.1:{self.port}"

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, tb):
        if kind is not None:
            for line in self.log().splitlines()[-40:]:
                print("# tgtd: " + line)
            if self.process and self.process.poll() is None:
                self.kill()
            return
        self.stop()


def disk_fragment(path, name=NAME, extra="", bs_type=None):
    store = f"\n    bs-type {bs_type}" if bs_type else ""
    return (f"<target {name}>\n  <backing-store {path}>{store}\n    lun 1\n    {extra}\n"
            f"  </backing-store>\n  initiator-address ALL\n</target>\n")


def iscsi_ls(daemon, *args):
    return run("iscsi-ls", *args, daemon.portal()).stdout
