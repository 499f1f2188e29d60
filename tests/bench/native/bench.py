# SPDX-License-Identifier: BSD-2-Clause
"""What the works have in common: monitors, devices, guests, rows.

A work is two files here: NAME.c, a guest (native.h says what it has), with NAME in meson.build; and
NAME.py, which `measure` finds by itself, with

    TITLE = 'What the table shows, with its unit; less is better'
    def rows(bench):
        yield Row('the row', lambda m: bench.guest(m, 'NAME', 'size=64 count=1000', device)['cycles'],
                  host=lambda: [...])

`device` says how each monitor is given its half of the device (Device). A row whose guest needs
something beside it (a peer, a daemon) has a function instead of the lambda: it starts that, calls
bench.guest, and stops it. NEEDS, if it is there, is a function that returns why the work can't run
here, or None.

The rows are in the tables of `tests/bench/run native`, and each is a test of suite kvm (measure
--check), where bench.quick is set: rows then take few requests and say what is wrong."""
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

HERE = Path(__file__).parent


class Failed(Exception):
    """Something that was to be measured doesn't work; the text says what."""


@dataclass(frozen=True)
class Monitor:
    name: str  # the column
    transport: str  # 'mmio' or 'pci'
    best: bool = False  # QEMU with io_uring and an iothread

    @property
    def is_qemu(self):
        return self.name != 'minivmm'

    @property
    def bus(self):
        """How names of QEMU's virtio devices end: f'virtio-blk-{m.bus}'."""
        return 'pci' if self.transport == 'pci' else 'device'

    @property
    def options(self):
        """What QEMU's devices have in addition, over PCI."""
        return ',disable-legacy=on' if self.transport == 'pci' else ''


MONITORS = [Monitor('minivmm', t) for t in ('mmio', 'pci')] + \
           [Monitor(name, t, best) for t in ('mmio', 'pci') for name, best in (('QEMU', False), ('QEMU, io_uring + iothread', True))]


@dataclass
class Device:
    """Arguments for minivmm, and a function that returns QEMU's for a Monitor. `fds` are passed on."""
    minivmm: list
    qemu: Callable[[Monitor], list]
    fds: tuple = ()


NO_DEVICE = Device([], lambda m: [])


def disk(path, overlay=None, format='raw'):
    """A virtio-blk device. With an overlay (a qcow2 file), path is what it lies on."""
    file, format = (overlay, 'qcow2') if overlay else (path, format)

    def qemu(m):
        best, thread = (',aio=io_uring', ',iothread=t') if m.best else ('', '')
        return (['-object', 'iothread,id=t'] if m.best else []) + \
            ['-drive', f'id=d,file={file},format={format},if=none,discard=unmap{best}', '-device', f'virtio-blk-{m.bus},drive=d{thread}{m.options}']
    return Device(['--disk', f'{path},overlay={overlay}' if overlay else str(path)], qemu)


@dataclass
class Row:
    label: str
    run: Optional[Callable[[Monitor], list]]  # one guest's values
    host: Optional[Callable[[], list]] = None  # the host's own limit
    check: Optional[Callable[[], None]] = None  # with --check, after run: raises Failed
    transports: tuple = ('mmio', 'pci')
    digits: int = 0  # after the point
    best: bool = True  # QEMU's best settings, too


class Bench:
    """minivmm: the program; images: the directory with the guests; work: a directory for files."""

    def __init__(self, minivmm, images, work, quick=False):
        self.minivmm, self.images, self.work, self.quick = str(minivmm), Path(images), Path(work), quick
        self.undo = contextlib.ExitStack()  # what ends after the last row
        self.built = {}

    def file(self, directory):
        """A path where there is no file, in a directory of its own that is gone in the end."""
        directory = Path(tempfile.mkdtemp(prefix='minivmm-bench-', dir=directory))
        self.undo.callback(shutil.rmtree, directory)
        return directory / 'file'

    def command(self, m, image, words, device):
        """The command line that runs a guest with these words and this device (a list: several)."""
        devices = device if isinstance(device, (list, tuple)) else [device]
        image = self.images / f'{image}.bin'
        if not m.is_qemu:
            own = [self.minivmm, '--kernel', image, '--memory', '128M', '--debug-exit', '--transport', m.transport, '--append', words]
            return own + [a for d in devices for a in d.minivmm]
        own = ['qemu-system-x86_64', '-M', f"microvm,accel=kvm,pcie={'on' if m.transport == 'pci' else 'off'}", '-cpu', 'qemu64,check=off', '-m', '128',
               '-global', 'virtio-mmio.force-legacy=false', '-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'stdio',
               '-device', 'isa-debug-exit,iobase=0xf4', '-kernel', image, '-append', words]
        return own + [a for d in devices for a in d.qemu(m)]

    @contextlib.contextmanager
    def started(self, m, image, words, device):
        """A guest that runs; what it prints is in the file .output. It is waited for at the end."""
        devices = device if isinstance(device, (list, tuple)) else [device]
        argv = [str(a) for a in self.command(m, image, words, device)]
        with tempfile.NamedTemporaryFile(dir='/dev/shm') as output:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, pass_fds=[f for d in devices for f in d.fds])
            process.output = Path(output.name)
            try:
                yield process
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                raise Failed(f'{m.name}, {m.transport}: hangs: {process.output.read_text().strip()[-300:]}: {" ".join(argv)}') from None
            finally:
                process.kill()
                process.wait()
            if process.returncode != 33:
                raise Failed(f'{m.name}, {m.transport}: status {process.returncode}: {process.output.read_text().strip()[-300:]}: {" ".join(argv)}')

    def guest(self, m, image, words, device=NO_DEVICE):
        """Runs a guest; what it printed, as lists of numbers by their key."""
        with self.started(m, image, words, device) as process:
            process.wait(timeout=60)
            values = printed(process)
        return values

    def apart(self, m, image, words, device):
        """As guest(), with the vCPU on one processor and all other threads on another, where its peers are, too (beside): a guest that
        polls never waits, and would fight with them."""
        with self.started(m, image, words, device) as process:
            while process.poll() is None and not place_threads(process.pid):
                time.sleep(0.002)
            process.wait(timeout=60)
            values = printed(process)
        return values

    @contextlib.contextmanager
    def beside(self, *command):
        """A process on the second processor, which has said "ready"."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            os.sched_setaffinity(process.pid, processors()[1:])
            if process.stdout.readline() != 'ready\n':
                raise Failed(f'{command[0]} is not ready')
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def program(self, name):
        """The path of NAME.c here, compiled for the host."""
        if name not in self.built:
            self.built[name] = self.work / name
            subprocess.run(['gcc', '-O2', '-Wall', '-pthread', '-o', self.built[name], HERE / f'{name}.c'], check=True)
        return str(self.built[name])

    def host(self, file, words, key='cycles'):
        """What the host's own loop over these requests takes (host.c)."""
        said = subprocess.run([self.program('host'), str(file), *words.split()], capture_output=True, text=True, check=True).stdout
        return [int(line.split()[1]) for line in said.splitlines() if line.split()[0] == key]

    def khz(self):
        """The speed of the TSC."""
        return self.host('/dev/null', 'op=tsc', 'khz')[0]


def printed(process):
    """What a guest has printed, as lists of numbers by their key."""
    values = defaultdict(list)
    for line in process.output.read_text().splitlines():
        key, _, value = line.rpartition(' ')
        if value.isdigit():
            values[key].append(int(value))
    return values


def processors():
    """One for a vCPU, one for what else there is."""
    mine = sorted(os.sched_getaffinity(0))
    return [mine[0], mine[-1]]


def place_threads(pid):
    """Gives each thread of a monitor its processor. False: there is no vCPU yet. (QEMU needs -name x,debug-threads=on.)"""
    names = {}
    for task in Path(f'/proc/{pid}/task').iterdir():
        with contextlib.suppress(OSError):
            names[int(task.name)] = (task / 'comm').read_text()
    vcpus = [t for t, name in names.items() if name.startswith(('vcpu', 'CPU '))]
    for t in names if vcpus else []:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(t, processors()[:1] if t in vcpus else processors()[1:])
    return bool(vcpus)


@contextlib.contextmanager
def busy(n):
    """Meanwhile, n processes use all the processor time that they get."""
    spinners = [subprocess.Popen(['sh', '-c', 'while :; do :; done']) for _ in range(n)]
    try:
        yield
    finally:
        for s in spinners:
            s.kill()
            s.wait()


def processor_ns(pid):
    """Nanoseconds that each thread of a process has run, by thread."""
    used = {}
    for task in Path(f'/proc/{pid}/task').iterdir():
        with contextlib.suppress(OSError):
            used[task.name] = int((task / 'schedstat').read_text().split()[0])
    return used


def await_line(process, text):
    """Waits until the guest has printed this."""
    while text not in process.output.read_text():
        if process.poll() is not None:
            raise Failed(f'ended without {text!r}: {process.output.read_text()[-300:]}')
        time.sleep(0.001)
