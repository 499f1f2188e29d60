/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pvpanic: one port by which a guest's kernel says that it panicked (QEMU docs/specs/pvpanic). ACPI
 * describes it as QEMU0001. A read tells which events are understood; a write reports events.
 */
#pragma once

#include "vmm/bus.h"
#include "vmm/power.h"

#define PVPANIC_PORTS 1

enum {
	PVPANIC_PANICKED = 1 << 0,     /* the kernel panicked and stops */
	PVPANIC_CRASH_LOADED = 1 << 1, /* it panicked, and a crash kernel takes over: it goes on */
};

struct pvpanic {
	struct dev dev;
	struct power power; /* told POWER_PANIC for PVPANIC_PANICKED only */
};

/* *power is copied. */
void pvpanic_init(struct pvpanic *p, const struct power *power);
void pvpanic_destroy(struct pvpanic *p);
