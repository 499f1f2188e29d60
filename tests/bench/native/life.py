# SPDX-License-Identifier: BSD-2-Clause
"""A guest's whole life, and what the monitor does while the guest does nothing."""
import os
import time

from bench import Failed, Row, await_line, disk, processor_ns

TITLE = 'Processes, ms; less is better'


def life(bench, m):
    """(wall, processor) ms of a process whose guest ends at once."""
    argv = [str(a) for a in bench.command(m, 'exits', 'what=nothing', [])]
    with open('/dev/null', 'r+') as null:
        start = time.perf_counter()
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null.fileno(), fd) for fd in (0, 1, 2)])
        _, status, used = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != 33:
        raise Failed(f'{m.name}: status {os.waitstatus_to_exitcode(status)}')
    return wall * 1000, (used.ru_utime + used.ru_stime) * 1000


def own_threads(bench, m, words, image, when, seconds):
    """Processor ms, in a second, of all threads but the vCPU's, which is the one that runs most; measured after when(process)."""
    with bench.started(m, 'block', f'op=read order=random runs=1 {words}', disk(image)) as process:
        when(process)
        before, start = processor_ns(process.pid), time.perf_counter()
        time.sleep(seconds)
        after, passed = processor_ns(process.pid), time.perf_counter() - start
    used = sorted(after[t] - before.get(t, 0) for t in after)
    return [sum(used[:-1]) / 1e6 / passed]


def idle(bench, m, image, khz):
    words = f'count=300 idle={khz * (100 if bench.quick else 1000)}'
    return own_threads(bench, m, words, image, lambda p: await_line(p, 'idle 1'), 0.05 if bench.quick else 0.9)


def paced(bench, m, image, khz):
    words = f'count={100 if bench.quick else 800} warm=0 pause={khz}'
    return own_threads(bench, m, words, image, lambda p: time.sleep(0.01 if bench.quick else 0.2), 0.01 if bench.quick else 0.5)


def rows(bench):
    image = bench.file('/dev/shm')
    image.write_bytes(bytes(8 << 20))
    khz = 1000000 if bench.quick else bench.khz()
    times = 1 if bench.quick else 5
    yield Row('process start to process gone, wall', lambda m: [life(bench, m)[0] for _ in range(times)], digits=1, best=False)
    yield Row('the same, processor time', lambda m: [life(bench, m)[1] for _ in range(times)], digits=1, best=False)
    own = "processor time of the monitor's own threads in a second in which the guest "
    yield Row(own + 'does nothing', lambda m: idle(bench, m, image, khz), transports=('mmio',), digits=2)
    yield Row(own + 'reads 4 KiB once a millisecond', lambda m: paced(bench, m, image, khz), transports=('mmio',), digits=1)
