/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream of bytes between a device (UART, virtio-console) and something on the host (terminal,
 * pipe, file). The device pulls input when it has room and pushes output as long as it is taken;
 * neither waits, and neither end drops a byte because the other is slow.
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
	/* The device's end is connected: input may start. Once, before the loop runs. */
	void (*start)(struct stream *s);
	/* Takes up to len bytes of input: how many, or STREAM_BREAK when a break comes at this
	 * place. 0: there is no more for now (or ever), and ready() tells when there is. */
	ssize_t (*read)(struct stream *s, void *buf, size_t len);
	/* Offers len bytes of output: how many were taken. Less than len: the reader is slow, and
	 * ready() tells when there is room. */
	size_t (*write)(struct stream *s, const void *buf, size_t len);
	/* Waits until all that was taken is written, or the reader is gone: true; or has not moved
	 * for two seconds: false, and it is lost. Only when the loop is not running. */
	bool (*flush)(struct stream *s);
	/* Flushes and frees. Only when the loop is not running. */
	void (*destroy)(struct stream *s);
	/* How many clients came and left, each counted twice: odd while one is there. It leaves
	 * when its input is read. What is written while it is even is forgotten; ready() tells when
	 * it has grown, unless by a read. NULL: the other end is always there. */
	unsigned (*connections)(struct stream *s);
};

struct stream {
	const struct stream_ops *ops;

	/* The device's end: stream_attach(). */
	void (*ready)(void *ctx);
	void *ctx;             /* not owned */
	pthread_mutex_t *lock; /* the device's; not owned */
};

/* A NULL stream is one with no input, that takes all output and forgets it. */

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

/* Connects the device's end. Before the loop runs. */
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
