/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock.h"

#include <stdio.h>

#define NS_PER_MS 1000000ull

bool clock_parse(struct clock_sample *s, const char *line)
{
	char more;

	return sscanf(line, "clock %llu %llu %llu%c", &s->counter, &s->real_ns, &s->khz, &more) ==
	       3;
}

unsigned long long clock_at(const struct clock_sample *s, unsigned long long counter)
{
	const unsigned long long ticks = counter - s->counter;

	if (!s->khz || counter < s->counter)
		return 0;
	/* It is done in two parts, because ticks in ns don't fit after some hours. */
	return s->real_ns + ticks / s->khz * NS_PER_MS + ticks % s->khz * NS_PER_MS / s->khz;
}
