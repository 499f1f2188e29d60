/* SPDX-License-Identifier: BSD-2-Clause */
/* The device's end of a network backend, for fuzz targets: a loop that is turned by hand. */
#pragma once

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "backend/net/net.h"
#include "fuzz.h"

struct net_end {
	struct net_backend *b;
	struct loop loop;
	pthread_mutex_t lock;
	unsigned takes; /* frames that the guest has buffers for */
	unsigned readies;
	bool up;
	void (*frame)(void *ctx, const uint8_t *frame, size_t len); /* it came */
	void *ctx;
	uint8_t buf[NET_MAX_FRAME + 1];
};

static inline void net_end_take(struct net_end *e)
{
	struct iovec iov[2] = { { e->buf, 100 }, { e->buf + 100, sizeof(e->buf) - 100 } };

	while (e->takes) {
		ssize_t n = e->b->ops->receive(e->b, 0, iov, 2);

		if (n == -EAGAIN)
			return;
		assert(n >= (ssize_t)NET_HDR_LEN + 14 && n <= (ssize_t)NET_MAX_FRAME);
		e->takes--;
		e->frame(e->ctx, e->buf + NET_HDR_LEN, (size_t)n - NET_HDR_LEN);
	}
	e->b->ops->want_frames(e->b, 0, false);
}

static inline void net_end_ready(void *ctx, unsigned pair)
{
	struct net_end *e = ctx;

	assert(pair == 0);
	e->readies++;
	net_end_take(e);
}

static inline void net_end_link(void *ctx, bool up)
{
	((struct net_end *)ctx)->up = up;
}

static inline void net_end_start(struct net_end *e, struct net_backend *b)
{
	int rc = loop_init(&e->loop);

	assert(rc == 0);
	pthread_mutex_init(&e->lock, NULL);
	e->b = b;
	e->up = true;
	e->takes = 0;
	b->ready = net_end_ready;
	b->link = net_end_link;
	b->ctx = e;
	b->lock = &e->lock;
	rc = b->ops->start(b, &e->loop);
	assert(rc == 0);
}

static inline void net_end_stop(struct net_end *e)
{
	e->b->ops->destroy(e->b);
	loop_destroy(&e->loop);
	pthread_mutex_destroy(&e->lock);
}

/* Runs all that is pending on the loop, which must come to an end. */
static inline void net_end_turn(struct net_end *e)
{
	struct epoll_event ev;

	for (unsigned turns = 0; epoll_wait(e->loop.epoll_fd, &ev, 1, 0) == 1; turns++) {
		struct loop_source *src = ev.data.ptr;

		assert(turns < 1000);
		src->fn(src, ev.events);
	}
}

/* The guest has buffers for nr more frames. */
static inline void net_end_refill(struct net_end *e, unsigned nr)
{
	e->takes += nr;
	net_end_take(e);
	if (e->takes)
		e->b->ops->want_frames(e->b, 0, true);
}

static inline ssize_t net_end_send(struct net_end *e, uint8_t *frame, size_t len)
{
	struct virtio_net_hdr_v1 header = { 0 };
	const size_t cut = len ? len / 3 : 0;
	struct iovec iov[] = { { &header, sizeof(header) },
			       { frame, cut },
			       { frame + cut, len - cut } };

	return e->b->ops->send(e->b, 0, iov, 3);
}
