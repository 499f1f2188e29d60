#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# boot.sh BOOT IMAGES: examples/boot.c with bare-metal guests, on this machine's /dev/kvm. TAP.
set -u
boot=$1 images=$2 n=0

# point NAME STATUS OUTPUT ERRORS ARGUMENT...: a run ends with STATUS and has printed OUTPUT and
# something like ERRORS.
point() {
	local out err got
	err=$(mktemp)
	out=$(timeout 60 "$boot" "${@:5}" 2>"$err" </dev/null)
	got=$?
	n=$((n + 1))
	if [[ $got != "$2" || $out != "$3" ]] || ! grep -q "$4" "$err"; then
		echo "# $got $out $(<"$err")"
		printf 'not '
	fi
	echo "ok $n - $1"
	rm -f "$err"
}

if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
	echo "1..0 # SKIP no /dev/kvm that this user may use"
	exit 0
fi
point "output and status of a guest" 33 pio "exited with a status" "$images/pio.bin" memory=64M debug-exit
point "a guest that crashes" 3 "about to fault" "^vCPU 0 stopped: triple fault" "$images/triple.bin" memory=64M
point "a bad option" 1 "" "^error: memroy: there is no such option; did you mean memory?" "$images/pio.bin" memroy=64M
point "no option at all" 1 "" "^error: : there is no such option" "$images/pio.bin" ""
point "a value without an option" 1 "" "^error: : there is no such option" "$images/pio.bin" "=memory"
echo "1..$n"
