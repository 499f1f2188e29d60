#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016 # the guests' scripts are in quotes
#
# run.sh MINIVMM DIRECTORY: the part of ../run.sh that runs in the test bed.
# shellcheck source=tests/guest/bed/lib.sh
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
people=$here/console.py
kernel=$from/tiny memory=192M
debian=$(echo "$from"/debian/boot/vmlinuz-*)

# A user without privileges, and the user's home.
home=$work/home
mkdir "$home"
chmod 755 "$work"
cd "$home" || exit
plain=$minivmm
if ((EUID == 0)); then
	chown 1234:1235 "$home"
	printf '#!/bin/bash\nexec setpriv --reuid 1234 --regid 1235 --groups 1235,1236 env HOME=%q COLOUR=blue %q "$@"\n' \
		"$home" "$minivmm" >"$work/as-user"
	chmod +x "$work/as-user"
	minivmm=$work/as-user
else
	export COLOUR=blue
fi

# sandbox [OPTION...] -- COMMAND: runs minivmm run to its end. begin: in the background.
begin() { start run --kernel "$kernel" --memory "$memory" "$@"; }
sandbox() { begin "$@" && finish; }
sh() { sandbox "${@:2}" -- sh -c "$1"; } # sh SCRIPT OPTION...
says() { prints "$1"; }

sandbox -- true
ends 0
is "messages" "$(cat "$err")" ""
sandbox -- false
ends 1
# STATUSES=$(seq 0 255) tries all, which takes ten minutes.
for code in ${STATUSES:-42 124 125 128 137 255}; do
	sh "exit $code"
	ends "$code"
	is "messages" "$(cat "$err")" ""
done
point "the command's exit status"

sh 'kill -KILL $$'
ends 137
sandbox -- no-such-command
ends 127
logs "no-such-command: No such file or directory"
sandbox -- /etc/passwd
ends 126
point "signals, and what can't be run, as in a shell"

head -c 104857600 /dev/urandom >"$home/data"
input=$home/data
sh 'cat; echo "this is standard error" >&2' --json "$home/json"
input=/dev/null
ends 0
is "checksum of 100 MiB" "$(md5sum <"$out")" "$(md5sum <"$home/data")"
is "standard error" "$(cat "$err")" "this is standard error"
is "summary" "$(python3 -c 'import json, sys
j = json.load(open(sys.argv[1]))
t = j["times_us"]
print(j["status"], j["end"], j["bytes"], all(t[k] > 0 for k in t), j["exits"] > 0, j["peak_memory"] > 1 << 20)' "$home/json")" \
	"0 exit {'stdin': 104857600, 'stdout': 104857600, 'stderr': 23} True True True"
rm "$home/data"
start run --kernel "$work/none" --json "$home/json" -- true
finish
ends 125
is "the summary of a run that failed" "$(cat "$home/json")" ""
point "100 MiB through it, standard error apart, a summary"

sh 'echo first; echo last' --json /dev/stdout
ends 0
is "the summary after the output" "$(head -n 3 "$lines" | tr '\n' ' ')" "first last { "
sandbox --json /dev/full -- true
ends 125
logs "--json /dev/full: No space left on device"
mkfifo -m 666 "$home/fifo"
sandbox --json "$home/fifo" -- true
ends 125
logs "fifo: is a FIFO that nobody reads"
# A FIFO that is full, with a reader that takes nothing.
exec {full}<>"$home/fifo"
dd if=/dev/zero of="$home/fifo" oflag=nonblock bs=4096 count=1000 2>/dev/null
sh 'exit 42' --json "$home/fifo"
ends 42
logs "fifo: its reader is too slow"
begin --json "$home/fifo" -- sh -c 'echo up; exec sleep 1000'
await up
kill -INT "$pid"
sleep 1
kill -TERM "$pid"
finish
ends 143
exec {full}>&-
point "a summary after the output, and to a FIFO that nobody reads"

outside() { # runs a program of the host's, with its output where a guest's would be
	"$@" >"$out" 2>"$err" </dev/null
	status=$?
	tr -d '\r\0' <"$out" >"$lines"
}
outside bash -c '"$@" >/dev/full' - "$minivmm" run --kernel "$kernel" --memory "$memory" -- sh -c 'echo lost; exit 0'
ends 125
logs "standard output: No space left on device: the rest of what the command wrote is lost"
point "output that is lost is a failure"

begin -- yes
until_true test -s "$out"
kill -TERM "$pid"
finish
ends 143
: >"$out"
sandbox -- sh -c 'exec <&-; echo closed'
ends 0
says closed
point "a command that never ends, and one that reads nothing"

limit=$(ulimit -Sn)
ulimit -Sn 512
sh 'pwd; id -u; id -g; id -G; umask; echo "$COLOUR $HOME"; touch new && echo written; ls /dev/kvm 2>&1
echo "limit $(ulimit -n)"; echo "to standard error" >/dev/stderr; echo "to standard output" >/dev/stdout
ip addr show lo | grep -o 127.0.0.1/8; sleep 1000 & exit 3' --env EMPTY=
ulimit -Sn "$limit"
ends 3
says "limit 512"
says "to standard output"
is "standard error" "$(cat "$err")" "to standard error"
says "$home"
says "$(stat -c %u "$home")"
says "$(umask)"
says "blue $home"
says written
says "ls: cannot access '/dev/kvm': No such file or directory"
says 127.0.0.1/8
[[ ! -e $home/new ]] || wrong+=("the guest has written to the host's files")
sh 'id -u; pwd; env | grep -vE "^(PWD|SHLVL|OLDPWD|_)=" | sort; hostname; touch /usr/new && echo "root writes"' \
	--clean-env --env A=1 --env A=2 --user root --chdir /usr
ends 0
is "what it printed" "$(head -n 4 "$lines" | tr '\n' ' ')" \
	"0 /usr A=2 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "
says "$(hostname)"
says "root writes"
point "user, directory, environment; nothing that it writes stays"

# Which bus the devices are on, from where the first one is.
bus='basename "$(dirname "$(readlink -f /sys/bus/virtio/devices/virtio0)")"'
sh "$bus"
ends 0
says "LNRO0005:00"
sh "$bus" --transport pci
ends 0
says "0000:00:01.0"
sandbox --append initcall_blacklist=virtio_mmio_init -- true
ends 125
logs "before the command was started; if its kernel has no driver for these virtio devices, try --transport pci"
point "its devices are where its kernel finds them"

for balloon in "" "--balloon off"; do
	rm -f "$home/keyboard"
	mkfifo -m 666 "$home/keyboard"
	exec {keyboard}<>"$home/keyboard"
	input=$home/keyboard memory=512M
	# shellcheck disable=SC2086 # none, or two words
	begin $balloon -- sh -c 'dd if=/dev/zero of=/dev/shm/fill bs=1M count=200 2>/dev/null; echo full; read line; rm /dev/shm/fill; echo free; read line'
	await full
	full=$(resident)
	((full >= 200)) || wrong+=("the monitor has $full MiB resident with 200 MiB of the guest filled")
	echo go on >&"$keyboard"
	await free
	if [[ $balloon ]]; then
		is "kept without a balloon" $(($(resident) > full - 20)) 1
	else
		until_true resident_below $((full - 150))
	fi
	echo "# ${balloon:-with a balloon}: from $full MiB to $(resident) MiB resident"
	echo end >&"$keyboard"
	finish
	ends 0
	exec {keyboard}>&-
done
input=/dev/null memory=192M
point "what the command frees goes back to the host while it runs, unless that is switched off"

mkdir "$home/share" "$home/look"
echo before >"$home/share/there"
echo look >"$home/look/file"
((EUID != 0)) || chown -R 1234:1235 "$home"/{share,look}
begin --share "$home/share:/mnt/in:rw" --share look -- bash -c 'set -e
cd /mnt/in
[ "$(cat there)" = before ]
echo text >file; ln file hard; ln -s file soft; mkdir -p a/b; mkfifo pipe; echo >>there more
truncate -s 1G sparse; chmod 751 file; mv a/b a/c; rm there; touch -d "2001-02-03 04:05:06 UTC" a
head -c 3000000 /dev/zero >large
exec 3>gone; rm gone; echo >&3 still; flock file true
[ "$(cat "$1/file")" = look ]
! echo x >"$1/file" || exit 9
echo fine' bash "$home/look"
finish
ends 0
says fine
is "files" "$(cd "$home/share" && stat -c '%n %F %A %h %s' ./* ./a/* | grep -v '^./a ' | tr '\n' ' ')" \
	"./file regular file -rwxr-x--x 2 5 ./hard regular file -rwxr-x--x 2 5 ./large regular file -rw-r--r-- 1 3000000\
 ./pipe fifo prw-r--r-- 1 0 ./soft symbolic link lrwxrwxrwx 1 4 ./sparse regular file -rw-r--r-- 1 1073741824\
 ./a/c directory drwxr-xr-x 2 40 "
is "a's time" "$(stat -c %Y "$home/share/a")" 981173106
is "owner" "$(stat -c %u:%g "$home/share/file")" "$(stat -c %u:%g "$home/look")"
is "the other share" "$(cat "$home/look/file")" look
point "files of every kind in a share, and one that is read-only"

# Devices that are more open in the guest than on a Debian host: udev's rules open these to
# everybody.
devices='find /dev ! -type l -printf "%m %p\n" | grep -vE "^[0-7]00 /|^0 /|^755 /dev(/[a-z0-9]+)*$|^1777 /dev/shm$|^644 /dev/kmsg$|\
^640 /dev/(mem|port|nvram)$|^666 /dev/(null|zero|full|u?random|tty|ptmx|fuse|vsock|net/tun)$" |
	sed "s/^/bad: /"; stat -c "%a %n" /dev/fuse /dev/vsock'
# A directory of the host is moved, emptied and made again; a file is changed.
layer='mv tree moved && cat moved/sub/file && rm -r moved/sub && mkdir moved/sub && ls moved/sub | wc -l
chmod 755 moved/script && mv moved tree && [ $(stat -c %d tree) = $(stat -c %d tree/script) ] && echo "one device"'
mkdir -p "$home/tree/sub"
echo "in a directory" >"$home/tree/sub/file"
echo 'echo "script: $*"' >"$home/tree/script"
chmod 644 "$home/tree/script"
((EUID != 0)) || chown -R 1234:1235 "$home/tree"
many=$minivmm
if ((EUID == 0)) && echo 3000000 >/proc/sys/fs/nr_open; then
	printf '#!/bin/bash\nulimit -n 2000000 && exec %q "$@"\n' "$minivmm" >"$work/many"
	chmod +x "$work/many"
	many=$work/many
fi
minivmm=$many
sh "$layer"'
tree/script one "two three"
python3 -c "import os
os.setxattr(\"tree/script\", \"user.colour\", b\"blue\"); print(\"attribute\", os.getxattr(\"tree/script\", \"user.colour\").decode())"
stat -c "%a %u %n" "$XDG_RUNTIME_DIR" "$TMPDIR" /run/lock
[ $(ulimit -n) -ge '"$( ((EUID == 0)) && echo 2000000 || echo 1)"' ] && echo "many descriptors"
'"$devices" --env XDG_RUNTIME_DIR=/run/user/1234 --env TMPDIR=/dev/shm/tmp
minivmm=$plain
((EUID != 0)) || minivmm=$work/as-user
ends 0
is "messages" "$(cat "$err")" ""
says "in a directory"
says 0
says "one device"
says "script: one two three"
says "attribute blue"
says "700 $(stat -c %u "$home") /run/user/1234"
says "700 $(stat -c %u "$home") /dev/shm/tmp"
says "1777 0 /run/lock"
says "many descriptors"
prints_not "bad: "
says "666 /dev/fuse"
says "666 /dev/vsock"
point "directories of the root are renamed; scripts; what the environment names; devices as udev has them"

mkdir -p "$home"/outer "$home"/inner
echo outer >"$home/outer/file"
echo inner >"$home/inner/file"
echo one >"$home/one"
echo two >"$home/two"
mkdir "$home/outer/inner"
((EUID != 0)) || chown -R 1234:1235 "$home"/{outer,inner,one,two}
outside bash -c '"$@" 2>&1' - "$minivmm" run --kernel "$kernel" --memory "$memory" --share "$home/inner:/mnt/deep/inner:rw" \
	--share "$home/outer:/mnt/deep" --share one:/mnt/one --share two:/opt/a/b:rw -- bash -c '
cat /mnt/deep/file /mnt/deep/inner/file /mnt/one; ls /mnt/deep /opt/a; echo new >/mnt/deep/inner/new; echo more >>/opt/a/b
! echo x >/mnt/one || exit 9
for i in {1..2000}; do echo out $i; echo err $i >&2; done'
ends 0
is "shares" "$(head -n 7 "$lines" | tr '\n' ' ')" "outer inner one /mnt/deep: file inner  "
is "what was written" "$(cat "$home/inner/new" "$home/two" "$home/one" | tr '\n' ' ')" "new two more one "
is "the order" "$(tail -n 4000 "$lines" | md5sum)" "$(for i in {1..2000}; do echo "out $i" && echo "err $i"; done | md5sum)"
point "a share in a share, whatever their order; files as shares; two streams that are one"

# Asked 20 times, each time between two looks at the clock of the host (which is the test bed).
coproc asked { "$minivmm" run --kernel "$kernel" --memory "$memory" -- bash -c 'while read -r; do echo "$EPOCHREALTIME"; done' 2>"$err"; }
for i in {1..20}; do
	before=$EPOCHREALTIME
	echo >&"${asked[1]}"
	read -r -t $patience guests <&"${asked[0]}" || break
	((i == 1)) || echo "$before $guests $EPOCHREALTIME" # the first one waits for the guest to boot
done >"$work/times"
kill "$asked_PID"
is "looks at the clock" "$(wc -l <"$work/times")" 19
is "those that are 10 ms off" "$(awk '$2 < $1 - .010 || $2 > $3 + .010' "$work/times")" ""
point "the guest's clock is the host's"

mkdir -p "$home/out/files"
((EUID != 0)) || chown -R 1234:1235 "$home/out"
outside env MINIVMM="$minivmm" MINIVMM_OPTIONS="--kernel $kernel --memory $memory" "$from/ci/job" "$home/out"
ends 0
says "building words"
grep -qx "2 tests passed on .*, as user $(stat -c %u "$home")" "$lines" || wrong+=("the tests have not passed")
is "the program that it made" "$(echo a b c | "$home/out/files/words")" 3
sed -i 's/words += /words -= /' "$from/ci/project/words.c"
outside env MINIVMM="$minivmm" MINIVMM_OPTIONS="--kernel $kernel --memory $memory" "$from/ci/job" "$home/out"
ends 2
logs "Error 1"
point "examples/ci: compiles and tests a C program, and finds a mistake in it"

# At a terminal of 24 rows and 80 columns.
printf '#!/bin/bash\nexec %q terminal 24 80 %q %q "$@"\n' "$people" '
await ready 24 80
type hello
await got hello
size 50 132
await 50 132
await waiting
type '$'\003''
await interrupted
type exit 9' "$minivmm" >"$work/on-terminal"
chmod +x "$work/on-terminal"
minivmm=$work/on-terminal
begin -t -- bash --norc --noprofile -c 'until [ "$(stty size)" = "24 80" ]; do :; done; echo "ready $(stty size)"
read -r line; echo "got $line"; line=
until [ "$(stty size)" = "50 132" ]; do :; done; stty size
trap "echo interrupted; caught=1" INT; echo waiting
until [ -n "$caught" ]; do :; done
until [ -n "$line" ]; do read -r line; done; eval "$line"'
finish
minivmm=$plain
((EUID != 0)) || minivmm=$work/as-user
ends 9
point "a terminal: lines, its size, Ctrl-C"

begin -- bash -c 'trap "echo has TERM; exit 5" TERM; echo ready; while :; do :; done'
await ready
kill -TERM "$pid"
finish
ends 5
says "has TERM"
begin -- bash -c 'trap "echo has INT" INT; echo ready; while :; do :; done'
await ready
kill -INT "$pid"
await "has INT"
kill -INT "$pid"
finish
ends 130
logs "second signal: ending the guest"
point "signals are passed on, and the second one ends it"

# Signals that nohup or the background of a script ignores: the very first would end it if it were
# not ignored.
trap '' HUP
begin -- sh -c 'echo ready; sleep 1000'
trap - HUP
await ready
kill -HUP "$pid" && kill -HUP "$pid"
kill -TERM "$pid"
finish
ends 143
point "a signal that was ignored stays so"

# The time counts from the start, and a slow machine boots slowly.
for seconds in 15 60 240; do
	begin --timeout $seconds -- bash -c 'trap "echo has TERM" TERM; echo ready; while :; do :; done'
	finish
	grep -qx ready "$lines" && break
done
ends 124
says "has TERM"
logs "still running 5 s after --timeout"
point "--timeout, and its grace period"

begin -- sh -c 'echo ready; sleep 1000'
await ready
kill -KILL "$pid"
finish
ends 137
is "processes left" "$(pgrep -x minivmm | wc -l)" 0
point "nothing is left after SIGKILL"

sh 'echo c >/proc/sysrq-trigger; sleep 1000' --user 0 --console-log "$home/console" \
	--append initcall_blacklist=pvpanic_mmio_driver_init
ends 125
logs "the guest's kernel panicked"
logs "the guest crashed before the command had ended"
logs "Kernel panic - not syncing: sysrq triggered crash"
grep -q "Run /minivmm/init" "$home/console" || wrong+=("the log of the console has no beginning")
sh 'echo o >/proc/sysrq-trigger; sleep 1000' --user 0
ends 125
logs "switched itself off before the command had ended"
point "a guest that panics or switches itself off"

# It takes long until memory is really short: the kernel's OOM killer is called, and finds the
# largest process.
sh 'text=$(head -c 8M /dev/zero | tr "\0" x); echo f >/proc/sysrq-trigger; sleep 1000' --user 0
ends 137
logs "the guest ran out of memory"
sandbox --overlay-size 1M -- dd if=/dev/zero of="$home/big" bs=64k count=100
ends 1
logs "the layer over the guest's root is full"
point "a guest out of memory, and one out of room"

kernel=$debian
memory=256M
sandbox -- true
ends 0
echo "through Debian" >"$home/text"
input=$home/text
sandbox --net user -- sh -c "$layer;$devices"'; cat; ip -4 -o addr show eth0; cat /etc/resolv.conf; echo err >&2'
input=/dev/null
ends 0
says "in a directory"
says "one device"
prints_not "bad: "
says "through Debian"
grep -q "inet 10.0.2.15/24" "$lines" || wrong+=("no address")
says "nameserver 10.0.2.3"
is "standard error" "$(cat "$err")" err
point "Debian's kernel with its modules, and a network"
kernel=$from/tiny

begun=()
for i in {1..20}; do
	"$minivmm" run --kernel "$kernel" --memory 64M -- sh -c "echo $i; exit $i" >"$work/out$i" 2>"$work/err$i" </dev/null &
	begun+=($!)
done
for i in {1..20}; do
	wait "${begun[i - 1]}"
	is "exit status of guest $i" $? "$i"
	is "output of guest $i" "$(cat "$work/out$i" "$work/err$i")" "$i"
done
point "20 at once"

done_testing
