#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tgtctl against the real daemon on its private socket: every verb, every exit code, JSON,
completion; and what it says without a daemon."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import terminal  # noqa: E402
import tgt  # noqa: E402
from rawiscsi import Raw  # noqa: E402

OK, FAILURE, USAGE, NOT_RUNNING, NOT_FOUND, DENIED, CONFLICT = range(7)
ACCOUNT_VERBS = {"add", "bind", "create", "delete", "list", "remove"}
DISK = "iqn.2026-01.org.example:disk"
OTHER = "iqn.2026-01.org.example:other"
CLEAN = {k: v for k, v in os.environ.items()
         if k not in ("TGT_IPC_SOCKET", "COLUMNS", "NO_COLOR", "SYSTEMD_COLORS", "TGT_PAGER", "PAGER")}


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"


def ctl(where, *argv, stdin="", env=None, code=OK):
    """Runs tgtctl against a daemon (or without one: None), and wants this exit code."""
    at = ["--socket", os.path.join(where.runtime, "control")] if where else []
    p = subprocess.run([tgt.TGTCTL, *at, *map(str, argv)], text=True, input=stdin, timeout=60,
                       check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       env={**CLEAN, "LC_ALL": "C.UTF-8", **(env or {})})
    r = Result(p.returncode, p.stdout, p.stderr)
    assert code is None or r.code == code, f"tgtctl {' '.join(map(str, argv))}: {r}"
    return r


def ctl_json(where, *argv, **kw):
    short = json.loads(ctl(where, "--json=short", *argv, **kw).out)
    return short


@contextlib.contextmanager
def daemon(fragments=None):
    with tgt.scratch() as d:
        with tgt.Daemon(d, fragments) as running:
            yield running


@contextlib.contextmanager
def served():
    """A daemon with one target that everybody may enter."""
    with daemon() as d:
        path = tgt.sparse(os.path.join(d.dir, "disk.img"), 8 << 20)
        ctl(d, "create", DISK)
        ctl(d, "add-lun", DISK, path)
        ctl(d, "allow", DISK, "ALL")
        yield d


class Initiator:
    """A session that stays: qemu-io waits for commands with the disk open."""

    def __init__(self, d, name="iqn.2026-01.org.example:host"):
        self.process = subprocess.Popen(
            ["qemu-io", "--image-opts",
             f"driver=raw,file.driver=iscsi,file.transport=tcp,file.portal=127.0.0.1:{d.port},"
             f"file.target={DISK},file.lun=1,file.initiator-name={name}"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        tgt.eventually(lambda: ctl_json(d, "sessions"), what="a session")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


def test_from_nothing_to_a_disk_that_can_be_read():
    with served() as d:
        assert DISK in tgt.iscsi_ls(d)
        out = tgt.run("iscsi-readcapacity16", d.url(DISK)).stdout
        assert "Total size:8388608" in out, out
        r = ctl(d, "status")
        assert "running" in r.out and DISK in r.out and f"127.0.0.1:{d.port}" in r.out, r
        r = ctl(d, "status", "disk")
        assert "every address" in r.out and "disk.img" in r.out and "ready" in r.out, r
        assert "Taking disk for " + DISK in r.err, r
        assert "Taking" not in ctl(d, "status", "disk", "--quiet").err


def test_list_and_show_agree():
    with served() as d:
        luns = ctl_json(d, "list", "luns")
        assert [(x["Target"], x["Lun"], x["Size"], x["State"]) for x in luns] == \
            [(DISK, 1, 8 << 20, "ready")], luns
        uuid = luns[0]["Uuid"]
        by_uuid, by_lun = ctl_json(d, "show", uuid), ctl_json(d, "show", "disk/1")
        for x in by_uuid, by_lun:
            x.pop("Statistics")
        assert by_uuid == by_lun and by_uuid["Uuid"] == uuid
        assert [(x["Target"], x["Lun"]) for x in by_uuid["Mappings"]] == [(DISK, 1)], by_uuid
        both = ctl_json(d, "show", DISK, uuid)
        assert both[0]["Name"] == DISK and both[1]["Uuid"] == uuid
        text = ctl(d, "show", DISK).out
        assert f"LogicalUnits.0.Uuid={uuid}\n" in text and "Acls.0.Value=ALL\n" in text, text
        assert "Generation=" in ctl(d, "show").out
        assert [x["Name"] for x in ctl_json(d, "list")] == [DISK]
        assert ctl_json(d, "list", "portals")[0]["Address"] == f"127.0.0.1:{d.port}"
        assert ctl_json(d, "list", "accounts") == []


def test_directives_as_options():
    with daemon() as d:
        ctl(d, "create", DISK, "--alias=a b", "--initiator-name=ALL", "--set", "MaxBurstLength=524288")
        x = ctl_json(d, "add-lun", DISK, "--bs-type=null", "--size", "1G", "--lun=7", "--thin",
                     "--block-size=4096", "--vendor-id=ACME")
        assert x["Lun"] == 7 and x["Changes"], x
        t = ctl_json(d, "show", DISK)
        unit = t["LogicalUnits"][0]
        assert t["Alias"] == "a b" and t["Parameters"]["MaxBurstLength"] == "524288", t
        assert (unit["Size"], unit["BlockSize"], unit["Thin"], unit["Readonly"], unit["Vendor"]) == \
            (1 << 30, 4096, True, False, "ACME"), unit
        ctl(d, "set-lun", DISK, "7", "write-cache", "off")
        ctl(d, "set-lun", DISK, "7", "--readonly")
        assert not ctl_json(d, "show", DISK + "/7")["WriteCache"]
        assert "readonly 1" in ctl(d, "dump", DISK).out
        ctl(d, "set", DISK, "alias", "one more")
        assert ctl_json(d, "show", DISK)["Alias"] == "one more"
        ctl(d, "set", DISK, "alias")
        assert ctl_json(d, "show", DISK)["Alias"] == ""
        ctl(d, "set", DISK, "alias", "two", "words", code=USAGE)
        assert "frob" in ctl(d, "set", DISK, "frob", "1", code=FAILURE).err


def test_relative_paths_are_ours():
    with daemon() as d:
        tgt.sparse(os.path.join(d.dir, "rel.img"), 1 << 20)
        before = os.getcwd()
        os.chdir(d.dir)
        try:
            ctl(d, "create", DISK, "--backing-store=rel.img")
            ctl(d, "create", OTHER)
            ctl(d, "add-lun", OTHER, "./rel.img")
        finally:
            os.chdir(before)
        luns = ctl_json(d, "list", "luns")
        assert {x["Path"] for x in luns} == {os.path.join(d.dir, "rel.img")}, luns
        assert len({x["Uuid"] for x in luns}) == 1, "one file is one unit"


def test_access():
    with served() as d:
        def acls():
            return {(a["Kind"], a["Value"]) for a in ctl_json(d, "show", DISK)["Acls"]}
        ctl(d, "allow", DISK, "192.0.2.0/24", "2001:db8::/32", "iqn.2026-01.org.example:host")
        assert acls() == {("initiator-address", "ALL"), ("initiator-address", "192.0.2.0/24"),
                          ("initiator-address", "2001:db8::/32"),
                          ("initiator-name", "iqn.2026-01.org.example:host")}, acls()
        ctl(d, "deny", DISK, "ALL", "192.0.2.0/24")
        assert ("initiator-address", "ALL") not in acls()
        # a word that is neither changes nothing, wherever it stands
        before = acls()
        ctl(d, "deny", DISK, "2001:db8::/32", "bogus", code=USAGE)
        assert acls() == before
        assert ctl(d, "deny", DISK, "198.51.100.1", code=NOT_FOUND).err
        ctl(d, "create", OTHER)
        assert "nobody" in ctl(d, "status", OTHER).out
        assert ctl_json(d, "show", OTHER)["Access"] == "nobody"
        assert ctl_json(d, "show", DISK)["Access"] == "listed"


def test_who_enters_a_fragment_without_a_list():
    """Everybody, as in stgt: nothing may say "nobody" there."""
    with daemon({"1.conf": f"<target {DISK}>\n</target>\n"}) as d:
        assert DISK in tgt.iscsi_ls(d)
        r = ctl(d, "status", DISK)
        assert "everybody" in r.out and "nobody" not in r.out, r
        x = ctl_json(d, "show", DISK)
        assert x["Access"] == "everybody" and x["Acls"] == [], x
        r = ctl(None, "--socket", os.path.join(d.dir, "none"), f"--config-dir={d.config}",
                f"--state-dir={d.dir}/none", "status", DISK, code=NOT_RUNNING)
        assert "everybody" in r.out, r


def test_accounts_and_secrets():
    secret = "a secret of 16"
    with served() as d:
        ctl(d, "account", "add", DISK, "host", stdin=secret + "\n")
        tgt.run("iscsi-readcapacity16", d.url(DISK), check=False)
        assert tgt.run("iscsi-inq", d.url(DISK), check=False).returncode != 0
        path = os.path.join(d.dir, "secret")
        with open(path, "w") as f:
            f.write("fromafile123\nnot this\n")
        assert "Others may read" in ctl(d, "account", "add", DISK, "host2", "--secret-file", path).err
        os.chmod(path, 0o600)
        assert "Others may read" not in ctl(d, "account", "add", DISK, "host2", "--secret-file",
                                            path).err
        tgt.run("iscsi-inq", d.url(DISK).replace("//", "//host2%fromafile123@"))
        ctl(d, "account", "add", DISK, "me", "--outgoing", "--secret=outgoing1234")
        assert ctl_json(d, "account", "list", DISK) == [
            {"Target": DISK, "User": "host", "Direction": "incoming"},
            {"Target": DISK, "User": "host2", "Direction": "incoming"},
            {"Target": DISK, "User": "me", "Direction": "outgoing"}]
        ctl(d, "account", "add", "disc", "--secret-file=-", stdin="discovery123\n")
        assert {"Target": "", "User": "disc", "Direction": "incoming"} in \
            ctl_json(d, "list", "accounts")
        for out in (ctl(d, "dump").out, ctl(d, "show", DISK).out, ctl(d, "status", DISK).out):
            assert secret not in out and "fromafile123" not in out, out
        assert "fromafile123" in ctl(d, "dump", DISK, "--with-secrets").out
        ctl(d, "account", "remove", DISK, "host")
        r = ctl(d, "account", "remove", DISK, "host2", code=None)
        assert r.code != OK and "--force" in r.err, r
        ctl(d, "account", "remove", DISK, "host2", "--force")
        ctl(d, "account", "remove", DISK, "me", "--outgoing")
        ctl(d, "account", "remove", DISK, "nobody", code=NOT_FOUND)
        ctl(d, "account", "remove", "disc", "--force")
        assert ctl_json(d, "list", "accounts") == []
        # no secret, no terminal, nothing to ask
        ctl(d, "account", "add", DISK, "x", code=USAGE)
        ctl(d, "account", "add", DISK, "x", stdin="\n", code=USAGE)
        ctl(d, "account", "add", DISK, "x", "--secret-file=/nonexistent", code=FAILURE)
        ctl(d, "account", "add", DISK, "x", "--secret=a", "--secret-file=b", code=USAGE)
        assert ctl_json(d, "list", "accounts") == []


def test_sessions_and_disconnect():
    with served() as d:
        host = Initiator(d)
        try:
            s = ctl_json(d, "sessions", "disk")[0]
            assert s["Initiator"] == "iqn.2026-01.org.example:host" and s["Target"] == DISK, s
            assert ctl_json(d, "list", "sessions") == [s]
            shown = ctl_json(d, "show", s["Id"])
            assert shown["Initiator"] == s["Initiator"] and len(shown["Isid"]) == 12, shown
            assert "iqn.2026-01.org.example:host from 127.0.0.1" in ctl(d, "status", DISK).out
            # a target in use goes only by force, and the answer names who uses it
            r = ctl(d, "delete", DISK, code=CONFLICT)
            assert "iqn.2026-01.org.example:host" in r.err, r
            assert ctl_json(d, "disconnect", s["Id"]) == {"Ended": [s["Id"]]}
            ctl(d, "disconnect", s["Id"], code=NOT_FOUND)
        finally:
            host.end()
        tgt.eventually(lambda: not ctl_json(d, "sessions"), what="no session")
        host = Initiator(d)
        try:
            ctl(d, "disconnect", "IQN.2026-01.org.example:host")
            ctl(d, "disconnect", "iqn.2026-01.org.example:stranger", code=NOT_FOUND)
        finally:
            host.end()
        host = Initiator(d)
        try:
            ctl(d, "delete", DISK, "--force")
        finally:
            host.end()
        assert ctl_json(d, "list") == []


def test_portals():
    with daemon() as d:
        port = tgt.free_port()
        ctl(d, "portal", "add", f"127.0.0.1:{port}")
        assert f"127.0.0.1:{port}" in [p["Address"] for p in ctl_json(d, "list", "portals")]
        ctl(d, "portal", "remove", f"127.0.0.1:{port}")
        assert f"127.0.0.1:{port}" not in [p["Address"] for p in ctl_json(d, "list", "portals")]
        ctl(d, "portal", "remove", f"127.0.0.1:{d.port}", code=NOT_FOUND)


def test_global_settings_and_the_administrators_files():
    """What /etc says stays there: not copied into our files, not removed by a command."""
    one, two, three, four = (f"127.0.0.1:{tgt.free_port()}" for _ in range(4))
    with daemon({"g.conf": f"portal {one}\nincomingdiscoveryuser bob a-long-secret-1\n"}) as d:
        def sources():
            return {p["Address"]: p["Source"] for p in ctl_json(d, "list", "portals")}

        def restart():
            d.stop()
            d.start()
        saved, passing = (os.path.join(x, "targets.d", "00-globals.conf") for x in (d.state, d.runtime))
        ctl(d, "portal", "add", two)
        assert sources()[one] == "fragment" and sources()[two] == "command", sources()
        with open(saved) as f:
            text = f.read()
        assert two in text and one not in text and "bob" not in text, text
        for more in ([], ["--runtime"], ["--force"]):
            r = ctl(d, "portal", "remove", one, *more, code=CONFLICT)
            assert "g.conf, line 1" in r.err, r
            r = ctl(d, "account", "remove", "bob", "--force", code=CONFLICT)
            assert "g.conf, line 2" in r.err and "a-long" not in r.err, r
        ctl(d, "portal", "add", three, "--runtime")
        restart()
        assert {one, two, three} <= set(sources()), sources()
        ctl(d, "portal", "add", four)
        assert not os.path.exists(passing)  # it would hide the lasting change
        restart()
        assert {one, two, four} <= set(sources()), sources()
        ctl(d, "portal", "remove", two)
        restart()
        assert two not in sources() and sources()[one] == "fragment", sources()


def test_units():
    with served() as d:
        path = os.path.join(d.dir, "disk.img")
        os.truncate(path, 16 << 20)
        ctl(d, "unit", "refresh", "disk/1")
        tgt.eventually(lambda: ctl_json(d, "show", "disk/1")["Size"] == 16 << 20, what="a new size")
        ctl(d, "unit", "store-options", "disk/1", "x=y", code=FAILURE)
        ctl(d, "unit", "refresh", "disk/9", code=NOT_FOUND)
        ctl(d, "unit", "refresh", "00000000-0000-0000-0000-000000000000", code=NOT_FOUND)


def test_what_is_not_there_yet():
    with daemon() as d:
        ctl(d, "create", DISK)
        path = os.path.join(d.dir, "later.img")
        assert "use --force" in ctl(d, "add-lun", DISK, path, code=FAILURE).err
        ctl(d, "add-lun", DISK, path, "--force")
        assert "not-ready: " in ctl(d, "status", DISK).out
        assert "1, of which 1 not ready" in ctl(d, "status").out
        assert ctl_json(d, "list", "luns")[0]["State"] == "not-ready"
        tgt.sparse(path, 1 << 20)
        tgt.eventually(lambda: ctl_json(d, "list", "luns")[0]["State"] == "ready", 30, "the unit")
        assert "not ready" not in ctl(d, "status").out


def test_fault_store_options():
    with daemon() as d:
        ctl(d, "create", DISK, "--initiator-name=ALL")
        ctl(d, "add-lun", DISK, "--bs-type=fault", "--bsopts=store=ram", "--size=1M")
        tgt.run("iscsi-readcapacity16", d.url(DISK))
        read = ["qemu-io", "-f", "raw", "-c", "read 0 4k", d.url(DISK)]
        assert "error" not in tgt.run(*read).stdout.lower()
        ctl(d, "unit", "store-options", "disk/1", "ops=read;error=EIO")
        assert "rror" in tgt.run(*read, check=False).stdout
        ctl(d, "unit", "store-options", "disk/1", "error=none")
        assert "error" not in tgt.run(*read).stdout.lower()


def test_reload_applies_and_reports():
    with daemon({"a.conf": f"<target {DISK}>\n  alias one\n</target>\n"}) as d:
        d.fragment("a.conf", f"<target {DISK}>\n  alias two\n</target>\n")
        assert "alias" in ctl(d, "reload", "--dry-run").out
        assert ctl_json(d, "show", DISK)["Alias"] == "one"
        assert "two" in ctl(d, "reload").out
        assert ctl_json(d, "show", DISK)["Alias"] == "two"
        d.fragment("b.conf", f"<target {OTHER}>\n  frob 1\n</target>\n")
        r = ctl(d, "reload", code=FAILURE)
        assert re.search(r"b\.conf:2: error: .*frob", r.err), r
        x = ctl_json(d, "reload", code=FAILURE)
        assert x["Problems"][0]["Line"] == 2 and x["Changes"] == [], x
        # what the administrator wrote is the administrator's
        r = ctl(d, "set", DISK, "alias", "three", code=CONFLICT)
        assert "a.conf" in r.err and "--runtime or --force" in r.err, r
        ctl(d, "set", DISK, "alias", "three", "--runtime")


def test_dry_run_and_generation():
    with daemon() as d:
        r = ctl(d, "create", DISK, "--dry-run")
        assert "+ target" in r.out and "Would change" in r.err, r
        assert ctl_json(d, "list") == []
        g = ctl_json(d, "show")["Generation"]
        ctl(d, "create", DISK, "--generation", g)
        r = ctl(d, "create", OTHER, "--generation", g, code=CONFLICT)
        assert [t["Name"] for t in ctl_json(d, "list")] == [DISK], r
        ctl(d, "delete", DISK, OTHER, "--generation", g, code=USAGE)


def test_dump_with_identities():
    """The same disk on another host is the same disk to its initiators."""
    keys = ("Uuid", "Naa", "ScsiId", "Serial")
    with served() as d:
        assert "uuid" not in ctl(d, "dump").out
        all_of_it, one = ctl(d, "dump", "--with-identities").out, ctl(d, "dump", "disk", "--with-identities").out
        assert all_of_it == one, all_of_it
        known = [ctl_json(d, "show", "disk/1")[k] for k in keys]
        with daemon({"1.conf": one}) as other:
            assert [ctl_json(other, "show", "disk/1")[k] for k in keys] == known
            assert ctl_json(other, "reload")["Changes"] == []


def test_dump_can_be_read_back():
    with served() as d:
        ctl(d, "account", "add", DISK, "host", "--secret=twelve chars")
        text = ctl(d, "dump", "--with-secrets").out
        path = os.path.join(d.dir, "dump.conf")
        with open(path, "w") as f:
            f.write(text)
        assert "1 target, no errors" in ctl(None, "verify", path).out
        assert ctl_json(d, "dump", "--with-secrets")["Text"] == text


def test_exit_codes():
    with served() as d:
        ctl(d, "create", DISK, code=CONFLICT)
        ctl(d, "create", "not a name", code=FAILURE)
        ctl(d, "delete", "nope", code=NOT_FOUND)
        ctl(d, "show", "999", code=NOT_FOUND)
        ctl(d, "show", "disk/9", code=NOT_FOUND)
        ctl(d, "remove-lun", DISK, "9", code=NOT_FOUND)
        ctl(d, "remove-lun", DISK, "x", code=USAGE)
        ctl(d, "remove-lun", DISK, "16384", code=USAGE)
        ctl(d, "add-lun", DISK, code=USAGE)
        ctl(d, "list", "things", code=USAGE)
        ctl(d, "help", "frob", code=USAGE)
        for argv in (["frob"], ["status", "--frob"], ["delete"]):
            ctl(d, *argv, code=USAGE)
        # what is not there does not hide what is
        r = ctl(d, "status", "nope", DISK, code=NOT_FOUND)
        assert DISK in r.out, r


def test_names():
    with daemon() as d:
        twin = "iqn.2027-01.org.example:disk"
        ctl(d, "create", DISK)
        assert "Did you mean disk?" in ctl(d, "status", "dsik", code=NOT_FOUND).err
        assert f"Did you mean {DISK}?" in ctl(d, "status", DISK + "x", code=NOT_FOUND).err
        ctl(d, "create", twin)
        r = ctl(d, "delete", "disk", code=NOT_FOUND)
        assert DISK in r.err and twin in r.err, r
        assert len(ctl_json(d, "list")) == 2
        # one name that is wrong, and nothing goes
        ctl(d, "delete", DISK, twin, "nope", code=NOT_FOUND)
        assert len(ctl_json(d, "list")) == 2
        ctl(d, "delete", DISK)
        ctl(d, "delete", "disk")
        assert ctl_json(d, "list") == []


def test_lists_longer_than_a_page():
    text = "".join(f"<target iqn.2026-01.org.example:t{i:05}>\n</target>\n" for i in range(2500))
    with daemon({"many.conf": text}) as d:
        names = [t["Name"] for t in ctl_json(d, "list")]
        assert len(names) == 2500 and names == sorted(set(names))
        assert "2500 targets." in ctl(d, "list").out


def test_json_is_valid_everywhere():
    with served() as d:
        for argv in (["status"], ["status", DISK], ["list"], ["list", "luns"], ["list", "sessions"],
                     ["list", "portals"], ["list", "accounts"], ["show"], ["show", DISK],
                     ["sessions"], ["dump"], ["reload"], ["account", "list"], ["stats"], ["stats", "disk/1"],
                     ["top"], ["allow", DISK, "192.0.2.1", "192.0.2.2"], ["unit", "refresh", "disk/1"],
                     ["offline"], ["online"], ["debug", "off"], ["diff"], ["verify", "--daemon"],
                     ["apply", "-", "--dry-run"],
                     ["delete", DISK, "--dry-run"]):
            pretty = ctl(d, *argv, "--json", "--quiet", stdin="<target iqn.2026-01.org.example:x>\n</target>\n")
            assert isinstance(json.loads(pretty.out), (dict, list)), argv
        short = ctl(d, "list", "--json=short").out
        assert short.count("\n") == 1, short
        assert len(ctl_json(d, "deny", DISK, "192.0.2.1", "192.0.2.2")["Changes"]) == 2


def test_monitor():
    with served() as d:
        at = ["--socket", os.path.join(d.runtime, "control")]
        people = subprocess.Popen([tgt.TGTCTL, *at, "monitor"], text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        lines = subprocess.Popen([tgt.TGTCTL, *at, "monitor", "--json=short"], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for p in people, lines:
            assert p.stderr.readline().startswith("Watching")
        ctl(d, "set", DISK, "alias", "noticed")
        ctl(d, "create", OTHER)
        ctl(d, "deny", DISK, "ALL", "--force")
        tgt.run("iscsi-inq", d.url(DISK), check=False)
        ctl(d, "delete", OTHER)
        time.sleep(1)
        for p in people, lines:
            p.send_signal(signal.SIGINT)
        text, events = people.communicate(timeout=10)[0], lines.communicate(timeout=10)[0]
        assert re.search(rf"changed target {DISK} Alias=noticed$", text, re.M), text
        assert f"added target {OTHER}\n" in text and f"removed target {OTHER}\n" in text, text
        assert re.search(rf"login refused: \S+ from 127.0.0.1\S* to {DISK}: ", text), text
        signals = [json.loads(line)["Signal"] for line in events.splitlines()]
        assert {"InterfacesAdded", "InterfacesRemoved", "PropertiesChanged",
                "LoginRejected"} <= set(signals), signals


def test_monitor_ends_with_the_daemon():
    with tgt.scratch() as directory:
        d = tgt.Daemon(directory).start()
        p = subprocess.Popen([tgt.TGTCTL, "--socket", os.path.join(d.runtime, "control"), "monitor"],
                             text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert p.stderr.readline().startswith("Watching")
        d.stop()
        err = p.communicate(timeout=10)[1]
        assert p.returncode == NOT_RUNNING and "ended" in err, err


def test_without_a_daemon():
    with tgt.scratch() as d:
        os.makedirs(os.path.join(d, "targets.d"))
        with open(os.path.join(d, "targets.d", "a.conf"), "w") as f:
            f.write(tgt.disk_fragment("/srv/x.img", DISK) + f"<target {OTHER}>\n frob 1\n</target>\n")
        nowhere = ["--socket", os.path.join(d, "control")]
        files = [f"--config-dir={d}", f"--state-dir={d}/state"]
        for argv in (["status"], ["list"], ["list", "luns"], ["status", "disk"]):
            r = ctl(None, *nowhere, *files, *argv, code=NOT_RUNNING)
            assert DISK in r.out and "not-running" in r.out, r
            assert "not running" in r.err and "systemctl start tgtd.service" in r.err, r
            assert "a.conf:9: error:" in r.err and OTHER not in r.out, r
        ctl(None, *nowhere, *files, "status", "nope", code=NOT_FOUND)
        x = json.loads(ctl(None, *nowhere, *files, "list", "--json", code=NOT_RUNNING).out)
        assert x[0]["Name"] == DISK and x[0]["State"] == "not-running", x
        for argv in (["show", DISK], ["sessions"], ["list", "sessions"], ["dump"], ["monitor"],
                     ["create", DISK], ["delete", DISK], ["reload"]):
            r = ctl(None, *nowhere, *argv, code=NOT_RUNNING)
            assert "not running" in r.err and not r.out, r


def test_environment_names_the_socket():
    with served() as d:
        link = os.path.join(d.dir, "named.3")
        os.symlink(os.path.join(d.runtime, "control"), link)
        env = {"TGT_IPC_SOCKET": os.path.join(d.dir, "named")}
        assert DISK in ctl(None, "-C", "3", "list", env=env).out
        ctl(None, "list", "portals", env=env, code=NOT_RUNNING)
        # not only the socket but the whole bus can be named
        r = ctl(None, "show", "--bus=unix:path=/nonexistent", env=env, code=NOT_RUNNING)
        assert "/nonexistent" in r.err, r


BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={dir}/bus</listen><auth>EXTERNAL</auth>
<servicedir>{dir}/services</servicedir>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow eavesdrop="false"/>
</policy></busconfig>
"""


@contextlib.contextmanager
def bus(directory):
    """A bus on which org.tgt1 can be activated, by a program that only leaves a trace."""
    os.makedirs(os.path.join(directory, "services"))
    with open(os.path.join(directory, "services", "org.tgt1.service"), "w") as f:
        f.write("[D-BUS Service]\nName=org.tgt1\n"
                f"Exec=/bin/sh -c 'touch {directory}/started; exit 1'\n")
    with open(os.path.join(directory, "bus.conf"), "w") as f:
        f.write(BUS.format(dir=directory))
    p = subprocess.Popen(["dbus-daemon", f"--config-file={directory}/bus.conf", "--nofork",
                          "--nopidfile", "--nosyslog"], stderr=subprocess.DEVNULL)
    try:
        tgt.eventually(lambda: os.path.exists(os.path.join(directory, "bus")), what="the bus")
        yield f"unix:path={directory}/bus"
    finally:
        p.kill()
        p.wait()


def test_read_only_verbs_never_start_the_daemon():
    with tgt.scratch() as d, bus(d) as address:
        started = os.path.join(d, "started")
        env = {"DBUS_SYSTEM_BUS_ADDRESS": address}
        for argv in (["status"], ["list"], ["list", "luns"], ["show"], ["show", DISK], ["sessions"],
                     ["dump"], ["monitor"], ["account", "list"], ["list", "sessions"], ["stats"], ["top"]):
            r = ctl(None, "--config-dir", d, *argv, env=env, code=NOT_RUNNING) if argv[0] in \
                ("status", "list") else ctl(None, *argv, env=env, code=NOT_RUNNING)
            assert "systemctl start tgtd.service" in r.err, r
            assert not os.path.exists(started), argv
        assert "tgt_up 0\n" in ctl(None, "metrics", env=env, code=NOT_RUNNING).out
        assert not os.path.exists(started)
        # one that changes something does
        ctl(None, "create", DISK, env=env, code=NOT_RUNNING)
        assert os.path.exists(started)


@contextlib.contextmanager
def as_nobody(directory):
    """tgtctl for a user without rights, who may read directory."""
    copy = os.path.join(directory, "tgtctl")
    shutil.copy(tgt.TGTCTL, copy)
    os.chmod(directory, 0o755)

    def run(*argv, env=None, code=OK):
        p = subprocess.run([copy, *argv], text=True, stdin=subprocess.DEVNULL, timeout=60,
                           user="nobody", group="nogroup", extra_groups=[], check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
                           env={**CLEAN, **(env or {})})
        r = Result(p.returncode, p.stdout, p.stderr)
        assert r.code == code, f"tgtctl {' '.join(argv)}: {r}"
        return r
    yield run


def test_over_a_bus():
    with tgt.scratch() as d, bus(d) as address:
        with tgt.Daemon(d, {"a.conf": tgt.disk_fragment(tgt.sparse(d + "/a.img", 1 << 20), DISK)},
                        args=[f"--bus={address}"]) as running:
            env = {"DBUS_SYSTEM_BUS_ADDRESS": address}
            tgt.eventually(lambda: ctl(None, "show", env=env, code=None).code == OK,
                           what="the name on the bus")
            assert [t["Name"] for t in ctl_json(None, "list", env=env)] == [DISK]
            assert [t["Name"] for t in ctl_json(None, "list", "--bus=" + address)] == [DISK]
            assert "1 target" in ctl(None, "list", env=env).out
            ctl(None, "create", OTHER, "--dry-run", env=env)
            # anybody may look; there is nobody who could say that others may change
            with as_nobody(d) as tgtctl:
                assert DISK in tgtctl("list", env=env).out
                r = tgtctl("create", OTHER, env=env, code=DENIED)
                assert "polkit decides" in r.err, r
                # the private socket is for root and the daemon
                r = tgtctl("list", "--socket", os.path.join(running.runtime, "control"), code=DENIED)
                assert "only root" in r.err, r
            assert len(ctl_json(running, "list")) == 1
            p = subprocess.Popen([tgt.TGTCTL, "monitor"], text=True, env={**CLEAN, **env},
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert p.stderr.readline().startswith("Watching")
            ctl(running, "create", OTHER)
            running.stop()
            time.sleep(0.5)
            p.send_signal(signal.SIGINT)
            out = p.communicate(timeout=10)[0]
            assert f"added target {OTHER}\n" in out and "stopped tgtd" in out, out
            running.start()


def test_verify():
    with tgt.scratch() as d:
        path = os.path.join(d, "bad.conf")
        with open(path, "w") as f:
            f.write(f"<target {DISK}>\n  backing-store /x\n  frob 1\n</target>\n"
                    f"<target {OTHER}>\n  write-cache maybe\n</target>\n")
        r = ctl(None, "verify", path, code=FAILURE)
        assert f"{path}:3: error:" in r.err and f"{path}:6: error:" in r.err, r
        assert [p["Line"] for p in ctl_json(None, "verify", path, code=FAILURE)] == [3, 6]
        with open(path, "w") as f:
            f.write(tgt.disk_fragment("/x", DISK) + "portal 192.0.2.1\n")
        r = ctl(None, "verify", path)
        assert "1 target, no errors" in r.out and "enable" in r.err, r
        assert ctl_json(None, "verify", path) == []
        ctl(None, "verify", path + "x", code=FAILURE)


def test_a_stranger_cannot_write_on_the_terminal():
    with served() as d:
        ctl(d, "set", DISK, "alias", "abc\u202etxt")
        for argv in (["status", DISK], ["show", DISK]):
            out = ctl(d, *argv).out
            assert "abc\ufffdtxt" in out, repr(out)
        p = ctl(d, "status", "\x1b[31mnope", code=NOT_FOUND)
        assert "\x1b" not in p.err, repr(p.err)


def on_terminal(d, *argv, columns=80, env=None, answer=()):
    """Output of tgtctl on a terminal; answer: (what to wait for, what to type) pairs."""
    return terminal.run([tgt.TGTCTL, "--socket", os.path.join(d.runtime, "control"), *argv], answer,
                        {**CLEAN, "TERM": "xterm", "LC_ALL": "C.UTF-8", "TGT_PAGER": "",
                         "COLUMNS": str(columns), **(env or {})})


def test_terminal():
    with served() as d:
        code, out = on_terminal(d, "list", "luns", columns=60)
        assert code == OK and "\x1b[" in out and "…" in out, repr(out)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", out)
        assert max(map(len, plain.splitlines())) <= 60, plain
        code, out = on_terminal(d, "list", "luns", "--full", columns=60, env={"NO_COLOR": "1"})
        assert "\x1b" not in out and "…" not in out and DISK in out, repr(out)
        # a pager gets it all, and only there
        pager = {"TGT_PAGER": "sed s/^/paged:/"}
        for drop in ("SUDO_UID", "PKEXEC_UID"):
            CLEAN.pop(drop, None)
        assert "paged:" in on_terminal(d, "list", env=pager)[1]
        assert "paged:" not in on_terminal(d, "list", "--no-pager", env=pager)[1]
        # whoever borrows privileges must not get a shell by it
        assert "paged:" not in on_terminal(d, "list", env={**pager, "SUDO_UID": "1000",
                                                           "TERM": "xterm"})[1]


def test_prompt():
    with served() as d:
        code, out = on_terminal(d, "account", "add", DISK, "host", answer=[
            ("secret of host: ", "typedsecret1\n"), ("Once more: ", "typedsecret1\n")])
        assert code == OK and "typedsecret1" not in out, out
        tgt.run("iscsi-inq", d.url(DISK).replace("//", "//host%typedsecret1@"))
        code, out = on_terminal(d, "account", "add", DISK, "host", answer=[
            ("secret of host: ", "onesecret123\n"), ("Once more: ", "othersecret1\n")])
        assert code == USAGE and "not the same" in out, out
        code, out = on_terminal(d, "account", "add", DISK, "host",
                                answer=[("secret of host: ", "\x03")])
        assert code == -signal.SIGINT, (code, out)
        code, out = on_terminal(d, "account", "add", DISK, "host", "--no-ask-password")
        assert code == USAGE, out


BASH = r"""
source /usr/share/bash-completion/bash_completion
source "$1"; shift
PATH="$1:$PATH"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; COMP_KEY=9
compopt() { :; }
_tgtctl
printf '%s\n' "${COMPREPLY[@]}"
"""


HOST = "iqn.2026-01.org.example:host7"


def add_names(d):
    """A second target, with another LUN and with initiators."""
    ctl(d, "create", OTHER, "--initiator-name=" + HOST, "--initiator-address=10.1.0.0/16")
    ctl(d, "add-lun", OTHER, "--bs-type=null", "--size=1M", "--lun=7")
    ctl(d, "account", "create", "joe", "--secret=a-secret-of-joe")


FISH = r"""
source $argv[1]; set -x PATH $argv[2] $PATH; complete -C "$argv[3]"
"""


def test_fish_completion():
    script = os.path.join(tgt.BUILD, "src", "ctl", "completion", "tgtctl.fish")
    with served() as d:
        at = "--socket=" + os.path.join(d.runtime, "control") + " "

        def complete(line, cwd=None):
            p = subprocess.run(["fish", "--no-config", "-c", FISH, script,
                                os.path.dirname(tgt.TGTCTL), "tgtctl " + line], text=True,
                               env={**CLEAN, "HOME": d.dir}, cwd=cwd, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, check=True, timeout=60)
            assert not p.stderr, p.stderr
            return [x.split("\t")[0] for x in p.stdout.splitlines()]
        assert complete("statu") == ["status"]
        assert set(complete("re")) == {"reload", "remove-lun"}, complete("re")
        assert set(complete("account ")) == ACCOUNT_VERBS, complete("account ")
        assert {"disk", DISK} <= set(complete(at + "status "))
        assert complete(at + "account remove d") == ["disk"]
        assert complete(at + "remove-lun disk ") == ["1"]
        assert "luns" in complete("list ") and "disk/1" in complete(at + "unit refresh ")
        assert "--runtime" in complete("create --r") and "--force" not in complete("status --")
        assert complete("add-lun --wr") == ["--write-cache"], complete("add-lun --wr")
        assert complete("add-lun --write-cache=of") == ["--write-cache=off"]
        assert "alias" in complete(at + "set disk al")
        add_names(d)
        assert complete(at + "remove-lun other ") == complete(at + "remove-lun " + OTHER + " ") == ["7"]
        assert set(complete(at + "deny disk ")) == {"ALL", "10.1.0.0/16", HOST}
        assert complete(at + f"deny disk {HOST} 10") == ["10.1.0.0/16"]
        assert complete(at + "account delete ") == complete(at + "account bind disk ") == ["joe"]
        assert complete("debug ") == ["off", "on"], complete("debug ")
        assert "disk.img" in complete("verify di", cwd=d.dir)


def test_bash_completion():
    script = os.path.join(tgt.BUILD, "src", "ctl", "completion", "tgtctl")
    with served() as d:
        at = "--socket=" + os.path.join(d.runtime, "control")

        def complete(*words):
            p = subprocess.run(["bash", "-c", BASH, "bash", script, os.path.dirname(tgt.TGTCTL),
                                "tgtctl", *words], text=True, env=CLEAN, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, check=True, timeout=60)
            assert not p.stderr, p.stderr
            return p.stdout.split()
        assert complete("statu") == ["status"] and set(complete("stat")) == {"stats", "status"}
        assert set(complete("re")) == {"reload", "remove-lun"}
        assert set(complete("account", "")) == ACCOUNT_VERBS
        assert "disk" in complete(at, "status", "")
        assert "disk" in complete(at, "account", "remove", "d")
        assert complete(at, "remove-lun", "disk", "") == ["1"]
        assert "luns" in complete("list", "")
        assert "--runtime" in complete("create", "--r")
        assert "--write-cache=" in complete("add-lun", "--wr")
        assert "--force" not in complete("status", "--")
        assert complete("--json=s") == ["short"]
        assert complete("add-lun", "--write-cache=of") == ["off"]
        assert "disk/1" in complete(at, "unit", "refresh", "")
        add_names(d)
        assert complete(at, "remove-lun", "other", "") == ["7"]
        assert complete(at, "remove-lun", OTHER, "") == ["7"]
        assert set(complete(at, "deny", "disk", "")) == {"ALL", "10.1.0.0/16", HOST}
        assert complete(at, "deny", "disk", "10") == ["10.1.0.0/16"]
        assert complete(at, "account", "delete", "") == complete(at, "account", "bind", "disk", "") == ["joe"]
        assert complete("debug", "o") == ["on", "off"]
        assert {"account", "add", "status"} <= set(complete("help", ""))
        assert "write-cache" in complete("set-lun", "disk", "1", "write-c")
        # an initiator chooses its name: it is offered as what it is, and not run
        pwned = os.path.join(d.dir, "pwned")
        for name in f"iqn.2026-01.org.example:$(>{pwned})", f"x;y`>{pwned}`":
            raw = Raw(d.port, target=DISK, initiator=name).login()
            typed, = complete(at, "disconnect", name[:5])
            assert not os.path.exists(pwned)
            assert tgt.run("bash", "-c", f"printf %s {typed}").stdout == name
            assert complete(at, "disconnect", typed[:-2]) == [typed.rsplit(":")[-1]]  # readline has the rest
            raw.close()


def test_bash_completion_as_typed():
    script = os.path.join(tgt.BUILD, "src", "ctl", "completion", "tgtctl")
    with served() as d:
        socket = os.path.join(d.runtime, "control")
        for typed, shown in (("tgtctl statu", "tgtctl status "),
                             ("tgtctl add-lun --write-cache=of", "tgtctl add-lun --write-cache=off "),
                             (f"tgtctl -C 0 status --socket={socket} {DISK[:-3]}", f" {DISK} "),
                             ("tgtctl account rem", "tgtctl account remove ")):
            out = terminal.run(
                ["bash", "--norc", "-i"],
                [("$ ", "source /usr/share/bash-completion/bash_completion; source " + script +
                  "; echo REA''DY; COLUMNS=1000\n"), ("READY", typed + "\t"),
                 (shown, "\x15exit\n")],
                {**CLEAN, "PS1": "$ ", "TERM": "dumb", "INPUTRC": "/dev/null", "COLUMNS": "1000",
                 "PATH": os.path.dirname(tgt.TGTCTL) + ":" + CLEAN["PATH"]}, seconds=10)[1]
            # what is drawn: backspaces as readline sends them, over a line as wide as it needs
            assert shown in out.replace("\x08", ""), repr(out)


ZSH = r"""
autoload -Uz compinit; fpath=("$1" $fpath); compinit -u -d "$2"
autoload -Uz _tgtctl
# what is offered, without a terminal: compadd and _describe say what they were given
compadd() { local -a flags; local i a=
        for ((i = 1; i <= $#; i++)); do
                case ${@[i]} in -a) a=1 ;; -S) ((i++)) ;; --) ;; -*) ;;
                *) if [[ -n $a ]]; then print -l -- ${(P)@[i]}; else print -l -- ${@[i]}; fi ;; esac
        done }
_describe() { print -l -- ${(P)@[-1]} }
compset() { : }
_files() { print FILES }
words=("${@[4,-1]}"); CURRENT=$#words; PATH="$3:$PATH"
_tgtctl
"""


def test_zsh_completion():
    folder = os.path.join(tgt.BUILD, "src", "ctl", "completion")
    with served() as d:
        at = "--socket=" + os.path.join(d.runtime, "control")

        def complete(*words):
            p = subprocess.run(["zsh", "-f", "-c", ZSH, "zsh", folder,
                                os.path.join(d.dir, "zcompdump"), os.path.dirname(tgt.TGTCTL),
                                "tgtctl", *words], text=True, env=CLEAN, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, check=False, timeout=60)
            assert not p.stderr, p.stderr
            return p.stdout.splitlines()
        verbs = complete("")
        assert any(v.startswith("status:") for v in verbs) and \
            any(v.startswith("account:") for v in verbs), verbs
        assert set(complete("account", "")) == ACCOUNT_VERBS
        assert DISK in complete(at, "status", "") and "disk" in complete(at, "status", "")
        assert complete(at, "remove-lun", "disk", "") == ["1"]
        assert "--write-cache=" in complete("add-lun", "--") and \
            "--runtime" in complete("add-lun", "--")
        assert complete("verify", "") == ["FILES"]
        add_names(d)
        assert complete(at, "remove-lun", "other", "") == ["7"]
        assert set(complete(at, "deny", "disk", "")) == {"ALL", "10.1.0.0/16", HOST}
        assert complete(at, "account", "delete", "") == ["joe"] and complete("debug", "") == ["on", "off"]


def test_convert_lio():
    """What LIO served is served with the same LUN numbers and identities to the same initiators."""
    serial = "f3e8a1c2-0d4b-4c5e-9a6f-7b8091a2b3c4"
    with daemon() as d:
        config = {"storage_objects": [{"plugin": "fileio", "name": "a", "wwn": serial, "write_back": True,
                                       "dev": tgt.sparse(os.path.join(d.dir, "a.img"), 8 << 20),
                                       "attributes": {"emulate_model_alias": 1}}],
                  "targets": [{"fabric": "iscsi", "wwn": DISK, "tpgs": [{
                      "enable": True, "tag": 1, "attributes": {"authentication": 0}, "portals": [],
                      "luns": [{"index": 0, "storage_object": "/backstores/fileio/a"}],
                      "node_acls": [{"node_wwn": HOST, "mapped_luns": [{"index": 3, "tpg_lun": 0}]}]}]}]}
        saved = os.path.join(d.dir, "saveconfig.json")
        with open(saved, "w") as f:
            json.dump(config, f)
        folder = os.path.join(d.config, "targets.d")
        r = ctl(None, "convert", "lio", saved)
        assert f"<target {DISK}>" in r.out and r.err == "", r
        out = ctl(None, "convert", "lio", saved, folder).out
        assert out == f"{folder}/{DISK}.conf\n" and os.stat(out.strip()).st_mode & 0o777 == 0o600, out
        assert "nothing is overwritten" in ctl(None, "convert", "lio", saved, folder, code=FAILURE).err
        ctl(d, "reload")
        url = d.url(DISK, 3)
        page = subprocess.run(["iscsi-inq", "-i", HOST, "-e", "1", "-c", "131", url], check=True, timeout=60,
                              stdout=subprocess.PIPE).stdout
        assert bytes.fromhex("6001405f3e8a1c20d4b4c5e9a6f7b809") in page, page
        assert serial in tgt.run("iscsi-inq", "-i", HOST, "-e", "1", "-c", "128", url).stdout
        assert "Vendor:LIO-ORG" in tgt.run("iscsi-inq", "-i", HOST, url).stdout
        assert tgt.run("iscsi-inq", url, check=False).returncode != 0  # nobody else
        # what cannot be said is told, and what is no such file is refused
        config["targets"].append({"fabric": "vhost", "wwn": "naa.5001405c9a0f3ce7", "tpgs": []})
        with open(saved, "w") as f:
            json.dump(config, f)
        r = ctl(None, "convert", "lio", saved, code=FAILURE)
        assert "Not converted: naa.5001405c9a0f3ce7: a target of the fabric vhost" in r.err and DISK in r.out
        r = ctl(None, "convert", "lio", saved, "--json", code=FAILURE)
        assert [x["Lost"] for x in json.loads(r.out)["Told"]] == [True], r
        assert "line 1: " in ctl(None, "convert", "lio", __file__, code=FAILURE).err
        ctl(None, "convert", "lio", "/nonexistent", code=FAILURE)


def test_help_and_man():
    out = ctl(None, "--help").out
    listed = re.findall(r"^  ([a-z][a-z-]+(?: (?:add|remove|list|refresh|store-options|lio))?)(?: |$)", out, re.M)
    assert {"status", "account add", "unit refresh", "reload"} <= set(listed), listed
    man = tgt.run("man", "-l", os.path.join(tgt.BUILD, "man", "tgtctl.1"),
                  env={**CLEAN, "MANWIDTH": "200", "LC_ALL": "C.UTF-8"}).stdout
    man = re.sub(r".\x08", "", man)
    for verb in listed:
        one = ctl(None, "help", *verb.split()).out
        assert one == ctl(None, *verb.split(), "--help").out
        assert one.startswith(f"tgtctl {verb}"), one
        assert re.search(rf"^ +{re.escape(verb)}( |$)", man, re.M), f"{verb} is not in the man page"
    assert ctl(None, "help", "account").out.count("tgtctl account add [TARGET]") == 1
    assert ctl(None, "--version").out.startswith("tgtctl ")


def test_the_page_for_who_comes_from_elsewhere():
    """Its fragments are right, and the verbs and directives that it names are there."""
    with open(os.path.join(tgt.SOURCE, "man", "tgt-migrate.7"), encoding="utf-8") as f:
        page = f.read().replace("\\-", "-")
    fragments = re.findall(r"^\.EX\n(<target.*?</target>\n)\.EE", page, re.M | re.S)
    assert len(fragments) == 2
    with tgt.scratch() as d:
        path = os.path.join(d, "page.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write("".join(fragments))
        assert "2 targets, no errors" in ctl(None, "verify", path).out
    for line in re.findall(r"tgtctl ([a-z].*)", page):
        words = re.match(r"[a-z-]+(?: [a-z]+)?", line)[0].split()
        ctl(None, "help", *words[:2 if words[0] in ("account", "portal", "convert") else 1])
    known = tgt.run("man", "-l", os.path.join(tgt.BUILD, "man", "targets.conf.5"),
                    env={**CLEAN, "MANWIDTH": "200", "LC_ALL": "C.UTF-8"}).stdout
    known = re.sub(r".\x08", "", known)
    for row in re.findall(r"^\S[^\t\n]*\t([a-z].*)$", page, re.M):
        for directive in re.findall(r"(?:^|, )([a-z]+[_-][a-z_-]+)(?= |,|$)", row):
            assert re.search(rf"\b{directive}\b", known), directive


if __name__ == "__main__":
    tgt.main()
