#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tgtctl asks for the password that polkit wants: under real systemd, D-Bus and polkit, as a user
without rights, on a terminal. Run with the argument "inside", it is what runs in that machine."""
import os
import pwd
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import terminal  # noqa: E402
import tgt  # noqa: E402

ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "dumb", "LC_ALL": "C.UTF-8", "HOME": "/tmp"}


def inside():
    alice = pwd.getpwnam("alice").pw_uid

    def ask(password, *argv):
        return terminal.run(["tgtctl", *argv], [("Password: ", password + "\n")], ENV, alice)

    code, out = ask("rootpw", "create", "iqn.2026-01.org.example:asked")
    assert code == 0 and "+ target" in out and "rootpw" not in out, (code, out)
    code, out = ask("wrong", "create", "iqn.2026-01.org.example:refused")
    assert code == 5 and "not allowed" in out, (code, out)
    code, out = ask("rootpw", "create", "iqn.2026-01.org.example:silent", "--no-ask-password")
    assert code == 5 and "Password" not in out and "--no-ask-password" in out, (code, out)
    # looking takes no password
    code, out = ask("rootpw", "list", "--no-pager")
    assert code == 0 and "Password" not in out and "asked" in out, (code, out)
    assert "refused" not in out and "silent" not in out, out
    # and the agent goes with the program
    p = subprocess.run(["pgrep", "pkttyagent"], check=False, stdout=subprocess.PIPE)
    assert p.returncode == 1, p.stdout


def test_interactive_authentication():
    destination = os.path.join(tgt.BUILD, "dest-tgtctl")
    tgt.run("rm", "-rf", destination)
    tgt.run("meson", "install", "-C", tgt.BUILD, "--no-rebuild", "--destdir", destination)
    p = tgt.run(os.path.join(tgt.LIB, "machine"), "-d", destination, "-b", tgt.SOURCE, "bash", "-c",
                "set -e; useradd -m alice; echo root:rootpw | chpasswd\n"
                # nobody has to start anything: neither daemon nor socket runs
                "tgtctl list && exit 1; [ $? = 3 ]; tgtctl list || [ $? = 3 ]\n"
                "systemctl is-active tgtd.service && exit 1\n"
                "systemctl start tgtd.socket\n"
                f"/usr/bin/python3 {os.path.abspath(__file__)} inside\n"
                "systemctl is-active tgtd.service; echo MACHINE-DONE",
                check=False, timeout=120)
    assert p.returncode == 0 and "MACHINE-DONE" in p.stdout, f"exit {p.returncode}\n{p.stdout}"


if __name__ == "__main__":
    if sys.argv[1:] == ["inside"]:
        inside()
    else:
        tgt.main()
