/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-balloon: memory that the guest gives up goes back to the host. See balloon.c. */
#pragma once

#include <linux/virtio_balloon.h>

#include "vmm/virtio.h"

#define BALLOON_PAGE (1ull << VIRTIO_BALLOON_PFN_SHIFT)

/* Takes memory of the guest back: [host, host + len), whole pages of BALLOON_PAGE in guest RAM.
 * From then on it reads as zeroes, or as before when it can't be taken back: the guest expects
 * neither. Whether it was. */
struct balloon_host {
	bool (*release)(void *ctx, void *host, uint64_t len);
	void *ctx;
};

struct balloon_options {
	uint64_t size, most; /* bytes: the first target, and the largest */
	bool reporting;      /* the guest reports pages that it frees */
	unsigned stats_s;    /* ask for statistics as often; 0: only see the first ones */
};

struct virtio_balloon {
	struct virtio_dev vd;
	struct balloon_host host;
	uint32_t most_pages;

	/* What the host wants; a reset leaves it. */
	uint32_t target_pages;
	bool reached; /* the guest got there since it last changed, and that was said */

	/* What the driver said; a reset clears it. */
	uint32_t actual_pages, poison;
	uint64_t stat[VIRTIO_BALLOON_S_NR];
	uint32_t stats; /* a bit for each that is known */

	/* The statistics queue works backwards: we hold the driver's buffer until we want new ones.
	 */
	bool holding, asked;
	uint16_t held;
	struct loop *loop;
	struct loop_source timer; /* fd -1: none */
	bool watched;             /* it is on the loop */

	/* Bytes taken back in all: from the balloon, and as reported. */
	uint64_t inflated, reported;
};

/* 0; or -errno, logged, with *b safe to destroy. */
int virtio_balloon_init(struct virtio_balloon *b, const struct balloon_options *o,
			const struct balloon_host *host, struct loop *loop) __must_check;

/* The loop isn't running. Safe also after a failure, and when all of *b is zero. */
void virtio_balloon_destroy(struct virtio_balloon *b);

/* Moves the target by so many bytes, as far as it goes. Returns what it is now, in bytes. For other
 * threads than the device's: takes its lock. */
uint64_t virtio_balloon_move(struct virtio_balloon *b, int64_t bytes);
