# SPDX-License-Identifier: BSD-2-Clause
"""virtio-fs: minivmm's own server; beside it QEMU with Debian's virtiofsd. The directory is on a file system of a disk, in the page cache."""
import contextlib
import os
import re
import struct
import subprocess
import time
from pathlib import Path

from bench import Device, Failed, Row

TITLE = "virtio-fs, TSC cycles per request; minivmm's own server, QEMU with virtiofsd; less is better"
DAEMON = Path('/usr/lib/qemu/virtiofsd')
PAGE = 4096

# Label, words for the guest, words for the host (on the directory or, with a size, on the big file), over which transports.
BOTH, MMIO = ('mmio', 'pci'), ('mmio',)
WORKS = [
    ("FUSE_LOOKUP of a name that the server doesn't know", 'op=lookup count=1000', 'op=stat', MMIO),
    ('FUSE_LOOKUP of a name that it knows', 'op=known count=1000', 'op=stat', BOTH),
    ('FUSE_GETATTR', 'op=getattr count=1000', 'op=stat', MMIO),
    ('FUSE_OPEN and FUSE_RELEASE', 'op=open count=1000', 'op=open', MMIO),
    ('FUSE_READ of 4 KiB, depth 1', 'op=read size=4K depth=1 count=1500', '', BOTH),
    ('FUSE_READ of 4 KiB, depth 8', 'op=read size=4K depth=8 count=4000', '', MMIO),
    ('FUSE_READ of 64 KiB, depth 1', 'op=read size=64K depth=1 count=500', '', MMIO),
    ('FUSE_READ of 64 KiB, depth 8', 'op=read size=64K depth=8 count=1000', '', MMIO),
    ('FUSE_READ of 1 MiB, depth 1', 'op=read size=1M depth=1 count=60', '', MMIO),
    ('FUSE_READ of 1 MiB, depth 4', 'op=read size=1M depth=4 count=100', '', BOTH),
    ('FUSE_WRITE of 4 KiB, depth 1', 'op=write size=4K depth=1 count=1000', '', MMIO),
    ('FUSE_WRITE of 128 KiB, depth 1', 'op=write size=128K depth=1 count=200', '', MMIO),
    ('FUSE_READ of 4 KiB, depth 1, both with virtiofsd', 'op=read size=4K depth=1 count=1500', '', MMIO),
    ('FUSE_READ of 1 MiB, depth 4, both with virtiofsd', 'op=read size=1M depth=4 count=100', '', MMIO),
]


def can_run_daemon():
    return DAEMON.exists() and os.geteuid() == 0


def own(directory):
    return Device(['--fs', f'tag=bench,path={directory},readonly=off'], lambda m: [])


def external(socket):
    def qemu(m):
        return ['-object', 'memory-backend-memfd,id=mem,size=128M,share=on', '-numa', 'node,memdev=mem', '-chardev', f'socket,id=c,path={socket}',
                '-device', f'vhost-user-fs-{m.bus},chardev=c,tag=bench,queue-size=256']
    return Device(['--fs', f'tag=bench,socket={socket}'], qemu)


@contextlib.contextmanager
def daemon(bench, directory):
    """The path of a socket at which virtiofsd serves one client."""
    socket = Path(bench.work) / 'virtiofsd'
    process = subprocess.Popen([DAEMON, f'--socket-path={socket}', '-o', f'source={directory}', '-o', 'cache=auto', '-f'], stderr=subprocess.DEVNULL)
    try:
        while not socket.exists():
            if process.poll() is not None:
                raise Failed('virtiofsd has ended')
            time.sleep(0.01)
        yield socket
    finally:
        process.kill()
        process.wait()
        socket.unlink(missing_ok=True)


def make_directory(bench):
    """Small files, and a big one in whose pages the guest finds their numbers."""
    directory = bench.file('/var/tmp')
    directory.mkdir()
    for i in range(20 if bench.quick else 1000):
        (directory / f'f{i:07}').write_text('text')
    with open(directory / 'big', 'wb') as big:
        for first in range(0, 512 if bench.quick else 16384, 256):
            big.write(b''.join(struct.pack(f'<Q{PAGE - 8}x', n) for n in range(first, first + 256)))
    return directory


def row(bench, directory, label, words, host_words, transports):
    if bench.quick:
        words = re.sub(r'count=\d+', 'count=20', words) + ' span=2M check=1'

    def run(m):
        if not m.is_qemu and 'virtiofsd' not in label:
            return bench.guest(m, 'fs', words + ' runs=3', own(directory))['cycles']
        if not can_run_daemon():
            return []
        with daemon(bench, directory) as socket:
            return bench.guest(m, 'fs', words + ' runs=3', external(socket))['cycles']

    def host():
        if host_words:
            return bench.host(directory, f'{host_words} count=1000')
        return bench.host(directory / 'big', f'{words} order=random')
    return Row(label, run, host, transports=transports, best=False)


def rows(bench):
    directory = make_directory(bench)
    for label, *rest in WORKS:
        if 'virtiofsd' not in label or not bench.quick:
            yield row(bench, directory, label, *rest)
