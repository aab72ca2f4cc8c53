#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Fragments as people have them, and what is said about those that are wrong."""
import glob
import gzip
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402
from rawiscsi import Raw  # noqa: E402

# As it stands in the Arch wiki's page on TGT, with backing-store for direct-store; the device is a
# file here.
WIKI = """<target iqn.2004-01.nl.xtg:iscsi-server1>
 backing-store DEVICE
 write-cache on
 initiator-address ALL
 incominguser user password
 scsi_id 00010001
 vendor_id XTG
 lun 12
</target>
"""


def test_the_wiki_example():
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "sdb"), 16 << 20)
        with tgt.Daemon(d, {"w.conf": WIKI.replace("DEVICE", disk)}) as daemon:
            url = (f"iscsi://user%password@127.0.0.1:{daemon.port}/"
                   "iqn.2004-01.nl.xtg:iscsi-server1/12")
            out = tgt.run("iscsi-inq", url).stdout
            assert "Vendor:XTG" in out, out
            out = tgt.run("iscsi-inq", "-e", "1", "-c", "131", url).stdout
            assert "00010001" in out, out
            p = tgt.run("iscsi-inq", url.replace("user%password@", ""), check=False)
            assert p.returncode != 0, "no secret was asked for"


def test_fragments_in_the_wrong_folder():
    with tgt.scratch() as d:
        os.makedirs(os.path.join(d, "etc"))
        with open(os.path.join(d, "etc", "w.conf"), "w", encoding="utf-8") as f:
            f.write("<target iqn.2026-01.org.example:a>\n</target>\n")
        with tgt.Daemon(d) as daemon:
            words = f"{d}/etc/w.conf is not read: fragments belong into {d}/etc/targets.d"
            assert words in daemon.log() and "Serving 0 targets" in daemon.log(), daemon.log()
            p = tgt.run(tgt.TGTCTL, "verify", "--config-dir", os.path.join(d, "etc"), "--state-dir",
                        os.path.join(d, "state"))
            assert words in p.stdout, p.stdout


def test_direct_store_is_refused_by_name():
    with tgt.scratch() as d:
        path = os.path.join(d, "w.conf")
        with open(path, "w") as f:
            f.write(WIKI.replace("backing-store DEVICE", "direct-store /dev/sdb"))
        p = tgt.run(tgt.TGTCTL, "verify", path, check=False)
        assert p.returncode == 1
        assert f"{path}:2" in p.stdout and "direct-store" in p.stdout and \
            "support" in p.stdout, p.stdout


SHAPES = """# nested blocks, lists, merged blocks, per-target directives
default-driver iscsi
include DIR/more/*.conf
include DIR/nothing-here/*.conf

<target iqn.2026-01.org.example:nested>
    <backing-store DIR/a.img>
        vendor_id "My Co"
        lun 7
        scsi_sn SERIAL7
    </backing-store>
    <backing-store DIR/b.img>
        readonly 1   # trailing comment
        block-size 4096
    </backing-store>
    vendor_id OTHER
    write-cache off
    initiator-address 127.0.0.0/8
    initiator-address [::1]
    MaxRecvDataSegmentLength 65536
</target>
<target iqn.2026-01.org.example:merged>
    backing-store DIR/c.img
</target>
<target iqn.2026-01.org.example:merged>
    backing-store = DIR/d.img
    initiator-name iqn.2026-01.org.example:only
</target>
"""


def test_shapes_of_the_man_page():
    with tgt.scratch() as d:
        for n in "abcde":
            tgt.sparse(os.path.join(d, n + ".img"), 16 << 20)
        os.mkdir(os.path.join(d, "more"))
        with open(os.path.join(d, "more", "x.conf"), "w") as f:
            f.write(f"<target iqn.2026-01.org.example:included>\nbacking-store {d}/e.img\n</target>\n")
        with tgt.Daemon(d, {"s.conf": SHAPES.replace("DIR", d)}) as daemon:
            out = tgt.iscsi_ls(daemon)
            assert "nested" in out and "included" in out, out
            assert "merged" not in out, "a name restricts discovery too"
            base = f"iscsi://127.0.0.1:{daemon.port}/iqn.2026-01.org.example:nested/"
            out = tgt.run("iscsi-inq", base + "7").stdout
            assert "Vendor:My Co" in out, out
            out = tgt.run("iscsi-inq", base + "1").stdout
            assert "Vendor:OTHER" in out, out
            assert "SERIAL7" in tgt.run("iscsi-inq", "-e", "1", "-c", "128", base + "7").stdout
            out = tgt.run("iscsi-readcapacity16", base + "1").stdout
            assert "BYTES:4096" in out, out
            p = tgt.run("qemu-io", "-f", "raw", "-c", "write 0 4k", base + "1", check=False)
            assert p.returncode != 0 or "failed" in p.stdout.lower() or "read-only" in p.stdout
            raw = Raw(daemon.port, initiator="iqn.2026-01.org.example:only",
                      target="iqn.2026-01.org.example:merged").login()
            for lun in (1, 2):
                raw.ready(lun)
            raw.close()
            try:
                Raw(daemon.port, initiator="iqn.2026-01.org.example:else",
                    target="iqn.2026-01.org.example:merged").login()
            except AssertionError as e:
                assert "status 02" in str(e), e
            else:
                raise AssertionError("a name that is not in the list may log in")


def of_package(path):
    """A file of Debian's package tgt, installed or, where documentation is left out, unpacked."""
    if not os.path.exists(path):
        with tgt.scratch() as d:
            tgt.run("apt-get", "download", "tgt", cwd=d)
            deb, = glob.glob(os.path.join(d, "*.deb"))
            tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True)
            return subprocess.run(["tar", "-xO", "." + path], input=tar.stdout, check=True,
                                  capture_output=True).stdout
    with open(path, "rb") as f:
        return f.read()


def stgt_example():
    return of_package("/usr/share/doc/tgt/examples/targets.conf.example").decode()


def man_page_example():
    """The <target> blocks that stgt's targets.conf(5) ends with, as one reads them."""
    text = gzip.decompress(of_package("/usr/share/man/man5/targets.conf.5.gz")).decode()
    blocks = re.findall(r"^<target iqn.*?^</target>", text.replace("\\-", "-").replace("\\&", ""),
                        re.M | re.S)
    assert len(blocks) == 4, text
    return "\n".join(blocks) + "\n"


def errors_of(path):
    """What tgtctl verify says: [(the line in the file, target, text)]; its warnings are left out."""
    lines = open(path).read().splitlines()
    said = []
    for line in tgt.run(tgt.TGTCTL, "verify", path, check=False).stdout.splitlines():
        if re.fullmatch(r"\d+ targets, no errors.", line):
            continue
        m = re.fullmatch(re.escape(path) + r":(\d+): (error|warning): (\S+): (.*)", line)
        assert m, line
        if m[2] == "error":
            said.append((lines[int(m[1]) - 1].split("#")[0].strip(), m[3].rpartition(".")[2], m[4]))
    return said


def test_stgts_example_verbatim():
    """Refused are what is not there yet, by name, and one contradiction: a device is one unit, which
    server.target8 describes otherwise than server.target1 and server.target3 do."""
    with tgt.scratch() as d:
        path = os.path.join(d, "stgt.conf")
        with open(path, "w") as f:
            f.write(stgt_example())
        said = errors_of(path)
        assert {(line, t) for line, t, text in said if text.startswith("direct-store: not supported")} == {
            ("direct-store /dev/sdd", "target2"),
            ("direct-store /dev/sdb", "target4"), ("direct-store /dev/sdc", "target4"),
            ("direct-store /dev/sdd", "target4"),
            ("<direct-store /dev/sdd>", "target5"), ("<direct-store /dev/sda>", "target5")}, said
        rest = [(line, t, text.partition(": ")[0]) for line, t, text in said
                if not text.startswith("direct-store")]
        assert rest == [("<backing-store /dev/LVM/somedevice>", "target8", "scsi_sn"),
                        ("<backing-store /dev/LVM/somedevice2>", "target8", "write-cache")], rest
        assert "served as target iqn.2008-09.com.example:server.target3 lun 2" in said[-1][2] and \
            "one unit: it has to be configured alike there" in said[-1][2], said[-1]
        with tgt.Daemon(d, {"stgt.conf": stgt_example()}) as daemon:  # the rest is served
            out = tgt.run(tgt.TGTCTL, "--socket", f"{d}/run/control", "list", "--json").stdout
            assert set(re.findall(r"server\.target\d", out)) == {
                f"server.target{n}" for n in (1, 3, 6, 7, 9)}, out


def test_stgts_example_with_disks_of_its_own():
    """Every block of it, with a file of its own for each device that a target names."""
    with tgt.scratch() as d:
        text, target = [], ""
        for line in stgt_example().splitlines():
            code, _, comment = line.partition("#")
            target = (re.findall(r"<target \S+\.(\w+)>", code) or [target])[0]
            code = code.replace("direct-store", "backing-store").replace("device-type cd", "")
            if target == "target9":
                code = code.replace("controller_tid 10", "controller_tid 11")
            m = re.search(r"/dev/\S*\w", code)
            if m and "store" in code and "</" not in code:
                disk = os.path.join(d, target + m[0].replace("/", "_"))
                tgt.sparse(disk, 1 << 20)
                code = code.replace(m[0], disk)
            text.append(code + ("#" + comment if comment else ""))
        path = os.path.join(d, "stgt.conf")
        with open(path, "w") as f:
            f.write("\n".join(text) + "\n")
        assert errors_of(path) == [], errors_of(path)
        with tgt.Daemon(d, {"stgt.conf": open(path).read()}) as daemon:
            name = "iqn.2008-09.com.example:server.target"

            def inquiry(n, lun, *page, user=""):
                return tgt.run("iscsi-inq", *page, daemon.url(f"{name}{n}", lun).replace("//", "//" + user)).stdout
            listed = tgt.iscsi_ls(daemon)
            assert sorted(re.findall(r"server\.target(\d)", listed)) == list("12346789"), listed
            for n, lun, vendor in ((1, 1, None), (3, 1, "MyCompan"), (3, 3, "MyCompan"), (6, 10, None),
                                   (7, 1, None), (9, 1, None), (4, 1, "MyCompan"), (4, 4, "MyCompan")):
                out = inquiry(n, lun)
                assert not vendor or f"Vendor:{vendor}" in out, out
            assert "serial2" in inquiry(8, 2, "-e", "1", "-c", "128")
            assert "Vendor:" in inquiry(2, 1, user="someuser%secretpass12@")
            shown = tgt.run(tgt.TGTCTL, "--socket", f"{d}/run/control", "show", name + "5", "--json").stdout
            assert "VENDOR1" in shown and "SERIAL" in shown and "192.168.200.5" in shown, shown


def test_the_example_of_stgts_man_page():
    with tgt.scratch() as d:
        path = os.path.join(d, "man.conf")
        with open(path, "w") as f:
            f.write(man_page_example())
        said = errors_of(path)
        assert said == [("direct-store /dev/san/xen1-disk2", "xen1",
                         "direct-store: not supported by this build")], said
        with open(path, "w") as f:
            f.write(man_page_example().replace("direct-store", "backing-store"))
        assert errors_of(path) == []


def test_mode_page_does_what_it_says():
    """stgt's own way to write "write-cache off", and a page that nobody has."""
    page = "mode_page 8:0:18:0x10:0:0xff:0xff:0:0:0xff:0xff:0xff:0xff:0x80:0x14:0:0:0:0:0:0\n" \
           "    mode_page 0x20:0:3:1:2"
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        with tgt.Daemon(d, {"t.conf": tgt.disk_fragment(disk, extra=page)}) as daemon:
            raw = Raw(daemon.port, target=tgt.NAME).login().ready()
            _, data, _, _ = raw.response(raw.command(b"\x1a\x08\x08\0\xff\0", read=255))
            assert data[4:8] == b"\x08\x12\x10\0" and data[16:18] == b"\x80\x14", data.hex()
            _, data, _, _ = raw.response(raw.command(b"\x1a\x08\x20\0\xff\0", read=255))
            assert data[4:] == b"\x20\x03\x01\x02\0", data.hex()
            raw.close()


def test_an_error_costs_only_its_block():
    good = tgt.disk_fragment("{}/a.img", name="iqn.2026-01.org.example:good")
    bad = ("<target iqn.2026-01.org.example:bad>\n    backing-store {}/b.img\n    wrte-cache on\n"
           "</target>\n")
    with tgt.scratch() as d:
        for n in "ab":
            tgt.sparse(os.path.join(d, n + ".img"), 16 << 20)
        daemon = tgt.Daemon(d, {"1-bad.conf": bad.format(d), "2-good.conf": good.format(d)})
        with daemon:
            out = tgt.iscsi_ls(daemon)
            assert "good" in out and "bad" not in out, out
            assert "1-bad.conf:3" in daemon.log() and "wrte-cache" in daemon.log(), daemon.log()
            assert "write-cache" in daemon.log().replace("wrte-cache", ""), "suggests the right name"
            # what runs stays when its fragment goes bad
            daemon.fragment("2-good.conf", good.format(d).replace("lun 1", "lun nonsense"))
            raw = Raw(daemon.port, target="iqn.2026-01.org.example:good").login().ready()
            daemon.ctl("reload", check=False)
            status, data, _, _ = raw.read10(0, 8)
            assert status == 0 and len(data) == 4096
            raw.close()


def test_a_lun_appears_in_a_live_session():
    with tgt.scratch() as d:
        for n in "ab":
            tgt.sparse(os.path.join(d, n + ".img"), 16 << 20)
        one = f"<target {tgt.NAME}>\n  backing-store {d}/a.img\n  initiator-address ALL\n</target>\n"
        with tgt.Daemon(d, {"t.conf": one}) as daemon:
            raw = Raw(daemon.port, target=tgt.NAME).login().ready()
            daemon.fragment("t.conf", one.replace("</target>", f"  backing-store {d}/b.img\n</target>"))
            daemon.reload()
            status, _, sense, _ = raw.response(raw.command(bytes(6)))
            assert status == 2 and sense[12:14] == b"\x3f\x0e", f"{status} {sense[:18].hex()}"
            raw.ready(lun=2)
            os.truncate(os.path.join(d, "a.img"), 32 << 20)
            daemon.reload()

            def grown():
                status, _, sense, _ = raw.response(raw.command(bytes(6)))
                return status == 2 and sense[12:14] == b"\x2a\x09"
            tgt.eventually(grown, 15, "UNIT ATTENTION 2A/09")
            raw.close()


def test_a_file_that_comes_later():
    with tgt.scratch() as d:
        path = os.path.join(d, "later.img")
        with tgt.Daemon(d, {"t.conf": tgt.disk_fragment(path)}) as daemon:
            raw = Raw(daemon.port, target=tgt.NAME).login()
            raw.response(raw.command(bytes(6)))
            status, _, sense, _ = raw.response(raw.command(bytes(6)))
            assert status == 2 and sense[2] & 15 == 2 and sense[12] == 4, sense[:18].hex()
            tgt.sparse(path, 16 << 20)

            def ready():
                time.sleep(0.1)
                return raw.response(raw.command(bytes(6)))[0] == 0
            tgt.eventually(ready, 15, "the unit ready")
            raw.close()


def test_a_replaced_file_is_another_medium():
    """Not silently: who has the old one mounted must not write to the new one unawares."""
    with tgt.scratch() as d:
        path = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        with tgt.Daemon(d, {"t.conf": tgt.disk_fragment(path)}) as daemon:
            raw = Raw(daemon.port, target=tgt.NAME).login().ready()
            os.rename(path, path + ".old")
            tgt.sparse(path, 16 << 20)
            seen = []

            def told():
                time.sleep(0.05)
                status, _, sense, _ = raw.response(raw.command(bytes(6)))
                seen.append((status, sense[12:14]))
                return (2, b"\x28\x00") in seen
            tgt.eventually(told, 15, "UNIT ATTENTION 28/00")
            assert "another file or device" in daemon.log(), daemon.log()
            raw.close()


def test_the_same_file_twice_is_one_unit():
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        names = ["iqn.2026-01.org.example:one", "iqn.2026-01.org.example:two"]
        with tgt.Daemon(d, {f"{i}.conf": tgt.disk_fragment(disk, name=n)
                            for i, n in enumerate(names)}) as daemon:
            serials = [tgt.run("iscsi-inq", "-e", "1", "-c", "128", daemon.url(n)).stdout
                       for n in names]
            assert serials[0] == serials[1] and "Unit Serial" in serials[0], serials
            a, b = (Raw(daemon.port, target=n, initiator=f"iqn.2026-01.org.example:i{i}").login().ready()
                    for i, n in enumerate(names))
            assert a.response(a.command(b"\x16\0\0\0\0\0"))[0] == 0       # RESERVE(6)
            assert b.response(b.command(bytes(6)))[0] == 0x18             # RESERVATION CONFLICT
            a.close()
            tgt.eventually(lambda: b.response(b.command(bytes(6)))[0] == 0, 5, "released")
            b.close()


tgt.main()
