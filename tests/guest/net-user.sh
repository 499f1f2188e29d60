#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# net-user.sh MINIVMM: networks without privileges, --net user and passt by --net socket=, with unmodified kernels in the test
# bed (docs/testing.md). TAP.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
prepare "$1" python3 libslirp0 passt iproute2 dnsmasq-base
"$minivmm" --version | grep -q '^with:.*slirp' || skip "this minivmm was built without libslirp"
add_modules virtio_net button evdev
make_initrd
in_bed net-user.sh
