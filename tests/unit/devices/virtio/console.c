/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-console from its driver's side, with streams that are arrays. */
#include "virtio/console.h"

#include <linux/virtio_console.h>
#include <poll.h>
#include <stdlib.h>

#include "fake_stream.h"
#include "ring.h"
#include "test.h"

#define PORTS      3
#define MULTIPORT  VIRTIO_BIT(VIRTIO_CONSOLE_F_MULTIPORT)
#define SIZE       VIRTIO_BIT(VIRTIO_CONSOLE_F_SIZE)
#define CONTROL_RX 2
#define CONTROL_TX 3
#define RX(id)     (2 * (id) + 2) /* of a named port */
#define TX(id)     (2 * (id) + 3)

struct fixture {
	struct virtio_console c;
	struct driver d;
	struct loop loop;
	struct fake_stream end[1 + PORTS]; /* the console's, then the ports' */
};

static struct fixture *start(unsigned nr_ports)
{
	static const char *const names[PORTS] = { "a", "org.example.agent", "c" };
	struct fixture *f = calloc(1, sizeof(*f));
	struct console_end ports[PORTS] = { 0 };
	struct console_options o = {
		.console.stream = nr_ports ? NULL : &f->end[0].stream,
		.has_size = nr_ports == 0,
		.cols = 80,
		.rows = 24,
		.port = ports,
		.nr_ports = nr_ports,
	};

	assert_non_null(f);
	for (unsigned i = 0; i < 1 + PORTS; i++)
		fake_stream_init(&f->end[i]);
	for (unsigned i = 0; i < PORTS; i++) {
		ports[i].name = names[i];
		ports[i].stream = &f->end[1 + i].stream;
	}
	assert_int_equal(loop_init(&f->loop), 0);
	assert_int_equal(virtio_console_init(&f->c, &o, &f->loop), 0);
	driver_init(&f->d, &f->c.vd);
	assert_int_equal(virtio_start(&f->c.vd, &f->loop), 0);
	assert_true(driver_start(&f->d, f->c.vd.features & (MULTIPORT | SIZE)));
	return f;
}

static void finish(struct fixture *f)
{
	virtio_console_detach(&f->c);
	driver_destroy(&f->d);
	virtio_console_destroy(&f->c);
	loop_destroy(&f->loop);
	free(f);
}

/* Offers an input buffer on queue q. */
static gpa_t offer(struct fixture *f, unsigned q, uint32_t len)
{
	gpa_t gpa = driver_alloc(&f->d, len);

	ring_send(&f->d.ring[q], &(struct ring_buf){ gpa, len, .in = true }, 1);
	driver_kick(&f->d, q);
	return gpa;
}

static void put(struct fixture *f, unsigned q, const void *data, uint32_t len)
{
	ring_send(&f->d.ring[q], &(struct ring_buf){ driver_put(&f->d, data, len), len, false }, 1);
	driver_kick(&f->d, q);
}

static void tell(struct fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
	const struct virtio_console_control m = { htole32(id), htole16(event), htole16(value) };
	struct ring_elem e;

	put(f, CONTROL_TX, &m, sizeof(m));
	assert_true(ring_take(&f->d.ring[CONTROL_TX], &e));
	assert_int_equal(e.len, 0);
}

/* Checks that the device's next control message is this one, in the buffer at gpa. */
static void assert_told(struct fixture *f, gpa_t gpa, uint32_t id, uint16_t event, uint16_t value,
			const char *name)
{
	const struct virtio_console_control *m = ram_at(&f->d.ram, gpa, 64);
	size_t len = name ? strlen(name) : 0;
	struct ring_elem e;

	assert_true(ring_take(&f->d.ring[CONTROL_RX], &e));
	assert_int_equal(e.len, sizeof(*m) + len);
	assert_int_equal(le32toh(m->id), id);
	assert_int_equal(le16toh(m->event), event);
	assert_int_equal(le16toh(m->value), value);
	assert_memory_equal(m + 1, name ?: "", len);
}

static bool broken(const struct fixture *f)
{
	return f->c.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* Does the device want another turn? Gives it one. */
static bool more(struct fixture *f)
{
	struct pollfd p = { .fd = f->c.more.fd, .events = POLLIN };

	if (poll(&p, 1, 0) <= 0)
		return false;
	f->c.more.fn(&f->c.more, EPOLLIN);
	return true;
}

/* Makes a port that the guest has made, named and opened; no control buffer is left. */
static void port_up(struct fixture *f, unsigned id)
{
	struct ring_elem e;

	offer(f, CONTROL_RX, 64); /* its name, and the client's coming */
	if (f->end[id].connections & 1)
		offer(f, CONTROL_RX, 64);
	tell(f, id, VIRTIO_CONSOLE_PORT_READY, 1);
	tell(f, id, VIRTIO_CONSOLE_PORT_OPEN, 1);
	while (ring_take(&f->d.ring[CONTROL_RX], &e))
		;
}

/* -- the console ----------------------------------------------------------------------------- */

static void output_reaches_the_stream(void **state __unused)
{
	struct fixture *f = start(0);
	struct ring_elem e;

	f->end[0].room = 100;
	put(f, 1, "hello", 5);
	assert_true(ring_take(&f->d.ring[1], &e));
	assert_int_equal(e.len, 0);
	assert_memory_equal(f->end[0].output, "hello", 5);
	assert_true(f->d.interrupts[1] > 0);
	finish(f);
}

static void a_slow_reader_loses_nothing(void **state __unused)
{
	struct fixture *f = start(0);
	gpa_t gpa = driver_put(&f->d, "0123456789abcdef", 16);

	/* Each chain has two pieces, of which the stream takes three bytes at a time. */
	for (unsigned i = 0; i < 4; i++)
		ring_send(&f->d.ring[1],
			  (struct ring_buf[]){ { gpa + 4 * i, 1, false },
					       { gpa + 4 * i + 1, 3, false } },
			  2);
	driver_kick(&f->d, 1);
	for (unsigned n = 0; n < 16; n += 3) {
		assert_int_equal(f->end[0].written, n);
		assert_int_equal(ring_used(&f->d.ring[1]), n / 4);
		f->end[0].room = 3;
		fake_stream_ready(&f->end[0]);
	}
	assert_int_equal(ring_used(&f->d.ring[1]), 4);
	assert_int_equal(f->end[0].written, 16);
	assert_memory_equal(f->end[0].output, "0123456789abcdef", 16);
	assert_true(f->d.interrupts[1] > 0); /* but not from a kick */
	finish(f);
}

static void input_waits_for_buffers(void **state __unused)
{
	struct fixture *f = start(0);
	struct ring_elem e;
	unsigned interrupts;
	gpa_t gpa;

	fake_stream_feed(&f->end[0], "0123456789", 10);
	fake_stream_ready(&f->end[0]);
	assert_int_equal(f->end[0].read, 0);
	gpa = offer(f, 0, 4);
	assert_true(ring_take(&f->d.ring[0], &e));
	assert_int_equal(e.len, 4);
	assert_memory_equal(ram_at(&f->d.ram, gpa, 4), "0123", 4);
	gpa = offer(f, 0, 16);
	assert_true(ring_take(&f->d.ring[0], &e));
	assert_int_equal(e.len, 6);
	assert_memory_equal(ram_at(&f->d.ram, gpa, 6), "456789", 6);
	gpa = offer(f, 0, 16); /* and a buffer for input */
	assert_int_equal(ring_used(&f->d.ring[0]), 0);
	interrupts = f->d.interrupts[0];
	f->end[0].breaks = true;
	fake_stream_feed(&f->end[0], "x", 1);
	fake_stream_ready(&f->end[0]);
	assert_true(ring_take(&f->d.ring[0], &e));
	assert_int_equal(e.len, 1); /* no break in it */
	assert_memory_equal(ram_at(&f->d.ram, gpa, 1), "x", 1);
	assert_true(f->d.interrupts[0] > interrupts); /* but not from a kick */
	finish(f);
}

static void the_size_is_told_with_an_interrupt(void **state __unused)
{
	struct fixture *f = start(0);
	const unsigned at_start = f->d.config_interrupts;

	assert_int_equal(at_start, 1); /* otherwise Linux doesn't look */
	assert_int_equal(virtio_config_read(&f->c.vd, 0, 2), 80);
	assert_int_equal(virtio_config_read(&f->c.vd, 2, 2), 24);
	assert_int_equal(virtio_config_read(&f->c.vd, 4, 4), 1);
	virtio_console_resize(&f->c, 80, 24);
	assert_int_equal(f->d.config_interrupts, at_start);
	virtio_console_resize(&f->c, 132, 50);
	assert_int_equal(f->d.config_interrupts, at_start + 1);
	assert_int_equal(virtio_config_read(&f->c.vd, 0, 4), 50 << 16 | 132);
	finish(f);
}

static void one_callback_does_so_much_and_no_more(void **state __unused)
{
	struct fixture *f = start(0);
	struct ring_buf buf[8];

	/* Far more than the ring's memory: the same megabyte again and again. */
	f->end[0].forgets = true;
	f->end[0].room = SIZE_MAX;
	for (unsigned i = 0; i < ARRAY_SIZE(buf); i++)
		buf[i] = (struct ring_buf){ 0, 1 << 20, false };
	ring_send(&f->d.ring[1], buf, ARRAY_SIZE(buf));
	driver_kick(&f->d, 1);
	assert_true(f->end[0].written > 0 && f->end[0].written <= 512 * KIB);
	for (size_t before = 0; ring_used(&f->d.ring[1]) == 0; before = f->end[0].written) {
		assert_true(f->end[0].written - before <= 512 * KIB);
		assert_true(more(f));
	}
	assert_int_equal(f->end[0].written, 8 * MIB);
	more(f);
	assert_false(more(f));
	finish(f);
}

/* -- ports ----------------------------------------------------------------------------------- */

static void ports_are_announced_named_and_opened(void **state __unused)
{
	struct fixture *f = start(PORTS);
	gpa_t at[5];

	assert_int_equal(virtio_config_read(&f->c.vd, 4, 4), 1 + PORTS);
	tell(f, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (unsigned i = 0; i < 5; i++) /* buffers may come after the messages */
		at[i] = offer(f, CONTROL_RX, 64);
	for (unsigned i = 0; i < PORTS; i++)
		assert_told(f, at[i], i + 1, VIRTIO_CONSOLE_PORT_ADD, 1, NULL);
	assert_int_equal(ring_used(&f->d.ring[CONTROL_RX]), 0);
	tell(f, 2, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_told(f, at[3], 2, VIRTIO_CONSOLE_PORT_NAME, 1, "org.example.agent");
	assert_told(f, at[4], 2, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
	assert_true(f->d.interrupts[CONTROL_RX] > 0);
	finish(f);
}

static void input_waits_until_the_guest_has_opened(void **state __unused)
{
	struct fixture *f = start(PORTS);

	fake_stream_feed(&f->end[1], "early", 5);
	offer(f, RX(1), 64);
	fake_stream_ready(&f->end[1]);
	assert_int_equal(f->end[1].read, 0);
	port_up(f, 1);
	assert_int_equal(f->end[1].read, 5);
	tell(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	offer(f, RX(1), 64);
	fake_stream_feed(&f->end[1], "late", 4);
	fake_stream_ready(&f->end[1]);
	assert_int_equal(f->end[1].read, 5);
	tell(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	assert_int_equal(f->end[1].read, 9);
	finish(f);
}

static void a_stalled_port_is_alone(void **state __unused)
{
	struct fixture *f = start(PORTS);

	port_up(f, 1);
	port_up(f, 2);
	f->end[2].room = 100;
	for (unsigned i = 0; i < 10; i++) {
		put(f, TX(1), "stalled", 7);
		put(f, TX(2), "moves", 5);
	}
	assert_int_equal(f->end[1].written, 0);
	assert_int_equal(f->end[2].written, 50);
	assert_int_equal(ring_used(&f->d.ring[TX(2)]), 10);
	f->end[1].room = 100;
	fake_stream_ready(&f->end[1]);
	assert_int_equal(f->end[1].written, 70);
	assert_int_equal(ring_used(&f->d.ring[TX(1)]), 10);
	finish(f);
}

static void clients_come_and_go(void **state __unused)
{
	struct fixture *f = start(PORTS);
	struct fake_stream *end = &f->end[1];
	unsigned interrupts;
	gpa_t at[2], in;

	end->connections = 0;
	port_up(f, 1);
	put(f, TX(1), "to nobody", 9);
	assert_int_equal(ring_used(&f->d.ring[TX(1)]), 1);
	in = offer(f, RX(1), 64);
	at[0] = offer(f, CONTROL_RX, 64);
	at[1] = offer(f, CONTROL_RX, 64);

	end->connections++;
	fake_stream_feed(end, "one", 3);
	end->leaving = true;
	interrupts = f->d.interrupts[CONTROL_RX];
	fake_stream_ready(end);
	assert_true(f->d.interrupts[CONTROL_RX] > interrupts);
	assert_int_equal(end->connections, 2);
	assert_told(f, at[0], 1, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
	assert_memory_equal(ram_at(&f->d.ram, in, 3), "one", 3);
	assert_told(f, at[1], 1, VIRTIO_CONSOLE_PORT_OPEN, 0, NULL);
	finish(f);
}

static void what_a_client_sent_ends_before_the_next(void **state __unused)
{
	struct fixture *f = start(PORTS);
	struct fake_stream *end = &f->end[1];
	gpa_t at;

	port_up(f, 1);
	offer(f, RX(1), 64);
	end->connections += 2; /* it left, and another came, while there is no control buffer */
	fake_stream_feed(end, "new", 3);
	fake_stream_ready(end);
	assert_int_equal(end->read, 0);
	at = offer(f, CONTROL_RX, 64);
	assert_told(f, at, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, NULL);
	assert_int_equal(end->read, 0); /* it waits until the guest knows */
	at = offer(f, CONTROL_RX, 64);
	assert_told(f, at, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
	assert_int_equal(end->read, 3);

	end->connections += 1001; /* of many, only the last is told */
	fake_stream_ready(end);
	offer(f, CONTROL_RX, 64);
	assert_int_equal(f->c.port[1].state.told, end->connections);
	end->connections += 1000;
	fake_stream_ready(end);
	offer(f, CONTROL_RX, 64);
	assert_int_equal(f->c.port[1].state.told, end->connections - 1);
	finish(f);
}

static void a_driver_without_multiport_has_a_console(void **state __unused)
{
	struct fixture *f = start(PORTS);
	struct virtio_console_control m = { htole32(1), htole16(VIRTIO_CONSOLE_PORT_OPEN),
					    htole16(1) };

	assert_true(driver_start(&f->d, 0));
	put(f, 1, "hello", 5); /* it takes everything: such a driver may wait for that */
	assert_int_equal(ring_used(&f->d.ring[1]), 1);
	put(f, CONTROL_TX, &m, sizeof(m));
	put(f, TX(1), "x", 1);
	assert_int_equal(ring_used(&f->d.ring[CONTROL_TX]), 0);
	assert_int_equal(ring_used(&f->d.ring[TX(1)]), 0);
	finish(f);
}

/* -- the end --------------------------------------------------------------------------------- */

static void what_was_written_before_a_reset_goes_out(void **state __unused)
{
	struct fixture *f = start(PORTS);

	port_up(f, 1);
	for (unsigned i = 0; i < 2; i++) { /* first with one chain begun, then with none seen */
		f->end[1].room = i ? 0 : 3;
		if (i == 0)
			put(f, TX(1), "0123456789", 10);
		ring_send(&f->d.ring[TX(1)],
			  &(struct ring_buf){ driver_put(&f->d, "abcdef", 6), 6, false }, 1);
		assert_true(driver_start(&f->d, MULTIPORT)); /* the reset comes first */
		memset(ram_at(&f->d.ram, RAM_LOW_SIZE / 2, 4096), 0, 4096);
	}
	f->end[1].room = 8;
	fake_stream_ready(&f->end[1]);
	assert_int_equal(f->end[1].written, 11);
	virtio_set_status(&f->c.vd, 0);
	f->end[1].room = 100;
	fake_stream_ready(&f->end[1]);
	assert_int_equal(f->end[1].written, 22);
	assert_memory_equal(f->end[1].output, "0123456789abcdefabcdef", 22);
	finish(f);
}

static void the_end_flushes(void **state __unused)
{
	struct fixture *f = start(PORTS);

	put(f, TX(1), "one", 3);
	put(f, TX(1), "two", 3);
	ring_send(&f->d.ring[TX(1)], &(struct ring_buf){ driver_put(&f->d, "three", 5), 5, false },
		  1); /* and its kick comes too late */
	virtio_console_detach(&f->c);
	assert_int_equal(f->end[1].written, 11);
	assert_memory_equal(f->end[1].output, "onetwothree", 11);
	finish(f);
}

static void the_end_does_not_wait_for_ever(void **state __unused)
{
	struct fixture *f = start(PORTS);

	log_set_level(LOG_QUIET);
	f->end[1].stuck = true;
	put(f, TX(1), "lost", 4);
	put(f, TX(2), "kept", 4);
	virtio_console_detach(&f->c);
	assert_int_equal(f->end[1].written, 0);
	assert_int_equal(f->end[2].written, 4);
	log_set_level(LOG_WARN);
	finish(f);
}

static void a_queue_alone_can_be_reset(void **state __unused)
{
	struct fixture *f = start(0);
	struct virtq *rx = virtio_queue(&f->c.vd, 0), *tx = virtio_queue(&f->c.vd, 1);

	offer(f, 0, 16);
	put(f, 1, "held", 4);
	virtio_queue_disable(&f->c.vd, rx);
	virtio_queue_disable(&f->c.vd, tx);
	fake_stream_feed(&f->end[0], "input", 5);
	f->end[0].room = 100;
	fake_stream_ready(&f->end[0]);
	assert_int_equal(f->end[0].read, 0);
	assert_int_equal(f->end[0].written, 4);
	driver_queue_up(&f->d, 0);
	offer(f, 0, 16);
	assert_int_equal(f->end[0].read, 5);
	finish(f);
}

/* -- what no honest driver would do ---------------------------------------------------------- */

static void bad_control_messages_are_ignored(void **state __unused)
{
	static const uint32_t ids[] = { 0, 4, 5, 0x7fffffff, VIRTIO_CONSOLE_BAD_ID };
	const struct virtio_console_control almost = { htole32(1),
						       htole16(VIRTIO_CONSOLE_PORT_OPEN),
						       htole16(1) };
	struct fixture *f = start(PORTS);

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		for (uint16_t event = 0; event < 12; event++)
			if (event != VIRTIO_CONSOLE_DEVICE_READY)
				tell(f, ids[i], event, 1);
	tell(f, 1, 0xffff, 1);
	put(f, CONTROL_TX, &almost, 7);
	assert_int_equal(ring_used(&f->d.ring[CONTROL_TX]), 1);
	assert_false(f->c.port[1].state.open);
	ring_send(&f->d.ring[CONTROL_TX], &(struct ring_buf){ 0, 0, false }, 1);
	ring_send(&f->d.ring[CONTROL_TX], &(struct ring_buf){ 4096, 64, true }, 1);
	driver_kick(&f->d, CONTROL_TX);
	assert_int_equal(ring_used(&f->d.ring[CONTROL_TX]), 3);
	offer(f, CONTROL_RX, 64);
	assert_int_equal(ring_used(&f->d.ring[CONTROL_RX]), 0);
	assert_false(broken(f));
	finish(f);
}

static void odd_buffers_do_no_harm(void **state __unused)
{
	struct fixture *f = start(PORTS);
	struct ring_elem e;

	port_up(f, 1);
	f->end[1].room = 100;
	ring_send(&f->d.ring[TX(1)], &(struct ring_buf){ 4096, 64, true }, 1);
	ring_send(&f->d.ring[TX(1)], &(struct ring_buf){ 0, 0, false }, 1);
	driver_kick(&f->d, TX(1));
	assert_int_equal(ring_used(&f->d.ring[TX(1)]), 2);
	ring_send(&f->d.ring[RX(1)], &(struct ring_buf){ 4096, 64, false }, 1);
	ring_send(&f->d.ring[RX(1)], &(struct ring_buf){ 0, 0, true }, 1);
	driver_kick(&f->d, RX(1));
	assert_int_equal(ring_used(&f->d.ring[RX(1)]), 2);
	/* If a control buffer is too small, that is the driver's loss. */
	for (unsigned i = 0; i < 8; i++)
		offer(f, CONTROL_RX, 3);
	tell(f, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	while (ring_take(&f->d.ring[CONTROL_RX], &e))
		assert_true(e.len <= 8);
	assert_false(broken(f));
	finish(f);
}

static void malformed_rings_break_the_device(void **state __unused)
{
	static const unsigned queues[] = { 1, CONTROL_TX, TX(1) };

	log_set_level(LOG_QUIET);
	for (size_t i = 0; i < ARRAY_SIZE(queues); i++) {
		struct fixture *f = start(PORTS);
		unsigned q = queues[i];

		ring_desc(&f->d.ring[q], 0, RAM_END, 16, 0, 0);
		ring_offer(&f->d.ring[q], 0);
		driver_kick(&f->d, q);
		assert_true(broken(f));
		fake_stream_feed(&f->end[1], "x", 1);
		fake_stream_ready(&f->end[1]); /* nothing moves any more */
		assert_int_equal(f->end[1].read, 0);
		finish(f);
	}
	log_set_level(LOG_WARN);
}

static void a_ring_found_malformed_late_breaks_it_too(void **state __unused)
{
	struct fixture *f = start(0);

	log_set_level(LOG_QUIET);
	put(f, 1, "waits", 5);
	ring_offer(&f->d.ring[1], 200);
	put(f, 1, "behind", 6);
	assert_false(broken(f));
	f->end[0].room = 100;
	fake_stream_ready(&f->end[0]);
	assert_true(broken(f));
	fake_stream_ready(&f->end[0]);
	assert_int_equal(f->end[0].written, 5);
	log_set_level(LOG_WARN);
	finish(f);
}

static void resets_do_not_pile_up_memory(void **state __unused)
{
	struct fixture *f = start(0);
	struct ring_buf buf[3];

	log_set_level(LOG_QUIET);
	for (unsigned i = 0; i < 20; i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(buf); k++)
			buf[k] = (struct ring_buf){ 0, 1 << 20, false };
		ring_send(&f->d.ring[1], buf, ARRAY_SIZE(buf));
		driver_kick(&f->d, 1);
		assert_true(driver_start(&f->d, 0));
		assert_true(f->c.port[0].rest_len <= 8 * MIB);
	}
	assert_true(f->c.port[0].rest_len >= 3 * MIB);
	f->end[0].stuck = true;
	finish(f);
	log_set_level(LOG_WARN);
}

static void a_quiet_console_loses_and_repeats_nothing(void **state __unused)
{
	struct fixture *f = start(0);
	gpa_t in = offer(f, 0, 100);
	struct ring_elem e;

	f->end[0].room = 3;
	put(f, 1, "hello", 5);
	put(f, 1, " world", 6);
	assert_int_equal(f->end[0].written, 3);
	assert_false(driver_holds_nothing(&f->d));
	virtio_quiesce(&f->c.vd);
	assert_true(driver_holds_nothing(&f->d));
	assert_int_equal(ring_used(&f->d.ring[0]) + ring_used(&f->d.ring[1]), 0);

	/* Again while a part of the same chain is still to come. */
	f->end[0].room = 1;
	driver_go_on(&f->d);
	virtio_quiesce(&f->c.vd);
	assert_true(driver_holds_nothing(&f->d));
	f->end[0].room = 100;
	fake_stream_feed(&f->end[0], "input", 5);
	driver_go_on(&f->d);
	assert_int_equal(f->end[0].written, 11);
	assert_memory_equal(f->end[0].output, "hello world", 11);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(ring_take(&f->d.ring[1], &e));
		assert_int_equal(e.id, i);
	}
	assert_true(ring_take(&f->d.ring[0], &e));
	assert_int_equal(e.len, 5);
	assert_memory_equal(ram_at(&f->d.ram, in, 5), "input", 5);
	driver_go_on(&f->d);
	assert_int_equal(ring_used(&f->d.ring[0]) + ring_used(&f->d.ring[1]), 0);
	finish(f);
}

/* What was given back is what a reset keeps, too. */
static void a_quiet_port_is_reset_without_loss(void **state __unused)
{
	struct fixture *f = start(PORTS);

	port_up(f, 2);
	f->end[2].room = 2;
	put(f, TX(2), "hello", 5);
	virtio_quiesce(&f->c.vd);
	assert_true(driver_holds_nothing(&f->d));
	assert_true(driver_start(&f->d, MULTIPORT));
	f->end[2].room = 100;
	fake_stream_ready(&f->end[2]);
	assert_int_equal(f->end[2].written, 5);
	assert_memory_equal(f->end[2].output, "hello", 5);
	finish(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_reaches_the_stream),
		cmocka_unit_test(a_slow_reader_loses_nothing),
		cmocka_unit_test(input_waits_for_buffers),
		cmocka_unit_test(the_size_is_told_with_an_interrupt),
		cmocka_unit_test(one_callback_does_so_much_and_no_more),
		cmocka_unit_test(ports_are_announced_named_and_opened),
		cmocka_unit_test(input_waits_until_the_guest_has_opened),
		cmocka_unit_test(a_stalled_port_is_alone),
		cmocka_unit_test(clients_come_and_go),
		cmocka_unit_test(what_a_client_sent_ends_before_the_next),
		cmocka_unit_test(a_driver_without_multiport_has_a_console),
		cmocka_unit_test(what_was_written_before_a_reset_goes_out),
		cmocka_unit_test(the_end_flushes),
		cmocka_unit_test(the_end_does_not_wait_for_ever),
		cmocka_unit_test(a_queue_alone_can_be_reset),
		cmocka_unit_test(bad_control_messages_are_ignored),
		cmocka_unit_test(odd_buffers_do_no_harm),
		cmocka_unit_test(malformed_rings_break_the_device),
		cmocka_unit_test(a_ring_found_malformed_late_breaks_it_too),
		cmocka_unit_test(resets_do_not_pile_up_memory),
		cmocka_unit_test(a_quiet_console_loses_and_repeats_nothing),
		cmocka_unit_test(a_quiet_port_is_reset_without_loss),
	};

	return cmocka_run_group_tests_name("virtio-console", tests, NULL, NULL);
}
