/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream (vmm/stream.h) for tests: what a device reads and writes is in arrays. The test decides
 * how much room there is for output, and when clients come and go.
 */
#pragma once

#include <assert.h>

#include "vmm/stream.h"

#define FAKE_STREAM_MAX (256 * 1024)

struct fake_stream {
	struct stream stream;
	uint8_t input[FAKE_STREAM_MAX], output[FAKE_STREAM_MAX];
	size_t fed, read;     /* input[read..fed) is there */
	size_t written, room; /* output[0..written) came; room more bytes are taken */
	unsigned connections;
	bool breaks;   /* a break comes before the next input */
	bool leaving;  /* the client leaves when its input has been read */
	bool stuck;    /* a flush changes nothing */
	bool forgets;  /* output is counted but not kept */
	bool attached; /* the device has called attach */
	bool destroyed;
};

static inline struct fake_stream *fake_stream(struct stream *s)
{
	return container_of(s, struct fake_stream, stream);
}

static void fake_start(struct stream *s)
{
	assert(s->lock);
	fake_stream(s)->attached = true;
}

static ssize_t fake_read(struct stream *s, void *buf, size_t len)
{
	struct fake_stream *f = fake_stream(s);
	size_t n = min(len, f->fed - f->read);

	if (f->breaks && len) {
		f->breaks = false;
		return STREAM_BREAK;
	}
	memcpy(buf, f->input + f->read, n);
	f->read += n;
	if (f->leaving && f->read == f->fed) {
		f->leaving = false;
		f->connections++;
	}
	return (ssize_t)n;
}

static size_t fake_write(struct stream *s, const void *buf, size_t len)
{
	struct fake_stream *f = fake_stream(s);
	size_t n = min(len, f->room);

	if (!(f->connections & 1))
		return len;
	if (!f->forgets) {
		assert(n <= sizeof(f->output) - f->written);
		memcpy(f->output + f->written, buf, n);
	}
	f->written += n;
	f->room -= n;
	return n;
}

static bool fake_flush(struct stream *s)
{
	struct fake_stream *f = fake_stream(s);

	if (!f->stuck)
		f->room = f->forgets ? SIZE_MAX : sizeof(f->output) - f->written;
	return !f->stuck;
}

static unsigned fake_connections(struct stream *s)
{
	return fake_stream(s)->connections;
}

/* The stream itself stays, so that the test can look at it. */
static void fake_destroy(struct stream *s)
{
	fake_stream(s)->destroyed = true;
}

/* A stream that has a client, no input, and no room yet. */
static inline void fake_stream_init(struct fake_stream *f)
{
	static const struct stream_ops ops = {
		.start = fake_start,
		.read = fake_read,
		.write = fake_write,
		.flush = fake_flush,
		.destroy = fake_destroy,
		.connections = fake_connections,
	};

	memset(&f->fed, 0,
	       sizeof(*f) - offsetof(struct fake_stream, fed)); /* the arrays are large */
	f->stream.ops = &ops;
	f->connections = 1;
}

static inline void fake_stream_feed(struct fake_stream *f, const void *data, size_t len)
{
	assert(len <= sizeof(f->input) - f->fed);
	memcpy(f->input + f->fed, data, len);
	f->fed += len;
}

/* Calls the device as the stream's loop would. */
static inline void fake_stream_ready(struct fake_stream *f)
{
	stream_ready(&f->stream);
}
