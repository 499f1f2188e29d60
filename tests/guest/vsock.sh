#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# vsock.sh MINIVMM: the guest's AF_VSOCK in the test bed, over UNIX sockets of the host and by
# vhost; bed/vsock.sh does it. vsock.c is both ends.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
prepare "$1" gcc libc6-dev

gcc -O2 -Wall -static -o "$work/vsock" "$guest_tests/vsock.c"
cp "$work/vsock" "$root/bin/"
add_modules button evdev vsock vmw_vsock_virtio_transport
make_initrd
in_bed vsock.sh
