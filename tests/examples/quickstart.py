#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""quickstart.py QUICKSTART: examples/quickstart with a command, and with a shell on a pseudoterminal."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time

QUICKSTART = sys.argv[1]
HANG = 600  # seconds: a guard, no measure
BYTES = bytes(range(1, 256)) + b"it's \\'' $HOME \"quoted\"\n"


class Terminal:
    """A program on a pseudoterminal of 41 rows and 123 columns, and what it has said."""

    def __init__(self, *command):
        self.said = b''
        self.end = time.monotonic() + HANG
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 41, 123, 0, 0))
            os.execvp(command[0], command)

    def read(self):
        """Reads a little more; False at the end."""
        left = self.end - time.monotonic()
        if left <= 0 or not select.select([self.fd], [], [], left)[0]:
            raise TimeoutError(f'it says nothing any more, after {self.said[-200:]!r}')
        try:
            data = os.read(self.fd, 4096)
        except OSError:  # the other end is closed
            data = b''
        self.said += data
        return data != b''

    def expect(self, pattern):
        """Reads on until pattern was said, and forgets what was said up to its end."""
        while not (match := re.search(pattern, self.said)):
            if not self.read():
                raise EOFError(f'it ended before it said {pattern}')
        self.said = self.said[match.end():]
        return match

    def type(self, keys):
        os.write(self.fd, keys)

    def wait(self):
        """Reads to the end, and returns the exit status."""
        while self.read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f'got {got!r}, wanted {wanted!r}')


def run(*command):
    done = subprocess.run([QUICKSTART, '--', *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=HANG,
                          check=False)
    return done.stdout, done.returncode


def a_command_gets_its_words_and_gives_its_status():
    """Any bytes get in and out as they are, and what is said last is not lost."""
    out, status = run('sh', '-c', 'printf %s "$1"; seq 1 200; echo error >&2; exit 7', 'sh', BYTES)
    numbers = b''.join(b'%d\n' % n for n in range(1, 201))
    equal(out, BYTES + numbers + b'error\n')
    equal(status, 7)


def a_command_that_is_killed_says_so():
    equal(run('sh', '-c', 'kill -9 $$'), (b'', 137))


def a_shell_has_a_real_terminal():
    terminal = Terminal(QUICKSTART)
    terminal.expect(rb'in minivmm: 2 CPUs')
    terminal.expect(rb'# ')
    terminal.type(b'stty size; tty; id -u\r')
    terminal.expect(rb'\n41 123\r\n/dev/ttyS0\r\n0\r\n')
    terminal.type(b'echo asleep; sleep 1000; echo status $?\r')
    terminal.expect(rb'\nasleep\r\n')
    terminal.type(b'\x03')
    terminal.expect(rb'# ')
    terminal.type(b'exit\r')
    equal(terminal.wait(), 0)


TESTS = [a_command_gets_its_words_and_gives_its_status, a_command_that_is_killed_says_so, a_shell_has_a_real_terminal]

def main():
    failed = 0
    os.environ['TERM'] = 'xterm'
    print(f'1..{len(TESTS)}', flush=True)
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print(f'ok {number} - {test.__name__}', flush=True)
        except (AssertionError, EOFError, TimeoutError, subprocess.TimeoutExpired) as error:
            failed += 1
            print(f'not ok {number} - {test.__name__}\n# {error}', flush=True)
    return 1 if failed else 0


# A cache of our own, for the shell's disk is the user's; but the kernel and the test bed's parts needn't be got again.
real = os.environ.get('MINIVMM_CACHE') or os.path.join(
    os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'minivmm')
with tempfile.TemporaryDirectory() as cache:
    for part in 'debian-kernel', 'testbed':
        os.makedirs(os.path.join(real, part), exist_ok=True)
        os.symlink(os.path.join(os.path.realpath(real), part), os.path.join(cache, part))
    os.environ['MINIVMM_CACHE'] = cache
    sys.exit(main())
