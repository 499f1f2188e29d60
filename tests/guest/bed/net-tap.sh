#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016 # the guests' scripts are in quotes
# shellcheck source=tests/guest/bed/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
PATH=$PATH:/usr/sbin:/sbin

# What an unprivileged user sees: the user nobody, if we are root. It needs no files of its own.
chmod 755 "$work"
cp "$minivmm" "$work/minivmm"
cp "$from/tiny" "$work/tiny"
cat >"$work/as-nobody" <<E
#!/bin/bash
exec ${EUID:+$( ((EUID)) || echo setpriv --reuid=65534 --regid=65534 --clear-groups)} "$work/minivmm" "\$@"
E
chmod 755 "$work"/{minivmm,tiny,as-nobody}
program=$minivmm

minivmm=$work/as-nobody
run --kernel "$work/tiny" --net tap=auto,bridge=br7,mtu=1400
ends 1
logs 'sudo ip tuntap add dev mvm0 mode tap user $USER && sudo ip link set mvm0 mtu 1400 master br7 up; then'
logs "use --net user, which needs no privileges"
point "a user without CAP_NET_ADMIN gets the commands to run once, and the alternative"

if ((EUID)); then
	skip_point "all else" "only root can make TAPs"
	done_testing
fi

# The host: 10.9.0.1 on any TAP that there is, an iperf3, a file to fetch, and a server that answers
# with the checksum of what it gets.
head -c 4M /dev/urandom >"$work/file"
printf '#!/bin/bash\nexec cat %q\n' "$work/file" >"$work/give"
printf '#!/bin/bash\nexec md5sum\n' >"$work/sum"
printf '#!/bin/bash\nip addr add 10.9.0.1/24 dev $1 && echo "script of $1" >&2\n' >"$work/up"
printf '#!/bin/bash\nip addr add 10.9.0.1/24 dev $1 && ethtool -K $1 tx off sg off tso off gso off gro off\n' >"$work/up-plain"
printf '#!/bin/bash\necho "$1" >>%q && exec %q "$1"\n' "$work/ups" "$work/up" >"$work/up-once"
chmod 755 "$work"/{give,sum,up,up-plain,up-once}
filesum=$(md5sum <"$work/file")
# A guest that was killed in the middle leaves an iperf3 that waits for it.
measure() {
	[[ -z ${iperf-} ]] || kill -KILL "$iperf"
	iperf3 -s >/dev/null 2>&1 &
	iperf=$!
}
measure
before_retry=measure
busybox nc -ll -p 7000 -e "$work/give" >/dev/null 2>&1 &
busybox nc -ll -p 7001 -e "$work/sum" >/dev/null 2>&1 &

# The guest's half: up ADDRESS; exchange WORD: 4 MiB each way, with checksums; stream WORD BYTES
# OPTION...: iperf3 each way.
guest_net='
up() { ip addr add $1/24 dev eth0 && ip link set eth0 up; }
exchange() {
	head -c 4194304 /dev/urandom >/tmp/data
	[ "$(nc 10.9.0.1 7001 </tmp/data)" = "$(md5sum </tmp/data)" ] && echo "$1: sent right"
	echo "$1 $(nc 10.9.0.1 7000 </dev/null | md5sum)"
}
stream() {
	word=$1 bytes=$2
	shift 2
	iperf3 -c 10.9.0.1 -n $bytes "$@" >/tmp/log && echo "$word: streamed out" || cat /tmp/log
	iperf3 -c 10.9.0.1 -n $bytes -R "$@" >/tmp/log && echo "$word: streamed in" || cat /tmp/log
}
'
exchanged() { # WORD
	prints "$1: sent right"
	is "the guest's checksum ($1)" "$(value "$1")" "$filesum"
}
streamed() { prints "$1: streamed out" && prints "$1: streamed in"; }
no_tap_left() { ! ip -br link | grep -q ^mvm || wrong+=("there is still a TAP: $(ip -br link)"); }

amount=1G
for transport in "${transports[@]}"; do
	minivmm=$program
	boot "$guest_net $look"'
up 10.9.0.2
echo "driver $(ethtool -i eth0 | sed -n "s/^driver: //p")"
echo "features $(ethtool -k eth0 | sed -nE "s/^(tx-checksumming|scatter-gather|tcp-segmentation-offload|generic-receive-offload|rx-gro-hw): //p" | tr "\n" " ")"
echo "mtu $(cat /sys/class/net/eth0/mtu)"
echo "address $(cat /sys/class/net/eth0/address)"
exchange on
stream big '$amount'
ethtool -K eth0 rx-gro-hw off && ethtool -K eth0 rx-gro-hw on && echo "offloads changed"
ip link set eth0 address 52:54:00:00:00:77 && echo "address changed"
ping -c 2 10.9.0.1 >/dev/null && echo "still there"
' --net tap=auto,script="$work/up",mac=52:54:00:00:00:07,mtu=1480
	ends 0
	prints_not "bad: "
	prints "driver virtio_net"
	is "offloads" "$(value features)" "on on on on on "
	prints "mtu 1480"
	prints "address 52:54:00:00:00:07"
	logs "script of mvm"
	point "$transport: a TAP, its driver, its features"
	exchanged on
	point "$transport: 4 MiB each way, checksums right"
	streamed big
	point "$transport: $amount by iperf3 each way"
	prints "offloads changed"
	prints "address changed"
	prints "still there"
	no_tap_left
	point "$transport: offloads and address changed at run time"

	boot "$guest_net"'
ethtool -K eth0 tx off sg off tso off gso off gro off rx-gro-hw off
up 10.9.0.2
echo "on: $(ethtool -k eth0 | grep -E "^(tx-checksumming|scatter-gather|tcp-segmentation-offload|generic-segmentation-offload|generic-receive-offload|rx-gro-hw): on")"
exchange off' --net tap=auto,script="$work/up-plain"
	ends 0
	prints "on: "
	exchanged off
	point "$transport: the same with every offload off, at both ends"

	boot "$guest_net"'
up 10.9.0.2
echo "vhost"
exchange vhost
stream vhost 32M' --net tap=auto,script="$work/up",vhost=on
	ends 0
	exchanged vhost
	streamed vhost
	point "$transport: vhost-net"

	for vhost in off on; do
		boot "$guest_net"'
echo "first $(ethtool -l eth0 | sed -n "s/^Combined:.//p" | tr "\n" " ")"
up 10.9.0.2
ethtool -L eth0 combined 2
echo "now $(ethtool -l eth0 | sed -n "s/^Combined:.//p" | tr "\n" " ")"
stream two 8M -P 4
exchange two
ethtool -L eth0 combined 1
exchange one' --cpus 2 --net "tap=auto,script=$work/up,queues=2,vhost=$vhost"
		ends 0
		is "queues" "$(value now)" "2 2 "
		streamed two
		exchanged two
		exchanged one
		point "$transport: two pairs of queues, then one, vhost=$vhost"
	done

	for vhost in off on; do
		anew='rm -f "$work/life" "$work/ups"; truncate -s 1M "$work/life"'
		before_retry="measure; $anew"
		eval "$anew"
		boot "$guest_net"'
life=first
[ "$(head -c 5 /dev/vda)" = again ] && life=second
echo again >/dev/vda
sync
up 10.9.0.2
[ $life = first ] && ethtool -L eth0 combined 2
exchange $life
[ $life = second ] && poweroff -f
drain
reboot -f' --net "tap=auto,script=$work/up-once,queues=2,vhost=$vhost" --disk "$work/life" --on-reset restart --append reboot=k
		before_retry=measure
		ends 0
		exchanged first
		exchanged second
		is "times that the script ran" "$(wc -l <"$work/ups")" 1
		point "$transport: the guest starts again on the same TAP, vhost=$vhost"
	done
	amount=64M
done

# ---- a bridge ----

ip link add br0 type bridge && ip addr add 10.9.0.1/24 dev br0 && ip link set br0 up
guest one
transport=${transports[0]}
start_boot "$guest_net"'
up 10.9.0.11
while :; do iperf3 -s -1 >/dev/null; done # whose client may try again' --net tap=auto,bridge=br0
guest two
transport=${transports[-1]}
start_boot "$guest_net"'
up 10.9.0.12
until iperf3 -c 10.9.0.11 -n 64M >/tmp/log; do sleep 1; done
echo "reached"
exchange bridge' --net tap=auto,bridge=br0
finish
ends 0
prints reached
exchanged bridge
guest one
kill -INT "$pid"
finish
ends 1
point "two guests on one bridge reach each other, and the host"
ip link del br0
guest guest

# ---- TAPs of other users ----

transport=
minivmm=$work/as-nobody
ip tuntap add dev own mode tap user 65534 && ip addr add 10.9.0.1/24 dev own && ip link set own up
with_script "$guest_net"'
up 10.9.0.2
exchange own'
chmod 755 "$work/$name"
run --kernel "$work/tiny" --initrd "$initrd" --net tap=own
ends 0
exchanged own
ip link show own >/dev/null 2>&1 || wrong+=("the TAP is gone")
point "a user without privileges on a TAP that was made for him, which stays"
ip link del own

minivmm=$work/with-fd
cat >"$minivmm" <<E
#!/usr/bin/python3
import fcntl, os, struct, sys
fd = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH22x', b'handed', 0x5002 if sys.argv[-1] == '--stats' else 0x1002))
os.system('ip addr add 10.9.0.1/24 dev handed && ip link set handed up')
os.dup2(fd, 9, inheritable=True)
os.execv('$program', ['minivmm'] + sys.argv[1:])
E
chmod 755 "$minivmm"
run --kernel "$work/tiny" --initrd "$initrd" --net fd=9
ends 0
exchanged own
point "a TAP handed in, without headers for offloads"
run --kernel "$work/tiny" --initrd "$initrd" --net fd=9,vhost=on --stats
ends 0
exchanged own
point "a TAP handed in, with vhost"

minivmm=$program
start_boot 'echo ready; sleep 1000' --net tap=auto
await ready
ip -br link | grep -q ^mvm || wrong+=("there is no TAP")
kill -KILL "$pid"
finish 2>/dev/null
ends 137
no_tap_left
point "kill -9 leaves no TAP behind"

# shellcheck disable=SC2046 # one word each
kill $(jobs -p) 2>/dev/null
done_testing
