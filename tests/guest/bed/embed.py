# SPDX-License-Identifier: BSD-2-Clause
"""embed.py KERNEL ASKS SLEEPS: two guests at once in this process, with these initial RAM disks; says how they did."""
import socket
import sys

import minivmm


class Guest:
    """A guest and what it has said at its serial port."""

    def __init__(self, kernel, initrd):
        self.ours, theirs = socket.socketpair()
        self.said = b""
        self.vm = minivmm.Machine(kernel=kernel, initrd=initrd, memory="256M", serial=f"fd={theirs.fileno()}",
                                  on_log=lambda text, _: print(text))
        theirs.close()
        self.vm.start()

    def until(self, text):
        while text not in self.said:
            got = self.ours.recv(4096)
            if not got:
                raise EOFError(self.said.decode(errors="replace"))
            self.said += got


def how(vm):
    vm.wait()
    return f"{vm.end}, {vm.status}, {vm.why}"


def main():
    asks, sleeps = (Guest(sys.argv[1], initrd) for initrd in sys.argv[2:])
    sleeps.until(b"it sleeps")
    asks.until(b"usable")
    print("both run")
    for _ in range(10):
        sleeps.vm.pause()
        sleeps.vm.resume()
    print("paused and resumed")
    asks.ours.send(b"a line\r")
    asks.until(b"it got a line")
    print("it got a line:", how(asks.vm))
    sleeps.vm.stop()
    print("it sleeps:", how(sleeps.vm))
    asks.vm.close()
    sleeps.vm.close()


main()
