/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the machine's virtio devices sit: the part of it that knows what a transport is.
 * machine_add_virtio() (machine.h) is the way in.
 */
#pragma once

#include "common/devices.h"
#include "machine/machine.h"

/* Chooses the transport, unless --transport says it, and makes the PCI bus, with nothing on it.
 * Called when there is guest memory, and before the VM. */
void transport_init(struct machine *m);
/* Lets the guest read the registers of virtio-mmio devices without an exit, if KVM can do that. Called
 * before the VM has interrupt controllers: after that, a memory slot takes milliseconds, as it waits
 * for a grace period of the host's kernel. */
void transport_show(struct machine *m);

/* Maps the registers of all devices. Returns 0 or -errno, logged. */
int transport_map(struct machine *m) __must_check;

/* Tells a kernel in d, which then refers to list, where it finds them. */
void transport_describe(const struct machine *m, struct device_places *d,
			struct virtio_place list[MACHINE_MAX_VIRTIO]);

/* Puts into r what a kernel must not use for anything else. */
void transport_reserve(const struct machine *m, struct boot_request *r);

/* Resets all devices and frees their transports. Called when no thread runs. */
void transport_destroy(struct machine *m);

/* Returns the module of Linux that finds the devices there. */
const char *transport_module(const struct machine *m);

/* Returns where device number i is, in words: the first columns of a line of --dry-run. */
#define TRANSPORT_WHERE_LEN 40
const char *transport_where(const struct machine *m, size_t i, char text[TRANSPORT_WHERE_LEN]);
