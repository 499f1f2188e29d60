#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# in-bed.sh boot|block|net|fs|run WORK TINY DEBIAN-DIRECTORY: runs in the test bed for
# tests/bench/run; prints lines "KEY VALUE".
set -uo pipefail
part=$1 work=$2 tiny=$3 debian=$(echo "$4"/boot/vmlinuz-*)
cp "$work/disk" "$work/initrd" "$work/init" "$work/minivmm" "$work/stopwatch" "$work/without-uring" "$work/net-peer" "$tiny" "$debian" /run/ # on tmpfs, so that virtiofs is not measured
cd /run || exit 1
tiny=/run/$(basename "$tiny") debian=/run/$(basename "$debian")
# The image is on an ext4 of its own: images are usually kept on such file systems, and on tmpfs
# io_uring is slower (docs/benchmarks.md).
[[ -e /dev/loop-control ]] || insmod "$4"/lib/modules/*/kernel/drivers/block/loop.ko
mke2fs -qF -t ext4 -O ^has_journal /run/fs 300M >/dev/null 2>&1 && mkdir /run/image && mount -o loop /run/fs /run/image || exit 1
mv /run/disk /run/image/disk && cat /run/image/disk >/dev/null || exit 1
append="console=ttyS0 quiet panic=-1"
early="earlyprintk=ttyS0 ignore_loglevel"
qemu=(qemu-system-x86_64 -enable-kvm -cpu host -m 512 -nodefaults -no-user-config -display none -serial stdio -no-reboot)
drive=(-drive "id=d,file=/run/image/disk,format=raw,if=none")
# QEMU's microvm in its fastest form (without ACPI, or with PIT, PIC and RTC off, it takes 2 to 3
# times as long), and its pc.
microvm=("${qemu[@]}" -M microvm,acpi=on,x-option-roms=off "${drive[@]}" -device virtio-blk-device,drive=d)
pc_machine=("${qemu[@]}" -M pc "${drive[@]}" -device virtio-blk-pci,drive=d)
mmio=(./minivmm --disk /run/image/disk --initrd initrd --transport mmio)
pci=(./minivmm --disk /run/image/disk --initrd initrd --transport pci)

watch_for() { # MARKER KEY COMMAND...: one run until the guest prints MARKER
	local marker=$1 key=$2 us
	shift 2
	us=$(timeout 120 ./stopwatch "$marker" "$@" 2>/dev/null) && echo "$key $us"
}
watch() { watch_for bench-user-space "$@"; } # to user space's first output

bench() { # KEY COMMAND...: one run of the guest's measurements, which are called results
	local key=$1 line n
	shift
	line=$(timeout 300 "$@" </dev/null 2>err | tr -d '\r' | grep -a bench-result) || { echo "bench: $key: no result: $(tail -n 1 err)" >&2 && return; }
	read -ra n <<<"$line"
	printf '%s\n' "${results[0]}.$key ${n[1]}" "${results[1]}.$key ${n[2]}" "${results[2]}.$key ${n[3]}"
}

account() { # KIND OPTION...: a boot to the end, and where its time was spent
	timeout 120 "${mmio[@]}" "${@:2}" --stats </dev/null 2>err >out
	awk '/^start, us/ { on = 1; next } /^first KVM_RUN at/ { on = 0 } on { v = $NF; $NF = ""; gsub(/[ ,]+/, "-"); print $0 " " v }' err |
		sed "s/- / /; s/^-*/bed.$1./"
	awk -v k="$1" '/bench-uptime/ { print "bed." k ".uptime " $2 * 1000000 }' out
	awk -v k="$1" '/guest, us/ { print "bed." k ".guest " $NF }' err
}

boot() {
	local i k
	for ((i = 0; i < RUNS; i++)); do
		for k in tiny debian; do
			watch "boot.$k.minivmm" "${mmio[@]}" --kernel "${!k}"
			watch "boot.$k.ours-pci" "${pci[@]}" --kernel "${!k}"
			watch "boot.$k.microvm" "${microvm[@]}" -kernel "${!k}" -initrd initrd -append "$append"
			watch "boot.$k.pc" "${pc_machine[@]}" -kernel "${!k}" -initrd initrd -append "$append"
		done
		# On the first line of the console, so that only the decompressor is between the
		# two.
		watch_for "ignoring loglevel" first.debian.minivmm "${mmio[@]}" --kernel "$debian" --append "$early"
		watch_for "ignoring loglevel" first.debian.kaslr "${mmio[@]}" --kernel "$debian" --kaslr --append "$early"
	done
	for ((i = 0; i < RUNS; i++)); do
		account tiny --kernel "$tiny"
		account debian --kernel "$debian"
		account kaslr --kernel "$debian" --kaslr
	done
}

block() {
	local i where="bench=/dev/vda"
	results=(block.sequential block.random1 block.random32)
	for ((i = 0; i < RUNS; i++)); do
		bench minivmm "${mmio[@]}" --kernel "$tiny" --append "$where"
		bench ours-pci "${pci[@]}" --kernel "$tiny" --append "$where"
		bench preadv ./without-uring "${mmio[@]}" --kernel "$tiny" --append "$where"
		bench microvm "${microvm[@]}" -kernel "$tiny" -initrd initrd -append "$append $where"
		bench pc "${pc_machine[@]}" -kernel "$tiny" -initrd initrd -append "$append $where"
	done
}

# One TAP for all guests, one after the other.
net() {
	local i v where="net=1" netdev=tap,id=n,ifname=t0,script=no,downscript=no kernel=(-kernel "$tiny" -initrd initrd)
	ip tuntap add dev t0 mode tap vnet_hdr && ip addr add 10.8.0.1/24 dev t0 && ip link set t0 up || return 1
	./net-peer &
	results=(net.out net.in net.turns)
	for ((i = 0; i < RUNS; i++)); do
		for v in off on; do
			bench "minivmm.$v" ./minivmm --initrd initrd --kernel "$tiny" --append "$where" --net "tap=t0,vhost=$v" --transport mmio
			bench "ours-pci.$v" ./minivmm --initrd initrd --kernel "$tiny" --append "$where" --net "tap=t0,vhost=$v" --transport pci
			bench "microvm.$v" "${qemu[@]}" -M microvm,acpi=on,x-option-roms=off "${kernel[@]}" -append "$append $where" \
				-netdev "$netdev,vhost=$v" -device virtio-net-device,netdev=n
			bench "pc.$v" "${qemu[@]}" -M pc "${kernel[@]}" -append "$append $where" \
				-netdev "$netdev,vhost=$v" -device virtio-net-pci,netdev=n,romfile=
		done
	done
	kill %1
}

# The same directories for all, on a tmpfs, read with the guest's cache cold.
fs() {
	local i where="fs=1" daemon
	local shared=(-object memory-backend-memfd,id=m,share=on,size=512M -chardev socket,id=c,path=/run/fs.socket)
	mkdir /run/share && tar -C /run/share -xf "$work/share.tar" && truncate -s 1G /run/share/big || return 1
	results=(fs.status fs.tar fs.read)
	behind_qemu() { # KEY COMMAND...
		/usr/lib/qemu/virtiofsd --socket-path=/run/fs.socket -o source=/ -o cache=auto -o sandbox=chroot >/dev/null 2>&1 &
		daemon=$!
		until [[ -S /run/fs.socket ]]; do sleep 0.1; done
		bench "$@"
		kill "$daemon" 2>/dev/null
		wait "$daemon"
		rm -f /run/fs.socket
	}
	for ((i = 0; i < RUNS; i++)); do
		for k in mmio pci; do
			bench "$k" ./minivmm --initrd initrd --kernel "$tiny" --append "$where" --fs tag=root,path=/ --transport "$k"
		done
		behind_qemu pc "${qemu[@]}" "${shared[@]}" -M pc,memory-backend=m -kernel "$tiny" -initrd initrd \
			-append "$append $where" -device vhost-user-fs-pci,chardev=c,tag=root
	done
}

# The whole time of a command, from its start to its exit status.
run() {
	local i
	whole() { # KEY COMMAND...
		local key=$1 from=$EPOCHREALTIME to
		shift
		timeout 120 "$@" </dev/null >/dev/null 2>&1 || { echo "bench: $key: exit status $?" >&2 && return; }
		to=$EPOCHREALTIME
		echo "$key $((${to/./} - ${from/./}))"
	}
	for ((i = 0; i < RUNS; i++)); do
		whole run.minivmm ./minivmm run --cpus 1 --memory 512M --kernel "$tiny" --json /run/run.json -- true
		python3 -c 'import json; [print("run.step." + k, v) for k, v in json.load(open("/run/run.json"))["times_us"].items()]'
		whole run.microvm "${qemu[@]}" -M microvm,acpi=on,x-option-roms=off -kernel "$tiny" -initrd initrd -append "$append"
	done
}

"$part"
