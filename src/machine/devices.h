/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's virtio devices. devices.c has them in a list that can be read from top to
 * bottom. */
#pragma once

#include "machine/machine.h"

/* Makes those that m's options ask for, each with its transport. Called after transport_init().
 * Returns 0 or -errno, logged; devices_destroy() must be called after either. */
int devices_init(struct machine *m) __must_check;

/* Called when no thread runs, after transport_destroy(), which has reset them: a device's stream or
 * disk must outlive its transport. It is also safe on zeroes. */
void devices_destroy(struct machine *m);

/* Lists the modules that Linux needs for m's devices, in the order in which they are loaded: that
 * of their transport, then those of each device, which may come more than once, then NULL. */
#define DEVICES_MAX_MODULES (1 + MACHINE_MAX_VIRTIO + 1)
void devices_modules(const struct machine *m, const char *module[DEVICES_MAX_MODULES]);
