/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A round is what a device does in one callback of its loop. During it the device's lock is held,
 * the loop's other devices wait for their turn, and loop_stop() is not heard. So a round is
 * limited: when so many requests, so many bytes or so much time are used up, nothing more is begun.
 * What is left is kept for another round, which the device asks the loop for; a reset drops it.
 *
 * Work that takes longer by itself than a round is cut into pieces, where it can be.
 */
#pragma once

#include "vmm/types.h"

#define ROUND_REQUESTS 128
#define ROUND_BYTES    (8 * MIB) /* copied, or moved to or from the host */
#define ROUND_NS       5000000

struct round {
	unsigned requests; /* left */
	uint64_t bytes;    /* left */
	uint64_t end_ns;   /* 0: nobody has looked at the clock yet */
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

/* The same, but by the clock as well, which starts when this is first called. It is for devices
 * that wait for the host. */
static inline bool round_is_late(struct round *r)
{
	const uint64_t now = monotonic_ns();

	if (!r->end_ns)
		r->end_ns = now + ROUND_NS;
	return round_is_over(r) || now >= r->end_ns;
}
