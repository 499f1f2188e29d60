/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by net.c, net_path.c and net_ctrl.c. */
#pragma once

#include "virtio/net.h"

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
/* Gives back the chains that it holds; a frame for the guest of which a part is in them is lost. */
void net_give_back(struct virtio_net *n, unsigned pair);
struct net_pair *net_new_pairs(unsigned nr); /* NULL: out of memory; free() frees them */

/* Serves the control queue: one command in a round. */
int net_control(struct virtio_net *n, struct virtq *q);
/* net_set_pairs: the driver uses the first nr pairs. net_set_features: it uses the backend's
 * features in this mask. Both return 0 or -errno. */
int net_set_pairs(struct virtio_net *n, unsigned nr);
int net_set_features(struct virtio_net *n, uint64_t features);
