# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2016,SC2034 # guests' scripts are in quotes; some variables are for those who source this file
#
# lib.sh: for bed/AREA.sh, which runs in the test bed as AREA.sh MINIVMM DIRECTORY and sources this.
# DIRECTORY has two kernels (debian, tiny), an initrd, and whatever else the outer AREA.sh put
# there. Every guest runs a script of its own (bed/init); then its output, and minivmm's exit status
# and messages, are compared. TAP.
#
# Nothing here depends on speed: a guest is left alone as long as it makes progress (hangs).
set -u
minivmm=$1 from=$2
patience=700
work=$(mktemp -d)
nr=0 failed=0 wrong=()

# Set $transport to one of $transports, and the guests get that; if it is unset, they get the
# default.
transport=
transports=(mmio pci)

# ---- guests ----

# guest NAME: all that follows is about this guest, $name. A test with one guest needs no name for
# it. Its files are in a directory of its own: $out (what it has printed so far), $lines (the same,
# in lines, once it has ended), $err (minivmm's messages).
guest() {
	name=$1
	out=$work/$name/out err=$work/$name/err lines=$work/$name/lines initrd=$work/$name/initrd
	pid=${pids[$name]:-}
	involved[$name]=1
	mkdir -p "$work/$name"
}
declare -A pids=() commands=() involved=() # by the names of the guests
guest guest

# with_script SCRIPT: makes an initrd whose guest runs it, at $initrd. (The kernel unpacks one
# archive after the other.)
with_script() {
	printf '%s\n' "$1" >"$work/$name/test"
	{ cat "$from/initrd" && (cd "$work/$name" && echo test | cpio --quiet -o -H newc); } >"$initrd"
}

# start OPTION...: starts minivmm in the background, $pid. Its standard input is $input, which is
# empty unless set.
input=/dev/null
start() {
	local command=("$minivmm" "$@")
	[[ -z $transport ]] || command+=(--transport "$transport")
	printf -v "commands[$name]" '%q ' "${command[@]}"
	launch
}
launch() {
	: >"$out"
	: >"$lines"
	used='' sign='' looked=$SECONDS
	# A script's background processes ignore SIGINT, and minivmm would keep it ignored.
	eval "exec env --default-signal=INT,QUIT ${commands[$name]}" <"$input" >"$out" 2>"$err" &
	pid=$!
	pids[$name]=$pid
}
# start_as NAME OPTION...: the same for the guest of that name.
start_as() {
	guest "$1"
	start "${@:2}"
}

# report_hang: prints what can be seen of minivmm from outside: what its threads wait for, what KVM
# counts, what timers there are.
report_hang() {
	local task
	[[ -e /sys/kernel/debug/kvm ]] || mount -t debugfs debugfs /sys/kernel/debug
	for task in "/proc/$pid/task/"*; do
		echo "$(<"$task/comm"): $(awk '{ print $3, "user", $14, "system", $15 }' "$task/stat"), in $(<"$task/syscall")"
		head -n 4 "$task/stack"
	done
	(cd "/sys/kernel/debug/kvm/$pid-"* && grep -H . exits halt_exits halt_wakeup irq_injections io_exits mmio_exits vcpu*/tsc-offset)
	awk '/^now/; / #[0-9]+:/ { getline expires; print $0, expires }' /proc/timer_list
	dmesg | grep -iE 'kvm|tsc|rcu|hung'
}

# A guest that hangs is booted a second time, but only once in all, and that is said: QEMU's
# emulation may be at fault (docs/testing.md). Only a hang is tried again.
second_try() {
	((retried++ == 0)) || return 1
	echo "# a guest hung, and is booted a second time; it had printed:"
	tail -n 5 "$out" | tr -d '\r\0' | sed 's/^/# /'
	report_hang 2>&1 | sed 's/^/# /'
	kill -KILL "$pid" 2>/dev/null
	wait "$pid"
	eval "$before_retry"
	launch
}
retried=0
before_retry= # a command, for guests that leave something that a second try must not find

# hangs SINCE: for a minute, no guest has used any processor time, which even a slow one does; or
# for $patience seconds it has printed nothing, and minivmm has moved no byte for it. Long transfers
# make progress, however slow this machine is.
hangs() {
	local now
	if ((SECONDS - looked >= 10)); then
		now=$(cat /proc/[0-9]*/stat 2>/dev/null | awk '$2 == "(minivmm)" { sum += $14 + $15 } END { print sum + 0 }')
		[[ $now = "$used" ]] || used_at=$SECONDS
		used=$now looked=$SECONDS
		now=$(stat -c %s "$out" && grep -h ^.char: "/proc/$pid/io" 2>/dev/null)
		[[ $now = "$sign" ]] || sign_at=$SECONDS
		sign=$now
	fi
	((sign_at >= $1)) || sign_at=$1
	[[ -n $used && $((SECONDS - used_at)) -ge 60 || $((SECONDS - sign_at)) -gt $patience ]]
}
used='' used_at=0 sign='' sign_at=0 looked=0

# goes_on SINCE: the guest runs, and doesn't hang.
goes_on() {
	! hangs "$1" || hung=1
	[[ -z $hung ]] && kill -0 "$pid" 2>/dev/null
}
hung= # a second hang ends the test: the rest would hang, too, and each takes all of our patience

# await LINE: waits until the guest has printed it.
await() {
	local since=$SECONDS
	until tr -d '\r\0' <"$out" | grep -aqxF -- "$1"; do
		! hangs "$since" || { second_try && since=$SECONDS; }
		if ! goes_on "$since"; then
			wrong+=("the guest never printed: $1")
			return
		fi
		sleep 0.3
	done
}

# until_true COMMAND...: repeats it until it succeeds, while the guest runs.
until_true() {
	local since=$SECONDS
	until "$@"; do
		if ! goes_on "$since"; then
			wrong+=("it never came to this: $*")
			return
		fi
		sleep 0.3
	done
}

# finish: waits until minivmm has ended, with $status.
finish() {
	ended() {
		local since=$SECONDS
		while kill -0 "$pid" 2>/dev/null; do
			! hangs "$since" || return 1
			sleep 0.3
		done
	}
	ended || { second_try && ended; } || { wrong+=("hangs") && hung=1 && kill -KILL "$pid"; }
	wait "$pid"
	status=$?
	tr -d '\r\0' <"$out" >"$lines"
}

run() { start "$@" && finish; }

# resident prints how much of the host's memory the monitor uses, in MiB; is it less than N?
resident() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$pid/status"; }
resident_below() { (($(resident) < $1)); }

# boot SCRIPT OPTION...: runs Debian's kernel, with an initrd that has the script, to its end.
boot() { start_boot "$@" && finish; }
# start_boot SCRIPT OPTION...: the same in the background.
start_boot() {
	with_script "$1"
	start --kernel "$from/debian" --initrd "$initrd" "${@:2}"
}

# Part of a script: prints "bad: " for a device without its driver, for all that ACPI says, and for
# every warning except those that the test bed causes (its emulated processor disagrees with itself
# about the size of XSAVE's area, and it is slow), and one that Linux built without CPUFreq always
# prints.
look='
for i in /sys/bus/virtio/devices/*; do
	[ -e "$i/driver" ] || echo "bad: $i has no driver"
done
for i in /sys/bus/platform/devices/LNRO* /sys/bus/platform/devices/QEMU0001*; do
	[ ! -e "$i" ] || [ -e "$i/driver" ] || echo "bad: $i has no driver"
done
echo "reads random numbers" # so that a hang shows its place
[ "$(head -c 16 /dev/hwrng | wc -c)" = 16 ] || echo "bad: no random numbers"
[ -c /dev/rtc0 ] || echo "bad: no clock"
echo "reads the log"
dmesg -r | sed -n "s/^<[0-4]>\[[^]]*\] //p" | sed -E "
	/XSAVE consistency problem/,/end trace/d
	/cut here|^CPUID\[0d, /d
	/hrtimer: interrupt took|clocksource: |[Tt]imekeeping|TSC /d
	/Processor Platform Limit event|Consider compiling CPUfreq/d
	s/^/bad: /"
dmesg | grep -E "ACPI[^:]*(Error|Warning|Exception)|Firmware (Bug|Warn)" | sed "s/^/bad: /"
'

# ---- what is expected of guests that have ended ----

ends() { [[ $status = "$1" ]] || wrong+=("exit status $status, not $1"); }
prints() { grep -aqxF -- "$1" "$lines" || wrong+=("the guest has not printed: $1"); }
prints_not() { ! grep -aqF -- "$1" "$lines" || wrong+=("the guest has printed: $1"); }
logs() { grep -aq -- "$1" "$err" || wrong+=("minivmm has not said: $1"); }
is() { [[ $2 = "$3" ]] || wrong+=("$1: $2, not $3"); }
# value NAME: prints what the guest printed after that word.
value() { sed -n "s/^$1 //p" "$lines"; }

# point NAME: prints one line of TAP, for all that was expected since the last one.
point() {
	local each
	nr=$((nr + 1))
	if ((${#wrong[@]} == 0)); then
		echo "ok $nr - $1"
	else
		failed=$((failed + 1))
		echo "not ok $nr - $1"
		printf '# %s\n' "${wrong[@]}"
		for each in "${!involved[@]}"; do
			{
				echo "The output of $each ends:"
				tail -n 40 "$work/$each/out" | tr -d '\r\0'
				echo "minivmm's messages:"
				tail -n 40 "$work/$each/err"
			} | sed 's/^/# /'
		done
		[[ -z $hung ]] || { echo "Bail out! It hangs." && exit 1; }
	fi
	wrong=() involved=(["$name"]=1)
}

# skip_point NAME REASON: the same for what can't be tested here.
skip_point() {
	nr=$((nr + 1))
	echo "ok $nr - $1 # SKIP $2"
}

# done_testing: ends AREA.sh.
done_testing() {
	echo "1..$nr"
	exit $((failed > 0))
}
