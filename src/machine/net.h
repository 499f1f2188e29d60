/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's network cards. */
#pragma once

#include "machine/machine.h"

/* Makes each with what it is plugged into. 0 or -errno, logged; nets_destroy() is due after either.
 */
int nets_init(struct machine *m) __must_check;
void nets_destroy(struct machine *m);
