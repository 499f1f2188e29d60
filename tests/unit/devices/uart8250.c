/* SPDX-License-Identifier: BSD-2-Clause */
/* The UART with a stream that is an array, and a line that counts its edges. */
#include "uart8250.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "test.h"

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

struct fixture {
	struct uart uart;
	struct stream stream;
	int input[4096]; /* bytes and STREAM_BREAK */
	size_t read, fed;
	uint8_t output[4096];
	size_t written, room; /* room: bytes that it still takes */
	bool line;
	unsigned edges;
};

static void set_line(void *ctx, unsigned n, bool level)
{
	struct fixture *f = ctx;

	assert_int_equal(n, 4);
	assert_int_not_equal(f->line, level); /* the line is only told of changes */
	f->edges += level;
	f->line = level;
}

static void fake_start(struct stream *s)
{
	assert_non_null(s->ready);
}

static ssize_t fake_read(struct stream *s, void *buf, size_t len)
{
	struct fixture *f = container_of(s, struct fixture, stream);
	size_t n = 0;

	while (n < len && f->read < f->fed && f->input[f->read] >= 0)
		((uint8_t *)buf)[n++] = (uint8_t)f->input[f->read++];
	if (n == 0 && len > 0 && f->read < f->fed) {
		f->read++;
		return STREAM_BREAK;
	}
	return (ssize_t)n;
}

static size_t fake_write(struct stream *s, const void *buf, size_t len)
{
	struct fixture *f = container_of(s, struct fixture, stream);
	size_t n = min(len, f->room);

	assert_true(f->written + n <= sizeof(f->output));
	memcpy(f->output + f->written, buf, n);
	f->written += n;
	f->room -= n;
	return n;
}

static bool fake_flush(struct stream *s)
{
	container_of(s, struct fixture, stream)->room = SIZE_MAX;
	return true;
}

static const struct stream_ops fake_ops = {
	.start = fake_start, .read = fake_read, .write = fake_write, .flush = fake_flush
};

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->stream.ops = &fake_ops;
	f->room = SIZE_MAX;
	uart_init(&f->uart, &(struct irq_line){ set_line, f, 4 }, &f->stream);
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	uart_destroy(&f->uart);
	uart_destroy(&f->uart);
	free(f);
	return 0;
}

static void ready(struct fixture *f)
{
	pthread_mutex_lock(f->stream.lock);
	f->stream.ready(f->stream.ctx);
	pthread_mutex_unlock(f->stream.lock);
}

static void feed(struct fixture *f, const char *text)
{
	for (; *text; text++)
		f->input[f->fed++] = *text == '~' ? STREAM_BREAK : *text;
	ready(f);
}

static uint8_t in(struct fixture *f, unsigned reg)
{
	uint64_t v;

	pthread_mutex_lock(&f->uart.dev.lock);
	v = f->uart.dev.ops->read(&f->uart.dev, reg, 1);
	pthread_mutex_unlock(&f->uart.dev.lock);
	assert_true(v <= 0xff);
	return (uint8_t)v;
}

static void out(struct fixture *f, unsigned reg, uint8_t v)
{
	pthread_mutex_lock(&f->uart.dev.lock);
	f->uart.dev.ops->write(&f->uart.dev, reg, 1, v);
	pthread_mutex_unlock(&f->uart.dev.lock);
}

/* Checks all that the receiver gives. */
static void assert_received(struct fixture *f, const char *text)
{
	for (; *text; text++) {
		assert_int_equal(in(f, LSR) & 1, 1);
		assert_int_equal(in(f, RBR), *text);
	}
	assert_int_equal(in(f, LSR) & 1, 0);
}

static void registers_hold_what_they_should(void **state)
{
	struct fixture *f = *state;

	out(f, SCR, 0xa5);
	out(f, LCR, 0x83);
	out(f, 0, 0x01);
	out(f, 1, 0xc2);
	assert_int_equal(in(f, 0), 0x01);
	assert_int_equal(in(f, 1), 0xc2);
	out(f, LCR, 0x03);
	assert_int_equal(f->written, 0); /* the divisor is not output */
	out(f, IER, 0xff);
	assert_int_equal(in(f, IER), 0x0f);
	out(f, MCR, 0xff);
	assert_int_equal(in(f, MCR), 0x1f);
	assert_int_equal(in(f, LCR), 0x03);
	assert_int_equal(in(f, SCR), 0xa5);
	assert_int_equal(in(f, IIR) & 0xc0, 0);
	out(f, FCR, 0x01);
	assert_int_equal(in(f, IIR) & 0xc0, 0xc0);
	out(f, FCR, 0xce); /* without the enable bit, the others don't count */
	assert_int_equal(in(f, IIR) & 0xc0, 0);
	assert_true(f->uart.dev.ops->read(&f->uart.dev, 0, 2) > 0xff);
	f->uart.dev.ops->write(&f->uart.dev, SCR, 2, 0);
	assert_int_equal(in(f, SCR), 0xa5);
}

static void it_starts_as_after_power_on(void **state)
{
	struct fixture *f = *state;

	assert_false(f->line);
	assert_int_equal(in(f, IER) | in(f, LCR) | in(f, MCR) | in(f, SCR), 0);
	assert_int_equal(in(f, IIR), 1);
	assert_int_equal(in(f, LSR), 0x60);
	assert_int_equal(in(f, MSR), 0xb0); /* a terminal is there, and nothing has changed */
}

static void output_arrives_in_order(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(f, LSR), 0x60);
	for (const char *p = "hello"; *p; p++)
		out(f, THR, (uint8_t)*p);
	assert_int_equal(f->written, 5);
	assert_memory_equal(f->output, "hello", 5);
	assert_int_equal(in(f, LSR), 0x60);
}

static void a_slow_reader_holds_the_transmitter(void **state)
{
	struct fixture *f = *state;

	out(f, IER, 0x02);
	assert_int_equal(in(f, IIR), 2);
	assert_false(f->line);
	f->room = 2;
	for (unsigned i = 0; i < 16; i++)
		out(f, THR, (uint8_t)('a' + i));
	assert_int_equal(f->written, 2);
	assert_int_equal(in(f, LSR), 0);
	assert_false(f->line);
	f->room = 13; /* not quite all of it */
	ready(f);
	assert_int_equal(in(f, LSR), 0);
	assert_false(f->line);
	f->room = 1;
	ready(f);
	assert_int_equal(in(f, LSR), 0x60);
	assert_true(f->line);
	assert_memory_equal(f->output, "abcdefghijklmnop", 16);
}

static void *write_seventeen(void *arg)
{
	for (unsigned i = 0; i < 17; i++)
		out(arg, THR, (uint8_t)('a' + i));
	return NULL;
}

/* Waits until the writer waits: then its 16 bytes are there and the lock is free. */
static pthread_t stuck_writer(struct fixture *f)
{
	pthread_t thread;
	unsigned len = 0;

	f->room = 0;
	pthread_create(&thread, NULL, write_seventeen, f);
	while (len < 16) {
		sched_yield();
		pthread_mutex_lock(&f->uart.dev.lock);
		len = f->uart.state.tx.len;
		pthread_mutex_unlock(&f->uart.dev.lock);
	}
	return thread;
}

static void a_writer_that_ignores_thre_waits(void **state)
{
	struct fixture *f = *state;
	pthread_t thread = stuck_writer(f);

	pthread_mutex_lock(&f->uart.dev.lock);
	f->room = SIZE_MAX;
	f->stream.ready(f->stream.ctx);
	pthread_mutex_unlock(&f->uart.dev.lock);
	pthread_join(thread, NULL);
	assert_int_equal(f->written, 17);
	assert_memory_equal(f->output, "abcdefghijklmnopq", 17);
}

static void stopping_releases_who_waits(void **state)
{
	struct fixture *f = *state;
	pthread_t thread = stuck_writer(f);

	uart_stop(&f->uart);
	pthread_join(thread, NULL);
	assert_int_equal(f->written, 0);
	out(f, THR, 'x');       /* and so are later ones */
	uart_destroy(&f->uart); /* the 16 that were taken are not lost */
	assert_int_equal(f->written, 16);
	assert_memory_equal(f->output, "abcdefghijklmnop", 16);
}

static void room_for_who_waits_loses_no_byte(void **state)
{
	struct fixture *f = *state;
	pthread_t thread[2] = { stuck_writer(f) };

	uart_make_room(&f->uart, true);
	pthread_join(thread[0], NULL);
	assert_int_equal(f->written, 0);
	assert_int_equal(in(f, LSR) & 0x60, 0);
	/* Other vCPUs were on their way to the transmitter. */
	for (unsigned i = 1; i < 64; i++)
		out(f, THR, (uint8_t)i);
	uart_make_room(&f->uart, false);
	assert_int_equal(f->uart.state.tx.len, 80);

	/* Now a vCPU waits again, until there are fewer bytes than a FIFO holds. */
	f->room = 79 - 16;
	pthread_create(&thread[1], NULL, write_seventeen, f);
	ready(f);
	assert_int_equal(f->written, 79 - 16);
	pthread_mutex_lock(&f->uart.dev.lock);
	assert_int_equal(f->uart.state.tx.len, 17);
	f->room = SIZE_MAX;
	f->stream.ready(f->stream.ctx);
	pthread_mutex_unlock(&f->uart.dev.lock);
	pthread_join(thread[1], NULL);
	assert_int_equal(f->written, 80 + 17);
	assert_memory_equal(f->output, "abcdefghijklmnopq", 17);
	for (unsigned i = 1; i < 64; i++)
		assert_int_equal(f->output[16 + i], i);
	assert_memory_equal(f->output + 80, "abcdefghijklmnopq", 17);
}

/* Even with room a transmitter is finite. */
static void room_ends(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	f->room = 0;
	uart_make_room(&f->uart, true);
	for (unsigned i = 0; i < UART_FIFO_ROOM; i++)
		out(f, THR, (uint8_t)i);
	pthread_create(&thread, NULL, write_seventeen, f);
	for (int i = 0; i < 100; i++)
		sched_yield();
	pthread_mutex_lock(&f->uart.dev.lock);
	assert_int_equal(f->uart.state.tx.len, UART_FIFO_ROOM);
	f->room = SIZE_MAX;
	f->stream.ready(f->stream.ctx);
	pthread_mutex_unlock(&f->uart.dev.lock);
	pthread_join(thread, NULL);
	assert_int_equal(f->written, UART_FIFO_ROOM + 17);
	assert_int_equal(f->output[UART_FIFO_ROOM - 1], UART_FIFO_ROOM - 1);
	assert_int_equal(f->output[UART_FIFO_ROOM], 'a');
}

static void input_waits_outside_while_the_fifo_is_full(void **state)
{
	struct fixture *f = *state;
	const char text[] = "The quick brown fox jumps over the lazy dog";

	feed(f, text);
	assert_int_equal(f->read, 1); /* no FIFO yet */
	out(f, MCR, 0x02);
	out(f, FCR, 0x03); /* clears it: 'T' is lost, as the driver asked */
	assert_int_equal(f->read, 17);
	assert_received(f, text + 1);
	assert_int_equal(in(f, LSR) & 0x02, 0); /* no overrun */
}

static void a_driver_that_is_not_listening_yet_loses_nothing(void **state)
{
	struct fixture *f = *state;

	feed(f, "early");
	out(f, FCR, 0x07); /* as Linux does when it probes: RTS and ERBFI are off */
	assert_int_equal(in(f, LSR), 0x60);
	assert_int_equal(in(f, RBR), 0);
	out(f, FCR, 0x00);
	out(f, IER, 0x02);
	out(f, MCR, 0x12); /* RTS in loopback does not count */
	out(f, MCR, 0x01); /* neither does DTR, which Linux keeps on for a console */
	assert_int_equal(in(f, LSR), 0x60);
	out(f, FCR, 0x07);
	assert_int_equal(in(f, LSR), 0x60);
	out(f, MCR, 0x03);
	assert_received(f, "early");
}

static void enabling_the_interrupt_is_listening_too(void **state)
{
	struct fixture *f = *state;

	feed(f, "early");
	out(f, FCR, 0x07);
	assert_int_equal(in(f, LSR), 0x60);
	out(f, IER, 0x05);
	out(f, FCR, 0x00); /* Linux turns the FIFOs on when it listens already */
	out(f, FCR, 0x01);
	assert_true(f->line);
	assert_received(f, "early");
	assert_false(f->line);
	feed(f, "later");
	out(f, FCR, 0x03);
	assert_received(f, ""); /* a listening driver's clear does clear */
}

static void received_data_interrupts_at_the_trigger_level(void **state)
{
	static const unsigned level[] = { 1, 4, 8, 14 };
	struct fixture *f = *state;

	out(f, IER, 0x01);
	for (unsigned i = 0; i < 4; i++) {
		out(f, FCR, (uint8_t)(i << 6 | 3));
		assert_int_equal(in(f, IIR), 0xc1);
		for (unsigned n = 1; n <= 16; n++) {
			feed(f, "x");
			assert_int_equal(in(f, IIR), n < level[i] ? 0xcc : 0xc4);
			assert_true(f->line);
		}
		for (unsigned n = 16; n > 0; n--) {
			assert_int_equal(in(f, IIR), n < level[i] ? 0xcc : 0xc4);
			in(f, RBR);
		}
		assert_false(f->line);
	}
}

static void each_byte_read_below_the_trigger_is_a_new_edge(void **state)
{
	struct fixture *f = *state;

	out(f, IER, 0x01); /* no FIFO: the next byte arrives when this one was read */
	feed(f, "abc");
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(f->edges, i);
		assert_int_equal(in(f, IIR), 4);
		in(f, RBR);
	}
	assert_int_equal(f->edges, 3);
	out(f, FCR, 0xc3); /* a character timeout starts again with each byte */
	feed(f, "abc");
	for (unsigned i = 4; i <= 6; i++) {
		assert_int_equal(f->edges, i);
		in(f, RBR);
	}
	assert_false(f->line);
}

static void thre_interrupts_when_it_empties_or_is_enabled_empty(void **state)
{
	struct fixture *f = *state;

	out(f, IER, 0x02);
	assert_int_equal(f->edges, 1);
	assert_int_equal(in(f, IIR), 2); /* reading it clears it */
	assert_false(f->line);
	assert_int_equal(in(f, IIR), 1);
	out(f, IER, 0x00);
	out(f, IER, 0x02); /* Linux tests for this */
	assert_int_equal(in(f, IIR), 2);
	out(f, THR, 'x'); /* it leaves, and THR is empty again */
	assert_int_equal(f->edges, 3);
	out(f, THR, 'y'); /* writing clears it and brings a new edge */
	assert_int_equal(f->edges, 4);
	assert_int_equal(in(f, IIR), 2);
	out(f, IER, 0x02); /* it is enabled already */
	assert_int_equal(in(f, IIR), 1);
}

static void interrupts_come_by_priority(void **state)
{
	struct fixture *f = *state;

	out(f, FCR, 0x01);
	out(f, MCR, 0x10); /* modem lines change */
	out(f, MCR, 0x02);
	feed(f, "~");
	out(f, IER, 0x0f);
	assert_int_equal(f->edges, 1);
	assert_int_equal(in(f, IIR), 0xc6);
	assert_int_equal(in(f, LSR), 0xf1); /* clears the line status */
	assert_int_equal(in(f, IIR), 0xc4);
	assert_true(f->line); /* it stays up as long as there is any interrupt */
	in(f, RBR);
	assert_int_equal(in(f, IIR), 0xc2);
	assert_int_equal(in(f, IIR), 0xc0);
	assert_int_equal(f->edges, 1);
	assert_int_equal(in(f, MSR) & 0x0f, 0x0b);
	assert_int_equal(in(f, IIR), 0xc1);
	assert_false(f->line);
	assert_int_equal(in(f, MSR), 0xb0);
}

static void a_break_keeps_its_place_in_the_input(void **state)
{
	struct fixture *f = *state;

	out(f, FCR, 0x01);
	feed(f, "a~h");
	assert_int_equal(in(f, LSR), 0xe1); /* one somewhere in the FIFO */
	assert_int_equal(in(f, RBR), 'a');
	assert_int_equal(in(f, LSR), 0xf1);
	assert_int_equal(in(f, LSR), 0x61); /* it is told once */
	assert_int_equal(in(f, RBR), 0);
	assert_received(f, "h");
	out(f, FCR, 0x00);
	out(f, MCR, 0x02);
	feed(f, "~");
	assert_int_equal(in(f, LSR), 0x71); /* no bit 7 without FIFO */
}

static void loopback_is_a_world_of_its_own(void **state)
{
	struct fixture *f = *state;

	out(f, FCR, 0x01);
	feed(f, "outside");
	out(f, MCR, 0x10);
	assert_received(f, "");
	out(f, THR, 0xae);
	assert_int_equal(in(f, LSR), 0x61);
	assert_int_equal(in(f, RBR), 0xae);
	for (unsigned i = 0; i < 16; i++)
		out(f, THR, (uint8_t)('a' + i));
	assert_int_equal(in(f, LSR), 0x61);
	out(f, THR, 'q'); /* one too many: the only overrun there is */
	assert_int_equal(in(f, LSR), 0x63);
	assert_int_equal(in(f, LSR), 0x61);
	assert_received(f, "abcdefghijklmnop");
	assert_int_equal(f->written, 0);
	out(f, THR, 'x');
	out(f, MCR, 0x00);
	assert_received(f, "outside");
	out(f, MCR, 0x10);
	assert_received(f, ""); /* a new loopback begins empty */
}

static void loopback_turns_the_modem_lines_round(void **state)
{
	static const struct {
		uint8_t mcr, msr;
	} t[] = { { 0x10, 0x0b }, { 0x11, 0x22 }, { 0x12, 0x13 }, { 0x14, 0x41 }, { 0x18, 0x8c },
		  { 0x1f, 0xf3 }, { 0x1f, 0xf0 }, { 0x10, 0x0f }, { 0x00, 0xbb }, { 0x00, 0xb0 } };
	struct fixture *f = *state;

	assert_int_equal(in(f, MSR), 0xb0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		out(f, MCR, t[i].mcr);
		assert_int_equal(in(f, MSR), t[i].msr);
	}
	out(f, IER, 0x08);
	out(f, MCR, 0x10);
	assert_int_equal(f->edges, 1);
}

static void no_backend_is_a_cable_to_nowhere(void **state __unused)
{
	struct uart u;

	uart_init(&u, &(struct irq_line){ 0 }, NULL);
	for (unsigned i = 0; i < 100; i++)
		u.dev.ops->write(&u.dev, THR, 1, 'x');
	assert_int_equal(u.dev.ops->read(&u.dev, LSR, 1), 0x60);
	uart_destroy(&u);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, start, stop)
	const struct CMUnitTest tests[] = {
		T(registers_hold_what_they_should),
		T(it_starts_as_after_power_on),
		T(output_arrives_in_order),
		T(a_slow_reader_holds_the_transmitter),
		T(a_writer_that_ignores_thre_waits),
		T(stopping_releases_who_waits),
		T(room_for_who_waits_loses_no_byte),
		T(room_ends),
		T(input_waits_outside_while_the_fifo_is_full),
		T(a_driver_that_is_not_listening_yet_loses_nothing),
		T(enabling_the_interrupt_is_listening_too),
		T(received_data_interrupts_at_the_trigger_level),
		T(each_byte_read_below_the_trigger_is_a_new_edge),
		T(thre_interrupts_when_it_empties_or_is_enabled_empty),
		T(interrupts_come_by_priority),
		T(a_break_keeps_its_place_in_the_input),
		T(loopback_is_a_world_of_its_own),
		T(loopback_turns_the_modem_lines_round),
		cmocka_unit_test(no_backend_is_a_cable_to_nowhere),
	};

	return cmocka_run_group_tests_name("uart", tests, NULL, NULL);
}
