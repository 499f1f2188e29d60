/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The eventfds of a device, as it asks for them to be wired: kicks to the addresses where the
 * driver stores; and those of a PCI function's interrupts, to the messages that the driver chose.
 * KVM does that (ioeventfd and irqfd), or a test.
 *
 * Each call is a leaf: it takes no lock of a device, and may be made from any thread with the
 * function's own lock held.
 */
#pragma once

#include "vmm/types.h"

/* A store of the guest's to gpa: of any width and value, if len is 0. */
struct doorbell {
	gpa_t gpa;
	unsigned len;
	uint32_t value;
};

struct wires_ops {
	/* Such a store signals fd from now on; or, unless on, no more. -errno: it can't be done,
	 * and the store arrives by the bus instead. */
	int (*doorbell)(void *ctx, const struct doorbell *bell, int fd, bool on);

	/* Message-signalled interrupt n, a number of the whole machine's, is this message: from the
	 * next msi_connect() on, whichever it is for, so that a change of many costs as much as one
	 * of one. */
	void (*msi_route)(void *ctx, unsigned n, uint64_t address, uint32_t data);
	/* A signal of fd, and one that is pending in it, is sent as message n; there may be several
	 * fds. 0 or -errno. */
	int (*msi_connect)(void *ctx, unsigned n, int fd);
	/* No more: when this returns all that came is sent, and what comes stays in fd. */
	void (*msi_disconnect)(void *ctx, unsigned n, int fd);
};

struct wires {
	const struct wires_ops *ops; /* NULL: nothing is wired (a dry run) */
	void *ctx;                   /* not owned */
	unsigned first;              /* n of this function's message 0 */
};
