/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/bus.h"

#include <assert.h>
#include <errno.h>

void dev_init(struct dev *dev, const struct dev_ops *ops)
{
	dev->ops = ops;
	pthread_mutex_init(&dev->lock, NULL);
}

void dev_destroy(struct dev *dev)
{
	if (dev->ops)
		pthread_mutex_destroy(&dev->lock);
	dev->ops = NULL;
}

int bus_add(struct bus *b, uint64_t base, uint64_t len, struct dev *dev)
{
	size_t at = 0;

	assert(!b->frozen);
	if (!len || base + (len - 1) < base)
		return -EINVAL;
	if (b->nr == BUS_MAX_RANGES)
		return -ENOSPC;
	while (at < b->nr && b->range[at].base < base)
		at++;
	if (at > 0 && base - b->range[at - 1].base < b->range[at - 1].len)
		return -EEXIST;
	if (at < b->nr && b->range[at].base - base < len)
		return -EEXIST;
	memmove(&b->range[at + 1], &b->range[at], (b->nr - at) * sizeof(b->range[0]));
	b->range[at] = (struct bus_range){ .base = base, .len = len, .dev = dev };
	b->nr++;
	return 0;
}

void bus_freeze(struct bus *b)
{
	b->frozen = true;
}

/* Returns the range that holds all of [addr, addr + size), or NULL. */
static struct bus_range *bus_find(struct bus *b, uint64_t addr, unsigned size)
{
	size_t low = 0, high = b->nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		struct bus_range *r = &b->range[mid];

		if (addr < r->base)
			high = mid;
		else if (addr - r->base >= r->len)
			low = mid + 1;
		else
			return size <= r->len - (addr - r->base) ? r : NULL;
	}
	return NULL;
}

/* Returns the device that answers at addr, and the offset in it through *off. NULL: none does. */
static struct dev *bus_target(struct bus_range *r, uint64_t addr, unsigned size, uint64_t *off)
{
	if (!r)
		return NULL;
	*off = addr - r->base;
	return r->dev->ops->forward ? r->dev->ops->forward(r->dev, off, size) : r->dev;
}

uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size, bool *hit)
{
	struct bus_range *r = bus_find(b, addr, size);
	uint64_t ones = ~0ull >> (64 - 8 * size); /* an open bus reads as ones */
	uint64_t value = ones, off;
	struct dev *dev = bus_target(r, addr, size, &off);

	if (hit)
		*hit = dev != NULL;
	if (!dev)
		return ones;
	__atomic_add_fetch(&r->reads, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&dev->lock); /* door 1 of 2: docs/threads.md */
	if (dev->ops->read)
		value = dev->ops->read(dev, off, size);
	pthread_mutex_unlock(&dev->lock);
	return value & ones;
}

bool bus_write(struct bus *b, uint64_t addr, unsigned size, uint64_t value)
{
	struct bus_range *r = bus_find(b, addr, size);
	uint64_t off;
	struct dev *dev = bus_target(r, addr, size, &off);

	if (!dev)
		return false;
	__atomic_add_fetch(&r->writes, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&dev->lock); /* door 1 of 2: docs/threads.md */
	if (dev->ops->write)
		dev->ops->write(dev, off, size, value & ~0ull >> (64 - 8 * size));
	pthread_mutex_unlock(&dev->lock);
	return true;
}
