# SPDX-License-Identifier: GPL-2.0-or-later
"""The real stgt of the distribution, to compare with; and our commands under its names."""
import contextlib
import os
import signal
import subprocess
import time

import tgt

PROGRAMS = ("tgtadm", "tgt-admin", "tgt-setup-lun", "tgtimg")


class Result:
    def __init__(self, p):
        self.code, self.out, self.err = p.returncode, p.stdout, p.stderr

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def call(argv, env, stdin="", cwd=None):
    return Result(subprocess.run([str(a) for a in argv], text=True, input=stdin, timeout=60, check=False,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
                                 env={**os.environ, "LC_ALL": "C", **env}))


class Stgt:
    """A tgtd of the package. It ignores SIGTERM, so it is killed."""

    def __init__(self, directory):
        self.dir = directory
        self.port = tgt.free_port()
        self.env = {"TGT_IPC_SOCKET": os.path.join(directory, "stgt-socket")}
        self.process = None

    def __enter__(self):
        with open(os.path.join(self.dir, "stgt.log"), "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", "/usr/sbin/tgtd", "-f",
                 "--iscsi", f"portal=127.0.0.1:{self.port}"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **self.env})
        try:
            tgt.eventually(lambda: self.run("--op", "show", "--mode", "sys").code == 0, what="stgt's tgtd")
        except AssertionError:
            self.__exit__()
            raise
        return self

    def run(self, *argv, program="tgtadm", **kw):
        return call([f"/usr/sbin/{program}", *argv], self.env, **kw)

    def __exit__(self, *exc):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        # it forks a logger, which ends when it sees that its parent has
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.env["TGT_IPC_SOCKET"] + ".0")
        time.sleep(0.01)


class Ours(tgt.Daemon):
    """Our daemon, with our commands under stgt's names in self.bin."""

    def __init__(self, directory, *args, **kw):
        super().__init__(directory, *args, **kw)
        self.bin = os.path.join(directory, "bin")
        self.socket = os.path.join(directory, "ipc")
        self.env = {"TGT_IPC_SOCKET": self.socket, **self.env}
        os.makedirs(self.bin, exist_ok=True)
        for name in PROGRAMS:
            if not os.path.islink(os.path.join(self.bin, name)):
                os.symlink(tgt.TGTCTL, os.path.join(self.bin, name))

    def run(self, *argv, program="tgtadm", env=None, **kw):
        return call([os.path.join(self.bin, program), *argv],
                    {"TGT_IPC_SOCKET": self.socket, **(env or {})}, **kw)

    def ok(self, *argv, **kw):
        r = self.run(*argv, **kw)
        assert r.code == 0, f"{' '.join(map(str, argv))}: {r}"
        return r.out

    def ctl(self, *argv, check=True, **kw):
        return tgt.run(tgt.TGTCTL, "--socket", self.socket + ".0", *argv, check=check, **kw)
