/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long the end of a machine waits for those who read what its guest said last: one time for all
 * of them together, and none from the moment at which somebody says so.
 *
 * Any thread. Where the functions take a NULL pointer, patience has no end of its own.
 */
#pragma once

#include <poll.h>

#include "vmm/types.h"

struct patience {
	uint64_t until; /* monotonic_ns(); atomic; 0: the end has not begun */
	int lost_fd;    /* an eventfd: readable when it is lost */
};

/* 0 or -errno, logged. patience_destroy() is safe after a failure, and on {.lost_fd = -1}. */
int patience_init(struct patience *p) __must_check;
void patience_destroy(struct patience *p);

/* The end begins: it may wait for so long. */
void patience_begin(struct patience *p, uint64_t ns);
/* It is over, and the guest lives again: what is lost stays lost. */
void patience_renew(struct patience *p);

/* Whatever waits now, or would later, doesn't. */
void patience_lose(struct patience *p);

/* Is it over? */
bool patience_over(const struct patience *p);

/* poll(2) of one descriptor, with an end to it (timeout_ms >= 0), but it returns 0 as soon as
 * patience is over. */
int patience_poll(const struct patience *p, struct pollfd *fd, int timeout_ms);
