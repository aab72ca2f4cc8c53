#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs of tgtctl for the daemon itself, and for accounts that are not bound."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import rawiscsi  # noqa: E402
import tgt  # noqa: E402

A, B = (f"iqn.2026-01.org.example:{x}" for x in "ab")


def ctl(d, *argv, code=0, stdin=""):
    p = subprocess.run([tgt.TGTCTL, "--socket", os.path.join(d.runtime, "control"), *map(str, argv)], text=True,
                       input=stdin, timeout=60, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.returncode == code, f"tgtctl {' '.join(map(str, argv))}: exit {p.returncode}\n{p.stdout}{p.stderr}"
    return p.stdout + p.stderr


def manager(d):
    return json.loads(ctl(d, "--json=short", "show"))


def login(d, name=A):
    r = rawiscsi.Raw(d.port, target=name)
    r.login()
    r.close()


def refused(f, *args):
    try:
        f(*args)
    except (rawiscsi.Closed, AssertionError, ConnectionError):
        return True
    return False


def test_offline_and_online():
    text = "".join(f"<target {n}>\nbs-type null\nsize 1G\nbacking-store NONE\n</target>\n" for n in (A, B))
    with tgt.scratch() as dir_, tgt.Daemon(dir_, {"a.conf": text}) as d:
        login(d)
        ctl(d, "offline")
        assert manager(d)["Offline"] is True and "Offline: new connections are closed" in ctl(d, "status")
        assert refused(login, d)
        ctl(d, "online")
        assert manager(d)["Offline"] is False
        login(d)
        # one target
        ctl(d, "offline", "a", "--runtime")
        assert refused(login, d) and not refused(login, d, B)
        assert "+" not in ctl(d, "offline", "a", "b", "--runtime", "--dry-run") and not refused(login, d, B)
        ctl(d, "online", "tid=1", "--runtime")
        login(d)
        assert "has no" not in ctl(d, "online", "tid=77", code=4)
        # what would have no effect is refused, above all a dry run that is none
        for option in "--runtime", "--force", "--dry-run", "--generation=1", "--confirm-within=1min":
            assert "go with a TARGET only" in ctl(d, "offline", option, code=2)
        assert manager(d)["Offline"] is False


def test_debug():
    with tgt.scratch() as dir_, tgt.Daemon(dir_) as d:
        ctl(d, "debug", "on")
        assert manager(d)["Debug"] is True and "Debug: on" in ctl(d, "status")
        ctl(d, "debug", "off")
        assert manager(d)["Debug"] is False
        assert "neither on nor off" in ctl(d, "debug", "1", code=2)


def test_stop():
    with tgt.scratch() as dir_:
        d = tgt.Daemon(dir_, {"a.conf": f"<target {A}>\n</target>\n"})
        d.start()
        assert "1 target is served" in ctl(d, "stop", code=6)
        assert d.process.poll() is None
        ctl(d, "stop", "--force")
        assert d.process.wait(10) == 0


def test_accounts_that_are_not_bound():
    with tgt.scratch() as dir_, tgt.Daemon(dir_) as d:
        ctl(d, "create", A, "--initiator-address=ALL")
        ctl(d, "create", B, "--initiator-address=ALL")
        assert "accounts of no target" in ctl(d, "account", "create", "joe", "--dry-run", stdin="a-secret-of-joe\n")
        assert "joe" not in ctl(d, "account", "list")
        ctl(d, "account", "create", "joe", stdin="a-secret-of-joe\n")
        ctl(d, "account", "create", "back", "--secret=a-secret-of-ours")
        ctl(d, "account", "create", "joe", stdin="another-secret\n", code=6)

        def rows():
            return [(r["User"], r["Direction"], r["Target"]) for r in json.loads(
                ctl(d, "--json=short", "account", "list"))]
        assert rows() == [("joe", "unbound", ""), ("back", "unbound", "")], rows()
        ctl(d, "account", "bind", "a", "joe")
        ctl(d, "account", "bind", A, "back", "--outgoing")
        ctl(d, "account", "bind", "joe")
        ctl(d, "account", "bind", "b", "nobody", code=4)
        assert sorted(rows()) == [("back", "outgoing", A), ("back", "unbound", ""), ("joe", "incoming", ""),
                                  ("joe", "incoming", A), ("joe", "unbound", "")], rows()
        assert refused(login, d) and not refused(login, d, B)
        # the secret is the one that was typed
        assert A in tgt.run("iscsi-ls", f"iscsi://joe%a-secret-of-joe@127.0.0.1:{d.port}").stdout
        dumped = ctl(d, "dump", "--with-secrets")
        assert dumped.count("incominguser joe a-secret-of-joe") == 1 and \
            "outgoinguser back a-secret-of-ours" in dumped, dumped
        ctl(d, "account", "delete", "joe")
        ctl(d, "account", "delete", "joe", code=4)
        assert ("joe", "incoming", A) in rows() and ("joe", "unbound", "") not in rows(), rows()
        # what only another target has can be bound as well
        ctl(d, "account", "bind", "b", "joe")
        assert ("joe", "incoming", B) in rows()
        ctl(d, "account", "remove", "--force", "b", "joe")
        assert ("joe", "incoming", B) not in rows()
        d.stop()
        # kept, and seen without a daemon
        p = tgt.run(tgt.TGTCTL, "--socket", "/nonexistent", "--config-dir", os.path.join(dir_, "etc"), "--state-dir",
                    os.path.join(dir_, "state"), "list", "accounts", check=False)
        assert p.returncode == 3 and "unbound" in p.stdout, p.stdout
        d.start()
        assert ("back", "unbound", "") in rows()


def test_verify_by_the_daemon():
    with tgt.scratch() as dir_, tgt.Daemon(dir_) as d:
        path = os.path.join(dir_, "x.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"<target {A}>\nMaxBurstLength 3\n</target>\n")
        out = ctl(d, "verify", "--daemon", path, code=1)
        assert f"{path}:2: error: {A}: MaxBurstLength" in out, out
        assert "standard input:2: error" in ctl(d, "verify", "--daemon", "-", code=1,
                                                stdin=f"<target {A}>\nbogus 1\n</target>\n")
        assert "No errors" in ctl(d, "verify", "--daemon")
        with open(os.path.join(dir_, "etc", "targets.d", "y.conf"), "w", encoding="utf-8") as f:
            f.write(f"<target {A}>\nMaxBurstLength 3\n</target>\n")
        assert "y.conf:2: error" in ctl(d, "verify", "--daemon", code=1)
        problems = json.loads(ctl(d, "--json=short", "verify", "--daemon", code=1))
        assert [p["Line"] for p in problems] == [2], problems


def test_reload_of_some_and_back():
    text = "<target {}>\nalias {}\n</target>\n"
    with tgt.scratch() as dir_, tgt.Daemon(dir_, {"a.conf": text.format(A, "one"), "b.conf": text.format(B, "one")}) as d:
        def aliases():
            return [json.loads(ctl(d, "--json=short", "show", n))["Alias"] for n in (A, B)]
        for name in A, B:
            ctl(d, "set", name, "alias", "changed", "--runtime")
        ctl(d, "reload")
        assert aliases() == ["changed", "changed"]
        ctl(d, "reload", "a", "--revert", "--dry-run")
        assert aliases() == ["changed", "changed"]
        ctl(d, "reload", "a", "--revert")
        assert aliases() == ["one", "changed"]
        for name, path in (A, "a.conf"), (B, "b.conf"):
            d.fragment(path, text.format(name, "two"))
        ctl(d, "reload", A)
        assert aliases() == ["two", "changed"]
        ctl(d, "reload", "--revert")
        assert aliases() == ["two", "two"]
        assert "There is no target" in ctl(d, "reload", "nobody", code=4)


SCST = """HANDLER vdisk_fileio {{
    DEVICE mail {{
        filename {path}
        usn a1b2c3d4
        naa_id 0x60000000000000000000000000000a01
        t10_dev_id a1b2c3d4-mail
    }}
}}
TARGET_DRIVER iscsi {{
    TARGET {name} {{
        LUN 3 mail
    }}
}}
"""
CTLD = """target {name} {{
    auth-group no-authentication
    lun 3 {{
        path {path}
        serial a1b2c3d4
        device-id a1b2c3d4-mail
        option naa 0x60000000000000000000000000000a01
        option vendor SCST_FIO
    }}
}}
"""


def test_what_is_converted_is_served():
    """From SCST and from ctld: the same LUN numbers, serial numbers and designators on the wire."""
    for kind, text in ("scst", SCST), ("ctld", CTLD):
        with tgt.scratch() as dir_, tgt.Daemon(dir_) as d:
            disk = tgt.sparse(os.path.join(dir_, "disk.img"), 1 << 20)
            path = os.path.join(dir_, "old.conf")
            with open(path, "w", encoding="utf-8") as f:
                f.write(text.format(path=disk, name=A))
            fragments = os.path.join(dir_, "etc", "targets.d")
            ctl(d, "convert", kind, path, fragments)
            assert os.listdir(fragments) == [A + ".conf"]
            ctl(d, "convert", kind, path, fragments, code=1)  # nothing is overwritten
            ctl(d, "reload")
            r = rawiscsi.Raw(d.port, target=A)
            r.login()
            r.ready(3)
            pages = [r.response(r.command(bytes([0x12, 1, page, 0, 255, 0]), lun=3, read=255))[1]
                     for page in (0x80, 0x83)]
            r.close()
            assert pages[0][4:] == b"a1b2c3d4", pages[0]
            assert b"SCST_FIOa1b2c3d4-mail" in pages[1], pages[1]
            assert bytes.fromhex("60000000000000000000000000000a01") in pages[1], pages[1]
            # what cannot be said here has its line
            with open(path, "a", encoding="utf-8") as f:
                f.write("frobnicate 1\n")
            line = text.count("\n") + 1
            assert f"{path}:{line}: frobnicate" in ctl(d, "convert", kind, path, code=1)


tgt.main()
