#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The installed product on a booted Linux with systemd, used by the kernel's own initiator."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402

# What an administrator types. /host is kept over the reboot.
PREPARE = r"""
set -eu
mkdir -p /host/etc-tgt /host/var-lib-tgt /host/srv /etc/tgt /var/lib/tgt /srv
mount --bind /host/etc-tgt /etc/tgt
mount --bind /host/srv /srv
modprobe -a iscsi_tcp sd_mod
mkdir -p /run/lock /etc/iscsi
echo InitiatorName=iqn.2026-01.org.example:kernel > /etc/iscsi/initiatorname.iscsi
"""
CONNECT = r"""
iscsid -f & sleep 0.5
iscsiadm -m discovery -t st -p 127.0.0.1
iscsiadm -m node -T iqn.2026-01.org.example:disk -p 127.0.0.1 --login
for i in $(seq 50); do
    d=$(ls -d /sys/class/iscsi_session/*/device/target*/*:1/block/* 2>/dev/null | head -n 1) && [ -n "$d" ] && break
    sleep 0.1
done
disk=/dev/$(basename "$d")
echo "disk=$disk"
"""
FIRST = PREPARE + r"""
systemctl enable --now tgtd.socket
systemctl is-active tgtd.service && { echo "tgtd runs before anybody came"; exit 1; }
truncate -s 128M /srv/disk.img
chmod 0600 /srv/disk.img
mkdir -p /etc/tgt/targets.d
cat > /etc/tgt/targets.d/disk.conf <<EOF
<target iqn.2026-01.org.example:disk>
    backing-store /srv/disk.img
    initiator-address 127.0.0.1
</target>
EOF
iscsi-ls -s iscsi://127.0.0.1 | tee /run/ls
grep -q 'Target:iqn.2026-01.org.example:disk' /run/ls
grep -q 'Lun:1 .*DIRECT_ACCESS' /run/ls
systemctl is-active tgtd.service
""" + CONNECT + r"""
mkfs.ext4 -q $disk
mkdir -p /mnt/x; mount $disk /mnt/x
dd if=/dev/urandom of=/mnt/x/file bs=64k count=300 conv=fsync 2>/dev/null
sha256sum < /mnt/x/file > /host/sum
cp -r /etc/iscsi /mnt/x/
umount /mnt/x
fsck.ext4 -f -n $disk
cat /sys/block/$(basename $disk)/device/wwid > /host/wwid
iscsiadm -m node -T iqn.2026-01.org.example:disk -p 127.0.0.1 --logout
tgtctl --no-pager list
systemctl stop tgtd.service
cp -a /var/lib/tgt/. /host/var-lib-tgt/
mkdir -p /host/units; cp -a /etc/systemd/system/sockets.target.wants /host/units/
echo FIRST-DONE
"""
AGAIN = PREPARE + r"""
cp -a /host/var-lib-tgt/. /var/lib/tgt/
chown -R tgt: /var/lib/tgt
mkdir -p /etc/systemd/system; cp -a /host/units/. /etc/systemd/system/
test -L /etc/systemd/system/sockets.target.wants/tgtd.socket
systemctl daemon-reload; systemctl start sockets.target tgtd.socket
""" + CONNECT + r"""
mkdir -p /mnt/x; mount $disk /mnt/x
sha256sum < /mnt/x/file | cmp - /host/sum
umount /mnt/x
cmp /sys/block/$(basename $disk)/device/wwid /host/wwid
iscsiadm -m node -T iqn.2026-01.org.example:disk -p 127.0.0.1 --logout
echo AGAIN-DONE
"""


def installed(directory):
    tgt.run("meson", "install", "-C", tgt.BUILD, "--no-rebuild", "--destdir", directory)
    return directory


def guest(command, *options, timeout=240):
    p = tgt.run(os.path.join(tgt.LIB, "guest"), "-t", str(timeout - 10), *options, command,
                check=False, timeout=timeout)
    assert p.returncode == 0, f"exit {p.returncode}\n{p.stdout}"
    return p.stdout


def test_first_minute_and_reboot():
    with tgt.scratch(disk=True) as d:
        dest, host = os.path.join(d, "dest"), os.path.join(d, "host")
        os.mkdir(host)
        installed(dest)
        assert "FIRST-DONE" in guest(FIRST, "-s", "-d", dest, "-w", host)
        assert "AGAIN-DONE" in guest(AGAIN, "-s", "-d", dest, "-w", host)


RESTART = r"""
set -eu
modprobe -a iscsi_tcp sd_mod
mkdir -p /run/lock /etc/iscsi /tmp/t/etc/targets.d /tmp/t/state /tmp/t/run
echo InitiatorName=iqn.2026-01.org.example:kernel > /etc/iscsi/initiatorname.iscsi
truncate -s 64M /tmp/t/disk.img
cat > /tmp/t/etc/targets.d/disk.conf <<EOF
<target iqn.2026-01.org.example:disk>
    backing-store /tmp/t/disk.img
    initiator-address ALL
</target>
EOF
serve() {
    $TGTD --config-dir=/tmp/t/etc --state-dir=/tmp/t/state --runtime-dir=/tmp/t/run \
        --portal=127.0.0.1:3260 --bus=none > /tmp/t/log 2>&1 & tgtd=$!
    for i in $(seq 100); do $TGTCTL --socket /tmp/t/run/control status >/dev/null 2>&1 && return; sleep 0.1; done
    cat /tmp/t/log; exit 1
}
serve
""" + CONNECT + r"""
mkfs.ext4 -q $disk; mkdir -p /mnt/x; mount $disk /mnt/x
for round in 1 2 3; do
    dd if=/dev/urandom of=/mnt/x/file$round bs=64k count=150 conv=fsync 2>/dev/null & dd=$!
    sleep 0.1
    kill -9 $tgtd; wait $tgtd || true
    serve
    wait $dd
    sha256sum < /mnt/x/file$round > /tmp/t/sum$round
done
umount /mnt/x
echo 3 > /proc/sys/vm/drop_caches
fsck.ext4 -f -n $disk
mount $disk /mnt/x
for round in 1 2 3; do sha256sum < /mnt/x/file$round | cmp - /tmp/t/sum$round; done
umount /mnt/x
iscsiadm -m node -T iqn.2026-01.org.example:disk -p 127.0.0.1 --logout
echo RESTART-DONE
"""


def test_kill_and_restart_under_load():
    script = RESTART.replace("$TGTD", tgt.TGTD).replace("$TGTCTL", tgt.TGTCTL)
    assert "RESTART-DONE" in guest(script)


tgt.main()
