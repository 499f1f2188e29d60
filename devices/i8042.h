/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keyboard controller, as much of it as it takes to reset a PC: command 0xfe pulses the CPU's reset
 * line.
 *
 * Modelled (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller"): status, self-test, port tests, the configuration byte, the reset pulse. No device
 * is plugged in: a port test fails, and a byte for a keyboard or mouse gets no answer. There are no
 * interrupts; other commands are taken and ignored.
 */
#pragma once

#include "vmm/bus.h"
#include "vmm/power.h"

/* Offsets in the device's range (0x60 on a PC). The addresses in between read as an empty bus does;
 * KVM itself answers port 0x61 before a bus of ours is asked. */
enum { I8042_DATA = 0, I8042_COMMAND = 4, I8042_PORTS = 5 };

struct i8042 {
	struct dev dev;
	struct power power;

	/* What a guest can see: all that a snapshot needs. */
	struct i8042_state {
		uint8_t config;       /* the configuration byte */
		uint8_t output;       /* what the data port reads */
		bool output_full;     /* status bit 0 */
		bool command_written; /* status bit 3: the last write was a command */
		uint8_t command; /* the last one; the next byte at the data port belongs to it */
	} state;
};

/* *power is copied. */
void i8042_init(struct i8042 *k, const struct power *power);
void i8042_destroy(struct i8042 *k);
