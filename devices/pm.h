/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Power management of a hardware-reduced ACPI machine (ACPI 6.3 §4.1): the sleep registers and the
 * reset register that the FADT points at, and a power button that is signalled by a Generic Event
 * Device (§5.6.9) in the DSDT.
 *
 * Sleep states other than S5 are not offered (there is no _S1 to _S4), so they are ignored.
 */
#pragma once

#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/pm.h"
#include "vmm/power.h"

struct pm {
	struct dev dev;
	struct irq_line irq; /* edge-triggered: one edge for each event */
	struct power power;

	/* What a guest can see: all that a snapshot needs. */
	struct pm_state {
		uint8_t events; /* PM_EVENTS */
	} state;
};

/* *irq and *power are copied. */
void pm_init(struct pm *p, const struct irq_line *irq, const struct power *power);
void pm_destroy(struct pm *p);

/* The power button was pressed. Takes the device's lock: any thread that holds none may call
 * this. */
void pm_press_power_button(struct pm *p);
