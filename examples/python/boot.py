#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""boot.py KERNEL [OPTION=VALUE]...: boots a kernel, prints what it says at its serial port, and exits with minivmm's status.

E.g. boot.py bzImage initrd=initrd.img memory=512M, with LIBMINIVMM=build/src/libminivmm.so.0 unless the library is installed.
"""
import socket
import sys

import minivmm


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.split("\n", maxsplit=1)[0])
    ours, guests = socket.socketpair()
    options = {"serial": [f"fd={guests.fileno()}"]}
    for argument in sys.argv[2:]:
        name, equals, value = argument.partition("=")
        options.setdefault(name, []).append(value if equals else True)
    try:
        vm = minivmm.Machine(kernel=sys.argv[1], on_log=lambda text, _: print(text, file=sys.stderr), **options)
    except minivmm.Error:
        return 1  # on_log has said why
    guests.close()  # the machine has its own copy, which ends with it
    with vm:
        vm.start()
        while said := ours.recv(65536):
            sys.stdout.buffer.write(said)
            sys.stdout.buffer.flush()
        vm.wait()
        print(f"{vm.end}: {vm.why}", file=sys.stderr)
        return vm.status


if __name__ == "__main__":
    sys.exit(main())
