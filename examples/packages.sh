# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034 # the lists are for those who source this file
#
# packages.sh: the Debian packages that each part needs, and how they get here. To be sourced.

packages_build=(gcc libc6-dev musl-tools meson ninja-build pkgconf liburing-dev libnl-route-3-dev libslirp-dev libzydis-dev
	zlib1g-dev liblzma-dev libzstd-dev liblz4-dev libbz2-dev liblzo2-dev) # for the compressions of bzImages
packages_quickstart=(busybox-static cpio e2fsprogs kmod util-linux)
packages_testbed=(qemu-system-x86 qemu-system-common gcc libc6-dev cpio kmod util-linux)
packages_tests=(libcmocka-dev clang clang-format make acpica-tools python3 mandoc shellcheck busybox-static dmsetup e2fsprogs lz4 cpio qemu-utils pciutils iperf3 ethtool iproute2 libslirp0 passt dnsmasq-base valgrind)
packages_kernel=(gcc libc6-dev make flex bison bc libelf-dev lz4 xz-utils util-linux)

# packages_missing PACKAGE...: prints those that aren't installed, one on each line.
packages_missing() {
	printf '%s\n' "$@" | sort -u | grep -vxF -f <(dpkg-query -Wf '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
		sed -n 's/^installed //p') || true
}

# packages_install PACKAGE...: installs those that are missing, as root or by sudo, and asks
# nothing. Silent unless there is something to do. If it can't, it fails with one sentence.
packages_install() {
	local missing
	mapfile -t missing < <(packages_missing "$@")
	((${#missing[@]})) || return 0
	if ! packages_may_install; then
		echo "Packages are missing. As root: apt-get install --no-install-recommends ${missing[*]}" >&2
		return 1
	fi
	echo "Installing ${missing[*]}" >&2
	# Fresh machines have no lists yet, and old ones have lists whose packages are gone from the
	# mirror.
	packages_apt install "${missing[@]}" >/dev/null 2>&1 ||
		{ packages_update && packages_apt install "${missing[@]}"; } ||
		{ echo "apt-get could not install ${missing[*]}: see above" >&2 && return 1; }
}

# packages_update: refreshes apt's lists, if we may.
packages_update() { packages_may_install && packages_apt update; }

packages_may_install() { ((EUID == 0)) || { command -v sudo && { [[ -t 2 ]] || sudo -n true; }; } >/dev/null 2>&1; }

# apt-get as root, or by sudo. It gets nothing to ask a question with, except that sudo may ask for
# the password at the terminal. Silent, except for the end of its output when it fails.
packages_apt() {
	local sudo=() log
	((EUID == 0)) || sudo=(sudo)
	log=$("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends \
		-o DPkg::Lock::Timeout=300 "$@" 2>&1 </dev/null) || { tail -n 20 <<<"$log" >&2 && return 1; }
}
