#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""iscsi-test-cu of libiscsi, each test in a process of its own, on each store."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402

# iscsi-test-cu 1.19 itself is at fault.
TOOL_FAULTS = {
    "ALL.iSCSITMF.LUNResetSimpleAsync",  # asserts before its callback has run
    # with several logical blocks per physical one, asks for the block after the first and expects to
    # be told of the one after the last
    "ALL.GetLBAStatus.UnmapSingle",
}

# Suites of commands that this build does not have: the tool skips them when the target says so.
# A test outside of these that is skipped fails here.
NOT_IMPLEMENTED = {
    "CompareAndWrite", "ExtendedCopy", "OrWrite", "PrinReadKeys",
    "PrinReportCapabilities", "PrinServiceactionRange", "ProutClear", "ProutPreempt",
    "ProutRegister", "ProutReserve", "ReadDefectData10", "ReadDefectData12", "ReceiveCopyResults",
    "WriteAtomic16",
}
# ... and a test of such a command that does not ask whether it is there.
NOT_ASKED = {"ALL.MultipathIO.CompareAndWrite", "ALL.MultipathIO.CompareAndWriteAsync"}
# It wants to see a SANITIZE that takes longer than four seconds: test_operations.py does the same on a
# disk that is slow.
TOO_FAST = {"ALL.Sanitize.Reset"}
# What the tool skips on any disk like ours, and why.
SKIPS = {
    "ALL.NoMedia.NoMediaSBC": "needs removable media",
    "ALL.StartStopUnit.Simple": "needs removable media",
    "ALL.StartStopUnit.PwrCnd": "needs removable media",
    "ALL.StartStopUnit.NoLoej": "needs removable media",
    "ALL.WriteSame10.ZeroBlocks": "WSNZ=1: a length of 0 is refused, which UnmapUntilEnd checks",
    "ALL.WriteSame16.ZeroBlocks": "WSNZ=1",
    "ALL.PreventAllow.Simple": "needs removable media",
    "ALL.PreventAllow.Eject": "needs removable media",
    "ALL.PreventAllow.ITNexusLoss": "needs removable media",
    "ALL.PreventAllow.Logout": "needs removable media",
    "ALL.PreventAllow.WarmReset": "needs removable media",
    "ALL.PreventAllow.ColdReset": "needs removable media",
    "ALL.PreventAllow.LUNReset": "needs removable media",
    "ALL.PreventAllow.2ITNexuses": "needs removable media",
    "ALL.ReadOnly.ReadOnlySBC": "needs a write-protected unit",
    "ALL.Sanitize.CryptoErase": "there are no keys to forget",
    "ALL.Sanitize.Readonly": "the part about CRYPTOGRAPHIC ERASE",
    "ALL.Sanitize.Reservations": "the part about CRYPTOGRAPHIC ERASE",
}


def all_tests():
    out = tgt.run("iscsi-test-cu", "--list").stdout
    return [t for t in re.findall(r"^(ALL\.\w+\.\S+)$", out, re.M)]


def skip_reasons(output, test):
    """The tool asks for reservations before each test and says so when there are none."""
    out = re.findall(r"\[SKIPPED\].*", output)
    return [x for x in out if "PERSISTENT RESERVE IN" not in x or re.match(r"ALL\.(Prin|Prout)", test)]


def run_all(url, url2, allow_skip, suites=None, least=100):
    failures, skipped, passed = [], [], 0
    for test in all_tests():
        if test in TOOL_FAULTS | NOT_ASKED | TOO_FAST or suites and test.split(".")[1] not in suites:
            continue
        p = tgt.run("iscsi-test-cu", "--dataloss", "--allow-sanitize", "--fail", f"--test={test}",
                    url, url2, check=False, timeout=60)
        ran = re.search(r"tests\s+1\s+1\s+(\d)", p.stdout)
        if p.returncode != 0 or not ran or ran.group(1) != "1":
            reason = re.findall(r"\[FAILED\].*|^\s+\d+\. .*", p.stdout, re.M)
            failures.append(f"{test}: exit {p.returncode} {reason[:2]}")
        elif why := skip_reasons(p.stdout, test):
            if not allow_skip(test):
                skipped.append(f"{test}: {why[0]}")
        else:
            passed += 1
    print(f"# {passed} passed, {len(failures)} failed, {len(skipped)} skipped without a reason")
    assert not failures + skipped, "\n".join(failures + skipped)
    assert passed > least, f"only {passed} tests ran"


# Only file systems tell what takes room.
MEMORY_SKIPS = {
    "ALL.GetLBAStatus.Simple": "has no GET LBA STATUS",
    "ALL.GetLBAStatus.BeyondEol": "has no GET LBA STATUS",
    "ALL.NoMedia.NoMediaSBC": "asks for GET LBA STATUS",
    "ALL.Sanitize.BlockErase": "asks for GET LBA STATUS at the end, after it has looked at the data",
}


def allowed(test):
    return test.split(".")[1] in NOT_IMPLEMENTED or test in SKIPS


def on_store(bs_type, path, extra="thin-provisioning yes", skips=()):
    with tgt.scratch(disk=bs_type == "aio") as d:
        if path:
            path = tgt.sparse(os.path.join(d, "disk.img"), 1 << 30)
        fragment = (f"<target {tgt.NAME}>\n  <backing-store {path or 'NONE'}>\n"
                    f"    bs-type {bs_type}\n    lun 1\n    {extra}\n"
                    + ("" if path else "    size 256M\n")
                    + "  </backing-store>\n  initiator-address ALL\n</target>\n")
        with tgt.Daemon(d, {"t.conf": fragment}) as daemon:
            run_all(daemon.url(), daemon.url(), lambda test: allowed(test) or test in skips)


# The tool asks, and is told that there is none.
REMOVABLE_SKIPS = {"ALL.NoMedia.NoMediaSBC": "asks for GET LBA STATUS, which is not there"}


def test_removable():
    """What a medium that can be taken out adds: PREVENT ALLOW, START STOP UNIT, no medium."""
    with tgt.scratch() as d:
        path = tgt.sparse(os.path.join(d, "disk.img"), 256 << 20)
        with tgt.Daemon(d, {"t.conf": tgt.disk_fragment(path, extra="removable 1")}) as daemon:
            run_all(daemon.url(), daemon.url(), REMOVABLE_SKIPS.__contains__,
                    {"PreventAllow", "StartStopUnit", "NoMedia", "TestUnitReady", "Reserve6"}, 15)


def test_rdwr():
    on_store("rdwr", True)


def test_aio():
    on_store("aio", True)


def test_ram():
    on_store("ram", False, skips=MEMORY_SKIPS)


tgt.main()
