/* SPDX-License-Identifier: BSD-2-Clause */
#include "pvpanic.h"

static uint64_t pvpanic_read(struct dev *dev __unused, uint64_t off __unused,
			     unsigned size __unused)
{
	return PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

static void pvpanic_write(struct dev *dev, uint64_t off __unused, unsigned size __unused,
			  uint64_t value)
{
	struct pvpanic *p = container_of(dev, struct pvpanic, dev);

	if (value & PVPANIC_PANICKED)
		power_report(&p->power, POWER_PANIC, (unsigned)value);
}

static const struct dev_ops pvpanic_ops = { .name = "pvpanic",
					    .read = pvpanic_read,
					    .write = pvpanic_write };

void pvpanic_init(struct pvpanic *p, const struct power *power)
{
	*p = (struct pvpanic){ .power = *power };
	dev_init(&p->dev, &pvpanic_ops);
}

void pvpanic_destroy(struct pvpanic *p)
{
	dev_destroy(&p->dev);
}
