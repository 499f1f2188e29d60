#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016 # the guests' scripts are in quotes
#
# linux.sh MINIVMM DIRECTORY: the part of ../linux.sh that runs in the test bed. DIRECTORY also has
# the ELF file of Debian's kernel (vmlinux) and a disk.
# shellcheck source=tests/guest/bed/lib.sh
. "$(dirname "$0")/lib.sh"

# new_disk NAME SIZE: makes an empty one.
new_disk() { truncate -s "$2" "$work/$1"; }
# filled_disk NAME MIB: makes one with random bytes.
filled_disk() { head -c "$(($2 << 20))" /dev/urandom >"$work/$1"; }

# root_disk SCRIPT: makes a disk whose guest runs the script, at $work/root.
root_disk() {
	printf '%s\n' "$1" >"$work/test"
	cp --sparse=always "$from/disk" "$work/root"
	debugfs -w -R "write $work/test test" "$work/root" >/dev/null 2>&1
}

# sees MIB: the firmware's map has all of that except what a PC keeps below 1 MiB, and the kernel
# has as much except what it takes itself (code, tables).
sees() {
	local start end total=0
	while read -r start end; do
		((total += end - start + 1))
	done < <(value usable)
	((total <= $1 << 20 && total >= ($1 - 1) << 20)) || wrong+=("usable memory: $total bytes, not $1 MiB")
	((10#0$(value memory) >= ($1 - $1 / 20 - 64) << 10)) || wrong+=("the kernel's memory: $(value memory) KiB of $1 MiB")
}

# ---- the host ----

run doctor
ends 0
point "doctor finds that guests can run here"

# ---- ways to boot, processors, memory ----

# The kernel's place: what it chooses itself is random.
where='
awk "/Kernel code/ { print \"code\", \$1 }" /proc/iomem | sed "s/-.*//"
echo "text $(sed -n "/ _text$/{s/ .*//p;q}" /proc/kallsyms)"
echo "loader $(od -A n -t x1 -j 528 -N 1 /sys/kernel/boot_params/data)"
'

boot "$look $where" --cpus 4 --memory 3584M
ends 0
prints "processors 0-3"
sees 3584
is "ranges from 4 GiB on" "$(value usable | grep -c '^0x0*100000000 ')" 1
prints "code 01000000"
prints "text ffffffff81000000"
prints_not "bad: "
point "Debian's kernel from an initrd: 4 processors, 3.5 GiB, every device has its driver, no warning"

boot "$where" --kaslr
ends 0
prints "processors 0"
sees 512
[[ $(value code) != 01000000 || $(value text) != ffffffff81000000 ]] || wrong+=("it is where it would be without --kaslr")
point "Debian's kernel decompresses and places itself (--kaslr)"

kept=$work/kernels
boot "$look $where" --kernel-cache "$kept"
ends 0
prints_not "bad: "
compgen -G "$kept/k-*" >/dev/null || wrong+=("there is no entry in the cache")
point "its first start keeps Debian's kernel unpacked"
boot "$look $where" --kernel-cache "$kept" --stats --cpus 2 --balloon
ends 0
logs '^ *decompressed  *0$'
prints "processors 0-1"
prints "code 01000000"
prints "text ffffffff81000000"
prints_not "bad: "
point "the second maps it, with two processors and a balloon"

with_script "$where"
run --kernel "$from/vmlinux" --initrd "$initrd" --cpus 2 --memory 6G
ends 0
prints "processors 0-1"
sees 6144
prints "loader  b0" # Linux writes this there itself when it is entered so
point "Debian's vmlinux by PVH: 2 processors, 6 GiB, which is more than the host has"

boot '' --memory 256M,hugepages=on,prefault=on
ends 0
sees 256
point "huge pages, all taken in advance"

features='echo "features: $(grep -m 1 -oE "\b(svm|vmx|sse2|nx)\b" /proc/cpuinfo | sort -u | tr "\n" " ")"'
boot "$features"
ends 0
prints "features: nx sse2 "
point "the processor has no SVM"
boot "$features" --nested on
ends 0
prints "features: nx sse2 svm "
point "--nested on: it has"

# The power button's events wait for their reader as soon as the device is open.
root_disk "$look"'
grep " / " /proc/mounts | tail -n 1
exec 3</dev/input/event0
echo ready
head -c 24 <&3 >/dev/null
echo pressed'
start --kernel "$from/tiny" --disk "$work/root" --cpus 2
await ready
kill -TERM "$pid"
finish
ends 0
prints "processors 0-1"
prints pressed
prints_not "bad: "
prints "/dev/root / ext4 rw,relatime 0 0"
point "the tiny kernel from a disk alone; SIGTERM presses the power button"

# ---- disks ----

for transport in "${transports[@]}"; do
	root_disk '
for i in /sys/block/vd?; do
	echo "disk ${i##*/} $(cat $i/serial) $(cat $i/ro) $(cat $i/size)"
done
dd if=/dev/urandom of=/dev/vdb bs=1M count=64 2>/dev/null
echo kept >/kept
sync
echo "sum $(md5sum </dev/vdb)"
dd if=/dev/zero of=/dev/vdc bs=512 count=1 2>/dev/null || echo refused
blkdiscard /dev/vdd
mount -o remount,ro /'
	new_disk big 64M
	filled_disk locked 8
	before=$(md5sum <"$work/locked")
	filled_disk spare 16
	run --kernel "$from/debian" --initrd "$from/initrd" --append on_disk=1 --memory 128M --disk "$work/root,id=root" \
		--disk "$work/big,id=big" --disk "$work/locked,id=locked,readonly=on" --disk "$work/spare,id=spare"
	ends 0
	sees 128
	debugfs -R 'cat /kept' "$work/root" 2>/dev/null | grep -q kept || wrong+=("the file in the root file system is not there")
	e2fsck -fn "$work/root" >/dev/null 2>&1 || wrong+=("the root file system is damaged")
	point "$transport: Debian's kernel from an initrd and a disk, 128 MiB"
	prints "disk vda root 0 65536"
	prints "disk vdb big 0 131072"
	prints "disk vdc locked 1 16384"
	prints "disk vdd spare 0 32768"
	point "$transport: disks in the order of the command line"
	is "the host's checksum" "$(md5sum <"$work/big")" "$(value sum)"
	point "$transport: 64 MiB written"
	prints refused
	is "the read-only disk's checksum" "$(md5sum <"$work/locked")" "$before"
	point "$transport: a read-only disk refuses writes"
	is "blocks of the discarded disk" "$(stat -c %b "$work/spare")" 0
	point "$transport: a discard makes the file sparse"

	new_disk one 24M
	new_disk two 24M
	boot '
work() {
	dd if=/dev/urandom of=/dev/$1 bs=1M count=24 conv=fsync 2>/dev/null
	echo "$2 $(md5sum </dev/$1)"
}
work vda one & work vdb two & wait' --cpus 2 --io-threads 2 --disk "$work/one" --disk "$work/two"
	ends 0
	is "the host's checksum of the first" "$(md5sum <"$work/one")" "$(value one)"
	is "the host's checksum of the second" "$(md5sum <"$work/two")" "$(value two)"
	point "$transport: two disks written at once, by two threads"
	rm "$work"/{root,big,locked,spare,one,two}
done
transport=

new_disk kept 16M
new_disk busy 16M
with_script '
dd if=/dev/urandom of=/dev/vda bs=1M count=16 2>/dev/null
sync
echo "sum $(md5sum </dev/vda)"
echo synced
while :; do
	dd if=/dev/zero of=/dev/vdb bs=1M count=16 conv=fsync 2>/dev/null
done'
start --kernel "$from/debian" --initrd "$initrd" --disk "$work/kept" --disk "$work/busy"
await synced
kill -KILL "$pid"
finish 2>/dev/null
ends 137
is "the host's checksum" "$(md5sum <"$work/kept")" "$(value sum)"
point "kill -9 after a sync loses nothing"

# A disk with 4 KiB, at 4 MiB, that can't be read or written.
broken=/dev/mapper/broken
export DM_DISABLE_UDEV=1 # there is no udev in here: dmsetup makes the node itself
filled_disk below 8
if ((EUID != 0)); then
	skip_point "an I/O error is the guest's to handle" "only root can make such a disk"
elif loop=$(losetup -f --show "$work/below") && printf '%s\n' "0 8192 linear $loop 0" "8192 8 error" \
	"8200 8184 linear $loop 8200" | dmsetup create broken; then
	boot '
read_at() { dd if=/dev/vda of=/dev/null bs=4k count=1 skip=$1 iflag=direct 2>&1 | grep -q "Input/output error" && echo "read $1: error"; }
write_at() { dd if=/dev/zero of=/dev/vda bs=4k count=1 seek=$1 conv=fsync 2>&1 | grep -q "Input/output error" && echo "write $1: error"; }
read_at 1023; read_at 1024; read_at 1025
write_at 1023; write_at 1024; write_at 1025
echo "goes on"' --disk "$broken"
	ends 0
	prints "goes on"
	is "what failed" "$(grep -a ': error' "$lines" | tr '\n' ' ')" "read 1024: error write 1024: error "
	logs "$broken"
	is "blocks that were written" "$(cmp -l <(head -c 4202496 "$work/below" | tail -c 12288) /dev/zero 2>/dev/null |
		awk '{ print int(($1 - 1) / 4096) }' | sort -u | tr '\n' ' ')" "1 "
	point "an I/O error is the guest's to handle"
	dmsetup remove broken
	losetup -d "$loop"
else
	wrong+=("no such disk could be made")
	point "an I/O error is the guest's to handle"
fi

# ---- ends ----

new_disk life 1M
life='
[ "$(head -c 5 /dev/vda)" = again ] && echo "second life" && poweroff -f
echo "first life"
echo again >/dev/vda
sync
drain
reboot -f'
boot "$life" --disk "$work/life"
ends 0
prints "first life"
prints_not "second life"
point "a reset ends it, with status 0"

before_retry='rm "$work/life"; new_disk life 1M'
eval "$before_retry"
boot "$life" --disk "$work/life" --on-reset restart --append reboot=k --cpus 2 --kernel-cache "$kept"
before_retry=
ends 0
is "lives" "$(grep -a life "$lines" | tr '\n' ' ')" "first life second life "
is "times that both processors came up" "$(value processors | tr '\n' ' ')" "0-1 0-1 "
point "--on-reset restart: the guest starts again"

# ---- panics ----

# A panic is reported whichever driver there is: Debian's kernel has pvpanic's as a module, the tiny
# one has it built in.
no_pvpanic="initcall_blacklist=pvpanic_mmio_driver_init no_pvpanic=1"
# panics NAME [OPTION...]: the guest's kernel panicked, and that is said once.
panics() {
	ends 3
	is "how often it is said" "$(grep -ac "the guest's kernel panicked" "$err")" 1
	prints_not "still here"
	point "status 3 and a word: $1"
}
# tiny_boot SCRIPT OPTION...: boots the tiny kernel, with an initrd that has the script.
tiny_boot() {
	with_script "$1"
	run --kernel "$from/tiny" --initrd "$initrd" "${@:2}"
}
crash='drain; echo c >/proc/sysrq-trigger; echo "still here"'

boot "$crash"
panics "sysrq, told by pvpanic"
boot "$crash" --append "$no_pvpanic"
panics "sysrq, without pvpanic"
run --kernel "$from/vmlinux" --append "$no_pvpanic"
panics "by PVH, no root"
new_disk late 1M
before_retry='rm "$work/late"; new_disk late 1M'
boot '
[ "$(head -c 5 /dev/vda)" = again ] && echo "still here" && poweroff -f
echo again >/dev/vda
sync
rmmod pvpanic_mmio
drain
echo c >/proc/sysrq-trigger' --disk "$work/late" --on-reset restart
before_retry=
panics "late, after the driver was unloaded; --on-reset restart doesn't restart it"

run --kernel "$from/tiny" --append "$no_pvpanic panic=1"
panics "the tiny kernel, no root, panic=1"
run --kernel "$from/tiny" --disk "$from/disk,readonly=on" --append "$no_pvpanic init=/none"
panics "no init"
tiny_boot 'drain; exit 1' --append "$no_pvpanic"
panics "init ends"
tiny_boot "$crash" --append "$no_pvpanic reboot=t"
panics "sysrq, where the reset is a triple fault"
tiny_boot '
echo 1 >/proc/sys/kernel/panic_on_oops
at=$(sed -n "s/^ffffffff8\(.*\) T __x64_sys_sethostname$/\1/p" /proc/kallsyms)
devmem "0x$at" 16 0x0b0f # ud2
drain
hostname changed
echo "still here"' --append "$no_pvpanic"
panics "an oops"
tiny_boot '
drain
printf "\0\4\0\0\0\0\0\0" | dd of=/dev/cpu/0/msr bs=8 seek=$((0x830 / 8)) conv=notrunc # the APIC sends itself an NMI
sleep 1
echo "still here"' --append "$no_pvpanic unknown_nmi_panic=1"
panics "an NMI"
tiny_boot "drain; echo b >/proc/sysrq-trigger" --append "$no_pvpanic reboot=b"
ends 0
is "messages" "$(cat "$err")" ""
point "status 0 and no word: a reset by the BIOS, which no panic asks for"
tiny_boot "drain; reboot -f" --append "$no_pvpanic reboot=p"
ends 0
is "messages" "$(cat "$err")" ""
point "status 0 and no word: a reset by the chipset's port"

boot 'drain; reboot -f' --append reboot=t
ends 3
logs "triple fault"
logs "KVM on AMD resets a processor before it reports its shutdown"
logs "its last accesses to devices"
point "a triple fault ends it, with status 3 and a word about it"

# ---- serial input ----

mkfifo "$work/keyboard"
exec 5<>"$work/keyboard"
input=$work/keyboard
head -c 65536 /dev/urandom >"$work/paste"
with_script '
echo "type a command"
read -r line
eval "$line"
stty raw -echo
echo "paste now"
echo "sum $(head -c 65536 | md5sum)"'
start --kernel "$from/debian" --initrd "$initrd"
await "type a command"
echo 'echo "the answer is $((6 * 7))"' >&5
await "paste now"
timeout "$patience" cat "$work/paste" >&5 # the guest may be gone
finish
ends 0
prints "the answer is 42"
point "a typed command reaches the guest"
is "checksum" "$(value sum)" "$(md5sum <"$work/paste")"
point "64 KiB pasted into a terminal arrive whole"

done_testing
