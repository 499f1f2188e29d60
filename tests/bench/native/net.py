# SPDX-License-Identifier: BSD-2-Clause
"""Frames: to and from a TAP, whose other end is the host's kernel; by slirp and by a socket, whose other ends are a process (peer.c).
QEMU's virtio-net has no iothread in 7.2, so it has no second column."""
import ctypes
import os
import re
import subprocess
from pathlib import Path

from bench import Device, Row

TITLE = 'Network, TSC cycles per frame; less is better'
MAC = '52:54:00:12:34:56'
CLONE_NEWNET = 0x40000000

# Label, words, backend, over which transports.
BOTH, MMIO = ('mmio', 'pci'), ('mmio',)
WORKS = [
    ('TAP: send, 64 bytes', 'op=send size=64 count=10000', 'tap', BOTH),
    ('TAP: send, 1,500 bytes', 'op=send size=1500 count=10000', 'tap', BOTH),
    ('TAP: send, segments of 64 KiB', 'op=send size=64K count=1000', 'tap', BOTH),
    ('TAP: receive, 64 bytes', 'op=receive size=64 count=2000', 'tap', BOTH),
    ('TAP: receive, 1,500 bytes', 'op=receive size=1500 count=2000', 'tap', BOTH),
    ('TAP: receive, segments of 64 KiB', 'op=receive size=64K count=256', 'tap', BOTH),
    ('TAP: there and back, 64 bytes', 'op=turn size=64 count=1000', 'tap', BOTH),
    ('TAP: there and back, 1,500 bytes', 'op=turn size=1500 count=1000', 'tap', MMIO),
    ('slirp: send, 64 bytes', 'op=send size=64 count=3000', 'user', MMIO),
    ('slirp: send, 1,500 bytes', 'op=send size=1500 count=3000', 'user', MMIO),
    ('slirp: receive, 64 bytes, bursts of 64', 'op=receive size=64 count=1280', 'user', MMIO),
    ('slirp: receive, 1,500 bytes, bursts of 64', 'op=receive size=1500 count=1280', 'user', MMIO),
    ('slirp: there and back, 64 bytes', 'op=turn size=64 count=300', 'user', MMIO),
    ('stream socket: send, 64 bytes', 'op=send size=64 count=5000', 'socket', MMIO),
    ('stream socket: send, 1,500 bytes', 'op=send size=1500 count=5000', 'socket', MMIO),
    ('stream socket: receive, 64 bytes, bursts of 64', 'op=receive size=64 count=6400', 'socket', MMIO),
    ('stream socket: receive, 1,500 bytes, bursts of 64', 'op=receive size=1500 count=6400', 'socket', MMIO),
    ('stream socket: there and back, 64 bytes', 'op=turn size=64 count=300', 'socket', MMIO),
]


def make_tap():
    """In a network of this process's own: a TAP whose kernel drops what is not for its MAC, and sends what is for 10.0.2.16 back."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), 'unshare')
    lines = ['link set lo up', 'tuntap add dev bench0 mode tap vnet_hdr', 'addr add 10.0.2.2/24 dev bench0',
             'link set bench0 address 52:55:0a:00:02:02 txqueuelen 4096 up', f'neigh add 10.0.2.16 lladdr {MAC} dev bench0 nud permanent']
    subprocess.run(['ip', '-batch', '-'], input='\n'.join(lines), text=True, check=True)
    conf = Path('/proc/sys/net')
    for path in 'ipv4/conf/all/send_redirects', 'ipv4/conf/bench0/send_redirects', 'ipv4/conf/all/rp_filter', 'ipv4/conf/bench0/rp_filter':
        (conf / path).write_text('0')
    (conf / 'ipv4/ip_forward').write_text('1')
    if (conf / 'ipv6/conf/bench0/disable_ipv6').exists():
        (conf / 'ipv6/conf/bench0/disable_ipv6').write_text('1')


def card(minivmm, qemu):
    return Device(['--net', f'{minivmm},mac={MAC}'], lambda m: ['-name', 'bench,debug-threads=on', '-netdev', f'{qemu},id=n', '-device',
                                                                f'virtio-net-{m.bus},netdev=n,mac={MAC}{m.options}' + (',romfile=' if m.transport == 'pci' else '')])


def row(bench, label, words, backend, transports):
    words += f' peer={backend} runs=3'
    if bench.quick:
        words = re.sub(r'count=\d+', 'count=64', words) + ' check=1'
    socket = Path(bench.work) / 'frames'
    device = {'tap': card('tap=bench0', 'tap,ifname=bench0,script=no,downscript=no,vhost=off'), 'user': card('user', 'user'),
              'socket': card(f'socket={socket}', f'stream,server=off,addr.type=unix,addr.path={socket}')}[backend]

    def run(m):
        if backend == 'tap':
            return bench.guest(m, 'net', words, device)['cycles']
        with bench.beside(bench.program('peer'), backend, *([str(socket)] if backend == 'socket' else [])):
            return bench.apart(m, 'net', words, device)['cycles']

    def host():
        said = subprocess.run([bench.program('wire'), 'tap', 'bench0', *words.split()], capture_output=True, text=True, check=True).stdout
        return [int(line.split()[1]) for line in said.splitlines()]
    return Row(label, run, host if backend == 'tap' else None, transports=transports, best=False)


def rows(bench):
    tap = os.geteuid() == 0 and os.access('/dev/net/tun', os.R_OK | os.W_OK)
    slirp = 'slirp' in subprocess.run([bench.minivmm, '--version'], capture_output=True, text=True).stdout
    if tap:
        make_tap()
    for label, words, backend, transports in WORKS:
        if (tap or backend != 'tap') and (slirp or backend != 'user'):
            yield row(bench, label, words, backend, transports)
