/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device has its eventfds wired by these calls: those of its kicks to the addresses where the
 * driver stores, and those of a PCI function's interrupts to the messages that the driver chose.
 * KVM does it (ioeventfd and irqfd), or a test.
 *
 * Each call is a leaf: it takes no lock of a device, and may be made from any thread with the
 * function's own lock held.
 */
#pragma once

#include "vmm/types.h"

/* The guest stores value, of len bytes, to gpa. len 0: a store of any width and value. */
struct doorbell {
	gpa_t gpa;
	unsigned len;
	uint32_t value;
};

/* A message-signalled interrupt: a store of data to address. */
struct msi {
	uint64_t address;
	uint32_t data;
	/* The function that sends it, as PCI's bus << 8 | slot << 3 | function. Some interrupt
	 * controllers need it (Arm's ITS); x86's don't. */
	uint32_t device;
};

struct wires_ops {
	/* Such a store signals fd from now on; or, if on is false, no longer does. Returns 0, or
	 * -errno if it can't be done: then the store arrives by the bus instead. */
	int (*doorbell)(void *ctx, const struct doorbell *bell, int fd, bool on);

	/* Message-signalled interrupt n, a number of the whole machine's, is this message. It
	 * applies from the next msi_connect() on, whichever message that is for, so that a change
	 * of many costs as much as a change of one. */
	void (*msi_route)(void *ctx, unsigned n, const struct msi *msi);
	/* A signal of fd, also one that is pending in it, is sent as message n; several fds may be
	 * connected. Returns 0 or -errno. */
	int (*msi_connect)(void *ctx, unsigned n, int fd);
	/* Disconnects fd: when this returns, all that had come is sent, and what comes from now on
	 * stays in fd. */
	void (*msi_disconnect)(void *ctx, unsigned n, int fd);
};

struct wires {
	const struct wires_ops *ops; /* NULL: nothing is wired (a dry run) */
	void *ctx;                   /* not owned */
	unsigned first;              /* n of this function's message 0 */
};
