/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/net.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "virtio/net_impl.h"
#include "ring.h"
#include "capture.h"
#include "test.h"

#define MERGE VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF)
#define EVENT VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)
#define CTRL  VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ)
#define BATCH ROUND_REQUESTS

static const uint8_t own_mac[NET_MAC_LEN] = { 0x52, 0x54, 0, 1, 2, 3 };

/* A backend with frames for the guest, which remembers what it was given and told. */
struct plug {
	struct net_backend b;
	uint8_t (*frames)[NET_MAX_FRAME + 8]; /* for the guest */
	size_t frame_len[512];
	unsigned first, nr;
	int receive_error; /* instead of the next frame */
	size_t room_found; /* by the last frame, but for the spare buffer */

	uint8_t last[NET_MAX_FRAME + 8]; /* of the guest */
	size_t last_len;
	unsigned sent, batches;
	unsigned answers; /* frames for the guest that come when it has sent one */
	unsigned room;    /* that a batch finds */
	int send_error;

	bool wanted[NET_MAX_PAIRS], destroyed;
	uint64_t features;
	unsigned pairs;
	int set_error;
};

static struct plug *plug_of(struct net_backend *b)
{
	return container_of(b, struct plug, b);
}

static int plug_start(struct net_backend *b __unused, struct loop *loop __unused)
{
	return 0;
}

static ssize_t plug_send(struct net_backend *b, unsigned pair __unused, const struct iovec *iov,
			 unsigned nr)
{
	struct plug *p = plug_of(b);

	if (p->send_error)
		return p->send_error;
	p->last_len = 0;
	for (unsigned i = 0; i < nr; i++) {
		assert_true(iov[i].iov_len <= sizeof(p->last) - p->last_len);
		memcpy(p->last + p->last_len, iov[i].iov_base, iov[i].iov_len);
		p->last_len += iov[i].iov_len;
	}
	p->sent++;
	p->nr += p->answers;
	p->answers = 0;
	return (ssize_t)p->last_len;
}

static unsigned plug_send_batch(struct net_backend *b, unsigned pair, const struct net_frame *frame,
				unsigned nr, uint64_t *lost)
{
	struct plug *p = plug_of(b);
	const unsigned took = min(nr, p->room);

	assert_in_range(nr, 1, NET_BATCH);
	p->batches++;
	for (unsigned i = 0; i < took; i++) {
		const ssize_t n = plug_send(b, pair, frame[i].iov, frame[i].nr);

		assert_true(n < 0 || (size_t)n == frame[i].len);
		*lost += n < 0;
	}
	p->room -= took;
	return took;
}

static ssize_t plug_receive(struct net_backend *b, unsigned pair __unused, const struct iovec *iov,
			    unsigned nr)
{
	struct plug *p = plug_of(b);
	size_t room = 0, done = 0, len;

	assert_true(nr <= NET_MAX_IOV);
	for (unsigned i = 0; i < nr; i++)
		room += iov[i].iov_len;
	assert_true(room > NET_MAX_FRAME);
	p->room_found = room - iov[nr - 1].iov_len;
	if (p->receive_error) {
		int error = p->receive_error;

		p->receive_error = 0;
		return error;
	}
	if (p->first == p->nr)
		return -EAGAIN;
	len = p->frame_len[p->first];
	for (unsigned i = 0; done < len && i < nr; i++) {
		size_t n = min(len - done, iov[i].iov_len);

		memcpy(iov[i].iov_base, p->frames[p->first] + done, n);
		done += n;
	}
	p->first++;
	return (ssize_t)done;
}

static void plug_want_frames(struct net_backend *b, unsigned pair, bool on)
{
	plug_of(b)->wanted[pair] = on;
}

static int plug_set_features(struct net_backend *b, uint64_t features)
{
	plug_of(b)->features = features;
	return plug_of(b)->set_error;
}

static int plug_set_pairs(struct net_backend *b, unsigned nr)
{
	plug_of(b)->pairs = nr;
	return plug_of(b)->set_error;
}

static void plug_destroy(struct net_backend *b)
{
	plug_of(b)->destroyed = true;
}

static const struct net_backend_ops plug_ops = {
	.name = "plug",
	.start = plug_start,
	.send = plug_send,
	.receive = plug_receive,
	.want_frames = plug_want_frames,
	.set_features = plug_set_features,
	.set_pairs = plug_set_pairs,
	.destroy = plug_destroy,
};

static const struct net_backend_ops batch_ops = {
	.name = "plug",
	.start = plug_start,
	.send = plug_send,
	.send_batch = plug_send_batch,
	.receive = plug_receive,
	.want_frames = plug_want_frames,
	.set_features = plug_set_features,
	.set_pairs = plug_set_pairs,
	.destroy = plug_destroy,
};

struct bench {
	struct plug plug;
	struct virtio_net n;
	struct driver d;
};

static struct bench *bench_new(unsigned pairs, uint64_t features)
{
	struct bench *t = calloc(1, sizeof(*t));
	struct virtio_net_options o = { .name = "--net plug", .mtu = 1400 };

	assert_non_null(t);
	t->plug.frames = calloc(ARRAY_SIZE(t->plug.frame_len), sizeof(t->plug.frames[0]));
	t->plug.b = (struct net_backend){
		.ops = &plug_ops,
		.pairs = pairs,
		.features = NET_GUEST_OFFLOADS | NET_HOST_OFFLOADS,
	};
	memcpy(o.mac, own_mac, sizeof(o.mac));
	assert_int_equal(virtio_net_init(&t->n, &o, &t->plug.b), 0);
	driver_init(&t->d, &t->n.vd);
	assert_int_equal(virtio_start(&t->n.vd, NULL), 0);
	assert_false(t->plug.wanted[0]);
	assert_true(driver_start(&t->d, features));
	return t;
}

static void bench_free(struct bench *t)
{
	driver_destroy(&t->d);
	virtio_net_destroy(&t->n);
	assert_true(t->plug.destroyed);
	virtio_net_destroy(&t->n);
	free(t->plug.frames);
	free(t);
}

/* Puts a frame of len bytes, header included, into the plug: byte i is i + its number. */
static const uint8_t *give_frame(struct bench *t, size_t len)
{
	uint8_t *f = t->plug.frames[t->plug.nr];

	for (size_t i = 0; i < len; i++)
		f[i] = (uint8_t)(i + t->plug.nr);
	memset(f, 0, min(len, NET_HDR_LEN));
	t->plug.frame_len[t->plug.nr++] = len;
	return f;
}

/* Offers a buffer for frames. */
static gpa_t offer(struct bench *t, uint32_t len)
{
	gpa_t gpa = driver_alloc(&t->d, len);

	ring_send(&t->d.ring[0], (struct ring_buf[]){ { gpa, len, true } }, 1);
	return gpa;
}

static void ready(struct bench *t)
{
	t->plug.b.ready(t->plug.b.ctx, 0);
}

static bool broken(const struct bench *t)
{
	return t->n.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* Did the device kick its own queue, to go on later? */
static bool asked_again(struct bench *t, unsigned queue)
{
	uint64_t nr;

	return t->d.kick_fd[queue] >= 0 && read(t->d.kick_fd[queue], &nr, sizeof(nr)) == sizeof(nr);
}

static void check_element(struct bench *t, unsigned queue, uint32_t id, uint32_t len)
{
	struct ring_elem e;

	assert_true(ring_take(&t->d.ring[queue], &e));
	assert_int_equal(e.id, id);
	assert_int_equal(e.len, len);
}

static unsigned num_buffers(struct bench *t, gpa_t gpa)
{
	return (unsigned)load_le(ram_at(&t->d.ram, gpa + 10, 2), 2);
}

/* -- transmitting ---------------------------------------------------------------------------- */

/* Sends a frame of len bytes in one buffer. */
static void transmit(struct bench *t, uint32_t len)
{
	ring_send(&t->d.ring[1],
		  (struct ring_buf[]){ { driver_alloc(&t->d, len ? len : 1), len, false } }, 1);
}

static void a_frame_goes_out(void **state __unused)
{
	struct bench *t = bench_new(1, 0);
	char text[] = "HHHHHHHHHHHHdestination...";
	gpa_t gpa = driver_put(&t->d, text, sizeof(text));

	ring_send(&t->d.ring[1],
		  (struct ring_buf[]){ { gpa, 5, false },
				       { gpa + 5, 10, false },
				       { gpa + 15, sizeof(text) - 15, false } },
		  3);
	driver_kick(&t->d, 1);
	assert_int_equal(t->plug.sent, 1);
	assert_int_equal(t->plug.last_len, sizeof(text));
	assert_memory_equal(t->plug.last, text, sizeof(text));
	check_element(t, 1, 0, 0);
	assert_int_equal(t->d.interrupts[1], 1);
	bench_free(t);
}

static void a_frame_waits_for_room(void **state __unused)
{
	struct bench *t = bench_new(1, EVENT);

	t->plug.send_error = -EAGAIN;
	transmit(t, 100);
	transmit(t, 200);
	driver_kick(&t->d, 1);
	driver_kick(&t->d, 1);
	assert_int_equal(ring_used(&t->d.ring[1]), 0);
	t->plug.send_error = 0;
	ready(t);
	assert_int_equal(t->plug.sent, 2);
	assert_int_equal(t->plug.last_len, 200);
	assert_int_equal(ring_used(&t->d.ring[1]), 2);
	assert_int_equal(ring_avail_event(&t->d.ring[1]), 2);
	check_element(t, 1, 0, 0);
	check_element(t, 1, 1, 0);

	/* A reset in between makes the device forget it. */
	t->plug.send_error = -EAGAIN;
	transmit(t, 100);
	driver_kick(&t->d, 1);
	assert_true(driver_start(&t->d, 0));
	t->plug.send_error = 0;
	ready(t);
	driver_kick(&t->d, 1);
	assert_int_equal(t->plug.sent, 2);
	bench_free(t);
}

static void frames_are_lost_without_harm(void **state __unused)
{
	struct bench *t = bench_new(1, 0);
	gpa_t gpa = driver_alloc(&t->d, 60000);

	t->plug.send_error = -EINVAL;
	transmit(t, 100);
	driver_kick(&t->d, 1);
	t->plug.send_error = 0;
	ring_send(&t->d.ring[1],
		  (struct ring_buf[]){ { gpa, 60000, false }, { gpa, 60000, false } }, 2);
	driver_kick(&t->d, 1);
	assert_int_equal(t->plug.sent, 0);
	assert_int_equal(t->n.tx_lost, 2);
	assert_int_equal(ring_used(&t->d.ring[1]), 2);
	ring_send(&t->d.ring[1],
		  (struct ring_buf[]){ { gpa, 60000, false },
				       { gpa, NET_MAX_FRAME - 60000, false } },
		  2);
	driver_kick(&t->d, 1);
	assert_int_equal(t->plug.sent, 1);
	assert_int_equal(t->plug.last_len, NET_MAX_FRAME);
	assert_false(broken(t));
	bench_free(t);
}

static void frames_go_out_together(void **state __unused)
{
	struct bench *t = bench_new(1, EVENT);

	t->plug.b.ops = &batch_ops;
	t->plug.room = 40;
	for (unsigned i = 0; i < NET_BATCH + 12; i++)
		transmit(t, 20 + i);
	driver_kick(&t->d, 1);
	assert_int_equal(t->plug.batches, 2);
	assert_int_equal(t->plug.last_len, 20 + 39);
	assert_int_equal(ring_used(&t->d.ring[1]), 40);
	t->plug.room = 100;
	ready(t); /* the rest */
	assert_int_equal(t->plug.batches, 3);
	assert_int_equal(t->plug.sent, NET_BATCH + 12);
	assert_int_equal(t->plug.last_len, 20 + NET_BATCH + 11);
	for (unsigned i = 0; i < NET_BATCH + 12; i++)
		check_element(t, 1, i, 0);

	t->plug.send_error = -EINVAL;
	transmit(t, 30);
	transmit(t, 30);
	driver_kick(&t->d, 1);
	assert_int_equal(t->n.tx_lost, 2);
	assert_int_equal(ring_used(&t->d.ring[1]), 2);
	bench_free(t);
}

/* What is given back are the last chains that were taken. */
static void a_frame_that_is_too_long_waits_for_those_before_it(void **state __unused)
{
	struct bench *t = bench_new(1, EVENT);
	gpa_t gpa = driver_alloc(&t->d, 60000);

	t->plug.send_error = -EAGAIN;
	transmit(t, 100);
	ring_send(&t->d.ring[1],
		  (struct ring_buf[]){ { gpa, 60000, false }, { gpa, 60000, false } }, 2);
	transmit(t, 200);
	driver_kick(&t->d, 1);
	assert_int_equal(ring_used(&t->d.ring[1]), 0);
	virtio_quiesce(&t->n.vd);
	assert_true(driver_holds_nothing(&t->d));
	t->plug.send_error = 0;
	driver_go_on(&t->d);
	assert_int_equal(t->plug.sent, 2);
	assert_int_equal(t->plug.last_len, 200);
	assert_int_equal(t->n.tx_lost, 1);
	assert_int_equal(ring_used(&t->d.ring[1]), 3);
	bench_free(t);
}

/* A loop that polls asks its descriptors only now and then. */
static void a_polled_card_looks_for_an_answer(void **state __unused)
{
	struct bench *t = bench_new(1, EVENT);

	offer(t, 2000);
	offer(t, 2000);
	driver_kick(&t->d, 0);
	give_frame(t, 100);
	transmit(t, 100);
	driver_kick(&t->d, 1);
	assert_int_equal(ring_used(&t->d.ring[0]), 0); /* an event tells of it */
	t->n.vd.looked_at = true;
	transmit(t, 100);
	driver_kick(&t->d, 1);
	assert_int_equal(ring_used(&t->d.ring[0]), 1);

	/* Also when an event has it send. */
	give_frame(t, 100);
	t->plug.nr--;
	t->plug.answers = 1;
	t->plug.send_error = -EAGAIN;
	transmit(t, 100);
	driver_kick(&t->d, 1);
	t->plug.send_error = 0;
	assert_int_equal(ring_used(&t->d.ring[0]), 1);
	ready(t);
	assert_int_equal(ring_used(&t->d.ring[0]), 2);
	bench_free(t);
}

static void a_batch_has_an_end(void **state __unused)
{
	struct bench *t = bench_new(1, EVENT);

	for (unsigned i = 0; i < BATCH + 10; i++)
		transmit(t, 20);
	asked_again(t, 1);
	assert_false(virtio_kick(&t->n.vd, 1));
	assert_int_equal(t->plug.sent, BATCH);
	assert_true(asked_again(t, 1));
	assert_false(virtio_kick(&t->n.vd, 1));
	assert_int_equal(t->plug.sent, BATCH + 10);
	assert_false(asked_again(t, 1));

	for (unsigned i = 0; i < BATCH + 10; i++)
		give_frame(t, 20);
	for (unsigned i = 0; i < 200; i++)
		offer(t, 100);
	asked_again(t, 0);
	assert_false(virtio_kick(&t->n.vd, 0));
	assert_int_equal(ring_used(&t->d.ring[0]), BATCH);
	assert_true(asked_again(t, 0));
	ready(t);
	assert_int_equal(ring_used(&t->d.ring[0]), BATCH + 10);
	assert_false(asked_again(t, 0));
	bench_free(t);
}

/* -- receiving ------------------------------------------------------------------------------- */

static void a_frame_comes_in(void **state __unused)
{
	struct bench *t = bench_new(1, 0);
	gpa_t gpa = offer(t, 2000);
	const uint8_t *f = give_frame(t, 300);

	driver_kick(&t->d, 0);
	check_element(t, 0, 0, 300);
	assert_int_equal(num_buffers(t, gpa), 1);
	assert_memory_equal(ram_at(&t->d.ram, gpa, 300) + 12, f + 12, 288);
	assert_int_equal(t->d.interrupts[0], 1);
	bench_free(t);
}

static void flags_that_were_not_negotiated_are_cleared(void **state __unused)
{
	for (int csum = 0; csum < 2; csum++) {
		struct bench *t = bench_new(1, csum ? VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) : 0);
		gpa_t gpa = offer(t, 2000);

		give_frame(t, 300);
		t->plug.frames[0][0] = VIRTIO_NET_HDR_F_DATA_VALID;
		driver_kick(&t->d, 0);
		assert_int_equal(*(uint8_t *)ram_at(&t->d.ram, gpa, 1),
				 csum ? VIRTIO_NET_HDR_F_DATA_VALID : 0);
		bench_free(t);
	}
}

static void frames_fill_merged_buffers(void **state __unused)
{
	struct bench *t = bench_new(1, MERGE);
	gpa_t gpa[6];
	uint8_t got[300];
	const uint8_t *f;

	for (unsigned i = 0; i < ARRAY_SIZE(gpa); i++)
		gpa[i] = offer(t, 100);
	f = give_frame(t, 250);
	give_frame(t, 60);
	give_frame(t, 200);
	driver_kick(&t->d, 0);
	for (unsigned i = 0; i < 3; i++) {
		check_element(t, 0, i, i < 2 ? 100 : 50);
		memcpy(got + 100 * i, ram_at(&t->d.ram, gpa[i], 100), 100);
	}
	assert_memory_equal(got + 12, f + 12, 250 - 12);
	assert_int_equal(num_buffers(t, gpa[0]), 3);
	check_element(t, 0, 3, 60);
	assert_int_equal(num_buffers(t, gpa[3]), 1);
	check_element(t, 0, 4, 100);
	check_element(t, 0, 5, 100);
	assert_int_equal(num_buffers(t, gpa[4]), 2);
	bench_free(t);
}

/* The header may be in pieces of any size, and a chain may have readable parts, which mean
 * nothing. */
static void odd_buffers_do(void **state __unused)
{
	struct bench *t = bench_new(1, MERGE);
	gpa_t gpa = driver_alloc(&t->d, 64);
	const uint8_t *f = give_frame(t, 40);

	for (unsigned i = 0; i < 64; i++)
		ring_send(&t->d.ring[0],
			  (struct ring_buf[]){ { gpa, 3, false }, { gpa + i, 1, true } }, 2);
	driver_kick(&t->d, 0);
	assert_int_equal(ring_used(&t->d.ring[0]), 40);
	assert_int_equal(num_buffers(t, gpa), 40);
	assert_memory_equal(ram_at(&t->d.ram, gpa, 40) + 12, f + 12, 28);
	bench_free(t);
}

static void frames_wait_for_buffers(void **state __unused)
{
	struct bench *t = bench_new(1, MERGE | EVENT);

	give_frame(t, 100);
	give_frame(t, 100);
	ready(t); /* there is no buffer */
	assert_int_equal(t->plug.first, 0);
	assert_false(t->plug.wanted[0]);
	offer(t, 1000);
	driver_kick(&t->d, 0);
	assert_int_equal(ring_used(&t->d.ring[0]), 1);
	assert_false(t->plug.wanted[0]);
	assert_int_equal(ring_avail_event(&t->d.ring[0]), 1); /* a kick for the next */
	offer(t, 1000);
	driver_kick(&t->d, 0);
	assert_int_equal(ring_used(&t->d.ring[0]), 2);
	offer(t, 1000);
	offer(t, 1000);
	driver_kick(&t->d, 0);
	assert_true(t->plug.wanted[0]);                       /* there is a buffer, and no frame */
	assert_int_equal(ring_avail_event(&t->d.ring[0]), 2); /* and no kicks */
	give_frame(t, 100);
	ready(t);
	assert_int_equal(ring_used(&t->d.ring[0]), 3);
	assert_true(t->plug.wanted[0]);
	bench_free(t);
}

static void a_long_frame_waits_for_more_buffers(void **state __unused)
{
	struct bench *t = bench_new(1, MERGE);
	gpa_t gpa[3];
	const uint8_t *f = give_frame(t, 2500);
	uint8_t got[3000];

	gpa[0] = offer(t, 1000);
	driver_kick(&t->d, 0);
	gpa[1] = offer(t, 1000);
	driver_kick(&t->d, 0);
	ready(t);
	assert_int_equal(ring_used(&t->d.ring[0]), 0);
	assert_false(t->plug.wanted[0]);
	gpa[2] = offer(t, 1000);
	driver_kick(&t->d, 0);
	for (unsigned i = 0; i < 3; i++) {
		check_element(t, 0, i, i < 2 ? 1000 : 500);
		memcpy(got + 1000 * i, ram_at(&t->d.ram, gpa[i], 1000), 1000);
	}
	assert_memory_equal(got + 12, f + 12, 2500 - 12);
	assert_int_equal(num_buffers(t, gpa[0]), 3);

	/* A reset of the device drops the frame that is held. */
	give_frame(t, 2500);
	offer(t, 1000);
	driver_kick(&t->d, 0);
	assert_true(driver_start(&t->d, MERGE));
	for (unsigned i = 0; i < 4; i++)
		offer(t, 1000);
	driver_kick(&t->d, 0);
	assert_int_equal(ring_used(&t->d.ring[0]), 0);
	give_frame(t, 20);
	ready(t);
	assert_int_equal(ring_used(&t->d.ring[0]), 1);
	bench_free(t);
}

static void a_frame_that_never_fits_is_lost(void **state __unused)
{
	struct bench *t = bench_new(1, MERGE);

	give_frame(t, 5000);
	give_frame(t, 200);
	for (unsigned i = 0; i < 256; i++)
		offer(t, 16);
	driver_kick(&t->d, 0);
	assert_int_equal(t->n.rx_lost, 1);
	assert_int_equal(ring_used(&t->d.ring[0]), 13); /* of 16 bytes each: 200 */
	bench_free(t);
}

static void a_frame_finds_as_much_room_as_the_last_ones_took(void **state __unused)
{
	struct bench *t = bench_new(1, MERGE | VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) |
					       VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4));

	/* Not adjacent, so that each is an iovec. */
	for (unsigned i = 0; i < 120; i++) {
		offer(t, 2000);
		driver_alloc(&t->d, 16);
	}
	give_frame(t, 100);
	driver_kick(&t->d, 0);
	assert_int_equal(t->plug.room_found, 2000);
	give_frame(t, 60000);
	give_frame(t, 100);
	ready(t);
	assert_true(t->plug.room_found > NET_MAX_FRAME);
	for (unsigned i = 0; i < 70; i++) /* those that are staged go first */
		give_frame(t, 100);
	ready(t);
	assert_int_equal(t->plug.room_found, 2000);
	assert_int_equal(t->n.rx_lost, 0);
	bench_free(t);
}

static void unmerged_buffers_hold_a_frame_each(void **state __unused)
{
	struct bench *t = bench_new(1, 0);

	offer(t, 100);
	offer(t, 100);
	give_frame(t, 101);
	give_frame(t, 100);
	give_frame(t, 50);
	t->plug.receive_error = -EMSGSIZE;
	driver_kick(&t->d, 0);
	check_element(t, 0, 0, 100);
	check_element(t, 0, 1, 50);
	assert_int_equal(t->n.rx_lost, 2);
	assert_false(broken(t));
	bench_free(t);
}

static void the_longest_frame_passes(void **state __unused)
{
	struct bench *t = bench_new(1, MERGE | VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) |
					       VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4));

	give_frame(t, NET_MAX_FRAME);
	give_frame(t, NET_MAX_FRAME + 1); /* a backend's mistake */
	give_frame(t, NET_HDR_LEN - 1);
	for (unsigned i = 0; i < 64; i++)
		offer(t, 1536);
	driver_kick(&t->d, 0);
	assert_int_equal(ring_used(&t->d.ring[0]), (NET_MAX_FRAME + 1535) / 1536);
	ready(t);
	offer(t, 60000);
	driver_kick(&t->d, 0);
	ready(t);
	assert_int_equal(t->n.rx_lost, 2);
	assert_int_equal(t->plug.first, 3);
	bench_free(t);
}

/* Frames and buffers of any sizes: all arrives, in order. */
static void any_mixture_arrives(void **state __unused)
{
	struct bench *t = bench_new(1, MERGE | EVENT);
	gpa_t gpa[256], area = driver_alloc(&t->d, 256 * 1024);
	uint32_t len[256];
	unsigned seed = 1, next = 0;
	uint8_t got[4000];

	for (unsigned i = 0; i < 400; i++)
		give_frame(t, NET_HDR_LEN + (unsigned)rand_r(&seed) % 3000);
	for (unsigned i = 0; i < 256; i++) {
		gpa[i] = area + i * 1024;
		len[i] = 0;
	}
	for (unsigned seen = 0; seen < 400;) {
		struct ring *r = &t->d.ring[0];
		unsigned nr = (unsigned)rand_r(&seed) % 20 + 1;
		struct ring_elem e;

		for (unsigned i = 0;
		     i < nr && (uint16_t)(le16toh(r->avail->idx) - r->last_used) < 256; i++) {
			len[next] = 1 + (unsigned)rand_r(&seed) % 1024;
			assert_int_equal(
				ring_send(r, (struct ring_buf[]){ { gpa[next], len[next], true } },
					  1),
				next);
			next = (next + 1) % 256;
		}
		driver_kick(&t->d, 0);
		while (ring_take(r, &e)) {
			size_t want = t->plug.frame_len[seen], have = 0;
			unsigned parts = 1;

			for (unsigned i = 0; have < want; i++) {
				if (i)
					assert_true(ring_take(r, &e));
				assert_int_equal(e.len, min((size_t)len[e.id], want - have));
				memcpy(got + have, ram_at(&t->d.ram, gpa[e.id], e.len), e.len);
				have += e.len;
				parts = i + 1;
			}
			assert_int_equal(load_le(got + 10, 2), parts);
			assert_memory_equal(got + 12, t->plug.frames[seen] + 12, want - 12);
			seen++;
		}
	}
	assert_int_equal(t->n.rx_lost, 0);
	bench_free(t);
}

static void a_quiet_card_holds_no_buffer(void **state __unused)
{
	struct bench *t = bench_new(1, MERGE | EVENT);
	gpa_t gpa[6];

	/* One frame has come; the other buffers are staged. */
	for (unsigned i = 0; i < 6; i++)
		gpa[i] = offer(t, 400);
	give_frame(t, 300);
	driver_kick(&t->d, 0);
	check_element(t, 0, 0, 300);
	assert_false(driver_holds_nothing(&t->d));
	/* And a frame of the guest's waits for room. */
	t->plug.send_error = -EAGAIN;
	transmit(t, 100);
	transmit(t, 200);
	driver_kick(&t->d, 1);

	virtio_quiesce(&t->n.vd);
	assert_true(driver_holds_nothing(&t->d));
	assert_int_equal(ring_used(&t->d.ring[0]) + ring_used(&t->d.ring[1]), 0);

	/* It goes on in the same order, whether frames come or the driver offers more. */
	give_frame(t, 500);
	t->plug.send_error = 0;
	driver_go_on(&t->d);
	check_element(t, 0, 1, 400);
	check_element(t, 0, 2, 100);
	assert_int_equal(num_buffers(t, gpa[1]), 2);
	assert_int_equal(t->plug.sent, 2);
	check_element(t, 1, 0, 0);
	check_element(t, 1, 1, 0);
	virtio_quiesce(&t->n.vd);
	assert_true(driver_holds_nothing(&t->d));
	give_frame(t, 20);
	ready(t); /* before the kick */
	check_element(t, 0, 3, 20);
	driver_go_on(&t->d);
	assert_int_equal(ring_used(&t->d.ring[0]) + ring_used(&t->d.ring[1]), 0);
	assert_int_equal(t->n.rx_lost, 0);
	bench_free(t);
}

static void a_quiet_card_loses_half_a_frame(void **state __unused)
{
	struct bench *t = bench_new(1, MERGE | EVENT);

	offer(t, 1000);
	driver_kick(&t->d, 0);
	give_frame(t, 1500);
	ready(t);
	assert_false(t->plug.wanted[0]);
	virtio_quiesce(&t->n.vd);
	assert_true(driver_holds_nothing(&t->d));
	assert_int_equal(t->n.rx_lost, 1);

	/* The next one is whole again. */
	offer(t, 1000);
	give_frame(t, 1200);
	driver_go_on(&t->d);
	check_element(t, 0, 0, 1000);
	check_element(t, 0, 1, 200);
	assert_int_equal(ring_used(&t->d.ring[0]), 0);
	bench_free(t);
}

/* -- hostile rings --------------------------------------------------------------------------- */

static void malformed_chains_stop_the_device(void **state __unused)
{
	for (unsigned i = 0; i < 5; i++) {
		struct bench *t = bench_new(1, CTRL | MERGE);
		gpa_t gpa = driver_alloc(&t->d, 64);
		const struct {
			unsigned queue;
			struct ring_buf buf;
		} bad[] = {
			{ 1, { gpa, NET_HDR_LEN - 1, false } },
			{ 1, { gpa, 64, true } },
			{ 0, { gpa, 64, false } },
			{ 2, { gpa, 8, false } },
			{ 0, { RAM_END, 64, true } },
		};
		struct capture c;

		give_frame(t, 50);
		ring_send(&t->d.ring[bad[i].queue], &bad[i].buf, 1);
		capture_begin(&c);
		driver_kick(&t->d, bad[i].queue);
		assert_non_null(strstr(capture_end(&c), "malformed"));
		assert_true(broken(t));
		ready(t); /* has no effect any more */
		assert_int_equal(ring_used(&t->d.ring[bad[i].queue]), 0);
		bench_free(t);
	}
}

/* The same in a callback of the backend's. */
static void a_malformed_refill_is_noticed(void **state __unused)
{
	struct bench *t = bench_new(1, MERGE);
	struct capture c;

	offer(t, 2000);
	driver_kick(&t->d, 0);
	t->d.ring[0].avail->idx = htole16(1000);
	give_frame(t, 50);
	give_frame(t, 50);
	capture_begin(&c);
	ready(t);
	assert_non_null(strstr(capture_end(&c), "malformed"));
	assert_true(broken(t));
	bench_free(t);
}

static void nothing_moves_before_the_driver_is_ready(void **state __unused)
{
	struct bench *t = bench_new(1, 0);

	virtio_set_status(&t->n.vd, 0);
	give_frame(t, 50);
	ready(t);
	assert_int_equal(t->plug.first, 0);
	t->plug.b.ready(t->plug.b.ctx, 7); /* no such pair */
	bench_free(t);
}

/* -- the control queue ----------------------------------------------------------------------- */

/* Runs a command of len bytes, cut in two; returns its answer. */
static unsigned command(struct bench *t, unsigned queue, const void *bytes, uint32_t len)
{
	gpa_t gpa = driver_put(&t->d, bytes, len), ack = driver_alloc(&t->d, 1);
	struct ring_elem e;

	*(uint8_t *)ram_at(&t->d.ram, ack, 1) = 0xee;
	ring_send(&t->d.ring[queue],
		  (struct ring_buf[]){ { gpa, len > 1, false },
				       { gpa + (len > 1), len - (len > 1), false },
				       { ack, 1, true } },
		  3);
	driver_kick(&t->d, queue);
	assert_true(ring_take(&t->d.ring[queue], &e));
	assert_int_equal(e.len, 1);
	return *(uint8_t *)ram_at(&t->d.ram, ack, 1);
}
#define COMMAND(t, queue, ...)                                                                     \
	command(t, queue, (uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

static void commands_are_answered(void **state __unused)
{
	struct bench *t = bench_new(1, CTRL | VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX) |
					       VIRTIO_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR));

	assert_int_equal(COMMAND(t, 2, 0, 0, 1), VIRTIO_NET_OK);
	assert_int_equal(COMMAND(t, 2, 0, 1, 0), VIRTIO_NET_OK);
	assert_int_equal(COMMAND(t, 2, 0, 0, 2), VIRTIO_NET_ERR);
	assert_int_equal(COMMAND(t, 2, 0, 0), VIRTIO_NET_ERR);
	assert_int_equal(COMMAND(t, 2, 0, 0, 1, 1), VIRTIO_NET_ERR);
	assert_int_equal(COMMAND(t, 2, 0, 2, 1), VIRTIO_NET_ERR); /* CTRL_RX_EXTRA */
	assert_int_equal(COMMAND(t, 2, 0), VIRTIO_NET_ERR);

	assert_int_equal(COMMAND(t, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), VIRTIO_NET_OK);
	assert_int_equal(COMMAND(t, 2, 1, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0),
			 VIRTIO_NET_OK);
	assert_int_equal(COMMAND(t, 2, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6),
			 VIRTIO_NET_OK);
	assert_int_equal(COMMAND(t, 2, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5),
			 VIRTIO_NET_ERR);
	assert_int_equal(COMMAND(t, 2, 1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0), VIRTIO_NET_ERR);
	assert_int_equal(COMMAND(t, 2, 1, 0, 0, 0, 0, 0, 0xab, 0xaa, 0xaa, 0xaa, 0, 0),
			 VIRTIO_NET_ERR);
	assert_int_equal(COMMAND(t, 2, 1, 0, 0, 0, 0), VIRTIO_NET_ERR);

	/* The driver reads its new address in what the transport shows, too. */
	assert_int_equal(t->d.changes, 0);
	assert_int_equal(COMMAND(t, 2, 1, 1, 2, 0, 0, 0, 0, 9), VIRTIO_NET_OK);
	assert_int_equal(t->d.changes, 1);
	assert_int_equal(t->d.config_interrupts, 0);
	assert_int_equal(virtio_config_read(&t->n.vd, 0, 4), 2);
	assert_int_equal(virtio_config_read(&t->n.vd, 5, 1), 9);
	assert_int_equal(COMMAND(t, 2, 1, 1, 2, 0, 0, 0, 0), VIRTIO_NET_ERR);
	assert_int_equal(COMMAND(t, 2, 2, 0, 1, 0), VIRTIO_NET_ERR); /* VLAN: not offered */
	assert_int_equal(COMMAND(t, 2, 4, 0, 1, 0), VIRTIO_NET_ERR); /* MQ: not negotiated */
	assert_int_equal(COMMAND(t, 2, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0), VIRTIO_NET_ERR);
	assert_int_equal(COMMAND(t, 2, 99, 0, 1, 0), VIRTIO_NET_ERR);
	assert_false(broken(t));

	virtio_set_status(&t->n.vd, 0);
	assert_int_equal(virtio_config_read(&t->n.vd, 0, 1), 0x52); /* its own again */
	bench_free(t);
}

static void offloads_follow_the_driver(void **state __unused)
{
	const uint64_t agreed = VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) |
				VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_CSUM);
	struct bench *t =
		bench_new(1, CTRL | agreed | VIRTIO_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS));

	assert_int_equal(t->plug.features, agreed);
	assert_int_equal(COMMAND(t, 2, 5, 0, 1 << VIRTIO_NET_F_GUEST_CSUM, 0, 0, 0, 0, 0, 0, 0),
			 VIRTIO_NET_OK);
	assert_int_equal(t->plug.features, agreed & ~VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4));
	/* TSO6 was not agreed on. */
	assert_int_equal(COMMAND(t, 2, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0), VIRTIO_NET_ERR);
	t->plug.set_error = -EINVAL;
	assert_int_equal(COMMAND(t, 2, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0), VIRTIO_NET_ERR);
	t->plug.set_error = 0;
	virtio_set_status(&t->n.vd, 0);
	assert_int_equal(t->plug.features, 0);
	bench_free(t);
}

static void pairs_come_and_go(void **state __unused)
{
	struct bench *t = bench_new(2, CTRL | MERGE | VIRTIO_BIT(VIRTIO_NET_F_MQ));

	assert_int_equal(t->n.vd.nr_queues, 5);
	assert_int_equal(t->plug.pairs, 1);
	ring_send(&t->d.ring[3], (struct ring_buf[]){ { driver_alloc(&t->d, 50), 50, false } }, 1);
	driver_kick(&t->d, 3); /* it is not in use yet */
	assert_int_equal(t->plug.sent, 0);
	assert_int_equal(COMMAND(t, 4, 4, 0, 2, 0), VIRTIO_NET_OK);
	assert_int_equal(t->plug.pairs, 2);
	assert_true(asked_again(t, 3)); /* for what was there already */
	driver_kick(&t->d, 3);
	assert_int_equal(t->plug.sent, 1);
	assert_int_equal(COMMAND(t, 4, 4, 0, 0, 0), VIRTIO_NET_ERR);
	assert_int_equal(COMMAND(t, 4, 4, 0, 3, 0), VIRTIO_NET_ERR);
	assert_int_equal(COMMAND(t, 4, 4, 0, 1), VIRTIO_NET_ERR);
	assert_int_equal(COMMAND(t, 4, 4, 0, 1, 0), VIRTIO_NET_OK);
	assert_int_equal(t->plug.pairs, 1);
	bench_free(t);
}

/* Some take the host's kernel a long time. */
static void commands_come_one_at_a_time(void **state __unused)
{
	struct bench *t = bench_new(2, CTRL | EVENT | VIRTIO_BIT(VIRTIO_NET_F_MQ));
	gpa_t gpa = driver_put(&t->d, (uint8_t[]){ 4, 0, 2, 0, 4, 0, 1, 0 }, 8);
	gpa_t ack = driver_alloc(&t->d, 3);
	struct ring_elem e;

	for (unsigned i = 0; i < 3; i++)
		ring_send(&t->d.ring[4],
			  (struct ring_buf[]){ { gpa + i % 2 * 4, 4, false },
					       { ack + i, 1, true } },
			  2);
	for (unsigned i = 0; i < 3; i++) {
		driver_kick(&t->d, 4);
		assert_true(ring_take(&t->d.ring[4], &e));
		assert_false(ring_take(&t->d.ring[4], &e));
		assert_int_equal(t->plug.pairs, 2 - i % 2);
		assert_true(asked_again(t, 4));
	}
	driver_kick(&t->d, 4);
	assert_false(asked_again(t, 4));
	bench_free(t);
}

/* virtio 1.2 §5.1.2 */
static void without_mq_the_control_queue_is_number_2(void **state __unused)
{
	struct bench *t = bench_new(2, CTRL | VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX));

	assert_int_equal(COMMAND(t, 2, 0, 0, 1), VIRTIO_NET_OK);
	assert_int_equal(COMMAND(t, 2, 4, 0, 2, 0), VIRTIO_NET_ERR);
	bench_free(t);
}

/* -- the rest -------------------------------------------------------------------------------- */

static void the_configuration_describes_the_card(void **state __unused)
{
	struct bench *t = bench_new(3, VIRTIO_BIT(VIRTIO_NET_F_STATUS));
	struct virtio_dev *vd = &t->n.vd;

	assert_true(vd->features & VIRTIO_BIT(VIRTIO_NET_F_MQ));
	assert_true(vd->features & VIRTIO_BIT(VIRTIO_NET_F_MTU));
	assert_int_equal(virtio_config_read(vd, 0, 1), 0x52);
	assert_int_equal(virtio_config_read(vd, 5, 1), 3);
	assert_int_equal(virtio_config_read(vd, 6, 2), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(virtio_config_read(vd, 8, 2), 3);
	assert_int_equal(virtio_config_read(vd, 10, 2), 1400);
	assert_int_equal(virtio_config_read(vd, 12, 1), 0);
	t->plug.b.link(t->plug.b.ctx, false);
	assert_int_equal(virtio_config_read(vd, 6, 2), 0);
	assert_int_equal(t->d.config_interrupts, 1);
	t->plug.b.link(t->plug.b.ctx, false);
	assert_int_equal(t->d.config_interrupts, 1);
	bench_free(t);
}

static void one_queue_is_reset_alone(void **state __unused)
{
	struct bench *t = bench_new(1, MERGE | VIRTIO_BIT(VIRTIO_F_RING_RESET));

	offer(t, 1000);
	driver_kick(&t->d, 0);
	virtio_queue_reset(&t->n.vd, &t->n.vd.q[0]);
	give_frame(t, 100);
	ready(t);
	assert_int_equal(t->plug.first, 0);
	transmit(t, 50);
	driver_kick(&t->d, 1);
	assert_int_equal(t->plug.sent, 1);
	driver_queue_up(&t->d, 0);
	offer(t, 1000);
	driver_kick(&t->d, 0);
	check_element(t, 0, 0, 100);
	bench_free(t);
}

static void what_cannot_be_is_said(void **state __unused)
{
	struct plug p = { .b = { .ops = &plug_ops, .pairs = 1 } };
	const struct virtio_net_options o = { .name = "--net plug", .vhost = true };
	struct vhost v;
	struct virtio_net n;
	struct capture c;

	capture_begin(&c);
	assert_int_equal(virtio_net_init(&n, &o, &p.b), -EINVAL);
	assert_non_null(strstr(capture_end(&c), "--net plug: vhost=on needs a TAP"));
	virtio_net_destroy(&n);
	assert_true(p.destroyed);

	capture_begin(&c);
	assert_int_equal(vhost_open(&v, "--net tap=t", "/dev/there is no such", "vhost_net", NULL,
				    0),
			 -ENOENT);
	assert_non_null(strstr(capture_end(&c), "sudo modprobe vhost_net"));
	vhost_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_goes_out),
		cmocka_unit_test(a_frame_waits_for_room),
		cmocka_unit_test(frames_are_lost_without_harm),
		cmocka_unit_test(frames_go_out_together),
		cmocka_unit_test(a_frame_that_is_too_long_waits_for_those_before_it),
		cmocka_unit_test(a_polled_card_looks_for_an_answer),
		cmocka_unit_test(a_batch_has_an_end),
		cmocka_unit_test(a_frame_comes_in),
		cmocka_unit_test(flags_that_were_not_negotiated_are_cleared),
		cmocka_unit_test(frames_fill_merged_buffers),
		cmocka_unit_test(odd_buffers_do),
		cmocka_unit_test(frames_wait_for_buffers),
		cmocka_unit_test(a_long_frame_waits_for_more_buffers),
		cmocka_unit_test(a_frame_that_never_fits_is_lost),
		cmocka_unit_test(a_frame_finds_as_much_room_as_the_last_ones_took),
		cmocka_unit_test(unmerged_buffers_hold_a_frame_each),
		cmocka_unit_test(the_longest_frame_passes),
		cmocka_unit_test(any_mixture_arrives),
		cmocka_unit_test(a_quiet_card_holds_no_buffer),
		cmocka_unit_test(a_quiet_card_loses_half_a_frame),
		cmocka_unit_test(malformed_chains_stop_the_device),
		cmocka_unit_test(a_malformed_refill_is_noticed),
		cmocka_unit_test(nothing_moves_before_the_driver_is_ready),
		cmocka_unit_test(commands_are_answered),
		cmocka_unit_test(offloads_follow_the_driver),
		cmocka_unit_test(pairs_come_and_go),
		cmocka_unit_test(commands_come_one_at_a_time),
		cmocka_unit_test(without_mq_the_control_queue_is_number_2),
		cmocka_unit_test(the_configuration_describes_the_card),
		cmocka_unit_test(one_queue_is_reset_alone),
		cmocka_unit_test(what_cannot_be_is_said),
	};

	return cmocka_run_group_tests_name("virtio-net", tests, NULL, NULL);
}
