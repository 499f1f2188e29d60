/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way of a frame between the backend and guest memory, without a copy.
 *
 * Receiving. The backend reads straight into buffers of the guest's. The length of the next frame
 * is not known before, so chains are popped until they have room for a frame like the last ones,
 * and stay staged. A frame takes the chains that it fills (one, if the driver does not merge
 * buffers); the others wait for the next frame. After them comes a spare buffer of ours, for a
 * frame that comes when the guest is short of buffers. What it receives is copied as soon as the
 * driver has made more buffers available; a frame that can never fit is dropped.
 *
 * Both queues are quiet (virtq.h): a receive queue asks for a kick only when it has run out of
 * buffers, a transmit queue when it is empty.
 */
#include <errno.h>
#include <stdlib.h>

#include "virtio/net_impl.h"

/*
 * Chains that were popped for frames to come, in order; here three of them:
 *
 *   chain  | used before | head 5 | head 9 | head 2 | free                      |
 *                        ^ first      nr = 3
 *   iov    | used before | a b    | c      | d e f  | spare | free              |
 *                        ^ first_iov  nr_iov = 6
 *                        |<-------- room --------->|
 *
 * The backend reads a frame into a to f and the spare buffer. If it has
 *
 *   at most a + b bytes   chain 5 is used; first and first_iov go on to 9 and c
 *   at most room          several chains are used, if the driver merges buffers
 *   more                  it is held: room bytes are in their places (held_there), the others are
 *                         copied from the spare buffer when chains for them have been added
 *
 * Where the arrays end, what is staged moves to their beginnings.
 */
struct net_stage {
	unsigned first, nr;         /* chain[first..first + nr) */
	unsigned first_iov, nr_iov; /* iov[first_iov..first_iov + nr_iov) */
	uint64_t room;              /* bytes in those */
	struct net_staged {
		uint16_t head;
		uint16_t nr_iov;
		uint64_t len;
	} chain[2 * VIRTQ_MAX_SIZE];
	struct iovec iov[NET_MAX_IOV]; /* the last is for the spare buffer */
};

/* Frames of the guest's. All that are there are sent at once, up to NET_BATCH; those that the
 * backend has no room for stay in the batch. */
struct net_batch {
	unsigned first, nr, nr_iov; /* frame[first..nr) are to be sent; iov[0..nr_iov) are theirs */
	uint16_t head[NET_BATCH];
	struct net_frame frame[NET_BATCH];
	struct iovec iov[NET_BATCH_IOV];
};

#define REMEMBER_LARGE 32 /* frames */

struct net_pair {
	struct net_stage stage;
	bool starved;      /* there are no buffers: a kick is expected */
	unsigned large;    /* > 0: one of the last REMEMBER_LARGE frames was longer than a packet */
	uint32_t held_len; /* length of a frame that ends in spare; 0: there is none */
	uint32_t held_there; /* bytes of it that are already in staged buffers */

	struct net_batch batch;

	uint8_t spare[NET_MAX_FRAME + 1]; /* one byte more, so that too long a frame is seen */
};

struct net_pair *net_new_pairs(unsigned nr)
{
	return calloc(nr, sizeof(struct net_pair)); /* most of it is never touched */
}

/* -- staged buffers -------------------------------------------------------------------------- */

/* Is there room for one more chain of any shape, and the spare buffer? */
static bool stage_has_room(struct net_stage *s, const struct virtq *q)
{
	if (s->nr >= q->state.size || s->nr_iov + VIRTQ_MAX_SIZE + 1 > ARRAY_SIZE(s->iov))
		return false;
	if (s->first_iov + s->nr_iov + VIRTQ_MAX_SIZE + 1 > ARRAY_SIZE(s->iov)) {
		memmove(s->iov, s->iov + s->first_iov, s->nr_iov * sizeof(s->iov[0]));
		s->first_iov = 0;
	}
	if (s->first + s->nr == ARRAY_SIZE(s->chain)) {
		memmove(s->chain, s->chain + s->first, s->nr * sizeof(s->chain[0]));
		s->first = 0;
	}
	return true;
}

static void stage_add(struct net_stage *s, const struct virtq_chain *c)
{
	s->chain[s->first + s->nr++] =
		(struct net_staged){ c->head, (uint16_t)c->nr_in, c->in_len };
	memcpy(&s->iov[s->first_iov + s->nr_iov], &c->iov[c->nr_out], c->nr_in * sizeof(c->iov[0]));
	s->nr_iov += c->nr_in;
	s->room += c->in_len;
}

static void stage_drop(struct net_stage *s, unsigned nr)
{
	for (; nr > 0; nr--) {
		const struct net_staged *c = &s->chain[s->first++];

		s->nr--;
		s->first_iov += c->nr_iov;
		s->nr_iov -= c->nr_iov;
		s->room -= c->len;
	}
}

/* Writes to the staged buffers from offset off on; they have room. */
static void stage_write(struct net_stage *s, uint64_t off, const void *src, size_t len)
{
	for (struct iovec *v = &s->iov[s->first_iov]; len; v++) {
		if (off >= v->iov_len) {
			off -= v->iov_len;
			continue;
		}

		size_t n = min(len, v->iov_len - (size_t)off);

		memcpy((uint8_t *)v->iov_base + off, src, n);
		src = (const uint8_t *)src + n;
		len -= n;
		off = 0;
	}
}

/* Returns the room for a packet that was not put together from several. */
static uint64_t net_packet_room(const struct virtio_net *n)
{
	return max(n->mtu, 1500u) + 18 + NET_HDR_LEN;
}

/* Returns how much room the next frame should find. More makes its read dearer, and less costs a
 * copy. */
static uint64_t net_room_wanted(const struct virtio_net *n, const struct net_pair *p)
{
	return p->large ? NET_MAX_FRAME : net_packet_room(n);
}

/* Returns 1: there is room for wanted bytes (if buffers are not merged: for a chain); 0: there is
 * less; -EPROTO. */
static int stage_fill(struct virtio_net *n, struct net_stage *s, struct virtq *q, uint64_t wanted)
{
	const bool merge = virtio_has(&n->vd, VIRTIO_NET_F_MRG_RXBUF);
	struct virtq_chain c;

	while (merge ? s->room < wanted : s->nr == 0) {
		int rc;

		if (!stage_has_room(s, q))
			return 0;
		rc = virtq_pop(q, &c);
		if (rc < 0)
			return rc;
		if (rc > 0 && c.in_len == 0)
			return -EPROTO; /* a chain without room for a header */
		if (rc > 0) {
			stage_add(s, &c);
			continue;
		}
		rc = virtq_begin(q);
		if (rc <= 0)
			return rc;
	}
	return 1;
}

/* -- receiving ------------------------------------------------------------------------------- */

/* Gives the driver a frame of len bytes, which is in the staged buffers. */
static void deliver(struct virtio_net *n, struct net_stage *s, struct virtq *q, uint32_t len)
{
	unsigned nr = 0;
	le16_t num_buffers;

	for (uint32_t left = len; left; nr++) {
		const struct net_staged *c = &s->chain[s->first + nr];
		uint32_t used = (uint32_t)min((uint64_t)left, c->len);

		virtq_fill(q, nr, c->head, used);
		left -= used;
	}
	num_buffers = to_le16((uint16_t)nr);
	stage_write(s, offsetof(struct virtio_net_hdr_v1, num_buffers), &num_buffers,
		    sizeof(num_buffers));
	/* §5.1.6.4.1: only flags that were negotiated. */
	if (!virtio_has(&n->vd, VIRTIO_NET_F_GUEST_CSUM))
		stage_write(s, offsetof(struct virtio_net_hdr_v1, flags), &(uint8_t){ 0 }, 1);
	virtq_publish(q, nr);
	stage_drop(s, nr);
}

/* A frame of len bytes fills the staged buffers and ends in the spare one: holds it until the
 * driver has made more buffers available. */
static void hold(struct virtio_net *n, struct net_pair *p, uint32_t len)
{
	if (!virtio_has(&n->vd, VIRTIO_NET_F_MRG_RXBUF)) {
		n->rx_lost++; /* §5.1.6.3.1: the driver's buffers are smaller than they must be */
		return;
	}
	p->held_len = len;
	p->held_there = (uint32_t)p->stage.room;
}

/* Returns 1: no frame is held any more; 0: there are too few buffers. */
static int deliver_held(struct virtio_net *n, struct net_pair *p, struct virtq *q)
{
	struct net_stage *s = &p->stage;

	if (s->room >= p->held_len) {
		stage_write(s, p->held_there, p->spare, p->held_len - p->held_there);
		deliver(n, s, q, p->held_len);
	} else if (!stage_has_room(s, q)) {
		n->rx_lost++; /* the whole queue can't hold that much */
	} else {
		return 0;
	}
	p->held_len = 0;
	return 1;
}

/* Takes one frame from the backend. Returns 0: there is none; otherwise its length, or 1 for a
 * frame that was dropped. */
static int take_frame(struct virtio_net *n, unsigned pair, struct virtq *q)
{
	struct net_pair *p = &n->pair[pair];
	struct net_stage *s = &p->stage;
	struct iovec *iov = &s->iov[s->first_iov];
	ssize_t len;

	iov[s->nr_iov] = (struct iovec){ p->spare, sizeof(p->spare) };
	len = n->backend->ops->receive(n->backend, pair, iov, s->nr_iov + 1);
	if (len == -EAGAIN)
		return 0;
	p->large = len > (ssize_t)net_packet_room(n) ? REMEMBER_LARGE : p->large - (p->large > 0);
	if (len < (ssize_t)NET_HDR_LEN || len > (ssize_t)NET_MAX_FRAME)
		n->rx_lost++;
	else if ((uint64_t)len <=
		 (virtio_has(&n->vd, VIRTIO_NET_F_MRG_RXBUF) ? s->room : s->chain[s->first].len))
		deliver(n, s, q, (uint32_t)len);
	else
		hold(n, p, (uint32_t)len);
	return max((int)len, 1);
}

int net_receive(struct virtio_net *n, unsigned pair)
{
	struct net_pair *p = &n->pair[pair];
	struct virtq *q = &n->vd.q[NET_RX(pair)];
	int rc = 1;

	while (!p->starved && rc > 0 && !round_is_over(&n->vd.round)) {
		const uint64_t wanted = net_room_wanted(n, p);

		rc = stage_fill(n, &p->stage, q, max(wanted, (uint64_t)p->held_len));
		if (rc < 0)
			return rc;
		if (p->stage.nr && (!p->held_len || deliver_held(n, p, q))) {
			rc = p->stage.nr ? take_frame(n, pair, q) : 1;
		} else {
			p->starved = !virtio_want_kick(&n->vd, q);
			rc = 1;
		}
		round_spend(&n->vd.round, (unsigned)rc);
	}
	if (p->starved)
		n->backend->ops->want_frames(n->backend, pair, false);
	else if (rc > 0)
		virtio_again(&n->vd, NET_RX(pair));
	virtio_notify(&n->vd, q);
	return 0;
}

int net_refilled(struct virtio_net *n, unsigned pair)
{
	struct net_pair *p = &n->pair[pair];
	const bool starved = p->starved;
	int rc;

	p->starved = false;
	rc = net_receive(n, pair);
	if (starved && !p->starved)
		n->backend->ops->want_frames(n->backend, pair, true);
	return rc;
}

static void forget_rx(struct net_pair *p)
{
	p->stage.first = p->stage.nr = p->stage.first_iov = p->stage.nr_iov = 0;
	p->stage.room = 0;
	p->held_len = 0;
}

void net_drop_rx(struct virtio_net *n, unsigned pair)
{
	struct net_pair *p = &n->pair[pair];

	forget_rx(p);
	p->starved = true; /* until the driver kicks */
	n->backend->ops->want_frames(n->backend, pair, false);
}

/* -- transmitting ---------------------------------------------------------------------------- */

/* Sends frames, one at a time. Returns as send_batch(). */
static unsigned send_each(struct virtio_net *n, unsigned pair, const struct net_frame *frame,
			  unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		const struct net_frame *f = &frame[i];
		const ssize_t rc = n->backend->ops->send(n->backend, pair, f->iov, f->nr);

		if (rc == -EAGAIN)
			return i;
		n->tx_lost += rc < 0;
	}
	return nr;
}

/* Sends all frames of the batch. False: the backend has no room for some, and says when it has. */
static bool batch_send(struct virtio_net *n, unsigned pair, struct virtq *q)
{
	const struct net_backend_ops *ops = n->backend->ops;
	struct net_batch *b = &n->pair[pair].batch;
	const struct net_frame *frame = &b->frame[b->first];
	const unsigned nr = b->nr - b->first;
	unsigned sent;

	if (nr == 0)
		return true;
	if (nr > 1 && ops->send_batch)
		sent = ops->send_batch(n->backend, pair, frame, nr, &n->tx_lost);
	else
		sent = send_each(n, pair, frame, nr);
	for (unsigned i = 0; i < sent; i++)
		virtq_fill(q, i, b->head[b->first + i], 0);
	virtq_publish(q, sent);
	b->first += sent;
	if (sent < nr)
		return false;
	b->first = b->nr = b->nr_iov = 0;
	return true;
}

static bool batch_has_room(const struct net_batch *b)
{
	return b->nr < NET_BATCH && b->nr_iov + VIRTQ_MAX_SIZE <= ARRAY_SIZE(b->iov);
}

/* Adds the driver's next frame. Returns as virtq_pop(); but also 0 if the next one is too long and
 * the batch isn't empty. The batch is sent first then, so that its chains are always the last ones
 * that were popped, which net_give_back() needs. */
static int batch_add(struct virtio_net *n, struct net_batch *b, struct virtq *q)
{
	struct iovec *iov = &b->iov[b->nr_iov];
	struct virtq_chain c;
	const int rc = virtq_pop(q, &c);

	if (rc <= 0)
		return rc;
	if (c.out_len < NET_HDR_LEN)
		return -EPROTO;
	if (c.out_len > NET_MAX_FRAME && b->nr > 0) {
		virtq_unpop(q, 1);
		return 0;
	}
	round_spend(&n->vd.round, c.out_len);
	if (c.out_len > NET_MAX_FRAME) {
		n->tx_lost++;
		virtq_push(q, c.head, 0);
		return 1;
	}
	memcpy(iov, c.iov, c.nr_out * sizeof(*iov));
	b->head[b->nr] = c.head;
	b->frame[b->nr++] = (struct net_frame){ iov, c.nr_out, c.out_len };
	b->nr_iov += c.nr_out;
	return 1;
}

/* Are there more frames? If not, the driver will kick. Returns as virtq_begin(). */
static int more_frames(struct virtio_net *n, struct virtq *q)
{
	const int rc = virtq_begin(q);

	return rc == 0 && virtio_want_kick(&n->vd, q) ? virtq_begin(q) : rc;
}

int net_transmit(struct virtio_net *n, unsigned pair)
{
	struct net_batch *b = &n->pair[pair].batch;
	struct virtq *q = &n->vd.q[NET_TX(pair)];
	int rc = 1;

	while (batch_send(n, pair, q) && rc > 0 && !round_is_over(&n->vd.round)) {
		do
			rc = batch_add(n, b, q);
		while (rc > 0 && batch_has_room(b) && !round_is_over(&n->vd.round));
		if (rc == 0 && b->nr == 0)
			rc = more_frames(n, q);
		else if (rc == 0)
			rc = 1;
	}
	if (round_is_over(&n->vd.round))
		virtio_again(&n->vd, NET_TX(pair));
	virtio_notify(&n->vd, q);
	return min(rc, 0);
}

void net_drop_tx(struct virtio_net *n, unsigned pair)
{
	struct net_batch *b = &n->pair[pair].batch;

	b->first = b->nr = b->nr_iov = 0;
}

void net_give_back(struct virtio_net *n, unsigned pair)
{
	struct net_pair *p = &n->pair[pair];

	n->rx_lost += p->held_len > 0;
	virtq_unpop(&n->vd.q[NET_RX(pair)], p->stage.nr);
	forget_rx(p);
	virtq_unpop(&n->vd.q[NET_TX(pair)], p->batch.nr - p->batch.first);
	net_drop_tx(n, pair);
}
