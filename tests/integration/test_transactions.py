#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Several changes as one: applied or not, shown before, taken back unless confirmed; and targets that
live as long as a client."""
import contextlib
import glob
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import dbus  # noqa: E402
import terminal  # noqa: E402
import tgt  # noqa: E402
import tgtbus  # noqa: E402
from rawiscsi import Raw  # noqa: E402
from tgtbus import error_of, options, texts  # noqa: E402

A, B, C = (f"iqn.2026-01.org.example:{x}" for x in "abc")


def block(name, *lines):
    return f"<target {name}>\n" + "".join(f"  {line}\n" for line in lines) + "</target>\n"


def null(name, *lines):
    return block(name, "<backing-store NONE>\n  bs-type null\n  size 1G\n  </backing-store>",
                 "initiator-address ALL", *lines)


def apply(client, fragments, **values):
    return client.manager.Apply(texts(fragments), options(**values))


def lines(answer):
    return [str(c[0]) for c in answer[1]]


def names(client):
    return [str(r[0]) for r in client.pages("ListTargets")]


def saved(daemon, folder="state"):
    return sorted(os.path.basename(p) for p in
                  glob.glob(os.path.join(daemon.dir, folder, "targets.d", "*")))


def write(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def login(daemon, name=A, who="raw"):
    return Raw(daemon.port, target=name, initiator=f"iqn.2026-01.org.example:{who}").login()


def is_alive(raw):
    try:
        raw.response(raw.command(bytes(6)))
        return True
    except (AssertionError, OSError, EOFError):
        return False


def test_calls_that_come_with_the_authentication():
    """libdbus sends its first call together with BEGIN: it is answered, whatever the timing."""
    def field(code, signature, text):
        return bytes((code, 1)) + signature + b"\0" + len(text).to_bytes(4, "little") + text + b"\0"

    def padded(data):
        return data + bytes(-len(data) % 8)
    fields = padded(field(1, b"o", b"/org/tgt1")) + padded(field(3, b"s", b"Ping")) + \
        field(2, b"s", b"org.freedesktop.DBus.Peer")
    ping = b"l\1\0\1" + bytes(4) + (1).to_bytes(4, "little") + \
        len(fields).to_bytes(4, "little") + padded(fields)
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(os.path.join(daemon.runtime, "control"))
            s.sendall(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n" + ping)
            got = b""
            while b"\r\n" not in got or len(got.split(b"OK", 1)[1].split(b"\r\n", 1)[1]) < 16:
                part = s.recv(4096)
                assert part, got
                got += part
            assert got.split(b"\r\n", 2)[-1][:2] == b"l\2", got  # a method return


def test_apply_all_or_nothing():
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        apply(client, {"one": null(A) + null(B)})
        assert names(client) == [A, B]
        assert len(saved(daemon)) == 2
        before = client.get("Generation")

        # each kind of fault, with where it stands; and nothing of the rest happens
        for fault, name, text in (
                ("x.conf:2: .*no-such", "InvalidArgument", block(B, "no-such-directive 1")),
                ("/nonexistent/disk", "BackingStore", block(B, "backing-store /nonexistent/disk")),
                ("x.conf:1: ", "InvalidArgument", "<target\n")):
            found = error_of(apply, client, {"good.conf": null(C), "x.conf": text})
            assert found[0] == name, found
            assert re.search(fault, found[1]), found
        found = error_of(apply, client, {"x": "# nothing\n"})
        assert "name nothing" in found[1], found
        found = error_of(apply, client, {"x": block(C, "alias a", "alias b", "foo"), "y": "<target\n"})
        assert len(found[1].splitlines()) >= 2, found  # every fault has its line
        found = error_of(apply, client, {"x": "backing-directory /\n" + null(C)})
        assert found[0] == "InvalidArgument" and "backing-directory" in found[1], found
        assert names(client) == [A, B] and client.get("Generation") == before
        assert len(saved(daemon)) == 2

        # what a fragment names is what it says; what it does not name stays
        answer = apply(client, {"x": null(B, "alias second")})
        assert lines(answer) == [f"~ target {B}: alias default -> second"], lines(answer)
        assert answer[0] == before + 1
        assert apply(client, {"x": null(B, "alias second")})[1] == []
        answer = apply(client, {"x": block(A, "masked yes"), "y": null(C)}, dry_run=True)
        assert lines(answer) == [f"- target {A}", f"+ target {C}"], lines(answer)
        assert names(client) == [A, B]
        answer = apply(client, {"x": null(C)}, prune=True)
        assert lines(answer) == [f"- target {A}", f"- target {B}", f"+ target {C}"]
        assert names(client) == [C] and len(saved(daemon)) == 1
        kinds = [(str(c[1]), str(c[2]), int(c[3])) for c in answer[1]]
        assert kinds == [("remove-target", A, -1), ("remove-target", B, -1), ("add-target", C, -1)]
        said = {str(n): [str(v) for v in after] for n, _, after in answer[1][2][4]}
        assert said["lun 1"] == ["bs-type null", "size 1073741824"], said
        daemon.stop()
        daemon.start()
        assert names(tgtbus.Client(daemon)) == [C]


def test_what_stands_against_what_runs_is_told_with_its_place():
    """Not only what is wrong in itself; and all stores that are missing, not one after the other."""
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        disk, again = tgt.sparse(os.path.join(d, "disk.img"), 1 << 20), os.path.join(d, "again.img")
        os.link(disk, again)
        apply(client, {"x": block(A, f"backing-store {disk}", "controller_tid 5", "initiator-address NONE")})
        store = "<backing-store {}>\n    block-size 4096\n  </backing-store>"
        for wrong, line, words in (
                ("controller_tid 5", 1, f"{B}: controller_tid: 5 is the number of {A}"),
                (store.format(disk), 2, f"{disk} is served by {A} too ("),
                (store.format(again), 2, f"backing-store: {again} is the same as {disk} (")):
            found = error_of(apply, client, {"good.conf": null(C), "x.conf": "\n" * 9 + block(B, wrong)})
            assert f"x.conf:{9 + line}: " in found[1] and words in found[1], found
        found = error_of(apply, client, {"y.conf": block(B, "backing-store /nowhere/1", "backing-store /nowhere/2"),
                                         "x.conf": block(C, "backing-store /nowhere/3")})
        assert re.fullmatch(r"x.conf:2: backing-store: /nowhere/3: .*\ny.conf:2: backing-store: /nowhere/1: .*\n"
                            r"y.conf:3: backing-store: /nowhere/2: .*\(use force .*\)", found[1]), found
        found = error_of(client.create, B, {"backing-store": ["/nowhere/1"]})
        assert found[1].startswith("/nowhere/1: "), found  # in no text: the path says it
        assert names(client) == [A]
        # what was applied is not defined by the text that said so
        assert str(client.get("Source", path_of(client, A), "Target")[0]) == ""


def test_apply_keeps_secrets():
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        answer = apply(client, {"x": null(A, "incominguser joe secretsecret12")})
        answer2 = apply(client, {"x": null(A, "incominguser joe secretsecret34")}, dry_run=True)
        for a in (answer, answer2):
            assert len(a[1]) == 1 and "secretsecret" not in str(a), a
        assert "secretsecret" not in daemon.log()
        assert "secretsecret12" in str(client.manager.Dump(options(with_secrets=True)))


def test_apply_to_what_is_in_use():
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        apply(client, {"x": null(A) + null(B)})
        raw = login(daemon, who="host7")
        for dry in (True, False):
            found = error_of(apply, client, {"x": block(A, "masked yes") + null(C)}, dry_run=dry)
            assert found[0] == "InUse" and "host7" in found[1], found
        assert names(client) == [A, B] and is_alive(raw)
        apply(client, {"x": null(A, "alias other") + null(C)})  # disturbs nobody
        assert is_alive(raw)
        apply(client, {"x": block(A, "masked yes")}, force=True)
        assert not is_alive(raw) and names(client) == [B, C]


def test_apply_over_what_the_administrator_defines():
    with tgt.scratch() as d, tgt.Daemon(d, {"a.conf": null(A)}) as daemon:
        client = tgtbus.Client(daemon)
        found = error_of(apply, client, {"x": null(A, "alias x") + null(B)})
        assert found[0] == "DefinedByAdministrator" and "a.conf" in found[1], found
        assert names(client) == [A]
        apply(client, {"x": null(B)}, prune=True)
        assert names(client) == [A, B]  # /etc is not ours to prune
        apply(client, {"x": null(A, "alias x")}, force=True)


def test_generation():
    with tgt.scratch() as d, tgt.Daemon(d, {"a.conf": null(C)}) as daemon:
        client = tgtbus.Client(daemon)
        seen = client.get("Generation")
        apply(client, {"x": null(A)}, generation=dbus.UInt64(seen))
        found = error_of(apply, client, {"x": null(B)}, generation=dbus.UInt64(seen))
        assert found[0] == "Conflict", found
        assert names(client) == [A, C]
        # also what the fragments say now
        os.unlink(os.path.join(daemon.config, "targets.d", "a.conf"))
        found = error_of(client.manager.Reload, options(generation=dbus.UInt64(seen)))
        assert found[0] == "Conflict" and names(client) == [A, C], found
        client.manager.Reload(options(generation=client.get("Generation")))
        assert names(client) == [A]


def test_two_at_once():
    """Of two that saw the same generation one wins, whole; and the other is told."""
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        clients = [tgtbus.Client(daemon) for _ in range(2)]
        sets = [{"x": "".join(null(f"iqn.2026-01.org.example:{k}{i}") for i in range(50))}
                for k in "pq"]
        seen = clients[0].get("Generation")
        outcomes = [None, None]

        def run(k):
            try:
                apply(clients[k], sets[k], generation=dbus.UInt64(seen))
                outcomes[k] = "applied"
            except dbus.DBusException as e:
                outcomes[k] = e.get_dbus_name()
        threads = [threading.Thread(target=run, args=(k,)) for k in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert sorted(outcomes) == ["applied", "org.tgt1.Error.Conflict"], outcomes
        found = {n.rsplit(":", 1)[1][0] for n in names(clients[0])}
        assert len(names(clients[0])) == 50 and found == {"pq"[outcomes.index("applied")]}


def test_client_that_goes_away():
    """Its change is there as a whole, or not at all; on disk too."""
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        text = "".join(null(f"iqn.2026-01.org.example:t{i}") for i in range(300))
        path = write(d, "many.conf", text)
        seen = set()
        for delay in (0, 0.005, 0.01, 0.02, 0.04, 0.08):
            p = subprocess.Popen([tgt.TGTCTL, "--socket", os.path.join(daemon.runtime, "control"),
                                  "apply", path], stdout=subprocess.DEVNULL)
            time.sleep(delay)
            p.kill()
            p.wait()
            client = tgtbus.Client(daemon)
            client.create(C, runtime=True)  # comes after whatever was begun
            n = client.get("NTargets") - 1
            assert n in (0, 300), n
            assert len(saved(daemon)) == n
            seen.add(int(n))
            client.manager.DeleteTarget(C, options(runtime=True))
            if n:
                apply(client, {"x": "".join(block(f"iqn.2026-01.org.example:t{i}", "masked yes")
                                            for i in range(300))})
        assert 0 in seen


def test_disk_full():
    """A file system without room refuses the change as a whole."""
    with tgt.scratch() as d:
        daemon = tgt.Daemon(d)
        tgt.run("mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", daemon.state)
        try:
            with daemon:
                client = tgtbus.Client(daemon)
                apply(client, {"x": null(A)})
                with open(os.path.join(daemon.state, "fill"), "wb", buffering=0) as f:
                    with contextlib.suppress(OSError):
                        while f.write(bytes(4096)):
                            pass
                text = "".join(null(f"iqn.2026-01.org.example:t{i}", "alias " + "x" * 200)
                               for i in range(100)) + null(A, "alias new")
                found = error_of(apply, client, {"x": text})
                assert found[0] == "Failed" and "No space left" in found[1], found
                assert names(client) == [A] and len(saved(daemon)) == 1
                assert "alias new" not in open(glob.glob(daemon.state + "/targets.d/*")[0]).read()
                assert not glob.glob(daemon.state + "/targets.d/.*")
                daemon.kill()
                os.unlink(os.path.join(daemon.state, "fill"))
                daemon.start()
                assert names(tgtbus.Client(daemon)) == [A]
        finally:
            tgt.run("umount", "-l", daemon.state)


def test_tgtctl_apply():
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        folder = os.path.join(d, "set")
        os.mkdir(folder)
        write(folder, "1.conf", null(A))
        write(folder, "2.conf", null(B))
        write(folder, ".hidden.conf", "nonsense")
        write(folder, "readme", "nonsense")
        p = daemon.ctl("apply", folder, "--dry-run", "--color=yes")
        assert "Would change" in p.stdout and "\x1b[" in p.stdout, p.stdout
        assert f"+ target {A}" in p.stdout and "lun 1: bs-type null" in p.stdout, p.stdout
        assert names(tgtbus.Client(daemon)) == []
        answer = json.loads(daemon.ctl("apply", folder, "--json").stdout)
        assert [c["Kind"] for c in answer["Changes"]] == ["add-target", "add-target"]
        assert answer["Generation"] == 2 and answer["Problems"] == []
        p = tgt.run(tgt.TGTCTL, "--socket", os.path.join(daemon.runtime, "control"), "apply", "-",
                    input=null(C, "no-such 1", "alias 1", "and-no-such 2"), check=False)
        assert p.returncode == 1 and "standard input:" in p.stdout, p.stdout
        assert "no-such" in p.stdout and "and-no-such" in p.stdout, p.stdout
        p = daemon.ctl("apply", os.path.join(d, "nothing"), check=False)
        assert p.returncode == 1 and "nothing" in p.stdout
        p = daemon.ctl("apply", os.path.join(folder, "1.conf"), "--generation=1", check=False)
        assert p.returncode == 6, p.stdout


def test_tgtctl_diff():
    with tgt.scratch() as d, tgt.Daemon(d, {"a.conf": null(A)}) as daemon:
        p = daemon.ctl("diff")
        assert "is what is configured" in p.stdout, p.stdout
        daemon.fragment("a.conf", null(A, "alias new") + null(B))
        p = daemon.ctl("diff", check=False)
        assert p.returncode == 7, p.stdout
        assert f"~ target {A}: alias default -> new" in p.stdout and f"+ target {B}" in p.stdout
        answer = json.loads(daemon.ctl("diff", A, "--json", check=False).stdout)
        change, = answer["Changes"]
        assert change["Kind"] == "change-target" and change["Name"] == A
        assert change["Directives"] == [{"Directive": "alias", "Before": [], "After": ["new"]}]
        assert names(tgtbus.Client(daemon)) == [A]
        daemon.fragment("a.conf", null(A) + "<target")
        p = daemon.ctl("diff", check=False)
        assert p.returncode == 1 and "a.conf:" in p.stdout, p.stdout
        assert "Apart from that, what runs is what is configured" in p.stdout, p.stdout


def test_logs_are_emptied():
    """What is in place needs no log any more; one that only grew would fill /run."""
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        logs = [os.path.join(d, folder, "changes") for folder in ("state", "run")]
        apply(client, {"x": null(A)})
        apply(client, {"x": null(B)}, runtime=True)
        sizes = [os.path.getsize(log) for log in logs]
        assert all(size > 0 for size in sizes), sizes
        tgt.eventually(lambda: not any(os.path.getsize(log) for log in logs), 20, "empty logs")
        apply(client, {"x": null(C)}, runtime=True)
        daemon.stop()
        assert [os.path.getsize(log) for log in logs] == [0, 0]
        daemon.start()
        assert sorted(names(tgtbus.Client(daemon))) == [A, B, C]


def waits(client):
    return client.get("ConfirmUntil") != 0


def tree(daemon, folder="state"):
    """What is written down, but for the log."""
    found = {}
    for root, _, files in os.walk(os.path.join(daemon.dir, folder)):
        for name in files:
            if name not in ("changes", "identities", "control", "control.lock"):
                with open(os.path.join(root, name)) as f:
                    found[os.path.relpath(os.path.join(root, name), daemon.dir)] = f.read()
    return found


def test_confirm():
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        found = error_of(client.manager.Confirm, options())
        assert found[0] == "NotFound", found
        for usec in (999999, 24 * 3600 * 10**6 + 1):
            found = error_of(apply, client, {"x": null(A)}, confirm_within=dbus.UInt64(usec))
            assert found[0] == "InvalidArgument", found
        generation = apply(client, {"x": null(A)}, confirm_within=tgtbus.usec(60))[0]
        assert waits(client) and client.get("ConfirmGeneration") == generation
        assert list(client.get("ConfirmChanges")) == [f"+ target {A}"]
        assert "uid 0" in client.get("ConfirmBy")

        # nothing else is changed meanwhile, by whatever way; looking is free
        found = error_of(client.create, B)
        assert found[0] == "Unconfirmed" and "uid 0" in found[1], found
        p = daemon.ctl("reload", check=False)
        assert p.returncode == 6 and "waits to be confirmed" in p.stdout, p.stdout
        apply(client, {"x": null(B)}, dry_run=True)
        assert error_of(apply, client, {"x": null(B)}, confirm_within=tgtbus.usec(5))[0] == \
            "Unconfirmed"
        assert re.search(r"Unconfirmed: a change by uid 0", daemon.ctl("status").stdout)

        wrong = options(generation=dbus.UInt64(generation + 1))
        assert error_of(client.manager.Confirm, wrong)[0] == "Conflict"
        assert list(client.manager.Confirm(options(generation=generation))) == [f"+ target {A}"]
        assert not waits(client)
        client.create(B)
        daemon.stop()
        daemon.start()
        assert names(tgtbus.Client(daemon)) == [A, B]
        assert not os.path.exists(os.path.join(daemon.state, "armed"))
        # of many, status tells the first ones
        apply(tgtbus.Client(daemon), {"x": "".join(null(f"{C}{i:02}") for i in range(25))},
              confirm_within=tgtbus.usec(60))
        status = daemon.ctl("status").stdout
        told = status.split("Unconfirmed:")[1].split("NAME")[0]
        assert told.count("+ target") == 10 and "and 15 more (tgtctl show)" in told, status
        assert daemon.ctl("show").stdout.count("+ target") == 25


def prepare_rollback(client, daemon):
    """A state, and a change of everything in it; what is to come back, and who is logged in."""
    apply(client, {"x": null(A, "alias old", "incominguser joe secretsecret12") + null(B)})
    client.create(C, runtime=True)
    before = str(client.manager.Dump(options(with_secrets=True))), tree(daemon), tree(daemon, "run")
    change = {"x": null(A, "alias new") + block(B, "masked yes") + null(C, "alias lasting") +
              null("iqn.2026-01.org.example:d")}
    return before, change


def state(client, daemon):
    return str(client.manager.Dump(options(with_secrets=True))), tree(daemon), tree(daemon, "run")


def test_not_confirmed():
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        before, change = prepare_rollback(client, daemon)
        apply(client, change, confirm_within=tgtbus.usec(2))
        raw = login(daemon, "iqn.2026-01.org.example:d")  # what comes may be in use when it goes
        assert names(client) == [A, C, "iqn.2026-01.org.example:d"] and waits(client)
        tgt.eventually(lambda: not waits(client), 15, "the change taken back")
        assert state(client, daemon) == before
        assert not is_alive(raw)
        assert "Taken back: 5 changes (not confirmed in time" in daemon.log(), daemon.log()
        client.create("iqn.2026-01.org.example:e")  # changes go on
        daemon.stop()
        daemon.start()
        assert names(tgtbus.Client(daemon)) == [A, B, C, "iqn.2026-01.org.example:e"]


def test_rollback():
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        before, change = prepare_rollback(client, daemon)
        generation = apply(client, change, confirm_within=tgtbus.usec(600))[0]
        assert error_of(client.manager.Rollback, options(generation=dbus.UInt64(7)))[0] == "Conflict"
        p = daemon.ctl("rollback", f"--generation={generation}")
        assert f"+ target {B}" in p.stdout, p.stdout
        assert state(client, daemon) == before
        # the same for one method, and for portals; and of what lasts only as long as the daemon
        port = tgt.free_port()
        client.manager.AddPortal(f"127.0.0.1:{port}", options(confirm_within=tgtbus.usec(60)))
        socket.create_connection(("127.0.0.1", port)).close()
        client.manager.Rollback(options())
        assert state(client, daemon) == before
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            raise AssertionError("the portal is still there")
        except ConnectionRefusedError:
            pass
        daemon.ctl("create", "iqn.2026-01.org.example:f", "--runtime", "--confirm-within=1min")
        client.manager.Rollback(options())
        assert state(client, daemon) == before


def test_armed_over_a_restart():
    """Killed or stopped, in time or not: it is confirmed, or it is taken back."""
    for how in ("kill", "stop"):
        with tgt.scratch() as d, tgt.Daemon(d) as daemon:
            client = tgtbus.Client(daemon)
            before, change = prepare_rollback(client, daemon)
            apply(client, change, confirm_within=tgtbus.usec(3))
            getattr(daemon, how)()
            daemon.start()
            client = tgtbus.Client(daemon)
            assert waits(client) and B not in names(client), "it is still as changed"
            assert error_of(client.create, "iqn.2026-01.org.example:z")[0] == "Unconfirmed"
            tgt.eventually(lambda: not waits(client), 15, "the change taken back")
            assert state(client, daemon) == before
            # one whose time is over while nobody runs
            apply(client, change, confirm_within=tgtbus.usec(1))
            getattr(daemon, how)()
            time.sleep(1.2)
            daemon.start()
            client = tgtbus.Client(daemon)
            assert not waits(client) and state(client, daemon) == before
            assert "nobody confirmed before tgtd was started" in daemon.log()
            # and one that is confirmed after it
            apply(client, change, confirm_within=tgtbus.usec(60))
            getattr(daemon, how)()
            daemon.start()
            client = tgtbus.Client(daemon)
            client.manager.Confirm(options())
            assert B not in names(client)
            daemon.kill()
            daemon.start()
            assert B not in names(tgtbus.Client(daemon)) and not waits(tgtbus.Client(daemon))


def test_rollback_over_what_was_changed_meanwhile():
    """A file of ours that somebody has edited by hand is kept, beside what it was before."""
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        apply(client, {"x": null(A, "alias old")})
        path, = glob.glob(daemon.state + "/targets.d/*")
        with open(path) as f:
            before = f.read()
        apply(client, {"x": null(A, "alias new")}, confirm_within=tgtbus.usec(60))
        write(daemon.state, os.path.join("targets.d", os.path.basename(path)), "# by hand\n")
        client.manager.Rollback(options())
        with open(path) as f:
            assert f.read() == before
        with open(path + ".changed-meanwhile") as f:
            assert f.read() == "# by hand\n"
        assert "changed-meanwhile" in daemon.log()
        assert daemon.ctl("diff", check=False).returncode == 0


def test_damaged_record():
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        apply(client, {"x": null(A)}, confirm_within=tgtbus.usec(60))
        daemon.kill()
        write(daemon.state, "armed", "[armed]\nformat=1\nuntil=nonsense\n")
        daemon.start()
        client = tgtbus.Client(daemon)
        assert names(client) == [A] and not waits(client)
        assert "cannot be read" in daemon.log()
        client.create(B)


def edit(daemon, script, *argv, **kw):
    """tgtctl edit with a shell script as the editor; its "$1" is the file."""
    path = os.path.join(daemon.dir, "editor")
    write(daemon.dir, "editor", "#!/bin/sh\n" + script + "\n")
    os.chmod(path, 0o755)
    return daemon.ctl("edit", *argv, check=False, env={**os.environ, "SYSTEMD_EDITOR": path,
                                                      "XDG_RUNTIME_DIR": daemon.dir}, **kw)


def left_over(daemon):
    return glob.glob(os.path.join(daemon.dir, "tgtctl-*"))


def test_edit():
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        apply(client, {"x": null(A, "incominguser joe secretsecret12")})
        for nothing in ("true", ": > $1", "echo '# only a comment' > $1"):
            p = edit(daemon, nothing, "a")
            assert p.returncode == 0 and "Nothing was changed" in p.stdout, p.stdout
        p = edit(daemon, "exit 3", "a")
        assert p.returncode == 1 and "nothing was changed" in p.stdout, p.stdout
        p = edit(daemon, "stat -c %a $1 > $1.mode; cat $1.mode >&2; rm $1.mode;"
                 " sed -i '/<target/a alias edited' $1", "a")
        assert p.returncode == 0 and "alias default -> edited" in p.stdout, p.stdout
        assert "600" in p.stdout, p.stdout
        after = str(client.manager.Dump(options(with_secrets=True)))
        assert "alias edited" in after and "secretsecret12" in after
        assert not left_over(daemon)
        before = state(client, daemon)

        # what is wrong is told, changes nothing, and what was written is not lost
        for script, fault in (("sed -i '/<target/a nonsense 1' $1", "nonsense"),
                              (f"sed -i 's/{A}/{B}/' $1", "must be about"),
                              (f"echo '<target {B}></target>' >> $1", "target"),
                              ("echo 'garbage' >> $1", "garbage")):
            p = edit(daemon, script, "a", stdin=subprocess.DEVNULL)
            assert p.returncode == 1 and fault in p.stdout and "kept in" in p.stdout, p.stdout
            kept, = left_over(daemon)
            assert os.path.getsize(os.path.join(kept, "target.conf")) > 0
            tgt.run("rm", "-r", kept)
            assert state(client, daemon) == before
        # somebody else was faster
        ctl = f"{tgt.TGTCTL} --socket {daemon.runtime}/control"
        p = edit(daemon, f"{ctl} create {C} >/dev/null; sed -i '/<target/a tail' $1;"
                 "sed -i 's/tail/alias late/;s/alias edited//' $1", "a")
        assert p.returncode == 6 and "kept in" in p.stdout, p.stdout
        assert "alias edited" in str(client.manager.Dump(options()))
        for kept in left_over(daemon):
            tgt.run("rm", "-r", kept)
        p = edit(daemon, "sed -i 's/alias edited/alias shown/' $1", "a", "--dry-run")
        assert "Would change" in p.stdout and "alias edited" in str(client.manager.Dump(options()))
        p = edit(daemon, "sed -i 's/alias edited/alias passing/' $1", "a", "--runtime")
        assert p.returncode == 0 and any("alias passing" in t for t in tree(daemon, "run").values())


def test_edit_again():
    """On a terminal it asks, and the text is there again."""
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        apply(client, {"x": null(A)})
        write(d, "editor", "#!/bin/sh\nif grep -q nonsense $1; then sed -i 's/nonsense 1/alias good/' $1\n"
              "else sed -i '/<target/a nonsense 1' $1; fi\n")
        os.chmod(os.path.join(d, "editor"), 0o755)
        env = {**os.environ, "EDITOR": os.path.join(d, "editor"), "XDG_RUNTIME_DIR": d}
        env.pop("SYSTEMD_EDITOR", None)
        command = f"{tgt.TGTCTL} --socket {daemon.runtime}/control edit a"
        p = tgt.run("script", "-qec", command, "/dev/null", env=env, input="y\n")
        assert "nonsense" in p.stdout and "Edit it again?" in p.stdout, p.stdout
        assert "alias good" in str(client.manager.Dump(options())), p.stdout
        assert not left_over(daemon)


def test_edit_interrupted():
    """Ctrl-C ends the editor; what it had of secrets is wiped."""
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        client = tgtbus.Client(daemon)
        apply(client, {"x": null(A, "incominguser joe secretsecret12")})
        before = state(client, daemon)
        write(d, "editor", "#!/bin/sh\nsed -i '/<target/a alias edited' $1\necho EDIT''ING; exec sleep 60\n")
        os.chmod(os.path.join(d, "editor"), 0o755)
        env = {**os.environ, "SYSTEMD_EDITOR": os.path.join(d, "editor"), "XDG_RUNTIME_DIR": d}
        code, out = terminal.run([tgt.TGTCTL, "--socket", f"{daemon.runtime}/control", "edit", "a"],
                                 [("EDITING", "\x03")], env)
        assert code == 1 and "nothing was changed" in out, (code, out)
        assert not left_over(daemon) and state(client, daemon) == before


def test_edit_of_the_administrator():
    with tgt.scratch() as d, tgt.Daemon(d, {"a.conf": null(A)}) as daemon:
        p = edit(daemon, "sed -i '/<target/a alias x' $1", "a")
        assert p.returncode == 6 and re.search(r"a.conf, line 1.*--runtime", p.stdout), p.stdout
        p = edit(daemon, "sed -i '/<target/a alias x' $1", "a", "--runtime")
        assert p.returncode == 0, p.stdout


def cat(daemon, *argv, **kw):
    return tgt.run(tgt.TGTCTL, "cat", f"--config-dir={daemon.config}",
                   f"--state-dir={daemon.state}", *argv, **kw)


def test_cat():
    with tgt.scratch() as d:
        daemon = tgt.Daemon(d)
        daemon.fragment("a.conf", "# a comment\n" + null(A, "incominguser joe secretsecret12") +
                        null(B))
        daemon.fragment("more.conf", block(A, "alias second"))
        var = os.path.join(daemon.state, "targets.d")
        os.mkdir(var)
        write(var, "more.conf", block(A, "alias hidden"))
        write(var, "gone.conf", block(A, "alias masked-away"))
        os.symlink("/dev/null", os.path.join(daemon.config, "targets.d", "gone.conf"))
        text = cat(daemon, "a").stdout
        etc = os.path.join(daemon.config, "targets.d")
        assert f"# {etc}/a.conf:2\n" in text, text
        assert re.search(r"^ +3 +<backing-store NONE>$", text, re.M), text
        assert re.search(r"^ +4 +bs-type null$", text, re.M), text
        assert f"# {etc}/more.conf:1\n" in text and B not in text, text
        assert f"{var}/more.conf:1 does not count: {etc}/more.conf has the same name and hides it" \
            in text, text
        assert f"{var}/gone.conf:1 does not count: {etc}/gone.conf masks it" in text, text
        assert "joe ********" in text and "secretsecret" not in text
        assert "secretsecret12" in cat(daemon, A, "--with-secrets").stdout
        # what replaces says so
        write(var, "z.conf", block(A, "alias only", "replace yes"))
        blocks = json.loads(cat(daemon, A, "--json").stdout)
        assert sorted((os.path.basename(b["File"]), b["Counts"]) for b in blocks) == [
            ("a.conf", False), ("gone.conf", False), ("more.conf", False), ("more.conf", False),
            ("z.conf", True)], blocks
        assert "z.conf:1 replaces or masks it" in blocks[0]["Why"], blocks
        assert blocks[0]["Lines"][0]["Line"] == 3
        p = cat(daemon, "nobody", check=False)
        assert p.returncode == 4 and "No fragment" in p.stdout, p.stdout


def create_transient(client, name=A, **values):
    client.create(name, {"backing-store": ["NONE"], "bs-type": ["null"], "size": ["1G"],
                         "initiator-address": ["ALL"]}, transient=True, **values)


def path_of(client, name):
    return str(client.manager.GetTarget(name))


def check_transient(daemon, client, owner, other):
    """owner made A and goes by the function client.close(); other looks."""
    create_transient(client)
    path = path_of(other, A)
    assert other.get("Persistence", path, "Target") == "transient"
    assert str(other.get("Owner", path, "Target")) == owner()
    raw, uninvolved = login(daemon), None
    apply(other, {"x": null(B)})
    uninvolved = login(daemon, B)
    daemon.reload()
    assert names(other) == [A, B] and is_alive(raw)  # no fragment has it, and it stays
    other.interface(path, "Target").Set("alias", ["x"], options())
    other.manager.Apply(texts({"x": null(B, "alias x")}), options(prune=True))
    assert names(other) == [A, B] and is_alive(raw)
    assert not any(A in text for text in list(tree(daemon).values()) +
                   list(tree(daemon, "run").values())), "it was written down"
    found = error_of(apply, other, {"x": null(A)}, confirm_within=tgtbus.usec(60))
    assert found[0] == "InvalidArgument" and "transient" in found[1], found
    # it goes with its owner, also while a change waits to be confirmed
    apply(other, {"x": null(C)}, confirm_within=tgtbus.usec(60))
    client.close()
    tgt.eventually(lambda: A not in names(other), what="the transient target gone")
    tgt.eventually(lambda: not is_alive(raw), what="its session ended")
    assert is_alive(uninvolved) and waits(other)
    assert re.search(r"Changed: - target \S+:a \(.*is gone, uid 0", daemon.log()), daemon.log()
    other.manager.Confirm(options())
    assert names(other) == [B, C]


def test_transient_of_a_connection():
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        check_transient(daemon, tgtbus.Client(daemon), lambda: "private socket",
                        tgtbus.Client(daemon))


def test_transient_of_a_bus_client():
    with tgt.scratch() as d, tgtbus.own_bus(d) as address:
        with tgt.Daemon(d, args=[f"--bus={address}"]) as daemon:
            look = dbus.bus.BusConnection(address)
            tgt.eventually(lambda: look.name_has_owner("org.tgt1"), what="the name")
            bus = dbus.bus.BusConnection(address)
            bus.set_exit_on_disconnect(False)
            client = tgtbus.Client(bus=bus)
            check_transient(daemon, client, bus.get_unique_name, tgtbus.Client(bus=look))


def test_transient_is_its_owners():
    """Removed by hand and made by another, it does not go with the first; and not over a restart."""
    with tgt.scratch() as d, tgt.Daemon(d) as daemon:
        first, second, other = (tgtbus.Client(daemon) for _ in range(3))
        create_transient(first)
        assert error_of(create_transient, second)[0] == "Exists"
        create_transient(second, B, dry_run=True)
        assert names(other) == [A]
        other.manager.DeleteTarget(A, options())
        create_transient(second)
        first.close()
        time.sleep(0.2)
        assert names(other) == [A]
        second.close()
        tgt.eventually(lambda: names(other) == [], what="the target gone")
        third = tgtbus.Client(daemon)
        for i in range(20):  # who goes at once leaves nothing
            fast = tgtbus.Client(daemon)
            fast.create_without_waiting(f"iqn.2026-01.org.example:f{i}", transient=True)
            fast.flush()
            fast.close()
        tgt.eventually(lambda: names(other) == [], what="nothing left")
        create_transient(third)
        daemon.stop()
        daemon.start()
        assert names(tgtbus.Client(daemon)) == []


tgt.main()
