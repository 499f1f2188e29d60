/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other end of a virtio-net device: a TAP, a user-mode network, a stream socket.
 *
 * A frame travels as struct virtio_net_hdr_v1 (12 bytes, virtio 1.2 §5.1.6), followed by the bytes
 * on the wire, in the iovecs of descriptor chains: a backend that can reads and writes those
 * directly. Their contents are the guest's and may change at any time: a backend that looks at them
 * copies them first. The header of a frame from a backend may be twelve zeroes; the device sets
 * num_buffers.
 *
 * Threads: every function but start and destroy is called with the device's lock held, on the
 * device's loop or on a vCPU's thread. The backend calls ready() and link() on the loop, with that
 * lock held (its sources get it from b->lock), never from inside a call by the device.
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
#define NET_MAX_IOV   1024 /* of one frame; readv() takes no more */
#define NET_MAX_PAIRS 16
#define NET_BATCH     32  /* frames that are sent at once */
#define NET_BATCH_IOV 512 /* iovecs of all frames of a batch */

struct net_backend;

/* A frame of the guest's, header first. */
struct net_frame {
	const struct iovec *iov;
	unsigned nr;
	size_t len; /* bytes in iov: NET_HDR_LEN to NET_MAX_FRAME */
};

struct net_backend_ops {
	const char *name;

	/* Puts its descriptors on loop, which isn't running yet. Returns 0, or -errno, logged. */
	int (*start)(struct net_backend *b, struct loop *loop);
	/* Sends one frame of the guest's, header first, of NET_HDR_LEN to NET_MAX_FRAME bytes.
	 * Returns its length; -EAGAIN: there is no room, and nothing was taken; ready() says when
	 * there is room (perhaps never); another -errno: this frame is lost. */
	ssize_t (*send)(struct net_backend *b, unsigned pair, const struct iovec *iov, unsigned nr);
	/* The same for 1 to NET_BATCH frames, in order, with fewer system calls. Returns how many
	 * it took, and adds to *lost how many of those were lost; fewer than nr: there is no room
	 * for the next. NULL: send() is as good. */
	unsigned (*send_batch)(struct net_backend *b, unsigned pair, const struct net_frame *frame,
			       unsigned nr, uint64_t *lost);
	/* Reads one frame for the guest, header first, into iov, which has room for more than
	 * NET_MAX_FRAME. Returns its bytes; -EAGAIN: there is none, and ready() says when there is;
	 * another -errno: a frame was lost (a frame is never cut). */
	ssize_t (*receive)(struct net_backend *b, unsigned pair, const struct iovec *iov,
			   unsigned nr);
	/* Says whether receive() is of any use now. off: the guest has no buffers; ready() need not
	 * report frames, which wait (or are dropped where they are queued). on, which may be
	 * repeated: ready() is called soon if a frame is there already. It is on from the start. */
	void (*want_frames)(struct net_backend *b, unsigned pair, bool on);
	/* The driver agreed on these VIRTIO_NET_F_*, which are among those in features; 0 after a
	 * reset. NULL: features is 0. */
	int (*set_features)(struct net_backend *b, uint64_t features);
	/* The driver uses the first nr pairs; 1 after a reset. NULL: there is one. */
	int (*set_pairs)(struct net_backend *b, unsigned nr);
	/* Returns the TAP's descriptor for vhost-net; -EINVAL: its frames have no header. NULL: it
	 * is not a TAP. */
	int (*tap_fd)(struct net_backend *b, unsigned pair);
	/* Frees b. The loop isn't running. */
	void (*destroy)(struct net_backend *b);
};

/* An open function of a backend allocates this as a part of a larger structure. */
struct net_backend {
	const struct net_backend_ops *ops;
	uint64_t features; /* the other end's VIRTIO_NET_F_* of checksums and segmentation */
	unsigned pairs;    /* at most so many; 1 to NET_MAX_PAIRS */
	unsigned mtu;      /* of the network; 0: not known, the guest uses its default */
	bool down;         /* there is no other end yet: link() says when there is */

	/* The device's end, which the device sets before it calls start(). */
	void (*ready)(void *ctx, unsigned pair); /* try again: to receive, to send */
	void (*link)(void *ctx, bool up);        /* the other end came or went */
	void *ctx;                               /* not owned */
	pthread_mutex_t *lock;                   /* the device's; not owned */
};
