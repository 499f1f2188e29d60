/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel: found, placed in guest memory, and kept unpacked for the next start. */
#pragma once

#include "machine/machine.h"

/* Places the kernel, with its initrd and command line. A kernel that is kept unpacked is mapped;
 * another one is read and unpacked. Returns 0 or -errno, logged. */
int machine_place_kernel(struct machine *m) __must_check;

/* Begins to keep the kernel that was unpacked, on a thread of its own, with a copy of its own: the
 * guest runs meanwhile. The second ends that, done or not; it is safe at any time after
 * machine_new() has begun. */
void machine_keep_kernel(struct machine *m);
void machine_leave_kernel(struct machine *m);
