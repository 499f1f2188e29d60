#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016 # the guests' scripts are in quotes
#
# disk.sh MINIVMM DIRECTORY: the part of ../disk.sh that runs in the test bed. DIRECTORY also has a
# disk, base.
# shellcheck source=tests/guest/bed/lib.sh
. "$(dirname "$0")/lib.sh"

base=$work/base
cp --sparse=always "$from/base" "$base"
before=$(md5sum <"$base")
base_untouched() { is "the base" "$(md5sum <"$base")" "$before"; }

# sound IMAGE: QEMU finds no error in it, nor a lost cluster.
sound() {
	qemu-img check -q -f qcow2 "$1" >"$work/check" 2>&1 || wrong+=("qemu-img check $1: $(head -n 3 "$work/check")")
}

mounted='mount -t ext4 /dev/vda /root || echo "bad: no file system"'
write='head -c 6000000 /dev/urandom >/root/random; md5sum </root/random >/root/sum; mkdir /root/directory; umount /root'
verify='[ "$(md5sum </root/random)" = "$(cat /root/sum)" ] && [ -d /root/directory ] && echo "all there"'

# ---- an overlay that is kept ----

boot "$mounted; $write" --disk "$base,overlay=$work/over"
ends 0
prints_not "bad: "
sound "$work/over"
base_untouched
boot "$mounted; $verify; fstrim /root; rm /root/random; fstrim /root; echo later >/root/later; umount /root" --disk "$base,overlay=$work/over"
ends 0
prints_not "bad: "
prints "all there"
sound "$work/over"
base_untouched
boot "$mounted; cat /root/later; ls -1 /root" --disk "$base,overlay=$work/over"
ends 0
prints "later"
prints "directory"
prints_not "random"
qemu-img convert -f qcow2 -O raw "$work/over" "$work/raw" || wrong+=("qemu-img convert failed")
e2fsck -fn "$work/raw" >"$work/check" 2>&1 || wrong+=("e2fsck: $(tail -n 3 "$work/check")")
point "what a guest wrote is in its overlay the next time, and the base is as it was"

# ---- overlays when the guest starts again ----

lives='[ -e /root/mark ] && { echo "second life"; umount /root; drain; poweroff -f; }
echo "first life"; echo mark >/root/mark; umount /root; drain; reboot -f'
for overlay in temp "$work/twice"; do
	before_retry='rm -f "$work/twice"'
	boot "$mounted; $lives" --disk "$base,overlay=$overlay" --on-reset restart --append reboot=k
	ends 0
	prints_not "bad: "
	is "lives" "$(grep -a life "$lines" | tr '\n' ' ')" "first life second life "
	base_untouched
done
before_retry=
sound "$work/twice"
point "--on-reset restart: both kinds of overlay keep what was written"

# ---- many guests on one base, and an overlay that is thrown away ----

mkdir "$work/tmp"
export TMPDIR=$work/tmp
guest dry
run --kernel "$from/debian" --dry-run --disk "$base,overlay=temp" --disk "$base,overlay=$work/never"
ends 0
is "disks of the dry run" "$(sed -n 's/.*virtio-blk: //p' "$lines")" "vda, $base, 48 MiB, what is written is thrown away
vdb, $base, 48 MiB, written to $work/never"
[[ ! -e $work/never ]] || wrong+=("a dry run makes the overlay")
guest temp
start_boot "$mounted; $write; echo written; while :; do sleep 1000; done" --disk "$base,overlay=temp"
await "written"
temp=$pid
guest other
start_boot "$mounted; $write; $mounted; $verify; umount /root" --disk "$base,overlay=$work/other-over"
finish
ends 0
prints "all there"
sound "$work/other-over"
guest third
run --kernel "$from/debian" --disk "$base"
ends 1
logs "in use by another minivmm"
kill -KILL "$temp"
wait "$temp" 2>/dev/null
is "left below TMPDIR" "$(ls -A "$work/tmp")" ""
base_untouched
point "two guests at once on one base, which nobody may write to; nothing is left of a temporary overlay after kill -9"

# ---- a qcow2 image made by QEMU ----

guest image
qemu-img create -q -f qcow2 "$work/qcow2" 64M
boot "mke2fs /dev/vda >/dev/null 2>&1; $mounted; $write; $mounted; $verify; fstrim /root; umount /root; blkdiscard -o 33554432 -l 8388608 /dev/vda" \
	--disk "$work/qcow2,format=qcow2"
ends 0
prints "all there"
prints_not "bad: "
sound "$work/qcow2"
point "a qcow2 image of QEMU's as a disk: files, discards"

# ---- sectors ----

# partitions IMAGE SECTOR HOW: a guest with such sectors finds as many partitions in the image's
# table as HOW says: one or none.
partitions() {
	guest "$1-$2"
	boot '[ -b /dev/vda1 ] && echo one || echo none; echo "sector $(cat /sys/block/vda/queue/logical_block_size)"' \
		--disk "$from/$1,sector=$2,readonly=on"
	ends 0
	is "the guest's sector" "$(value sector)" "$2"
	prints "$3"
}
partitions gpt512 512 one
partitions gpt512 4096 none
partitions gpt4096 4096 one
partitions gpt4096 512 none
if (($(id -u) == 0)); then
	cp "$from/gpt512" "$work/gpt"
	loop=$(losetup -b 4096 -f --show "$work/gpt")
	guest loop
	boot 'yes | head -c 1536 >/root/text; dd if=/root/text of=/dev/vda1 bs=512 seek=3 conv=notrunc oflag=direct 2>/dev/null || echo "bad: dd"
		dd if=/dev/vda1 bs=512 skip=3 count=3 iflag=direct 2>/dev/null | cmp - /root/text && echo "the same"' --disk "$loop,sector=512"
	ends 0
	prints "the same"
	prints_not "bad: "
	losetup -d "$loop"
	is "in the image" "$(tail -c +$((1048576 + 3 * 512 + 1)) "$work/gpt" | head -c 1536 | md5sum)" "$(yes | head -c 1536 | md5sum)"
fi
point "sectors of 512 and 4096: the partitions of a table made for them are there, also on a device of other sectors"

done_testing
