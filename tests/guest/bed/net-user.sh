#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016 # the guests' scripts are in quotes
#
# net-user.sh MINIVMM DIRECTORY: the part of ../net-user.sh that runs in the test bed.
# shellcheck source=tests/guest/bed/lib.sh
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"

# The host: services on the loopback interface, a name server for root, and an interface that passt
# takes for the way to the world.
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

# The guest's part: it gets an address by DHCP.
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
# transfers HOST: 4 MiB down, 1 MiB up, with checksums. The guest never closes its own end first:
# after that, Debian 12's passt sends the same bytes again and again, with ever new sequence
# numbers, or forgets to say that the peer has also closed.
transfers='
transfers() {
	mkfifo /open
	echo "down $(nc $1 7001 <>/open | md5sum)"
	head -c 1048576 /dev/urandom >/data
	echo "sum $(md5sum </data)"
	cat /data >/open & # nc opens it
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

# transferred: prints what the guest printed of its transfers.
transferred() {
	is "what came down" "$(value "down")" "$sum"
	is "what went up" "$(value "up")" "$(value sum)"
	[[ -n $(value sum) ]] || wrong+=("nothing was transferred")
}

# ask PORT: prints what the guest says there, while it runs.
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

# With `minivmm run`, init asks for addresses, and writes the host's search domains to resolv.conf.
transport= # start() would put this after the command
named() { # KERNEL COMMAND...: starts a guest that runs it, with a user network
	run run --kernel "$1" --memory 256M --net user -- "${@:2}"
	ends 0
}
resolver() { # LINE...: sets how the host looks for names
	printf '%s\n' "$@" >"$host/resolv.conf"
	: >"$host/calls"
}
is_asked() { grep -qx "udp 53 $1 $2" "$host/calls" || wrong+=("$1 was not asked for $2: $(sort -u "$host/calls")"); }
debian=$(realpath "$from/debian")
if ((root)); then
	resolver "nameserver 127.0.0.53" "options ndots:2 timeout:3" "search lan.example"
	named "$from/tiny" sh -c 'cat /etc/resolv.conf; getent ahostsv4 short | head -n 1'
	is "the guest's resolv.conf" "$(head -n 3 "$lines")" "$(printf '%s\n' "nameserver 10.0.2.3" "search lan.example" "options ndots:2 timeout:3")"
	is_asked 127.0.0.53 short.lan.example
	grep -qE '^192.0.2.7 +STREAM short.lan.example$' "$lines" || wrong+=("the short name was not found")
	point "run: a resolver on the host's loopback, its domains and its options"

	mkdir "$host/etc"
	echo "nameserver 192.0.2.99" >"$host/etc/resolv.conf"
	cp "$host/etc/resolv.conf" "$host/theirs"
	for shared in "$host/etc:/etc" "$host/etc/resolv.conf:/etc/resolv.conf"; do
		run run --kernel "$from/tiny" --memory 256M --net user --share "$shared:rw" -- cat /etc/resolv.conf
		ends 0
		prints "nameserver 192.0.2.99"
		logs "/etc/resolv.conf is in a share and stays as it is"
		cmp -s "$host/etc/resolv.conf" "$host/theirs" || wrong+=("the host's file was changed")
	done
	point "run: a resolv.conf in a share is the host's"

	resolver "nameserver ::1"
	named "$debian" sh -c 'cat /etc/resolv.conf; getent ahostsv4 some.example | head -n 1'
	is "the first server" "$(head -n 1 "$lines")" "nameserver fec0::3"
	is_asked ::1 some.example
	grep -qE '^192.0.2.7 +STREAM some.example$' "$lines" || wrong+=("the name was not found")
	point "run: a host that has name servers by IPv6 only"

	resolver "nameserver 127.0.0.1" "nameserver "192.0.2.{101..104}
	input=$work/go
	mkfifo "$input"
	exec 6<>"$input"
	start run --kernel "$from/tiny" --memory 256M --net user -- \
		sh -c 'getent ahostsv4 first.example >&2; echo first; read -r _; getent ahostsv4 second.example >&2; cat /etc/resolv.conf'
	await first
	is_asked 127.0.0.1 first.example
	until [[ $(date +%s) -gt $(stat -c %Y "$host/resolv.conf") ]]; do sleep 0.2; done
	resolver "nameserver 127.0.0.53"
	sleep 2 # libslirp believes an address to be current for so long
	echo >&6
	finish
	exec 6>&-
	input=/dev/null
	ends 0
	is_asked 127.0.0.53 second.example
	point "run: more than three servers; others, while the guest runs"
else
	skip_point "run: names" "needs root, for name servers"
fi

# A server on a TAP, of which there are many in the world.
if ((root)) && command -v dnsmasq >/dev/null; then
	ip tuntap add dev dhcp mode tap
	ip addr add 10.9.0.1/24 dev dhcp
	ip link set dhcp up
	dnsmasq --keep-in-foreground --log-facility=- --conf-file=/dev/null --no-resolv --no-hosts --port=0 --user=root --pid-file= --interface=dhcp \
		--bind-interfaces --dhcp-range=10.9.0.50,10.9.0.59 --dhcp-leasefile="$work/leases" --dhcp-no-override \
		--dhcp-option=option:dns-server,10.9.0.1 --dhcp-option=option:domain-search,one.example,two.example \
		>"$work/dnsmasq.log" 2>&1 &
	dnsmasq=$!
	until grep -q "DHCP, IP range" "$work/dnsmasq.log" || ! kill -0 $dnsmasq 2>/dev/null; do sleep 0.1; done
	run run --kernel "$from/tiny" --memory 256M --net tap=dhcp -- sh -c 'ip -4 -o addr show dev eth0; cat /etc/resolv.conf'
	kill $dnsmasq
	wait $dnsmasq
	ends 0
	grep -q "inet 10.9.0.5[0-9]/24" "$lines" || wrong+=("no lease: $(tail -n 5 "$work/dnsmasq.log")")
	prints "nameserver 10.9.0.1"
	prints "search one.example two.example"
	ip link del dhcp
	point "run: DHCP by dnsmasq"
else
	skip_point "run: DHCP by dnsmasq" "needs root and dnsmasq"
fi

# passt first drops root's rights and then makes its socket.
if ((root)); then
	socket=$(mktemp -u /tmp/passt.XXXXXX)
	before_retry='sleep 2' # until passt has noticed that the first guest is gone
	start_passt() {
		"$here/net-user.py" rooted passt --foreground --stderr -4 -i world -t 127.0.0.1/2223:22 -s "$socket" \
			</dev/null >"$work/passt.log" 2>&1 &
		passt=$!
		until [[ -S $socket ]] || ! kill -0 $passt 2>/dev/null; do sleep 0.1; done
		[[ -S $socket ]] || wrong+=("passt: $(grep -v "Failed to send" "$work/passt.log")")
	}
	end_passt() {
		kill $passt
		wait $passt
		rm -f "$socket"
	}
	for transport in "${transports[@]}"; do
		start_passt
		start_boot "$network$transfers"'
transfers 192.0.2.254
'"$listen$look" --net "socket=$socket"
		await "listening"
		ask 2223
		finish
		end_passt
		ends 0
		grep -aq "^lease 192.0.2.1/24, router 192.0.2.254," "$lines" || wrong+=("no lease")
		transferred
		answered
		prints_not "bad: "
		is "messages" "$(cat "$err")" ""
		point "$transport: passt: DHCP, TCP both ways, a forwarded port"
	done
	transport=
	start_passt # it offers the address for the host's, not for all
	run run --kernel "$from/tiny" --memory 256M --net "socket=$socket" -- ip -4 -o addr show dev eth0
	end_passt
	ends 0
	grep -q "inet 192.0.2.1/24" "$lines" || wrong+=("no lease")
	is "messages" "$(cat "$err")" ""
	point "run: DHCP by passt"
else
	for transport in "${transports[@]}"; do
		skip_point "$transport: passt" "needs root, for a network that passt can serve"
	done
fi
kill $services
done_testing
