/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-net device of two pairs, and an input that is a list of operations of its driver and of
 * its backend: chains of any shape on any queue, headers that lie, commands, kicks, resets, frames
 * of any length, a backend without room.
 */
#include "virtio/net_impl.h"

#include <errno.h>

#include "ring.h"
#include "fuzz.h"

#define PAIRS    2
#define BUF_SIZE (128 * KIB)
#define LOOK     0xfe /* an operation */

struct target {
	struct net_backend b;
	struct virtio_net n;
	struct driver d;
	gpa_t buf;
	gpa_t restart; /* where d allocates from, for the next input */
	struct fuzz_in *in;
	unsigned frames; /* those that the backend has */
	bool full;
};
static struct target t;

static int fuzz_start(struct net_backend *b __unused, struct loop *loop __unused)
{
	return 0;
}

static uint8_t sum; /* so that the bytes that are sent are read */

static ssize_t fuzz_send(struct net_backend *b __unused, unsigned pair, const struct iovec *iov,
			 unsigned nr)
{
	size_t len = 0;

	assert(pair < t.n.state.pairs && nr <= VIRTQ_MAX_SIZE);
	if (t.full)
		return -EAGAIN;
	for (unsigned i = 0; i < nr; i++) {
		sum ^= ((uint8_t *)iov[i].iov_base)[0];
		sum ^= ((uint8_t *)iov[i].iov_base)[iov[i].iov_len - 1];
		len += iov[i].iov_len;
	}
	assert(len >= NET_HDR_LEN && len <= NET_MAX_FRAME);
	return (ssize_t)len;
}

/* Looks at each frame, and takes some of them if there is little room. */
static unsigned fuzz_send_batch(struct net_backend *b, unsigned pair, const struct net_frame *frame,
				unsigned nr, uint64_t *lost)
{
	const unsigned take = t.full ? (unsigned)fuzz_number(t.in, 1) % nr : nr;
	const bool full = t.full;

	assert(nr >= 1 && nr <= NET_BATCH);
	t.full = false;
	for (unsigned i = 0; i < take; i++)
		if (fuzz_send(b, pair, frame[i].iov, frame[i].nr) != (ssize_t)frame[i].len)
			abort();
	t.full = full;
	*lost += take / 2;
	return take;
}

static ssize_t fuzz_receive(struct net_backend *b __unused, unsigned pair, const struct iovec *iov,
			    unsigned nr)
{
	size_t len, done = 0;

	assert(pair < t.n.state.pairs && nr <= NET_MAX_IOV);
	if (!t.frames)
		return -EAGAIN;
	t.frames--;
	len = fuzz_number(t.in, 1);
	if (len & 0x80)
		len = min((len & 0x7f) << 10, NET_MAX_FRAME + 1); /* one more than is allowed */
	if (len == 13)
		return -EMSGSIZE;
	for (unsigned i = 0; i < nr && done < len; i++) {
		size_t n = min(len - done, iov[i].iov_len);

		memset(iov[i].iov_base, 0x5a, n);
		done += n;
	}
	assert(done == len);
	return (ssize_t)len;
}

static void fuzz_want_frames(struct net_backend *b __unused, unsigned pair, bool on __unused)
{
	assert(pair < PAIRS);
}

static int fuzz_set_features(struct net_backend *b, uint64_t features)
{
	assert(!(features & ~b->features));
	return 0;
}

static int fuzz_set_pairs(struct net_backend *b __unused, unsigned nr)
{
	assert(nr >= 1 && nr <= PAIRS);
	return 0;
}

static void fuzz_destroy(struct net_backend *b __unused) {}

static const struct net_backend_ops fuzz_ops = {
	.name = "fuzz",
	.start = fuzz_start,
	.send = fuzz_send,
	.send_batch = fuzz_send_batch,
	.receive = fuzz_receive,
	.want_frames = fuzz_want_frames,
	.set_features = fuzz_set_features,
	.set_pairs = fuzz_set_pairs,
	.destroy = fuzz_destroy,
};

static void target_init(void)
{
	const struct virtio_net_options o = { .name = "fuzz", .mac = { 2 }, .mtu = 1500 };
	int rc;

	t.b = (struct net_backend){
		.ops = &fuzz_ops,
		.pairs = PAIRS,
		.features = NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS,
	};
	rc = virtio_net_init(&t.n, &o, &t.b);
	assert(rc == 0);
	driver_init(&t.d, &t.n.vd);
	rc = virtio_start(&t.n.vd, NULL);
	assert(rc == 0);
	t.buf = driver_alloc(&t.d, BUF_SIZE);
	t.restart = t.d.next_alloc;
}

static unsigned any_queue(struct fuzz_in *in)
{
	return (unsigned)fuzz_number(in, 1) % t.n.vd.nr_queues;
}

/* Offers buffers like a correct driver, several at once. */
static void refill(struct fuzz_in *in)
{
	unsigned queue = NET_RX((unsigned)fuzz_number(in, 1) % PAIRS);
	unsigned nr = (unsigned)fuzz_number(in, 1) % 64;
	uint32_t len = (uint32_t)fuzz_number(in, 2);

	for (unsigned i = 0; i < nr; i++)
		ring_send(&t.d.ring[queue],
			  (struct ring_buf[]){ { t.buf + 512 * i, len ? len : 1, true } }, 1);
}

static void send_chain(struct fuzz_in *in)
{
	struct ring_buf buf[16];
	unsigned queue = any_queue(in);
	unsigned n = 1 + (unsigned)fuzz_number(in, 1) % ARRAY_SIZE(buf);

	for (unsigned i = 0; i < n; i++) {
		buf[i].gpa = t.buf + fuzz_number(in, 2);
		buf[i].len = (uint32_t)fuzz_number(in, 2);
		buf[i].in = fuzz_number(in, 1) & 1;
	}
	ring_send(&t.d.ring[queue], buf, n);
}

static void send_command(struct fuzz_in *in)
{
	uint8_t bytes[32];
	uint32_t len = (uint32_t)fuzz_number(in, 1) % sizeof(bytes);
	unsigned queue = virtio_has(&t.n.vd, VIRTIO_NET_F_MQ) ? NET_RX(PAIRS) : 2;

	fuzz_take(in, bytes, len);
	memcpy(ram_at(&t.d.ram, t.buf, sizeof(bytes)), bytes, len);
	ring_send(&t.d.ring[queue],
		  (struct ring_buf[]){ { t.buf, len, false }, { t.buf + 64, 1, true } }, 2);
	virtio_kick(&t.n.vd, queue);
}

static void poke(struct fuzz_in *in)
{
	struct ring *r = &t.d.ring[any_queue(in)];

	switch (fuzz_number(in, 1) & 3) {
	case 0:
		r->avail->idx = htole16((uint16_t)fuzz_number(in, 2));
		break;
	case 1:
		ring_set_used_event(r, (uint16_t)fuzz_number(in, 2));
		break;
	case 2:
		ring_offer(r, (uint16_t)fuzz_number(in, 2));
		break;
	case 3:
		r->desc[fuzz_number(in, 1)].flags = htole16((uint16_t)fuzz_number(in, 2));
		break;
	}
}

static void reset(struct fuzz_in *in)
{
	unsigned queue = any_queue(in);

	if (fuzz_number(in, 1) & 1) {
		virtio_queue_disable(&t.n.vd, virtio_queue(&t.n.vd, queue));
		driver_queue_up(&t.d, queue);
	} else if (!driver_start(&t.d, fuzz_number(in, 8) & t.n.vd.features)) {
		driver_start(&t.d, 0);
	}
}

/* Does what a loop does that polls. */
static void look(struct fuzz_in *in)
{
	if (fuzz_number(in, 1) & 1) {
		(void)!virtio_rest(&t.n.vd);
		return;
	}
	t.n.vd.looked_at = true;
	for (unsigned i = 0; i < t.n.vd.nr_queues; i++)
		if (virtio_has_work(&t.n.vd, i))
			(void)!virtio_kick(&t.n.vd, i);
}

static void step(struct fuzz_in *in)
{
	const unsigned op = (unsigned)fuzz_number(in, 1);

	if (op == LOOK) {
		look(in);
		return;
	}
	if (op == FUZZ_REST) {
		driver_rest(&t.d);
		return;
	}
	switch (op % 10) {
	case 0:
	case 1:
		refill(in);
		break;
	case 2:
		send_chain(in);
		break;
	case 3:
	case 4:
		virtio_kick(&t.n.vd, any_queue(in));
		break;
	case 5:
		t.frames = (unsigned)fuzz_number(in, 1);
		t.b.ready(t.b.ctx, (unsigned)fuzz_number(in, 1) % PAIRS);
		break;
	case 6:
		t.full = !t.full;
		t.b.ready(t.b.ctx, (unsigned)fuzz_number(in, 1) % PAIRS);
		break;
	case 7:
		send_command(in);
		break;
	case 8:
		poke(in);
		break;
	case 9:
		if (fuzz_number(in, 1) & 3)
			t.b.link(t.b.ctx, fuzz_number(in, 1) & 1);
		else
			reset(in);
		(void)virtio_config_read(&t.n.vd, fuzz_number(in, 1), 4);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };

	if (!t.b.ops)
		target_init();
	t.in = &in;
	t.d.next_alloc = t.restart;
	t.full = false;
	t.frames = 0;
	t.n.vd.looked_at = false;
	driver_start(&t.d, fuzz_number(&in, 1) & 1
				   ? t.n.vd.features
				   : t.n.vd.features & ~VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF));
	for (unsigned steps = 0; in.len && steps < 200; steps++)
		step(&in);
	virtio_reset(&t.n.vd);
	return 0;
}
