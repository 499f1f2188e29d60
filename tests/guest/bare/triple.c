/* SPDX-License-Identifier: BSD-2-Clause */
/* An exception without an interrupt table. */
#include "guest.h"

void guest(void)
{
	print("about to fault\n");
	__asm__ volatile("ud2");
}
