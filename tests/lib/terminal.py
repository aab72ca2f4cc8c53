# SPDX-License-Identifier: GPL-2.0-or-later
"""A program on a terminal of its own, and somebody who answers its questions."""
import os
import pty
import select
import signal
import time


def run(argv, answers=(), env=None, uid=None, seconds=30):
    """Returns exit code and output. answers: (what to wait for, what to type) pairs, in order."""
    pid, fd = pty.fork()
    if pid == 0:
        if uid is not None:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        os.execvpe(argv[0], argv, dict(os.environ) if env is None else env)
    out, seen, answers = b"", 0, list(answers)
    end = time.monotonic() + seconds
    while True:
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            break
        if not select.select([fd], [], [], 0.2)[0]:
            continue
        try:
            chunk = os.read(fd, 4096)
        except OSError:  # EIO: nobody has the terminal open any more
            break
        if not chunk:
            break
        out += chunk
        if answers and answers[0][0].encode() in out[seen:]:
            seen = len(out)
            time.sleep(0.3)  # echo is switched off after the question
            os.write(fd, answers.pop(0)[1].encode())
    status = os.waitpid(pid, 0)[1]
    os.close(fd)
    return os.waitstatus_to_exitcode(status), out.decode(errors="replace").replace("\r\n", "\n")
