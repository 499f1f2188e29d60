#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016 # the guests' scripts are in quotes
#
# balloon.sh MINIVMM DIRECTORY: the part of ../balloon.sh that runs in the test bed.
# shellcheck source=tests/guest/bed/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2317 # until_true calls it
has_said() { grep -aq -- "$1" "$err"; }

# The guest does what it is told; `free NAME` prints its free memory in MiB.
obeys='
free() { awk -v name=$1 "/^MemFree/ { print name, int(\$2 / 1024) }" /proc/meminfo; }
mount -t tmpfs -o size=90% fill /root
echo ready
while read -r line; do eval "$line"; done'

# start_obedient OPTION...: starts such a guest, with a keyboard of its own.
start_obedient() {
	exec 5>&-
	rm -f "$work/keyboard"
	mkfifo "$work/keyboard"
	exec 5<>"$work/keyboard"
	input=$work/keyboard
	start_boot "$look $obeys" --memory 512M --log-level info "$@"
	await ready
}

# tell COMMAND: waits until the guest has done it.
told=0
tell() {
	told=$((told + 1))
	echo "$1; echo \"done $told\"" >&5
	await "done $told"
}

# The guest fills 256 MiB and frees them again; $full is what minivmm used in between.
fill_and_free() {
	tell 'dd if=/dev/zero of=/root/fill bs=1M count=256 2>/dev/null'
	full=$(resident)
	((full >= 256)) || wrong+=("the monitor has $full MiB resident with 256 MiB of the guest filled")
	tell 'rm /root/fill'
}

# move SIGNAL MIB...: moves the target there, one signal for each step.
move() {
	local mib
	for mib in "${@:2}"; do
		kill -"$1" "$pid"
		until_true has_said "the target is now $mib MiB"
	done
}

for transport in "${transports[@]}"; do
	start_obedient --balloon stats=1
	fill_and_free
	until_true resident_below $((full - 200))
	echo "# freed memory: from $full MiB to $(resident) MiB resident"
	until_true has_said 'the guest has [1-9]'
	echo break >&5
	finish
	ends 0
	prints_not "bad: "
	point "freed pages go back to the host by themselves, over $transport"
	logs "balloon: 0 MiB of 0 MiB; the guest has 4[0-9][0-9] MiB: [1-9][0-9]* free"
	point "the guest's figures arrive, over $transport"

	start_obedient --balloon size=64M,reporting=off
	until_true has_said "has reached 64 MiB"
	move USR2 0
	until_true has_said "has reached 0 MiB"
	fill_and_free
	tell 'free before'
	before=$(resident)
	is "kept without reports" $((before > full - 20)) 1
	move USR1 64 128 192 256
	until_true has_said "has reached 256 MiB"
	until_true resident_below $((before - 150))
	echo "# half: from $before MiB to $(resident) MiB resident"
	tell 'free inflated'
	: >"$err"
	move USR2 192 128 64 0
	until_true has_said "has reached 0 MiB"
	tell 'free deflated'
	tell 'yes memory | head -c 67108864 >/root/fill; echo "filled $(md5sum </root/fill)"'
	echo break >&5
	finish
	ends 0
	prints_not "bad: "
	echo "# free in the guest, MiB: $(value before), half $(value inflated), back $(value deflated)"
	((10#0$(value inflated) < 10#0$(value before) - 220)) || wrong+=("the guest still has its memory")
	((10#0$(value deflated) > 10#0$(value before) - 30)) || wrong+=("the guest hasn't got its memory back")
	is "what is written to memory that came back" "$(value filled)" "$(yes memory | head -c 67108864 | md5sum)"
	point "the balloon goes to half and back, over $transport"
done
done_testing
