/* SPDX-License-Identifier: BSD-2-Clause */
/* What a machine is to the command that it runs (command/command.h). */
#pragma once

#include "machine/machine.h"

/* Makes m->command, of which there may be none. 0 or -errno, logged; command_destroy() is safe
 * after either. */
int machine_command_init(struct machine *m) __must_check;
