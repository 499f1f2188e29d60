#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# install.sh BOOT.C BUILD COMPILER...: checks that what is installed is enough to build
# examples/boot.c, with the shared library and with the static one. TAP.
set -u
source=$1 build=$2 n=0
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# try NAME FLAG...: builds and runs it; the library says that there is no such kernel, or even
# before that, no KVM.
try() {
	local name=$1
	shift
	n=$((n + 1))
	if "${compiler[@]}" "$source" -o "$work/boot" "$@" >"$work/log" 2>&1; then
		LD_LIBRARY_PATH=$libraries "$work/boot" "$work/nothing" >"$work/log" 2>&1
	fi
	if ! grep -qE "^error: (--kernel .*nothing: No such file or directory$|/dev/kvm: )" "$work/log"; then
		sed 's/^/# /' "$work/log"
		printf 'not '
	fi
	echo "ok $n - $name"
}

compiler=("$@")
if ! DESTDIR=$work/root meson install -C "$build" --no-rebuild >"$work/log" 2>&1; then
	sed 's/^/# /' "$work/log"
	echo "Bail out! meson install fails"
	exit 1
fi
libraries=$(dirname "$(find "$work/root" -name libminivmm.so)")
PKG_CONFIG_PATH=$(dirname "$(find "$work/root" -name minivmm.pc)")
export PKG_CONFIG_PATH
include=$(dirname "$(find "$work/root" -name minivmm.h)")
read -ra shared <<<"$(pkg-config --libs minivmm)"
read -ra static <<<"$(pkg-config --static --libs minivmm)"
try "with the shared library" "-I$include" "-L$libraries" "${shared[@]}"
try "with the static library" "-I$include" "-L$libraries" "${static[@]/-lminivmm/-l:libminivmm.a}"
echo "1..$n"
