#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The one path of every change: what is refused, what is kept, what is shared, what comes back."""
import contextlib
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402
from rawiscsi import Raw  # noqa: E402

ONE, TWO = "iqn.2026-01.org.example:one", "iqn.2026-01.org.example:two"


def refused(daemon, pattern, *argv):
    p = daemon.ctl(*argv, check=False)
    assert p.returncode != 0, f"{argv} succeeded: {p.stdout}"
    assert re.search(pattern, p.stdout), f"no {pattern!r} in: {p.stdout}"


def target(name, *luns):
    body = "".join(f"  <backing-store {path}>\n    {extra}\n  </backing-store>\n"
                   for path, extra in luns)
    return f"<target {name}>\n  initiator-address ALL\n{body}</target>\n"


def uuid(daemon, name, lun=1):
    return re.search(r"Uuid=(\S+)", daemon.ctl("show", f"{name}/{lun}").stdout).group(1)


def reason(daemon, name, lun=1):
    found = re.search(r"Reason=(.*)", daemon.ctl("show", f"{name}/{lun}").stdout)
    return found.group(1) if found else ""


def fresh(daemon, name=tgt.NAME, who="raw"):
    return Raw(daemon.port, target=name, initiator=f"iqn.2026-01.org.example:{who}").login()


def state_of(raw, lun=1):
    """GOOD is 0; otherwise (sense key, ASC)."""
    status, _, sense, _ = raw.response(raw.command(bytes(6), lun=lun))
    return status if status != 2 else (sense[2] & 15, sense[12])


def settle(raw, wanted, lun=1, seconds=15):
    def there():
        time.sleep(0.05)
        return state_of(raw, lun) == wanted
    tgt.eventually(there, seconds, f"LUN {lun} in state {wanted}")


def test_two_names_of_one_file():
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        link = os.path.join(d, "link.img")
        os.symlink(disk, link)
        one = {"1.conf": target(ONE, (disk, "")), "2.conf": target(TWO, (link, ""))}
        with tgt.Daemon(d, {"1.conf": one["1.conf"]}) as daemon:
            first = uuid(daemon, ONE)
            daemon.fragment("2.conf", one["2.conf"])
            daemon.reload()
            assert uuid(daemon, TWO) == first
        # whichever is opened first, and whichever is left: it is the same disk
        daemon.start()
        assert uuid(daemon, ONE) == uuid(daemon, TWO) == first
        os.unlink(os.path.join(daemon.config, "targets.d", "1.conf"))
        daemon.reload()
        assert uuid(daemon, TWO) == first
        settle(fresh(daemon, TWO), 0)
        daemon.stop()
        daemon.start()
        assert uuid(daemon, TWO) == first
        daemon.stop()
        # the link leads elsewhere now: the name that was first keeps the identity
        os.unlink(link)
        os.symlink(tgt.sparse(os.path.join(d, "b.img"), 8 << 20), link)
        daemon.fragment("1.conf", one["1.conf"])
        daemon.start()
        assert uuid(daemon, ONE) == first and uuid(daemon, TWO) != first
        other = uuid(daemon, TWO)
        daemon.stop()
        daemon.start()
        assert uuid(daemon, ONE) == first and uuid(daemon, TWO) == other
        daemon.stop()


def test_one_disk_has_one_configuration():
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        link = os.path.join(d, "link.img")
        os.symlink(disk, link)
        with tgt.Daemon(d, {"1.conf": target(ONE, (disk, ""))}) as daemon:
            daemon.ctl("create", TWO)
            refused(daemon, r"1\.conf|another configuration", "add-lun", TWO, disk,
                    "--write-cache=off")
            refused(daemon, r"configured differently.*|1\.conf:3", "add-lun", TWO, link,
                    "--write-cache=off")
            assert "LUN" not in daemon.ctl("show", TWO).stdout.replace("LUNs", "")
            daemon.ctl("add-lun", TWO, link)
            assert uuid(daemon, ONE) == uuid(daemon, TWO)
            # nor can one of the two change alone, and the other is the administrator's
            refused(daemon, r"1\.conf", "set-lun", TWO, "1", "write-cache", "off")
            assert "write-cache" not in daemon.ctl("dump", TWO).stdout
            # both together can, if they agree
            for name, path, to in ((ONE, disk, "off"), (TWO, link, "on")):
                daemon.fragment(f"{name[-3:]}.conf", target(name, (path, f"write-cache {to}")))
            os.unlink(os.path.join(daemon.config, "targets.d", "1.conf"))
            daemon.ctl("delete", "--force", TWO)
            p = daemon.ctl("reload", check=False)
            assert "another configuration" in p.stdout or "configured differently" in p.stdout, p.stdout
            daemon.fragment("two.conf", target(TWO, (link, "write-cache off")))
            daemon.reload()
            assert daemon.ctl("dump").stdout.count("write-cache off") == 2
            for name in (ONE, TWO):
                assert "WriteCache=no" in daemon.ctl("show", f"{name}/1").stdout


def test_a_disk_of_several_targets_is_set_as_one():
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        link = os.path.join(d, "link.img")
        os.symlink(disk, link)
        with tgt.Daemon(d) as daemon:
            for name in (ONE, TWO):
                daemon.ctl("create", name)
            daemon.ctl("add-lun", ONE, disk, "--lun=3")
            daemon.ctl("add-lun", TWO, link)
            daemon.ctl("add-lun", TWO, disk, "--lun=9")
            for word in ("off", "on", "off"):
                said = daemon.ctl("set-lun", TWO, "1", "write-cache", word).stdout
                assert said.count(f"-> {word}") == 3 and f"{ONE} lun 3" in said and f"{TWO} lun 9" in said, said
            assert daemon.ctl("dump").stdout.count("write-cache off") == 3
            refused(daemon, "readonly", "set-lun", ONE, "3", "readonly", "perhaps")
            assert daemon.ctl("dump").stdout.count("write-cache off") == 3
            # another file under one of the numbers is that number's alone
            other = tgt.sparse(os.path.join(d, "b.img"), 16 << 20)
            daemon.ctl("set-lun", TWO, "9", "path", other)
            assert daemon.ctl("dump").stdout.count(other) == 1
            daemon.ctl("set-lun", TWO, "9", "write-cache", "on")
            assert daemon.ctl("dump").stdout.count("write-cache off") == 2


def test_who_is_in_the_way():
    with tgt.scratch() as d:
        disks = [tgt.sparse(os.path.join(d, n), 16 << 20) for n in ("a.img", "b.img")]
        with tgt.Daemon(d) as daemon:
            daemon.ctl("create", ONE)
            daemon.ctl("allow", ONE, "ALL")
            daemon.ctl("add-lun", ONE, disks[0])
            raw = fresh(daemon, ONE).ready()
            who = "iqn.2026-01.org.example:raw"
            refused(daemon, who, "delete", ONE)
            refused(daemon, who, "set", ONE, "state", "offline")
            refused(daemon, who, "set-lun", ONE, "1", "block-size", "4096")
            refused(daemon, who, "set-lun", ONE, "1", "path", disks[1])
            assert state_of(raw) == 0
            # what takes nothing away is done under them
            daemon.ctl("add-lun", ONE, disks[1])
            daemon.ctl("set-lun", ONE, "1", "write-cache", "off")
            settle(raw, 0)
            settle(raw, 0, lun=2)
            refused(daemon, who, "remove-lun", ONE, "2")
            refused(daemon, who, "remove-lun", ONE, "2", "--dry-run")
            settle(raw, 0, lun=2)
            assert "lun 2" in daemon.ctl("remove-lun", ONE, "2", "--force", "--dry-run").stdout
            settle(raw, 0, lun=2)
            daemon.ctl("remove-lun", ONE, "2", "--force")
            assert state_of(raw) == (6, 0x3f)
            settle(raw, 0)
            assert state_of(raw, lun=2) == (5, 0x25)
            raw.close()
            tgt.eventually(lambda: "Sessions: 0" in daemon.ctl("status").stdout, 5, "logged out")
            raw = fresh(daemon, ONE).ready()
            daemon.ctl("delete", "--force", ONE)
            with contextlib.suppress(Exception):
                while True:
                    raw.receive()
            raw.sock.close()
            refused(daemon, "", "show", ONE)
            assert daemon.process.poll() is None


def test_a_lun_is_replaced():
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        with tgt.Daemon(d, {"1.conf": target(ONE, (disk, ""))}) as daemon:
            before = uuid(daemon, ONE)
            daemon.fragment("1.conf", target(ONE, (disk, "block-size 4096\n    bs-type aio")))
            daemon.reload()
            raw = fresh(daemon, ONE)
            settle(raw, 0)
            _, data, _, _ = raw.response(raw.command(b"\x25" + bytes(9), read=8))
            assert data[4:] == b"\0\0\x10\0", data.hex()
            assert uuid(daemon, ONE) == before       # the same disk, seen otherwise
            raw.close()


def test_settings_change_under_initiators():
    write = b"\x2a\0\0\0\0\0\0\0\1\0"
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        with tgt.Daemon(d, {"1.conf": target(ONE, (disk, "readonly yes"))}) as daemon:
            raw = fresh(daemon, ONE).ready()

            def outcome():
                settle(raw, 0)
                status, _, sense, _ = raw.response(raw.command(write, write=512, data=b"x" * 512))
                return status if status != 2 else (sense[2] & 15, sense[12])
            assert outcome() == (7, 0x27)
            daemon.fragment("1.conf", target(ONE, (disk, "readonly no")))
            daemon.reload()
            tgt.eventually(lambda: outcome() == 0, 10, "writable")
            daemon.fragment("1.conf", target(ONE, (disk, "readonly yes")))
            daemon.reload()
            assert outcome() == (7, 0x27)
            daemon.fragment("1.conf", target(ONE, (disk, "readonly no\n    online no")))
            daemon.reload()
            settle(raw, (2, 4))
            assert "offline" in reason(daemon, ONE)
            daemon.fragment("1.conf", target(ONE, (disk, "")))
            daemon.reload()
            assert outcome() == 0
            raw.close()


def test_changes_outlive_the_daemon():
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        with tgt.Daemon(d, {"1.conf": target(ONE, (disk, ""))}) as daemon:
            daemon.ctl("create", TWO)
            daemon.ctl("allow", TWO, "192.0.2.0/24")
            daemon.ctl("account", "add", TWO, "bob", input="a-long-secret-12\n")
            daemon.ctl("add-lun", "--runtime", TWO, disk)
            refused(daemon, r"1\.conf, line 1", "delete", ONE)
            refused(daemon, r"1\.conf, line 1", "allow", ONE, "192.0.2.1")
            daemon.ctl("allow", "--runtime", ONE, "iqn.2026-01.org.example:raw")
            dump = daemon.ctl("dump", "--with-secrets").stdout
        assert os.stat(os.path.join(daemon.state, "targets.d")).st_mode & 0o7777 in (0o755, 0o700)
        daemon.start()
        assert daemon.ctl("dump", "--with-secrets").stdout == dump
        # what a stop of the service takes along
        daemon.stop()
        for name in os.listdir(os.path.join(daemon.runtime, "targets.d")):
            os.unlink(os.path.join(daemon.runtime, "targets.d", name))
        daemon.start()
        dump = daemon.ctl("dump", "--with-secrets").stdout
        assert "192.0.2.0/24" in dump and "a-long-secret-12" in dump
        assert dump.count(disk) == 1 and "example:raw" not in dump
        # the administrator's target can be hidden, and comes back
        daemon.ctl("delete", "--runtime", ONE)
        daemon.reload()
        refused(daemon, "", "show", ONE)
        daemon.ctl("create", "--runtime", ONE)
        assert disk not in daemon.ctl("dump", ONE).stdout
        daemon.ctl("delete", TWO)
        daemon.stop()
        daemon.start()
        refused(daemon, "", "show", TWO)
        daemon.stop()


def test_nothing_is_changed_that_cannot_be_written_down():
    with tgt.scratch() as d:
        with tgt.Daemon(d) as daemon:
            with open(os.path.join(daemon.state, "targets.d"), "w"):
                pass                                    # a file where the folder should be
            refused(daemon, "written down", "create", ONE)
            refused(daemon, "", "show", ONE)
            os.unlink(os.path.join(daemon.state, "targets.d"))
            daemon.ctl("create", ONE)
            assert "written down" in daemon.log()


def test_dry_run():
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        with tgt.Daemon(d, {"1.conf": target(ONE, (disk, ""))}) as daemon:
            out = daemon.ctl("create", "--dry-run", TWO, f"--backing-store={disk}").stdout
            assert f"+ target {TWO}" in out, out
            refused(daemon, "", "show", TWO)
            assert not os.path.exists(os.path.join(daemon.state, "targets.d"))
            daemon.fragment("1.conf", target(ONE, (disk, "write-cache off")))
            assert "write-cache" in daemon.ctl("reload", "--dry-run").stdout
            assert "write-cache" not in daemon.ctl("dump").stdout
            assert "write-cache" in daemon.reload().stdout
            assert "write-cache" in daemon.ctl("dump").stdout


def test_a_bad_block_leaves_what_runs():
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        with tgt.Daemon(d, {"1.conf": target(ONE, (disk, "")),
                            "2.conf": target(TWO, (disk, ""))}) as daemon:
            raw = fresh(daemon, ONE).ready()
            daemon.fragment("1.conf", target(ONE, (disk, "block-sighs 4096")))
            daemon.fragment("2.conf", target(TWO, (disk, ""), ("/nonexistent/x", "")))
            p = daemon.ctl("reload", check=False)
            assert "1.conf:4" in p.stdout, p.stdout
            assert state_of(raw) == 0
            assert "nonexistent" in reason(daemon, TWO, 2)
            # what initiators use is not replaced by a reload either
            daemon.fragment("1.conf", target(ONE, (disk, "block-size 4096")))
            daemon.fragment("2.conf", target(TWO))
            p = daemon.ctl("reload", check=False)
            assert "iqn.2026-01.org.example:raw" in p.stdout, p.stdout
            assert state_of(raw) == 0
            assert disk not in daemon.ctl("dump", TWO).stdout
            raw.close()


def test_a_file_goes_and_comes_back():
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        away = os.path.join(d, "away.img")
        with tgt.Daemon(d, {"1.conf": target(ONE, (disk, ""))}) as daemon:
            raw = fresh(daemon, ONE).ready()
            os.rename(disk, away)
            daemon.ctl("unit", "refresh", f"{ONE}/1", check=False)
            settle(raw, (2, 4))
            assert "a.img" in reason(daemon, ONE)
            os.rename(away, disk)
            settle(raw, 0)
            assert reason(daemon, ONE) == ""
            assert re.search("not ready.*a.img", daemon.log())
            raw.close()


def test_what_hangs_is_known_to_who_comes_next():
    with tgt.scratch() as d:
        disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        lun = (disk, "bs-type fault\n    bsopts \"store=rdwr\"")
        with tgt.Daemon(d, {"1.conf": target(ONE, lun)}) as daemon:
            raw = fresh(daemon, ONE).ready()
            daemon.ctl("unit", "store-options", f"{ONE}/1", "hang=write")
            raw.command(b"\x2a\0\0\0\0\0\0\0\1\0", write=512, data=b"\xaa" * 512)
            daemon.fragment("1.conf", target(ONE))
            refused(daemon, "1.conf:.*use --force to remove", "reload")
            daemon.ctl("reload", "--force")              # removal does not wait for the disk
            daemon.fragment("1.conf", target(ONE, lun))
            daemon.reload()
            again = fresh(daemon, ONE, "again")
            settle(again, 0)
            # the old write is still under way: a newer one waits for it, or is told BUSY
            itt = again.command(b"\x2a\0\0\0\0\0\0\0\1\0", write=512, data=b"\xbb" * 512)
            daemon.ctl("unit", "store-options", f"{ONE}/1", "hang=none", check=False)
            status = again.response(itt)[0]
            assert status in (0, 8), status
            if status == 0:
                with open(disk, "rb") as f:
                    assert f.read(512) == b"\xbb" * 512, "the old write came last"
            raw.sock.close()
            again.close()


def test_the_opener():
    """tgtd without privileges serves a file of root's through tgtd-open, which knows whom it serves."""
    opener = os.path.join(tgt.BUILD, "src", "daemon", "tgtd-open")
    for user, served in (("nobody", True), ("daemon", False)):
        with tgt.scratch() as d:
            disk = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
            os.chmod(disk, 0o600)
            sock = os.path.join(d, "opener")
            with subprocess.Popen(["systemd-socket-activate", "--seqpacket", "-l", sock, opener,
                                   "nobody"], stderr=subprocess.DEVNULL) as helper:
                tgt.eventually(lambda: os.path.exists(sock), 10, "the socket")
                os.chmod(sock, 0o666)
                daemon = tgt.Daemon(d, {"1.conf": target(ONE, (disk, ""))},
                                    args=[f"--opener={sock}"],
                                    wrap=["setpriv", f"--reuid={user}", "--regid=65534",
                                          "--clear-groups"])
                tgt.run("chown", "-R", user, d)
                tgt.run("chown", "root", disk)
                mask = os.umask(0)       # the daemon writes to the socket of Daemon.start()
                try:
                    daemon.start()
                finally:
                    os.umask(mask)
                with contextlib.closing(contextlib.ExitStack()) as stack:
                    stack.callback(daemon.stop)
                    if served:
                        settle(fresh(daemon, ONE), 0)
                        daemon.ctl("unit", "refresh", f"{ONE}/1")
                        assert reason(daemon, ONE) == ""
                    else:
                        assert "a.img" in reason(daemon, ONE)
                helper.terminate()


def test_a_taken_portal():
    with tgt.scratch() as d:
        with tgt.Daemon(d) as daemon:
            second = tgt.run(tgt.TGTD, f"--config-dir={d}/x", f"--state-dir={d}/y",
                             f"--portal=127.0.0.1:{daemon.port}", check=False, timeout=20)
            assert second.returncode == 1
            assert f"127.0.0.1:{daemon.port} is in use by tgtd, process {daemon.process.pid}" \
                in second.stdout, second.stdout
            third = tgt.run(tgt.TGTD, f"--config-dir={d}/x", f"--state-dir={d}/y",
                            f"--runtime-dir={daemon.runtime}", f"--portal=127.0.0.1:{tgt.free_port()}",
                            check=False, timeout=20)
            assert third.returncode == 1 and "Another tgtd" in third.stdout, third.stdout
            env = {**os.environ, "TGT_IPC_SOCKET": os.path.join(d, "ipc")}
            with subprocess.Popen([tgt.TGTD, f"--config-dir={d}/x", f"--state-dir={d}/y",
                                   f"--portal=127.0.0.1:{tgt.free_port()}", "-C", "7"], env=env,
                                  stderr=subprocess.DEVNULL) as fourth:
                tgt.eventually(lambda: os.path.exists(os.path.join(d, "ipc.7")), 10, "the socket")
                assert "State: running" in tgt.run(
                    tgt.TGTCTL, "--socket", os.path.join(d, "ipc.7"), "status").stdout
                fourth.send_signal(signal.SIGTERM)
                assert fourth.wait(20) == 0


def test_portals_come_and_go():
    with tgt.scratch() as d:
        port = tgt.free_port()
        with tgt.Daemon(d) as daemon:
            daemon.ctl("create", ONE)
            daemon.ctl("portal", "add", f"127.0.0.2:{port}")
            daemon.ctl("allow", ONE, "ALL")
            assert ONE in tgt.run("iscsi-ls", f"iscsi://127.0.0.2:{port}").stdout
            assert f"127.0.0.2:{port}" in daemon.ctl("list", "portals").stdout
            refused(daemon, f"127.0.0.2:{port}|in use", "portal", "add", f"127.0.0.2:{port}")
            refused(daemon, "no interface", "portal", "add", "192.0.2.77:3260")
        daemon.start()
        assert f"127.0.0.2:{port}" in daemon.ctl("list", "portals").stdout
        daemon.ctl("portal", "remove", f"127.0.0.2:{port}")
        tgt.eventually(lambda: tgt.run("iscsi-ls", f"iscsi://127.0.0.2:{port}",
                                       check=False).returncode != 0, 5, "the portal closed")
        daemon.stop()


def test_command_line():
    for argv, pattern in ((["--portal=nonsense"], "expected ADDR"), (["--workers=x"], "workers"),
                          (["--workers=65"], "64"), (["extra"], "unexpected argument extra"),
                          (["--control-port=-1"], "32767"), (["--bogus"], "bogus"),
                          (["--bus=nonsense"], "expected none")):
        p = tgt.run(tgt.TGTD, *argv, check=False, timeout=20)
        assert p.returncode == 2 and re.search(pattern, p.stdout), f"{argv}: {p.stdout}"
    assert re.match(r"tgtd \d", tgt.run(tgt.TGTD, "--version").stdout)
    assert "--config-dir" in tgt.run(tgt.TGTD, "--help").stdout
    with tgt.scratch() as d:
        with open(os.path.join(d, "identities"), "w") as f:
            f.write("tgt-identities 99\n")
        p = tgt.run(tgt.TGTD, f"--state-dir={d}", f"--config-dir={d}", f"--portal=127.0.0.1:{tgt.free_port()}",
                    check=False, timeout=20)
        assert p.returncode == 1 and "later version" in p.stdout, p.stdout


tgt.main()
