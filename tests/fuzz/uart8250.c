/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers of the UART, input, and a backend that stalls. The first byte of an operation has its
 * kind in the low three bits and the register above them; then comes an argument if it needs one.
 * After each operation the device must be in order and its line as IIR says; in the end all that
 * was sent must have arrived.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "uart8250.h"

#define MOST 4096

enum { THR = 0, LCR = 3, MCR = 4 };

struct fixture {
	struct uart uart;
	struct stream stream;
	struct fuzz_in in;
	unsigned pending; /* inputs that wait in the stream */
	size_t room;
	uint8_t sent[MOST], arrived[MOST];
	size_t nr_sent, nr_arrived;
	bool line;
};

static void check(bool fine)
{
	if (!fine)
		abort();
}

static void set_line(void *ctx, unsigned n __unused, bool level)
{
	struct fixture *f = ctx;

	check(f->line != level);
	f->line = level;
}

static void stream_starts(struct stream *s __unused) {}

static ssize_t stream_reads(struct stream *s, void *buf, size_t len)
{
	struct fixture *f = container_of(s, struct fixture, stream);

	if (!f->pending || !len)
		return 0;
	f->pending--;
	*(uint8_t *)buf = (uint8_t)f->pending;
	return f->pending % 8 == 5 ? STREAM_BREAK : 1;
}

static size_t stream_writes(struct stream *s, const void *buf, size_t len)
{
	struct fixture *f = container_of(s, struct fixture, stream);
	size_t n = min(len, f->room);

	check(f->nr_arrived + n <= f->nr_sent);
	memcpy(f->arrived + f->nr_arrived, buf, n);
	f->nr_arrived += n;
	f->room -= n;
	return n;
}

static bool stream_flushes(struct stream *s)
{
	container_of(s, struct fixture, stream)->room = MOST;
	return true;
}

static const struct stream_ops stream_ops = { .start = stream_starts,
					      .read = stream_reads,
					      .write = stream_writes,
					      .flush = stream_flushes };

static void write_register(struct fixture *f, unsigned reg, uint8_t value)
{
	struct uart *u = &f->uart;

	if (reg == THR && !(u->state.lcr & 0x80) && !(u->state.mcr & 0x10)) {
		if (f->nr_sent == MOST || (u->stopping && u->state.tx.len >= u->tx_room))
			return;
		while (u->state.tx.len >= u->tx_room) { /* otherwise it would wait for ever */
			f->room++;
			f->stream.ready(f->stream.ctx);
		}
		f->sent[f->nr_sent++] = value;
	}
	u->dev.ops->write(&u->dev, reg, 1, value);
}

static void operate(struct fixture *f)
{
	unsigned op = (unsigned)fuzz_number(&f->in, 1), reg = op >> 3 & 7;
	struct uart *u = &f->uart;

	switch (op & 7) {
	case 0:
	case 1:
		u->dev.ops->read(&u->dev, reg, 1);
		break;
	case 2:
	case 3:
		write_register(f, reg, (uint8_t)fuzz_number(&f->in, 1));
		break;
	case 4:
		f->pending += (unsigned)fuzz_number(&f->in, 1);
		break;
	case 5:
		f->room += reg * 3;
		break;
	case 6:
		f->stream.ready(f->stream.ctx);
		break;
	case 7:
		if (reg == 6)
			uart_stop(u);
		else if (reg >= 4)
			uart_make_room(u, reg == 4);
		else
			u->dev.ops->read(&u->dev, reg, 1u << (reg & 3));
	}
	check(u->state.rx.len <= UART_FIFO_SIZE && u->state.tx.len <= UART_FIFO_ROOM);
	check(u->state.loop.len <= UART_FIFO_SIZE);
	check(u->state.irq_level == f->line);
	check(u->state.ier || !f->line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct fixture f;

	f.stream = (struct stream){ .ops = &stream_ops };
	f.in = (struct fuzz_in){ data, len };
	f.pending = 0;
	f.room = 0;
	f.nr_sent = f.nr_arrived = 0;
	f.line = false;
	uart_init(&f.uart, &(struct irq_line){ set_line, &f, 4 }, &f.stream);
	while (f.in.len)
		operate(&f);
	uart_destroy(&f.uart);
	check(f.nr_arrived == f.nr_sent && memcmp(f.arrived, f.sent, f.nr_sent) == 0);
	return 0;
}
