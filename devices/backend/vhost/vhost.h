/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues that the host's kernel serves (vhost), for any virtio device: the parts that are the same
 * for /dev/vhost-net and /dev/vhost-vsock. The device tells the kernel itself when to begin and when
 * to end (VHOST_NET_SET_BACKEND, VHOST_VSOCK_SET_RUNNING); kicks and interrupts then pass us by,
 * through the transport's eventfds.
 *
 * Each call but open and close is made with the device's lock held.
 */
#pragma once

#include "backend/kept.h"
#include "vmm/virtio.h"

struct vhost {
	int fd;             /* -1: none */
	const char *option; /* for messages; not owned */
	uint64_t features;  /* of virtio and vhost: those that the kernel has */

	/* While the queues are set up, queues first to first + nr - 1 of vd are rings 0 to nr -
	 * 1. */
	struct virtio_dev *vd;
	unsigned first, nr;
};

/* Takes descriptor nr of kept (or NULL), which has been stopped, if that is kept; otherwise opens
 * path, such as /dev/vhost-net, which module provides. Returns 0 or -errno, logged; vhost_close()
 * is safe either way, and when *v is { .fd = -1 }. */
int vhost_open(struct vhost *v, const char *option, const char *path, const char *module,
	       struct kept *kept, unsigned nr) __must_check;
void vhost_close(struct vhost *v);

/* Returns those of features that the queues may have when v serves them. Features about rings are
 * left out unless the kernel knows them; RING_RESET always is, because nobody is told when a single
 * queue comes back. The device masks all other features that need the kernel. */
uint64_t vhost_offer(const struct vhost *v, uint64_t features);

/* Called in activate: gives the kernel those negotiated features that are its own, guest memory,
 * and nr queues from first on, all of which are ready. Our loop does not read their kicks before
 * vhost_stop(). Afterwards the device tells the kernel to begin, and calls vhost_kick().
 * Returns 0 or -errno, logged, but no more often than guest_errno() logs. */
int vhost_start(struct vhost *v, struct virtio_dev *vd, unsigned first, unsigned nr) __must_check;
/* Makes the kernel look at each queue once, whether or not the driver kicked it before. */
void vhost_kick(const struct vhost *v);
/* Called when the kernel has stopped. Takes over where it left each queue, and makes our loop read
 * the kicks again, so that the device can call vhost_start() again when it is kicked. It sets
 * q->quiet then, because the kernel asks for the next kick. No effect if not started. */
void vhost_stop(struct vhost *v);
