/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug exit: a port by which a test kernel ends the monitor with an exit status of its choice,
 * like QEMU's isa-debug-exit: writing v ends it with (v << 1) | 1, which is never 0. Reads as 0.
 */
#pragma once

#include "vmm/bus.h"
#include "vmm/power.h"

#define DEBUG_EXIT_PORTS 4 /* so that a write of up to four bytes fits */

struct debug_exit {
	struct dev dev;
	/* It is told POWER_DEBUG_EXIT with the status, of which only the low byte survives
	 * exit(2). */
	struct power power;
};

/* *power is copied. */
void debug_exit_init(struct debug_exit *d, const struct power *power);
void debug_exit_destroy(struct debug_exit *d);
