#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# fs-daemon.sh MINIVMM: Debian's kernel on a directory that Debian's virtiofsd serves
# (docs/testing.md). TAP.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
prepare "$1" qemu-system-common
add_modules virtiofs virtio_balloon
make_initrd
in_bed fs-daemon.sh
