/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-balloon device, and an input that is a list of operations of its driver: lists of pages,
 * reports and statistics in chains of any shape, resets, the configuration space, the timer. The
 * host wipes the memory that it takes back, rings included.
 */
#include "virtio/balloon.h"

#include <stdlib.h>

#include "ring.h"
#include "fuzz.h"

#define BUF_SIZE (64 * KIB)

struct target {
	struct virtio_balloon b;
	struct driver d;
	struct loop loop;
	gpa_t buf;      /* BUF_SIZE bytes that requests point into, and beyond */
	uint64_t taken; /* bytes, in one operation */
};

static struct target target;

static void take_one(struct target *t, uint8_t *host, uint64_t len)
{
	bool inside = false;

	assert((uintptr_t)host % BALLOON_PAGE == 0 && len && len % BALLOON_PAGE == 0);
	for (size_t i = 0; i < t->d.ram.mem.nr; i++) {
		const struct gmem_region *r = &t->d.ram.mem.region[i];

		inside |= host >= r->host && host < r->host + r->size && len <= r->size;
	}
	assert(inside);
	memset(host, 0, len);
	t->taken += len;
}

static uint64_t take(void *ctx, const struct iovec *range, unsigned nr)
{
	struct target *t = ctx;
	const uint64_t before = t->taken;

	assert(nr > 0 && nr <= 1024);
	for (unsigned i = 0; i < nr; i++)
		take_one(t, range[i].iov_base, range[i].iov_len);
	return t->taken - before;
}

static void target_init(struct target *t)
{
	const struct balloon_options o = {
		.on = true, .size = 64 * BALLOON_PAGE, .reporting = true, .stats = 3600
	};
	const struct virtio_host host = {
		.loop = &t->loop, .memory = 256 * BALLOON_PAGE, .release = take, .ctx = t
	};
	int rc = loop_init(&t->loop);

	assert(rc == 0);
	rc = virtio_balloon_init(&t->b, &o, &host);
	assert(rc == 0);
	driver_init(&t->d, &t->b.vd);
	t->buf = driver_alloc(&t->d, BUF_SIZE);
}

/* Numbers of pages, most of them of RAM. */
static void send_pages(struct target *t, struct fuzz_in *in, unsigned q)
{
	const unsigned nr = (unsigned)fuzz_number(in, 1);
	const uint32_t len = nr * 4 + (uint32_t)(fuzz_number(in, 1) & 3);
	uint8_t *p = ram_at(&t->d.ram, t->buf, BUF_SIZE);

	for (unsigned i = 0; i < nr; i++) {
		uint32_t page = (uint32_t)fuzz_number(in, 1);

		store_le(p + 4 * i, 4, page == 0xff ? fuzz_number(in, 4) : page);
	}
	ring_send(&t->d.ring[q], &(struct ring_buf){ t->buf, len, .in = false }, 1);
}

static void send_chain(struct target *t, struct fuzz_in *in, unsigned q)
{
	struct ring_buf buf[16];
	unsigned n = 1 + fuzz_number(in, 1) % ARRAY_SIZE(buf);

	for (unsigned i = 0; i < n; i++) {
		buf[i].gpa = fuzz_number(in, 3);
		buf[i].len = (uint32_t)fuzz_number(in, 3);
		buf[i].in = fuzz_number(in, 1) & 1;
	}
	ring_send(&t->d.ring[q], buf, n);
}

static void poke(struct target *t, struct fuzz_in *in)
{
	gpa_t gpa = fuzz_number(in, 3);
	uint8_t bytes[64];
	size_t len = fuzz_number(in, 1) % sizeof(bytes);

	fuzz_take(in, bytes, len);
	(void)!gmem_write(&t->d.ram.mem, gpa, bytes, len);
}

static void access_config(struct target *t, struct fuzz_in *in)
{
	unsigned size = 1u << (fuzz_number(in, 1) & 3);
	uint64_t off = fuzz_number(in, 1) % 24;

	virtio_config_write(&t->b.vd, off, size, fuzz_number(in, 4));
	(void)virtio_config_read(&t->b.vd, off, size);
}

static void step(struct target *t, struct fuzz_in *in)
{
	const unsigned op = (unsigned)fuzz_number(in, 1);
	const unsigned q = op / 16 % t->b.vd.nr_queues;

	if (op == FUZZ_REST) {
		driver_rest(&t->d);
		return;
	}
	switch (op % 16) {
	case 0:
	case 1:
		send_pages(t, in, q);
		break;
	case 2:
	case 3:
		send_chain(t, in, q);
		break;
	case 4:
	case 5:
	case 6:
		virtio_kick(&t->b.vd, q);
		break;
	case 7:
		ring_offer(&t->d.ring[q], (uint16_t)fuzz_number(in, 2));
		break;
	case 8:
		if (!driver_start(&t->d, fuzz_number(in, 1) & t->b.vd.features))
			driver_start(&t->d, 0);
		break;
	case 9:
		virtio_queue_disable(&t->b.vd, virtio_queue(&t->b.vd, q));
		driver_queue_up(&t->d, q);
		break;
	case 10:
		access_config(t, in);
		break;
	case 11:
	case 12:
		t->b.timer.fn(&t->b.timer, EPOLLIN);
		break;
	case 13:
		virtio_balloon_move(&t->b.vd, (int64_t)fuzz_number(in, 8));
		break;
	default:
		poke(t, in);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct target *t = &target;

	if (!t->b.vd.ops)
		target_init(t);
	driver_start(&t->d, t->b.vd.features);
	for (unsigned steps = 0; in.len && steps < 200; steps++) {
		t->taken = 0;
		step(t, &in);
		assert(t->taken <= 256 * MIB);          /* one operation has a bounded effect */
		assert(t->b.state.target_pages <= 224); /* of 256 */
	}
	virtio_reset(&t->b.vd);
	assert(!t->b.holding);
	return 0;
}
