/* SPDX-License-Identifier: BSD-2-Clause */
/* The serial port, by its registers on a bus: a byte is written, and the status is read. Its end is a
 * pipe of its own, as for a terminal. */
#include "uart8250.h"

#include <fcntl.h>

#include "backend/stream/fdstream.h"
#include "count.h"

#define BASE   0x3f8
#define LSR    5
#define LSR_OK 0x60 /* everything is sent */

static const struct stream_ops ops = {
	.start = fdstream_start,
	.read = fdstream_read,
	.write = fdstream_write,
	.flush = fdstream_flush,
};

static struct uart uart;
static struct fdstream f = { .stream.ops = &ops };
static struct loop loop;
static struct bus bus;
static int screen; /* the host's end of the pipe */

static void set_line(void *ctx __unused, unsigned n __unused, bool level __unused) {}

static bool up(void)
{
	const struct irq_line line = { .set = set_line, .n = 4 };
	int out[2];

	must(pipe2(out, O_CLOEXEC | O_NONBLOCK) == 0);
	screen = out[0];
	must(loop_init(&loop) == 0);
	must(fdstream_open(&f, &loop, -1, out[1], "serial port", "the pipe") == 0);
	f.nonblocking = true;
	uart_init(&uart, &line, &f.stream);
	must(bus_add(&bus, BASE, 8, &uart.dev) == 0);
	bus_freeze(&bus);
	return true;
}

static void print(unsigned batch __unused)
{
	char got;

	counted_write(&bus, BASE, 'x');
	must(read(screen, &got, 1) == 1 && got == 'x');
}

static void status(unsigned batch __unused)
{
	must(counted_read(&bus, BASE + LSR) == LSR_OK);
}

const struct kind serial_kinds[KINDS_MAX] = {
	{ "serial.output", 1, up, print, NULL },
	{ "serial.status", 1, up, status, NULL },
};
