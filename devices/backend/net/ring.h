/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames that are written to a TAP by one system call: an io_uring, which is only used while the
 * caller waits. Where there is none for us (Linux before 5.10, a filter of system calls, a build
 * without liburing), nothing is written.
 */
#pragma once

#include "backend/net/net.h"

struct io_uring;

struct net_ring {
	struct io_uring *uring; /* NULL: it was not made yet */
	bool unusable;
};

/* Writes frames to fd, which is the same each time, does not block, and has room for all. Returns how
 * many were written or lost, and adds to *lost how many were lost; fewer than nr: the ring can't be
 * used any more. */
unsigned net_ring_write(struct net_ring *r, int fd, const struct net_frame *frame, unsigned nr,
			uint64_t *lost);

/* Safe on zeroes, and a second time. */
void net_ring_close(struct net_ring *r);
