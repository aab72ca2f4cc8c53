# SPDX-License-Identifier: GPL-2.0-or-later
"""Many sessions that say nothing, but answer when they are asked whether they live."""
import resource
import selectors
import struct
import time

import rawiscsi


class Crowd:
    # CmdSN 1: an immediate command does not use it up, and nothing else was sent
    ANSWER = rawiscsi.bhs(rawiscsi.NOP_OUT | rawiscsi.IMMEDIATE, itt=0xFFFFFFFF,
                          rest=struct.pack(">III", 0, 1, 0))

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
        """Lets time pass; what the target asks is answered at once (RFC 7143 11.18)."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self.selector.select(left):
                ping = key.fileobj.recv(4096)
                assert len(ping) == 48 and ping[0] & 0x3F == rawiscsi.NOP_IN, ping[:1].hex()
                statsn = struct.pack(">I", key.data.statsn)
                key.fileobj.send(self.ANSWER[:20] + ping[20:24] + self.ANSWER[24:28] + statsn
                                 + self.ANSWER[32:])
                self.answered += 1

    def close(self):
        for raw in self.members:
            raw.close()
        self.selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
