#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every store with every block size, cache, provisioning and number of workers, judged by the ledger."""
import itertools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402

LEDGER_IO = os.path.join(tgt.BUILD, "tests", "lib", "ledger-io")
SECONDS = os.environ.get("TGT_MATRIX_SECONDS", "2")


def run(store, block_size, cache, thin, workers):
    with tgt.scratch(disk=store == "aio") as d:
        path = "NONE" if store == "ram" else tgt.sparse(os.path.join(d, "disk.img"), 32 << 20)
        extra = (f"block-size {block_size}\n write-cache {cache}\n thin-provisioning {thin}\n"
                 + ("size 32M\n" if store == "ram" else ""))
        daemon = tgt.Daemon(d, {"t.conf": tgt.disk_fragment(path, extra=extra, bs_type=store)},
                            args=[f"--workers={workers}"])
        with daemon:
            tgt.run(LEDGER_IO, "--seconds", SECONDS, "--max-blocks", "32", "--blocks", "2048",
                    "--unmap", "5" if thin == "yes" else "0", *[daemon.url()] * 3)


def test_matrix():
    failures = []
    cases = list(itertools.product(("rdwr", "aio", "ram"), (512, 4096), ("on", "off"),
                                   ("yes", "no"), (1, 2)))
    for case in cases:
        try:
            run(*case)
        except AssertionError as e:
            failures.append(f"{case}: {e}")
    print(f"# {len(cases)} combinations")
    assert not failures, "\n".join(failures)


tgt.main()
