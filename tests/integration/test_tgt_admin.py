#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tgt-admin: from a file to what runs and back, beside the one of stgt where the two can be compared."""
import contextlib
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import stgt  # noqa: E402
import tgt  # noqa: E402

A, B, C = (f"iqn.2026-01.org.example:{x}" for x in "abc")
ADMIN = {"program": "tgt-admin"}


@contextlib.contextmanager
def ours(conf=None, **kw):
    with tgt.scratch() as d:
        running = stgt.Ours(d, **kw)
        running.conf = os.path.join(running.config, "targets.conf")
        if conf is not None:
            write(running.conf, conf)
        running.disks = [tgt.sparse(os.path.join(d, f"disk{i}.img"), (i + 1) << 20) for i in range(6)]
        with running:
            yield running


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


def block(name, *lines):
    return f"<target {name}>\n" + "".join(f"\t{line}\n" for line in lines) + "</target>\n"


def listing(d):
    return d.ok("-s", **ADMIN)


@contextlib.contextmanager
def session(d, name, lun=1):
    p = subprocess.Popen(
        ["qemu-io", "--image-opts",
         f"driver=raw,file.driver=iscsi,file.transport=tcp,file.portal=127.0.0.1:{d.port},"
         f"file.target={name},file.lun={lun},file.initiator-name=iqn.2026-01.org.example:host"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    tgt.eventually(lambda: "I_T nexus:" in listing(d), what="a session")
    try:
        yield p
    finally:
        p.kill()
        p.wait()
        p.stdin.close()
        p.stdout.close()


def test_the_wiki():
    """What the Arch wiki has one type, as it stands there but for names and paths."""
    with ours() as d:
        sh = f"export PATH={d.bin}:$PATH TGT_IPC_SOCKET={d.socket}; set -e\n"

        def shell(text):
            return tgt.run("bash", "-c", sh + text, stderr=subprocess.STDOUT).stdout

        shell(f"tgtadm --lld iscsi --mode target --op new --tid=1 --targetname {A}\n"
              f"tgtadm --lld iscsi --mode logicalunit --op new --tid=1 --lun=1 --backing-store={d.disks[0]}\n"
              "tgtadm --lld iscsi --mode target --op bind --tid=1 --initiator-name=iqn.2026-01.org.example:host\n"
              "tgtadm --lld iscsi --mode target --op bind --tid=1 --initiator-address=127.0.0.1\n")
        shown = shell("tgtadm --lld iscsi --mode target --op show --tid 1")
        names = [line.split("=")[0] for line in shown.splitlines()]
        assert names == [
            "nop_interval", "nop_count", "MaxRecvDataSegmentLength", "HeaderDigest", "DataDigest", "InitialR2T",
            "MaxOutstandingR2T", "ImmediateData", "FirstBurstLength", "MaxBurstLength", "DataPDUInOrder",
            "DataSequenceInOrder", "ErrorRecoveryLevel", "IFMarker", "OFMarker", "DefaultTime2Wait",
            "DefaultTime2Retain", "OFMarkInt", "IFMarkInt", "MaxConnections", "RDMAExtensions",
            "TargetRecvDataSegmentLength", "InitiatorRecvDataSegmentLength", "MaxOutstandingUnexpectedPDUs",
            "MaxXmitDataSegmentLength", "MaxQueueCmd"], shown
        before = shell("tgt-admin -s")
        assert "        127.0.0.1\n        iqn.2026-01.org.example:host\n" in before, before
        shell(f"tgt-admin --dump > {d.conf}")
        shell("tgt-admin --update ALL")
        assert shell("tgt-admin -s") == before
        # it is the file's now: nothing of tgtadm's is left that could hide it
        assert os.listdir(os.path.join(d.runtime, "targets.d")) == []
        with session(d, A):
            shell("tgt-admin --update ALL")
            assert "I_T nexus:" in shell("tgt-admin -s")
            shell(f"sed -i 's/MaxBurst.*//' {d.conf}; tgt-admin --update ALL --force")
            shell("tgt-admin --update tid=1 --force")
            assert "I_T nexus:" in shell("tgt-admin -s"), "what did not differ was disturbed"


def test_update_of_the_daemons_own_file():
    first = block(A, "backing-store {0}", "initiator-address ALL") + block(B, "backing-store {1}")
    with ours() as d:
        write(d.conf, first.format(*d.disks))
        d.ok("--update", "ALL", **ADMIN)
        assert A in listing(d) and B in listing(d)
        with session(d, A) as p:
            nexus = re.search(r"I_T nexus: \d+", listing(d)).group(0)
            # a LUN more, a parameter, and the other target goes: the session stays
            write(d.conf, block(A, f"backing-store {d.disks[0]}", f"backing-store {d.disks[2]}",
                                "MaxBurstLength 131072", "initiator-address ALL") + block(C))
            out = d.ok("--update", "ALL", "-v", **ADMIN)
            assert f"# + target {A} lun 2" in out and f"# - target {B}" in out, out
            shown = listing(d)
            assert nexus in shown and "        LUN: 2\n" in shown and B not in shown and C in shown, shown
            # taking away what is used needs force, and says so
            write(d.conf, block(A, f"backing-store {d.disks[2]}", "initiator-address ALL"))
            out = d.ok("--update", "ALL", **ADMIN)
            assert out == f"# Target with tid 1 ({A}) is in use, it won't be updated.\n", out
            assert d.disks[0] in listing(d) and C not in listing(d)
            out = d.ok("--update", A, "-p", "--force", **ADMIN)
            assert "lun" in out and d.disks[0] in listing(d), out
            d.ok("--update", A, "--force", **ADMIN)
            assert d.disks[0] not in listing(d)
            assert p.poll() is None
        # what tgtadm changes is taken back by an update, of this target alone
        for name, tid in (A, 1), (C, 5):
            if name == C:
                d.ok("--op", "new", "--mode", "target", "--tid", tid, "-T", name)
            d.ok("--op", "update", "--mode", "target", "--tid", tid, "-n", "MaxBurstLength", "-v", 65536)
        d.ok("--update", "tid=1", **ADMIN)
        assert "MaxBurstLength=1048576" in d.ok("--op", "show", "--mode", "target", "--tid", 1)
        assert "MaxBurstLength=65536" in d.ok("--op", "show", "--mode", "target", "--tid", 5)
        # deleted by hand, it comes back with an update
        d.ok("--delete", A, **ADMIN)
        assert A not in listing(d)
        d.ok("--update", A, **ADMIN)
        assert A in listing(d)
        # -e makes what is missing, and takes away what tgtadm made
        d.ok("--delete", A, **ADMIN)
        d.ok("-e", **ADMIN)
        assert A in listing(d) and C not in listing(d)


def test_errors_name_file_and_line_and_change_nothing():
    with ours() as d:
        for text, line, words, code in (
                (block(A, "backing-store {0}", "MaxBurstLength 3"), 3, "MaxBurstLength", 1),
                (block(A, "backing-store {0}", "bogus 1"), 3, "bogus: unknown directive", 1),
                (block(A, "direct-store /dev/sdx"), 2, "direct-store: not supported by this build", 1),
                (block(A, "driver iser"), 2, "not supported by this build", 1),
                ("iSNS On\n" + block(A), 1, "iSNS: not supported by this build", 1),
                (block(A, "incominguser joe PLEASE_CORRECT_THE_PASSWORD"), 2, "write the secret", 1),
                ("<target " + A + ">\nbacking-store {0}\n", 1, "not closed", 255)):
            path = write(os.path.join(d.dir, "x.conf"), block(B, "backing-store {1}").format(*d.disks) +
                         text.format(*d.disks))
            r = d.run("-e", "-c", path, **ADMIN)
            assert r.code == code and f"{path}:{line + 3}: " in r.err and words in r.err, (text, r)
            assert listing(d) == ""
        # others go on if told so
        write(path, block(B, f"backing-store {d.disks[1]}") + block(A, "bogus 1"))
        assert d.run("-e", "-c", path, "--ignore-errors", **ADMIN).code == 0
        assert B in listing(d) and A not in listing(d)
        # ... which the file may do as well
        bad = block(A, "bogus 1") + block(C, f"backing-store {d.disks[0]}")
        write(path, bad)
        assert d.run("-e", "-c", path, **ADMIN).code == 1 and C not in listing(d)
        write(path, "ignore-errors no\n" + bad)
        assert d.run("-e", "-c", path, **ADMIN).code == 1 and C not in listing(d)
        write(path, "ignore-errors yes\n" + bad)
        r = d.run("-e", "-c", path, **ADMIN)
        assert r.code == 0 and "bogus" in r.err and C in listing(d) and A not in listing(d), r
        # the daemon's own refusals, too: a number that is another target's
        write(path, block(B, f"backing-store {d.disks[1]}"))
        d.ok("--update", B, "-c", path, **ADMIN)
        tid = re.search(rf"Target (\d+): {B}", listing(d)).group(1)
        text = block(A, f"backing-store {d.disks[2]}", f"controller_tid {tid}") + block(C, "alias x")
        write(path, text)
        assert d.run("-e", "-c", path, **ADMIN).code == 22
        r = d.run("-e", "-c", write(path, "ignore-errors yes\n" + text), **ADMIN)
        assert r.code == 0 and f"{tid} is the number of" in r.err and A not in listing(d) and C in listing(d), r
        d.ok("--delete", "ALL", program="tgt-admin")
        # a problem of another target is none of this one's
        write(path, block(B, f"backing-store {d.disks[2]}") + block(A, "bogus 1"))
        d.ok("--update", B, "-c", path, **ADMIN)
        assert d.disks[2] in listing(d)
        # a device that is not there yet is waited for
        write(path, block(C, f"backing-store {d.dir}/later.img"))
        d.ok("--update", C, "-c", path, **ADMIN)
        assert f"            Online: No\n" in listing(d)


def test_another_file():
    with ours() as d:
        path = write(os.path.join(d.dir, "x.conf"),
                     "incomingdiscoveryuser disc secret-of-disc\n" +
                     block(A, f"backing-store {d.disks[0]}", "incominguser joe secret-of-joe1", "controller_tid 4") +
                     block(B, f"<backing-store {d.disks[1]}>", "lun 7", "vendor_id ACME", "</backing-store>"))
        out = d.ok("-e", "-p", "-c", path, **ADMIN)
        assert f"# Adding target: {A}" in out and listing(d) == "", out
        d.ok("-e", "-c", path, **ADMIN)
        shown = listing(d)
        assert f"Target 4: {A}" in shown and "        joe\n" in shown and "        LUN: 7\n" in shown, shown
        out = d.ok("-e", "-c", path, "-v", **ADMIN)
        assert f"# Target {A} already exists!" in out, out
        assert "    disc\n" in d.ok("--op", "show", "--mode", "sys")
        # nothing differs, nothing is done
        generation = d.ctl("show").stdout
        d.ok("--update", "ALL", "-c", path, **ADMIN)
        g = re.search(r"Generation=\d+", generation).group(0)
        assert g in d.ctl("show").stdout
        write(path, block(A, f"backing-store {d.disks[0]}", "controller_tid 4"))
        d.ok("--update", "ALL", "-c", path, **ADMIN)
        assert B not in listing(d) and "joe" not in listing(d)
        d.ok("--update", "ALL", "-c", "/dev/null", "-f", **ADMIN)
        assert listing(d) == ""


def test_a_file_names_its_instance():
    """control-port in a file: the targets are made there, and nowhere else."""
    with tgt.scratch() as e, ours() as first:
        second = stgt.Ours(e, args=["--control-port", "3"])
        second.socket, second.env = first.socket, first.env
        with second:
            path = write(os.path.join(e, "x.conf"), "control-port 3\n" + block(A, f"backing-store {first.disks[0]}"))
            first.ok("-e", "-c", path, **ADMIN)
            assert listing(first) == "" and A in first.ok("-s", "-C", 3, **ADMIN)
            r = first.run("--update", "ALL", "-c", path, "-C", 3, **ADMIN)
            assert r.code == 1 and "Multiple control-port definitions are not allowed!" in r.out, r
            out = first.ok("--update", "ALL", "-c", write(path, "control-port 3\n"), "-v", **ADMIN)
            assert "tgtadm -C 3 " in out and first.ok("-s", "-C", 3, **ADMIN) == "", out
            # where nobody is
            r = first.run("-e", "-c", write(path, "control-port 4\n" + block(A)), **ADMIN)
            assert r.code == 107, r
            r = first.run("-e", "-c", write(path, "control-port 40000\n" + block(A)), **ADMIN)
            assert r.code == 1 and f"{path}:1: control-port: " in r.err, r


def test_dump_round_trips():
    with ours() as d:
        d.ok("--op", "new", "--mode", "target", "--tid", 3, "-T", A)
        d.ok("--op", "new", "--mode", "lu", "--tid", 3, "--lun", 9, "-b", d.disks[0], "-y", 4096, "-f", "sync:direct",
             "-P", "vendor_id=A, B,scsi_sn=a #1,thin_provisioning=1,write-cache=off")
        d.ok("--op", "new", "--mode", "lu", "--tid", 3, "--lun", 2, "-b", d.disks[1], "-E", "aio")
        d.ok("--op", "new", "--mode", "lu", "--tid", 3, "--lun", 1, "-E", "null", "-b", "/dev/null")
        for acl in (("-I", "ALL"), ("-I", "10.0.0.0/8"), ("-I", "2001:db8::/32"), ("-Q", "iqn.2026-01.org.example:x")):
            d.ok("--op", "bind", "--mode", "target", "--tid", 3, *acl)
        for user in "u 1", "u2", "u3":
            d.ok("--op", "new", "--mode", "account", "--user", user, "--password", f"a secret, of {user} #")
        d.ok("--op", "bind", "--mode", "account", "--tid", 3, "--user", "u 1")
        d.ok("--op", "bind", "--mode", "account", "--tid", 3, "--user", "u2", "--outgoing")
        d.ok("--op", "bind", "--mode", "account", "--user", "u3")
        d.ok("--op", "update", "--mode", "target", "--tid", 3, "-n", "MaxBurstLength", "-v", 65536)
        d.ok("--op", "update", "--mode", "target", "--tid", 3, "-n", "nop_interval", "-v", 9)
        d.ok("--op", "update", "--mode", "target", "--tid", 3, "-n", "state", "-v", "offline")
        d.ok("--op", "new", "--mode", "target", "--tid", 8, "-T", B)  # nobody may enter
        shown, whole = listing(d), d.ok("--dump", "--with-secrets", **ADMIN)
        dumped = d.ok("--dump", **ADMIN)
        assert dumped.startswith("default-driver iscsi\n\n") and "a secret" not in dumped, dumped
        assert 'incominguser "u 1" PLEASE_CORRECT_THE_PASSWORD\n' in dumped, dumped
        # which must not make a target with a secret that everybody knows
        path = write(os.path.join(d.dir, "x.conf"), dumped)
        assert d.run("--update", "ALL", "-c", path, **ADMIN).code == 1 and listing(d) == shown
        d.ok("--delete", "ALL", **ADMIN)
        assert listing(d) == ""
        write(path, whole)
        d.ok("--update", "ALL", "-c", path, **ADMIN)
        assert listing(d) == shown
        assert d.ok("--dump", "--with-secrets", **ADMIN) == whole
        write(d.conf, whole)
        d.ok("--update", "ALL", **ADMIN)
        assert d.ok("--dump", "--with-secrets", **ADMIN) == whole and listing(d) == shown


def test_states_and_deleting():
    with ours() as d:
        path = write(os.path.join(d.dir, "x.conf"), "".join(
            block(n, f"backing-store {p}", "initiator-address ALL") for n, p in zip((A, B, C), d.disks)))
        d.ok("-e", "-c", path, **ADMIN)
        d.ok("--offline", "ALL", **ADMIN)
        assert listing(d).count("State: offline") == 3
        d.ok("--ready", B, **ADMIN)
        d.ok("--ready", "tid=1", **ADMIN)
        assert listing(d).count("State: offline") == 1
        d.ok("--ready", "ALL", **ADMIN)
        with session(d, B):
            assert "in use" in d.ok("--delete", "ALL", "-v", **ADMIN)
            shown = listing(d)
            assert B in shown and A not in shown and C not in shown, shown
            d.ok("--offline", "ALL", **ADMIN)
            d.ok("--delete", "tid=2", "--force", **ADMIN)
        assert listing(d) == ""


def test_exit_codes_are_stgts():
    with tgt.scratch() as tmp:
        disk = tgt.sparse(os.path.join(tmp, "disk.img"), 1 << 20)
        conf = write(os.path.join(tmp, "a.conf"), block(A, f"backing-store {disk}", "initiator-address 127.0.0.1"))
        broken = write(os.path.join(tmp, "b.conf"), f"<target {B}>\n")
        with stgt.Stgt(tmp) as theirs, stgt.Ours(tmp) as d:
            for argv, same in (
                    ([], False), (["-h"], False), (["--bogus"], True), (["-e", "-c", conf], True),
                    (["-e", "-c", conf, "-v"], False), (["--update", "ALL", "-c", conf], True),
                    (["--update", A, "-c", conf], True), (["--update", "tid=1", "-c", conf], True),
                    (["--update", "tid=99", "-c", conf], True), (["--update", B, "-c", conf], True),
                    (["--update", "ALL", "-c", tmp + "/none"], True), (["-e", "-c", broken], False),
                    (["--delete", "tid=99"], True), (["--delete", B], True), (["--delete", "help"], False),
                    (["--offline", B], True), (["--offline", "tid=99"], False), (["--offline", A], True),
                    (["--offline", "ALL", "--ready", "ALL"], True), (["--ready", "ALL", "-v"], True),
                    (["--delete", "tid=99", "-v"], True),
                    (["--update", "ALL", "-c", "/dev/null"], True), (["-s"], True)):
                a, b = theirs.run(*argv, **ADMIN), d.run(*argv, **ADMIN)
                assert a.code == b.code, (argv, a, b)
                if same:
                    assert a.out.split() == b.out.split(), (argv, a, b)
        for argv in ["-s"], ["-e", "-c", conf], ["--update", "ALL", "-c", conf]:
            a, b = theirs.run(*argv, **ADMIN), d.run(*argv, **ADMIN)
            assert a.code == b.code == 107, (argv, a, b)


def test_cinder():
    """What OpenStack Cinder's tgt driver runs, as it runs it."""
    with ours() as d:
        volumes = os.path.join(d.dir, "volumes")
        os.mkdir(volumes)
        write(d.conf, f"include {volumes}/*\n")
        iqn = "iqn.2010-10.org.openstack:volume-00000001"
        write(os.path.join(volumes, "volume-00000001"),
              f"\n<target {iqn}>\n    backing-store {d.disks[0]}\n    driver iscsi\n"
              "    incominguser chapuser chappassword123\n    bsoflags sync\n    write-cache on\n</target>\n")
        assert d.ok("--update", iqn, **ADMIN) == ""
        out = d.ok("--lld", "iscsi", "--op", "show", "--mode", "target")
        tid = re.search(rf"^Target (\d+): {re.escape(iqn)}$", out, re.M).group(1)
        assert "            LUN: 1" not in out and re.search(r"^ +LUN: 1$", out, re.M), out
        assert "Backing store flags: sync\n" in out and "        chapuser\n" in out, out
        # it looks whether LUN 1 is there, and adds it if not
        r = d.run("--lld", "iscsi", "--op", "new", "--mode", "logicalunit", "--tid", tid, "--lun", "1", "-b", d.disks[0])
        assert r.code == 22 and "this logical unit number already exists" in r.err, r
        assert "        chapuser\n" in listing(d)
        # after a restart of the volume service the target is there already
        assert d.ok("--update", iqn, **ADMIN) == ""
        r = d.run("--op", "new", "--mode", "target", "--tid", tid, "-T", iqn)
        assert "target already exists" in r.err, r
        # and goes: the file may still be there
        d.ok("--force", "--delete", iqn, **ADMIN)
        assert iqn not in listing(d)
        os.unlink(os.path.join(volumes, "volume-00000001"))
        assert d.ok("--force", "--delete", iqn, **ADMIN) == ""
        r = d.run("--update", iqn, **ADMIN)
        assert r.code == 1 and "can't continue" in r.out, r
        d.ctl("reload")
        assert listing(d) == ""


def test_longhorn():
    """What Longhorn's engine runs in its container, where there is no bus."""
    with ours() as d:
        t = ["--lld", "iscsi"]
        iqn = "iqn.2019-10.io.longhorn:vol"
        assert d.run(*t, "--mode", "sys", "--op", "show").code == 0
        d.ok(*t, "--op", "new", "--mode", "target", "--tid", "1", "-T", iqn)
        d.ok(*t, "--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", d.disks[0], "--bstype", "rdwr")
        d.ok(*t, "--op", "update", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "--params",
             "thin_provisioning=1")
        d.ok(*t, "--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL")
        out = d.ok(*t, "--op", "show", "--mode", "target")
        assert f"Target 1: {iqn}" in out and "Thin-provisioning: Yes" in out, out
        with session(d, iqn):
            conn = d.ok(*t, "--op", "show", "--mode", "conn", "--tid", "1")
            sid = re.search(r"Session: (\d+)", conn).group(1)
            cid = re.search(r"Connection: (\d+)", conn).group(1)
            d.ok(*t, "--op", "delete", "--mode", "conn", "--tid", "1", "--sid", sid, "--cid", cid)
        d.ok(*t, "--op", "unbind", "--mode", "target", "--tid", "1", "-I", "ALL")
        d.ok(*t, "--op", "delete", "--mode", "logicalunit", "--tid", "1", "--lun", "1")
        d.ok(*t, "--op", "delete", "--mode", "target", "--tid", "1", "--force")
        d.ok(*t, "--op", "delete", "--mode", "sys")
        assert d.process.wait(20) == 0
        assert d.run(*t, "--mode", "sys", "--op", "show").code == 107


tgt.main()
