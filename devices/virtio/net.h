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

	/* The driver can change these; a reset clears them. */
	struct virtio_net_state {
		uint8_t mac[NET_MAC_LEN];
		unsigned pairs;    /* those in use */
		uint64_t features; /* those of the backend's that are in force */
	} state;

	uint64_t rx_lost, tx_lost; /* frames */
};

/* Connects the device to backend, which works on the loop of the kicks, and is destroyed with the
 * device, or at once if this fails. Returns 0 or -errno, logged; virtio_net_destroy() is safe either
 * way. */
int virtio_net_init(struct virtio_net *n, const struct virtio_net_options *o,
		    struct net_backend *backend) __must_check;
/* The loop isn't running. Safe also a second time, and when all of *n is zero. */
void virtio_net_destroy(struct virtio_net *n);

/* -- between net.c, net_path.c and net_ctrl.c ------------------------------------------------ */

#define NET_RX(pair) (2 * (pair))
#define NET_TX(pair) (2 * (pair) + 1)

/* Offloads of frames for the guest, which the control queue can change (virtio 1.2 §5.1.6.5.6); USO
 * is new in virtio 1.3. */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO   56
#endif
#define NET_GUEST_SEGMENTS                                                                         \
	(VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6) |               \
	 VIRTIO_BIT(VIRTIO_NET_F_GUEST_USO4) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_USO6))
#define NET_GUEST_OFFLOADS                                                                         \
	(NET_GUEST_SEGMENTS | VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) |                                \
	 VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN))
#define NET_HOST_OFFLOADS                                                                          \
	(VIRTIO_BIT(VIRTIO_NET_F_CSUM) | VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO4) |                      \
	 VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO6) | VIRTIO_BIT(VIRTIO_NET_F_HOST_ECN) |                  \
	 VIRTIO_BIT(VIRTIO_NET_F_HOST_USO))

/* Receives the frames of one pair, whose queues are live, for one round: afterwards the loop is
 * notified again if some are left. Returns 0; or -EPROTO: a malformed queue. */
int net_receive(struct virtio_net *n, unsigned pair);
int net_transmit(struct virtio_net *n, unsigned pair);
/* The driver has new buffers for frames. */
int net_refilled(struct virtio_net *n, unsigned pair);
/* Forgets what is in flight. */
void net_drop_rx(struct virtio_net *n, unsigned pair);
void net_drop_tx(struct virtio_net *n, unsigned pair);
struct net_pair *net_new_pairs(unsigned nr); /* NULL: out of memory; free() frees them */

/* Serves the control queue: one command in a round. */
int net_control(struct virtio_net *n, struct virtq *q);
/* net_set_pairs: the driver uses the first nr pairs. net_set_features: it uses the backend's
 * features in this mask. Both return 0 or -errno. */
int net_set_pairs(struct virtio_net *n, unsigned nr);
int net_set_features(struct virtio_net *n, uint64_t features);
