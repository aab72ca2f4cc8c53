#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every fuzz target for a while under libFuzzer, address and undefined sanitizers."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402

SECONDS = int(os.environ.get("TGT_FUZZ_SECONDS", "60"))


def test_fuzz_targets():
    build = os.path.join(tgt.SOURCE, "build-fuzz")
    if not os.path.exists(os.path.join(build, "build.ninja")):
        tgt.run("meson", "setup", build, tgt.SOURCE, "-Dfuzzers=true",
                "-Db_sanitize=address,undefined", "-Db_lundef=false",
                env={**os.environ, "CC": "clang"}, timeout=300)
    targets = [f for t in json.loads(tgt.run("meson", "introspect", build, "--targets").stdout)
               if t["type"] == "executable" and t["name"].startswith("fuzz-") for f in t["filename"]]
    assert targets, "there is no fuzz target"
    tgt.run("ninja", "-C", build, *(os.path.relpath(t, build) for t in targets), timeout=900)
    failures = []
    for target in sorted(targets):
        name = os.path.basename(target)[len("fuzz-"):]
        corpus = os.path.join(tgt.SOURCE, "tests", "fuzz", "corpus", name)
        with tgt.scratch() as d:
            p = tgt.run(target, f"-max_total_time={SECONDS}", "-timeout=20", "-rss_limit_mb=2048",
                        f"-artifact_prefix={d}/", d, corpus, check=False, timeout=SECONDS + 120)
            print(f"# {name}: " + p.stdout.strip().splitlines()[-1])
            if p.returncode != 0:
                failures.append(f"{name}: {p.stdout[-3000:]}")
    assert not failures, "\n".join(failures)


tgt.main()
