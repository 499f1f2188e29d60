#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016 # the guests' scripts are in quotes
#
# net-user.sh MINIVMM FOLDER: the part of ../net-user.sh that runs in the test bed.
# shellcheck source=tests/guest/bed/lib.sh
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"

# The host: services on the loopback interface, a name server for root, and what passt takes for the way to the world.
host=$work/host root=$((EUID == 0))
mkdir "$host"
head -c 4194304 /dev/urandom >"$host/data"
sum=$(md5sum <"$host/data")
if ((root)); then
	ip link set lo up
	ip tuntap add dev world mode tap
	ip addr add 192.0.2.1/24 dev world
	ip link set world up
	ip route add default via 192.0.2.254
	echo "nameserver 127.0.0.1" >"$host/resolv.conf"
	mount --bind "$host/resolv.conf" /etc/resolv.conf
fi
"$here/net-user.py" serve "$host" &
services=$!
until [[ -e $host/serving ]]; do sleep 0.1; done

# The guest's part: an address by DHCP.
network='
cat >/lease <<"X"
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
[ -z "$router" ] || ip route add default via "$router"
echo "lease $ip/$mask, router ${router:-none}, names ${dns:-none}"
X
chmod +x /lease
ip link set lo up
ip link set eth0 up
udhcpc -i eth0 -n -q -s /lease 2>/dev/null
'
# transfers HOST: 4 MiB down, 1 MiB up, with checksums. The guest never closes its own end first: after that, the passt of Debian
# 12 sends the same bytes again and again, under ever new sequence numbers, or forgets to say that the peer has closed, too.
transfers='
transfers() {
	mkfifo /open
	echo "down $(nc $1 7001 <>/open | md5sum)"
	head -c 1048576 /dev/urandom >/data
	echo "sum $(md5sum </data)"
	cat /data >/open & # which nc opens
	echo "up $(nc $1 7002 <>/open)  -"
}
'
# The guest waits for one connection, which the other end closes.
listen='
mkfifo /hello
echo "hello from the guest" >/hello &
echo "listening"
nc -l -p 22 <>/hello
'

# transferred: what the guest printed of its transfers.
transferred() {
	is "what came down" "$(value "down")" "$sum"
	is "what went up" "$(value "up")" "$(value sum)"
	[[ -n $(value sum) ]] || wrong+=("nothing was transferred")
}

# ask PORT: what the guest says there, while it runs.
ask() { until_true timeout 20 "$here/net-user.py" fetch "$1" >"$work/answer"; }
answered() { is "the guest's answer" "$(cat "$work/answer")" "hello from the guest"; }

for transport in "${transports[@]}"; do
	start_boot "$network$transfers"'
transfers 10.0.2.2
for i in $(seq 100); do
	ip -6 addr show dev eth0 scope site | grep -q "inet6 fec0:" && ! ip -6 addr show dev eth0 | grep -q tentative && break
	sleep 0.2
done
echo "ipv6 $(nc fec0::2 7001 </dev/null | md5sum)"
nslookup -type=a some.example 10.0.2.3 | sed -n "/some.example/,\$s/Address: /name /p"
'"$listen$look" --net "user,hostfwd=tcp:127.0.0.1:2222-:22"
	await "listening"
	ask 2222
	finish
	ends 0
	prints "lease 10.0.2.15/24, router 10.0.2.2, names 10.0.2.3"
	transferred
	point "$transport: a user network: DHCP and TCP both ways"
	is "what came over IPv6" "$(value ipv6)" "$sum"
	point "$transport: a user network: IPv6 by router advertisements"
	answered
	prints_not "bad: "
	is "messages" "$(cat "$err")" ""
	point "$transport: a user network: a forwarded port"
	if ((root)); then
		prints "name 192.0.2.7"
		point "$transport: a user network: names"
	else
		skip_point "$transport: a user network: names" "needs root, for a name server"
	fi
done

: >"$host/calls"
start_boot "$network"'
nc -w 5 10.0.2.2 7001 </dev/null | md5sum
ip route add default via 10.0.2.2
nc -w 5 192.0.2.1 7001 </dev/null
nslookup -type=a some.example 10.0.2.3
nslookup -type=a some.example 192.0.2.1
for i in $(seq 100); do
	ip -6 addr show dev eth0 scope site | grep -q "inet6 fec0:" && ! ip -6 addr show dev eth0 | grep -q tentative && break
	sleep 0.2
done
nc -w 5 fec0::2 7001 </dev/null
nslookup -type=a some.example fec0::3
'"$listen" --net "user,restrict=on,hostfwd=tcp::2222-:22"
await "listening"
ask 2222
finish
ends 0
prints "lease 10.0.2.15/24, router none, names none"
prints_not "192.0.2.7"
is "calls from the guest" "$(cat "$host/calls")" ""
answered
point "restrict=on: nothing goes out, and a forwarded port is answered"

# passt, which drops root's rights and then makes its socket.
if ((root)); then
	socket=$(mktemp -u /tmp/passt.XXXXXX)
	before_retry='sleep 2' # until passt has seen that the first guest went
	for transport in "${transports[@]}"; do
		"$here/net-user.py" rooted passt --foreground --stderr -4 -i world -t 127.0.0.1/2223:22 -s "$socket" \
			</dev/null >"$work/passt.log" 2>&1 &
		passt=$!
		until [[ -S $socket ]] || ! kill -0 $passt 2>/dev/null; do sleep 0.1; done
		[[ -S $socket ]] || wrong+=("passt: $(grep -v "Failed to send" "$work/passt.log")")
		start_boot "$network$transfers"'
transfers 192.0.2.254
'"$listen$look" --net "socket=$socket"
		await "listening"
		ask 2223
		finish
		kill $passt
		wait $passt
		rm -f "$socket"
		ends 0
		grep -aq "^lease 192.0.2.1/24, router 192.0.2.254," "$lines" || wrong+=("no lease")
		transferred
		answered
		prints_not "bad: "
		is "messages" "$(cat "$err")" ""
		point "$transport: passt: DHCP, TCP both ways, a forwarded port"
	done
else
	for transport in "${transports[@]}"; do
		skip_point "$transport: passt" "needs root, for a network that passt can serve"
	done
fi
kill $services
done_testing
