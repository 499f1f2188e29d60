/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports of every width: a device keeps what was written; where there is no device, all bits read as
 * ones. */
#include "guest.h"

void guest(void)
{
	for (unsigned v = 0; v < 256; v += 51) {
		out8(COM1 + 7, (uint8_t)v);
		expect("scratch register", in8(COM1 + 7), v);
	}
	expect("unclaimed port, 8 bits", in8(0x1234), 0xff);
	expect("unclaimed port, 16 bits", in16(0x1234), 0xffff);
	expect("unclaimed port, 32 bits", in32(0x1234), 0xffffffff);
	expect("past the end of COM1", in32(COM1 + 6), 0xffffffff);
	out32(0x1234, 0xdeadbeef);
	print("pio\n");
	leave(16);
}
