#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""terminal.py MINIVMM IMAGES: minivmm as a shell's job on a terminal: stopped, continued, in the background. TAP.

The threads that read the terminal and run the guest are the library's; the signals are the program's
(tests/unit/devices/backend/stream/tty.c has the terminal's modes in detail). The guest is bare/talk.c.
"""
import fcntl
import os
import pty
import signal
import struct
import sys
import tempfile
import termios
import threading
import time


def idle_linux(file):
    """A kernel that does nothing but passes for Linux, as minivmm run takes no other: a bzImage of protocol 2.06
    (arch/x86/boot.rst)."""
    image = bytearray(1024) + b"\xeb\xfe" * 2048  # jumps to itself
    for at, form, value in [(0x1f1, "<B", 1), (0x1f4, "<I", 4096 // 16), (0x1fe, "<H", 0xaa55), (0x200, "<H", 0x3aeb),
                            (0x202, "4s", b"HdrS"), (0x206, "<H", 0x206), (0x211, "<B", 1), (0x214, "<I", 1 << 20),
                            (0x22c, "<I", 0x7fffffff), (0x238, "<I", 2047)]:
        struct.pack_into(form, image, at, value)
    file.write(image)
    file.flush()
    return file.name


def drain(master):
    try:
        while os.read(master, 65536):
            pass
    except OSError:
        pass


class Shell:
    """A shell with one job; each step is a line of TAP."""

    def __init__(self, master, slave, command):
        self.master, self.slave, self.points = master, slave, 0
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        self.start(command, True)

    def start(self, command, foreground):
        self.job = os.fork()
        if self.job == 0:
            os.setpgid(0, 0)
            if foreground:
                os.tcsetpgrp(self.slave, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            for fd in range(2):
                os.dup2(self.slave, fd)
            os.execv(command[0], command)

    def point(self, ok, name):
        self.points += 1
        print(f"{'' if ok else 'not '}ok {self.points} - {name}", flush=True)

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def becomes_raw(self):
        for _ in range(60000):
            if self.is_raw():
                return True
            time.sleep(0.001)
        return False

    def kill(self, sig):
        os.kill(self.job, sig)

    def stopped_by(self):
        status = os.waitpid(self.job, os.WUNTRACED)[1]
        return os.WSTOPSIG(status) if os.WIFSTOPPED(status) else None

    def run(self, in_background, restless):
        self.point(self.becomes_raw(), "the terminal becomes raw")
        self.kill(signal.SIGTSTP)
        self.point(self.stopped_by() == signal.SIGTSTP and not self.is_raw(), "stopped: as it was before")
        self.kill(signal.SIGCONT)
        self.point(self.becomes_raw(), "continued: raw")
        self.kill(signal.SIGTSTP)
        self.stopped_by()
        os.tcsetpgrp(self.slave, os.getpgrp())
        self.kill(signal.SIGCONT)
        os.write(self.master, b"zzz\n")
        self.point(self.stopped_by() == signal.SIGTTIN and not self.is_raw(), "in the background: typing stops it")
        os.tcsetpgrp(self.slave, self.job)
        self.kill(signal.SIGCONT)
        self.point(self.becomes_raw(), "in the foreground again: raw")
        os.write(self.master, b"p")
        status = os.waitpid(self.job, 0)[1]
        self.point(status == 0 and not self.is_raw(), "and the guest gets what is typed")
        os.tcsetpgrp(self.slave, os.getpgrp())
        self.start(in_background, False)
        status = os.waitpid(self.job, os.WUNTRACED)[1]
        self.point(os.WIFEXITED(status) and os.WEXITSTATUS(status) == 124, "a command in the background is not stopped for its input")
        self.start(restless, True)
        self.becomes_raw()
        time.sleep(2)  # by then it mostly waits
        os.write(self.master, b"\x01x")
        status = os.waitpid(self.job, 0)[1]
        self.point(status == 0 and not self.is_raw(), "the keys that quit are heard between two lives of the guest, too")
        os.tcsetpgrp(self.slave, os.getpgrp())
        print(f"1..{self.points}", flush=True)


def main():
    minivmm, images = sys.argv[1:]
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("1..0 # SKIP no /dev/kvm that this user may use")
        return
    master, slave = pty.openpty()
    file = tempfile.NamedTemporaryFile()
    kernel = idle_linux(file)
    shell = os.fork()
    if shell == 0:
        # The guest never runs a command: only what comes before that counts.
        command = [minivmm, "run", "--kernel", kernel, "--memory", "64M", "--timeout", "1", "--", "true"]
        restless = [minivmm, "--kernel", f"{images}/reset.bin", "--memory", "64M", "--on-reset", "restart"]
        Shell(master, slave, [minivmm, "--kernel", f"{images}/talk.bin", "--memory", "64M"]).run(command, restless)
        os._exit(0)
    threading.Thread(target=drain, args=[master], daemon=True).start()
    sys.exit(os.waitpid(shell, 0)[1] != 0)


main()
