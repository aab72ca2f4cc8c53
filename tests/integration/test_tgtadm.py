#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tgtadm against the one of stgt: both get the same commands, and must answer with the same output,
exit code and message. What only ours can do is tested beside."""
import contextlib
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import rawiscsi  # noqa: E402
import stgt  # noqa: E402
import tgt  # noqa: E402

A, B, C = (f"iqn.2026-01.org.example:{x}" for x in "abc")
# where our defaults are other ones
STGT_DEFAULTS = {"MaxRecvDataSegmentLength": "8192", "MaxXmitDataSegmentLength": "8192", "HeaderDigest": "None",
                 "DataDigest": "None", "InitialR2T": "Yes", "MaxOutstandingR2T": "1", "FirstBurstLength": "65536",
                 "MaxBurstLength": "262144"}
NUMBERS = re.compile(r"(I_T nexus|Session): \d+")


def normalized(text):
    """Ids: of sessions, and those of units, which stgt makes of tid and LUN alone."""
    lines, controller = [], False
    for line in NUMBERS.sub(r"\1: N", text).splitlines():
        name = line.strip().split(":")[0]
        if name == "Type":
            controller = line.endswith("controller")
        if name in ("SCSI ID", "SCSI SN") and not controller:
            line = line.split(":")[0] + ": ID"
        lines.append(line)
    return lines


class Both:
    """Runs the same command with stgt and with ours."""

    def __init__(self, theirs, ours):
        self.theirs, self.ours = theirs, ours

    def __call__(self, *argv, code=0, prepare=None):
        a = [x.format(port=self.theirs.port) if isinstance(x, str) else x for x in argv]
        b = [x.format(port=self.ours.port) if isinstance(x, str) else x for x in argv]
        theirs, ours = self.theirs.run(*a), self.ours.run(*b)
        what = f"tgtadm {' '.join(map(str, argv))}\nstgt: {theirs}\nours: {ours}"
        assert theirs.code == code, what
        assert ours.code == theirs.code, what
        prepare = prepare or normalized
        assert prepare(theirs.out) == prepare(ours.out), what
        # the reason stands behind what stgt says
        want, have = theirs.err.splitlines(), ours.err.splitlines()
        assert len(want) == len(have), what
        for w, h in zip(want, have):
            w = w.replace("/usr/sbin/", self.ours.bin + "/")
            assert h == w or h.startswith(w + ": "), what
        return ours

    def fails(self, *argv, code=22):
        return self(*argv, code=code)


@contextlib.contextmanager
def both():
    with tgt.scratch() as d:
        with stgt.Stgt(d) as theirs, stgt.Ours(d) as ours:
            yield Both(theirs, ours)


@contextlib.contextmanager
def ours(**kw):
    with tgt.scratch() as d:
        with stgt.Ours(d, **kw) as running:
            yield running


def target(run, tid, name):
    run("--lld", "iscsi", "--op", "new", "--mode", "target", "--tid", tid, "-T", name)
    for key, value in STGT_DEFAULTS.items():
        run("--op", "update", "--mode", "target", "--tid", tid, "-n", key, "-v", value)


class Session:
    """An initiator that stays: qemu-io waits for commands with the disk open."""

    def __init__(self, port, name=A, lun=1):
        self.process = subprocess.Popen(
            ["qemu-io", "--image-opts",
             f"driver=raw,file.driver=iscsi,file.transport=tcp,file.portal=127.0.0.1:{port},"
             f"file.target={name},file.lun={lun},file.initiator-name=iqn.2026-01.org.example:host"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


def test_targets_and_their_listing():
    with both() as run:
        d = run.ours.dir
        target(run, 1, A)
        target(run, 3, C)
        target(run, 2, B)
        paths = [tgt.sparse(os.path.join(d, f"disk{i}.img"), size) for i, size in
                 enumerate((100 << 20, 1 << 40, 21 << 20, 512, 67108864))]
        run("--op", "new", "--mode", "logicalunit", "--tid", 1, "--lun", 5, "-b", paths[0])
        run("--op", "new", "--mode", "lu", "--tid", 1, "--lun", 2, "--backing-store", paths[1], "--bstype", "rdwr")
        run("--op", "new", "--mode", "lu", "--tid", 1, "--lun", 11, "-b", paths[2], "-y", 4096, "-f", "sync:direct")
        run("--op", "new", "--mode", "lu", "--tid", 2, "--lun", 1, "-b", paths[3], "-f", "sync")
        run("--op", "new", "--mode", "lu", "--tid", 2, "--lun", 3, "-b", paths[4], "-E", "aio", "-Y", "disk")
        run("--op", "new", "--mode", "lu", "--tid", 3, "--lun", 1, "-b", "/dev/null", "-E", "null")
        run("--op", "update", "--mode", "lu", "--tid", 1, "--lun", 5, "-P", "vendor_id=ACME,readonly=1")
        run("--op", "update", "--mode", "lu", "--tid", 1, "--lun", 2, "-P", "removable=1,thin_provisioning=1")
        run("--op", "update", "--mode", "lu", "--tid", 2, "--lun", 1, "-P", "online=0")
        for acl in (("-I", "ALL"), ("-Q", "iqn.2026-01.org.example:x"), ("-I", "10.0.0.0/8"), ("-I", "192.0.2.1")):
            run("--op", "bind", "--mode", "target", "--tid", 1, *acl)
        run("--op", "update", "--mode", "target", "--tid", 1, "-n", "nop_interval", "-v", 5)
        run("--op", "update", "--mode", "target", "--tid", 1, "-n", "nop_count", "-v", 3)
        run("--op", "update", "--mode", "target", "--tid", 2, "-n", "state", "-v", "offline")
        run("--op", "update", "--mode", "target", "--tid", 3, "--name", "maxburstlength", "--value", 131072)
        shown = run("--lld", "iscsi", "--op", "show", "--mode", "target").out
        assert "Size: 1099512 MB, Block size: 512" in shown and "Size: 105 MB" in shown, shown
        for tid in 1, 2, 3:
            run("--op", "show", "--mode", "target", "--tid", tid)
        run("--op", "delete", "--mode", "lu", "--tid", 1, "--lun", 2)
        run("--op", "unbind", "--mode", "target", "--tid", 1, "-I", "10.0.0.0/8")
        run("--op", "unbind", "--mode", "target", "--tid", 1, "-Q", "iqn.2026-01.org.example:x")
        run("--op", "delete", "--mode", "target", "--tid", 2)
        run("--op", "show", "--mode", "target")
        # the drivers' targets: stgt has the order in which they were made
        run("--op", "show", "--mode", "lld")


def test_accounts():
    with both() as run:
        run("--op", "show", "--mode", "account")
        target(run, 1, A)
        for user in "u1", "u2", "u3":
            run("--op", "new", "--mode", "account", "--user", user, "--password", "secret-of-" + user)
        run.fails("--op", "new", "--mode", "account", "--user", "u1", "--password", "secret-of-u1")
        run("--op", "show", "--mode", "account")
        run("--op", "bind", "--mode", "account", "--tid", 1, "--user", "u2")
        run("--op", "bind", "--mode", "account", "--tid", 1, "--user", "u1")
        run("--op", "bind", "--mode", "account", "--tid", 1, "--user", "u3", "--outgoing")
        run.fails("--op", "bind", "--mode", "account", "--tid", 1, "--user", "u3", "--outgoing")
        run.fails("--op", "bind", "--mode", "account", "--tid", 1, "--user", "u2")
        run.fails("--op", "bind", "--mode", "account", "--tid", 1, "--user", "nobody")
        run.fails("--op", "bind", "--mode", "account", "--tid", 7, "--user", "u1")
        run.fails("--op", "bind", "--mode", "account", "--tid", 1)
        run.fails("--op", "new", "--mode", "account", "--user", "x")
        run("--op", "show", "--mode", "target")
        run("--op", "bind", "--mode", "account", "--user", "u1")
        run("--op", "bind", "--mode", "account", "--user", "u3", "--outgoing")
        run("--op", "show", "--mode", "sys", prepare=without_lists)
        # the last one: stgt leaves a hole otherwise, and falls into it
        run("--op", "unbind", "--mode", "account", "--tid", 1, "--user", "u1")
        run("--op", "unbind", "--mode", "account", "--tid", 1, "--user", "u3", "--outgoing")
        run.fails("--op", "unbind", "--mode", "account", "--tid", 1, "--user", "u1")
        run("--op", "show", "--mode", "target")
        run("--op", "delete", "--mode", "account", "--user", "u2")
        run.fails("--op", "delete", "--mode", "account", "--user", "u2")
        run("--op", "show", "--mode", "account")
        run("--op", "show", "--mode", "target")


def without_lists(text):
    """What stores and device types there are differs."""
    out, skip = [], False
    for line in text.splitlines():
        if not line.startswith("  "):
            skip = line in ("Backing stores:", "Device types:")
        if line == "    Account information:":
            skip = False
        if not skip or not line.startswith("    "):
            out.append(line)
    return out


def test_system_and_portals():
    with both() as run:
        shown = run("--op", "show", "--mode", "system", prepare=without_lists).out
        assert "    rdwr (bsoflags sync:direct)\n" in shown and "Device types:\n    disk\n" in shown, shown
        port = [tgt.free_port() for _ in range(4)]
        run("--op", "show", "--mode", "portal", prepare=lambda t: t.replace(str(run.theirs.port), "P")
            .replace(str(run.ours.port), "P"))
        for host in "127.0.0.2", "[::1]":
            for r, p in (run.theirs, port[0]), (run.ours, port[1]):
                x = r.run("--op", "new", "--mode", "portal", "--param", f"portal={host}:{p}")
                assert x.code == 0, x
        listing = [r.run("--op", "show", "--mode", "portal").out.replace(str(p), "N").replace(str(r.port), "P")
                   for r, p in ((run.theirs, port[0]), (run.ours, port[1]))]
        assert listing[0] == listing[1] == "Portal: [::1]:N,1\nPortal: 127.0.0.2:N,1\nPortal: 127.0.0.1:P,1\n", listing
        for r, p in (run.theirs, port[0]), (run.ours, port[1]):
            x = r.run("--op", "delete", "--mode", "portal", "--param", f"portal=127.0.0.2:{p}")
            assert x.code == 0, x
        run.fails("--op", "delete", "--mode", "portal", "--param", "portal=127.0.0.1:1")
        run.fails("--op", "new", "--mode", "portal", "--param", "portal=127.0.0.1:{port}")
        run.fails("--op", "new", "--mode", "portal", "--param", "portal=example.com")
        run.fails("--op", "new", "--mode", "portal", "--param", "foo=1")
        run.fails("--op", "new", "--mode", "portal")
        target(run, 1, A)
        run("--op", "update", "--mode", "sys", "--name", "State", "-v", "offline")
        run("--op", "update", "--mode", "sys", "--name", "debug", "-v", "on")
        run("--op", "show", "--mode", "sys", prepare=without_lists)
        run.fails("--op", "update", "--mode", "sys", "--name", "State", "-v", "bogus")
        run.fails("--op", "update", "--mode", "sys", "--name", "Foo", "-v", "on")
        for port in run.theirs.port, run.ours.port:
            p = tgt.run("iscsi-ls", f"iscsi://127.0.0.1:{port}", check=False)
            assert p.returncode != 0 and A not in p.stdout, p.stdout
        run("--op", "update", "--mode", "sys", "--name", "State", "-v", "ready")
        run("--op", "bind", "--mode", "target", "--tid", 1, "-I", "ALL")
        for port in run.theirs.port, run.ours.port:
            assert A in tgt.run("iscsi-ls", f"iscsi://127.0.0.1:{port}").stdout
        run("--op", "start", "--mode", "lld", "--lld", "iscsi")
        run.fails("--op", "stop", "--mode", "lld", "--lld", "iscsi")
        run.fails("--op", "start", "--mode", "lld", "--lld", "iser")
        run.fails("--op", "show", "--mode", "target", "--lld", "foo")
        run.fails("--op", "delete", "--mode", "sys")  # there is a target


def test_sessions():
    with both() as run:
        target(run, 1, A)
        for r, name in (run.theirs, "a.img"), (run.ours, "b.img"):
            path = tgt.sparse(os.path.join(run.ours.dir, name), 8 << 20)
            x = r.run("--op", "new", "--mode", "lu", "--tid", 1, "--lun", 1, "-b", path)
            assert x.code == 0, x
        run("--op", "bind", "--mode", "target", "--tid", 1, "-I", "127.0.0.1")
        run("--op", "show", "--mode", "conn", "--tid", 1)
        with Session(run.theirs.port), Session(run.ours.port):
            for r in run.theirs, run.ours:
                tgt.eventually(lambda r=r: "Session:" in r.run("--op", "show", "--mode", "conn", "--tid", 1).out,
                               what="a session")
            run("--op", "show", "--mode", "conn", "--tid", 1)
            run("--op", "show", "--mode", "target",
                prepare=lambda t: normalized(t.replace("a.img", "b.img")))
            run.fails("--op", "delete", "--mode", "target", "--tid", 1)
            out = run.ours.ok("--op", "show", "--mode", "session")
            assert f"    Target: {A}\n" in out and "Initiator: iqn.2026-01.org.example:host" in out, out
            sid = re.search(r"Session: (\d+)", out).group(1)
            cid = re.search(r"Connection: (\d+)", out).group(1)
            assert run.ours.ok("--op", "show", "--mode", "session", "--sid", sid, "--tid", 1) == out
            assert run.ours.run("--op", "show", "--mode", "session", "--sid", 4711).code == 22
            # a LUN goes although somebody is logged in
            run("--op", "delete", "--mode", "lu", "--tid", 1, "--lun", 1)
            assert run.ours.run("--op", "delete", "--mode", "conn", "--tid", 1, "--sid", sid,
                                "--cid", 77).code == 22
            run.ours.ok("--op", "delete", "--mode", "conn", "--tid", 1, "--sid", sid, "--cid", cid)
        tgt.eventually(lambda: "Session" not in run.ours.ok("--op", "show", "--mode", "session"),
                       what="the session's end")
        run("--op", "delete", "--mode", "target", "--tid", 1, "--force")


def without_errors(text):
    """stgt counts the first unit attention as an error, and data PDUs not at all."""
    lines = []
    for line in text.splitlines():
        numbers = line.split()
        if line.startswith("tgt"):
            lines.append(line)
            kind = "itl"
        elif line.startswith("sid"):
            lines.append(line)
            kind = "conn"
        elif not numbers:
            lines.append("")
        elif kind == "itl":
            lines.append(line[:8] + "SID" + line[11:-5] + str(len(line)))
        else:
            lines.append(f"{len(numbers)} numbers in {len(line)} columns")
    return lines


def raw_session(port):
    r = rawiscsi.Raw(port, target=A)
    r.login()
    return r


def raw(port):
    return raw_session(port).ready(1)


def test_statistics():
    with both() as run:
        target(run, 1, A)
        for r, name in (run.theirs, "a.img"), (run.ours, "b.img"):
            for lun in 1, 3:
                path = tgt.sparse(os.path.join(run.ours.dir, f"{lun}{name}"), 8 << 20)
                x = r.run("--op", "new", "--mode", "lu", "--tid", 1, "--lun", lun, "-b", path)
                assert x.code == 0, x
        run("--op", "bind", "--mode", "target", "--tid", 1, "-I", "ALL")
        run("--op", "stat", "--mode", "sys")
        run("--op", "stat", "--mode", "sys", "--tid", 1, "--lun", 1)
        run("--op", "stat", "--mode", "target", "--tid", 1)
        with contextlib.closing(raw(run.theirs.port)) as one, contextlib.closing(raw(run.ours.port)) as two:
            for initiator in one, two:
                cdb = bytes([0x2a, 0, 0, 0, 0, 0, 0, 0, 4, 0])
                assert initiator.response(initiator.command(cdb, write=2048, data=bytes(2048)))[0] == 0
                assert initiator.read10(0, 8)[0] == 0 and initiator.read10(8, 2)[0] == 0
            out = run("--op", "stat", "--mode", "target", "--tid", 1, prepare=without_errors).out
            assert "         5120      2         5120      2         2048      1         2048      1" in out, out
            run("--op", "stat", "--mode", "sys", prepare=without_errors)
            run("--op", "stat", "--mode", "lu", "--tid", 1, "--lun", 1, prepare=without_errors)
            sids = [re.search(r"Session: (\d+)", r.run("--op", "show", "--mode", "conn", "--tid", 1).out).group(1)
                    for r in (run.theirs, run.ours)]
            for argv in (["--mode", "session", "--sid"], ["--mode", "conn", "--cid", "1", "--sid"]):
                a, b = (r.run("--op", "stat", *argv, sid) for r, sid in zip((run.theirs, run.ours), sids))
                assert a.code == b.code == 0 and without_errors(a.out) == without_errors(b.out), (argv, a, b)
            numbers = b.out.splitlines()[1].split()
            assert int(numbers[2]) > 2048 and int(numbers[3]) > 5120 and int(numbers[5]) >= 2, b
        run.fails("--op", "stat", "--mode", "target", "--tid", 7)
        run.fails("--op", "stat", "--mode", "target")
        run.fails("--op", "stat", "--mode", "lu", "--tid", 1, "--lun", 77)
        run.fails("--op", "stat", "--mode", "session")
        run.fails("--op", "stat", "--mode", "session", "--sid", 4711)
        run.fails("--op", "stat", "--mode", "conn", "--sid", 4711, "--cid", 0)


def test_errors_have_stgts_words_and_the_reason():
    with both() as run:
        path = tgt.sparse(os.path.join(run.ours.dir, "disk.img"), 1 << 20)
        target(run, 1, A)
        run("--op", "new", "--mode", "lu", "--tid", 1, "--lun", 1, "-b", path)
        for argv in (
                ["--op", "new", "--mode", "target", "--tid", 1, "-T", B],
                ["--op", "new", "--mode", "target", "--tid", 2, "-T", A],
                ["--op", "new", "--mode", "target", "--tid", 2],
                ["--op", "new", "--mode", "target", "-T", B],
                ["--op", "new", "--mode", "target", "--tid", 0, "-T", B],
                ["--op", "new", "--mode", "target", "--tid", 5, "-T", B, "-c", 1],
                ["--op", "new", "--mode", "target", "--tid", 5, "-T", B, "--user", "x"],
                ["--op", "new", "--mode", "target", "--lld", "iser", "--tid", 5, "-T", B],
                ["--op", "delete", "--mode", "target", "--tid", 7],
                ["--op", "show", "--mode", "target", "--tid", 7],
                ["--op", "start", "--mode", "target", "--tid", 1],
                ["--op", "bind", "--mode", "target", "--tid", 1],
                ["--op", "bind", "--mode", "target", "--tid", 7, "-I", "ALL"],
                ["--op", "unbind", "--mode", "target", "--tid", 1, "-I", "192.0.2.1"],
                ["--op", "update", "--mode", "target", "--tid", 1],
                ["--op", "update", "--mode", "target", "--tid", 1, "-n", "state"],
                ["--op", "update", "--mode", "target", "--tid", 1, "-n", "bogus", "-v", "1"],
                ["--op", "update", "--mode", "target", "--tid", 1, "-n", "MaxBurstLength", "-v", "1"],
                ["--op", "new", "--mode", "lu", "--lun", 1],
                ["--op", "new", "--mode", "lu", "--tid", 1],
                ["--op", "new", "--mode", "lu", "--tid", 0, "--lun", 1, "-b", path],
                ["--op", "new", "--mode", "lu", "--tid", 1, "--lun", 1, "-b", path],
                ["--op", "new", "--mode", "lu", "--tid", 9, "--lun", 1, "-b", path],
                ["--op", "new", "--mode", "lu", "--tid", 1, "--lun", 3, "-b", "/nonexistent/file"],
                ["--op", "new", "--mode", "lu", "--tid", 1, "--lun", 3, "-b", path, "-E", "bogus"],
                ["--op", "new", "--mode", "lu", "--tid", 1, "--lun", 3, "-b", path, "-Y", "bogus"],
                ["--op", "new", "--mode", "lu", "--tid", 1, "--lun", 3, "-b", path, "-f", "bogus"],
                ["--op", "delete", "--mode", "lu", "--tid", 1, "--lun", 0],
                ["--op", "delete", "--mode", "lu", "--tid", 1, "--lun", 77],
                ["--op", "delete", "--mode", "lu", "--tid", 7, "--lun", 1],
                ["--op", "delete", "--mode", "lu", "--tid", 7, "--lun", 0],
                ["--op", "update", "--mode", "lu", "--tid", 1, "--lun", 77, "-P", "readonly=1"],
                ["--op", "update", "--mode", "lu", "--tid", 1, "--lun", 1, "-P", "bogus=1"],
                ["--op", "bind", "--mode", "lu", "--tid", 1, "--lun", 1],
                ["--op", "show", "--mode", "conn"],
                ["--op", "show", "--mode", "conn", "--tid", 7],
                ["--op", "delete", "--mode", "conn", "--tid", 1],
                ["--op", "delete", "--mode", "conn", "--tid", 1, "--sid", 3, "--cid", 0],
                ["--op", "delete", "--mode", "conn", "--tid", 7, "--sid", 3, "--cid", 0],
                ["--op", "show", "--mode", "portal", "-t", 1],
                ["--op", "new", "--mode", "sys"],
                ["--op", "update", "--mode", "sys"],
                ["--op", "show", "--mode", "target", "-t", "99999999999"],
                ["--op", "show", "--mode", "target", "-t", "abc"],
                ["--op", "show", "--mode", "target", "-t", "-1"],
                ["--op", "show", "--mode", "sys", "-C", "abc"],
                ["--op", "show", "--mode", "sys", "extra"],
                ["--op", "show", "--mode", "sys", "--bogus"],
                ["--o", "show", "--mode", "sys"],
                ["--op", "show"], ["--mode", "sys"], []):
            run.fails(*argv)
        for argv in (["--op", "bogus", "--mode", "sys"], ["--op", "show", "--mode", "bogus"]):
            run.fails(*argv, code=1)
        # abbreviations and other notations of numbers
        run("--op", "show", "--mode", "tgt", "--ti", "0x1")
        run("--op", "update", "--mode", "lu", "--tid", 1, "--lun", 1)
        for argv, reason in (
                (["--op", "new", "--mode", "lu", "--tid", 1, "--lun", 3, "-b", "/nonexistent/file"],
                 "No such file or directory"),
                (["--op", "update", "--mode", "target", "--tid", 1, "-n", "RedirectAddress", "-v", "1"],
                 "not supported by this build"),
                (["--op", "update", "--mode", "target", "--tid", 1, "-n", "RDMAExtensions", "-v", "No"],
                 "not supported by this build"),
                (["--op", "update", "--mode", "sys", "-n", "iSNS", "-v", "On"], "not supported by this build"),
                (["--op", "new", "--mode", "lu", "--tid", 1, "--lun", 3, "-Y", "changer"],
                 "not supported by this build"),
                (["--op", "new", "--mode", "lu", "--tid", 1, "--lun", 3, "-b", path, "-E", "sheepdog"],
                 "not supported by this build"),
                (["--op", "bind", "--mode", "target", "--tid", 1, "--host", 1], "not supported by this build")):
            r = run.ours.run(*argv)
            assert r.code == 22 and reason in r.err and r.err.startswith("tgtadm: invalid request: "), (argv, r)
            assert "force" not in r.err, r


def sense(initiator, lun, cdb=bytes(6), read=0):
    """Key, ASC and ASCQ of the first command that meets no unit attention; None: GOOD."""
    for _ in range(10):
        status, _, data, _ = initiator.response(initiator.command(cdb, lun=lun, read=read))
        if status == 0:
            return None
        if data[2] & 15 != 6:
            return data[2] & 15, data[12], data[13]
    raise AssertionError("nothing but unit attentions")


NO_MEDIUM = (2, 0x3a, 0)


def test_a_drive_without_a_medium():
    with both() as run:
        paths = [tgt.sparse(os.path.join(run.ours.dir, f"{n}.img"), n << 20) for n in (1, 2)]
        target(run, 1, A)
        drive = ("--mode", "logicalunit", "--tid", 1, "--lun", 1)

        def update(params, code=0):
            run("--op", "update", *drive, "-P", params, code=code)
            run("--op", "show", "--mode", "target")
        run("--op", "new", *drive)
        run("--op", "show", "--mode", "target")
        run.fails("--op", "new", *drive)
        run.fails("--op", "update", *drive, "-b", paths[0])
        update("path=", code=22)
        update("path=/nonexistent", code=22)
        update("online=1")
        update("path=" + paths[0])
        update("path=" + paths[1], code=22)  # not while it is online
        update("online=0")
        update("path=" + paths[1])  # which brings it online
        update("path=" + paths[0], code=22)
        update("online=0,path=" + paths[1])
        update("online=0")
        update("online=1")
        run("--op", "new", "--mode", "lu", "--tid", 1, "--lun", 2, "-E", "aio", "-y", 4096)
        run("--op", "new", "--mode", "lu", "--tid", 1, "--lun", 3, "-b", "", "-f", "sync")
        run("--op", "new", "--mode", "lu", "--tid", 1, "--lun", 4, "-b", paths[0])
        run.fails("--op", "new", "--mode", "lu", "--tid", 1, "--lun", 5, "-b", "NONE")
        run("--op", "show", "--mode", "target")
        run("--op", "delete", "--mode", "lu", "--tid", 1, "--lun", 2)
        run("--op", "show", "--mode", "target")
        # locked by an initiator
        run("--op", "bind", "--mode", "target", "--tid", 1, "-I", "ALL")
        with contextlib.closing(raw(run.theirs.port)) as one, contextlib.closing(raw(run.ours.port)) as two:
            for i in one, two:
                assert i.response(i.command(bytes([0x1e, 0, 0, 0, 1, 0])))[0] == 0
            update = ("--op", "update", *drive, "-P")
            assert "Prevent Removal" in run.fails(*update, "online=0").err
            run.fails(*update, "online=0,path=" + paths[0])
            for r in run.theirs, run.ours:
                shown = r.run("--op", "show", "--mode", "target").out
                assert "            Prevent removal: Yes\n" in shown.split("LUN: 1")[1].split("LUN: ")[0], shown
            for i in one, two:
                assert i.response(i.command(bytes([0x1e, 0, 0, 0, 0, 0])))[0] == 0
            run(*update, "online=0")


def inquiry(initiator, lun, page=None):
    cdb = bytes([0x12, page is not None, page or 0, 0, 255, 0])
    status, data, _, _ = initiator.response(initiator.command(cdb, lun=lun, read=255))
    assert status == 0
    return data


def test_what_initiators_see_of_a_drive():
    """The unit stays the same to them, whatever is in it; also over a restart, and a dump."""
    with tgt.scratch() as dir_, contextlib.ExitStack() as stack:
        paths = [tgt.sparse(os.path.join(dir_, f"{n}.img"), n << 20) for n in (1, 2)]
        with stgt.Ours(dir_) as d:
            d.ok("--op", "new", "--mode", "target", "--tid", 1, "-T", A)
            d.ok("--op", "bind", "--mode", "target", "--tid", 1, "-I", "ALL")
            drive = ("--mode", "lu", "--tid", 1, "--lun", 1)
            d.ok("--op", "new", *drive)
            d.ok("--op", "update", *drive, "-P", "scsi_id=a drive")
            i = stack.enter_context(contextlib.closing(raw_session(d.port)))

            def load(path):
                d.ok("--op", "update", *drive, "-P", "online=0,path=" + path)
                tgt.eventually(lambda: sense(i, 1) is None, what="the medium")
                cdb = b"\x25" + bytes(9)
                status, data, _, _ = i.response(i.command(cdb, lun=1, read=8))
                assert status == 0
                return (int.from_bytes(data[:4], "big") + 1) * 512

            def load_and_look(path):
                d.ok("--op", "update", *drive, "-P", "online=0,path=" + path)
                found = []
                for _ in range(10):
                    status, _, data, _ = i.response(i.command(bytes(6), lun=1))
                    if status == 0:
                        return found
                    found.append((data[12], data[13]))
                raise AssertionError(found)
            assert inquiry(i, 1)[:2] == b"\x00\x80", "a disk, removable"
            ids = inquiry(i, 1, 0x83), inquiry(i, 1, 0x80)
            assert sense(i, 1) == NO_MEDIUM, sense(i, 1)
            assert sense(i, 1, b"\x25" + bytes(9), 8) == NO_MEDIUM
            d.ok("--op", "update", *drive, "-P", "online=1")
            assert sense(i, 1) == NO_MEDIUM
            assert "no medium" in d.ctl("show", A + "/1").stdout
            assert load(paths[0]) == 1 << 20
            attentions = load_and_look(paths[1])
            assert (0x28, 0) in attentions and (0x3f, 0xe) not in attentions, attentions
            assert (inquiry(i, 1, 0x83), inquiry(i, 1, 0x80)) == ids
            # under another number the same file is another disk
            d.ok("--op", "new", "--mode", "lu", "--tid", 1, "--lun", 2, "-b", paths[0])
            assert sense(i, 2) is None and inquiry(i, 2, 0x83) != ids[0]
            # taken out by the administrator
            p = d.ctl("set-lun", A, 1, "path", "NONE", check=False)
            assert p.returncode != 0 and "in use by" in p.stdout, p.stdout
            d.ctl("set-lun", "--force", "--runtime", A, 1, "path", "NONE")
            tgt.eventually(lambda: sense(i, 1) == NO_MEDIUM, what="an empty drive")
            assert (inquiry(i, 1, 0x83), inquiry(i, 1, 0x80)) == ids
            before = d.ok("--op", "show", "--mode", "lu", "--tid", 1, "--lun", 1)
            assert "Backing store path: None" in before and "Removable media: Yes" in before, before
        with stgt.Ours(dir_) as d:
            assert d.ok("--op", "show", "--mode", "lu", "--tid", 1, "--lun", 1) == before
            dumped = os.path.join(dir_, "dumped.conf")
            with open(dumped, "w", encoding="utf-8") as f:
                f.write(d.ok("--dump", program="tgt-admin"))
            d.ok("--op", "delete", "--mode", "target", "--tid", 1)
            d.ok("-e", "-c", dumped, program="tgt-admin")
            assert d.ok("--op", "show", "--mode", "lu", "--tid", 1, "--lun", 1) == before
            i = stack.enter_context(contextlib.closing(raw_session(d.port)))
            assert (inquiry(i, 1, 0x83), inquiry(i, 1, 0x80)) == ids
            assert sense(i, 1) == NO_MEDIUM


def test_drives_in_a_fragment():
    with tgt.scratch() as dir_:
        path = tgt.sparse(os.path.join(dir_, "1.img"), 1 << 20)
        text = f"""<target {A}>
            controller_tid 1
            <backing-store NONE:1>
                lun 1
            </backing-store>
            <backing-store NONE:2>
                lun 2
                online 1
            </backing-store>
            <backing-store NONE>
                lun 3
                removable 1
            </backing-store>
        </target>"""
        with stgt.Ours(dir_, fragments={"a.conf": text}) as d:
            with contextlib.closing(raw_session(d.port)) as i:
                assert [sense(i, lun) for lun in (1, 2, 3)] == [NO_MEDIUM] * 3
                ids = inquiry(i, 2, 0x83)
                d.ctl("set-lun", "--runtime", A, 2, "path", path)  # nobody loses anything
                tgt.eventually(lambda: sense(i, 2) is None, what="the medium")
                assert inquiry(i, 2, 0x83) == ids
                p = d.ctl("set-lun", "--runtime", A, 1, "path", "/nonexistent/file", check=False)
                assert p.returncode != 0 and "No such file" in p.stdout, p.stdout
                # back to what the file says
                for name in os.listdir(os.path.join(dir_, "run", "targets.d")):
                    os.unlink(os.path.join(dir_, "run", "targets.d", name))
                d.ctl("reload", "--force")
                tgt.eventually(lambda: sense(i, 2) == NO_MEDIUM, what="an empty drive")
                assert inquiry(i, 2, 0x83) == ids
        with stgt.Ours(dir_, fragments={"a.conf": text.replace("removable 1", "")}) as d:
            assert "or removable 1, for a drive without a medium" in d.log(), d.log()


def test_types_that_do_not_exist_yet():
    with ours() as d:
        d.ok("--op", "new", "--mode", "target", "--tid", 1, "-T", A)
        for kind in "cd", "tape", "changer", "pt":
            r = d.run("--op", "new", "--mode", "lu", "--tid", 1, "--lun", 1, "-Y", kind)
            assert r.code == 22 and "not supported by this build" in r.err, r


def test_nobody_listens():
    with tgt.scratch() as d:
        ours, theirs = stgt.Ours(d), stgt.Stgt(d)
        for argv in (["--op", "show", "--mode", "target"], ["--op", "show", "--mode", "sys"],
                     ["--op", "new", "--mode", "target", "--tid", 1, "-T", A], ["--op", "delete", "--mode", "sys"],
                     ["--op", "start", "--mode", "lld"], ["--op", "show", "--mode", "account"]):
            a, b = theirs.run(*argv), ours.run(*argv)
            assert a.code == b.code == 107, (a, b)
            assert b.err.startswith(a.err.rstrip("\n") + ": tgtd is not running"), (a, b)


def test_values_of_any_kind():
    with ours() as d:
        d.ok("--op", "new", "--mode", "target", "--tid", 1, "-T", A)
        path = tgt.sparse(os.path.join(d.dir, "a b,c=d #e.img"), 1 << 20)
        d.ok("--op", "new", "--mode", "lu", "--tid", 1, "--lun", 1, "-b", path)
        d.ok("--op", "update", "--mode", "lu", "--tid", 1, "--lun", 1, "-P",
             "product_id=A, B,vendor_id=X\\,serial,scsi_sn=a b")
        out = d.ok("--op", "show", "--mode", "lu", "--tid", 1, "--lun", 1)
        assert f"Backing store path: {path}\n" in out and "SCSI SN: a b\n" in out, out
        unit = d.ctl("--json=short", "show", A + "/1").stdout
        assert '"Product":"A, B"' in unit and '"Vendor":"X,serial"' in unit, unit
        d.ok("--op", "new", "--mode", "account", "--user", "a user", "--password", "a, secret=1")
        d.ok("--op", "bind", "--mode", "account", "--tid", 1, "--user", "a user")
        assert "        a user\n" in d.ok("--op", "show", "--mode", "target")
        # both kinds at once are two entries
        d.ok("--op", "bind", "--mode", "target", "--tid", 1, "-I", "127.0.0.1", "-Q", "iqn.2026-01.org.example:x")
        assert "        127.0.0.1\n        iqn.2026-01.org.example:x\n" in d.ok("--op", "show", "--mode", "target")
        # relative to where the command was given
        tgt.sparse(os.path.join(d.dir, "rel.img"), 1 << 20)
        d.ok("--op", "new", "--mode", "lu", "--tid", 1, "--lun", 2, "-b", "rel.img", cwd=d.dir)
        # mode pages: each takes the place of its like
        page = "8:0:18:0x10:0:0xff:0xff:0:0:0xff:0xff:0xff:0xff:0x80:0x14:0:0:0:0:0:0"
        d.ok("--op", "update", "--mode", "lu", "--tid", 1, "--lun", 2, "-P", "mode_page=" + page)
        d.ok("--op", "update", "--mode", "lu", "--tid", 1, "--lun", 2, "-P",
             "mode_page=0x0a:0:10:2:0:0:0:0:0:0:0:2:0")
        assert d.ctl("dump", A).stdout.count("mode_page") == 2


def test_accounts_of_fragments_are_seen_and_deleted_everywhere():
    with ours() as d:
        for name, tid in (A, 1), (B, 2):
            d.ok("--op", "new", "--mode", "target", "--tid", tid, "-T", name)
        d.ctl("account", "add", A, "joe", "--secret", "a-secret-of-joe")
        d.ok("--op", "bind", "--mode", "account", "--tid", 2, "--user", "joe")
        assert d.ok("--op", "show", "--mode", "account") == "Account list:\n    joe\n"
        assert d.run("--op", "new", "--mode", "account", "--user", "joe", "--password", "x").code == 22
        d.ok("--op", "delete", "--mode", "account", "--user", "joe")
        assert d.ok("--op", "show", "--mode", "account") == ""
        assert "joe" not in d.ok("--op", "show", "--mode", "target")


def test_gone_after_a_stop_but_not_after_a_restart():
    with tgt.scratch() as d:
        path = tgt.sparse(os.path.join(d, "disk.img"), 1 << 20)
        with stgt.Ours(d) as running:
            running.ok("--op", "new", "--mode", "target", "--tid", 4, "-T", A)
            running.ok("--op", "new", "--mode", "lu", "--tid", 4, "--lun", 1, "-b", path)
            running.ok("--op", "new", "--mode", "account", "--user", "u", "--password", "a-secret-of-u")
            before = running.ok("--op", "show", "--mode", "target")
        with stgt.Ours(d) as running:  # /run is kept over a restart
            assert running.ok("--op", "show", "--mode", "target") == before
            assert running.ok("--op", "show", "--mode", "account") == "Account list:\n    u\n"
        assert os.listdir(os.path.join(d, "state", "targets.d")) == [] \
            if os.path.isdir(os.path.join(d, "state", "targets.d")) else True
        tgt.run("rm", "-r", os.path.join(d, "run"))
        with stgt.Ours(d) as running:
            assert running.ok("--op", "show", "--mode", "target") == ""


def test_as_in_a_container():
    """Started as stgt is, as root, without systemd, bus and anything that is there already; two of them."""
    ports = [tgt.free_port() for _ in range(3)]
    with tgt.scratch() as d:
        os.makedirs(os.path.join(d, "bin"))
        for name in stgt.PROGRAMS:
            os.symlink(tgt.TGTCTL, os.path.join(d, "bin", name))
        disk = tgt.sparse(os.path.join(d, "disk.img"), 1 << 20)
        p = tgt.run("unshare", "-m", "bash", "-ec", f"""
            for dir in /run /var/lib /etc; do mount -t tmpfs tmpfs $dir; done
            export PATH={d}/bin:$PATH
            trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
            {tgt.TGTD} -f -t 16 -d 0 -p {d}/pid --iscsi portal=127.0.0.1:{ports[0]},portal=127.0.0.1:{ports[1]} &
            one=$!
            {tgt.TGTD} -D -C 5 --debug 1 --iscsi portal=127.0.0.1:{ports[2]} &
            for n in 0 5; do
                for _ in $(seq 100); do tgtadm -C $n --op show --mode sys > /dev/null 2>&1 && break; sleep 0.05; done
            done
            [ "$(cat {d}/pid)" = $one ]
            tgtadm --op show --mode portal
            tgtadm --lld iscsi --op new --mode target --tid 1 -T {A}
            tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun 1 -b {disk}
            tgtadm -C 5 --lld iscsi --op new --mode target --tid 1 -T {B}
            tgtadm -C 5 --lld iscsi --op new --mode portal --param portal=[::1]:0 && exit 1
            tgtadm --op show --mode lld; tgt-admin -C 5 -s
            tgtadm -C 5 --op show --mode sys
            ls /run/tgt/instance.5/targets.d /run/tgt/targets.d
            for n in 0 5; do
                tgtadm -C $n --op delete --mode target --tid 1 --force
                tgtadm -C $n --op delete --mode sys
            done
            wait
            [ ! -e {d}/pid ]
            echo DONE
            """, timeout=60)
        out = p.stdout
        assert out.endswith("DONE\n"), out
        assert f"Portal: 127.0.0.1:{ports[1]},1\nPortal: 127.0.0.1:{ports[0]},1\n" in out, out
        assert f"Target 1: {A}" in out and f"Target 1: {B}" in out and "    debug: on\n" in out, out
        for option, words in (("--iser port=1", "not supported by this build"), ("--iscsi nop_interval=5", "targets.conf"),
                              ("--iscsi portal=example.com", "names are not looked up"), ("-d 7", "0 or 1 expected")):
            p = tgt.run(tgt.TGTD, *option.split(), check=False)
            assert p.returncode == 2 and words in p.stdout, (option, p.stdout)


def test_numbers_of_targets():
    """The lowest that is free, but never one that somebody asks for."""
    names = [f"iqn.2026-01.org.example:n{i}" for i in range(6)]
    text = "".join(f"<target {n}>\n{'controller_tid 2' if i == 4 else ''}\n</target>\n"
                   for i, n in enumerate(names[:5]))
    with ours(fragments={"a.conf": text}) as d:
        def tids():
            return sorted(map(int, re.findall(r"Target (\d+):", d.ok("--op", "show", "--mode", "lld"))))
        assert tids() == [1, 2, 3, 4, 5], tids()
        assert f"Target 2: {names[4]}" in d.ok("--op", "show", "--mode", "lld")
        d.ok("--op", "delete", "--mode", "target", "--tid", 3)
        d.ctl("create", names[5])
        assert f"Target 3: {names[5]}" in d.ok("--op", "show", "--mode", "lld")
        d.ok("--op", "new", "--mode", "target", "--tid", 9, "-T", A)
        d.ctl("create", B)
        d.ctl("create", C)
        assert tids() == [1, 2, 3, 4, 5, 6, 7, 9], tids()


def test_what_is_stopped_forgets():
    """As with stgt, also where no systemd removes /run/tgt; what is made to stay stays, and a crash is no stop."""
    with tgt.scratch() as d, stgt.Ours(d) as run:
        def shown():
            return run.ok("--op", "show", "--mode", "target")
        run.fragment("a.conf", f"<target {B}>\n</target>\n")
        run.ctl("create", C)
        run.ctl("reload")
        run.ok("--op", "new", "--mode", "target", "--tid", 7, "-T", A)
        run.ok("--op", "delete", "--mode", "target", "--tid", re.search(r"(\d+): " + B, shown()).group(1))
        run.kill()
        run.start()
        assert A in shown() and B not in shown() and C in shown()
        run.ctl("stop", "--force")
        assert run.process.wait(20) == 0
        run.start()
        assert A not in shown() and B in shown() and C in shown()


def test_a_second_instance_and_stopping():
    with tgt.scratch() as d, tgt.scratch() as e:
        with stgt.Ours(d) as first:
            second = stgt.Ours(e, args=["--control-port", "3"])
            second.socket = second.env["TGT_IPC_SOCKET"] = first.socket
            second.start()
            try:
                first.ok("--op", "new", "--mode", "target", "--tid", 1, "-T", A)
                first.ok("-C", 3, "--op", "new", "--mode", "target", "--tid", 1, "-T", B)
                assert A in first.ok("--op", "show", "--mode", "target")
                out = first.ok("--control-port", 3, "--op", "show", "--mode", "target")
                assert B in out and A not in out, out
                r = first.run("-C", 3, "--op", "delete", "--mode", "sys")
                assert r.code == 22 and r.err.startswith("tgtadm: invalid request: 1 target is served"), r
                first.ok("-C", 3, "--op", "delete", "--mode", "target", "--tid", 1)
                first.ok("-C", 3, "--op", "delete", "--mode", "sys")
                assert second.process.wait(20) == 0, second.log()
                assert first.run("-C", 3, "--op", "show", "--mode", "sys").code == 107
            finally:
                if second.process.poll() is None:
                    second.kill()


tgt.main()
