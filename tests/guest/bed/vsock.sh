#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016 # the guest's script is in quotes
#
# vsock.sh MINIVMM DIRECTORY: the part of ../vsock.sh that runs in the test bed. DIRECTORY also has
# the program vsock, and so has the guest.
# shellcheck source=tests/guest/bed/lib.sh
. "$(dirname "$0")/lib.sh"

path=$work/v cid=42
small=100000

# The guest's actions, whoever serves its device: $size bytes each way, and more.
script() {
	echo "size=$1 small=$small $look"'
	vsock listen:1000 take
	vsock listen:1001 return
	vsock listen:1002 echo 200
	vsock vsock:2:2999 refused
	vsock vsock:2:2000 give $size
	vsock vsock:2:2001 trade $small
	vsock vsock:2:2002 many 200
	echo "all done"'
}

# The other ends of the guest's connections: $(to P) is where the host listens for them, $(from_host
# P) how it reaches the guest.
to() { [[ $mode = vhost ]] && echo "listen:$1" || echo "listen:${path}_$1"; }
from_host() { [[ $mode = vhost ]] && echo "vsock:$cid:$1" || echo "connect:$path:$1"; }

servers=()
serve() {
	((${#servers[@]} == 0)) || { kill "${servers[@]}" && wait "${servers[@]}"; } 2>/dev/null
	rm -f "$path"_*
	"$from/vsock" "$(to 2000)" take >"$work/taken" &
	servers=($!)
	"$from/vsock" "$(to 2001)" return >"$work/returned" &
	servers+=($!)
	"$from/vsock" "$(to 2002)" echo 200 >"$work/echoed" &
	servers+=($!)
}

# host PORT EXPECTED WHAT [N]: the host connects to the guest as soon as that listens at the port.
host() {
	await "listening at $1"
	is "the host at the guest's port $1" "$("$from/vsock" "$(from_host "$1")" "${@:3}" | tr '\n' ' ')" "$2 "
}

said() { is "the host's end of port $1" "$(grep -v listening "$work/$2" | tr '\n' ' ')" "$3 "; }

# talk SIZE OPTION...: the guest with this --vsock, and the host's half of it.
talk() {
	local size=$1 begun rate
	serve
	start_boot "$(script "$size")" "${@:2}"
	await "listening at 1000"
	is "a port that nobody listens at" "$("$from/vsock" "$(from_host 4000)" refused)" refused
	begun=$EPOCHREALTIME
	host 1000 "gave $size" give "$size"
	await "took $size"
	rate=$(awk "BEGIN { print $size / 1e6 / ($EPOCHREALTIME - $begun) }")
	host 1001 "gave $small took $small" trade $small
	host 1002 "many 200" many 200
	await refused
	begun=$EPOCHREALTIME
	await "gave $size"
	rate+=", $(awk "BEGIN { print $size / 1e6 / ($EPOCHREALTIME - $begun) }")"
	finish
	ends 0
	((${#wrong[@]} == 0)) || kill "${servers[@]}" 2>/dev/null # otherwise they would wait for ever
	wait "${servers[@]}" 2>/dev/null
	echo "# ${transport:-default}, $mode: $size bytes, MB/s to the guest and from it: $rate"
	prints_not "bad: "
	prints_not "failed"
	prints "all done"
	prints "took $size"
	prints "gave $size"
	prints "gave $small"
	prints refused
	prints "many 200"
	said 2000 taken "took $size"
	said 2001 returned "took $small gave $small"
	said 2002 echoed "echoed 200"
	servers=()
}
before_retry=serve

mode=unix size=$((1 << 30))
for transport in "${transports[@]}"; do
	talk "$size" --vsock "cid=$cid,socket=$path"
	point "$transport: $((size >> 20)) MiB each way, half closes, 200 connections at once each way, refusals"
	size=$((1 << 24))
done

mode=vhost
if [[ ! -w /dev/vhost-vsock ]]; then
	skip_point "vhost" "there is no /dev/vhost-vsock here"
else
	for transport in "${transports[@]}"; do
		talk "$size" --vsock "cid=$cid,vhost=on"
		point "$transport, vhost: $((size >> 20)) MiB each way, half closes, 200 connections at once each way, refusals"
	done
fi

# What is left when the guest ends.
mode=unix
[[ ! -e $path ]] || wrong+=("$path is still there")
point "the socket is removed at the end"

done_testing
