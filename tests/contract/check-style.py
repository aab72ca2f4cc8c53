#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""House rules that a program can hold: SPDX lines, file length, formatting, forbidden functions."""
import pathlib
import re
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
MAX_LINES = 800
FORBIDDEN = {
    r"\b(strcpy|strcat|sprintf|gets|strtok|atoi|atol)\s*\(": "use a bounded or strict function",
    r"\b(TODO|FIXME|XXX)\b": "do it, or say in the documentation that it is missing",
    r"\bassert\s*\(": "nothing may abort on what a peer sends",
}


def files(*patterns):
    out = subprocess.run(["git", "-C", TOP, "ls-files", *patterns], text=True, check=True,
                         stdout=subprocess.PIPE).stdout
    return [TOP / f for f in out.split("\n") if f]


def check_spdx():
    for f in files("*.c", "*.h", "*.py", "tests/lib/machine", "tests/lib/guest", ".ci/run"):
        if "SPDX-License-Identifier: GPL-2.0-or-later" not in f.read_text()[:300]:
            yield f"{f.relative_to(TOP)}: no SPDX line"


def check_length():
    for f in files("*.c", "*.h"):
        n = len(f.read_text().splitlines())
        if n > MAX_LINES:
            yield f"{f.relative_to(TOP)}: {n} lines, more than {MAX_LINES}"


def check_forbidden():
    for f in files("src/*.c", "src/*.h"):
        for n, line in enumerate(f.read_text().splitlines(), 1):
            for pattern, why in FORBIDDEN.items():
                if re.search(pattern, line) and "static_assert" not in line.lower():
                    yield f"{f.relative_to(TOP)}:{n}: {line.strip()}: {why}"


def check_format():
    tool = shutil.which("clang-format")
    if not tool:
        yield "clang-format is not installed"
        return
    p = subprocess.run([tool, "--dry-run", "--Werror", *map(str, files("*.c", "*.h"))], text=True,
                       check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if p.returncode:
        yield from sorted({line.split(": error")[0] for line in p.stdout.splitlines()
                           if "error:" in line})[:20]


def check_shell():
    scripts = [f for f in files() if f.is_file() and not f.is_symlink()
               and f.read_bytes()[:12].startswith((b"#!/bin/bash", b"#!/bin/sh"))]
    p = subprocess.run(["shellcheck", "-S", "warning", *map(str, scripts)], text=True, check=False,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if p.returncode:
        yield p.stdout


CHECKS = [check_spdx, check_length, check_forbidden, check_format, check_shell]
failed = 0
print(f"1..{len(CHECKS)}")
for i, check in enumerate(CHECKS, 1):
    found = list(check())
    for line in "\n".join(found).splitlines():
        print("# " + line)
    failed += bool(found)
    print(("not ok" if found else "ok") + f" {i} {check.__name__}")
sys.exit(1 if failed else 0)
