#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# linux.sh MINIVMM: boots unmodified kernels in the test bed (docs/testing.md) and prints TAP. This
# part makes what the guests need; in the test bed, bed/linux.sh runs one guest after the other.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
prepare "$1" dmsetup e2fsprogs lz4

# The ELF file in a bzImage (Linux: Documentation/arch/x86/boot.rst): its payload, after the setup
# sectors, is LZ4 followed by the length, about which lz4 complains.
field() { od -A n -t "u$2" -j "$1" -N "$2" "$work/debian" | tr -d ' '; }
tail -c +$(((1 + $(field 0x1f1 1)) * 512 + $(field 0x248 4) + 1)) "$work/debian" | head -c "$(field 0x24c 4)" |
	lz4 -dc >"$work/vmlinux" 2>/dev/null || true
[[ $(head -c 4 "$work/vmlinux") = $'\x7fELF' ]] || { echo "linux.sh: the payload of Debian's kernel is not LZ4 any more" >&2 && exit 1; }

# The disk has no modules: it is for the tiny kernel, or is used after an initrd.
truncate -s 32M "$work/disk"
mke2fs -q -t ext4 -m 0 -d "$root" "$work/disk"
add_modules virtio_blk virtio_balloon button evdev
make_initrd
in_bed linux.sh
