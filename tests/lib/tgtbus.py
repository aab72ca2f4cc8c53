# SPDX-License-Identifier: GPL-2.0-or-later
"""tgtd's D-Bus methods for tests: over the private socket, or over a bus."""
import contextlib
import os
import subprocess

import dbus
import dbus.connection
import dbus.lowlevel
import tgt

ROOT = "/org/tgt1"
BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/></policy></busconfig>
"""


@contextlib.contextmanager
def own_bus(directory):
    """A bus daemon; its address."""
    path, config = (os.path.join(directory, name) for name in ("bus", "bus.conf"))
    with open(config, "w") as f:
        f.write(BUS_CONFIG % path)
    p = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "dbus-daemon", "--nofork",
                          f"--config-file={config}", "--nopidfile", "--nosyslog"],
                         stderr=subprocess.DEVNULL)
    try:
        tgt.eventually(lambda: os.path.exists(path), what="the bus")
        yield "unix:path=" + path
    finally:
        p.kill()
        p.wait()


def options(**values):
    """dry_run=True -> {"dry-run": true}"""
    return dbus.Dictionary({k.replace("_", "-"): v for k, v in values.items()}, signature="sv")


def usec(seconds):
    return dbus.UInt64(int(seconds * 1000000))


def texts(fragments):
    return dbus.Array([dbus.Struct((n, t), signature="ss") for n, t in fragments.items()],
                      signature="(ss)")


class Client:
    """A connection of its own to the private socket of a daemon (tgt.Daemon), or to a bus."""

    def __init__(self, daemon=None, bus=None):
        self.bus = bus or dbus.connection.Connection(
            "unix:path=" + os.path.join(daemon.runtime, "control"))

    def close(self):
        self.bus.close()

    def interface(self, path, name):
        return dbus.Interface(self.bus.get_object("org.tgt1", path, introspect=False),
                              "org.tgt1." + name)

    @property
    def manager(self):
        return self.interface(ROOT, "Manager")

    def get(self, name, path=ROOT, interface="Manager"):
        o = self.bus.get_object("org.tgt1", path, introspect=False)
        return dbus.Interface(o, "org.freedesktop.DBus.Properties").Get("org.tgt1." + interface, name)

    def create(self, name, directives=None, **values):
        d = dbus.Dictionary({k: dbus.Array(v, signature="s") for k, v in (directives or {}).items()},
                            signature="sas")
        return self.manager.CreateTarget(name, d, options(**values))

    def create_without_waiting(self, name, **values):
        """Sends the call, and looks at no answer."""
        m = dbus.lowlevel.MethodCallMessage("org.tgt1", ROOT, "org.tgt1.Manager", "CreateTarget")
        m.append(name, {}, options(**values), signature="sa{sas}a{sv}")
        m.set_no_reply(True)
        self.bus.send_message(m)

    def flush(self):
        self.bus.flush()

    def pages(self, method, size=1000):
        """All rows of a paged method whose rows begin with what the next page begins behind."""
        rows, after = [], ""
        while True:
            page = getattr(self.manager, method)(after, dbus.UInt32(size))
            rows += page
            if len(page) < size:
                return rows
            after = page[-1][0]


def error_of(function, *args, **kw):
    """The name behind org.tgt1.Error., and the text, of the error that function raises."""
    try:
        function(*args, **kw)
    except dbus.DBusException as e:
        return e.get_dbus_name().rsplit(".", 1)[1], e.get_dbus_message()
    raise AssertionError(f"{function} raised nothing")
