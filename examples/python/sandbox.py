#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""sandbox.py COMMAND [ARGUMENT]...: runs a command in a fresh virtual machine, and exits with its status.

Or import it: sandbox.run(["make", "check"], share="build:/build:rw", timeout=60) is subprocess.run() in a machine of its own.
"""
import os
import subprocess
import sys
import threading

import minivmm


def run(command, input=b"", on_log=None, **options):  # pylint: disable=redefined-builtin
    """Runs command with that input; returns a subprocess.CompletedProcess with what it said. options are those of minivmm run."""
    said = {}

    def read(name, fd):
        with os.fdopen(fd, "rb") as stream:
            said[name] = stream.read()

    def write(fd):
        with os.fdopen(fd, "wb") as stream:
            try:
                stream.write(input)
            except BrokenPipeError:
                pass  # the command did not want it

    with minivmm.Machine(command=command, on_log=on_log, **options) as vm:
        stdin, stdout, stderr = (vm.stream(i) for i in range(3))
        vm.start()
        threads = [threading.Thread(target=write, args=[stdin]), threading.Thread(target=read, args=["stdout", stdout]),
                   threading.Thread(target=read, args=["stderr", stderr])]
        for thread in threads:
            thread.start()
        vm.wait()
        for thread in threads:
            thread.join()
        if vm.end != "command":
            raise RuntimeError(vm.why)
        return subprocess.CompletedProcess(command, vm.status, **said)


if __name__ == "__main__":
    done = run(sys.argv[1:], on_log=lambda text, _: print(text, file=sys.stderr))
    sys.stdout.buffer.write(done.stdout)
    sys.stderr.buffer.write(done.stderr)
    sys.exit(done.returncode)
