#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that was served by stgt is the same disk to a host when we serve it: with `identity stgt` the
serial number and the designators by which multipath and hypervisors know it are stgt's, byte for byte."""
import contextlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import rawiscsi  # noqa: E402
import stgt  # noqa: E402
import tgt  # noqa: E402

NAME = "iqn.2026-01.org.example:disk"
INITIATOR = "iqn.2026-01.org.example:raw"


def inquiry(port, lun, page=None):
    raw = rawiscsi.Raw(port, initiator=INITIATOR, target=NAME)
    lun |= 0x4000 if lun > 255 else 0  # flat space addressing, SAM-5 4.7.7.3
    try:
        raw.login()
        raw.ready(lun)
        cdb = bytes([0x12, 0 if page is None else 1, page or 0, 0, 252, 0])
        itt = raw.command(cdb, lun=lun, read=252)
        status, data, _sense, _pdu = raw.response(itt)
        assert status == 0, status
        return bytes(data)
    finally:
        raw.close()


def designators(data):
    """{(association, type): designator} of page 83h, SPC-5 7.7.6."""
    found, p = {}, 4
    while p < len(data):
        n = data[p + 3]
        found.setdefault((data[p + 1] >> 4 & 3, data[p + 1] & 15, data[p + 4] >> 4 if data[p + 1] & 15 == 3 else 0),
                         data[p + 4:p + 4 + n])
        p += 4 + n
    return found


@contextlib.contextmanager
def both(tid, luns):
    """The same disks, served by stgt and by us with its identities."""
    with tgt.scratch() as d:
        paths = {lun: tgt.sparse(os.path.join(d, f"{lun}.img"), 8 << 20) for lun in luns}
        stores = "".join(f"  <backing-store {p}>\n    lun {lun}\n    {more}\n  </backing-store>\n"
                         for (lun, more), p in zip(luns.items(), paths.values()))
        fragment = (f"<target {NAME}>\n  controller_tid {tid}\n  identity stgt\n{stores}"
                    "  initiator-address ALL\n</target>\n")
        with stgt.Stgt(d) as theirs, stgt.Ours(d, fragments={"a.conf": fragment}) as ours:
            run = theirs.run
            assert run("--op", "new", "--mode", "target", "--tid", tid, "-T", NAME).code == 0
            for lun, more in luns.items():
                assert run("--op", "new", "--mode", "lu", "--tid", tid, "--lun", lun, "-b", paths[lun]).code == 0
                for setting in filter(None, more.split("\n")):
                    key, value = setting.split(None, 1)
                    assert run("--op", "update", "--mode", "lu", "--tid", tid, "--lun", lun, "-P",
                               f"{key.strip()}={value}").code == 0
            assert run("--op", "bind", "--mode", "target", "--tid", tid, "-I", "ALL").code == 0
            yield theirs, ours


def compare(tid, luns):
    with both(tid, luns) as (theirs, ours):
        for lun in luns:
            a, b = inquiry(theirs.port, lun), inquiry(ours.port, lun)
            assert a[8:36] == b[8:36], ("vendor, product, revision", a[8:36], b[8:36])
            a, b = inquiry(theirs.port, lun, 0x80), inquiry(ours.port, lun, 0x80)
            assert a == b, ("page 80h", lun, a, b)
            a, b = inquiry(theirs.port, lun, 0x83), inquiry(ours.port, lun, 0x83)
            x, y = designators(a), designators(b)
            for key in x:  # of ours there are further ones: ports, SCSI names
                assert x[key] == y.get(key), ("page 83h", lun, key, x[key], y.get(key), a, b)
        shown = [r.run("--op", "show", "--mode", "target").out for r in (theirs, ours)]
        ids = [[line for line in s.splitlines() if "SCSI ID" in line or "SCSI SN" in line] for s in shown]
        assert ids[0] == ids[1], ids


def test_identities_of_stgt():
    compare(1, {1: "", 2: "", 11: "", 255: ""})


def test_other_numbers():
    compare(4711, {1: "", 300: "", 16383: ""})


def test_identities_that_were_set():
    compare(7, {1: "scsi_id my-disk\nscsi_sn serial-1", 2: "vendor_id ACME\nproduct_id Disk\nproduct_rev 7"})


tgt.main()
