/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control queue (virtio 1.2 §5.1.6.5). A command is answered with VIRTIO_NET_OK or, when it is
 * malformed, unknown or of a feature that was not negotiated, with VIRTIO_NET_ERR.
 *
 * The choice of frames that the driver wants to receive is accepted and changes nothing: a device
 * may filter as well as it likes, and here a driver gets what the backend has, as if it were
 * promiscuous.
 */
#include <errno.h>

#include "virtio/net_impl.h"

struct net_command {
	uint8_t class, command;
	uint64_t len; /* of the data that follows */
	const struct virtq_chain *c;
};

/* Copies the command's data from off on. False: there is less. */
static bool data(const struct net_command *cmd, uint64_t off, void *buf, size_t len)
{
	return off <= cmd->len && len <= cmd->len - off &&
	       chain_read(cmd->c, 2 + off, buf, len) == len;
}

static bool control_rx(const struct virtio_net *n, const struct net_command *cmd)
{
	uint8_t on;

	return virtio_has(&n->vd, VIRTIO_NET_F_CTRL_RX) &&
	       cmd->command <= VIRTIO_NET_CTRL_RX_ALLMULTI && cmd->len == sizeof(on) &&
	       data(cmd, 0, &on, sizeof(on)) && on <= 1;
}

/* Are the data two tables, each a number and as many addresses? */
static bool are_mac_tables(const struct net_command *cmd)
{
	uint64_t off = 0;
	le32_t nr;

	for (int i = 0; i < 2; i++) {
		if (!data(cmd, off, &nr, sizeof(nr)))
			return false;
		off += sizeof(nr) + (uint64_t)le32(nr) * NET_MAC_LEN;
	}
	return off == cmd->len;
}

static bool control_mac(struct virtio_net *n, const struct net_command *cmd)
{
	uint8_t mac[NET_MAC_LEN];

	if (cmd->command == VIRTIO_NET_CTRL_MAC_TABLE_SET)
		return virtio_has(&n->vd, VIRTIO_NET_F_CTRL_RX) && are_mac_tables(cmd);
	if (cmd->command != VIRTIO_NET_CTRL_MAC_ADDR_SET ||
	    !virtio_has(&n->vd, VIRTIO_NET_F_CTRL_MAC_ADDR) || cmd->len != sizeof(mac) ||
	    !data(cmd, 0, mac, sizeof(mac)))
		return false;
	memcpy(n->state.mac, mac, sizeof(mac));
	virtio_config_set(&n->vd);
	return true;
}

static bool control_mq(struct virtio_net *n, const struct net_command *cmd)
{
	le16_t pairs;

	if (!virtio_has(&n->vd, VIRTIO_NET_F_MQ) ||
	    cmd->command != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || cmd->len != sizeof(pairs) ||
	    !data(cmd, 0, &pairs, sizeof(pairs)))
		return false;
	return le16(pairs) >= 1 && le16(pairs) <= n->backend->pairs &&
	       net_set_pairs(n, le16(pairs)) == 0;
}

static bool control_offloads(struct virtio_net *n, const struct net_command *cmd)
{
	const uint64_t agreed = n->vd.state.driver_features;
	le64_t wire;

	if (!virtio_has(&n->vd, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    cmd->command != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || cmd->len != sizeof(wire) ||
	    !data(cmd, 0, &wire, sizeof(wire)))
		return false;
	if (le64(wire) & ~(agreed & NET_GUEST_OFFLOADS))
		return false;
	return net_set_features(n, (agreed & NET_HOST_OFFLOADS) | le64(wire)) == 0;
}

static bool execute(struct virtio_net *n, const struct virtq_chain *c)
{
	struct net_command cmd = { .c = c };
	uint8_t head[2];

	if (c->out_len < sizeof(head))
		return false;
	chain_read(c, 0, head, sizeof(head));
	cmd.class = head[0];
	cmd.command = head[1];
	cmd.len = c->out_len - sizeof(head);
	switch (cmd.class) {
	case VIRTIO_NET_CTRL_RX:
		return control_rx(n, &cmd);
	case VIRTIO_NET_CTRL_MAC:
		return control_mac(n, &cmd);
	case VIRTIO_NET_CTRL_MQ:
		return control_mq(n, &cmd);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return control_offloads(n, &cmd);
	default:
		return false;
	}
}

int net_control(struct virtio_net *n, struct virtq *q)
{
	struct virtq_chain c;
	int rc = virtq_pop(q, &c);
	uint8_t ack;

	if (rc <= 0)
		return rc;
	if (c.in_len == 0)
		return -EPROTO; /* there is no room for the answer */
	ack = execute(n, &c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
	chain_write(&c, 0, &ack, sizeof(ack));
	virtq_push(q, c.head, sizeof(ack));
	/* A change of the number of queues makes the host's kernel wait for all of its processors,
	 * each time: if a ring is full of them, other work must have its turn. */
	virtio_again(&n->vd, (unsigned)(q - n->vd.q));
	return 0;
}
