#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The resource agents of Pacemaker, iSCSITarget and iSCSILogicalUnit (package resource-agents), unmodified,
with implementation=tgt: what a cluster does to move a disk from one node to another."""
import contextlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import stgt  # noqa: E402
import tgt  # noqa: E402

ROOT = "/usr/lib/ocf"
NAME = "iqn.2026-01.org.example:cluster"
# of the OCF resource agent API
SUCCESS, GENERIC, ARGS, UNIMPLEMENTED, NOT_INSTALLED, NOT_CONFIGURED, NOT_RUNNING = 0, 1, 2, 3, 5, 6, 7


class Agent:
    def __init__(self, daemon, name, resource, **parameters):
        self.daemon, self.path = daemon, f"{ROOT}/resource.d/heartbeat/{name}"
        self.env = {
            **os.environ, "LC_ALL": "C", "OCF_ROOT": ROOT, "OCF_RA_VERSION_MAJOR": "1", "OCF_RA_VERSION_MINOR": "0",
            "OCF_RESOURCE_INSTANCE": resource, "OCF_RESOURCE_TYPE": name, "OCF_RESOURCE_PROVIDER": "heartbeat",
            "HA_RSCTMP": os.path.join(daemon.dir, "rsctmp"), "HA_LOGFACILITY": "none",
            "HA_LOGFILE": os.path.join(daemon.dir, "ha.log"), "HA_DEBUGLOG": os.path.join(daemon.dir, "ha.log"),
            "__SCRIPT_NAME": name, "PATH": f"{daemon.bin}:{os.environ['PATH']}", "TGT_IPC_SOCKET": daemon.socket,
            "OCF_RESKEY_CRM_meta_timeout": "20000",
            **{f"OCF_RESKEY_{k}": str(v) for k, v in {"implementation": "tgt", **parameters}.items()}}
        os.makedirs(self.env["HA_RSCTMP"], exist_ok=True)

    def __call__(self, action):
        p = subprocess.run([self.path, action], env=self.env, text=True, timeout=60, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output = p.stdout
        return p.returncode

    def expect(self, action, code):
        got = self(action)
        assert got == code, f"{os.path.basename(self.path)} {action}: exit {got}, not {code}\n{self.output}{read(self.daemon)}"


@contextlib.contextmanager
def node(disk, name):
    """A node of the cluster: one daemon; the disk is shared."""
    with tgt.scratch() as d:
        with stgt.Ours(d) as daemon:
            target = Agent(daemon, "iSCSITarget", "p_target", iqn=NAME, tid=1, allowed_initiators="127.0.0.1",
                           incoming_username="joe", incoming_password="secret-of-joe1",
                           additional_parameters="MaxBurstLength=131072 FirstBurstLength=65536")
            lun = Agent(daemon, "iSCSILogicalUnit", "p_lun", target_iqn=NAME, lun=1, path=disk,
                        scsi_id="cluster-disk", scsi_sn="cluster-1", vendor_id="ACME", product_id="Disk")
            yield daemon, target, lun


def serial(daemon):
    url = f"iscsi://joe%secret-of-joe1@127.0.0.1:{daemon.port}/{NAME}/1"
    return [tgt.run("iscsi-inq", *page, url).stdout for page in (("-e", "1", "-c", str(0x80)), ("-e", "1", "-c", str(0x83)))]


def test_a_disk_moves_through_the_cluster():
    with tgt.scratch() as shared:
        disk = tgt.sparse(os.path.join(shared, "disk.img"), 8 << 20)
        seen = []
        for name in "node1", "node2":
            with node(disk, name) as (daemon, target, lun):
                target.expect("validate-all", SUCCESS)
                lun.expect("validate-all", SUCCESS)
                target.expect("monitor", NOT_RUNNING)
                lun.expect("monitor", NOT_RUNNING)
                target.expect("start", SUCCESS)
                target.expect("monitor", SUCCESS)
                lun.expect("monitor", NOT_RUNNING)
                lun.expect("start", SUCCESS)
                lun.expect("monitor", SUCCESS)
                shown = daemon.ok("--op", "show", "--mode", "target")
                assert f"Target 1: {NAME}" in shown and "        127.0.0.1\n" in shown and "        joe\n" in shown, shown
                assert "MaxBurstLength=131072\n" in daemon.ok("--op", "show", "--mode", "target", "--tid", 1)
                seen.append(serial(daemon))
                # again is no error
                target.expect("start", SUCCESS)
                lun.expect("start", SUCCESS)
                # in use by an initiator
                p = subprocess.Popen(
                    ["qemu-io", "--object", "secret,id=s,data=secret-of-joe1", "--image-opts",
                     f"driver=raw,file.driver=iscsi,file.transport=tcp,file.portal=127.0.0.1:{daemon.port},"
                     f"file.target={NAME},file.lun=1,file.user=joe,file.password-secret=s"],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    tgt.eventually(lambda d=daemon: "Session" in d.ok("--op", "show", "--mode", "conn", "--tid", 1),
                                   what="a session")
                    lun.expect("stop", SUCCESS)
                    lun.expect("monitor", NOT_RUNNING)
                    target.expect("stop", SUCCESS)
                finally:
                    p.kill()
                    p.wait()
                    p.stdin.close()
                target.expect("monitor", NOT_RUNNING)
                lun.expect("stop", SUCCESS)
                target.expect("stop", SUCCESS)
                assert daemon.ok("--op", "show", "--mode", "target") == ""
                assert daemon.ok("--op", "show", "--mode", "account") == ""
        # the same disk to an initiator, whichever node serves it
        assert "cluster-1" in seen[0][0] and seen[0] == seen[1], seen


def test_what_is_wrong_is_said():
    with tgt.scratch() as shared:
        disk = tgt.sparse(os.path.join(shared, "disk.img"), 1 << 20)
        with node(disk, "n") as (daemon, target, lun):
            lun.expect("start", GENERIC)  # there is no target
            Agent(daemon, "iSCSITarget", "p", iqn="", tid=1).expect("validate-all", NOT_CONFIGURED)
            target.expect("start", SUCCESS)
            bad = Agent(daemon, "iSCSILogicalUnit", "p_bad", target_iqn=NAME, lun=2, path=disk,
                        tgt_bstype="sheepdog")
            bad.expect("start", GENERIC)
            assert "not supported by this build" in bad.output + read(daemon), bad.output


def read(daemon):
    path = os.path.join(daemon.dir, "ha.log")
    if not os.path.exists(path):
        return ""
    with open(path) as f:
        return f.read()


tgt.main()
