# SPDX-License-Identifier: BSD-2-Clause
"""Interrupts: over MMIO by a pin of an IO-APIC, over PCI by MSI-X, until they are pending at the processor."""
from bench import Row, disk

TITLE = 'Interrupts, TSC cycles; the request is GET_ID; less is better'
WORKS = [
    ('a kick, until the request is used', 'used'),
    ('a kick, until its interrupt is pending', 'pending'),
    ("a read of the local APIC, one or two of which the row above includes", 'read'),
]


def rows(bench):
    image = bench.file('/dev/shm')
    image.write_bytes(bytes(1 << 20))
    for label, op in WORKS:
        yield Row(label, lambda m, op=op: bench.guest(m, 'irq', f'op={op}', disk(image))['cycles'], best=op != 'read')
