#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""quickstart.py QUICKSTART: examples/quickstart with a command, and with a shell on a pseudoterminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

QUICKSTART = sys.argv[1]
# Guards, not measures: seconds until a command counts as hanging, and a terminal as silent.
HANG, SILENCE = 400, 180
BYTES = bytes(range(1, 256)) + b"it's \\'' $HOME \"quoted\"\n"


class Terminal:
    """A program on a pseudoterminal of 41 rows and 123 columns, and what it has said."""

    def __init__(self, *command):
        self.said = self.log = b''
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 41, 123, 0, 0))
            os.execvp(command[0], command)

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        if kind:
            tell(f'the terminal had said {self.log[-2000:]!r}')
            self.kill()
        os.close(self.fd)

    def read(self):
        """Reads a little more; False at the end."""
        if not self.speaks(SILENCE):
            raise TimeoutError(f'{SILENCE} s of silence; {self.examine()}')
        try:
            data = os.read(self.fd, 4096)
        except OSError:  # the other end is closed
            data = b''
        self.said += data
        self.log += data
        return data != b''

    def speaks(self, patience):
        return bool(select.select([self.fd], [], [], patience)[0])

    def expect(self, pattern):
        """Reads on until pattern was said, and forgets what was said up to its end."""
        while not (match := re.search(pattern, self.said)):
            if not self.read():
                raise EOFError(f'it ended before it said {pattern}')
        self.said = self.said[match.end():]
        return match

    def type(self, keys):
        os.write(self.fd, keys)

    def examine(self):
        """Finds out which of the programs between us and the shell still answer."""
        answers = []
        for who, keys in ('the monitor', b'\x01h'), ('the guest', b'\r'), ('the guest, interrupted', b'\x03'):
            self.type(keys)
            answers.append(f"{who}: {'answers' if self.speaks(20) else 'does not answer'}")
            while self.speaks(1) and self.read():
                pass
        return '; '.join(answers)

    def wait(self):
        """Reads to the end, and returns the exit status."""
        while self.read():
            pass
        pid, self.pid = self.pid, None
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)  # the test bed ends with it
            os.waitpid(self.pid, 0)


def tell(text):
    """Says it on both streams, so that people see it even if the output of tests is not shown."""
    print(f'# {text}', flush=True)
    print(f'quickstart.py: {text}', file=sys.stderr, flush=True)


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f'got {got!r}, wanted {wanted!r}')


def run(*command):
    """Output and exit status of a command in the guest."""
    with subprocess.Popen([QUICKSTART, '--', *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          process_group=0) as process:
        try:
            return process.communicate(timeout=HANG)[0], process.returncode
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            said = process.communicate()[0]
            raise TimeoutError(f'{command[0]} hangs after {HANG} s; it had said {said[-2000:]!r}') from error


def a_command_gets_its_words_and_gives_its_status():
    """Any bytes get in and out unchanged, and the last output is not lost."""
    out, status = run('sh', '-c', 'printf %s "$1"; seq 1 200; echo error >&2; exit 7', 'sh', BYTES)
    numbers = b''.join(b'%d\n' % n for n in range(1, 201))
    equal(out, BYTES + numbers + b'error\n')
    equal(status, 7)


def a_command_that_is_killed_says_so():
    equal(run('sh', '-c', 'kill -9 $$'), (b'', 137))


def a_shell_has_a_real_terminal():
    with Terminal(QUICKSTART) as terminal:
        terminal.expect(rb'in minivmm: 2 CPUs')
        terminal.expect(rb'# ')
        terminal.type(b'stty size; tty; id -u\r')
        terminal.expect(rb'\n41 123\r\n/dev/ttyS0\r\n0\r\n')
        # A program that says it sleeps must have the terminal by then: for a moment after the start
        # of a program, busybox's shell still has it, and waits for the program's end in spite of a
        # Ctrl-C.
        terminal.type(b"sh -c 'echo asleep; exec sleep 1000'; echo status $?\r")
        terminal.expect(rb'\nasleep\r\n')
        terminal.type(b'\x03')
        terminal.expect(rb'# ')
        terminal.type(b'exit\r')
        equal(terminal.wait(), 0)


TESTS = [a_command_gets_its_words_and_gives_its_status, a_command_that_is_killed_says_so, a_shell_has_a_real_terminal]
hangs = []


def passes(test):
    """Runs a test. One that hangs runs again, but only once in all: a guest in the emulated host may
    hang (docs/testing.md). Other failures count at once."""
    try:
        test()
        return True
    except TimeoutError as error:
        hangs.append(test)
        tell(f'{test.__name__}: {error}')
        if len(hangs) > 1:
            return False
        tell(f'a guest hung; {test.__name__} runs again')
        return passes(test)
    except (AssertionError, EOFError) as error:
        tell(f'{test.__name__}: {error}')
        return False


def main():
    failed = 0
    os.environ['TERM'] = 'xterm'
    print(f'1..{len(TESTS)}', flush=True)
    for number, test in enumerate(TESTS, 1):
        passed = passes(test)
        failed += not passed
        print(f"{'ok' if passed else 'not ok'} {number} - {test.__name__}", flush=True)
    return 1 if failed else 0


# We have our own cache, since the shell's disk belongs to the user; but the kernel and the test
# bed's parts need not be made again.
real = os.environ.get('MINIVMM_CACHE') or os.path.join(
    os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'minivmm')
with tempfile.TemporaryDirectory() as cache:
    for part in 'debian-kernel', 'testbed':
        os.makedirs(os.path.join(real, part), exist_ok=True)
        os.symlink(os.path.join(os.path.realpath(real), part), os.path.join(cache, part))
    os.environ['MINIVMM_CACHE'] = cache
    sys.exit(main())
