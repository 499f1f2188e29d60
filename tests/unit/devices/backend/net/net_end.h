/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The device's end of a network backend, for tests: a loop that runs until a frame of the wanted
 * kind has come, or the link changed.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>

#include "loop_turn.h"
#include "backend/net/net.h"
#include "test.h"

struct net_end {
	struct net_backend *b;
	struct loop loop;
	pthread_mutex_t lock;
	bool greedy; /* takes frames one by one, as they come */
	bool up;
	unsigned readies, links, frames;

	uint16_t align __attribute__((aligned(4))); /* aligns what follows an Ethernet header */
	uint8_t frame[NET_MAX_FRAME];               /* the last frame, without virtio's header */
	size_t len;
	/* Which frame to stop at; NULL: any. */
	bool (*match)(const struct net_end *e);
	bool matched;
};

static inline bool net_end_receive(struct net_end *e)
{
	uint8_t header[NET_HDR_LEN];
	/* In three pieces, one of which is empty. */
	struct iovec iov[] = { { header, 5 },
			       { header + 5, NET_HDR_LEN - 5 },
			       { e->frame, 0 },
			       { e->frame, 7 },
			       { e->frame + 7, sizeof(e->frame) - 7 } };
	ssize_t n = e->b->ops->receive(e->b, 0, iov, 5);

	if (n == -EAGAIN)
		return false;
	assert_true(n >= (ssize_t)NET_HDR_LEN);
	assert_memory_equal(header, ((uint8_t[NET_HDR_LEN]){ 0 }), NET_HDR_LEN);
	e->len = (size_t)n - NET_HDR_LEN;
	e->frames++;
	return true;
}

static inline void net_end_ready(void *ctx, unsigned pair)
{
	struct net_end *e = ctx;

	assert_int_equal(pair, 0);
	assert_int_equal(pthread_mutex_trylock(&e->lock), EBUSY);
	e->readies++;
	while (e->greedy && !e->matched && net_end_receive(e))
		e->matched = !e->match || e->match(e);
	if (!e->greedy)
		e->matched = !e->match || e->match(e);
	if (e->matched)
		loop_stop(&e->loop);
}

static inline void net_end_link(void *ctx, bool up)
{
	struct net_end *e = ctx;

	e->up = up;
	e->links++;
	loop_stop(&e->loop);
}

static inline struct net_end *net_end_new(struct net_backend *b)
{
	struct net_end *e = calloc(1, sizeof(*e));

	pthread_mutex_init(&e->lock, NULL);
	assert_int_equal(loop_init(&e->loop), 0);
	e->b = b;
	e->greedy = e->up = true;
	b->ready = net_end_ready;
	b->link = net_end_link;
	b->ctx = e;
	b->lock = &e->lock;
	assert_int_equal(b->ops->start(b, &e->loop), 0);
	return e;
}

static inline void net_end_free(struct net_end *e)
{
	e->b->ops->destroy(e->b);
	loop_destroy(&e->loop);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* Runs the loop. Otherwise its wake-up stays pending, and every turn of the loop sees it. */
static inline void net_end_run(struct net_end *e)
{
	uint64_t n;

	(void)!read(e->loop.wake_fd, &n, sizeof(n));
	e->loop.stop = false;
	assert_int_equal(loop_run(&e->loop), 0);
}

/* Does one turn of the loop without waiting. False: nothing is pending. */
static inline bool net_end_turn(struct net_end *e)
{
	return loop_turn(&e->loop);
}

/* Runs until a frame that matches is in e->frame. */
static inline void net_end_await(struct net_end *e, bool (*match)(const struct net_end *))
{
	e->match = match;
	e->matched = false;
	if (e->greedy) { /* no event reports what is there already */
		while (!e->matched && net_end_receive(e))
			e->matched = !match || match(e);
	}
	if (!e->matched)
		net_end_run(e);
	assert_true(e->matched);
}

static inline bool net_end_never(const struct net_end *e __unused)
{
	return false;
}

static inline void net_end_await_link(struct net_end *e, bool up)
{
	e->match = net_end_never;
	e->matched = false;
	while (e->up != up)
		net_end_run(e);
}

/* Returns what the backend answers to a frame, header not included. */
static inline ssize_t net_end_try_send(struct net_end *e, const void *frame, size_t len)
{
	struct virtio_net_hdr_v1 header = { 0 };
	struct iovec iov[] = { { &header, sizeof(header) },
			       { (void *)frame, min(len, (size_t)10) },
			       { (uint8_t *)frame + min(len, (size_t)10),
				 len - min(len, (size_t)10) } };

	pthread_mutex_lock(&e->lock);
	ssize_t n = e->b->ops->send(e->b, 0, iov, 3);
	pthread_mutex_unlock(&e->lock);
	return n;
}

static inline void net_end_send(struct net_end *e, const void *frame, size_t len)
{
	assert_int_equal(net_end_try_send(e, frame, len), NET_HDR_LEN + len);
}
