/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A round: what a device does in one callback of its loop. It holds the device's lock meanwhile,
 * and neither the loop's other devices have their turn nor is loop_stop() heard. So a round has an
 * end: nothing more is begun when so many requests, so many bytes or so much time are used up. What
 * is left is kept for another round, which the device asks the loop for; a reset drops it.
 *
 * Work that takes longer by itself than a round is cut into pieces, where it can be.
 */
#pragma once

#include "vmm/types.h"

#define ROUND_REQUESTS 128
#define ROUND_BYTES    (8 * MIB) /* that are copied, or go to or come from the host */
#define ROUND_NS       5000000

struct round {
	unsigned requests; /* left */
	uint64_t bytes;    /* left */
	uint64_t end_ns;   /* 0: nobody asked for the time yet */
};

static inline struct round round_begin(void)
{
	return (struct round){ .requests = ROUND_REQUESTS, .bytes = ROUND_BYTES };
}

/* A request of so many bytes was begun. */
static inline void round_spend(struct round *r, uint64_t bytes)
{
	r->requests -= r->requests > 0;
	r->bytes -= min(r->bytes, bytes);
}

static inline bool round_is_over(const struct round *r)
{
	return !r->requests || !r->bytes;
}

/* The same by the clock, too, which starts when this is first asked: for those who wait for the
 * host. */
static inline bool round_is_late(struct round *r)
{
	const uint64_t now = monotonic_ns();

	if (!r->end_ns)
		r->end_ns = now + ROUND_NS;
	return round_is_over(r) || now >= r->end_ns;
}
