/* SPDX-License-Identifier: BSD-2-Clause */
/* The registers of the power-management block (ACPI 6.3 §4.8.3), as the device (devices/pm.h) has
 * them and as the ACPI tables describe them. */
#pragma once

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
