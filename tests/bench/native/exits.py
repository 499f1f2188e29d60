# SPDX-License-Identifier: BSD-2-Clause
"""What leaving the guest costs: to user space and back, and to KVM alone."""
from bench import Row, disk

TITLE = 'Exits, TSC cycles each, as the guest sees them; less is better'
WORKS = [
    ('a byte to a port', 'out'),
    ('a byte from a port', 'in'),
    ("a read of a device's register", 'mmio'),
    ('a kick of an empty queue (ioeventfd)', 'doorbell'),
]


def rows(bench):
    image = bench.file('/dev/shm')
    image.write_bytes(bytes(1 << 20))
    count = 10 if bench.quick else 300
    for label, what in WORKS:
        yield Row(label, lambda m, what=what: bench.guest(m, 'exits', f'what={what} count={count}', disk(image))['cycles'], best=False)
