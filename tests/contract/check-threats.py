#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/threats.md: every class of fault names tests, and every test that it names exists."""
import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
TABLE = TESTS / "threats.md"
SHORT = {"hostile": "test_hostile.py", "peers": "test_peers.py"}
NOT_YET = re.compile(r"none: no [\w ]+ yet")


def rows():
    for number, line in enumerate(TABLE.read_text().splitlines(), 1):
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if line.startswith("|") and not re.fullmatch(r"[-| ]+", line) and cells[0] != "what":
            yield number, cells


def missing(name):
    """What is wrong with the name of a test; None: it is there."""
    if name.startswith("corpus/"):
        return None if (TESTS / "fuzz" / name).is_file() else "no such file in the corpus"
    file, _, function = name.partition("::")
    found = list(TESTS.rglob(SHORT.get(file, file)))
    if len(found) != 1:
        return f"{len(found)} files of that name"
    if not function:
        return None
    text = found[0].read_text()
    if file.endswith(".c"):
        if f"static void {function}(" not in text:
            return "no such function"
        return None if len(re.findall(rf"\b{function}\b|\b{function[5:]}\b", text)) > 1 else "is not run"
    return None if f"\ndef {function}(" in text else "no such function"


def problems():
    n = 0
    for number, cells in rows():
        n += 1
        names = re.findall(r"`([^`]+)`", cells[-1])
        if not names and not NOT_YET.fullmatch(cells[-1]):
            yield f"tests/threats.md:{number}: names no test"
        for name in names:
            why = missing(name)
            if why:
                yield f"tests/threats.md:{number}: {name}: {why}"
    if n < 50:
        yield f"tests/threats.md: only {n} rows were found"


found = list(problems())
for p in found:
    print("# " + p)
print("1..1")
print(("not ok" if found else "ok") + " 1 threats")
sys.exit(1 if found else 0)
