/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug_exit.h"

static uint64_t debug_exit_read(struct dev *dev __unused, uint64_t off __unused,
				unsigned size __unused)
{
	return 0;
}

static void debug_exit_write(struct dev *dev, uint64_t off __unused, unsigned size __unused,
			     uint64_t value)
{
	struct debug_exit *d = container_of(dev, struct debug_exit, dev);

	power_report(&d->power, POWER_DEBUG_EXIT, (unsigned)(value << 1 | 1));
}

static const struct dev_ops debug_exit_ops = { .name = "debug-exit",
					       .read = debug_exit_read,
					       .write = debug_exit_write };

void debug_exit_init(struct debug_exit *d, const struct power *power)
{
	*d = (struct debug_exit){ .power = *power };
	dev_init(&d->dev, &debug_exit_ops);
}

void debug_exit_destroy(struct debug_exit *d)
{
	dev_destroy(&d->dev);
}
