#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# pci.sh MINIVMM: unmodified kernels in the test bed look at the PCI bus and use what is on it. TAP.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
prepare "$1" pciutils
add_modules virtio_blk button evdev
add_programs lspci setpci
make_initrd
in_bed pci.sh
