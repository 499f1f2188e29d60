#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016 # the guests' scripts are in quotes
#
# fs.sh MINIVMM DIRECTORY: the part of ../fs.sh that runs in the test bed. If root runs it, the test
# bed has a file system with all possible features (ext4), and boots guests as root and as a plain
# user; otherwise it boots them as the user, on the file system of /tmp.
# shellcheck source=tests/guest/bed/lib.sh
. "$(dirname "$0")/lib.sh"

plain=$minivmm
shares=$work/shares
mkdir "$shares"
chmod 755 "$work" # for the plain user
if ((EUID == 0)); then
	truncate -s 256M "$work/disk"
	mkfs.ext4 -q -O ^has_journal "$work/disk"
	mount -o loop "$work/disk" "$shares"
fi

# as_user: a plain user runs the next guests, and can't look into root's directories.
as_user() {
	((EUID != 0)) || {
		cp -L "$plain" "$work/minivmm"
		plain=$work/minivmm
		cp -L "$from"/{debian,initrd} "$work/"
		from=$work
		printf '#!/bin/bash\nexec setpriv --reuid 12345 --regid 12345 --clear-groups --no-new-privs %q "$@"\n' "$plain" >"$work/as-user"
		chmod +x "$work/as-user"
		minivmm=$work/as-user
	}
}

# fresh: makes a directory to read from, and one to write to, for the user who runs the next guests.
fresh() {
	rm -rf "$shares"/{ro,rw}
	mkdir -p "$shares"/{ro/many,ro/sub/dir,rw}
	head -c 30000000 /dev/urandom >"$shares/ro/big"
	(cd "$shares/ro/many" && seq -f 'a-file-with-a-name-%g' 10000 | xargs touch)
	echo "below" >"$shares/ro/sub/dir/file"
	ln -s /etc/passwd "$shares/ro/outside"
	echo "secret" >"$shares/secret"
	[[ $minivmm = "$plain" ]] || chown -R 12345:12345 "$shares/rw"
}
sum_of() { md5sum <"$1" | cut -d' ' -f1; }

options() { echo --fs "tag=ro,path=$shares/ro" --fs "tag=rw,path=$shares/rw,readonly=off${1-}"; }

common='
mkdir -p /ro /rw
mount -t virtiofs ro /ro && mount -t virtiofs rw /rw || echo "bad: mount"
echo "big $(md5sum </ro/big | cut -d" " -f1)"
echo "direct $(dd if=/ro/big iflag=direct bs=1M 2>/dev/null | md5sum | cut -d" " -f1)"
echo "names $(ls /ro/many | wc -l)"
echo "long $(ls -l /ro/many | grep -c "^-")"
echo "below $(cat /ro/sub/dir/file)"
cat /ro/outside 2>/dev/null && echo "bad: out of the share"
for change in "touch /ro/new" "rm /ro/big" "mkdir /ro/dir" "mv /ro/big /ro/other" "ln -s a /ro/b" "chmod 600 /ro/big"; do
	$change 2>&1 | grep -q "Read-only file system" || echo "bad: $change"
done
fs /rw
'

# What the guest left in the share that it may write to, and who owns it.
left_behind() {
	local kept=$shares/rw/kept
	is "file" "$(cat "$kept/file")" "from the guest"
	is "owner" "$(stat -c %u:%g "$kept/file" "$kept" | sort -u)" "$1"
	is "mode" "$(stat -c %a "$kept/file")" 644
	is "mapped" "$(tr -d '\0' <"$shares/rw/map")" "across pages"
	[[ -L $kept/link && -p $kept/pipe && -S $kept/socket ]] || wrong+=("links, pipes or sockets are missing")
	is "what is beside the share" "$(cat "$shares/secret")" "secret"
}

for transport in "${transports[@]}"; do
	minivmm=$plain
	fresh
	# shellcheck disable=SC2046
	boot "$look $common"'
echo remembered >/rw/note
umount /rw
mount -t virtiofs rw /rw && echo "again $(cat /rw/note)"
umount /rw && umount /ro
cd /sys/bus/virtio/drivers/virtiofs
for i in virtio*; do echo $i >unbind && echo $i >bind; done
cd /
mount -t virtiofs ro /ro && echo "rebound $(md5sum </ro/big | cut -d" " -f1)"
' --memory 256M $(options)
	ends 0
	prints_not "bad: "
	prints "all done"
	sum=$(sum_of "$shares/ro/big")
	prints "big $sum"
	prints "direct $sum"
	prints "names 10000"
	prints "long 10000"
	prints "below below"
	point "$transport: big files, big directories, and a share that is read only"
	left_behind "$EUID:$(id -g)"
	point "$transport: all kinds of files in a share that is not"
	prints "again remembered"
	prints "rebound $sum"
	point "$transport: unmounted and mounted again, and a driver that comes back"
done

as_user
fresh
# shellcheck disable=SC2046
boot "$look $common"'
chown 5:6 /rw/map 2>/dev/null && echo "bad: chown"
sh -c "echo mine >/rw/mine"
' --memory 256M $(options ",cache=always")
ends 0
prints_not "bad: "
prints "all done"
prints "big $(sum_of "$shares/ro/big")"
if ((EUID == 0)); then left_behind 12345:12345; else left_behind "$EUID:$(id -g)"; fi
is "owner" "$(stat -c %u "$shares/rw/mine")" "$( ((EUID == 0)) && echo 12345 || echo $EUID)"
point "a plain user's guest, which may remember all"

minivmm=$plain
if ((EUID == 0)); then
	fresh
	chmod 777 "$shares/rw"
	mount -t proc proc "$shares/ro/sub/dir"
	mount -t tmpfs tmpfs "$shares/ro/many"
	echo "mounted" >"$shares/ro/many/below"
	# shellcheck disable=SC2046
	boot "$look"'
mkdir -p /ro /rw
mount -t virtiofs ro /ro && mount -t virtiofs rw /rw || echo "bad: mount"
cat /ro/sub/dir/cmdline 2>/dev/null && echo "bad: proc"
ls /ro/sub/dir 2>/dev/null && echo "bad: proc is listed"
echo "below $(cat /ro/many/below)"
umask 022
mkdir -p /etc
echo "user:x:1234:5678::/:/bin/sh" >/etc/passwd
echo "root:x:0:0::/:/bin/sh" >>/etc/passwd
su user -c "mkdir /rw/made; echo text >/rw/made/file; chmod 4755 /rw/made/file; ls -ln /rw/made; echo more >>/rw/made/file; ls -ln /rw/made"
echo "set-id $(stat -c %a /rw/made/file)"
cat /rw/made/file >/dev/null
mkdir -p /also
mount -t virtiofs also /also || echo "bad: mount"
ls /also/late /also/shared 2>/dev/null # the guest may believe that there are none
echo program >/rw/late && chmod 6711 /rw/late
echo first >/rw/shared && chmod 666 /rw/shared
su user -c "echo more >>/also/late" 2>&1 | grep -q denied || echo "bad: a file of somebody else was opened"
su user -c "echo more >>/also/shared"
echo "late $(cat /rw/late) $(stat -c %a /rw/late)"
echo "shared" $(cat /rw/shared)
' --memory 256M $(options ",cache=none") --fs "tag=also,path=$shares/rw,readonly=off,cache=always"
	ends 0
	prints_not "bad: "
	prints "below mounted"
	point "mount points belong to the share, those of the kernel don't"
	is "owner" "$(stat -c %u:%g "$shares/rw/made" "$shares/rw/made/file" | sort -u)" 1234:5678
	prints "set-id 755"
	point "root's guest: what a user makes is the user's, and set-id bits go when a file is written"
	prints "late program 6711"
	prints "shared first more"
	point "root's guest: a file that was made in the meantime is opened by whom it is for"
	umount "$shares/ro/sub/dir" "$shares/ro/many"
else
	skip_point "mount points belong to the share, those of the kernel don't" "not root"
	skip_point "root's guest: what a user makes is the user's" "not root"
	skip_point "root's guest: a file that was made in the meantime" "not root"
fi
((EUID != 0)) || umount "$shares"
done_testing
