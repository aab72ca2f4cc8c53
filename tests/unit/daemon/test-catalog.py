#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every MESSAGE_ID that is logged has its entry in the journal's catalog, and the other way round;
what an entry refers to as @FIELD@ is a field that its message has in every case: journalctl shows
the bare name of one that is missing."""
import glob
import os
import re
import sys

source = sys.argv[1]


def text(*path):
    with open(os.path.join(source, *path), encoding="utf-8") as f:
        return f.read()


ids = dict(re.findall(r'^#define (MSG_\w+)\s+"([0-9a-f]{32})"', text("src/daemon/journal.h"), re.M))
catalog = text("units/tgt.catalog")
entries = re.findall(r"^-- ([0-9a-f]{32})$", catalog, re.M)
code = "".join(text(p) for p in glob.glob(os.path.join(source, "src/daemon/*.c")))
fields = set(re.findall(r'\{ "([A-Z_]+)",', code))

# TARGET, LUN, DIRECTIVE, CALLER_UNIT and others are there only where they are known
always = {"CHANGE", "CALLER_NAME", "CALLER_UID", "REASON", "INITIATOR", "PEER", "SESSION",
          "BACKING_STORE"}

checks = [
    ("ids are unique", len(set(ids.values())) == len(ids) > 0),
    ("every id has one entry", sorted(ids.values()) == sorted(entries)),
    ("every id is used", all(re.search(rf"\b{name}\b", code) for name in ids)),
    ("every field of an entry is logged in every case",
     set(re.findall(r"@([A-Z_]+)@", catalog)) <= fields & always),
    ("every entry has a subject",
     len(re.findall(r"^Subject: .+$", catalog, re.M)) == len(entries)),
]
print(f"1..{len(checks)}")
for n, (name, good) in enumerate(checks, 1):
    print(f"{'ok' if good else 'not ok'} {n} {name}")
sys.exit(0 if all(good for _, good in checks) else 1)
