#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016,SC2154 # the guests' scripts are in quotes; bed/lib.sh has the rest
#
# embed.sh MINIVMM FOLDER: the part of ../embed.sh that runs in the test bed.
# shellcheck source=tests/guest/bed/lib.sh
. "$(dirname "$0")/lib.sh"
eval "arguments=($(<"$from/arguments"))"
library=${arguments[0]} test=${arguments[1]} images=${arguments[2]} preload=${arguments[3]:-}
examples=$(dirname "$0")/../../../examples

"$test" "$images" >"$work/said" 2>&1 || wrong+=("the test failed: $(grep -v '^ok' "$work/said")")
point "machines in several threads: tests/guest/library.c"

guest asks
with_script 'read -r line && echo "it got $line"'
asks=$initrd
guest sleeps
with_script 'echo "it sleeps"; sleep 10000'
ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$preload LIBMINIVMM=$library PYTHONPATH=$examples/python \
	timeout "$patience" python3 -B "$(dirname "$0")/embed.py" "$from/debian" "$asks" "$initrd" >"$work/said" 2>&1
is "its exit status" $? 0
is "what it said" "$(<"$work/said")" "both run
paused and resumed
it got a line: power-off, 0, the guest powered off
it sleeps: killed, 1, it was stopped"
point "two Debian kernels in one process, from Python: input and output, pause, the end"

done_testing
