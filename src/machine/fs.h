/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's shared directories (--fs): their devices. */
#pragma once

#include "machine/machine.h"

/* Returns 0 or -errno, logged; machine_fs_destroy() is safe after either. */
int machine_fs_init(struct machine *m) __must_check;
void machine_fs_destroy(struct machine *m);
