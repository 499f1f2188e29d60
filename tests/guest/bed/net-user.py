#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Services of the host that guests of net-user.sh can reach, or can't.

serve DIRECTORY  serves on the loopback interface, until killed: TCP port 7001 sends DIRECTORY/data, 7002
                 answers what it gets with its MD5 sum; UDP port 53, also of 127.0.0.53, answers every
                 question for an IPv4 address of a name under example with 192.0.2.7. Each call is a line
                 in DIRECTORY/calls; DIRECTORY/serving exists when it has begun.
fetch PORT       prints what a TCP port says, as soon as it says anything: a guest may not listen yet.
rooted COMMAND   runs it in a mount namespace of its own that has our root as its root. The test bed is a
                 chroot, in which user namespaces can't be made, and passt insists on one.
"""
import ctypes
import hashlib
import os
import socket
import sys
import threading
import time


def call(directory, line):
    with open(directory + "/calls", "a") as calls:
        calls.write(line + "\n")


def send(directory, peer):
    with open(directory + "/data", "rb") as data:
        peer.sendfile(data)


def receive(_, peer):
    md5, left = hashlib.md5(), 1 << 20
    while left and (data := peer.recv(min(left, 65536))):
        md5.update(data)
        left -= len(data)
    peer.sendall((md5.hexdigest() + "\n").encode())


def listen(directory, family, address, port, answer):
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()

    def loop():
        while True:
            peer, _ = listener.accept()
            call(directory, f"tcp {port}")
            with peer:
                try:
                    answer(directory, peer)
                except OSError as e:
                    call(directory, f"tcp {port}: {e}")

    threading.Thread(target=loop, daemon=True).start()


def names(directory, family, address):
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.bind((address, 53))

    def loop():
        while True:
            query, peer = server.recvfrom(512)
            end = query.index(b"\0", 12) + 5
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
                at += 1 + query[at]
            call(directory, f"udp 53 {address} {'.'.join(labels)}")
            known = labels[-1:] == ["example"]
            ipv4 = known and query[end - 4:end - 2] == b"\0\1"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7" if ipv4 else b""
            flags = b"\x81\x80" if known else b"\x81\x83"  # NXDOMAIN
            server.sendto(query[:2] + flags + b"\0\1\0" + bytes([ipv4]) + b"\0\0\0\0" + query[12:end] + answer, peer)

    threading.Thread(target=loop, daemon=True).start()


def serve(directory):
    for family, address in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
        listen(directory, family, address, 7001, send)
        listen(directory, family, address, 7002, receive)
    if os.geteuid() == 0:
        for family, address in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.53"), (socket.AF_INET6, "::1"):
            names(directory, family, address)
    open(directory + "/serving", "w").close()
    threading.Event().wait()


def fetch(port):
    while True:
        with socket.socket() as peer:
            try:
                peer.connect(("127.0.0.1", int(port)))
                peer.sendall(b"hello\n")  # passt acknowledges the guest's SYN only with our first bytes
                got = b""
                while not got.endswith(b"\n") and (data := peer.recv(4096)):
                    got += data
                if got:
                    sys.stdout.write(got.decode())
                    return
            except ConnectionError:
                pass
        time.sleep(0.3)


def rooted(*command):
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result):
        if result:
            raise OSError(ctypes.get_errno(), "rooted")

    cwd = os.getcwd()
    check(libc.unshare(0x20000))  # CLONE_NEWNS
    ours = os.open("/", os.O_RDONLY)
    os.chroot("/tmp")
    os.fchdir(ours)  # this is outside of our present root, so that .. leads on
    while os.stat("..").st_ino != os.stat(".").st_ino or os.stat("..").st_dev != os.stat(".").st_dev:
        os.chdir("..")
    check(libc.syscall(429, ours, b"", -100, b".", 4))  # move_mount(2)
    os.fchdir(ours)
    os.chroot(".")
    os.chdir(cwd)
    os.execvp(command[0], command)


{"serve": serve, "fetch": fetch, "rooted": rooted}[sys.argv[1]](*sys.argv[2:])
