#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# net-tap.sh MINIVMM: TAPs, bridges and vhost-net, with unmodified kernels in the test bed
# (docs/testing.md). Prints TAP (the test protocol).
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
prepare "$1" iperf3 ethtool iproute2 python3
add_modules virtio_net virtio_blk
add_programs iperf3 ethtool
make_initrd
in_bed net-tap.sh
