# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034 # some of these variables are for those who source this file
#
# lib.sh: the common part of tests with unmodified kernels (docs/testing.md). To be sourced by
# AREA.sh, which runs out here, where processors are fast: it makes kernels and a root file system
# for guests, then starts one test bed, in which bed/AREA.sh runs one guest after the other.
#
# $minivmm is the program under test; $work is a directory for what the guests need, which
# bed/AREA.sh gets; $root is a root file system (PID 1 is bed/init, the programs are busybox's);
# $release names Debian's kernel, unpacked in $debian.
set -euo pipefail

guest_tests=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
PATH=$PATH:/usr/sbin:/sbin
# shellcheck source=examples/packages.sh
. "$guest_tests/../../examples/packages.sh"

# skip REASON: skips the whole test.
skip() {
	echo "1..0 # SKIP $*"
	exit 0
}

# prepare MINIVMM [PACKAGE...]: makes $minivmm, $work with the kernels (debian, tiny), $root. Skips
# if packages are missing.
prepare() {
	local lacking tiny name
	minivmm=$(realpath "$1")
	lacking=$(packages_missing "${packages_testbed[@]}" busybox-static cpio kmod "${@:2}" | tr '\n' ' ')
	[[ -z $lacking ]] || skip "needs sudo apt-get install $lacking"
	debian=$("$guest_tests/debian-kernel") || skip "no Debian kernel to boot"
	tiny=$("$guest_tests/build-kernel") || skip "no tiny kernel to boot"
	release=$(basename "$debian"/lib/modules/*)

	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	ln -s "$debian/boot/vmlinuz-$release" "$work/debian"
	ln -s "$tiny/bzImage" "$work/tiny"

	root=$work/root
	mkdir -p "$root"/{bin,dev,proc,sbin,sys,tmp,root}
	cp "$guest_tests/bed/init" "$root/"
	cp /bin/busybox "$root/bin/"
	for name in $(busybox --list); do
		[[ $name = busybox ]] || ln -s busybox "$root/bin/$name"
	done
	ln -s ../init "$root/sbin/init"
}

# add_modules NAME...: adds modules of Debian's kernel, which init loads in this order, each after
# those that it depends on.
add_modules() {
	local name module
	for name in "$@"; do
		modprobe --dirname "$debian" --set-version "$release" --show-depends "$name"
	done | awk '$1 == "insmod" { print $2 }' | while read -r module; do
		[[ ! -e $root/${module##*/} ]] || continue
		cp "$module" "$root/"
		echo "${module##*/}" >>"$root/modules"
	done
}

# add_programs FILE...: adds programs of this machine, with their shared libraries, to the guest's
# /bin (before busybox's).
add_programs() {
	local file library
	for file in "$@"; do
		cp -L --remove-destination "$(command -v "$file")" "$root/bin/"
		{ ldd "$(command -v "$file")" 2>/dev/null || true; } | sed -nE 's/^[^/]*(\/[^ ]+) \(0x.*/\1/p' | while read -r library; do
			mkdir -p "$root${library%/*}"
			cp -L --no-clobber "$library" "$root$library"
		done
	done
}

# make_initrd: makes $work/initrd from what is in $root by now, and the modules for what every
# machine has.
make_initrd() {
	add_modules virtio_mmio virtio_pci virtio_rng pvpanic_mmio
	(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$work/initrd"
}

# in_bed AREA.sh [OPTION...]: runs bed/AREA.sh in a test bed (with these options), and returns its
# exit status. Standard input stays ours: the bed would hold it. If a bed stands still itself
# (docs/testing.md), it prints nothing for longer than any point takes; then it is started once
# more, and that is said.
in_bed() {
	local status=0
	bed "$@" >"$work/tap" || status=$?
	if ((status == 124)); then
		echo "# the test bed stood still, and is started a second time; it had said:"
		sed 's/^/# /' "$work/tap"
		status=0
		bed "$@" >"$work/tap" || status=$?
	fi
	cat "$work/tap"
	return "$status"
}
# One processor: QEMU's emulation of two can hang (docs/testing.md).
bed() {
	"$guest_tests/../testbed/testbed" --cpus 1 --memory 3G --patience 1000 "${@:2}" -- "$guest_tests/bed/$1" "$minivmm" "$work" </dev/null
}
