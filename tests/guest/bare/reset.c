/* SPDX-License-Identifier: BSD-2-Clause */
/* Resets itself as soon as it runs. */
#include "guest.h"

void guest(void)
{
	out8(0x602, 1);
	for (;;)
		;
}
