#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016 # the guests' scripts are in quotes
#
# console.sh MINIVMM DIRECTORY: the part of ../console.sh that runs in the test bed.
# shellcheck source=tests/guest/bed/lib.sh
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
people=$here/console.py

# on_terminal ROWS COLUMNS STEPS: the next guests have a terminal, with somebody at it (console.py).
on_terminal() {
	printf '#!/bin/bash\nexec %q terminal %q %q %q %q "$@"\n' "$people" "$@" "$plain" >"$work/on-terminal"
	chmod +x "$work/on-terminal"
	minivmm=$work/on-terminal
}
plain=$minivmm

# Counts how often the guest's terminal shows a text.
shown() { is "lines with '$1'" "$(grep -acF -- "$1" "$lines")" "$2"; }

# The guest's end of a port.
port='
port() {
	for i in /sys/class/virtio-ports/*; do
		[ "$(cat "$i/name" 2>/dev/null)" != "$1" ] || echo "/dev/${i##*/}"
	done
}
for name in org.example.a org.example.b; do
	until [ -n "$(port $name)" ]; do sleep 0.1; done
done
a=$(port org.example.a) b=$(port org.example.b)
'

for transport in "${transports[@]}"; do
	on_terminal 24 80 '
await type a command
type echo "the answer is $((6 * 7))"
await the answer is 42
size 50 132
await it has 50 132
size 33 77
await it has 33 77'
	boot '
echo "console $(cat /sys/class/tty/console/active)"
until [ "$(stty size)" = "24 80" ]; do sleep 0.1; done
echo "it has $(stty size)"
echo "type a command"
read -r line
eval "$line"
until [ "$(stty size)" = "50 132" ]; do sleep 0.1; done
echo "it has $(stty size)"
until [ "$(stty size)" = "33 77" ]; do sleep 0.1; done
echo "it has $(stty size)"
echo "<3>late message" >/dev/kmsg' --console stdio --append loglevel=7
	ends 0
	prints "console hvc0"
	prints "it has 24 80"
	prints "the answer is 42"
	prints "it has 33 77"
	point "$transport: a console on a terminal: input, output, its size and changes of it"
	shown "Linux version" 1
	shown "Run /init as init process" 1
	shown "late message" 1
	point "$transport: every kernel message shows once"
	minivmm=$plain

	rm -f "$work/go"
	start_boot "$port"'
count=4194304
head -c $count /dev/urandom >/data
echo "sum $(md5sum </data)"
dd if=/data of="$a" bs=4096 2>/dev/null & stalled=$! # small pieces, so that fewer bytes fit into the queue
cat /data >"$b"
echo "b is through"
kill -0 $stalled && echo "a waits"
wait $stalled
echo "a is through"' --port "name=org.example.a,socket=$work/a" --port "name=org.example.b,socket=$work/b" \
		--memory 192M
	until_true test -S "$work/b"
	"$people" take "$work/a" 4194304 "$work/go" >"$work/a.sum" &
	reader=$!
	"$people" take "$work/b" 4194304 >"$work/b.sum"
	await "b is through"
	await "a waits"
	touch "$work/go"
	wait $reader
	finish
	ends 0
	prints "a is through"
	is "checksum of a" "$(cat "$work/a.sum")  -" "$(value sum)"
	is "checksum of b" "$(cat "$work/b.sum")  -" "$(value sum)"
	point "$transport: a reader that stalls holds up its own port and loses nothing"

	start_boot "$port"'
head -c 1048576 /dev/urandom >/data
echo "sum $(md5sum </data)"
drain
cat /data >"$a"
poweroff -f' --port "name=org.example.a,socket=$work/a" --port "name=org.example.b,pty"
	until_true test -S "$work/a"
	"$people" take "$work/a" 1048576 >"$work/a.sum"
	finish
	ends 0
	is "checksum" "$(cat "$work/a.sum")  -" "$(value sum)"
	point "$transport: what was written before the power-off arrives"

	start_boot "$port"'
exec 3<>"$a" # until the end: a port that is closed drops what has come
i=0
while [ $i -lt 4 ]; do # there is an end of file while nobody is there
	if read -r line <&3; then echo "heard $line" && i=$((i + 1)); else sleep 0.1; fi
done
exec 3<>"$b"
until read -r line <&3; do sleep 0.1; done
echo "heard $line"
echo "you said $line" >&3' --port "name=org.example.a,socket=$work/a" --port "name=org.example.b,socket=$work/b"
	until_true test -S "$work/b"
	for i in 1 2 3 4; do
		"$people" send "$work/a" "word $i"
	done
	"$people" ask "$work/b" question >"$work/answer"
	finish
	ends 0
	for i in 1 2 3 4; do
		prints "heard word $i"
	done
	prints "heard question"
	is "the answer" "$(cat "$work/answer")" "you said question"
	[[ ! -e $work/a && ! -e $work/b ]] || wrong+=("a socket was left behind")
	point "$transport: clients come and go at a port"
done
done_testing
