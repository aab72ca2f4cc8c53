#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's first minute: tests/demo as make demo runs it."""
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402


def test_demo():
    p = subprocess.Popen([os.path.join(tgt.SOURCE, "tests", "demo"), tgt.BUILD], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    lines = []
    for line in p.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    text = "".join(lines)
    try:
        commands = re.findall(r"^    (iscsi-ls .*|qemu-img .*|\S*tgtctl .*)$", text, re.M)
        assert len(commands) == 3, text
        outputs = [tgt.run(*c.split()).stdout for c in commands]
        assert "Lun:1" in outputs[0], outputs[0]
        assert "1 GiB" in outputs[1], outputs[1]
        assert "demo" in outputs[2], outputs[2]
    finally:
        os.killpg(p.pid, signal.SIGINT)
        rest = p.stdout.read()
        p.wait(20)
    assert p.returncode == 0 and "nothing is left behind" in rest, rest
    directory = re.search(r"serves (\S+)/disk.img", text).group(1)
    assert not os.path.exists(directory)


tgt.main()
