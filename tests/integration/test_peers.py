#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What has killed or opened other targets, on a whole daemon; tests/threats.md says which is which."""
import contextlib
import hashlib
import os
import re
import socket
import stat
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402
from rawiscsi import Closed, Raw  # noqa: E402

USER, SECRET = "someone", "secretpass12"
CHAP = f"incominguser {USER} {SECRET}"


@contextlib.contextmanager
def served(extra="", before="", args=(), luns=1):
    """A daemon with disks and, at its end, the proof that it serves."""
    with tgt.scratch() as d:
        stores = "".join(f"  backing-store {tgt.sparse(os.path.join(d, f'{n}.img'), 64 << 20)}\n"
                         for n in range(luns))
        text = (f"{before}\n<target {tgt.NAME}>\n{stores}  initiator-address ALL\n  {extra}\n</target>\n"
                f"<target iqn.2026-01.org.example:open>\n  <backing-store NONE>\n    bs-type null\n"
                f"    size 16M\n  </backing-store>\n</target>\n")
        with tgt.Daemon(d, {"t.conf": text}, args=args) as daemon:
            yield daemon
            assert daemon.process.poll() is None, "tgtd ended"
            raw = Raw(daemon.port, target="iqn.2026-01.org.example:open").login().ready()
            status, data, _, _ = raw.read10(0, 8)
            assert status == 0 and data == bytes(4096)
            raw.close()


def answer(challenge, secret=SECRET):
    """CHAP_R with MD5 for the keys of a challenge."""
    identifier = bytes([int(challenge["CHAP_I"])])
    return "0x" + hashlib.md5(identifier + secret.encode()
                              + bytes.fromhex(challenge["CHAP_C"][2:])).hexdigest()


def keys_of(reply):
    return dict(p.decode().split("=", 1) for p in reply.data.split(b"\0") if b"=" in p)


def challenged(daemon, target=tgt.NAME, session="Normal", **kw):
    """A connection in the security stage that has been asked; and what it was asked."""
    raw = Raw(daemon.port, **kw)
    first = {"InitiatorName": raw.initiator, "SessionType": session, "AuthMethod": "CHAP"}
    if session == "Normal":
        first["TargetName"] = target
    reply = raw.login_pdu(first, csg=0, nsg=1, transit=False)
    assert keys_of(reply)["AuthMethod"] == "CHAP", reply.data
    return raw, keys_of(raw.login_pdu({"CHAP_A": "5"}, csg=0, nsg=1, transit=False))


def chap(daemon, keys, **kw):
    """Login status after this answer, a function of the challenge: class and detail, or None: closed."""
    raw, asked = challenged(daemon, **kw)
    with contextlib.closing(raw), contextlib.suppress(Closed):
        reply = raw.login_pdu(keys(asked), csg=0, nsg=1)
        assert len(reply.data) <= 8192
        return reply.bhs[36], reply.bhs[37]
    return None


def test_unknown_keys_are_not_echoed_beyond_the_answer():
    """RFC 7143 6.1: a key name has at most 63 bytes; what is answered fits the initiator's buffer."""
    with served() as daemon:
        for text in (b"k" * 8000 + b"=v\0", b"k" * 64 + b"=v\0", b"a=b\0" * 2048,
                     b"".join(b"X-%d=%s\0" % (i, b"v" * 200) for i in range(38))):
            raw = Raw(daemon.port)
            first = f"InitiatorName={raw.initiator}\0SessionType=Discovery\0".encode()
            with contextlib.suppress(Closed):
                reply = raw.login_pdu(first + text[:8192 - len(first)], csg=1)
                assert len(reply.data) <= 8192, len(reply.data)
                assert b"k" * 64 not in reply.data, "a name longer than any is echoed"
            raw.close()


def test_chap_response_of_any_length():
    with served(CHAP) as daemon:
        for length in (0, 1, 3, 4, 20, 24, 28, 43, 44, 64, 340, 344, 1000, 5000, 8000):
            for value in ("0b" + "A" * length, "0x" + "a" * length, "a" * length):
                status = chap(daemon, lambda asked, v=value: {"CHAP_N": USER, "CHAP_R": v})
                assert status is None or status[0] == 2, f"{value[:8]} x {length}: {status}"
        assert chap(daemon, lambda asked: {"CHAP_N": USER, "CHAP_R": answer(asked)}) == (0, 0)


def test_chap_names_are_text_and_identifiers_numbers():
    """A name that looks like a number is a name; an identifier can be hexadecimal (RFC 7143 6.1)."""
    back = "targetsecret"
    with served(f"{CHAP}\n  incominguser 0x41 {SECRET}\n  outgoinguser back {back}") as daemon:
        def mutual(user, identifier):
            return lambda asked: {"CHAP_N": user, "CHAP_R": answer(asked), "CHAP_I": identifier,
                                  "CHAP_C": "0x" + "5a" * 16}
        assert chap(daemon, mutual("0x41", "1")) == (0, 0)
        for user in ("A", "0b" + "QQ==", "0x736f6d656f6e65", "%n%s%n"):
            assert chap(daemon, mutual(user, "1"))[0] == 2, user
        for identifier in ("-1", "256", "0x100", "0b", "", "1 ", "99999999999999999999"):
            assert chap(daemon, mutual(USER, identifier))[0] == 2, identifier
        raw, asked = challenged(daemon)
        reply = keys_of(raw.login_pdu(mutual(USER, "0x1f")(asked), csg=0, nsg=1))
        assert reply["CHAP_N"] == "back"
        assert reply["CHAP_R"] == "0x" + hashlib.md5(b"\x1f" + back.encode() + b"\x5a" * 16).hexdigest()
        raw.close()
        # our own challenge does not make us answer ourselves
        raw, asked = challenged(daemon)
        reply = raw.login_pdu({"CHAP_N": USER, "CHAP_R": answer(asked), "CHAP_I": asked["CHAP_I"],
                               "CHAP_C": asked["CHAP_C"]}, csg=0, nsg=1)
        assert reply.bhs[36] == 2 and b"CHAP_R" not in reply.data
        raw.close()


def refused_login(daemon, **kw):
    try:
        Raw(daemon.port, target=tgt.NAME).login(**kw)
    except (AssertionError, Closed):
        return True
    return False


def test_authentication_cannot_be_left_out():
    with served(CHAP, before="incomingdiscoveryuser finder findersecret") as daemon:
        for session in ("Normal", "Discovery"):
            assert refused_login(daemon, session=session), session               # security stage skipped
            assert refused_login(daemon, session=session, csg=0, nsg=3), session  # AuthMethod=None
            assert refused_login(daemon, session=session, csg=0, nsg=1), session
            raw, asked = challenged(daemon, session=session)
            with contextlib.closing(raw), contextlib.suppress(Closed):  # asked, and goes on without answer
                reply = raw.login_pdu({}, csg=0, nsg=3)
                assert reply.bhs[36] != 0 or not reply.flags & 0x80, "transit without an answer"
        assert tgt.run("iscsi-ls", daemon.portal(), check=False).returncode != 0
        listed = tgt.run("iscsi-ls", daemon.portal().replace("//", "//finder%findersecret@")).stdout
        assert tgt.NAME in listed, listed


def test_secrets_in_credentials():
    """What systemd passes (LoadCredential=). Without it nobody enters, rather than everybody."""
    with tgt.scratch() as d:
        path = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        text = ("incomingdiscoveryuser finder credential find\n" + tgt.disk_fragment(path).replace(
            "</target>", f"  incominguser {USER} credential chap.disk\n</target>"))
        credentials = os.path.join(d, "credentials")
        os.mkdir(credentials)
        for name, secret in (("chap.disk", SECRET + "\n"), ("find", "findersecret")):
            with open(os.path.join(credentials, name), "w") as f:
                f.write(secret)
        with tgt.Daemon(d, {"t.conf": text}, env={"CREDENTIALS_DIRECTORY": credentials}) as daemon:
            assert chap(daemon, lambda asked: {"CHAP_N": USER, "CHAP_R": answer(asked)}) == (0, 0)
            assert refused_login(daemon) and refused_login(daemon, session="Discovery")
            listed = tgt.run("iscsi-ls", daemon.portal().replace("//", "//finder%findersecret@")).stdout
            assert tgt.NAME in listed, listed
            dumped = daemon.ctl("dump", "--with-secrets").stdout
            assert f"incominguser {USER} credential chap.disk\n" in dumped and SECRET not in dumped, dumped
        for name, why in (("chap.disk", "No such file or directory"), ("find", "Discovery is closed")):
            os.unlink(os.path.join(credentials, name))
            with tgt.Daemon(d, {"t.conf": text}, env={"CREDENTIALS_DIRECTORY": credentials}) as daemon:
                assert why in daemon.log() and name in daemon.log(), daemon.log()
                assert refused_login(daemon) and refused_login(daemon, session="Discovery")
        with tgt.Daemon(d, {"t.conf": text}) as daemon:
            assert "LoadCredential=" in daemon.log() and "t.conf:2" in daemon.log(), daemon.log()
            assert refused_login(daemon) and refused_login(daemon, session="Discovery")


def test_challenges_are_never_the_same():
    """Not in one process, nor in the next one."""
    seen = set()
    with tgt.scratch() as d:
        path = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        text = tgt.disk_fragment(path).replace("</target>", f"  {CHAP}\n</target>")
        for _ in range(3):
            with tgt.Daemon(d, {"t.conf": text}) as daemon:
                for _ in range(20):
                    raw, asked = challenged(daemon)
                    seen.add((asked["CHAP_I"], asked["CHAP_C"]))
                    raw.close()
    assert len({c for _, c in seen}) == 60 and len({i for i, _ in seen}) > 20, len(seen)
    assert min(len(c) for _, c in seen) >= 2 + 2 * 16


def logged_in(daemon, **kw):
    raw, asked = challenged(daemon, **kw)
    reply = raw.login_pdu({"CHAP_N": USER, "CHAP_R": answer(asked)}, csg=0, nsg=3)
    assert reply.bhs[36] == 0 and reply.flags & 0x83 == 0x83
    return raw.ready(), struct.unpack(">H", reply.bhs[14:16])[0]


def test_who_cannot_log_in_ends_nobodys_session():
    """Reinstatement and TSIH need the secret as well (RFC 7143 6.3.5); and one connection is all."""
    with served(CHAP) as daemon:
        raw, tsih = logged_in(daemon)
        for secret in ("wrong", SECRET):
            again, asked = challenged(daemon)
            with contextlib.closing(again), contextlib.suppress(Closed):
                again.login_pdu({"CHAP_N": USER, "CHAP_R": answer(asked, "not " + secret)}, csg=0, nsg=3)
            raw.ready()
        for where in ({"tsih": tsih, "cid": 2}, {"tsih": tsih ^ 0x5555}):
            other = Raw(daemon.port)
            with contextlib.closing(other), contextlib.suppress(Closed):
                reply = other.login_pdu({"InitiatorName": other.initiator, "TargetName": tgt.NAME,
                                         "AuthMethod": "CHAP"}, csg=0, nsg=1, transit=False, **where)
                if reply.bhs[36] == 0:
                    asked = keys_of(other.login_pdu({"CHAP_A": "5"}, csg=0, nsg=1, transit=False, **where))
                    reply = other.login_pdu({"CHAP_N": USER, "CHAP_R": answer(asked)}, csg=0, nsg=3, **where)
                assert reply.bhs[36] == 2, f"{where}: {reply.bhs[36:38].hex()}"
        raw.ready().close()


def test_management_is_private():
    with served() as daemon:
        path = os.path.join(daemon.runtime, "control")
        for p, most in ((path, 0o600), (daemon.runtime, 0o755), (daemon.state, 0o755)):
            mode = stat.S_IMODE(os.stat(p).st_mode)
            assert mode & ~most == 0, f"{p}: {mode:o}"
        os.chmod(path, 0o666)  # even then: the socket itself asks who it is
        os.chmod(daemon.dir, 0o755)
        p = tgt.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", tgt.TGTCTL, "--socket",
                    path, "create", "iqn.2026-01.org.example:mine", check=False)
        assert p.returncode != 0, p.stdout
        assert "mine" not in daemon.ctl("list").stdout
        secret = "verysecret12"
        daemon.ctl("create", "iqn.2026-01.org.example:kept", f"--incominguser=someone {secret}")
        found = []
        for folder in (daemon.state, daemon.runtime):
            for base, _, files in os.walk(folder):
                for f in files:
                    p = os.path.join(base, f)
                    if not os.path.isfile(p):
                        continue
                    with open(p, errors="replace") as file:
                        if secret in file.read():
                            found.append(p)
                            assert stat.S_IMODE(os.stat(p).st_mode) & 0o077 == 0, p
        assert found, "the account is nowhere"
        assert secret not in daemon.ctl("dump").stdout and secret not in daemon.log()


def test_listens_on_its_portals_and_nothing_else():
    with served() as daemon:
        inodes = set()
        for fd in os.listdir(f"/proc/{daemon.process.pid}/fd"):
            with contextlib.suppress(OSError):
                m = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{daemon.process.pid}/fd/{fd}"))
                if m:
                    inodes.add(m[1])
        listening, unix = [], []
        for name in ("tcp", "tcp6", "udp", "udp6", "raw", "packet"):
            with open(f"/proc/net/{name}") as f:
                for line in f.readlines()[1:]:
                    fields = line.split()
                    if (fields[9] if name != "packet" else fields[-1]) in inodes and fields[3] != "01":
                        listening.append((name, fields[1]))
        with open("/proc/net/unix") as f:
            for line in f.readlines()[1:]:
                fields = line.split()
                if fields[6] in inodes and int(fields[3], 16) & 0x10000:
                    unix.append(fields[7])
        assert listening == [("tcp", f"0100007F:{daemon.port:04X}")], listening
        assert unix == [os.path.join(daemon.runtime, "control")], unix


def test_lengths_of_4_gib_are_not_0():
    """UNMAP and WRITE SAME of what does not fit 32 bits of bytes: done, or refused with a reason."""
    with tgt.scratch() as d:
        path = tgt.sparse(os.path.join(d, "a.img"), 6 << 30)
        with open(path, "r+b") as f:
            for at in (0, 4 << 30, (4 << 30) - 4096, 5 << 30):
                f.seek(at)
                f.write(b"x" * 4096)
        fragment = tgt.disk_fragment(path, extra="thin-provisioning 1")
        with tgt.Daemon(d, {"t.conf": fragment}) as daemon:
            raw = Raw(daemon.port, target=tgt.NAME, timeout=30).login().ready()
            blocks = (4 << 30) // 512
            descriptor = struct.pack(">HHI", 22, 16, 0) + struct.pack(">QII", 0, blocks, 0)
            status, _, sense, _ = raw.response(raw.command(
                b"\x42" + bytes(6) + struct.pack(">HB", 24, 0), write=24, data=descriptor))
            assert status == 2 and sense[2] & 15 == 5 and sense[12] == 0x26, f"{status} {sense.hex()}"
            with open(path, "rb") as f:
                assert f.read(1) == b"x", "refused, and done all the same"
            cdb = struct.pack(">BBQIBB", 0x93, 0x08, 0, blocks, 0, 0)
            status, _, sense, _ = raw.response(raw.command(cdb, write=512, data=bytes(512)))
            assert status == 0, f"{status} {sense.hex()}"
            raw.close()
        with open(path, "rb") as f:
            assert f.read(4096) == bytes(4096), "acknowledged and not done"
            f.seek((4 << 30) - 4096)
            assert f.read(8192) == bytes(4096) + b"x" * 4096, "not up to the end, or beyond"
        assert os.stat(path).st_blocks * 512 < 1 << 20


def test_two_hosts_never_give_the_same_identity():
    seen = []
    for _ in range(2):
        with served() as daemon:
            url = daemon.url(tgt.NAME, 1)
            seen.append([tgt.run("iscsi-inq", "-e", "1", "-c", c, url).stdout for c in ("128", "131")])
    assert seen[0][0] != seen[1][0] and seen[0][1] != seen[1][1], seen


def test_accounts_come_and_go():
    """stgt: the first of two that is unbound leaves a hole; the 17th for discovery ends it."""
    with served() as daemon:
        name = "iqn.2026-01.org.example:many"
        daemon.ctl("create", name)
        for i in range(20):
            daemon.ctl("account", "add", name, f"user{i}", input=f"secret of user{i}\n")
            daemon.ctl("account", "add", f"finder{i}", input=f"secret of finder{i}\n")
        daemon.ctl("account", "remove", name, "user0")
        daemon.ctl("account", "remove", name, "user9")
        listed = daemon.ctl("account", "list", name).stdout
        users = set(re.findall(r"\buser\d+\b", listed))
        assert users == {f"user{i}" for i in range(20)} - {"user0", "user9"}, listed
        daemon.ctl("allow", name, "ALL")
        raw = Raw(daemon.port)
        first = {"InitiatorName": raw.initiator, "TargetName": name, "AuthMethod": "CHAP"}
        raw.login_pdu(first, csg=0, nsg=1, transit=False)
        asked = keys_of(raw.login_pdu({"CHAP_A": "5"}, csg=0, nsg=1, transit=False))
        reply = raw.login_pdu({"CHAP_N": "user19", "CHAP_R": answer(asked, "secret of user19")}, csg=0, nsg=3)
        assert reply.bhs[36] == 0
        raw.close()


def test_a_comma_is_a_comma():
    with tgt.scratch() as d:
        path = tgt.sparse(os.path.join(d, "a,initiator-name=x.img"), 16 << 20)
        tgt.sparse(os.path.join(d, "a"), 8 << 20)
        with tgt.Daemon(d) as daemon:
            daemon.ctl("create", tgt.NAME)
            daemon.ctl("add-lun", tgt.NAME, path)
            daemon.ctl("allow", tgt.NAME, "127.0.0.1")
            raw = Raw(daemon.port, target=tgt.NAME).login().ready()
            _, data, _, _ = raw.response(raw.command(b"\x25" + bytes(9), read=8))
            assert struct.unpack(">II", data) == ((16 << 20) // 512 - 1, 512)
            raw.close()


def test_nobody_reads_what_another_wrote():
    """null, ram and a new file read as zeros, however much the daemon has just had in its memory."""
    with tgt.scratch() as d:
        secret = b"the other tenant's data!" * 171
        path = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        tgt.sparse(os.path.join(d, "b.img"), 16 << 20)
        text = (tgt.disk_fragment(path) + f"<target iqn.2026-01.org.example:two>\n"
                f"  <backing-store NONE>\n    bs-type null\n    size 16M\n    lun 1\n  </backing-store>\n"
                f"  <backing-store nothing>\n    bs-type ram\n    size 16M\n    lun 2\n  </backing-store>\n"
                f"  <backing-store {d}/b.img>\n    lun 3\n  </backing-store>\n</target>\n")
        with tgt.Daemon(d, {"t.conf": text}) as daemon:
            writer = Raw(daemon.port, target=tgt.NAME).login().ready()
            reader = Raw(daemon.port, target="iqn.2026-01.org.example:two",
                         initiator="iqn.2026-01.org.example:other").login()
            for lun in (1, 2, 3):
                reader.ready(lun)
            for i in range(50):
                cdb = struct.pack(">BBIBHB", 0x2A, 0, i * 8, 0, 8, 0)
                assert writer.response(writer.command(cdb, write=4096, data=secret[:4096]))[0] == 0
                for lun in (1, 2, 3):
                    read = struct.pack(">BBIBHB", 0x28, 0, i * 8, 0, 8, 0)
                    status, data, _, _ = reader.response(reader.command(read, lun=lun, read=4096))
                    assert status == 0 and data == bytes(4096), f"LUN {lun}"
                # answers that are shorter than what was asked for are no longer than they are
                for cdb in (b"\x12\0\0\xff\xff\0", b"\x12\x01\x83\xff\xff\0", b"\x03\0\0\0\xff\0",
                            b"\x1a\0\x3f\xff\xff\0", b"\xa3\x0c" + bytes(4) + b"\0\0\xff\xff\0\0"):
                    _, data, _, _ = reader.response(reader.command(cdb, read=65535))
                    assert b"tenant" not in data, cdb.hex()
            writer.close()
            reader.close()


def test_a_flood_of_logins_neither_fills_the_journal_nor_starves_the_others():
    with served() as daemon:
        for i in range(400):
            with contextlib.suppress(OSError, Closed, AssertionError, socket.timeout):
                raw = Raw(daemon.port, target=f"iqn.2026-01.org.example:nothing{i}")
                raw.login()
        said = [x for x in daemon.log().splitlines() if "nothing" in x]
        assert 0 < len(said) < 100, f"{len(said)} lines for 400 refusals"


def test_it_stops_when_told_to():
    """Under sessions, commands that wait for data, and connections that say nothing."""
    with tgt.scratch() as d:
        path = tgt.sparse(os.path.join(d, "a.img"), 16 << 20)
        daemon = tgt.Daemon(d, {"t.conf": tgt.disk_fragment(path)}).start()
        raws = [Raw(daemon.port, target=tgt.NAME, initiator=f"iqn.2026-01.org.example:i{i}").login()
                for i in range(20)]
        for raw in raws:
            raw.command(struct.pack(">BBIBHB", 0x2A, 0, 0, 0, 64, 0), write=32768)
        silent = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(20)]
        try:
            daemon.stop(timeout=10)
        finally:
            if daemon.process.poll() is None:
                daemon.kill()
        for s in silent:
            s.close()


tgt.main()
