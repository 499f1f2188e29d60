#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016 # the guests' scripts are in quotes
#
# fs-daemon.sh MINIVMM DIRECTORY: the part of ../fs-daemon.sh that runs in the test bed.
# shellcheck source=tests/guest/bed/lib.sh
. "$(dirname "$0")/lib.sh"

shared=$work/shared socket=$work/socket
mkdir "$shared"
head -c 3000000 /dev/urandom >"$shared/random"

if ((EUID != 0)); then
	skip_point "Debian's virtiofsd serves a directory" "it needs root"
	done_testing
fi

# Each guest needs a daemon of its own: it ends with its only connection.
start_daemon() {
	[[ -z ${daemon:-} ]] || { kill "$daemon" && wait "$daemon"; } 2>/dev/null
	rm -f "$socket"
	/usr/lib/qemu/virtiofsd --socket-path="$socket" -o source="$shared" -o sandbox=chroot >"$work/daemon" 2>&1 &
	daemon=$!
	while [[ ! -S $socket ]] && kill -0 "$daemon" 2>/dev/null; do sleep 0.2; done
	[[ -S $socket ]] || wrong+=("virtiofsd does not start: $(tail -n 3 "$work/daemon")")
}
before_retry=start_daemon

mounted='mount -t virtiofs data /root || echo "bad: no file system"'
for transport in "${transports[@]}"; do
	start_daemon
	boot "$look $mounted; md5sum </root/random; head -c 2000000 /dev/urandom >/root/written; md5sum </root/written >/root/sum
		mkdir /root/dir; mv /root/written /root/dir/; umount /root; $mounted; cat /root/dir/written | md5sum; umount /root" \
		--fs "tag=data,socket=$socket" --balloon --memory 3584M
	ends 0
	prints_not "bad: "
	prints "$(md5sum <"$shared/random")"
	is "what the guest wrote" "$(md5sum <"$shared/dir/written")" "$(cat "$shared/sum")"
	prints "$(cat "$shared/sum")"
	rm -r "$shared/dir" "$shared/sum"
	point "files both ways by Debian's virtiofsd, over $transport, with RAM on both sides of the hole"
done
transport=

start_daemon
start_boot "$mounted; echo mounted; while :; do sleep 1000; done" --fs "tag=data,socket=$socket"
await "mounted"
kill -KILL "$daemon"
until_true grep -aq "the daemon is gone" "$err"
kill -INT "$pid"
finish
ends 1
logs "its daemon is gone: stopped until the guest resets the device"
point "a daemon that dies is told of, and the guest goes on"

guest nobody
run --kernel "$from/debian" --fs "tag=data,socket=$work/none"
ends 1
logs "nobody listens at $work/none; start the daemon first"
point "a daemon that is not there"

done_testing
