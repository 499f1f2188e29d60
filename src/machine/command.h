/* SPDX-License-Identifier: BSD-2-Clause */
/* What a machine is to the command that it runs (command/command.h). */
#pragma once

#include "machine/machine.h"

/* Makes m->command, of which there may be none. 0 or -errno, logged; command_destroy() is safe
 * after either. */
int machine_command_init(struct machine *m) __must_check;

/* Sets the initrd of r: the user's; or, for a kernel that runs a command, that and ours after it, in
 * a, which is for initramfs_free() after r has been used. Returns 0 or -errno, logged. */
int machine_command_initrd(struct machine *m, struct boot_request *r, const struct file *kernel,
			   const struct file *initrd, struct initramfs *a) __must_check;
