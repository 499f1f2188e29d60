/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-console device, one with a console or one with ports, and an input that is a list of
 * operations of its driver and of the host's ends: output in pieces of any shape, buffers for
 * input, control messages, kicks, resets; readers that stall, input, clients that come and go.
 */
#include "virtio/console.h"

#include <linux/virtio_console.h>
#include <poll.h>

#include "fake_stream.h"
#include "ring.h"
#include "fuzz.h"

#define PORTS    3
#define BUF_SIZE (64 * KIB)

struct target {
	struct virtio_console c;
	struct driver d;
	struct loop loop;
	struct fake_stream end[1 + PORTS];
	gpa_t buf;     /* BUF_SIZE bytes that buffers lie in, and beyond */
	gpa_t restart; /* where d allocates from, for the next input */
	bool made;
};

static struct target console, ports;

static void target_init(struct target *t)
{
	static const char *const names[PORTS] = { "a", "org.example.agent", "c" };
	struct console_end ports_end[PORTS] = { 0 };
	const bool multiport = t == &ports;
	const struct console_options o = {
		.console.stream = &t->end[0].stream,
		.has_size = !multiport,
		.cols = 80,
		.rows = 24,
		.port = ports_end,
		.nr_ports = multiport ? PORTS : 0,
	};
	int rc;

	for (unsigned i = 0; i < PORTS; i++) {
		ports_end[i].name = names[i];
		ports_end[i].stream = &t->end[1 + i].stream;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(t->end); i++)
		fake_stream_init(&t->end[i]);
	rc = loop_init(&t->loop);
	assert(rc == 0);
	rc = virtio_console_init(&t->c, &o, &t->loop);
	assert(rc == 0);
	driver_init(&t->d, &t->c.vd);
	rc = virtio_start(&t->c.vd, &t->loop);
	assert(rc == 0);
	t->buf = driver_alloc(&t->d, BUF_SIZE);
	t->restart = t->d.next_alloc;
	t->made = true;
}

static unsigned pick_queue(struct target *t, struct fuzz_in *in)
{
	return (unsigned)fuzz_number(in, 1) % t->c.vd.nr_queues;
}

static struct fake_stream *pick_end(struct target *t, struct fuzz_in *in)
{
	return &t->end[fuzz_number(in, 1) % t->c.nr_ports];
}

/* Sends pieces of one direction. */
static void send_pieces(struct target *t, struct fuzz_in *in, bool is_in)
{
	unsigned q = pick_queue(t, in), nr = 1 + (unsigned)fuzz_number(in, 1) % 8;
	uint32_t len = (uint32_t)fuzz_number(in, 2);
	gpa_t gpa = t->buf + fuzz_number(in, 1) * 256;
	struct ring_buf buf[8];

	for (unsigned i = 0; i < nr; i++)
		buf[i] = (struct ring_buf){ gpa + i, len, is_in };
	ring_send(&t->d.ring[q], buf, nr);
}

static void send_chain(struct target *t, struct fuzz_in *in)
{
	unsigned q = pick_queue(t, in), n = 1 + (unsigned)fuzz_number(in, 1) % 16;
	struct ring_buf buf[16];

	for (unsigned i = 0; i < n; i++) {
		buf[i].gpa = t->buf + fuzz_number(in, 2);
		buf[i].len = (uint32_t)fuzz_number(in, 2);
		buf[i].in = fuzz_number(in, 1) & 1;
	}
	ring_send(&t->d.ring[q], buf, n);
}

static void send_control(struct target *t, struct fuzz_in *in)
{
	struct virtio_console_control m = { 0 };
	uint32_t id = (uint32_t)fuzz_number(in, 1);
	gpa_t gpa = t->buf + 16 * (fuzz_number(in, 1) % 64);

	m.id = htole32(id == 0xff ? VIRTIO_CONSOLE_BAD_ID : id);
	m.event = htole16((uint16_t)fuzz_number(in, 1));
	m.value = htole16((uint16_t)fuzz_number(in, 1));
	memcpy(ram_at(&t->d.ram, gpa, sizeof(m)), &m, sizeof(m));
	if (t == &ports) {
		ring_send(&t->d.ring[3], &(struct ring_buf){ gpa, sizeof(m), false }, 1);
		virtio_kick(&t->c.vd, 3);
	}
}

static void host_end(struct target *t, struct fuzz_in *in)
{
	struct fake_stream *f = pick_end(t, in);
	uint8_t what = (uint8_t)fuzz_number(in, 1);
	size_t n = fuzz_number(in, 2);

	switch (what % 6) {
	case 0:
		f->room = n;
		break;
	case 1:
		f->fed += min(n, sizeof(f->input) - f->fed);
		break;
	case 2:
		f->connections += (unsigned)n % 4;
		break;
	case 3:
		f->leaving = f->connections & 1;
		break;
	case 4:
		f->breaks = true;
		break;
	case 5:
		f->room = SIZE_MAX;
		break;
	}
	if (what & 0x80 && f->attached)
		fake_stream_ready(f);
}

static void poke(struct target *t, struct fuzz_in *in)
{
	gpa_t gpa = fuzz_number(in, 3);
	uint8_t bytes[32];
	size_t len = fuzz_number(in, 1) % sizeof(bytes);

	fuzz_take(in, bytes, len);
	(void)!gmem_write(&t->d.ram.mem, gpa, bytes, len);
}

static void queue_reset(struct target *t, struct fuzz_in *in)
{
	unsigned q = pick_queue(t, in);

	virtio_queue_disable(&t->c.vd, virtio_queue(&t->c.vd, q));
	if (fuzz_number(in, 1) & 1)
		driver_queue_up(&t->d, q);
}

static void config(struct target *t, struct fuzz_in *in)
{
	unsigned size = 1u << (fuzz_number(in, 1) & 3);
	uint64_t off = fuzz_number(in, 1);

	(void)virtio_config_read(&t->c.vd, off, size);
	virtio_config_write(&t->c.vd, off, size, fuzz_number(in, 1));
	virtio_console_resize(&t->c, (uint16_t)fuzz_number(in, 1), 24);
}

static void more(struct target *t)
{
	struct pollfd p = { .fd = t->c.more.fd, .events = POLLIN };

	if (poll(&p, 1, 0) > 0)
		t->c.more.fn(&t->c.more, EPOLLIN);
}

static void step(struct target *t, struct fuzz_in *in)
{
	const unsigned op = (unsigned)fuzz_number(in, 1);

	if (op == FUZZ_REST) {
		driver_rest(&t->d);
		return;
	}
	switch (op % 14) {
	case 0:
		send_pieces(t, in, false);
		break;
	case 1:
		send_pieces(t, in, true);
		break;
	case 2:
		send_chain(t, in);
		break;
	case 3:
	case 4:
		send_control(t, in);
		break;
	case 5:
	case 6:
		virtio_kick(&t->c.vd, pick_queue(t, in));
		break;
	case 7:
	case 8:
		host_end(t, in);
		break;
	case 9:
		if (!driver_start(&t->d, fuzz_number(in, 4) & t->c.vd.features))
			driver_start(&t->d, 0);
		break;
	case 10:
		queue_reset(t, in);
		break;
	case 11:
		config(t, in);
		break;
	case 12:
		poke(t, in);
		break;
	case 13:
		more(t);
		ring_offer(&t->d.ring[pick_queue(t, in)], (uint16_t)fuzz_number(in, 2));
		break;
	}
	for (unsigned i = 0; i < t->c.nr_ports; i++)
		assert(t->c.port[i].rest_len <= 8 * MIB && t->end[i].read <= t->end[i].fed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct target *t = fuzz_number(&in, 1) & 1 ? &ports : &console;

	if (!t->made)
		target_init(t);
	for (unsigned i = 0; i < t->c.nr_ports; i++) {
		fake_stream_init(&t->end[i]);
		t->end[i].forgets = true;
		t->end[i].attached = true;
	}
	t->d.next_alloc = t->restart;
	driver_start(&t->d, t->c.vd.features);
	for (unsigned steps = 0; in.len && steps < 200; steps++)
		step(t, &in);
	virtio_reset(&t->c.vd);
	for (unsigned i = 0; i < t->c.nr_ports; i++) {
		/* What is kept from before the reset goes out, bit by bit. */
		t->end[i].room = SIZE_MAX;
		t->end[i].connections |= 1;
		for (unsigned turns = 0; t->c.port[i].rest_len && turns < 64; turns++)
			fake_stream_ready(&t->end[i]);
		assert(!t->c.port[i].rest_len);
	}
	return 0;
}
