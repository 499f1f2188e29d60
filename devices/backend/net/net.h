/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a virtio-net device is plugged into: a TAP, a user-mode network, a stream socket.
 *
 * A frame travels as struct virtio_net_hdr_v1 (12 bytes, virtio 1.2 §5.1.6) and what is on the wire
 * after it, in the iovecs of descriptor chains: a backend that can reads and writes those directly.
 * What is in them is the guest's, and may change while it is looked at: a backend that must look
 * copies first. A frame that a backend makes needs no header but twelve zeroes; num_buffers is set
 * by the device.
 *
 * Threads: every function but start and destroy is called with the device's lock held, on the
 * device's loop or on a vCPU's thread. The backend calls ready() and link() on the loop, with that
 * lock held (which its sources get from b->lock), never from inside a call of the device's.
 */
#pragma once

#include <linux/virtio_net.h>
#include <pthread.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "vmm/loop.h"
#include "vmm/types.h"

#define NET_HDR_LEN sizeof(struct virtio_net_hdr_v1)
/* IP's largest packet, Ethernet's header with a VLAN tag, and virtio-net's header. */
#define NET_MAX_FRAME (65535 + 18 + NET_HDR_LEN)
#define NET_MAX_IOV   1024 /* of one frame; what readv() takes */
#define NET_MAX_PAIRS 16

struct net_backend;

struct net_backend_ops {
	const char *name;

	/* Puts its descriptors on loop, which isn't running yet. 0 or -errno, logged. */
	int (*start)(struct net_backend *b, struct loop *loop);
	/* One frame of the guest's, header first, of NET_HDR_LEN to NET_MAX_FRAME bytes. The bytes
	 * taken, which is all of them; -EAGAIN: no room, nothing taken, ready() tells when there
	 * is, or never will be; another -errno: this frame is lost. */
	ssize_t (*send)(struct net_backend *b, unsigned pair, const struct iovec *iov, unsigned nr);
	/* One frame for the guest, header first, into iov, which has room for more than
	 * NET_MAX_FRAME. Bytes; -EAGAIN: there is none, ready() tells when there is; another
	 * -errno: a frame was lost (it is never cut). */
	ssize_t (*receive)(struct net_backend *b, unsigned pair, const struct iovec *iov,
			   unsigned nr);
	/* Whether receive() is of any use now. off: the guest has no buffers; ready() may stay
	 * quiet about frames, which wait (or are dropped by whoever queues them). on, which may be
	 * said again while it is on: ready() is called soon if a frame is there already. It is on
	 * from the start. */
	void (*want_frames)(struct net_backend *b, unsigned pair, bool on);
	/* The driver agreed on these VIRTIO_NET_F_* of those in features; 0 after a reset. NULL:
	 * features is 0. */
	int (*set_features)(struct net_backend *b, uint64_t features);
	/* The driver uses the first nr pairs; 1 after a reset. NULL: there is one. */
	int (*set_pairs)(struct net_backend *b, unsigned nr);
	/* The TAP's descriptor for vhost-net; -EINVAL: its frames have no header. NULL: it is no
	 * TAP. */
	int (*tap_fd)(struct net_backend *b, unsigned pair);
	/* While the loop is not running. Frees b. */
	void (*destroy)(struct net_backend *b);
};

/* Embedded in what an open function of the backend's allocates. */
struct net_backend {
	const struct net_backend_ops *ops;
	uint64_t features; /* VIRTIO_NET_F_* that need the other end: checksum and segmentation */
	unsigned pairs;    /* at most; 1 to NET_MAX_PAIRS */
	unsigned mtu;      /* of the network; 0: not known, the guest has its default */
	bool down;         /* there is no other end yet: link() says when */

	/* The device's end: set by the device before it calls start(). */
	void (*ready)(void *ctx, unsigned pair); /* try again: to receive, to send */
	void (*link)(void *ctx, bool up);        /* the other end came or went */
	void *ctx;                               /* not owned */
	pthread_mutex_t *lock;                   /* the device's; not owned */
};
