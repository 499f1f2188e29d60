#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh MINIVMM: `minivmm run` in the test bed, as a user whose only privilege is /dev/kvm;
# bed/run.sh does it. The guests' root is that of the test bed, which is this machine's.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
prepare "$1" gcc libc6-dev make iproute2 python3

# In a place that a user without privileges can read.
cp "$minivmm" "$work/minivmm"
minivmm=$work/minivmm
cp --remove-destination "$(realpath "$work/tiny")" "$work/tiny"
rm "$work/debian"
cp -r "$debian" "$work/debian"
cp -r "$guest_tests/../../examples/ci" "$work/ci"
chmod -R a+rwX "$work"
in_bed run.sh --memory 5G # for 20 of them at once, with sanitizers
