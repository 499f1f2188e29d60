/* SPDX-License-Identifier: BSD-2-Clause */
/* Ways to end, chosen by the letter that comes in at the serial port: p(ower off), r(eset),
 * k(eyboard reset), c(rash), t(riple fault). An m before it leaves the mark of a warm boot, as
 * Linux does after a panic. */
#include "guest.h"

static char key(void)
{
	while (!(in8(COM1 + 5) & 1))
		;
	return (char)in8(COM1);
}

void guest(void)
{
	char c = key();

	if (c == 'm') {
		__asm__ volatile("movw $0x1234, 0x472");
		c = key();
	}
	switch (c) {
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
	case 't':
		__builtin_trap();
	}
	print("still here\n");
	for (;;)
		;
}
