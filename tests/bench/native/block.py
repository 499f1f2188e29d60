# SPDX-License-Identifier: BSD-2-Clause
"""Block: requests to images that are wholly in the page cache, on a file system of a disk and on tmpfs."""
import re
import shutil
import struct

from bench import MONITORS, Failed, Row, busy, disk

TITLE = 'Block, TSC cycles per request; less is better'
SECTOR, SECTORS, SECTORS_QUICK = 512, 128 * 2048, 8 * 2048
ON_DISK, ON_TMPFS = '/var/tmp', '/dev/shm'

# Label, words, on what, over which transports. The counts keep a repetition near 30 ms.
BOTH, MMIO = ('mmio', 'pci'), ('mmio',)
WORKS = [
    ('4 KiB random reads, depth 1', 'op=read order=random size=4K depth=1 count=1500', 'disk', BOTH),
    ('4 KiB random reads, depth 4', 'op=read order=random size=4K depth=4 count=4000', 'disk', BOTH),
    ('4 KiB random reads, depth 32', 'op=read order=random size=4K depth=32 count=10000', 'disk', BOTH),
    ('512 B random reads, depth 1', 'op=read order=random size=512 depth=1 count=1500', 'disk', MMIO),
    ('4 KiB sequential reads, depth 32', 'op=read order=sequential size=4K depth=32 count=10000', 'disk', MMIO),
    ('64 KiB sequential reads, depth 4', 'op=read order=sequential size=64K depth=4 count=2000', 'disk', MMIO),
    ('1 MiB sequential reads, depth 1', 'op=read order=sequential size=1M depth=1 count=100', 'disk', MMIO),
    ('1 MiB sequential reads, depth 4', 'op=read order=sequential size=1M depth=4 count=200', 'disk', BOTH),
    ('1 MiB sequential reads, depth 4, two busy processes beside', 'op=read order=sequential size=1M depth=4 count=400', 'busy', MMIO),
    ('4 KiB random reads, depth 1, a million cycles apart', 'op=read order=random size=4K depth=1 count=50 pause=1000000', 'disk', MMIO),
    ('4 KiB random writes, depth 1', 'op=write order=random size=4K depth=1 count=1500', 'disk', BOTH),
    ('4 KiB random writes, depth 32', 'op=write order=random size=4K depth=32 count=3000', 'disk', BOTH),
    ('1 MiB sequential writes, depth 4', 'op=write order=sequential size=1M depth=4 count=100', 'disk', MMIO),
    ('4 KiB random write + flush, depth 1', 'op=flush order=random size=4K depth=1 count=100', 'disk', MMIO),
    ('1 MiB discards, depth 1', 'op=discard order=sequential size=1M depth=1 count=100', 'holes', MMIO),
    ('4 KiB random reads, depth 1, overlay', 'op=read order=random size=4K depth=1 count=1500', 'overlay', MMIO),
    ('4 KiB random reads, depth 32, overlay', 'op=read order=random size=4K depth=32 count=5000', 'overlay', MMIO),
    ('1 MiB sequential reads, depth 4, overlay', 'op=read order=sequential size=1M depth=4 count=100', 'overlay', MMIO),
    ('4 KiB random writes, depth 32, overlay', 'op=write order=random size=4K depth=32 count=3000', 'overlay', MMIO),
    ('4 KiB random writes, depth 32, new overlay', 'op=write order=random size=4K depth=32 count=1000 warm=0 runs=1', 'new overlay', MMIO),
    ('4 KiB random reads, depth 1, tmpfs', 'op=read order=random size=4K depth=1 count=1500', 'tmpfs', MMIO),
    ('4 KiB random reads, depth 32, tmpfs', 'op=read order=random size=4K depth=32 count=10000', 'tmpfs', MMIO),
    ('1 MiB sequential reads, depth 4, tmpfs', 'op=read order=sequential size=1M depth=4 count=200', 'tmpfs', MMIO),
    ('4 KiB random writes, depth 32, tmpfs', 'op=write order=random size=4K depth=32 count=3000', 'tmpfs', MMIO),
    ('requests that cost nothing (GET_ID), depth 1', 'op=id depth=1 count=1500', 'disk', BOTH),
    ('requests that cost nothing (GET_ID), depth 32', 'op=id depth=32 count=20000', 'disk', BOTH),
]


def image(bench, directory, stamped=True):
    """An image in whose sectors the guest finds their numbers, or zeroes."""
    path = bench.file(directory)
    with open(path, 'wb') as f:
        for first in range(0, SECTORS_QUICK if bench.quick else SECTORS, 2048):
            f.write(b''.join(struct.pack('<Q504x', n if stamped else 0) for n in range(first, first + 2048)))
    return path


def touched(path, before, after):
    """Each sector must be as before or as after, and one at least as after; both are functions of its number."""
    data, changed = path.read_bytes(), 0
    for n in range(len(data) // SECTOR):
        said = struct.unpack_from('<Q', data, n * SECTOR)[0]
        if said == after(n) != before(n):
            changed += 1
        elif said != before(n):
            raise Failed(f'sector {n} of {path.name} begins with {said}')
    if not changed:
        raise Failed(f'{path.name} is as it was before')


class Files:
    """The images, made when a row first needs them. A file system of a disk, and tmpfs."""

    def __init__(self, bench):
        self.bench, self.made = bench, {}

    def get(self, name):
        if name not in self.made:
            self.made[name] = getattr(self, 'make_' + name.replace(' ', '_'))()
        return self.made[name]

    def make_disk(self):
        return image(self.bench, ON_DISK)

    def make_holes(self):
        return image(self.bench, ON_DISK)

    def make_blank(self):
        return image(self.bench, ON_DISK, stamped=False)

    def make_tmpfs(self):
        return image(self.bench, ON_TMPFS)

    def make_pristine(self):
        path = self.bench.file(ON_DISK)
        self.bench.guest(MONITORS[0], 'block', 'op=id count=1', disk(self.get('disk'), path))
        return path

    def make_overlay(self):
        path = self.bench.file(ON_DISK)
        self.bench.guest(MONITORS[0], 'block', 'op=write order=random count=200 check=1', disk(self.get('disk'), path))
        return path

    def make_new_overlay(self):
        return self.bench.file(ON_DISK)

    def device(self, name):
        if name == 'new overlay':
            shutil.copyfile(self.get('pristine'), self.get(name))
        return disk(self.get('disk'), self.get(name)) if 'overlay' in name else disk(self.get(name))


def quicken(words):
    depth = int(re.search(r'depth=(\d+)', words)[1])
    return re.sub(r'count=\d+', f'count={3 * depth}', words) + ' check=1'


def row(bench, files, label, words, on, transports):
    writes = re.search('op=(write|flush)', words)
    if bench.quick:
        words, on = quicken(words), 'blank' if writes and 'overlay' not in on else on

    def run(m):
        with busy(2 if on == 'busy' else 0):
            return bench.guest(m, 'block', words, files.device('disk' if on == 'busy' else on))['cycles']

    def host():
        with busy(2 if on == 'busy' else 0):
            return bench.host(files.get(on if on in ('tmpfs', 'holes') else 'disk'), words)

    def check():
        if on == 'blank':
            touched(files.get(on), lambda n: 0, lambda n: n)
        if on == 'holes':
            touched(files.get(on), lambda n: n, lambda n: 0)
    return Row(label, run, None if 'op=id' in words else host, check, transports)


def rows(bench):
    files = Files(bench)
    for label, words, on, transports in WORKS:
        yield row(bench, files, label, words, on, transports)
    if not bench.quick:
        yield Row('a copy of 1 MiB in memory', None, lambda: bench.host(files.get('disk'), 'op=copy size=1M count=200'), None, MMIO)
