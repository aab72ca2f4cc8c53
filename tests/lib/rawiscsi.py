# SPDX-License-Identifier: GPL-2.0-or-later
"""A hand-made iSCSI initiator that can say anything: for what no honest initiator would send."""
import socket
import struct

NOP_OUT, SCSI, TMF, LOGIN, TEXT, DATA_OUT, LOGOUT, SNACK = 0, 1, 2, 3, 4, 5, 6, 0x10
NOP_IN, RESPONSE, TMF_RESPONSE, LOGIN_RESPONSE, TEXT_RESPONSE, DATA_IN, LOGOUT_RESPONSE = range(
    0x20, 0x27)
R2T, ASYNC, REJECT = 0x31, 0x32, 0x3F
IMMEDIATE, FINAL = 0x40, 0x80


class Closed(Exception):
    """The target has closed the connection."""


class Pdu:
    def __init__(self, bhs, ahs, data):
        self.bhs, self.ahs, self.data = bhs, ahs, data
        self.opcode = bhs[0] & 0x3F
        self.flags = bhs[1]
        self.itt = struct.unpack_from(">I", bhs, 16)[0]
        self.ttt = struct.unpack_from(">I", bhs, 20)[0]
        self.statsn, self.expcmdsn, self.maxcmdsn = struct.unpack_from(">III", bhs, 24)
        self.status = bhs[3]


def bhs(opcode, flags=FINAL, lun=0, itt=0, data_length=0, ahs_words=0, rest=b"", bytes2=b"\0\0"):
    """48 bytes; rest: bytes 20..47."""
    head = struct.pack(">BB2sB3sQI", opcode, flags, bytes2, ahs_words,
                       data_length.to_bytes(3, "big"), lun << 48, itt)
    return head + rest.ljust(28, b"\0")[:28]


class Raw:
    def __init__(self, port, initiator="iqn.2026-01.org.example:raw", target=None, timeout=5,
                 window=None):
        """window: bytes that the kernel takes for us while we do not read."""
        self.sock = socket.socket()
        self.sock.settimeout(timeout)
        if window:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.sock.connect(("127.0.0.1", port))
        self.initiator, self.target = initiator, target
        self.cmdsn, self.statsn, self.itt = 1, 0, 0x10
        self.keys = {}

    # -- bytes --
    def send(self, header, data=b"", ahs=b"", pad=True):
        fill = b"\0" * (-len(data) % 4) if pad else b""
        self.sock.sendall(header + ahs + data + fill)

    def read(self, n):
        out = b""
        while len(out) < n:
            try:
                part = self.sock.recv(n - len(out))
            except ConnectionError as e:
                raise Closed from e
            if not part:
                raise Closed
            out += part
        return out

    def receive(self):
        header = self.read(48)
        ahs = self.read(header[4] * 4)
        length = int.from_bytes(header[5:8], "big")
        data = self.read(length + (-length % 4))[:length]
        pdu = Pdu(header, ahs, data)
        if pdu.opcode not in (R2T,):
            self.statsn = pdu.statsn
        return pdu

    def expect(self, opcode):
        """The next PDU, which must have this opcode; NOP-Ins of the target are answered."""
        while True:
            pdu = self.receive()
            if pdu.opcode == NOP_IN and opcode != NOP_IN:
                continue
            assert pdu.opcode == opcode, f"opcode {pdu.opcode:#x} instead of {opcode:#x}"
            return pdu

    def closed(self):
        """True when the target closes the connection, whatever it says before."""
        try:
            while True:
                self.receive()
        except Closed:
            return True
        except socket.timeout:
            return False

    # -- login --
    def login_pdu(self, keys, csg=1, nsg=3, transit=True, isid=b"\x80\x12\x34\x56\0\x01", tsih=0,
                  cont=False, version=0, cid=1):
        text = keys if isinstance(keys, bytes) else b"".join(
            f"{k}={v}".encode() + b"\0" for k, v in keys.items())
        flags = (0x80 if transit else 0) | (0x40 if cont else 0) | csg << 2 | (nsg if transit else 0)
        head = struct.pack(">BBBBB3s6sHI", LOGIN | IMMEDIATE, flags, version, version, 0,
                           len(text).to_bytes(3, "big"), isid, tsih, 0x10)
        head += struct.pack(">HHII", cid, 0, self.cmdsn, self.statsn + 1) + b"\0" * 16
        self.send(head, text)
        return self.expect(LOGIN_RESPONSE)

    def login(self, extra=None, session="Normal", **kw):
        keys = {"InitiatorName": self.initiator, "SessionType": session, "AuthMethod": "None",
                "HeaderDigest": "None", "DataDigest": "None", "InitialR2T": "Yes",
                "ImmediateData": "Yes", "MaxRecvDataSegmentLength": "262144",
                "MaxBurstLength": "262144", "FirstBurstLength": "65536", "DefaultTime2Wait": "2",
                "DefaultTime2Retain": "0", "MaxOutstandingR2T": "1", "ErrorRecoveryLevel": "0",
                "MaxConnections": "1"}
        if self.target and session == "Normal":
            keys["TargetName"] = self.target
        keys.update(extra or {})
        reply = self.login_pdu({k: v for k, v in keys.items() if v is not None}, **kw)
        assert reply.bhs[36:38] == b"\0\0", f"login status {reply.bhs[36]:02x}{reply.bhs[37]:02x}"
        for pair in reply.data.split(b"\0"):
            if b"=" in pair:
                k, v = pair.decode().split("=", 1)
                self.keys[k] = v
        assert reply.flags & 0x83 == 0x83, "login did not end in full feature phase"
        return self

    # -- full feature phase --
    def command(self, cdb, lun=1, read=0, write=0, data=b"", flags=None, ahs=b"", edtl=None,
                cmdsn=None, immediate=False):
        """Sends a SCSI Command; returns its ITT."""
        self.itt += 1
        if flags is None:
            flags = FINAL | (0x40 if read else 0) | (0x20 if write else 0)
        sn = self.cmdsn if cmdsn is None else cmdsn
        rest = struct.pack(">III", (read or write) if edtl is None else edtl, sn,
                           self.statsn + 1) + bytes(cdb).ljust(16, b"\0")
        self.send(bhs(SCSI | (IMMEDIATE if immediate else 0), flags, lun, self.itt, len(data),
                      len(ahs) // 4, rest), data, ahs)
        if cmdsn is None and not immediate:
            self.cmdsn += 1
        return self.itt

    def data_out(self, itt, ttt, offset, data, datasn=0, final=True, lun=1):
        rest = struct.pack(">IIIIIII", ttt, 0, self.statsn + 1, 0, datasn, offset, 0)
        self.send(bhs(DATA_OUT, FINAL if final else 0, lun, itt, len(data), 0, rest), data)

    def response(self, itt):
        """Collects Data-In and the response of one command: (status, data, sense, pdu)."""
        data = b""
        while True:
            pdu = self.receive()
            if pdu.opcode == DATA_IN and pdu.itt == itt:
                data += pdu.data
                if pdu.flags & 1:
                    return pdu.status, data, b"", pdu
            elif pdu.opcode == RESPONSE and pdu.itt == itt:
                return pdu.status, data, pdu.data[2:], pdu
            elif pdu.opcode in (REJECT, ASYNC):
                raise AssertionError(f"opcode {pdu.opcode:#x}, reason {pdu.bhs[2]:#x}")

    def send_targets(self):
        """SendTargets=All, over as many PDUs as it takes (RFC 7143 11.10, 11.11)."""
        text, data, ttt = b"SendTargets=All\0", b"", 0xFFFFFFFF
        while True:
            self.itt += 1 if ttt == 0xFFFFFFFF else 0
            self.send(bhs(TEXT, FINAL, 0, self.itt, len(text),
                          rest=struct.pack(">III", ttt, self.cmdsn, self.statsn + 1)), text)
            self.cmdsn += 1
            pdu = self.expect(TEXT_RESPONSE)
            data += pdu.data
            if pdu.flags & FINAL:
                return data
            text, ttt = b"", pdu.ttt

    def ready(self, lun=1):
        """Takes the unit attentions and leaves the unit ready."""
        for _ in range(10):
            status = self.response(self.command(bytes(6), lun=lun))[0]
            if status == 0:
                return self
        raise AssertionError("the unit does not come ready")

    def read10(self, lba, blocks, block_size=512):
        cdb = struct.pack(">BBIBHB", 0x28, 0, lba, 0, blocks, 0)
        return self.response(self.command(cdb, read=blocks * block_size))

    def close(self):
        self.sock.close()
