#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# disk.sh MINIVMM: Debian's kernel on copy-on-write disks (docs/testing.md). TAP.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
prepare "$1" e2fsprogs qemu-utils
truncate -s 48M "$work/base"
mke2fs -q -t ext4 -m 0 "$work/base"
for sector in 512 4096; do
	truncate -s 16M "$work/gpt$sector"
	"$(dirname "$(realpath "$0")")/gpt.py" "$work/gpt$sector" "$sector"
done
add_modules virtio_blk
make_initrd
in_bed disk.sh
