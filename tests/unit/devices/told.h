/* SPDX-License-Identifier: BSD-2-Clause */
/* For devices with one-byte ports that tell the machine something. */
#pragma once

#include "test.h"
#include "vmm/bus.h"
#include "vmm/power.h"

/* What the machine was told. */
struct told {
	unsigned events, value;
	enum power_event what;
};

static inline void tell(void *ctx, enum power_event what, unsigned value)
{
	*(struct told *)ctx = (struct told){ ((struct told *)ctx)->events + 1, value, what };
}

static inline uint64_t in(struct dev *dev, uint64_t off)
{
	return dev->ops->read(dev, off, 1) & 0xff;
}

static inline void out(struct dev *dev, uint64_t off, uint64_t value)
{
	dev->ops->write(dev, off, 1, value);
}
