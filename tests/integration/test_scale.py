#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What large installations need: many targets, quickly and in little memory."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402
from rawiscsi import Raw  # noqa: E402


def test_ten_thousand_targets():
    with tgt.scratch() as d:
        text = "".join(f"<target iqn.2026-01.org.example:t{i}>\n  <backing-store NONE>\n"
                       "    bs-type null\n    size 1G\n  </backing-store>\n"
                       "  initiator-address ALL\n</target>\n" for i in range(10000))
        begin = time.monotonic()
        with tgt.Daemon(d, {"many.conf": text}) as daemon:
            seconds = time.monotonic() - begin
            with open(f"/proc/{daemon.process.pid}/status") as f:
                rss = int(next(x for x in f if x.startswith("VmRSS")).split()[1]) >> 10
            print(f"# 10,000 targets: ready in {seconds:.1f} s, {rss} MiB")
            raw = Raw(daemon.port).login(session="Discovery")
            assert raw.send_targets().count(b"TargetName=") == 10000
            raw.close()
            url = daemon.url("iqn.2026-01.org.example:t9999")
            assert "Peripheral" in tgt.run("iscsi-inq", url).stdout
            assert rss < 150, f"{rss} MiB"


tgt.main()
