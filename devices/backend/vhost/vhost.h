/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues that the host's kernel serves (vhost), for any virtio device: what is the same for
 * /dev/vhost-net and /dev/vhost-vsock. The device tells its driver in the kernel when to begin and
 * when to end (VHOST_NET_SET_BACKEND, VHOST_VSOCK_SET_RUNNING); kicks and interrupts then pass us
 * by, through the transport's eventfds.
 *
 * Each call but open and close has the device's lock held.
 */
#pragma once

#include "backend/kept.h"
#include "vmm/virtio.h"

struct vhost {
	int fd;             /* -1: none */
	const char *option; /* for messages; not owned */
	uint64_t features;  /* of virtio and vhost, that the kernel has */

	/* While it is set up: queues first to first + nr - 1 of vd are its rings 0 to nr - 1. */
	struct virtio_dev *vd;
	unsigned first, nr;
};

/* Opens path, such as /dev/vhost-net, which module provides, or takes descriptor nr of kept, which
 * has stopped by then (kept: or NULL). 0 or -errno, logged; vhost_close() is safe either way, and
 * when *v is { .fd = -1 }. */
int vhost_open(struct vhost *v, const char *option, const char *path, const char *module,
	       struct kept *kept, unsigned nr) __must_check;
void vhost_close(struct vhost *v);

/* Those of features that the queues may have when v serves them: of what is about rings the kernel
 * must know it, too; and RING_RESET is not among them, because nothing tells when a single queue
 * comes back. What else the kernel must know is the device's to mask. */
uint64_t vhost_offer(const struct vhost *v, uint64_t features);

/* In activate: gives the kernel the features that were negotiated and are its own, guest memory,
 * and nr queues from first on, all of them ready. Our loop reads their kicks no more until the
 * device is reset. Afterwards the device says that it runs, and calls vhost_kick(). 0 or -errno,
 * logged, but no more often than guest_errno() does. */
int vhost_start(struct vhost *v, struct virtio_dev *vd, unsigned first, unsigned nr) __must_check;
/* Lets the kernel look at each queue once, whether or not the driver kicked it before. */
void vhost_kick(const struct vhost *v);
/* The kernel has ended. Takes over where it left each queue off; does nothing when not started. */
void vhost_stop(struct vhost *v);
