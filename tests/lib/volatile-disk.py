#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""volatile-disk.py DEVICE MIB IMAGE: a disk with a volatile write cache, as /dev/nbdN.

Writes go to a cache that is lost with the power; FLUSH makes everything durable that was acknowledged
before, FUA the one write. On SIGUSR1 the power fails: what is durable at that moment is written to
IMAGE, and every request fails from then on. Needs root and the nbd module.
"""
import fcntl
import os
import signal
import socket
import struct
import sys

NBD_SET_SOCK, NBD_SET_BLKSIZE, NBD_DO_IT = 0xAB00, 0xAB01, 0xAB03
NBD_SET_SIZE_BLOCKS, NBD_SET_FLAGS = 0xAB07, 0xAB0A
READ, WRITE, DISCONNECT, FLUSH, TRIM = range(5)
FUA = 1 << 16
FLAGS = 1 | 1 << 2 | 1 << 3  # has flags, sends flush, sends FUA

device, mib, image = sys.argv[1], int(sys.argv[2]), sys.argv[3]
size = mib << 20
now = bytearray(size)      # what a read returns
durable = bytearray(size)  # what survives
dirty = []                 # (offset, length) written since the last flush
counts = {"write": 0, "fua": 0, "flush": 0}


dead = False


def power_failure(*_):
    global dead
    dead = True
    with open(image + ".part", "wb") as f:
        f.write(durable)
    os.rename(image + ".part", image)
    print(f"power failure: {counts['write']} writes, {counts['fua']} with FUA, "
          f"{counts['flush']} flushes", flush=True)


def exactly(sock, n):
    out = bytearray()
    while len(out) < n:
        part = sock.recv(n - len(out))
        if not part:
            os._exit(0)
        out += part
    return bytes(out)


def serve(sock):
    while True:
        magic, kind, handle, offset, length = struct.unpack(">II8sQI", exactly(sock, 28))
        assert magic == 0x25609513
        fua, kind = kind & FUA, kind & 0xFFFF
        data = exactly(sock, length) if kind == WRITE else b""
        reply = struct.pack(">II8s", 0x67446698, 5 if dead else 0, handle)  # 5: EIO
        if dead:
            pass
        elif kind == READ:
            reply += now[offset:offset + length]
        elif kind == WRITE:
            counts["write"] += 1
            now[offset:offset + length] = data
            if fua:
                counts["fua"] += 1
                durable[offset:offset + length] = data
            else:
                dirty.append((offset, length))
        elif kind == FLUSH:
            counts["flush"] += 1
            for o, n in dirty:
                durable[o:o + n] = now[o:o + n]
            dirty.clear()
        elif kind == DISCONNECT:
            os._exit(0)
        sock.sendall(reply)


ours, kernels = socket.socketpair()
if os.fork() == 0:
    ours.close()
    fd = os.open(device, os.O_RDWR)
    fcntl.ioctl(fd, NBD_SET_BLKSIZE, 512)
    fcntl.ioctl(fd, NBD_SET_SIZE_BLOCKS, size // 512)
    fcntl.ioctl(fd, NBD_SET_FLAGS, FLAGS)
    fcntl.ioctl(fd, NBD_SET_SOCK, kernels.fileno())
    fcntl.ioctl(fd, NBD_DO_IT)
    os._exit(0)
kernels.close()
signal.signal(signal.SIGUSR1, power_failure)
serve(ours)
