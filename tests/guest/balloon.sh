#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# balloon.sh MINIVMM: Debian's kernel gives memory back to the host (docs/testing.md). TAP.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
prepare "$1"
add_modules virtio_balloon
make_initrd
in_bed balloon.sh
