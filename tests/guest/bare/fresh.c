/* SPDX-License-Identifier: BSD-2-Clause */
/* Says whether its memory is as it was loaded, and then changes its memory. An r at the serial port
 * resets it; anything else ends it. */
#include "guest.h"

static volatile char page[2][4096] = { "fresh\n", "also fresh\n" };

void guest(void)
{
	static const char stale[] = "stale\n";
	char key;

	print((const char *)page[0]);
	print((const char *)page[1]);
	for (unsigned i = 0; i < sizeof(stale); i++)
		page[0][i] = page[1][i] = stale[i];
	print((const char *)page[0]);
	while (!(in8(COM1 + 5) & 1))
		;
	key = (char)in8(COM1);
	if (key != 'r')
		leave(16);
	out8(0x602, 1);
	for (;;)
		;
}
