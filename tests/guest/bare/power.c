/* SPDX-License-Identifier: BSD-2-Clause */
/* Ways to end, chosen by the letter that comes in at the serial port: p(ower off), r(eset),
 * k(eyboard reset), c(rash). */
#include "guest.h"

void guest(void)
{
	while (!(in8(COM1 + 5) & 1))
		;
	switch (in8(COM1)) {
	case 'p':
		out8(0x600, 5 << 2 | 1 << 5);
		break;
	case 'r':
		out8(0x602, 1);
		break;
	case 'k':
		out8(0x64, 0xfe);
		break;
	case 'c':
		out8(0x505, 1);
		break;
	}
	print("still here\n");
	for (;;)
		;
}
