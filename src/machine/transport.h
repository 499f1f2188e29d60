/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the machine's virtio devices sit: the part of it that knows what a transport is.
 * machine_add_virtio() (machine.h) is the way in.
 */
#pragma once

#include "x86/acpi.h"
#include "machine/machine.h"

/* Makes the PCI bus, with nothing on it. Called before the first device. */
void transport_init(struct machine *m);

/* Maps the registers of all devices. Returns 0 or -errno, logged. */
int transport_wire(struct machine *m) __must_check;

/* Tells a kernel in c, which then refers to list, where it finds them. */
void transport_describe(const struct machine *m, struct acpi_config *c,
			struct acpi_virtio list[MACHINE_MAX_VIRTIO]);

/* Puts into r what a kernel must not use for anything else. */
void transport_reserve(const struct machine *m, struct boot_request *r);

/* Resets all devices and frees their transports. Called when no thread runs. */
void transport_destroy(struct machine *m);

/* Returns where device number i is, in words: the first columns of a line of --dry-run. */
#define TRANSPORT_WHERE_LEN 40
const char *transport_where(const struct machine *m, size_t i, char text[TRANSPORT_WHERE_LEN]);
