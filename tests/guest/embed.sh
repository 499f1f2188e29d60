#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# embed.sh MINIVMM LIBRARY TEST IMAGES EMBED [PRELOAD]: the library's own test (library.c),
# unmodified kernels in one process of Python, and examples/embed.c and examples/python with
# commands, in the test bed; bed/embed.sh does it. A program without sanitizers must load PRELOAD
# before LIBRARY.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
prepare "$1" python3
make_initrd
printf '%q ' "${@:2}" >"$work/arguments"
in_bed embed.sh
