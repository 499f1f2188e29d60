#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# console.sh MINIVMM: virtio consoles and ports of unmodified kernels, in the test bed (docs/testing.md). TAP.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
prepare "$1" python3
add_modules virtio_console
make_initrd
in_bed console.sh
