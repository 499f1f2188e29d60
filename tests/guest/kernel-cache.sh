#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# kernel-cache.sh MINIVMM IMAGES: starts a bare-metal guest that comes as a bzImage again and again:
# when it is unpacked, when it is mapped from the cache, and that no guest sees what another one or
# an earlier life of its own wrote. TAP.
set -u
minivmm=$1 images=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export MINIVMM_CACHE=$work/cache
kernel=$work/kernel entries=$MINIVMM_CACHE/kernels
n=0 failed=0

point() { # OK NAME
  n=$((n + 1))
  if [[ $1 == 0 ]]; then echo "ok $n - $2"; else
    echo "not ok $n - $2"
    sed 's/^/# /' "$work/out" "$work/err"
    ls -la "$entries" 2>&1 | sed 's/^/# /'
  fi
}

if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
  echo "1..0 # SKIP no /dev/kvm that this user may use"
  exit 0
fi

life=$'fresh\nalso fresh\nstale'

# begin [OPTION…]: starts the guest, and waits until it has overwritten its memory.
begin() {
  : >"$work/out"
  rm -f "$work/in"
  mkfifo "$work/in"
  "$minivmm" --kernel "$kernel" --memory 64M --debug-exit --stats "$@" <"$work/in" >"$work/out" 2>"$work/err" & pid=$!
  exec 3>"$work/in"
  lives 1
}

# lives N: waits until it has done so in N lives.
lives() {
  while kill -0 $pid 2>/dev/null && (($(grep -c stale "$work/out") < $1)); do sleep 0.02; done
}

# kept: waits until there is an entry.
kept() {
  while kill -0 $pid 2>/dev/null && ! compgen -G "$entries/k-*" >/dev/null; do sleep 0.02; done
}

# finish LIVES: ends it. Returns 0 if each of its lives was as it should be.
finish() {
  local expected=$life i
  for ((i = 1; i < $1; i++)); do expected+=$'\n'$life; done
  printf q >&3
  exec 3>&-
  wait $pid
  [[ $? == 33 && $(<"$work/out") == "$expected" ]]
}

# unpacked: did the last start unpack the kernel? The time for that is 0 if it did not.
unpacked() { awk '$1 == "decompressed" { us = $2; seen = 1 } END { exit !(seen && us > 0) }' "$work/err"; }
mapped() { awk '$1 == "decompressed" { us = $2; seen = 1 } END { exit !(seen && us == 0) }' "$work/err"; }

# settle: makes the kernel's file look as if it had not been changed just now.
settle() { sleep 3.1; }

mkdir "$MINIVMM_CACHE"
if [[ ! -e $images/fresh.bz ]]; then
  echo "1..0 # SKIP minivmm was built without zlib"
  exit 0
fi
cp "$images/fresh.bz" "$kernel"

begin --kernel-cache off
finish 1 && unpacked && [[ ! -e $entries ]]
point $? "with --kernel-cache off nothing is kept"

"$minivmm" --kernel "$kernel" --memory 64M --dry-run >"$work/out" 2>"$work/err" && [[ ! -e $entries ]]
point $? "a dry run leaves nothing"

settle
begin
kept
finish 1 && unpacked && [[ $(stat -c %a "$entries" "$entries"/k-*) == $'700\n400' ]]
point $? "the first start unpacks the kernel, and keeps it for the user alone"
[[ $(readlink "$entries"/l-*) == k-*:* ]]
point $? "its file is known"

begin
grep -q "rw-p .*/kernels/k-" "/proc/$pid/maps"
ok=$?
finish 1 && mapped && ((ok == 0))
point $? "the second start maps it"

begin --on-reset restart
printf r >&3
lives 2
printf r >&3
lives 3
finish 3 && mapped
point $? "each life finds it as it was"

begin
exec 4>&3
first=$pid
mv "$work/out" "$work/out.first"
mv "$work/err" "$work/err.first"
begin
finish 1 && mapped
ok=$?
printf q >&4
exec 4>&-
wait $first
[[ $? == 33 && $(<"$work/out.first") == "$life" && $ok == 0 ]]
point $? "two guests at once don't see what the other one writes"

"$minivmm" --kernel "$kernel" --memory 64M,prefault=on --debug-exit --stats <<<q >"$work/out" 2>"$work/err"
[[ $? == 33 ]] && unpacked
point $? "with prefault=on it is unpacked"

touch "$kernel"
begin
finish 1 && mapped
point $? "a file that was touched is known by its content"
[[ $(find "$entries" -name 'l-*' | wc -l) == 1 ]]
point $? "it was touched just now, so its times aren't trusted"

# In code that nobody runs.
printf x | dd of="$kernel" bs=1 seek=4096 conv=notrunc status=none
begin
finish 1 && unpacked
point $? "a file that was changed in place is unpacked"
cp "$images/fresh.bz" "$kernel"

for name in "$entries"/k-*; do
  chmod 600 "$name"
  truncate -s 8192 "$name"
done
begin
while kill -0 $pid 2>/dev/null && [[ ! $(find "$entries" -name 'k-*' -size +1024k) ]]; do sleep 0.02; done
finish 1 && unpacked
ok=$?
begin
finish 1 && mapped && ((ok == 0))
point $? "a damaged entry is made anew"

chmod 750 "$entries"
begin
finish 1 && unpacked && ! grep -q "kernel cache" "$work/err"
ok=$?
begin --log-level info
finish 1 && grep -q "kernel cache: $entries: is open to others; chmod 700 closes it" "$work/err" && ((ok == 0))
point $? "a directory that is open to others isn't used, and nobody is bothered"

for home in "" /nowhere /proc; do
  MINIVMM_CACHE='' XDG_CACHE_HOME='' HOME=$home "$minivmm" --kernel "$kernel" --memory 64M --debug-exit <<<q >"$work/out" 2>"$work/err"
  [[ $? == 33 && $(<"$work/out") == "$life" && ! -s $work/err ]] || failed=1
done
point $failed "without a home, or with one that is read-only, it starts as ever"
echo "1..$n"
