#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which layer may include which: the drawing in src/README.md, held against every #include."""
import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parents[2] / "src"

ALLOWED = {
    "base": set(),
    "store": {"base"},
    "scsi": {"base", "store"},
    "iscsi": {"base", "store", "scsi"},
    "engine": {"base", "store", "scsi", "iscsi"},
    "config": {"base"},
    "bus": {"base", "config"},
    "daemon": {"base", "store", "scsi", "iscsi", "engine", "config", "bus"},
    "ctl": {"base", "config"},
}
# <headers> that only some layers may see: no GLib, threads, sockets or bus on the I/O path.
SYSTEM = {
    r"glib.*": {"config", "bus", "daemon", "ctl"},
    r"systemd/sd-(bus|event|daemon|journal)\.h": {"bus", "daemon", "ctl"},
    r"sys/epoll\.h": {"engine", "store", "daemon"},
    r"netinet/tcp\.h": {"engine"},
    r"rdma/.*|infiniband/.*": {"engine"},
    r"libaio\.h|liburing\.h": {"store"},
    r"gcrypt\.h|isa-l.*": {"iscsi", "daemon"},
}
# Threads are made in few places (the opener is a program of its own); a lock or a once may be
# anywhere that says why.
THREADS = {"engine", "store"}


def problems():
    for path in sorted(SRC.rglob("*.[ch]")):
        layer = path.relative_to(SRC).parts[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            where = f"{path.relative_to(SRC.parent)}:{number}"
            if "pthread_create" in line and layer not in THREADS and path.name != "open-helper.c":
                yield f"{where}: {layer} may not make threads"
            m = re.match(r'\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', line)
            if not m:
                continue
            own, system = m.groups()
            if own:
                to = own.split("/")[0]
                if "/" not in own:
                    yield f'{where}: "{own}" does not name its layer'
                elif to != layer and to not in ALLOWED[layer]:
                    yield f"{where}: {layer} may not include {own}"
            else:
                for pattern, layers in SYSTEM.items():
                    if re.fullmatch(pattern, system) and layer not in layers:
                        yield f"{where}: {layer} may not include <{system}>"
    for layer in ALLOWED:
        if not (SRC / layer).is_dir():
            yield f"src/{layer} is missing"
    for d in SRC.iterdir():
        if d.is_dir() and d.name not in ALLOWED:
            yield f"src/{d.name} is not a layer"


found = list(problems())
for p in found:
    print(p)
print("1..1")
print(("not ok" if found else "ok") + " 1 layers")
sys.exit(1 if found else 0)
