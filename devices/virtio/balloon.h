/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-balloon: memory that the guest gives up goes back to the host. See balloon.c. */
#pragma once

#include <linux/virtio_balloon.h>

#include "vmm/options.h"
#include "vmm/virtio.h"

#define BALLOON_PAGE (1ull << VIRTIO_BALLOON_PFN_SHIFT)

/* The most that the balloon takes: the guest's kernel keeps an eighth, which it needs. */
#define BALLOON_MOST(memory) ((memory) - (memory) / 8)

/* The values of --balloon. */
struct balloon_options {
	bool on;
	uint64_t size;  /* bytes: the first target, at most BALLOON_MOST */
	bool reporting; /* the guest reports pages that it frees */
	unsigned stats; /* seconds between requests for statistics; 0: only the first ones */
	/* The user didn't ask for it: it has no statistics, and where the host can't take memory
	 * back, there is no device and no warning. */
	bool by_default;
};
extern const struct opt_table virtio_balloon_options;

extern const struct virtio_ops virtio_balloon_ops;

struct virtio_balloon {
	struct virtio_dev vd;
	struct virtio_host host;
	uint64_t size; /* bytes: the first target */
	uint32_t most_pages;

	/* All that a snapshot needs, once virtio_quiesce() has given back the buffer that is held. */
	struct virtio_balloon_state {
		/* The host's wish; a reset leaves it unchanged. */
		uint32_t target_pages;
		bool reached; /* the guest got there since it last changed, and that was logged */

		/* The driver's words; a reset clears them. */
		uint32_t actual_pages, poison;
		uint64_t stat[VIRTIO_BALLOON_S_NR];
		uint32_t stats; /* a bit for each known one */
		bool asked;     /* for new ones, which have not come yet */
	} state;

	/* The statistics queue works backwards: we hold the driver's buffer until we want new
	 * ones. */
	bool holding;
	uint16_t held;
	struct loop_source timer; /* fd -1: there is none */
	bool watched;             /* it is on the loop */

	/* Total bytes taken back: from the balloon, and from reports. */
	uint64_t inflated, reported;
};

/* Returns 0; or -errno, logged, with *b safe to destroy. */
int virtio_balloon_init(struct virtio_balloon *b, const struct balloon_options *o,
			const struct virtio_host *host) __must_check;

/* The loop isn't running. Safe also after a failure, and when all of *b is zero. */
void virtio_balloon_destroy(struct virtio_balloon *b);

/* Moves the target by so many bytes, as far as possible. Returns the new target, in bytes. Takes
 * the device's lock, so it is for other threads than the device's. */
uint64_t virtio_balloon_move(struct virtio_dev *vd, int64_t bytes);
