/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes an io_uring for a few operations. A ring does whatever it is asked to, and a filter of
 * system calls does not see it. Therefore ours are restricted before they are used.
 */
#pragma once

#include <liburing.h>

#include "vmm/types.h"

#define IO_RING_FILE 0 /* the file's index among the ring's own: with IOSQE_FIXED_FILE */

/* Makes a ring that does these IORING_OP_* and nothing else; and on fd alone, unless that is -1. It
 * keeps fd's file open, even for a moment after the process has ended. Any thread may submit to it,
 * one at a time. Returns 0 or -errno, not logged (-ENOSYS also for Linux before 5.10);
 * io_uring_queue_exit() ends it. */
int io_ring_open(struct io_uring *ring, unsigned entries, int fd, const uint8_t *op,
		 unsigned nr) __must_check;
