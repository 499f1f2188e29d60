/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bus maps addresses (PIO ports or MMIO) to devices.
 *
 * It is filled during set-up, frozen before the first vCPU runs, and constant from then on, so that
 * a look-up takes no lock. bus_read() and bus_write() are door 1 of the two places where a device's
 * lock is taken (docs/threads.md; the other is a loop's callback). An address may belong to a
 * bridge, which has devices of its own; then the lock is that of the device that answers.
 */
#pragma once

#include <pthread.h>

#include "vmm/types.h"

struct dev;

/* These are called with dev->lock held, on any vCPU thread. size is 1, 2, 4 or 8 and off + size
 * lies inside the range that was registered. value has no bits above size bytes. Without read,
 * reads return all ones; without write, writes are ignored. */
struct dev_ops {
	const char *name;
	uint64_t (*read)(struct dev *dev, uint64_t off, unsigned size);
	void (*write)(struct dev *dev, uint64_t off, unsigned size, uint64_t value);
	/* For a bridge: returns the device that answers an access at *off, and makes *off an offset
	 * in that device. NULL: none does. It is called without a lock, so it looks only at what is
	 * constant or atomic. */
	struct dev *(*forward)(struct dev *dev, uint64_t *off, unsigned size);
};

struct dev {
	const struct dev_ops *ops;
	pthread_mutex_t lock;
};

void dev_init(struct dev *dev, const struct dev_ops *ops);
void dev_destroy(struct dev *dev);

#define BUS_MAX_RANGES 64

struct bus_range {
	uint64_t base, len;
	struct dev *dev;        /* not owned */
	uint64_t reads, writes; /* atomic */
};

struct bus {
	struct bus_range range[BUS_MAX_RANGES]; /* sorted by base, disjoint */
	size_t nr;
	bool frozen;
};

/* Maps [base, base + len) to dev. Returns 0, -EINVAL (empty or wraps), -EEXIST (overlaps) or
 * -ENOSPC. */
int bus_add(struct bus *b, uint64_t base, uint64_t len, struct dev *dev) __must_check;

/* No range is added from here on. */
void bus_freeze(struct bus *b);

/* These make an access of size 1, 2, 4 or 8 bytes. If no device answers, or the access crosses the
 * end of a range, it reads as all ones and a write is ignored. *hit (if hit is not NULL) and the
 * result of bus_write() say whether a device answered. Any thread. */
uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size, bool *hit);
bool bus_write(struct bus *b, uint64_t addr, unsigned size, uint64_t value);
