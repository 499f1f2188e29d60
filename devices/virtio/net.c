/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net (virtio 1.2 §5.1): pairs of queues that carry frames to and from a backend
 * (backend/net/net.h), and a control queue.
 *
 * Checksum and segmentation offload are offered if the backend has them. vhost can take over the
 * queues of a pair (backend/vhost/vhost.h); the control queue stays here.
 *
 * Deliberately missing: VLAN filtering, announcements, RSS and hash reports, speed and duplex, and
 * UFO, which nobody uses any more.
 */
#include "virtio/net.h"

#include <errno.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "virtio/net_impl.h"

struct net_config {
	uint8_t mac[NET_MAC_LEN];
	le16_t status, max_virtqueue_pairs, mtu;
};
_Static_assert(sizeof(struct net_config) == 12, "virtio 1.2 §5.1.4");

/* -- vhost ----------------------------------------------------------------------------------- */

/* Makes the kernel carry the frames of a pair through fd, a TAP; or stops them (-1), which waits
 * for those in flight. Returns 0 or -errno, logged. */
static int vhost_set_backend(const struct vhost *v, int fd)
{
	for (unsigned ring = 0; ring < 2; ring++) {
		const struct vhost_vring_file file = { .index = ring, .fd = fd };

		if (ioctl(v->fd, VHOST_NET_SET_BACKEND, &file) < 0)
			return guest_errno(&v->vd->log, "%s: VHOST_NET_SET_BACKEND", v->option);
	}
	return 0;
}

static void net_vhost_stop(struct virtio_net *n, unsigned pair)
{
	struct vhost *v = n->vhost ? &n->vhost[pair] : NULL;

	if (!v || !v->nr)
		return;
	(void)!vhost_set_backend(v, -1); /* it fails only for one that was not set */
	vhost_stop(v);
}

static int net_vhost_start(struct virtio_net *n, unsigned pair)
{
	struct vhost *v = n->vhost ? &n->vhost[pair] : NULL;
	int rc;

	if (!v || v->nr || !n->vd.q[NET_RX(pair)].state.ready || !n->vd.q[NET_TX(pair)].state.ready)
		return 0;
	rc = vhost_start(v, &n->vd, NET_RX(pair), 2);
	if (rc == 0)
		rc = vhost_set_backend(v, n->backend->ops->tap_fd(n->backend, pair));
	if (rc == 0)
		vhost_kick(v);
	else
		net_vhost_stop(n, pair);
	return rc;
}

static int net_vhost_open(struct virtio_net *n, struct kept *kept)
{
	const struct net_backend_ops *ops = n->backend->ops;

	if (!ops->tap_fd || ops->tap_fd(n->backend, 0) < 0)
		return log_ret(-EINVAL,
			       "%s: vhost=on needs a TAP whose frames have a header (IFF_VNET_HDR)",
			       n->name);
	n->vhost = calloc(n->backend->pairs, sizeof(*n->vhost));
	if (!n->vhost)
		return log_ret(-ENOMEM, "%s: out of memory", n->name);
	for (unsigned i = 0; i < n->backend->pairs; i++)
		n->vhost[i].fd = -1;
	for (unsigned i = 0; i < n->backend->pairs; i++) {
		int rc = vhost_open(&n->vhost[i], n->name, "/dev/vhost-net", "vhost_net", kept,
				    KEPT_VHOST + i);

		if (rc < 0)
			return rc;
	}
	n->vd.features = vhost_offer(&n->vhost[0], n->vd.features);
	if (!(n->vhost[0].features & VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF)))
		n->vd.features &= ~VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF);
	return 0;
}

/* -- what the driver chooses ----------------------------------------------------------------- */

int net_set_features(struct virtio_net *n, uint64_t features)
{
	const struct net_backend_ops *ops = n->backend->ops;
	int rc;

	features &= n->backend->features;
	rc = ops->set_features ? ops->set_features(n->backend, features) : 0;
	if (rc == 0)
		n->state.features = features;
	return rc;
}

/* Does this process serve the queue, and may it be used? */
static bool net_live(const struct virtio_net *n, const struct virtq *q)
{
	return q->state.ready && virtio_live(&n->vd);
}

/* Looks at the queues of a pair that has just come into use: until now the driver's kicks there
 * were ignored. */
static void net_look_at(struct virtio_net *n, unsigned pair)
{
	for (unsigned i = NET_RX(pair); i <= NET_TX(pair); i++)
		if (net_live(n, &n->vd.q[i]))
			virtio_again(&n->vd, i);
}

int net_set_pairs(struct virtio_net *n, unsigned nr)
{
	const struct net_backend_ops *ops = n->backend->ops;
	const unsigned was = n->state.pairs;
	int rc;

	for (unsigned i = nr; i < was; i++)
		net_vhost_stop(n, i);
	rc = ops->set_pairs ? ops->set_pairs(n->backend, nr) : 0;
	if (rc < 0)
		return rc;
	n->state.pairs = nr;
	for (unsigned i = was; i < nr && rc == 0; i++) {
		rc = net_vhost_start(n, i);
		if (!n->vhost)
			net_look_at(n, i);
	}
	return rc;
}

/* -- the backend's calls --------------------------------------------------------------------- */

/* The other end answers many frames at once. A loop that polls asks for events only now and then,
 * so the answers are looked for here. */
static int net_transmit_and_look(struct virtio_net *n, unsigned pair)
{
	const struct virtq *q = &n->vd.q[NET_TX(pair)];
	const uint16_t before = q->state.next_used;
	const int rc = net_transmit(n, pair);

	if (rc < 0 || q->state.next_used == before || !n->vd.looked_at ||
	    round_is_over(&n->vd.round) || !net_live(n, &n->vd.q[NET_RX(pair)]))
		return rc;
	return net_receive(n, pair);
}

static void net_ready(void *ctx, unsigned pair)
{
	struct virtio_net *n = ctx;
	int rc = 0;

	if (n->vhost || pair >= n->state.pairs)
		return;
	n->vd.round = round_begin();
	if (net_live(n, &n->vd.q[NET_RX(pair)]))
		rc = net_receive(n, pair);
	n->vd.round = round_begin(); /* each queue has a round of its own */
	if (rc == 0 && net_live(n, &n->vd.q[NET_TX(pair)]))
		rc = net_transmit_and_look(n, pair);
	if (rc < 0)
		virtio_broken(&n->vd, "the driver made a malformed queue");
}

static void net_link(void *ctx, bool up)
{
	struct virtio_net *n = ctx;

	if (n->up == up)
		return;
	n->up = up;
	if (virtio_has(&n->vd, VIRTIO_NET_F_STATUS))
		virtio_config_changed(&n->vd);
}

/* -- the device ------------------------------------------------------------------------------ */

static int net_kick(struct virtio_dev *vd, struct virtq *q)
{
	struct virtio_net *n = container_of(vd, struct virtio_net, vd);
	const unsigned index = (unsigned)(q - vd->q), pair = index / 2;
	/* §5.1.2: without MQ, the control queue is number 2. */
	const unsigned control = virtio_has(vd, VIRTIO_NET_F_MQ) ? NET_RX(n->backend->pairs) : 2;

	if (index == control)
		return virtio_has(vd, VIRTIO_NET_F_CTRL_VQ) ? net_control(n, q) : 0;
	if (pair >= n->state.pairs)
		return 0;
	q->quiet = true;
	if (n->vhost) /* it was stopped by quiesce, and goes on */
		return net_vhost_start(n, pair);
	return index == NET_RX(pair) ? net_refilled(n, pair) : net_transmit_and_look(n, pair);
}

static int net_activate(struct virtio_dev *vd)
{
	struct virtio_net *n = container_of(vd, struct virtio_net, vd);
	int rc = net_set_features(n, vd->state.driver_features);

	return rc < 0 ? rc : net_vhost_start(n, 0);
}

static void net_reset_state(struct virtio_net *n)
{
	n->state = (struct virtio_net_state){ .pairs = 1 };
	memcpy(n->state.mac, n->own_mac, sizeof(n->own_mac));
}

static void net_reset(struct virtio_dev *vd, struct virtq *q)
{
	struct virtio_net *n = container_of(vd, struct virtio_net, vd);

	for (unsigned i = 0; i < n->backend->pairs; i++) {
		const bool rx = !q || q == &vd->q[NET_RX(i)], tx = !q || q == &vd->q[NET_TX(i)];

		if (rx || tx)
			net_vhost_stop(n, i);
		if (rx)
			net_drop_rx(n, i);
		if (tx)
			net_drop_tx(n, i);
	}
	if (q)
		return;
	/* Neither can fail: both ask for less than before. */
	(void)!net_set_pairs(n, 1);
	(void)!net_set_features(n, 0);
	net_reset_state(n);
}

static void net_quiesce(struct virtio_dev *vd)
{
	struct virtio_net *n = container_of(vd, struct virtio_net, vd);

	for (unsigned i = 0; i < n->backend->pairs; i++) {
		net_vhost_stop(n, i);
		net_give_back(n, i);
	}
}

static uint64_t net_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	const struct virtio_net *n = container_of(vd, struct virtio_net, vd);
	struct net_config c = {
		.status = to_le16(n->up ? VIRTIO_NET_S_LINK_UP : 0),
		.max_virtqueue_pairs = to_le16((uint16_t)n->backend->pairs),
		.mtu = to_le16((uint16_t)n->mtu),
	};

	memcpy(c.mac, n->state.mac, sizeof(c.mac));
	/* The core has checked the range against config_size. */
	return load_le((const uint8_t *)&c + off, size);
}

static int net_start(struct virtio_dev *vd, struct loop *loop)
{
	struct virtio_net *n = container_of(vd, struct virtio_net, vd);
	struct net_backend *b = n->backend;
	int rc;

	b->ready = net_ready;
	b->link = net_link;
	b->ctx = n;
	b->lock = vd->lock;
	rc = b->ops->start(b, loop);
	for (unsigned i = 0; i < b->pairs && rc == 0; i++)
		net_drop_rx(n, i); /* frames wait until the driver has buffers */
	return rc;
}

static void net_describe(const struct virtio_dev *vd, unsigned nth __unused, FILE *out)
{
	const struct virtio_net *n = container_of(vd, struct virtio_net, vd);

	fprintf(out, "%s, ", n->name + strlen("--net "));
	for (unsigned i = 0; i < sizeof(n->own_mac); i++)
		fprintf(out, "%s%02x", i ? ":" : "", n->own_mac[i]);
	if (n->backend->pairs > 1)
		fprintf(out, ", %u pairs of queues", n->backend->pairs);
	if (n->by_vhost)
		fprintf(out, ", vhost");
}

static const struct virtio_ops net_ops = {
	.name = "net",
	.module = "virtio_net",
	.device_id = VIRTIO_ID_NET,
	.nr_queues = 3,
	.queue_size = VIRTQ_MAX_SIZE,
	.config_size = sizeof(struct net_config),
	.start = net_start,
	.describe = net_describe,
	.kick = net_kick,
	.activate = net_activate,
	.reset = net_reset,
	.quiesce = net_quiesce,
	.config_read = net_config_read,
};

static uint64_t net_features(const struct virtio_net *n)
{
	const struct net_backend *b = n->backend;
	uint64_t f = VIRTIO_BIT(VIRTIO_NET_F_MAC) | VIRTIO_BIT(VIRTIO_NET_F_STATUS) |
		     VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) |
		     VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);

	f |= b->features & (NET_GUEST_OFFLOADS | NET_HOST_OFFLOADS);
	if (b->features & NET_GUEST_OFFLOADS)
		f |= VIRTIO_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (b->pairs > 1)
		f |= VIRTIO_BIT(VIRTIO_NET_F_MQ);
	if (n->mtu)
		f |= VIRTIO_BIT(VIRTIO_NET_F_MTU);
	return f;
}

int virtio_net_init(struct virtio_net *n, const struct virtio_net_options *o,
		    struct net_backend *backend)
{
	*n = (struct virtio_net){
		.name = o->name,
		.backend = backend,
		.mtu = o->mtu ? o->mtu : backend->mtu,
		.up = !backend->down,
		.by_vhost = o->vhost,
	};
	memcpy(n->own_mac, o->mac, sizeof(n->own_mac));
	net_reset_state(n);
	virtio_init(&n->vd, &net_ops, net_features(n));
	virtio_set_nr_queues(&n->vd, NET_RX(backend->pairs) + 1);
	n->pair = net_new_pairs(backend->pairs);
	if (!n->pair)
		return log_ret(-ENOMEM, "%s: out of memory", n->name);
	return o->vhost && !o->dry ? net_vhost_open(n, o->kept) : 0;
}

void virtio_net_destroy(struct virtio_net *n)
{
	if (!n->backend)
		return;
	for (unsigned i = 0; n->vhost && i < n->backend->pairs; i++)
		vhost_close(&n->vhost[i]);
	free(n->vhost);
	free(n->pair);
	n->backend->ops->destroy(n->backend);
	*n = (struct virtio_net){ 0 };
}
