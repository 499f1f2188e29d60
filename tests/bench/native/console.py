# SPDX-License-Identifier: BSD-2-Clause
"""Output by the virtio console, to /dev/null and to a pipe that a process reads."""
import contextlib
import os
import subprocess

from bench import Device, Row, processors

TITLE = 'Console, TSC cycles per chain of output; less is better'
WORKS = [(f'{size}, to {where}', f'size={words} count=20000 runs=3', where, transports)
         for size, words in (('64 bytes', '64'), ('4 KiB', '4K')) for where, transports in (('/dev/null', ('mmio', 'pci')), ('a pipe', ('mmio',)))]


@contextlib.contextmanager
def pipe():
    """The end of a pipe that is written; a process reads the other one."""
    reader, writer = os.pipe()
    process = subprocess.Popen(['cat'], stdin=reader, stdout=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, processors()[1:])
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)
        process.wait()


def console(minivmm, path, fds=()):
    return Device(['--console', minivmm], lambda m: ['-name', 'bench,debug-threads=on', '-chardev', f'file,id=c,path={path}', '-device',
                                                     f'virtio-serial-{m.bus}{m.options}', '-device', 'virtconsole,chardev=c'], fds)


def row(bench, label, words, where, transports):
    if bench.quick:
        words = words.replace('count=20000', 'count=100')

    def run(m):
        if where == '/dev/null':
            return bench.apart(m, 'console', words, console('file=/dev/null', '/dev/null'))['cycles']
        with pipe() as fd:
            return bench.apart(m, 'console', words, console(f'fd={fd}', f'/dev/fd/{fd}', (fd,)))['cycles']

    def host():
        if where == '/dev/null':
            return wire(subprocess.DEVNULL)
        with pipe() as fd:
            return wire(fd)

    def wire(output):
        said = subprocess.run([bench.program('wire'), 'write', '-', *words.split()], stdout=output, stderr=subprocess.PIPE, text=True, check=True).stderr
        return [int(line.split()[1]) for line in said.splitlines()]
    return Row(label, run, host, transports=transports, best=False)


def rows(bench):
    for work in WORKS:
        yield row(bench, *work)
