/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-net: a network card for the guest. See net.c; net_path.c moves the frames, net_ctrl.c
 * serves the control queue. */
#pragma once

#include "backend/net/net.h"
#include "backend/vhost/vhost.h"
#include "vmm/virtio.h"

#define NET_MAC_LEN 6

struct net_pair; /* net_path.c */

struct virtio_net_options {
	const char *name; /* for messages: "--net tap=tap0"; outlives the device */
	uint8_t mac[NET_MAC_LEN];
	unsigned mtu;      /* 0: the backend's */
	bool vhost;        /* the backend must have tap_fd */
	bool dry;          /* the device never starts, and opens no vhost */
	struct kept *kept; /* of the backend's option, too; outlives the device; or NULL */
};

struct virtio_net {
	struct virtio_dev vd;
	const char *name;
	struct net_backend *backend; /* owned */
	struct net_pair *pair;       /* backend->pairs of them */
	struct vhost *vhost;         /* one for each pair, or NULL */
	uint8_t own_mac[NET_MAC_LEN];
	unsigned mtu;
	bool up;       /* the link is up */
	bool by_vhost; /* the kernel serves the queues of frames, or would in a real run */

	/* The driver can change these; a reset clears them. They are all that a snapshot needs, once
	 * virtio_quiesce() has given back the chains that are staged or held. */
	struct virtio_net_state {
		uint8_t mac[NET_MAC_LEN];
		unsigned pairs;    /* those in use */
		uint64_t features; /* those of the backend's that are in force */
	} state;

	uint64_t rx_lost, tx_lost; /* frames */
};

/* Connects the device to backend, which works on the loop of the kicks, and is destroyed with the
 * device, or at once if this fails. Returns 0 or -errno, logged; virtio_net_destroy() is safe
 * either way. */
int virtio_net_init(struct virtio_net *n, const struct virtio_net_options *o,
		    struct net_backend *backend) __must_check;
/* The loop isn't running. Safe also a second time, and when all of *n is zero. */
void virtio_net_destroy(struct virtio_net *n);
