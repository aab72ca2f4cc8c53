#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Units under many LUNs, and drives with and without a medium, by tgtctl."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import rawiscsi  # noqa: E402
import tgt  # noqa: E402

A = "iqn.2026-01.org.example:a"


def ctl(d, *argv, check=True):
    return tgt.run(tgt.TGTCTL, "--socket", os.path.join(d.runtime, "control"), *argv, check=check)


def test_many_mappings_are_set_as_one():
    """More of them than a list of mappings tells."""
    with tgt.scratch() as dir_:
        path = tgt.sparse(os.path.join(dir_, "disk.img"), 1 << 20)
        luns = "".join(f"<backing-store {path}>\nlun {i}\n</backing-store>\n" for i in range(1, 151))
        with tgt.Daemon(dir_, {"a.conf": f"<target {A}>\n{luns}</target>\n"}) as d:
            ctl(d, "set-lun", "--runtime", A, 100, "readonly", "1")
            dumped = ctl(d, "dump", A).stdout
            assert dumped.count("readonly 1") == 150, dumped.count("readonly 1")
            unit = json.loads(ctl(d, "--json=short", "show", A + "/100").stdout)
            assert unit["Readonly"] is True and len(unit["Mappings"]) == 64, unit


def test_a_drive():
    with tgt.scratch() as dir_:
        with tgt.Daemon(dir_) as d:
            ctl(d, "create", A)
            ctl(d, "add-lun", A, "NONE", "--removable")
            shown = ctl(d, "show", A + "/1").stdout
            assert "State=not-ready" in shown and "Reason=there is no medium in it" in shown, shown
            assert "Path=\n" in shown and "Online=yes" in shown, shown
            assert "no medium" in ctl(d, "status", A).stdout
            tgt.sparse(os.path.join(dir_, "m.img"), 1 << 20)
            before = json.loads(ctl(d, "--json=short", "show", A + "/1").stdout)
            ctl(d, "set-lun", A, 1, f"--path={os.path.relpath(os.path.join(dir_, 'm.img'))}")
            after = json.loads(ctl(d, "--json=short", "show", A + "/1").stdout)
            assert after["State"] == "ready" and after["Size"] == 1 << 20, after
            for name in "Uuid", "Naa", "ScsiId", "Serial":
                assert before[name] == after[name], (name, before, after)
            p = ctl(d, "add-lun", A, "NONE", check=False)
            assert p.returncode == 1 and "or removable 1, for a drive without a medium" in p.stdout, p.stdout


def test_a_medium_that_is_not_to_be_had():
    """The change is refused, and the drive has what it had."""
    with tgt.scratch() as dir_:
        paths = [tgt.sparse(os.path.join(dir_, f"{n}.img"), 1 << 20) for n in (1, 2)]
        text = "".join(f"<backing-store {p}>\nlun {i}\nremovable 1\n</backing-store>\n" for i, p in enumerate(paths, 1))
        with tgt.Daemon(dir_, {"a.conf": f"<target {A}>\n{text}</target>\n"}) as d:
            def unit(lun):
                return json.loads(ctl(d, "--json=short", "show", f"{A}/{lun}").stdout)
            before = unit(1)
            generation = json.loads(ctl(d, "--json=short", "show").stdout)["Generation"]
            for path, words in (("/nonexistent", "No such file"),
                                (paths[1], "it has to be configured alike"), ("x", "No such file")):
                p = ctl(d, "set-lun", "--runtime", A, 1, "path", path, check=False)
                assert p.returncode != 0 and words in p.stdout, (path, p.stdout)
                assert unit(1) == before and unit(2)["State"] == "ready"
            assert json.loads(ctl(d, "--json=short", "show").stdout)["Generation"] == generation
            # out of the one drive, into the other
            second = unit(2)
            ctl(d, "set-lun", "--runtime", A, 2, "path", "NONE")
            ctl(d, "set-lun", "--runtime", A, 1, "path", paths[1])
            ctl(d, "set-lun", "--runtime", A, 2, "path", paths[0])
            assert (unit(1)["Path"], unit(2)["Path"]) == (paths[1], paths[0])
            assert (unit(1)["Uuid"], unit(2)["Uuid"]) == (before["Uuid"], second["Uuid"])
            assert (unit(1)["Naa"], unit(2)["Naa"]) == (before["Naa"], second["Naa"])
            assert unit(1)["State"] == unit(2)["State"] == "ready"
            assert len(json.loads(ctl(d, "--json=short", "list", "luns").stdout)) == 2


def test_long_identities():
    """As long as the standard lets them be."""
    with tgt.scratch() as dir_:
        path = tgt.sparse(os.path.join(dir_, "disk.img"), 1 << 20)
        text = f"<target {A}>\nbacking-store {path}\nvendor_id ACME\nscsi_id {'i' * 244}\nscsi_sn {'s' * 252}\n</target>\n"
        with tgt.Daemon(dir_, {"a.conf": text}) as d:
            r = rawiscsi.Raw(d.port, target=A)
            r.login()
            r.ready()
            pages = {}
            for page in 0x80, 0x83:
                status, data, _, _ = r.response(r.command(bytes([0x12, 1, page, 4, 0, 0]), read=1024))
                assert status == 0 and int.from_bytes(data[2:4], "big") == len(data) - 4
                pages[page] = data[4:]
            r.close()
            assert pages[0x80] == b"s" * 252
            assert pages[0x83][:4] == b"\x02\x01\x00\xfc" and pages[0x83][4:256] == b"ACME    " + b"i" * 244
            shown = ctl(d, "show", A + "/1").stdout
            assert f"ScsiId={'i' * 244}\n" in shown and f"Serial={'s' * 252}\n" in shown
            other = tgt.sparse(os.path.join(dir_, "other.img"), 1 << 20)  # what is longer is cut
            ctl(d, "add-lun", "--runtime", A, other, "--scsi-id=" + "j" * 245)
            assert f"ScsiId={'j' * 244}\n" in ctl(d, "show", A + "/2").stdout


tgt.main()
