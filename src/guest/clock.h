/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's clock, set by the host's. The guest's kernel sets it by its real-time clock, which
 * has whole seconds only, so it may be half a second off. The host says what time it was when the
 * guest's counter (x86's time stamp counter) had some value, and the counter says how long ago that
 * is. So nobody waits for an answer.
 */
#pragma once

#include <stdbool.h>

struct clock_sample {
	unsigned long long counter; /* the guest's counter, … */
	unsigned long long real_ns; /* … and the host's CLOCK_REALTIME at that moment */
	unsigned long long khz;     /* of the counter; 0: the host can't tell all this */
};

/* Reads "clock COUNTER REALTIME KHZ", without the line's end. Returns false if it is something
 * else. */
bool clock_parse(struct clock_sample *s, const char *line);

/* Returns what time it is when the counter has that value, in ns since 1970; 0: that isn't known. */
unsigned long long clock_at(const struct clock_sample *s, unsigned long long counter);
