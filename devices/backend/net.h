/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a virtio-net device is plugged into: a TAP, a user-mode network, a stream socket.
 *
 * A frame travels as struct virtio_net_hdr_v1 (12 bytes, virtio 1.2 §5.1.6) and what is on the wire
 * after it, in the iovecs of descriptor chains: a backend that can reads and writes those directly.
 * What is in them is the guest's, and may change while it is looked at: a backend that must look
 * copies first.
 *
 * Threads: every function but open and destroy is called with the device's lock held, on the
 * device's loop or on a vCPU's thread (set_features, set_pairs). The backend calls ready() on the
 * loop, with that lock held, never from inside a call of the device's.
 */
#pragma once

#include <linux/virtio_net.h>
#include <pthread.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "vmm/loop.h"
#include "vmm/types.h"

#define NET_HDR_LEN   sizeof(struct virtio_net_hdr_v1)
#define NET_MAX_FRAME (65536 + NET_HDR_LEN) /* with every offload on; header included */
#define NET_MAX_PAIRS 16

struct net_backend;

struct net_backend_ops {
	const char *name;

	/* Puts its descriptors on loop, which isn't running yet. 0 or -errno, logged. */
	int (*start)(struct net_backend *b, struct loop *loop);
	/* One frame of the guest's, header first. The bytes taken, which is all of them; -EAGAIN:
	 * no room, nothing taken, ready() tells when there is; another -errno: this frame is lost.
	 */
	ssize_t (*send)(struct net_backend *b, unsigned pair, const struct iovec *iov, unsigned nr);
	/* One frame for the guest, header first (num_buffers 1), into iov, which has room for
	 * NET_MAX_FRAME or for what the guest's smallest buffers must hold. Bytes; -EAGAIN: there
	 * is none, ready() tells when there is; another -errno: a frame was lost (too long: it
	 * never is cut). */
	ssize_t (*receive)(struct net_backend *b, unsigned pair, const struct iovec *iov,
			   unsigned nr);
	/* Whether receive() is of any use now: while the guest has no buffers, ready() stays quiet
	 * about frames and they wait (or are dropped by whoever queues them). */
	void (*want_frames)(struct net_backend *b, unsigned pair, bool on);
	/* The driver agreed on these VIRTIO_NET_F_* of those in features; 0 after a reset. NULL:
	 * features is 0. */
	int (*set_features)(struct net_backend *b, uint64_t features);
	/* The driver uses the first nr pairs. NULL: there is one. */
	int (*set_pairs)(struct net_backend *b, unsigned nr);
	/* While the loop is not running. */
	void (*destroy)(struct net_backend *b);
};

struct net_backend {
	const struct net_backend_ops *ops;
	uint64_t features; /* VIRTIO_NET_F_* that need the other end: checksum and segmentation */
	unsigned pairs;    /* at most; 1 to NET_MAX_PAIRS */

	/* The device's end: set by the device before it calls start(). */
	void (*ready)(void *ctx, unsigned pair); /* try again: to receive, to send */
	void (*link)(void *ctx, bool up);        /* the other end came or went */
	void *ctx;                               /* not owned */
	pthread_mutex_t *lock;                   /* the device's; not owned */
};
