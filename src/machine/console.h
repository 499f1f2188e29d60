/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of machine.c that talks to people: what is behind the serial port, the console and the
 * named ports.
 */
#pragma once

#include "machine/machine.h"

/* Opens the host's ends, but for a dry run. 0 or -errno, logged. */
int machine_console_open(struct machine *m, const struct power *power) __must_check;

/* The virtio devices, where there are any. 0 or -errno, logged. */
int machine_console_add(struct machine *m) __must_check;

/* The last bytes go out, and the terminal is as it was: what is printed from here on is the
 * monitor's. No thread runs. */
void machine_console_close(struct machine *m);

/* After machine_console_close() and the transports. */
void machine_console_destroy(struct machine *m);

/* What e is connected to, for people; the path follows where there is one. */
const char *machine_console_where(const struct host_end *e);
