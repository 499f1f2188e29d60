# SPDX-License-Identifier: BSD-2-Clause
"""embed-run.py: commands in machines of their own, by examples/python; says how they did."""
import os
import threading

import minivmm
import sandbox

data = os.urandom(1000000)
done = sandbox.run(["sh", "-c", "cat; echo end >&2; exit 3"], input=data, memory="256M")
print(len(done.stdout) if done.stdout == data else "other", "bytes came back, errors", f"{done.stderr}, status {done.returncode}")

statuses = [None] * 3


def one(i):
    statuses[i] = sandbox.run(["sh", "-c", f"exit {i}"], memory="256M").returncode


threads = [threading.Thread(target=one, args=[i]) for i in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("three at once:", statuses)

with minivmm.Machine(command=["sh", "-c", "echo ready; exec sleep 10000"], memory="256M") as vm:
    streams = [os.fdopen(vm.stream(i), "wb" if i == 0 else "rb") for i in range(3)]
    vm.start()
    streams[1].readline()
    vm.signal(15)
    vm.wait()
    print("a signal:", vm.status)
    for stream in streams:
        stream.close()
