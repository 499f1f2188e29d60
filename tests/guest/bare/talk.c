/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints dots for ever, and obeys letters that come in at the serial port: p(ower off), r(eset),
 * c(rash). */
#include "guest.h"

void guest(void)
{
	for (;;) {
		out8(COM1, '.');
		if (!(in8(COM1 + 5) & 1))
			continue;
		switch (in8(COM1)) {
		case 'p':
			out8(0x600, 5 << 2 | 1 << 5);
			break;
		case 'r':
			out8(0x602, 1);
			break;
		case 'c':
			out8(0x505, 1);
			break;
		}
	}
}
