/* SPDX-License-Identifier: BSD-2-Clause */
/* Do two descriptors write to one place? */
#pragma once

#include <stdbool.h>

/* Something is written to a and to b, in turn: does its reader get it in that order? Yes, if both
 * are one open file (as after 2>&1), or one pipe, terminal or socket, or one file that both append
 * to. No, if a file was opened twice and each has a position of its own. Any thread may ask;
 * nothing is changed. */
bool outputs_are_one(int a, int b);
