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
#include "vmm/power.h"

/* Offsets in the device's range, one byte each. */
enum {
	PM_SLEEP_CONTROL = 0, /* §4.8.3.7: SLP_TYP in bits 4:2, SLP_EN in bit 5; reads as 0 */
	PM_SLEEP_STATUS = 1,  /* §4.8.3.7: WAK_STS in bit 7 stays 0, as the machine never sleeps */
	PM_RESET = 2,         /* §4.8.3.6: PM_RESET_VALUE resets the machine; reads as 0 */
	PM_EVENTS = 3,        /* ours: events since the last read, which clears them */
	PM_PORTS = 4,
};
enum {
	PM_SLP_EN = 1 << 5,
	PM_SLP_TYP_S5 = 5, /* what the DSDT's \_S5 must say */
	PM_RESET_VALUE = 1,
	PM_EVENT_POWER_BUTTON = 1 << 0, /* in PM_EVENTS */
};

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
