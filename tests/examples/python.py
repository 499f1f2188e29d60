#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""python.py EXAMPLES IMAGES: examples/python with bare-metal guests, on this machine's /dev/kvm. TAP."""
import os
import select
import socket
import subprocess
import sys

examples, images = sys.argv[1:]
sys.path.insert(0, examples + "/python")
sys.dont_write_bytecode = True
points = failures = 0


def point(ok, name):
    global points, failures
    points += 1
    failures += not ok
    print(f"{'' if ok else 'not '}ok {points} - {name}", flush=True)


def boot(*arguments):
    done = subprocess.run([sys.executable, "-B", examples + "/python/boot.py", *arguments], capture_output=True, timeout=300)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def image(name):
    return f"{images}/{name}.bin"


if not os.access("/dev/kvm", os.R_OK | os.W_OK):
    print("1..0 # SKIP no /dev/kvm that this user may use")
    sys.exit()
import minivmm  # noqa: E402

status, out, err = boot(image("pio"), "memory=64M", "debug-exit")
point((status, out) == (33, "pio\n") and "debug-exit" in err, "boot.py: output and status of a guest")
status, out, err = boot(image("triple"), "memory=64M")
point(status == 3 and "rip " in err and "crashed: vCPU 0 stopped: triple fault" in err, "boot.py: a guest that crashes")
status, out, err = boot(image("pio"), "memory=64")
point(status == 1 and err == "--memory 64: the size has no unit; write 64M for MiB, or use K, G or T\n", "boot.py: a bad option")

try:
    minivmm.Machine(kernel="/nonexistent", memory="64M")
    point(False, "an exception")
except minivmm.Error as error:
    point(error.errno == 2 and "/nonexistent" in error.strerror, "an exception")

events, logs = [], []
ours, guests = socket.socketpair()
with minivmm.Machine(kernel=image("talk"), memory="64M", serial=f"fd={guests.fileno()}", stats=True,
                     on_event=events.append, on_log=lambda text, level: logs.append((level, text))) as vm:
    guests.close()
    vm.start()
    alive = ours.recv(1) == b"." and not vm.wait(0.01) and vm.end is None and not select.select([vm], [], [], 0)[0]
    vm.pause()
    vm.resume()
    ours.send(b"p")
    while ours.recv(65536):
        pass
    point(alive and vm.wait() and vm.end == "power-off" and vm.status == 0 and vm.why == "the guest powered off",
          "a machine's life")
    point(select.select([vm], [], [], 60)[0] == [vm], "its end by select")
    point(vm.memory == 64 << 20, "its memory")
point(events == ["started", "ended"] and logs[0][0] == "asked" and "exits of" in logs[0][1], "callbacks")

with minivmm.Machine(kernel=image("spin"), memory="64M") as vm:
    point(vm.run(timeout=0.1) == 1 and vm.end == "killed", "a time limit")


def closed(use):
    try:
        use()
        return False
    except ValueError:
        return True


point(all(map(closed, (vm.start, vm.stop, vm.wait, vm.fileno, lambda: vm.end, lambda: vm.why, lambda: vm.status, lambda: vm.memory))),
      "a closed machine is an exception")
vm.close()

# A machine to which nobody refers goes on, and calls us until the end of the program.
done = subprocess.run([sys.executable, "-B", "-c", """
import gc, sys
sys.path.insert(0, sys.argv[1])
import minivmm
minivmm.Machine(kernel=sys.argv[2], memory="64M", log_level="info", stats=True, on_log=lambda text, level: None,
                on_event=lambda event: print(event, flush=True)).start()
gc.collect()
"""[1:], examples + "/python", image("spin")], capture_output=True, timeout=300)
point((done.returncode, done.stdout, done.stderr) == (0, b"started\nended\n", b""), "a machine that is forgotten")

with minivmm.Machine(kernel=image("triple"), memory="64M") as vm:
    point(vm.run(timeout=5000000) == 3, "a long time limit")


class EndsJustThen(minivmm.Machine):
    def stop(self):
        super().stop()
        super().wait()
        super().stop()


with EndsJustThen(kernel=image("spin"), memory="64M") as vm:
    point(vm.run(timeout=0.01) == 1 and vm.end == "killed", "a machine that ends at its time limit")
print(f"1..{points}")
sys.exit(failures > 0)
