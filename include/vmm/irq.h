/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An interrupt line as a device sees it: something that can be raised and lowered. What it reaches
 * is KVM's interrupt controller, an irqfd, or a counter in a test.
 *
 * irq_set() is a leaf: it takes no lock of ours and may be called from any thread, with any lock
 * held.
 */
#pragma once

#include "vmm/types.h"

struct irq_line {
	void (*set)(void *ctx, unsigned n, bool level);
	void *ctx; /* not owned */
	unsigned n;
};

/* Level-triggered lines follow level; edge-triggered ones fire when it goes from false to true. */
static inline void irq_set(const struct irq_line *line, bool level)
{
	if (line->set)
		line->set(line->ctx, line->n, level);
}

/* Makes one edge. */
static inline void irq_pulse(const struct irq_line *line)
{
	irq_set(line, true);
	irq_set(line, false);
}
