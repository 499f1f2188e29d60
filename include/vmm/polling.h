/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long a loop looks for work in memory before it waits for descriptors. A thread that looks
 * finds a request sooner than one that must be woken, and the guest need not exit to wake it. But
 * it uses a processor.
 *
 * The time is at most POLLING_MAX_NS, and adapts itself: it grows after a wait that it could have
 * covered, and shrinks after a longer one, so that an idle guest soon costs nothing. While more
 * threads are ready to run than there are processors, it is zero.
 *
 * The loop's own thread calls these, but for the first two.
 */
#pragma once

#include "vmm/types.h"

#define POLLING_MIN_NS 4000 /* below that it is zero */
#define POLLING_MAX_NS 50000

struct polling {
	int load_fd;         /* what polling_open() returned, not owned; < 0: never look */
	unsigned processors; /* that this process may run on */
	uint64_t ns;         /* the present time of a look */
	uint64_t again_ns;   /* when to look at the host's load the next time */
	uint64_t off_ns;     /* until then the processor is left to others */
};

/* Opens /proc/loadavg, by which polling_begin() learns how busy the host is; any number of loops may
 * share it. Returns the descriptor, which the caller owns, or -errno, not logged. */
int polling_open(void) __must_check;

void polling_init(struct polling *p, int load_fd);

/* Returns for how many nanoseconds to look now; 0: not at all. */
uint64_t polling_begin(struct polling *p, uint64_t now);

/* The loop had nothing to do for so many nanoseconds, looking or waiting. */
void polling_adapt(struct polling *p, uint64_t idle_ns);

/* Between two looks so many nanoseconds went by. Returns whether that is so long that the processor
 * must have been taken away meanwhile: then polling is off for a while. */
bool polling_disturbed(struct polling *p, uint64_t now, uint64_t gap_ns);
