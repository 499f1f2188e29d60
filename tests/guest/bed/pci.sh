#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016 # the guests' scripts are in quotes
#
# pci.sh MINIVMM DIRECTORY: the part of ../pci.sh that runs in the test bed.
# shellcheck source=tests/guest/bed/lib.sh
. "$(dirname "$0")/lib.sh"
transport=pci
((${#transports[@]} > 1)) || { echo "1..0 # SKIP this minivmm has no --transport" && exit 0; }

new_disk() { rm -f "$work/$1" && truncate -s 24M "$work/$1"; }

# What a kernel says of PCI if something is wrong with it; the place of configuration space; a
# disk's BAR and interrupts.
bus='
dmesg | grep -iE "pci|MMCONFIG|ECAM|BAR " | grep -iE "can.t|fail|invalid|unsupported|not support|conflict|bogus|no space|no compat|not reserved" |
	sed "s/^/bad: /"
dmesg | sed -nE "s/.*(MMCONFIG|ECAM)[^[]*\[.*mem (0x[0-9a-f]+-0x[0-9a-f]+)\].*/config \2/p" | tail -n 1
for i in /sys/bus/pci/devices/*; do
	echo "function ${i##*/} $(cat $i/vendor) $(cat $i/device) $(cat $i/class)"
done
# at DISK, bar DISK: print its place and its BAR.
at() { readlink -f /sys/block/$1/device/..; }
bar() { head -n 1 "$(at $1)/resource" | cut -d " " -f 1; }
use() { dd if=/dev/urandom of=/dev/$1 bs=1M count=8 conv=fsync 2>/dev/null; md5sum </dev/$1; }
appears() { while [ ! -b /dev/$1 ]; do sleep 0.1; done; }
'

new_disk one
new_disk two
boot "$look $bus"'
echo "bars $(bar vda) $(bar vdb)"
use vda
awk "/virtio0-req/ { n = 0; for (i = 2; i <= 5; i++) n += \$i; print (n > 0 ? \"interrupts\" : \"no interrupts\") }" /proc/interrupts
echo "vectors $(grep -c "PCI-MSI.*virtio" /proc/interrupts)"
lspci -vvn 2>/dev/null
' --cpus 4 --memory 3584M --disk "$work/one" --disk "$work/two"
ends 0
prints_not "bad: "
prints "function 0000:00:00.0 0x1b36 0x0008 0x060000"
prints "function 0000:00:01.0 0x1af4 0x1042 0x010000"
prints "function 0000:00:02.0 0x1af4 0x1042 0x010000"
prints "function 0000:00:03.0 0x1af4 0x1044 0x00ff00"
prints "config 0xe0000000-0xe00fffff"
prints "bars 0x00000000c0000000 0x00000000c0008000"
point "Debian's kernel finds bridge, disks and random numbers, and has nothing to complain of"
prints "interrupts"
prints "vectors 6" # each of the three devices has a queue, and its configuration
point "each queue has its interrupt"
is "capabilities of virtio" "$(grep -c 'Vendor Specific Information: VirtIO' "$lines")" 14 # random numbers have no configuration
is "functions with MSI-X on" "$(grep -c 'MSI-X: Enable+ Count=2 Masked-' "$lines")" 3
is "BARs" "$(grep -c 'Memory at c00[01][08]000 (64-bit, non-prefetchable) \[size=32K\]' "$lines")" 3
# lspci 3.9 has no name for the capability that is a window to the BAR.
is "what lspci doesn't understand" "$(grep -vE '\[[89]0\] Vendor Specific Information: VirtIO: <unknown>' "$lines" |
	grep -cE '<chain looped>|<unknown>|invalid|Unknown|\[virtual\]|\[disabled\]|access denied')" 0
point "lspci -vv understands it all"

new_disk one
new_disk two
boot "$bus"'
device=$(at vdb)
echo "first $(use vdb)"
echo "${device##*/}" >/sys/bus/pci/drivers/virtio-pci/unbind
[ ! -b /dev/vdb ] && echo unbound
echo "${device##*/}" >/sys/bus/pci/drivers/virtio-pci/bind
appears vdb
echo "second $(use vdb)"
echo "bar $(bar vdb)"
echo 1 >"$device/remove"
[ ! -b /dev/vdb ] && echo removed
echo 1 >/sys/bus/pci/rescan
appears vdb
echo "bar $(bar vdb)"
echo "third $(use vdb)"
echo "md5 $(md5sum </dev/vdb)"
' --memory 256M --disk "$work/one" --disk "$work/two"
ends 0
prints unbound
prints removed
prints_not "bad: "
is "how often it was used" "$(grep -cE '^(first|second|third) [0-9a-f]{32}' "$lines")" 3
point "a driver lets go of a device and takes it again"
read -r before after < <(value bar | tr '\n' ' ')
is "the BAR at first" "$before" 0x00000000c0008000
((after >= 1 << 32)) || wrong+=("it did not move above 4 GiB: $after")
is "the host's checksum" "$(md5sum <"$work/two")" "$(value md5)"
point "a BAR that the guest moves above 4 GiB works there"

# The kernel itself uses the ports if it can.
boot '
echo "id $(devmem 0xe0008000) $(devmem 0xe0008002 16) $(devmem 0xe0009000)"
at=$(devmem 0xe0008010)
devmem 0xe0008010 32 0xffffffff
echo "size $(devmem 0xe0008010)"
devmem 0xe0008010 32 $at # otherwise the driver waits for ever for the end of a reset' --append iomem=relaxed
ends 0
prints "id 0x10441AF4 0x1044 0xFFFFFFFF"
prints "size 0xFFFF8004"
point "configuration space in memory"

with_script "$look $bus"'
use vda
md5sum </dev/vda
echo "bars $(bar vda)"'
run --kernel "$from/tiny" --initrd "$initrd" --disk "$work/one"
ends 0
prints_not "bad: "
prints "bars 0x00000000c0000000"
point "a kernel with everything built in"

done_testing
