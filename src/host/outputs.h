/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether two descriptors write to one place. */
#pragma once

#include <stdbool.h>

/* Is what is written to a and to b, in turn, read in that order by whoever reads it? So it is where
 * both are one open file (as after 2>&1), or one pipe, terminal or socket, or one file that both
 * append to. It is not where a file was opened twice and each has a position of its own. Any
 * thread; changes nothing. */
bool outputs_are_one(int a, int b);
