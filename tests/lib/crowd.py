# SPDX-License-Identifier: GPL-2.0-or-later
"""Many sessions that say nothing, but answer when they are asked whether they live."""
import resource
import selectors
import struct
import time

import rawiscsi


class Crowd:
    def __init__(self, port, target, n):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, n + 200)), hard))
        self.selector = selectors.DefaultSelector()
        self.members, self.answered = [], 0
        for i in range(n):
            raw = rawiscsi.Raw(port, f"iqn.2026-01.org.example:silent{i}", target).login()
            self.members.append(raw)
            self.selector.register(raw.sock, selectors.EVENT_READ, raw)

    def rest(self, seconds):
        """Lets time pass; what the target asks is answered (RFC 7143 11.18)."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self.selector.select(left):
                raw = key.data
                pdu = raw.receive()
                assert pdu.opcode == rawiscsi.NOP_IN, f"opcode {pdu.opcode:#x}"
                rest = struct.pack(">III", pdu.ttt, raw.cmdsn, raw.statsn)
                raw.send(rawiscsi.bhs(rawiscsi.NOP_OUT | rawiscsi.IMMEDIATE, itt=0xFFFFFFFF,
                                      rest=rest))
                self.answered += 1

    def close(self):
        for raw in self.members:
            raw.close()
        self.selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
