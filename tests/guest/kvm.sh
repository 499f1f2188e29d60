#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kvm.sh MINIVMM IMAGES: runs bare-metal guests on this machine's /dev/kvm and compares output and
# exit status. TAP.
set -u
minivmm=$1 images=$2
work=$(mktemp -d)
kernel= # set for a file that hasn't the guest's name
trap 'rm -rf "$work"' EXIT
n=0

point() { # OK NAME
  n=$((n + 1))
  if [[ $1 == 0 ]]; then echo "ok $n - $2"; else
    echo "not ok $n - $2"
    sed 's/^/# /' "$work/out" "$work/err"
  fi
}

# run NAME STATUS OUTPUT INPUT [OPTION…]: the guest of that name ends with STATUS and has printed
# OUTPUT.
run() {
  local name=$1 status=$2 output=$3 input=$4 got ok=0
  shift 4
  printf '%s' "$input" | timeout 60 "$minivmm" --kernel "${kernel:-$images/$name.bin}" --memory 64M --debug-exit "$@" \
    >"$work/out" 2>"$work/err"
  got=$?
  [[ $got == "$status" ]] || { ok=1 && echo "# exit status $got, not $status"; }
  [[ $(<"$work/out") == "$output" ]] || { ok=1 && echo "# printed something else than '$output'"; }
  return $ok
}

if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
  echo "1..0 # SKIP no /dev/kvm that this user may use"
  exit 0
fi

run pio 33 pio ''
point $? "ports of every width"
timeout 60 "$minivmm" --kernel "$images/pio.bin" --memory 64M --debug-exit <&- >&- 2>&-
[[ $? == 33 ]]
point $? "standard input, output and error may be closed"
run strings 33 'a string by rep outsb, long enough to be worth a batch' ''
point $? "string I/O"
run mmio 33 mmio '' --transport mmio
point $? "device memory, claimed and not"
run rng 33 rng '' --transport mmio --stats
ok=$?
# The kicks are ioeventfds: only register accesses (set-up) may reach the device by an exit.
writes=$(awk '/virtio-mmio/ {print $3}' "$work/err")
[[ $ok == 0 && ${writes:-99} -le 15 ]]
point $? "a kick by ioeventfd reaches the device without an exit"

run pci 33 pci '' --transport pci --stats
point $? "a PCI function: configuration space, a BAR that moves, masked interrupts"

printf '%512sthe first line of sector 1\n%2000s' '' '' | dd of="$work/disk" bs=512 conv=sync status=none
truncate -s 64K "$work/disk"
run disk 33 'the first line of sector 1' '' --transport mmio --disk "$work/disk"
ok=$?
cmp -s <(dd if="$work/disk" skip=1 count=1 status=none) <(dd if="$work/disk" skip=2 count=1 status=none)
[[ $? == 0 && $ok == 0 ]]
point $? "a disk is read, written and flushed"

run triple 3 'about to fault' ''
ok=$?
# With kvm_amd the registers are those of a reset: that is said instead of the code there.
[[ $ok == 0 ]] && grep -q 'triple fault' "$work/err" && grep -q '^  rip ' "$work/err" &&
  { grep -q '^  code at rip' "$work/err" || grep -q 'KVM on AMD resets' "$work/err"; } &&
  grep -A 1 'last accesses' "$work/err" | grep -q '^    write port 0x3f8, 1 byte: .* 0x75 0x6c 0x74' # "...fault"
point $? "a triple fault is explained and ends with status 3"
run power 0 '' p
point $? "power-off ends with status 0"
run power 0 '' r
point $? "reset ends with status 0"
run power 0 '' k
point $? "reset by the keyboard controller ends with status 0"
run power 3 '' c
ok=$?
[[ $ok == 0 ]] && grep -q 'panicked' "$work/err"
point $? "a panic is told and ends with status 3"
# panicked: the panic is said, and only once.
panicked() { [[ $(grep -c "the guest's kernel panicked" "$work/err") == 1 ]]; }
run power 0 '' mr
point $? "a warm boot is a reset like any other, where the kernel is not Linux"
# The same guest in an ELF file that is entered by its PVH note and has a note of Linux's.
python3 -c 'import struct, sys
data = open(sys.argv[1], "rb").read()
load, _, bss_end, entry = struct.unpack_from("<4I", data, 16)
notes = struct.pack("<III4sI", 4, 4, 18, b"Xen", entry) + struct.pack("<III8sI", 6, 4, 256, b"Linux", 0)
head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, 2, 0, 0, 0)
head += struct.pack("<IIQQQQQQ", 1, 7, 4096, load, load, len(data), bss_end - load, 4096)
head += struct.pack("<IIQQQQQQ", 4, 4, 1024, 0, 0, len(notes), len(notes), 4)
head = head.ljust(1024, b"\0") + notes
open(sys.argv[2], "wb").write(head.ljust(4096, b"\0") + data)' "$images/power.bin" "$work/linux"
kernel=$work/linux
run power 3 '' mr && panicked
point $? "a reset after a panic is told and ends with status 3"
run power 3 '' mk && panicked
point $? "a panic whose reset is the keyboard controller's, too"
run power 3 '' mt && panicked
point $? "a panic whose reset is a triple fault, too"
run power 3 '' mr --on-reset restart && panicked
point $? "a panic is not restarted"
run power 3 '' mr --append 'reboot=k panic=1' && panicked
point $? "the words for that stay when the user has others"
run power 0 '' r && [[ ! -s $work/err ]]
point $? "an ordinary reset has status 0"
run power 0 '' mr --append reboot=warm && run power 0 '' mr --no-default-cmdline
point $? "where the kernel was not told to mark a panic, no mark is looked for"
run power 3 '' mr --no-default-cmdline --append reboot=panic_warm && panicked
point $? "where the user told it to, it is"
kernel=
# The second life is told to power off only after the first was reset.
mkfifo "$work/in"
timeout 60 "$minivmm" --kernel "$images/power.bin" --memory 64M --on-reset restart --log-level info \
  <"$work/in" >"$work/out" 2>"$work/err" &
exec 3>"$work/in"
printf r >&3
until grep -q restart "$work/err" || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
printf p >&3
exec 3>&-
wait $!
point $? "--on-reset restart runs it again"
# A guest must not outlive a signal by resetting itself, not even if it does so before the signal is
# looked at.
: >"$work/err" # the last guest was restarted, too
timeout -s KILL 60 "$minivmm" --kernel "$images/reset.bin" --memory 64M --on-reset restart --log-level info \
  </dev/null >"$work/out" 2>"$work/err" &
until grep -q restart "$work/err" || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
pkill -TERM -P $!
wait $! 2>"$work/killed"
[[ $? == 0 ]]
point $? "SIGTERM ends a guest that resets itself for ever"
timeout -s KILL 60 "$minivmm" --kernel "$images/power.bin" --memory 64M --on-reset restart --log-level info \
  <"$work/in" >"$work/out" 2>"$work/err" &
exec 3>"$work/in"
until grep -qs vcpu0 /proc/"$(pgrep -P $!)"/task/*/comm || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
pkill -TERM -P $!
until grep -q 'power button' "$work/err" || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
printf r >&3
wait $! 2>"$work/killed"
[[ $? == 0 ]] && ! grep -q restart "$work/err"
point $? "a reset after SIGTERM is the end"
exec 3>&-
# A machine that takes long to make can still be ended: a daemon never answers.
python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
c = s.accept()
print("accepted", flush=True)
time.sleep(60)' "$work/daemon" >"$work/said" 2>&1 &
daemon=$!
until [[ -S $work/daemon ]] || ! kill -0 "$daemon" 2>/dev/null; do sleep 0.1; done
"$minivmm" --kernel "$images/power.bin" --memory 64M --fs tag=t,socket="$work/daemon" </dev/null >"$work/out" 2>"$work/err" &
until grep -q accepted "$work/said" || ! kill -0 "$daemon" 2>/dev/null; do sleep 0.1; done
kill -TERM $!
wait $! 2>"$work/killed"
[[ $? == 143 ]]
point $? "SIGTERM ends minivmm while it makes a machine"
kill "$daemon"
# What a machine had is free the moment its process is gone, though the host's kernel takes the VM
# down only afterwards: the next one takes the same disk, TAP and sockets.
again=(--kernel "$images/pio.bin" --memory 64M --debug-exit --disk "$work/disk" --vsock "cid=3,socket=$work/vsock"
  --port "name=p,socket=$work/port")
[[ ! -w /dev/net/tun || $EUID != 0 ]] || again+=(--net "tap=again$$")
for ((i = 0; i < 200; i++)); do
  timeout 60 "$minivmm" "${again[@]}" </dev/null >"$work/out" 2>"$work/err"
  [[ $? == 33 && ! -e $work/vsock && ! -e $work/port ]] || break
done
[[ $i == 200 ]]
point $? "the next machine starts on the same disk, TAP and sockets at once, 200 times"
# vms: prints the process of each VM that the host's kernel has, if we may know; otherwise it fails.
vms() {
  mkdir -p "$work/debug"
  unshare --mount bash -c 'mount -t debugfs none "$1" && ls "$1/kvm" | sed -n "s/^\([0-9]*\)-[0-9]*$/\1/p"' - "$work/debug"
}
# left: prints the processes that are gone while the host's kernel has a VM of theirs.
left() {
  local pid
  for pid in $(vms); do [[ -e /proc/$pid ]] || echo "$pid"; done
}
what="and soon none of their VMs is left"
if vms >/dev/null 2>&1; then
  for ((i = 0; i < 300; i++)); do [[ -n $(left) ]] || break; sleep 0.1; done
  [[ -z $(left) ]]
  point $? "$what"
else
  n=$((n + 1)) && echo "ok $n - $what # SKIP only root may look at debugfs"
fi
echo "1..$n"
