/* SPDX-License-Identifier: BSD-2-Clause */
/* REP OUTS and REP INS: one exit carries many bytes. */
#include "guest.h"

void guest(void)
{
	static const char text[] = "a string by rep outsb, long enough to be worth a batch\n";
	const char *from = text;
	uint64_t n = sizeof(text) - 1;
	uint8_t got[8] = { 0 }, *to = got;

	__asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(COM1) : "memory");
	expect("count after rep outsb", n, 0);
	expect("bytes that rep outsb took", (uint64_t)(from - text), sizeof(text) - 1);
	out8(COM1 + 7, 0x5a);
	n = sizeof(got);
	__asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(COM1 + 7) : "memory");
	expect("count after rep insb", n, 0);
	for (unsigned i = 0; i < sizeof(got); i++)
		expect("byte of rep insb", got[i], 0x5a);
	leave(16);
}
