#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# fs.sh MINIVMM: shared directories (--fs) in the test bed; bed/fs.sh does it. fs.c is what the
# guest does with them.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
prepare "$1" gcc libc6-dev e2fsprogs

gcc -O2 -Wall -static -o "$root/bin/fs" "$guest_tests/fs.c"
add_modules virtiofs
make_initrd
in_bed fs.sh
