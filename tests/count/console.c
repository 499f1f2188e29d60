/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of 64 bytes through a console, whose ends are pipes. */
#include "virtio/console.h"

#include <fcntl.h>

#include "backend/stream/fdstream.h"
#include "count.h"

#define LINE 64u
#define RX   0
#define TX   1

static const struct stream_ops ops = {
	.start = fdstream_start,
	.read = fdstream_read,
	.write = fdstream_write,
	.flush = fdstream_flush,
};

static struct virtio_console c;
static struct fdstream f = { .stream.ops = &ops };
static struct driver d;
static struct loop loop;
static int keys, screen; /* the host's ends of the pipes */
static gpa_t line;

static bool up(void)
{
	const struct console_options o = { .console.stream = &f.stream };
	int in[2], out[2];

	must(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	keys = in[1];
	screen = out[0];
	must(loop_init(&loop) == 0);
	must(fdstream_open(&f, &loop, in[0], out[1], "console", "the pipe") == 0);
	must(virtio_console_init(&c, &o, &loop) == 0);
	driver_init(&d, &c.vd);
	must(virtio_start(&c.vd, &loop) == 0);
	must(driver_start(&d, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)));
	line = driver_alloc(&d, LINE);
	return true;
}

static void print(unsigned batch __unused)
{
	char got[LINE];

	offer(&d.ring[TX], &(struct ring_buf){ line, LINE, false }, 1);
	counted_kick(&d, TX);
	take(&d.ring[TX], 1);
	must(read(screen, got, LINE) == LINE);
}

static void type(unsigned batch __unused)
{
	static const char typed[LINE];

	offer(&d.ring[RX], &(struct ring_buf){ line, LINE, true }, 1);
	counted_kick(&d, RX); /* the buffer waits for input */
	must(write(keys, typed, LINE) == LINE);
	turn_loop(&loop);
	must(take(&d.ring[RX], 1) == LINE);
}

const struct kind console_kinds[KINDS_MAX] = {
	{ "console.output", 1, up, print, NULL },
	{ "console.input", 1, up, type, NULL },
};
