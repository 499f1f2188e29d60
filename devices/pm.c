/* SPDX-License-Identifier: BSD-2-Clause */
#include "pm.h"

static uint64_t pm_read(struct dev *dev, uint64_t off, unsigned size __unused)
{
	struct pm *p = container_of(dev, struct pm, dev);
	uint8_t events = p->state.events;

	if (off != PM_EVENTS)
		return 0;
	p->state.events = 0;
	return events;
}

static void pm_write(struct dev *dev, uint64_t off, unsigned size __unused, uint64_t value)
{
	struct pm *p = container_of(dev, struct pm, dev);

	switch (off) {
	case PM_SLEEP_CONTROL:
		if (value & PM_SLP_EN && (value >> 2 & 7) == PM_SLP_TYP_S5)
			power_report(&p->power, POWER_OFF, 0);
		break;
	case PM_RESET:
		if (value == PM_RESET_VALUE)
			power_report(&p->power, POWER_RESET, 0);
		break;
	}
}

static const struct dev_ops pm_ops = { .name = "pm", .read = pm_read, .write = pm_write };

void pm_init(struct pm *p, const struct irq_line *irq, const struct power *power)
{
	*p = (struct pm){ .irq = *irq, .power = *power };
	dev_init(&p->dev, &pm_ops);
}

void pm_destroy(struct pm *p)
{
	dev_destroy(&p->dev);
}

void pm_press_power_button(struct pm *p)
{
	pthread_mutex_lock(&p->dev.lock);
	p->state.events |= PM_EVENT_POWER_BUTTON;
	irq_pulse(&p->irq);
	pthread_mutex_unlock(&p->dev.lock);
}
