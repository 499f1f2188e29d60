/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's network cards. */
#pragma once

#include "machine/machine.h"

/* Makes each card with what it is plugged into. Returns 0 or -errno, logged; machine_net_destroy()
 * must be called after either. */
int machine_net_init(struct machine *m) __must_check;
void machine_net_destroy(struct machine *m);
