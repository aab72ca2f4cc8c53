#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every method of the D-Bus interfaces can be reached by a verb of tgtctl."""
import pathlib
import re
import sys
import xml.etree.ElementTree

TOP = pathlib.Path(__file__).resolve().parents[2]
# Methods that do what another method does, which a verb calls: most of them of an object, where that
# one takes its name.
SAME_AS = {
    ("Account", "Remove"): ("Target", "RemoveAccount"),
    ("Acl", "Remove"): ("Target", "Deny"),
    ("Target", "Delete"): ("Manager", "DeleteTarget"),
    ("Manager", "ReplaceTarget"): ("Manager", "Apply"),  # of one block
}
# stgt's commands do not count: they are for those who know them
STGT = re.compile(r"^(tgtadm|tgt-admin|tgt-setup-lun|tgtimg)")
CALL = re.compile(r'IFACE\("(\w+)"\),\s*"(\w+)"')
OF_TARGET = re.compile(r'change_begin_target\([^;"]*"(\w+)"')
OF_ACCOUNT = re.compile(r'\bbegin\(c, target, "(\w+)", "(\w+)"')
# where the name of the method is chosen elsewhere in the file than where it is called
CHOSEN = {
    "model.c": "Manager Target",
    "statistics.c": "Manager",
    "metrics.c": "Manager",
    "verb-apply.c": "Manager",
    "verb-change.c": "Manager Target",
    "verb-daemon.c": "Manager",
    "verb-operate.c": "LogicalUnit",
}


def methods():
    for f in sorted((TOP / "dbus").glob("org.tgt1.*.xml")):
        for interface in xml.etree.ElementTree.parse(f).getroot().iter("interface"):
            for method in interface.iter("method"):
                yield interface.get("name").rpartition(".")[2], method.get("name")


def called():
    for f in sorted((TOP / "src" / "ctl").glob("*.c")):
        if STGT.match(f.name):
            continue
        text = f.read_text()
        yield from CALL.findall(text)
        yield from (("Target", member) for member in OF_TARGET.findall(text))
        for of_target, of_discovery in OF_ACCOUNT.findall(text):
            yield from (("Target", of_target), ("Manager", of_discovery))
        for interface in CHOSEN.get(f.name, "").split():
            yield from ((interface, word) for word in re.findall(r'"([A-Z]\w+)"', text))


every, have = set(methods()), set(called())
found = []
for what in sorted(every):
    if what not in have and SAME_AS.get(what) not in have:
        found.append(f"{what[0]}.{what[1]}: no verb calls it")
for what, other in SAME_AS.items():
    if what not in every or other not in every:
        found.append(f"{what} or {other}: no such method")
print("1..1")
for line in found:
    print("# " + line)
print(f"{'not ok' if found else 'ok'} 1 {len(every)} methods")
sys.exit(1 if found else 0)
