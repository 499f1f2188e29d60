/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the serial port, the console and the named ports are connected to.
 */
#pragma once

#include "machine/machine.h"

/* Opens the host's ends, except in a dry run. Returns 0 or -errno, logged. */
int machine_console_open(struct machine *m, const struct power *power) __must_check;

/* Adds the virtio devices that are asked for. Returns 0 or -errno, logged. */
int machine_console_add(struct machine *m) __must_check;

/* Writes the last bytes and restores the terminal: what is printed from here on comes from the
 * monitor. Called when no thread runs. */
void machine_console_close(struct machine *m);

/* Called after machine_console_close() and transport_destroy(). */
void machine_console_destroy(struct machine *m);

/* Returns what e is connected to, in words; the caller adds the path, if there is one. */
const char *machine_console_where(const struct host_end *e);
