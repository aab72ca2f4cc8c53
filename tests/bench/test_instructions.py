#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/bench/test_instructions.py [--update] BUILD: instructions per I/O, against instructions.json.

Times vary with the machine and its load, instructions do not: valgrind's callgrind counts those of
the path of an I/O without sockets (count-engine.c), for each kind of I/O. "own" are those of src/,
"library" those of what it calls (copies, CRC32C, locks). More than 10 % up or down fails: up is a
regression; down is a gain that the committed figure must hold from then on.

The figures are those of one compiler at one optimisation level, so meson runs this only for gcc -O2.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = os.path.join(HERE, "instructions.json")
TOLERANCE = 0.10
# commands: enough that the first one's misses (pools that grow) do not show
KINDS = [(f"{size // 1024}k-{op}{'-digests' if digests else ''}", op, size, digests, commands)
         for digests in (False, True)
         for op, size, commands in (("read", 4096, 1024), ("write", 4096, 1024),
                                    ("read", 131072, 64), ("write", 131072, 64))]
# valgrind shows a processor of its own, but what it leaves of the real one decides which memcpy() libc
# takes: the plainest, everywhere
TUNABLES = "glibc.cpu.hwcaps=-AVX2,-AVX,-AVX512F,-AVX512VL,-ERMS,-FSRM,-AVX_Fast_Unaligned_Load"


def environment():
    """Without what a test run sets for other reasons: MALLOC_PERTURB_ writes to what is allocated."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    return {**env, "GLIBC_TUNABLES": TUNABLES, "LC_ALL": "C"}


def costs(path, program):
    """(own, library) instructions of a callgrind output (its format: valgrind manual, 6.2)."""
    own = library = 0
    names = {"ob": {}, "file": {}}
    ob = current = ""
    inclusive = False
    with open(path) as f:
        for line in f:
            m = re.match(r"(c?ob|fl|fi|fe|cfi|cfl)=\((\d+)\)(?: (.*))?", line)
            if m:  # a number stands for a name that was given once
                key, number, name = m.groups()
                table = names["ob" if key.endswith("ob") else "file"]
                name = table.setdefault(number, name)
                if key == "ob":
                    ob = name
                elif not key.startswith("c"):  # c...: of the function that is called
                    current = name
            elif line.startswith("calls="):
                inclusive = True  # the next line is the cost of what is called
            elif re.match(r"[+\-*\d]", line):
                cost = int(line.split()[1])
                if inclusive:
                    inclusive = False
                elif os.path.basename(ob) != program:
                    library += cost
                elif re.search(r"(^|/)src/[a-z]+/[\w-]+\.[ch]$", current):
                    own += cost
    return own, library


def count(build, kind):
    name, op, size, digests, commands = kind
    program = os.path.join(build, "tests", "bench", "count-engine")
    with tempfile.TemporaryDirectory() as d:
        out = os.path.join(d, "out")
        p = subprocess.run(
            ["valgrind", "--tool=callgrind", "--toggle-collect=counted_*", f"--callgrind-out-file={out}",
             program, op, str(size), "digests" if digests else "plain", str(commands)],
            env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if p.returncode != 0:
            raise RuntimeError(p.stdout)
        own, library = costs(out, os.path.basename(program))
    return name, {"own": round(own / commands), "library": round(library / commands)}


def count_all(build, processes):
    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        return collections.OrderedDict(pool.map(lambda k: count(build, k), KINDS))


def compiler():
    return subprocess.run(["gcc", "-dumpfullversion"], text=True, stdout=subprocess.PIPE,
                          check=False).stdout.strip()


def judge(name, now, then):
    """Lines that say what is wrong."""
    for part in ("own", "library"):
        # of libraries little may be called: what is little beside our own does not count
        slack = max(TOLERANCE * then[part], TOLERANCE / 2 * then["own"] if part == "library" else 0)
        if abs(now[part] - then[part]) <= slack:
            continue
        change = now[part] / max(then[part], 1) - 1
        what = "in src/" if part == "own" else "in libraries (copies, CRC32C, locks)"
        yield (f"{name}: {now[part]} instructions per I/O {what}, {then[part]} are committed: "
               f"{change * 100:+.1f} %")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--update", action="store_true", help="write what is counted to instructions.json")
    p.add_argument("build", nargs="?", default="build")
    a = p.parse_args()
    now = count_all(a.build, 2)
    if a.update:
        with open(FIGURES, "w") as f:
            json.dump({"compiler": f"gcc {compiler()}", "per_io": now}, f, indent=1)
            f.write("\n")
        return
    with open(FIGURES) as f:
        committed = json.load(f)
    print(f"1..{len(KINDS)}")
    failed = 0
    for i, (name, figures) in enumerate(now.items(), 1):
        bad = list(judge(name, figures, committed["per_io"][name]))
        for line in bad:
            print("# " + line)
        failed += bool(bad)
        print(f"{'not ok' if bad else 'ok'} {i} {name}: {figures['own']} + {figures['library']}")
    if failed:
        print(f"# If that is meant: {os.path.relpath(__file__)} --update {os.path.relpath(a.build)}, "
              "commit instructions.json, and say in the commit what the instructions are for.")
        if f"gcc {compiler()}" != committed["compiler"]:
            print(f"# The figures are of {committed['compiler']}, this is gcc {compiler()}: "
                  "perhaps it is only that.")
    sys.exit(1 if failed else 0)


main()
