#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The installed product under real systemd, D-Bus, polkit and journal, as an administrator uses it."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tgt  # noqa: E402

PRELUDE = r"""
set -eu
trap 'r=$?; [ $r = 0 ] || { echo "FAILED at line $LINENO"; journalctl -b --no-pager -n 60; }; exit $r' EXIT
name=iqn.2026-01.org.example:disk
mkdir -p /etc/tgt/targets.d
truncate -s 64M /srv/disk.img; chmod 0600 /srv/disk.img
fragment() {
    cat > /etc/tgt/targets.d/disk.conf <<EOF
<target $name>
    backing-store /srv/disk.img
    initiator-address 127.0.0.1
    $*
</target>
EOF
}
expect() { # expect PATTERN COMMAND...: the output has it
    local p=$1; shift
    out=$("$@" 2>&1) || true
    grep -qE -- "$p" <<<"$out" || { echo "no '$p' in the output of: $*"; echo "$out"; return 1; }
}
not() { # not COMMAND...: it fails ("! COMMAND" does not stop a script)
    if "$@"; then echo "succeeded: $*"; return 1; fi
}
refuse() { # refuse PATTERN COMMAND...: it fails, and says so
    local p=$1; shift
    if out=$("$@" 2>&1); then echo "succeeded: $*"; return 1; fi
    grep -qE -- "$p" <<<"$out" || { echo "no '$p' in the error of: $*"; echo "$out"; return 1; }
}
journal() { # journal SECONDS MATCH... -- PATTERN: an entry appears
    local n=$1 m=(); shift
    while [ "$1" != -- ]; do m+=("$1"); shift; done; shift
    for _ in $(seq $((n * 10))); do
        journalctl -b --no-pager -o json "${m[@]}" 2>/dev/null | grep -qE -- "$1" && return
        sleep 0.1
    done
    echo "no '$1' in the journal for ${m[*]}"; return 1
}
"""
_dest = None


def destination():
    """The installed tree, made once."""
    global _dest
    if _dest is None:
        _dest = os.path.join(tgt.BUILD, "dest-machine")
        tgt.run("rm", "-rf", _dest)
        tgt.run("meson", "install", "-C", tgt.BUILD, "--no-rebuild", "--destdir", _dest)
    return _dest


def machine(script, *options, timeout=90):
    p = tgt.run(os.path.join(tgt.LIB, "machine"), "-d", destination(), *options, "bash", "-c",
                PRELUDE + script + "\necho MACHINE-DONE\n", check=False, timeout=timeout)
    assert p.returncode == 0 and "MACHINE-DONE" in p.stdout, f"exit {p.returncode}\n{p.stdout}"
    return p.stdout


def test_install_on_a_running_system():
    """ "make install", and the next command works: no reboot, no daemon-reload by hand."""
    p = tgt.run(os.path.join(tgt.LIB, "machine"), "-b", tgt.BUILD, "-b", tgt.SOURCE, "bash", "-c", PRELUDE + f"""
not getent passwd tgt
meson install -C {tgt.BUILD} --no-rebuild > /tmp/install 2>&1 || {{ cat /tmp/install; exit 1; }}
""" + r"""
[ "$(stat -c %U:%G:%a /etc/tgt/targets.d)" = root:tgt:2750 ]
systemctl enable --now tgtd.socket
tgtctl create iqn.2026-01.org.example:disk           # the bus knows the service
tgtctl add-lun disk /srv/disk.img
tgtctl allow disk 127.0.0.1
expect 'Lun:1 ' iscsi-ls -s iscsi://127.0.0.1
journalctl -b -x --no-pager -u tgtd.service | grep -q 'Subject: The SCSI target serves'
echo MACHINE-DONE
""", check=False, timeout=90)
    assert p.returncode == 0 and "MACHINE-DONE" in p.stdout, f"exit {p.returncode}\n{p.stdout}"


def test_sanitize_and_copy():
    """Under the sandbox of the unit: what is under way goes on after a restart, and a copy is made."""
    machine(r"""
yes secret | head -c 64M > /srv/disk.img
cat > /etc/tgt/targets.d/disk.conf <<EOF
<target $name>
    <backing-store /srv/disk.img>
        bs-type fault
        bsopts "store=rdwr;delay=60ms;ops=write"
    </backing-store>
    initiator-address ALL
</target>
EOF
systemctl start tgtd
refuse 'Give --yes' tgtctl sanitize disk/1 < /dev/null
tgtctl sanitize disk/1 --yes --no-wait --passes=2 --pattern=00
expect 'Operations: /srv/disk.img: sanitizing \(overwrite\), ' tgtctl status
[ "$(stat -c %U:%a /var/lib/tgt/operations/*)" = tgt:600 ]
systemctl restart tgtd
journal 5 MESSAGE_ID=7d0b5b0a3f5f4be0a0c64d0f0b0f6c11 -- 'goes on'
expect 'sanitizing' tgtctl status
not iscsi-readcapacity16 "iscsi://127.0.0.1/$name/1"
journal 30 MESSAGE_ID=b0c1a4f6e8a94b58b6a4d7a6a9c3e512 -- 'is over'
not grep -q secret /srv/disk.img
[ -z "$(ls /var/lib/tgt/operations)" ]
expect 'Total size:67108864' iscsi-readcapacity16 "iscsi://127.0.0.1/$name/1"
# a disk that only root may read, to where only tgt may write
yes data | head -c 8M > /srv/copy-me.img; chmod 0600 /srv/copy-me.img
tgtctl add-lun disk /srv/copy-me.img --readonly --force
install -d -o tgt /var/lib/tgt/disks
tgtctl copy disk/2 /var/lib/tgt/disks/copy.img
cmp /srv/copy-me.img /var/lib/tgt/disks/copy.img
refuse 'ReadWritePaths=/srv' tgtctl copy disk/2 /srv/copy.img
""")


def readme(section):
    """The commands of a section of README.md."""
    with open(os.path.join(tgt.SOURCE, "README.md"), encoding="utf-8") as f:
        text = f.read()
    m = re.search(rf"^#+ {re.escape(section)}$.*?^```$(.*?)^```$", text, re.M | re.S)
    assert m, section
    return m.group(1)


def test_chap_secret_in_a_credential():
    """Encrypted, as the README has it; the sandboxed daemon gets it, and nothing else says it."""
    machine(r"""
printf secretpass12 | systemd-creds encrypt --with-key=host --name=chap.host7 - /etc/tgt/chap.host7  # no TPM here
mkdir -p /etc/systemd/system/tgtd.service.d
printf '[Service]\nLoadCredentialEncrypted=chap.host7:/etc/tgt/chap.host7\n' \
    > /etc/systemd/system/tgtd.service.d/chap.conf
systemctl daemon-reload
fragment incominguser host7 credential chap.host7
systemctl enable --now tgtd.socket
expect "Target:$name" iscsi-ls iscsi://127.0.0.1
expect 'Vendor:' iscsi-inq "iscsi://host7%secretpass12@127.0.0.1/$name/1"
not iscsi-inq "iscsi://host7%secretpass13@127.0.0.1/$name/1"
not iscsi-inq "iscsi://127.0.0.1/$name/1"
not grep -r secretpass12 /etc/tgt /var/lib/tgt /run/tgt
# a service without it serves nobody, rather than everybody
rm /etc/systemd/system/tgtd.service.d/chap.conf
systemctl daemon-reload; systemctl restart tgtd
not iscsi-inq "iscsi://127.0.0.1/$name/1"
expect 'LoadCredential=' journalctl -b --no-pager -u tgtd
""")


def test_readme_word_for_word():
    """Three ways to a first target: every command succeeds, and each makes what it says."""
    ways = "".join(readme(s) for s in ("A fragment", "tgtctl", "busctl"))
    assert ways.count("192.0.2.0/24") == 3
    see = "".join(line for line in readme("From the initiator").splitlines(True) if "iscsiadm" not in line)
    machine(f"""
systemctl enable --now tgtd.socket
cd /
(
set -e
{ways.replace("192.0.2.0/24", "127.0.0.0/8")}
) > /tmp/out 2>&1 || {{ cat /tmp/out; exit 1; }}
{see.replace("SERVER", "127.0.0.1")}
""" + r"""
short=$(iscsi-ls iscsi://127.0.0.1 | grep -o 'iqn[^ ]*:disk2')   # this month, this host
for n in iqn.2026-01.org.example:disk1 "$short" iqn.2026-01.org.example:disk3; do
    expect "Target:$n " iscsi-ls -s iscsi://127.0.0.1
    expect 'virtual size: 1 GiB' qemu-img info "iscsi://127.0.0.1/$n/1"
done
grep -q RemoveLogicalUnit /tmp/out                   # of busctl introspect
""" + f"""
mkdir /tmp/hand; cd /tmp/hand
chown nobody .
exec 3< <(exec setpriv --reuid=nobody --regid=nogroup --clear-groups bash -c 'echo $$; {readme("By hand").strip().replace(chr(10), "; exec ", 1)}' 2>&1)
read -r pid <&3
for i in $(seq 50); do iscsi-ls iscsi://127.0.0.1:3261 2> /dev/null && break; sleep 0.1; done
expect running tgtctl --socket state/run/control status
kill $pid
""")


def test_socket_activation_and_reload():
    machine(r"""
systemctl enable --now tgtd.socket
fragment
not systemctl is-active --quiet tgtd.service
tgtctl list || [ $? = 3 ]
not systemctl is-active --quiet tgtd.service           # a read-only verb does not start it
expect "Target:$name" iscsi-ls -s iscsi://127.0.0.1
systemctl is-active --quiet tgtd.service
expect 'Lun:1 ' iscsi-ls -s iscsi://127.0.0.1
iscsi-ls "iscsi://[::1]" > /tmp/six                  # that portal answers too; the list of addresses holds
not grep -q "Target:$name" /tmp/six
[ "$(ps -o user= -C tgtd)" = tgt ]
expect 'Status: .*1 target' systemctl status tgtd.service
truncate -s 32M /srv/second.img
fragment 'backing-store /srv/second.img'
systemctl reload tgtd.service
expect 'Lun:2 ' iscsi-ls -s iscsi://127.0.0.1
echo '<target nonsense' > /etc/tgt/targets.d/bad.conf
not systemctl reload tgtd.service                   # who asked for it is told
expect 'Lun:2 ' iscsi-ls -s iscsi://127.0.0.1       # a bad block costs only itself
kill -HUP "$(systemctl show -p MainPID --value tgtd.service)"
journal 5 -u tgtd.service -- 'Reloaded: 0 changes, 1 problem .SIGHUP'
journal 5 -u tgtd.service -- 'bad.conf:1'
systemctl is-active --quiet tgtd.service
time systemctl stop tgtd.service
journal 5 -u tgtd.service -- 'top'
systemctl show -p Result --value tgtd.service | grep -qx success
expect "Target:$name" iscsi-ls iscsi://127.0.0.1     # the next initiator starts it again
""")


def test_stgts_commands_on_a_running_system():
    """As root over the system bus; what they change survives a restart of the service, and not its stop."""
    machine(r"""
for command in tgtadm tgt-admin tgt-setup-lun tgtimg; do
    [ "$(readlink -f "$(command -v $command)")" = /usr/bin/tgtctl ]
    $command --help > /dev/null
    [ -s /usr/share/man/man8/$command.8 ] && [ -e /usr/share/bash-completion/completions/$command ]
done
r=0; tgtadm --lld iscsi --op show --mode target 2> /tmp/said || r=$?
[ $r = 107 ]                                              # it is not started by that
grep -q '^tgtadm: failed to send request hdr to tgt daemon, Transport endpoint is not connected' /tmp/said
systemctl start tgtd.service
tgtadm --lld iscsi --op new --mode target --tid 1 -T iqn.2026-01.org.example:disk
tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun 1 -b /srv/disk.img
tgtadm --lld iscsi --op bind --mode target --tid 1 -I 127.0.0.1
expect 'Lun:1 ' iscsi-ls -s iscsi://127.0.0.1
tgt-admin -s > /tmp/before
systemctl restart tgtd.service
tgt-admin -s | diff /tmp/before -
tgt-admin --dump > /tmp/dump
systemctl stop tgtd.service tgtd.socket
systemctl start tgtd.service
[ -z "$(tgt-admin -s)" ]
cp /tmp/dump /etc/tgt/targets.conf
tgt-admin --update ALL
tgt-admin -s | diff /tmp/before -
tgt-admin --delete ALL
[ -z "$(tgt-admin -s)" ]
tgtadm --op delete --mode sys
not busctl status org.tgt1                                # it has waited for that
for _ in $(seq 50); do systemctl is-active tgtd.service > /dev/null || break; sleep 0.1; done
[ "$(systemctl show -P ActiveState tgtd.service)" = inactive ]
[ "$(systemctl show -P Result tgtd.service)" = success ]
""")


def test_sandbox_and_units():
    out = machine(r"""
systemd-analyze verify /usr/lib/systemd/system/tgtd.service /usr/lib/systemd/system/tgtd.socket > /tmp/verify 2>&1
cat /tmp/verify; not [ -s /tmp/verify ]
systemd-analyze security --no-pager tgtd.service | tail -n 1
""")
    exposure = float(re.search(r"exposure level for tgtd.service: ([0-9.]+)", out).group(1))
    assert exposure <= 2.0, f"exposure {exposure}"


def test_sandboxed_worker_goes_where_its_data_arrives():
    machine(r"""
fragment
mkdir -p /etc/systemd/system/tgtd.service.d
printf '[Service]\nExecStart=\nExecStart=tgtd --bus=system --wake-cost=100000\n' > /etc/systemd/system/tgtd.service.d/w.conf
systemctl daemon-reload
systemctl start tgtd.service
pid=$(systemctl show -p MainPID --value tgtd.service)
taskset -c 0 iscsi-perf -b 8 -m 1 -t 60 iscsi://127.0.0.1/$name/1 > /dev/null & load=$!
bound() { # a worker's list of processors is 0 alone
    for task in /proc/$pid/task/*; do
        ! grep -q '^tgt-worker' $task/comm || ! grep -qP '^Cpus_allowed_list:\t0$' $task/status || return 0
    done
    return 1
}
for _ in $(seq 200); do ! bound || break; sleep 0.1; done
bound
kill $load # it still runs
wait $load || [ $? = 143 ]
""")


def test_sandboxed_ring():
    """Writes of aio to a file go by io_uring in the sandbox of the unit; where that refuses it, or half of
    it, they go another way, which the journal says once, and nothing is lost."""
    with tgt.scratch(disk=True) as d:
        tgt.sparse(os.path.join(d, "disk.img"), 64 << 20)
        machine(f"image={d}/disk.img\n" + r"""
cat > /etc/tgt/targets.d/disk.conf <<EOF
<target $name>
    <backing-store $image>
        bs-type aio
    </backing-store>
    <backing-store $image.2>
        bs-type aio
    </backing-store>
    initiator-address 127.0.0.1
</target>
EOF
cp $image $image.2
write() { # write PATTERN AT: a megabyte, in 16 writes
    local args=() i
    for i in $(seq 0 15); do args+=(-c "write -q -P $1 $(($2 * 1024 + i * 64))k 64k"); done
    qemu-io -f raw "${args[@]}" "iscsi://127.0.0.1/$name/1"
}
reads() { # reads PATTERN AT
    not grep -q 'verification failed' <<<"$(qemu-io -f raw -c "read -P $1 ${2}M 1M" "iscsi://127.0.0.1/$name/1" 2>&1)"
}
submitted() { # what the rings of tgtd have taken
    local n=0 fd
    for fd in /proc/$(systemctl show -P MainPID tgtd.service)/fd/*; do
        [ "$(readlink $fd)" = 'anon_inode:[io_uring]' ] || continue
        n=$((n + $(sed -n 's/^SqTail:[[:space:]]*//p' ${fd/\/fd\//\/fdinfo\/})))
    done
    echo $n
}
systemctl start tgtd.service
[ "$(submitted)" = 0 ]
write 1 0
before=$(submitted); write 2 1; after=$(submitted)
[ $((after - before)) -ge 16 ] || { echo "the rings took $before, then $after"; exit 1; }
reads 1 0; reads 2 1; not reads 2 0
not grep -q 'go through threads' <<<"$(journalctl -b --no-pager -u tgtd)"
n=3
for filter in io_uring_setup io_uring_enter 'io_uring_setup io_uring_enter io_uring_register'; do
    mkdir -p /etc/systemd/system/tgtd.service.d
    printf '[Service]\nSystemCallFilter=~%s\n' "$filter" > /etc/systemd/system/tgtd.service.d/ring.conf
    systemctl daemon-reload; systemctl restart tgtd.service
    since=$(systemctl show -P InvocationID tgtd.service)
    write $n $((n - 1))
    [ "$(submitted)" = 0 ]
    for p in $(seq $n); do reads $p $((p - 1)); done
    lines=$(journalctl -b --no-pager _SYSTEMD_INVOCATION_ID=$since | grep 'go through threads')
    [ "$(wc -l <<<"$lines")" = 1 ]
    grep -q 'io_uring is refused (Operation not permitted)' <<<"$lines"
    n=$((n + 1))
done
rm /etc/systemd/system/tgtd.service.d/ring.conf
systemctl daemon-reload; systemctl restart tgtd.service
before=$(submitted); write 9 8; [ $(($(submitted) - before)) -ge 16 ]
""", "-b", d)


def test_metrics_endpoint():
    """Prometheus' way: who asks is answered, also while tgtd does not run, and asking does not start it."""
    out = machine(r"""
systemd-analyze verify /usr/lib/systemd/system/tgt-metrics.service /usr/lib/systemd/system/tgt-metrics.socket > /tmp/verify 2>&1
cat /tmp/verify; not [ -s /tmp/verify ]
systemctl enable --now tgt-metrics.socket
not systemctl is-active --quiet tgt-metrics.service
ask() ( # ask REQUEST-LINE...: the answer to an HTTP request
    trap '' PIPE                                       # it may be refused before it is all sent
    exec 5<> /dev/tcp/127.0.0.1/9032
    printf '%s\r\n' "$@" 'Host: localhost' 'Connection: close' '' >&5
    cat <&5
)
fragment
systemctl start tgtd.socket
ask 'GET /metrics HTTP/1.1' > /tmp/down
grep -q '^HTTP/1.1 200 OK' /tmp/down
grep -qx 'tgt_up 0' /tmp/down
not systemctl is-active --quiet tgtd.service           # it does not start what it watches
[ "$(ps -o user= -C tgt-metrics)" = tgt-metrics ]
iscsi-inq iscsi://127.0.0.1/$name/1 > /dev/null
ask 'GET /metrics HTTP/1.1' > /tmp/up
grep -qi '^Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8' /tmp/up
grep -qx 'tgt_up 1' /tmp/up
grep -q "^tgt_logical_unit_operations_total{.*target=\"$name\",lun=\"1\",operation=\"other\"} [1-9]" /tmp/up
[ "$(tail -n 1 /tmp/up)" = '# EOF' ]
ask 'HEAD /metrics HTTP/1.1' > /tmp/head
grep -q '^HTTP/1.1 200 OK' /tmp/head; not grep -q tgt_up /tmp/head
ask 'GET / HTTP/1.1' | grep -q '^HTTP/1.1 404'
ask 'POST /metrics HTTP/1.1' 'Content-Length: 0' | grep -q '^HTTP/1.1 405'
ask 'GET /metrics HTTP/1.1' "X: $(head -c 40000 /dev/zero | tr '\0' x)" > /tmp/large || true
grep -q '^HTTP/1.1 431 ' /tmp/large                    # RFC 6585 5
exec 6<> /dev/tcp/127.0.0.1/9032                       # who says nothing is let go
time timeout 20 cat <&6 > /tmp/silent
not grep -q tgt_up /tmp/silent
exec 7<> /dev/tcp/127.0.0.1/9032                       # and who says little for long, too
(trap '' PIPE; for i in $(seq 40); do printf x >&7 || exit 0; sleep 1; done) 2> /dev/null & drip=$!
timeout 30 cat <&7 > /tmp/drip
kill $drip 2> /dev/null || true
ask 'GET /metrics HTTP/1.1' | grep -qx 'tgt_up 1'      # others are served all the same
systemd-analyze security --no-pager tgt-metrics.service | tail -n 1
""", timeout=150)
    exposure = float(re.search(r"exposure level for tgt-metrics.service: ([0-9.]+)", out).group(1))
    assert exposure <= 2.0, f"exposure {exposure}"


def test_watchdog():
    machine(r"""
fragment
systemctl start tgtd.socket
mkdir -p /etc/systemd/system/tgtd.service.d
printf '[Service]\nWatchdogSec=2\n' > /etc/systemd/system/tgtd.service.d/w.conf
systemctl daemon-reload
systemctl start tgtd.service
sleep 5; systemctl is-active --quiet tgtd.service
pid=$(systemctl show -p MainPID --value tgtd.service)
kill -STOP $pid
for i in $(seq 100); do
    new=$(systemctl show -p MainPID --value tgtd.service)
    [ "$new" != "$pid" ] && [ "$new" != 0 ] && systemctl is-active --quiet tgtd.service && break
    sleep 0.1
done
[ "$new" != "$pid" ]
expect "Target:$name" iscsi-ls iscsi://127.0.0.1
""")


def test_bus_and_polkit():
    machine(r"""
useradd -m alice
fragment
systemctl start tgtd.socket
busctl tree org.tgt1 > /dev/null                     # the bus activates it
systemctl is-active --quiet tgtd.service
expect '/org/tgt1/target/' busctl tree org.tgt1
busctl introspect org.tgt1 /org/tgt1 > /dev/null
as_alice() { setpriv --reuid=alice --regid=alice --clear-groups "$@"; }
expect "$name" as_alice tgtctl list
create='busctl call org.tgt1 /org/tgt1 org.tgt1.Manager CreateTarget sa{sas}a{sv}'
refuse 'needs authentication|not authorized|denied' as_alice $create iqn.2026-01.org.example:hers 0 0
refuse '' as_alice tgtctl --no-ask-password create iqn.2026-01.org.example:hers
refuse 'hers' tgtctl show iqn.2026-01.org.example:hers  # nothing has changed
cat > /etc/polkit-1/rules.d/50-alice.rules <<'EOF'
polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.tgt1.") == 0 && subject.user == "alice" &&
        action.lookup("target") == "iqn.2026-01.org.example:hers")
        return polkit.Result.YES;
});
EOF
sleep 2
as_alice tgtctl --no-ask-password create iqn.2026-01.org.example:hers
tgtctl show iqn.2026-01.org.example:hers > /dev/null
refuse '' as_alice tgtctl --no-ask-password delete $name
journal 5 -u tgtd.service -- '"TARGET":"iqn.2026-01.org.example:hers"'
journalctl -b -u tgtd.service -o json --no-pager | grep iqn.2026-01.org.example:hers | grep -q "$(id -u alice)"
$create iqn.2026-01.org.example:mine 0 0              # root may, on the system bus too
ls /var/lib/tgt/targets.d/ | grep -q mine
systemctl restart tgtd.service
expect mine tgtctl list
""")


def test_file_is_made_for_who_may():
    """create --size by one whom polkit lets, in the daemon's sandbox; interrupted over the system bus."""
    machine(r"""
useradd -m alice
systemctl start tgtd.socket
as_alice() { setpriv --reuid=alice --regid=alice --clear-groups tgtctl --no-ask-password "$@"; }
refuse 'needs authentication|not authorized|denied' as_alice create hers --size 16M
not test -e /var/lib/tgt/disks
cat > /etc/polkit-1/rules.d/50-alice.rules <<'EOF'
polkit.addRule(function(action, subject) {
    if (action.id == "org.tgt1.target.manage" && subject.user == "alice")
        return polkit.Result.YES;
});
EOF
sleep 2
expect 'LUN 1 is /var/lib/tgt/disks/.*:hers.img, 16M' as_alice create hers --size 16M
[ "$(stat -c '%U %a %s' /var/lib/tgt/disks/*:hers.img)" = 'tgt 600 16777216' ]
# elsewhere takes another authority, and a folder that is the daemon's
refuse 'needs authentication|use-any-path' as_alice create hers2 --size 16M --store-dir /opt
refuse 'ReadWritePaths=/srv' tgtctl create hers2 --size 16M --store-dir /srv
mkdir -p /etc/systemd/system/tgtd.service.d
printf '[Service]\nReadWritePaths=/srv\n' > /etc/systemd/system/tgtd.service.d/srv.conf
chown tgt /srv
systemctl daemon-reload; systemctl restart tgtd.service
expect 'LUN 1 is /srv/.*:hers2.img' tgtctl create hers2 --size 16M --store-dir /srv
# the client goes: so does the file. The daemon is stopped, so that it does not finish first
pid=$(systemctl show --value -p MainPID tgtd.service)
kill -STOP "$pid"
setpriv --reuid=alice --regid=alice --clear-groups tgtctl create gone --size 64M --preallocate & client=$!
sleep 1
kill -KILL $client; wait $client || true
kill -CONT "$pid"
sleep 1
not tgtctl show gone
not ls /var/lib/tgt/disks/*gone*
""")


def test_transactions():
    machine(r"""
useradd -m alice
as_alice() { setpriv --reuid=alice --regid=alice --clear-groups "$@"; }
fragment
systemctl start tgtd.socket
tgtctl reload
printf '<target iqn.2026-01.org.example:%s>\ninitiator-address 10.0.0.0/8\n</target>\n' one two > /tmp/set.conf
chmod 0644 /tmp/set.conf
refuse 'authentication|denied|allowed' as_alice tgtctl --no-ask-password apply /tmp/set.conf
refuse 'authentication|denied|allowed' as_alice tgtctl --no-ask-password apply /tmp/set.conf --dry-run
refuse 'authentication|denied|allowed' as_alice tgtctl --no-ask-password diff
not grep -q two <(tgtctl list)                             # nothing has changed
expect 'Would change' tgtctl apply /tmp/set.conf --dry-run
tgtctl apply /tmp/set.conf --confirm-within=5min
refuse 'authentication|denied|allowed' as_alice tgtctl --no-ask-password confirm
refuse 'waits to be confirmed' tgtctl create iqn.2026-01.org.example:three
systemctl kill -s KILL tgtd.service                     # and it still waits
sleep 1
systemctl restart tgtd.service
expect 'Unconfirmed' tgtctl status
expect 'taken back' tgtctl rollback
not grep -q two <(tgtctl list)
tgtctl apply /tmp/set.conf --confirm-within=2s
sleep 4
not grep -q two <(tgtctl list)
journalctl -b --no-pager -u tgtd.service | grep -q 'Taken back: 2 changes'
tgtctl apply /tmp/set.conf --confirm-within=5min
tgtctl confirm
systemctl restart tgtd.service
expect 'two' tgtctl list
expect '/var/lib/tgt/targets.d' tgtctl cat two
EDITOR="sed -i s/10.0.0.0/10.1.0.0/" tgtctl edit two
expect '10.1.0.0/8' tgtctl status two
expect 'is what is configured' tgtctl diff
""")


REBOOT_SET = """
printf '<target iqn.2026-01.org.example:%s>\\ninitiator-address 10.0.0.0/8\\n</target>\\n' one two > /tmp/set.conf
systemctl start tgtd.service
"""


def boot_id(out):
    return re.search(r"BOOT=(\S+)", out).group(1)


def test_armed_over_a_reboot():
    """A change that nobody has confirmed yet still waits after a reboot, and is taken back when its time is over,
    also if that was while the machine was down; one that is confirmed stays."""
    boot = "echo BOOT=$(cat /proc/sys/kernel/random/boot_id)\n"
    with tgt.scratch(disk=True) as kept:
        first = machine(boot + REBOOT_SET + r"""
tgtctl apply /tmp/set.conf --confirm-within=40s
[ -e /var/lib/tgt/armed ]
""", "-s", kept)
        # in time: it waits on, and nothing else is changed meanwhile
        second = machine(boot + REBOOT_SET + r"""
expect 'Unconfirmed: a change by uid 0' tgtctl status
expect 'two' tgtctl list
refuse 'waits to be confirmed' tgtctl create iqn.2026-01.org.example:three
journal 45 _SYSTEMD_UNIT=tgtd.service -- 'Taken back: 2 changes \(not confirmed in time'
not grep -q two <(tgtctl list)
[ ! -e /var/lib/tgt/armed ]; not ls /var/lib/tgt/targets.d/*two*
# and now for one whose time is over before the next boot, with a file of its own
tgtctl create gone --size 4M --confirm-within=2s && ls /var/lib/tgt/disks/*gone.img
systemctl kill -s KILL tgtd.service
""", "-s", kept)
        assert boot_id(first) != boot_id(second)
        time.sleep(2)
        machine(REBOOT_SET + r"""
not grep -qE 'gone|two' <(tgtctl list)
journal 5 _SYSTEMD_UNIT=tgtd.service -- 'Taken back: 1 changes .* which nobody confirmed before tgtd was started'
journal 5 _SYSTEMD_UNIT=tgtd.service -- 'gone.img was made for a change that was taken back, and is removed'
not ls /var/lib/tgt/disks/*gone.img
tgtctl apply /tmp/set.conf --confirm-within=10min
""", "-s", kept)
        machine(REBOOT_SET + r"""
expect 'Unconfirmed' tgtctl status
tgtctl confirm
""", "-s", kept)
        machine(r"""
systemctl start tgtd.service
expect 'two' tgtctl list
not grep -q Unconfirmed <(tgtctl status)
""", "-s", kept)


def test_device_and_private_file():
    machine(r"""
fragment
chown root:root /etc/tgt/targets.d/disk.conf; chmod 0600 /etc/tgt/targets.d/disk.conf  # it may hold secrets
systemctl start tgtd.socket
[ "$(stat -c %U:%a /srv/disk.img)" = root:600 ]
printf 'a secret nobody else may read' > /root/plain; chmod 0600 /root/plain; truncate -s 1M /root/plain
cat > /etc/tgt/targets.d/root.conf <<EOF
<target iqn.2026-01.org.example:root>
    backing-store /root/plain
    initiator-address ALL
</target>
EOF
expect 'Lun:1 ' iscsi-ls -s iscsi://127.0.0.1
qemu-img dd -f raw -O raw bs=512 count=1 if=iscsi://127.0.0.1/iqn.2026-01.org.example:root/1 of=/tmp/out
grep -q 'a secret' /tmp/out
qemu-io -f raw -c 'write -P 0x41 0 4k' iscsi://127.0.0.1/$name/1
head -c 4 /srv/disk.img | grep -q AAAA
# what is no business of a target is refused, even when a fragment names it
printf '<target iqn.2026-01.org.example:shadow>\nbacking-store /etc/shadow\ninitiator-address ALL\n</target>\n' > /etc/tgt/targets.d/s.conf
tgtctl reload || true
expect 'nothing below /etc' tgtctl status shadow
if iscsi-ls -s iscsi://127.0.0.1 | grep -A2 shadow | grep -q 'DIRECT_ACCESS (Size'; then exit 1; fi
""")


def test_doctor():
    """What goes wrong on real machines is found there, and what is said to mend it mends it."""
    machine(r"""
look() { tgtctl doctor --quiet > /tmp/look || true; }
find_() { grep -qE -- "$1" /tmp/look || { echo "no '$1' in:"; cat /tmp/look; return 1; }; }
# fresh: installed, nothing enabled; and somebody has the port
chmod 0644 /srv/disk.img; fragment incominguser host7 secretpass12; chmod 0644 /etc/tgt/targets.d/disk.conf
python3 -c 'import socket, time; s = socket.create_server(("", 3260)); time.sleep(600)' & squatter=$!
for _ in $(seq 100); do [ -z "$(ss -Hltn 'sport = :3260')" ] || break; sleep 0.1; done
not tgtctl doctor > /dev/null
look
find_ '^problem +port +Port 3260 is taken by python3 \(process '"$squatter"'\)'
find_ '^warning +units +Neither .* is enabled'
find_ '^problem +secrets +/etc/tgt/targets.d/disk.conf has CHAP secrets, and everybody'
find_ '^warning +stores +/srv/disk.img can be read by everybody'
as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
expect 'only root sees who' as_nobody tgtctl doctor
expect 'unknown +config +The fragments cannot be read: Permission denied' as_nobody tgtctl doctor
for verb in "cat disk" verify; do
    r=0; out=$(as_nobody tgtctl $verb 2>&1) || r=$?
    [ $r = 5 ] && [ "$out" = 'The configuration cannot be read: Permission denied.' ] || { echo "$r $out"; false; }
done
loop=$(losetup -f --show /srv/disk.img 2> /dev/null) && { look; find_ "^problem +use +/srv/disk.img is behind $loop"; losetup -d "$loop"; }
# as it says
kill $squatter; wait $squatter || true
systemctl enable tgtd.socket 2> /dev/null
systemctl start tgtd.socket
chmod go= /etc/tgt/targets.d/disk.conf
chmod o= /srv/disk.img
tgtctl doctor > /tmp/well
not grep -E '^(problem|warning|unknown) +[^ c]' /tmp/well   # the clock is nobody's here
iscsi-ls iscsi://127.0.0.1 > /dev/null
expect 'systemd has port 3260 for tgtd' tgtctl doctor
# a credential that nobody passes
printf '<target iqn.2026-01.org.example:c>\nincominguser u credential chap.u\n</target>\n' > /etc/tgt/targets.d/c.conf
look
find_ '^problem +secrets +tgtd.service has no credential chap.u'
mkdir -p /etc/systemd/system/tgtd.service.d
printf '[Service]\nSetCredential=chap.u:secretpass12\n' > /etc/systemd/system/tgtd.service.d/c.conf
systemctl daemon-reload; look
not grep -q 'chap.u' /tmp/look
rm /etc/tgt/targets.d/c.conf /etc/systemd/system/tgtd.service.d/c.conf
# a file that is not there, a unit that has failed, a portal that cannot be
rm /srv/disk.img
echo 'portal 127.0.0.1:3260' > /etc/tgt/targets.d/p.conf
look
find_ '^problem +stores +/srv/disk.img, LUN 1 of iqn.2026-01.org.example:disk, is not there'
find_ '^problem +portals +/etc/tgt/targets.d/p.conf:1: portal 127.0.0.1:3260 cannot be bound'
rm /etc/tgt/targets.d/p.conf
systemctl stop tgtd.socket tgtd.service
mkdir -p /etc/systemd/system/tgtd.service.d
printf '[Service]\nExecStart=\nExecStart=/bin/false\nRestart=no\n' > /etc/systemd/system/tgtd.service.d/no.conf
systemctl daemon-reload; systemctl start tgtd.service || true
rm -f /etc/systemd/system/tgt.service
printf '[Service]\nExecStart=sleep 600\n' > /etc/systemd/system/tgt.service  # stands for stgt's
systemctl daemon-reload; systemctl start tgt.service
look
find_ '^problem +units +tgtd.service has failed \(exit-code\)'
find_ "^problem +others +stgt's daemon runs beside"
tgtctl doctor --json | python3 -c 'import json, sys; assert any(f["Level"] == "problem" for f in json.load(sys.stdin))'
""")


def test_journal_tells_who_and_why():
    machine(r"""
fragment 'incominguser bob a-long-secret-1'
systemctl start tgtd.socket
expect "$name" iscsi-ls iscsi://127.0.0.1
refuse '' iscsi-inq iscsi://127.0.0.1/$name/1
journal 5 -u tgtd.service -- 'MESSAGE_ID'
journal 5 -u tgtd.service TARGET=$name -- '"INITIATOR"'
refuse '' iscsi-inq "iscsi://bob%25wrong-secret-22@127.0.0.1/$name/1"
iscsi-inq "iscsi://bob%a-long-secret-1@127.0.0.1/$name/1" > /dev/null
journal 5 -u tgtd.service TARGET=$name -- '"SESSION"'
if journalctl -b --no-pager -o json | grep -q a-long-secret-1; then exit 1; fi
tgtctl dump | grep -q 'a-long-secret-1' && exit 1
tgtctl dump --with-secrets | grep -q 'a-long-secret-1'
journalctl --update-catalog 2>/dev/null || true
journalctl -b -u tgtd.service -x --no-pager | grep -q 'Subject: The SCSI target serves'
""")


tgt.main()
