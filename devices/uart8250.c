/* SPDX-License-Identifier: BSD-2-Clause */
#include "uart8250.h"

/* The registers. While LCR_DLAB is set, the first two are the divisor. */
enum { DATA = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

enum { IER_RX = 1 << 0, IER_THRE = 1 << 1, IER_LINE = 1 << 2, IER_MODEM = 1 << 3 };
/* The sources, highest priority first. */
enum { IIR_LINE = 0x6, IIR_RX = 0x4, IIR_RX_TIMEOUT = 0xc, IIR_THRE = 0x2, IIR_MODEM = 0x0 };
enum { IIR_NONE = 0x1, IIR_FIFOS = 0xc0 };
enum { FCR_ENABLE = 1 << 0, FCR_CLEAR_RX = 1 << 1, FCR_KEPT = 0xc9 };
enum { LCR_DLAB = 1 << 7 };
enum { MCR_DTR = 1 << 0, MCR_RTS = 1 << 1, MCR_OUT1 = 1 << 2, MCR_OUT2 = 1 << 3 };
enum { MCR_LOOP = 1 << 4 };
enum { LSR_READY = 1 << 0, LSR_OVERRUN = 1 << 1, LSR_BREAK = 1 << 4 };
enum { LSR_THRE = 1 << 5, LSR_TEMT = 1 << 6, LSR_FIFO_ERROR = 1 << 7 };
enum { MSR_CTS = 1 << 4, MSR_DSR = 1 << 5, MSR_RI = 1 << 6, MSR_DCD = 1 << 7 };

#define UART_BREAK 0x100 /* a FIFO entry: a byte of 0 that came as a break */

static bool fifo_push(struct uart_fifo *f, uint16_t entry, unsigned capacity)
{
	if (f->len >= capacity)
		return false;
	f->entry[(f->head + f->len++) % UART_FIFO_ROOM] = entry;
	return true;
}

static void fifo_drop(struct uart_fifo *f, unsigned n)
{
	f->head = (uint8_t)((f->head + n) % UART_FIFO_ROOM);
	f->len = (uint8_t)(f->len - n);
}

/* The entry at position i, which is below len. */
static uint16_t *fifo_at(struct uart_fifo *f, unsigned i)
{
	return &f->entry[(f->head + i) % UART_FIFO_ROOM];
}

static unsigned uart_capacity(const struct uart_state *s)
{
	return s->fcr & FCR_ENABLE ? UART_FIFO_SIZE : 1;
}

/* The FIFO that the guest receives from; NULL while it is empty. */
static struct uart_fifo *uart_received(struct uart_state *s)
{
	struct uart_fifo *f = s->mcr & MCR_LOOP ? &s->loop : &s->rx;

	return f->len && (f == &s->loop || !s->deaf) ? f : NULL;
}

static uint8_t uart_lsr(struct uart_state *s)
{
	struct uart_fifo *f = uart_received(s);
	uint8_t lsr =
		(uint8_t)((s->overrun ? LSR_OVERRUN : 0) | (s->tx.len ? 0 : LSR_THRE | LSR_TEMT));

	if (!f)
		return lsr;
	lsr |= LSR_READY;
	if (*fifo_at(f, 0) & UART_BREAK)
		lsr |= LSR_BREAK;
	for (unsigned i = 0; i < f->len && s->fcr & FCR_ENABLE; i++)
		if (*fifo_at(f, i) & UART_BREAK)
			lsr |= LSR_FIFO_ERROR;
	return lsr;
}

static uint8_t uart_iir(struct uart_state *s)
{
	static const uint8_t trigger[4] = { 1, 4, 8, 14 };
	const struct uart_fifo *f = uart_received(s);

	if (s->ier & IER_LINE && uart_lsr(s) & (LSR_OVERRUN | LSR_BREAK))
		return IIR_LINE;
	if (s->ier & IER_RX && f && (!(s->fcr & FCR_ENABLE) || f->len >= trigger[s->fcr >> 6]))
		return IIR_RX;
	if (s->ier & IER_RX && f && s->timeout)
		return IIR_RX_TIMEOUT;
	if (s->ier & IER_THRE && s->thr_emptied)
		return IIR_THRE;
	if (s->ier & IER_MODEM && s->msr & 0xf)
		return IIR_MODEM;
	return IIR_NONE;
}

/* Called whenever a source came or went: a line that went down and up again is a new edge. */
static void uart_update_line(struct uart *u)
{
	struct uart_state *s = &u->state;
	bool level = uart_iir(s) != IIR_NONE;

	if (level != s->irq_level)
		irq_set(&u->irq, level);
	s->irq_level = level;
}

/* Takes as much input as the receiver holds. */
static void uart_pull(struct uart *u)
{
	struct uart_state *s = &u->state;

	while (s->rx.len < uart_capacity(s)) {
		uint8_t byte;
		ssize_t n = stream_read(u->backend, &byte, 1);

		if (n == 0)
			break;
		fifo_push(&s->rx, n == STREAM_BREAK ? UART_BREAK : byte, UART_FIFO_SIZE);
	}
	s->timeout = true;
	uart_update_line(u);
}

/* Writes as much output as the backend takes. */
static void uart_push(struct uart *u)
{
	struct uart_state *s = &u->state;
	uint8_t bytes[UART_FIFO_ROOM];

	if (!s->tx.len)
		return;
	for (unsigned i = 0; i < s->tx.len; i++)
		bytes[i] = (uint8_t)*fifo_at(&s->tx, i);
	fifo_drop(&s->tx, (unsigned)stream_write(u->backend, bytes, s->tx.len));
	if (s->tx.len < UART_FIFO_SIZE)
		pthread_cond_broadcast(&u->room);
	if (!s->tx.len)
		s->thr_emptied = true;
	uart_update_line(u);
}

static void uart_ready(void *ctx)
{
	struct uart *u = ctx;

	uart_pull(u);
	uart_push(u);
}

static uint8_t uart_receive(struct uart *u)
{
	struct uart_state *s = &u->state;
	struct uart_fifo *f = uart_received(s);
	uint8_t byte = 0;

	if (!f)
		return 0;
	byte = (uint8_t)*fifo_at(f, 0);
	fifo_drop(f, 1);
	s->timeout = false; /* until another character time has passed: at once, here */
	uart_update_line(u);
	uart_pull(u);
	return byte;
}

static void uart_transmit(struct uart *u, uint8_t byte)
{
	struct uart_state *s = &u->state;

	s->thr_emptied = false;
	uart_update_line(u);
	if (s->mcr & MCR_LOOP) {
		s->overrun |= !fifo_push(&s->loop, byte, uart_capacity(s));
		s->thr_emptied = s->tx.len == 0;
		uart_update_line(u);
		return;
	}
	/* The lock is free meanwhile. A byte written after the stop is dropped: its OUT never
	 * completes. */
	while (s->tx.len >= u->tx_room && !u->stopping)
		pthread_cond_wait(&u->room, &u->dev.lock);
	if (fifo_push(&s->tx, byte, u->tx_room))
		uart_push(u);
}

/* The modem's lines: in loopback those that the guest sets, otherwise of a modem that is always
 * there. */
static void uart_update_modem(struct uart_state *s)
{
	uint8_t m = s->mcr, lines = MSR_CTS | MSR_DSR | MSR_DCD, went, came;

	if (m & MCR_LOOP)
		lines = (uint8_t)((m & MCR_RTS ? MSR_CTS : 0) | (m & MCR_DTR ? MSR_DSR : 0) |
				  (m & MCR_OUT1 ? MSR_RI : 0) | (m & MCR_OUT2 ? MSR_DCD : 0));
	went = s->msr & ~lines & 0xf0;
	came = lines & ~s->msr & 0xf0 & ~MSR_RI; /* the ring indicator counts when it ends */
	s->msr = (uint8_t)(lines | (s->msr & 0xf) | went >> 4 | came >> 4);
}

static void uart_set_mcr(struct uart_state *s, uint8_t v)
{
	if (v & ~s->mcr & MCR_LOOP)
		fifo_drop(&s->loop, s->loop.len);
	s->mcr = v & 0x1f;
	if ((v & (MCR_LOOP | MCR_RTS)) == MCR_RTS)
		s->deaf = false;
	uart_update_modem(s);
}

/* Turning the FIFOs on or off clears nothing here: Linux does it while it already listens. Neither
 * does clearing the transmitter: for the guest, what it sent has left the UART. */
static void uart_set_fcr(struct uart *u, uint8_t v)
{
	struct uart_state *s = &u->state;
	bool listening = (s->mcr & (MCR_LOOP | MCR_RTS)) == MCR_RTS || s->ier & IER_RX;

	if (v & FCR_ENABLE && v & FCR_CLEAR_RX) {
		fifo_drop(&s->loop, s->loop.len);
		if (listening)
			fifo_drop(&s->rx, s->rx.len);
		else
			s->deaf = true;
	}
	s->fcr = v & FCR_ENABLE ? v & FCR_KEPT : 0;
	uart_pull(u);
}

static uint8_t uart_read_register(struct uart *u, unsigned reg)
{
	struct uart_state *s = &u->state;
	uint8_t v;

	switch (reg) {
	case DATA:
		return s->lcr & LCR_DLAB ? s->dll : uart_receive(u);
	case IER:
		return s->lcr & LCR_DLAB ? s->dlm : s->ier;
	case IIR_FCR:
		v = uart_iir(s);
		if (v == IIR_THRE)
			s->thr_emptied = false;
		return (uint8_t)(v | (s->fcr & FCR_ENABLE ? IIR_FIFOS : 0));
	case LCR:
		return s->lcr;
	case MCR:
		return s->mcr;
	case LSR:
		v = uart_lsr(s);
		s->overrun = false;
		if (v & LSR_BREAK)
			*fifo_at(uart_received(s), 0) = 0;
		return v;
	case MSR:
		v = s->msr;
		s->msr &= 0xf0;
		return v;
	default:
		return s->scr;
	}
}

static void uart_write_register(struct uart *u, unsigned reg, uint8_t v)
{
	struct uart_state *s = &u->state;

	switch (reg) {
	case DATA:
		if (s->lcr & LCR_DLAB)
			s->dll = v;
		else
			uart_transmit(u, v);
		break;
	case IER:
		if (s->lcr & LCR_DLAB) {
			s->dlm = v;
			break;
		}
		s->thr_emptied |= v & ~s->ier & IER_THRE && !s->tx.len;
		s->ier = v & 0xf;
		s->deaf &= !(v & IER_RX);
		break;
	case IIR_FCR:
		uart_set_fcr(u, v);
		break;
	case LCR:
		s->lcr = v;
		break;
	case MCR:
		uart_set_mcr(s, v);
		break;
	case SCR:
		s->scr = v;
		break;
	}
}

static uint64_t uart_read(struct dev *dev, uint64_t off, unsigned size)
{
	struct uart *u = container_of(dev, struct uart, dev);
	uint8_t v;

	if (size != 1)
		return ~0ull;
	v = uart_read_register(u, (unsigned)off);
	uart_update_line(u);
	return v;
}

static void uart_write(struct dev *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct uart *u = container_of(dev, struct uart, dev);

	if (size != 1)
		return;
	uart_write_register(u, (unsigned)off, (uint8_t)value);
	uart_update_line(u);
}

static const struct dev_ops uart_ops = { .name = "uart", .read = uart_read, .write = uart_write };

void uart_init(struct uart *u, const struct irq_line *irq, struct stream *backend)
{
	*u = (struct uart){ .irq = *irq, .backend = backend, .tx_room = UART_FIFO_SIZE };
	dev_init(&u->dev, &uart_ops);
	pthread_cond_init(&u->room, NULL);
	uart_update_modem(&u->state);
	u->state.msr &= 0xf0; /* the lines' first state is not a change */
	stream_attach(backend, uart_ready, u, &u->dev.lock);
}

void uart_stop(struct uart *u)
{
	pthread_mutex_lock(&u->dev.lock);
	u->stopping = true;
	pthread_cond_broadcast(&u->room);
	pthread_mutex_unlock(&u->dev.lock);
}

void uart_make_room(struct uart *u, bool on)
{
	pthread_mutex_lock(&u->dev.lock);
	u->tx_room = on ? UART_FIFO_ROOM : UART_FIFO_SIZE;
	pthread_cond_broadcast(&u->room);
	pthread_mutex_unlock(&u->dev.lock);
}

void uart_detach(struct uart *u)
{
	if (u->state.tx.len) {
		(void)stream_flush(u->backend);
		uart_push(u);
	}
	u->backend = NULL;
}

void uart_destroy(struct uart *u)
{
	if (!u->dev.ops)
		return;
	uart_detach(u);
	pthread_cond_destroy(&u->room);
	dev_destroy(&u->dev);
}
