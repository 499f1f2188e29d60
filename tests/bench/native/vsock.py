# SPDX-License-Identifier: BSD-2-Clause
"""A connection of the guest's to a UNIX socket of the host's. QEMU has only vhost-vsock, which needs /dev/vhost-vsock: minivmm alone."""
from pathlib import Path

from bench import Device, Row

TITLE = 'vsock, TSC cycles per packet; QEMU has only vhost-vsock, so minivmm alone; less is better'
WORKS = [
    ('send, packets of 64 bytes', 'op=send size=64 count=5000', ('mmio', 'pci')),
    ('send, packets of 64 KiB', 'op=send size=64K count=500', ('mmio',)),
    ('receive, each 4 KiB of a stream', 'op=receive size=4K count=2000', ('mmio',)),
    ('there and back, 64 bytes', 'op=turn size=64 count=500', ('mmio',)),
]


def row(bench, label, words, transports):
    words += ' runs=3'
    if bench.quick:
        words = ' '.join('count=50' if w.startswith('count=') else w for w in words.split())
    socket = Path(bench.work) / 'vsock'

    def run(m):
        if m.is_qemu:
            return []
        with bench.beside(bench.program('peer'), 'stream', f'{socket}_7007'):
            return bench.apart(m, 'vsock', words, Device(['--vsock', f'cid=3,socket={socket}'], lambda m: []))['cycles']
    return Row(label, run, transports=transports, best=False)


def rows(bench):
    for work in WORKS:
        yield row(bench, *work)
