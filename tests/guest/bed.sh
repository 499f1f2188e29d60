#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# bed.sh MINIVMM: boots unmodified kernels in the test bed (docs/testing.md) and prints TAP. This part makes what the guests
# need, out here where processors are fast, and starts one test bed; in there, in-bed.sh runs guest after guest.
set -euo pipefail

minivmm=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
PATH=$PATH:/usr/sbin:/sbin
# shellcheck source=examples/packages.sh
. "$here/../../examples/packages.sh"

skip() {
	echo "1..0 # SKIP $*"
	exit 0
}

lacking=$(packages_missing "${packages_testbed[@]}" busybox-static cpio dmsetup e2fsprogs kmod lz4 | tr '\n' ' ')
[[ -z $lacking ]] || skip "needs sudo apt-get install $lacking"
debian=$("$here/debian-kernel") || skip "no Debian kernel to boot"
tiny=$("$here/build-kernel") || skip "no tiny kernel to boot"
release=$(basename "$debian"/lib/modules/*)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$debian/boot/vmlinuz-$release" "$work/debian"
ln -s "$tiny/bzImage" "$work/tiny"

# The ELF file in a bzImage (Linux: Documentation/arch/x86/boot.rst): its payload, behind the setup sectors, is LZ4, with the
# length appended, of which lz4 complains.
field() { od -A n -t "u$2" -j "$1" -N "$2" "$work/debian" | tr -d ' '; }
tail -c +$(((1 + $(field 0x1f1 1)) * 512 + $(field 0x248 4) + 1)) "$work/debian" | head -c "$(field 0x24c 4)" |
	lz4 -dc >"$work/vmlinux" 2>/dev/null || true
[[ $(head -c 4 "$work/vmlinux") = $'\x7fELF' ]] || { echo "bed.sh: the payload of Debian's kernel is not LZ4 any more" >&2 && exit 1; }

# What an initrd and a disk have in common, and the modules for an initrd.
root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,root}
cp "$here/bed/init" /bin/busybox "$root/"
mv "$root/busybox" "$root/bin/"
for name in $(busybox --list); do
	[[ $name = busybox ]] || ln -s busybox "$root/bin/$name"
done
mkdir "$root/sbin"
ln -s ../init "$root/sbin/init"
truncate -s 32M "$work/disk"
mke2fs -q -t ext4 -m 0 -d "$root" "$work/disk"
for name in virtio_mmio virtio_blk virtio_rng button evdev pvpanic_mmio; do
	modprobe --dirname "$debian" --set-version "$release" --show-depends "$name"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r module; do
	cp "$module" "$root/"
	echo "${module##*/}" >>"$root/modules"
done
(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$work/initrd"

# Standard input stays ours: the bed would hold it.
"$here/../testbed/testbed" --memory 3G -- "$here/bed/in-bed.sh" "$minivmm" "$work" </dev/null
