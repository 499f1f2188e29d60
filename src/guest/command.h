/* SPDX-License-Identifier: BSD-2-Clause */
/* What COMMAND's process does before it is COMMAND (job.c forks it). */
#pragma once

#include "orders.h"

/* In init, as root, before any COMMAND: the kernel's own bounds are raised to what the orders ask
 * for, as far as it goes. */
void command_raise_bounds(const struct orders *o);

/* In the child: takes fd[] for its streams, becomes the user, and runs COMMAND as execvp(3) does,
 * scripts without "#!" by /bin/sh. Where that fails, a sentence is written on its standard error,
 * a byte to started, and the process ends with a shell's status: 127 (there is no such file) or
 * 126. */
_Noreturn void command_exec(const struct orders *o, const int fd[3], int started);
