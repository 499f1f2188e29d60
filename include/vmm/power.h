/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How devices tell the owner of their machine that it must stop running, and why.
 *
 * event() may be called from any thread, with a device's lock held: it records what happened and
 * stops loops and vCPUs, and neither waits nor calls a device.
 */
#pragma once

#include "vmm/types.h"

enum power_event {
	POWER_OFF,        /* the guest powered itself off */
	POWER_RESET,      /* the guest asked for a reset */
	POWER_PANIC,      /* the guest's kernel panicked; value: the pvpanic event bits */
	POWER_DEBUG_EXIT, /* value: the exit status that the guest chose */
	POWER_QUIT,       /* the user quit at the terminal */
};

struct power {
	void (*event)(void *ctx, enum power_event what, unsigned value);
	void *ctx; /* not owned */
};

static inline void power_report(const struct power *p, enum power_event what, unsigned value)
{
	p->event(p->ctx, what, value);
}
