/* SPDX-License-Identifier: BSD-2-Clause */
/* What COMMAND's process does before it becomes COMMAND (job.c forks it). */
#pragma once

#include "orders.h"

/* Raises the kernel's own bounds to what the orders ask for, as far as possible. Called in init, as
 * root, before COMMAND is started. */
void command_raise_bounds(const struct orders *o);

/* Called in the child: takes fd[] as its streams, becomes the user, and runs COMMAND as execvp(3)
 * does; /bin/sh runs scripts without "#!". If that fails, it writes a sentence on standard error
 * and a byte to started, and exits with a shell's status: 127 (there is no such file) or 126. */
_Noreturn void command_exec(const struct orders *o, const int fd[3], int started);
