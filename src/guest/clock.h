/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's clock, set by the host's. What the guest's kernel has from its real-time clock is
 * half a second off at worst, as that has whole seconds. The host says what time it was when the
 * guest's time stamp counter had some value; the counter says how long ago that is. So nobody waits
 * for an answer.
 */
#pragma once

#include <stdbool.h>

struct clock_sample {
	unsigned long long tsc;     /* of the guest's, at */
	unsigned long long real_ns; /* CLOCK_REALTIME of the host's */
	unsigned long long khz;     /* of the counter; 0: the host doesn't know all that */
};

/* "clock TSC REALTIME KHZ", without the line's end. False: it is something else. */
bool clock_parse(struct clock_sample *s, const char *line);

/* What time it is when the counter says tsc, in ns since 1970; 0: that isn't known. */
unsigned long long clock_at(const struct clock_sample *s, unsigned long long tsc);
