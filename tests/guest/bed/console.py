#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The people around a guest of console.sh.

terminal ROWS COLUMNS STEPS COMMAND...: runs COMMAND on a terminal of that size, as its only job, copies what it prints to
standard output, and exits with its status. STEPS are lines: "await TEXT", "type TEXT", "size ROWS COLUMNS".

take PATH BYTES [FILE]: connects to a socket, waits until FILE is there (if named), reads that many bytes, prints their checksum.
send PATH TEXT: connects, sends the line, leaves.
ask PATH TEXT: connects, sends the line, prints one line of answer, leaves.
"""
import fcntl, hashlib, os, pty, signal, socket, struct, sys, termios, time


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))


def terminal(rows, columns, steps, *command):
    steps = [line.split(" ", 1) for line in steps.splitlines() if line]
    pid, fd = pty.fork()
    if pid == 0:
        set_size(0, rows, columns)
        os.execv(command[0], command)
    # A SIGTERM is meant for the command.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    said = b""
    while True:
        while steps:
            verb, text = steps[0]
            if verb == "await":
                place = said.find(text.encode() + b"\r")
                if place < 0:
                    break
                said = said[place + len(text) :]
            elif verb == "type":
                os.write(fd, text.encode() + b"\r")
            elif verb == "size":
                set_size(fd, *text.split())
            steps.pop(0)
        try:
            data = os.read(fd, 65536)
        except OSError:  # EIO: the command has closed its terminal
            break
        if not data:
            break
        said += data
        os.write(1, data)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    return s


def take(path, count, file=None):
    s = connect(path)
    while file and not os.path.exists(file):
        time.sleep(0.1)
    md5, left = hashlib.md5(), int(count)
    while left:
        data = s.recv(min(left, 65536))
        if not data:
            sys.exit("the port ended early")
        md5.update(data)
        left -= len(data)
    print(md5.hexdigest())


def send(path, text):
    connect(path).sendall(text.encode() + b"\n")


def ask(path, text):
    s = connect(path)
    s.sendall(text.encode() + b"\n")
    print(s.makefile().readline().strip())


globals()[sys.argv[1]](*sys.argv[2:])
