/* SPDX-License-Identifier: BSD-2-Clause */
/* What a machine is to the command that it runs (command/command.h). */
#pragma once

#include "machine/machine.h"

/* Makes m->command; one that does nothing, if there is no command. Returns 0 or -errno, logged;
 * command_destroy() is safe after either. */
int machine_command_init(struct machine *m) __must_check;

/* Sets the initrd of r. Without a command it is the user's. With one it is that, followed by ours;
 * both are in a, which the caller frees by initramfs_free() when r has been used. Returns 0 or
 * -errno, logged. */
int machine_command_initrd(struct machine *m, struct boot_request *r, const struct file *initrd,
			   struct initramfs *a) __must_check;
