/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long the end of a machine waits for those who read what its guest said last: one length of
 * time for all of them together, which ends early when somebody says so.
 *
 * Any thread may call these. Those that take a const pointer may be given NULL: then they wait for
 * ever.
 */
#pragma once

#include <poll.h>

#include "vmm/types.h"

struct patience {
	uint64_t until; /* monotonic_ns(); atomic; 0: the end has not begun */
	int lost_fd;    /* an eventfd: readable once patience is lost */
};

/* Returns 0 or -errno, logged. patience_destroy() is safe after a failure, and on {.lost_fd =
 * -1}. */
int patience_init(struct patience *p) __must_check;
void patience_destroy(struct patience *p);

/* The end begins: it may wait for ns nanoseconds. */
void patience_begin(struct patience *p, uint64_t ns);
/* That end is over, and the guest lives again. A lost patience stays lost. */
void patience_renew(struct patience *p);

/* From now on nothing waits, and what waits already stops. */
void patience_lose(struct patience *p);

/* Is it over? */
bool patience_over(const struct patience *p);

/* This is poll(2) of one descriptor with a timeout (timeout_ms >= 0), but it returns 0 as soon as
 * patience is over. */
int patience_poll(const struct patience *p, struct pollfd *fd, int timeout_ms);
