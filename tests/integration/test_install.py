#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is installed can be uninstalled, and stgt's names are there although its package has them."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402

NAMES = ("tgtadm", "tgt-admin", "tgt-setup-lun", "tgtimg")


def files(top):
    return sorted(os.path.join(at, n) for at, dirs, names in os.walk(top) for n in names + dirs
                  if not os.path.isdir(os.path.join(at, n)) or os.path.islink(os.path.join(at, n)))


def test_uninstall_leaves_no_file():
    with tgt.scratch() as d:
        for name in NAMES:
            path = os.path.join(d, "usr", "sbin", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write("another's program\n")
        for _ in range(2):  # also over itself
            tgt.run("meson", "install", "-C", tgt.BUILD, "--no-rebuild", "--destdir", d, timeout=60)
        for name in NAMES:
            path = os.path.join(d, "usr", "sbin", name)
            assert os.path.realpath(path) == os.path.join(d, "usr", "bin", "tgtctl"), os.readlink(path)
        installed = files(d)
        assert len(installed) > 30 and any(f.endswith("/tgtctl") for f in installed), installed
        tgt.run("ninja", "-C", tgt.BUILD, "uninstall", timeout=60)
        assert files(d) == [], files(d)


tgt.main()
