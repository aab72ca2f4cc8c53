#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tgt-setup-lun and tgtimg, beside those of stgt."""
import contextlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import stgt  # noqa: E402
import tgt  # noqa: E402

NAME = "iqn.2026-01.org.example:three"


@contextlib.contextmanager
def both():
    with tgt.scratch() as d:
        disks = [tgt.sparse(os.path.join(d, f"{i}.img"), 10 << 20) for i in range(4)]
        with stgt.Stgt(d) as theirs, stgt.Ours(d) as ours:
            yield theirs, ours, disks


def test_setup_lun():
    with both() as (theirs, ours, disks):
        for argv in (["-n", "one", "-d", disks[0]], ["-n", "one", "-d", disks[1]],
                     ["-n", NAME, "-d", "/nonexistent"],
                     ["-n", NAME, "-d", disks[2], "-b", "aio", "-B", "4096", "127.0.0.1", "10.0.0.1"],
                     ["-n", "four"]):
            a, b = (r.run(*argv, program="tgt-setup-lun") for r in (theirs, ours))
            assert (a.code, a.out) == (b.code, b.out), (argv, a, b)
            assert bool(a.err) == bool(b.err), (argv, a, b)
        listings = [[line for line in r.run("--op", "show", "--mode", "target").out.splitlines()
                     if "SCSI ID" not in line and "SCSI SN" not in line] for r in (theirs, ours)]
        assert listings[0] == listings[1], listings
        # what cannot be done leaves nothing behind
        before = ours.ok("--op", "show", "--mode", "target")
        for argv, words in ((["-n", "six", "-d", disks[3], "-b", "bogus"], "failed to add a logical unit"),
                            (["-n", "x", "-d", disks[3], "-t", "iser"], "iser is not supported by this build"),
                            (["-n", "x", "-d", disks[3], "no address"], "no address"),
                            (["-d", disks[3]], "a target name is mandatory"), (["-n", "x", "-d", disks[3], "-C", "x"], "a control port from 0")):
            r = ours.run(*argv, program="tgt-setup-lun")
            assert r.code == 1 and words in r.out + r.err, (argv, r)
            assert ours.ok("--op", "show", "--mode", "target") == before
        r = ours.run(program="tgt-setup-lun")
        assert r.code == 1 and "Usage: tgt-setup-lun" in r.err, r
        assert "Usage: tgt-setup-lun" in ours.ok("-h", program="tgt-setup-lun")
        ours.stop()
        r = ours.run("-n", "x", "-d", disks[3], program="tgt-setup-lun")
        assert r.code == 1 and "tgtd is not running" in r.err, r


def test_img():
    with tgt.scratch() as d:
        theirs, ours = stgt.Stgt(d), stgt.Ours(d)
        places = [os.path.join(d, x) for x in ("theirs", "ours")]
        for place in places:
            os.mkdir(place)
        for argv in (["-o", "new", "-Y", "disk", "-t", "disk", "-s", "5", "-f", "a"],
                     ["-o", "new", "-Y", "disk", "-t", "DISK", "-s", "5", "-f", "b", "--thin-provisioning"],
                     ["-o", "new", "-Y", "disk", "-s", "5", "-f", "c"],
                     ["-o", "new", "-Y", "disk", "-t", "disk", "-f", "c"],
                     ["-o", "new", "-Y", "disk", "-t", "disk", "-s", "5"],
                     ["-o", "new", "-Y", "disk", "-t", "disk", "-s", "0", "-f", "c"],
                     ["-o", "new", "-Y", "disk", "-t", "disk", "-s", "abc", "-f", "c"],
                     ["-o", "new", "-Y", "disk", "-t", "disk", "-s", "5", "-f", "/nonexistent/x"],
                     ["-o", "new", "-Y", "disk", "-t", "data", "-s", "5", "-f", "c"],
                     ["-o", "new", "-Y", "bogus", "-f", "c"], ["-o", "bogus"], [],
                     ["-o", "new", "-Y", "disk", "-t", "disk", "-s", "5", "-f", "c", "extra"]):
            a, b = (r.run(*argv, program="tgtimg", cwd=p) for r, p in zip((theirs, ours), places))
            assert (a.code, a.out, a.err) == (b.code, b.out, b.err), (argv, a, b)
            files = [{f: (s.st_size, s.st_blocks, s.st_mode) for f in os.listdir(p)
                      for s in [os.stat(os.path.join(p, f))]} for p in places]
            assert files[0] == files[1], (argv, files)
        assert files[1]["a"][:2] == (5 << 20, 5 << 11) and files[1]["b"][:2] == (5 << 20, 0), files
        # stgt writes over what is there
        with open(os.path.join(places[1], "a"), "r+b") as f:
            f.write(b"mine")
        r = ours.run("-o", "new", "-Y", "disk", "-t", "disk", "-s", "5", "-f", "a", program="tgtimg", cwd=places[1])
        assert r.code == 2 and "File exists" in r.err, r
        with open(os.path.join(places[1], "a"), "rb") as f:
            assert f.read(4) == b"mine"
        # -T is the letter of --thin-provisioning, as the manual has it
        assert ours.run("-o", "new", "-Y", "disk", "-t", "disk", "-s", "5", "-T", "-f", "t", program="tgtimg",
                        cwd=places[1]).code == 0
        assert os.stat(os.path.join(places[1], "t")).st_blocks == 0
        r = ours.run("-o", "show", "-Y", "disk", "-f", "a", program="tgtimg", cwd=places[1])
        assert r.code == 0 and "5242880 bytes (5 MB)" in r.out, r
        for device in "tape", "cd":
            r = ours.run("-o", "new", "-Y", device, "-t", "data", "-b", "x", "-s", "5", "-f", "z", program="tgtimg",
                         cwd=places[1])
            assert r.code == 22 and "not supported by this build" in r.err, r
            assert not os.path.exists(os.path.join(places[1], "z"))


def test_completion():
    completion = os.path.join(tgt.BUILD, "src", "ctl", "completion")
    tgt.run("zsh", "-n", os.path.join(completion, "_tgtadm"))
    script = f"""source /usr/share/bash-completion/bash_completion
source {completion}/tgtadm
c() {{ COMP_WORDS=("$@"); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE="$*"; COMP_POINT=${{#COMP_LINE}}; COMPREPLY=()
      _tgtadm "$1" "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"; echo "${{COMPREPLY[*]}}"; }}
"""
    with tgt.scratch() as d:
        with stgt.Ours(d) as ours:
            ours.ok("--op", "new", "--mode", "target", "--tid", 14, "-T", NAME)
            for words, expected in ((["tgtadm", "--mode", "po"], "portal"), (["tgtadm", "--tar"], "--targetname"),
                                    (["tgtadm", "--mode", "conn", "--op", ""], "show stat delete"),
                                    (["tgtadm", "--mode", "target", "--tid", ""], "14"),
                                    (["tgt-admin", "--upd"], "--update"), (["tgt-admin", "--update", "tid"], "tid=14"),
                                    (["tgt-setup-lun", "--blo"], "--blocksize"), (["tgtimg", "--op", "n"], "new")):
                quoted = " ".join(f"'{w}'" for w in words)
                p = tgt.run("bash", "-c", script + "c " + quoted, env={
                    **os.environ, "PATH": f"{ours.bin}:{os.environ['PATH']}", "TGT_IPC_SOCKET": ours.socket})
                assert p.stdout.strip() == expected, (words, p.stdout)


tgt.main()
