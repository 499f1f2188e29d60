# SPDX-License-Identifier: BSD-2-Clause
"""The balloon: a guest gives memory up that it used, takes it back, and reports memory that it freed."""
from bench import Device, Row

TITLE = 'Balloon, TSC cycles per page of 4 KiB or range of 2 MiB; less is better'
WORKS = [
    ('a page is given up, as they lie in memory', 'op=inflate order=up', 'op=release size=4K count=8192', ('mmio', 'pci')),
    ('the same, from the end to the beginning', 'op=inflate order=down', '', ('mmio',)),
    ('the same, all over the memory', 'op=inflate order=random', '', ('mmio',)),
    ('a page is taken back', 'op=deflate', '', ('mmio',)),
    ('a page is touched for the first time after that', 'op=touch', '', ('mmio',)),
    ('a range of 2 MiB is reported', 'op=report', 'op=release size=2M count=16', ('mmio', 'pci')),
]


def rows(bench):
    device = Device(['--balloon', 'reporting=on'], lambda m: ['-device', f'virtio-balloon-{m.bus},free-page-reporting=on{m.options}'])
    size = '2M' if bench.quick else '32M'
    for label, words, host_words, transports in WORKS:
        def run(m, words=words):
            return bench.guest(m, 'balloon', f'{words} size={size} runs=3', device)['cycles']

        def host(words=host_words):
            return bench.host('/dev/null', words)
        yield Row(label, run, host if host_words else None, transports=transports, best=False)
