#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2016,SC2154 # the guests' scripts are in quotes; bed/lib.sh has the rest
#
# embed.sh MINIVMM DIRECTORY: the part of ../embed.sh that runs in the test bed.
# shellcheck source=tests/guest/bed/lib.sh
. "$(dirname "$0")/lib.sh"
eval "arguments=($(<"$from/arguments"))"
library=${arguments[0]} test=${arguments[1]} images=${arguments[2]} embed=${arguments[3]} preload=${arguments[4]:-}
examples=$(dirname "$0")/../../../examples

# python SCRIPT ARGUMENT...: runs it with the library; what it says is in $work/said and
# $work/errors.
python() {
	ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$preload LIBMINIVMM=$library PYTHONPATH=$examples/python \
		python3 -B "$@" >"$work/said" 2>"$work/errors"
}

"$test" "$images" >"$work/said" 2>&1 || wrong+=("the test failed: $(grep -v '^ok' "$work/said")")
point "machines in several threads: tests/guest/library.c"

guest asks
with_script 'read -r line && echo "it got $line"'
asks=$initrd
guest sleeps
with_script 'echo "it sleeps"; sleep 10000'
python "$(dirname "$0")/embed.py" "$from/debian" "$asks" "$initrd"
is "its exit status" $? 0
is "what it said" "$(cat "$work/said" "$work/errors")" "both run
paused and resumed
it got a line: power-off, 0, the guest powered off
it sleeps: killed, 1, it was stopped"
point "two Debian kernels in one process, from Python: input and output, pause, the end"

"$embed" sh -c 'echo said; echo complained >&2; [ ! -w / ] || touch /tmp/x; exit 7' >"$work/said" 2>"$work/errors"
is "its exit status" $? 7
is "what it said" "$(<"$work/said")" said
is "what it complained about" "$(<"$work/errors")" complained
"$embed" /nonexistent >"$work/said" 2>"$work/errors"
is "the exit status of a command that isn't there" $? 127
point "examples/embed.c: a command's output, errors and status"

python "$(dirname "$0")/embed-run.py"
is "its exit status" $? 0
is "what it said" "$(cat "$work/said" "$work/errors")" "1000000 bytes came back, errors b'end\n', status 3
three at once: [0, 1, 2]
a signal: 143"
point "examples/python: commands with input, three at once, a signal"

done_testing
