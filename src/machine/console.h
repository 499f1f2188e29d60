/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of machine.c that talks to people: what is behind the serial port, the console and the
 * named ports.
 */
#pragma once

#include "machine/machine.h"

/* Opens the host's ends, but for a dry run. 0 or -errno, logged. */
int consoles_open(struct machine *m, const struct power *power) __must_check;

/* The virtio devices, where there are any. 0 or -errno, logged. */
int consoles_add(struct machine *m) __must_check;

/* The last bytes go out, and the terminal is as it was: what is printed from here on is the
 * monitor's. No thread runs. */
void consoles_close(struct machine *m);

/* After consoles_close() and the transports. */
void consoles_destroy(struct machine *m);

/* What e is connected to, for people; the path follows where there is one. */
const char *consoles_where(const struct host_end *e);
