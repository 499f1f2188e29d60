#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""gpt.py FILE SECTOR: puts a GUID partition table (UEFI 2.10 §5) into FILE that counts in sectors of SECTOR bytes, with
one partition, from 1 MiB on to 1 MiB before the end."""
import os
import struct
import sys
import uuid
import zlib

path, sector = sys.argv[1], int(sys.argv[2])
last = os.stat(path).st_size // sector - 1
per_table = 128 * 128 // sector
linux = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
entry = struct.pack("<16s16sQQQ72s", linux.bytes_le, uuid.uuid4().bytes_le, 2**20 // sector,
                    last - 2**20 // sector, 0, "one".encode("utf-16le"))
table = entry.ljust(128 * 128, b"\0")
disk = uuid.uuid4().bytes_le


def header(here, other, entries):
    """The header at sector here; other is where its copy is, entries where the table is."""
    def pack(crc):
        return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, here, other, 2 + per_table,
                           last - per_table - 1, disk, entries, 128, 128, zlib.crc32(table))
    return pack(zlib.crc32(pack(0)))


with open(path, "r+b") as f:
    for at, what in (
            (446, struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xee, b"\xff\xff\xff", 1, min(last, 2**32 - 1))),
            (510, b"\x55\xaa"),
            (sector, header(1, last, 2)),
            (2 * sector, table),
            ((last - per_table) * sector, table),
            (last * sector, header(last, 1, last - per_table))):
        f.seek(at)
        f.write(what)
