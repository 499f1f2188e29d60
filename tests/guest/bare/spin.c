/* SPDX-License-Identifier: BSD-2-Clause */
/* Counts at a fixed address for ever. */
#include "guest.h"

void guest(void)
{
	volatile uint64_t *count = (volatile uint64_t *)0x300000ul;

	for (;;)
		++*count;
}
