/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream of bytes between a device (UART, virtio-console) and something on the host (terminal,
 * pipe, file). The device pulls input when it has room and pushes output for as long as it is
 * taken. Neither of these waits, and neither end drops a byte because the other is slow.
 *
 * Threads: the device calls with its lock held, on any thread; ready() is called on the stream's
 * loop with that same lock held, never from inside a call of the device's.
 */
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include "vmm/types.h"

struct stream;

#define STREAM_BREAK (-1)

struct stream_ops {
	/* The device's end is connected: input may start. This is called once, before the loop
	 * runs. */
	void (*start)(struct stream *s);
	/* Takes up to len bytes of input. Returns how many, or STREAM_BREAK if a break comes at
	 * this place. 0: there is no more for now (or ever), and ready() tells when there is. */
	ssize_t (*read)(struct stream *s, void *buf, size_t len);
	/* Offers len bytes of output. Returns how many were taken: if less than len, the reader is
	 * slow, and ready() tells when there is room. */
	size_t (*write)(struct stream *s, const void *buf, size_t len);
	/* Waits until all that was taken is written or the reader is gone, and returns true.
	 * Returns false if the reader takes nothing for two seconds: the rest is lost. Called only
	 * while the loop is not running. */
	bool (*flush)(struct stream *s);
	/* Flushes and frees. Called only while the loop is not running. */
	void (*destroy)(struct stream *s);
	/* Returns how often clients came plus how often they left: an odd number while one is
	 * there. A client counts as gone once its input has been read. What is written while the
	 * number is even is forgotten. ready() tells when it has grown, unless a read made it grow.
	 * NULL: the other end is always there. */
	unsigned (*connections)(struct stream *s);
};

struct stream {
	const struct stream_ops *ops;

	/* The device's end, set by stream_attach(). */
	void (*ready)(void *ctx);
	void *ctx;             /* not owned */
	pthread_mutex_t *lock; /* the device's; not owned */
};

/* A NULL stream has no input, and takes all output and forgets it. */

static inline ssize_t stream_read(struct stream *s, void *buf, size_t len)
{
	return s ? s->ops->read(s, buf, len) : 0;
}

static inline size_t stream_write(struct stream *s, const void *buf, size_t len)
{
	return s ? s->ops->write(s, buf, len) : len;
}

static inline bool stream_flush(struct stream *s)
{
	return s ? s->ops->flush(s) : true;
}

static inline unsigned stream_connections(struct stream *s)
{
	return s && s->ops->connections ? s->ops->connections(s) : 1;
}

static inline void stream_destroy(struct stream *s)
{
	if (s)
		s->ops->destroy(s);
}

/* Connects the device's end. ready NULL: the device reads nothing, and doesn't wait for room. This
 * is called before the loop runs. */
static inline void stream_attach(struct stream *s, void (*ready)(void *ctx), void *ctx,
				 pthread_mutex_t *lock)
{
	if (!s)
		return;
	s->ready = ready;
	s->ctx = ctx;
	s->lock = lock;
	s->ops->start(s);
}

/* For streams: tells the device, which may not want to know. */
static inline void stream_ready(struct stream *s)
{
	if (s->ready)
		s->ready(s->ctx);
}
