/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kicks of a virtio device's queues, for any transport: an eventfd for each queue, which KVM
 * signals (ioeventfd) or, if the driver's write causes an exit, the transport. Either way the queue
 * is served on the device's loop, never on a vCPU's thread. With vhost it is served outside of this
 * process.
 *
 * A queue that is lent to another process has a second eventfd, which KVM signals instead of the
 * first. Exits still signal the first one, which is ours alone.
 */
#pragma once

#include "vmm/virtio.h"
#include "vmm/wires.h"

struct virtio_kicks;

struct virtio_kick {
	struct loop_source src; /* src.fd: an eventfd, owned */
	struct virtio_kicks *all;
	bool watched; /* our loop reads it */
	struct shared_fd lent;
	struct doorbell bell;
	bool wired; /* the doorbell signals lent if it is open, otherwise src.fd */
};

struct virtio_kicks {
	struct virtio_dev *vd; /* its lock is held in each call below but init and destroy */
	struct loop *loop;
	struct loop_poller poller;                  /* looks at the rings */
	struct wires wires;                         /* ops NULL: none, every kick is an exit */
	struct virtio_kick kick[VIRTIO_MAX_QUEUES]; /* one for each queue of the device */
};

/* vd already has its lock; vd and loop must outlive k. Returns 0 or -errno, logged;
 * virtio_kicks_destroy() is safe either way. */
int virtio_kicks_init(struct virtio_kicks *k, struct virtio_dev *vd,
		      struct loop *loop) __must_check;
/* The loop isn't running. */
void virtio_kicks_destroy(struct virtio_kicks *k);

/* The driver kicked queue index, which may be any number. */
void virtio_kicks_send(const struct virtio_kicks *k, uint32_t index);

/* A queue's doorbell is at bell from now on; NULL: it has none. Returns 0; or -errno, not logged:
 * then kicks are exits. */
int virtio_kicks_place(struct virtio_kicks *k, unsigned queue, const struct doorbell *bell);

/* Does virtio_set_status() and its effect on kicks. A reset makes our loop watch every queue again
 * and takes back those that are lent. With DRIVER_OK every queue is looked at once: some drivers
 * (such as Linux's balloon) offer buffers and kick before they set it, when we don't listen yet
 * (§3.1.1). */
void virtio_kicks_set_status(struct virtio_kicks *k, uint8_t status);

/* For struct virtio_transport_ops, with queue < vd->nr_queues. */
int virtio_kicks_fd(const struct virtio_kicks *k, unsigned queue);
void virtio_kicks_watch(struct virtio_kicks *k, unsigned queue, bool on);
int virtio_kicks_lend(struct virtio_kicks *k, unsigned queue, struct shared_fd *kick);
