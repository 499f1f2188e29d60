/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-blk: a disk for the guest. See blk.c. */
#pragma once

#include "backend/disk/disk.h"
#include "vmm/virtio.h"

struct blk_request;

struct virtio_blk {
	struct virtio_dev vd;
	struct disk disk;
	struct disk_options options; /* what it points to is not owned */
	char id[20];                 /* padded with zeroes; not a string if all 20 bytes are used */

	/* All that a snapshot needs, once virtio_quiesce() has answered what is in flight. A reset
	 * clears it. */
	struct virtio_blk_state {
		bool writethrough; /* the driver set it in the configuration space */
	} state;

	struct loop *loop;              /* has completions and poller; or NULL */
	struct loop_source completions; /* the disk's event_fd, if it has one */
	struct loop_poller poller;      /* looks for completions in memory */

	/* Requests in flight. Each is answered or dropped before a reset, pause or save is over. */
	struct blk_request *request; /* DISK_MAX_IN_FLIGHT of them */
	uint16_t idle[DISK_MAX_IN_FLIGHT];
	unsigned nr_idle;   /* idle[0..nr_idle): a stack, so that only few are ever touched */
	unsigned nr_filled; /* answers in the used ring that aren't published yet */
	bool dropping;      /* a reset is under way: nothing is answered */
};

/* Opens the disk. What o points to outlives the device. Returns 0; or -errno, logged, with *b safe
 * to destroy. */
int virtio_blk_init(struct virtio_blk *b, const struct disk_options *o) __must_check;

/* The loop isn't running. Safe also after a failure, a second time, and when all of *b is zero. */
void virtio_blk_destroy(struct virtio_blk *b);
