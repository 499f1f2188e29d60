/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-balloon: memory that the guest gives up goes back to the host. See balloon.c. */
#pragma once

#include <linux/virtio_balloon.h>

#include "vmm/virtio.h"

#define BALLOON_PAGE (1ull << VIRTIO_BALLOON_PFN_SHIFT)

/* Takes memory back from the guest: [host, host + len), whole pages of BALLOON_PAGE in guest RAM.
 * Afterwards it reads as zeroes, or as before if it can't be taken back: the guest relies on
 * neither. Returns whether it was taken back. */
struct balloon_host {
	bool (*release)(void *ctx, void *host, uint64_t len);
	void *ctx;
};

struct balloon_options {
	uint64_t size, most; /* bytes: the first target, and the largest one */
	bool reporting;      /* the guest reports pages that it frees */
	unsigned stats_s;    /* seconds between requests for statistics; 0: only the first ones */
};

struct virtio_balloon {
	struct virtio_dev vd;
	struct balloon_host host;
	uint64_t size; /* bytes: the first target */
	uint32_t most_pages;

	/* The host's wish; a reset leaves it unchanged. */
	uint32_t target_pages;
	bool reached; /* the guest got there since it last changed, and that was logged */

	/* The driver's words; a reset clears them. */
	uint32_t actual_pages, poison;
	uint64_t stat[VIRTIO_BALLOON_S_NR];
	uint32_t stats; /* a bit for each known one */

	/* The statistics queue works backwards: we hold the driver's buffer until we want new
	 * ones. */
	bool holding, asked;
	uint16_t held;
	struct loop *loop;
	struct loop_source timer; /* fd -1: there is none */
	bool watched;             /* it is on the loop */

	/* Total bytes taken back: from the balloon, and from reports. */
	uint64_t inflated, reported;
};

/* Returns 0; or -errno, logged, with *b safe to destroy. */
int virtio_balloon_init(struct virtio_balloon *b, const struct balloon_options *o,
			const struct balloon_host *host, struct loop *loop) __must_check;

/* The loop isn't running. Safe also after a failure, and when all of *b is zero. */
void virtio_balloon_destroy(struct virtio_balloon *b);

/* Moves the target by so many bytes, as far as possible. Returns the new target, in bytes. Takes
 * the device's lock, so it is for other threads than the device's. */
uint64_t virtio_balloon_move(struct virtio_balloon *b, int64_t bytes);
