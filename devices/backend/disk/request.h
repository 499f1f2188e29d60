/* SPDX-License-Identifier: BSD-2-Clause */
/* A request to a disk, as the disk, its engines and qcow2 images see it. disk.h says who owns
 * it. */
#pragma once

#include <sys/uio.h>

#include "vmm/types.h"

#define DISK_SECTOR 512

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,   /* what was done before it was submitted is then on stable storage */
	DISK_DISCARD, /* a hint: the contents of the range are no longer needed */
	DISK_ZERO,    /* the range reads as zeroes afterwards */
};

struct disk_request {
	/* The caller's. off, len and iov are used up on the way: when a request fails, off and len
	 * tell where, and what was left. */
	enum disk_op op;
	bool unmap;        /* DISK_ZERO: storage may be given back to the host */
	uint64_t off, len; /* a range for which disk_covers() is true */
	/* READ, WRITE: nr_iov (at most IOV_MAX) of them, len bytes in sum; they stay until it is
	 * done. */
	struct iovec *iov;
	unsigned nr_iov;

	int result; /* when done: 0 or -errno */

	/* The disk's own. */
	struct disk_request *next;
	uint64_t cost; /* bytes that count while it is begun; 0: it isn't */
	bool by_hand;  /* done by disk_do(), a piece at a time */
};

/* Removes the first n bytes of a READ or WRITE, which have been transferred, from r. */
void disk_advance(struct disk_request *r, size_t n);

/* Returns the cheapest mode of fallocate(2) for a DISCARD or ZERO. */
int disk_fallocate_mode(const struct disk_request *r);

/* Returns "read", "write", … for messages. */
const char *disk_op_name(enum disk_op op);
