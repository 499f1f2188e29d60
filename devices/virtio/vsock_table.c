/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of a virtio-vsock device's connections: slots with their buffers, the hash of their
 * ports, the queue of connections with something to send, deadlines.
 *
 * A device's reset runs on a vCPU's thread. At that time the loop's thread may already have fetched
 * an event of a connection, and be waiting for the lock. Therefore a slot, with its source, stays
 * for as long as the loop may run: that callback finds a slot that is free, or has another
 * connection in it, tries what it always tries and finds nothing to do. So closing is safe on any
 * thread.
 */
#include "virtio/vsock_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#define TICK_NS     200000000  /* how exact deadlines are, and how often a busy listener is tried */
#define MAX_CREDIT  (1u << 30) /* larger ones are cut to this, so that counters can be compared */
#define TELL_CREDIT (VSOCK_BUFFER / 4)

#define EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

static struct vsock_conn **bucket_of(struct virtio_vsock *v, uint32_t guest_port,
				     uint32_t host_port)
{
	return &v->bucket[(guest_port * 31 + host_port) % VSOCK_BUCKETS];
}

struct vsock_conn *vsock_conn_find(struct virtio_vsock *v, uint32_t guest_port, uint32_t host_port)
{
	struct vsock_conn *c = *bucket_of(v, guest_port, host_port);

	while (c && (c->guest_port != guest_port || c->host_port != host_port))
		c = c->next;
	return c;
}

void vsock_conn_hash(struct vsock_conn *c, uint32_t guest_port, uint32_t host_port)
{
	struct vsock_conn **bucket = bucket_of(c->v, guest_port, host_port);

	c->guest_port = guest_port;
	c->host_port = host_port;
	c->next = *bucket;
	*bucket = c;
	c->hashed = true;
}

void vsock_conn_unhash(struct vsock_conn *c)
{
	struct vsock_conn **p = bucket_of(c->v, c->guest_port, c->host_port);

	if (!c->hashed)
		return;
	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	c->hashed = false;
}

bool vsock_may_open(struct virtio_vsock *v)
{
	const bool may = fd_share_room(&v->fds, 1);

	if (!may)
		fd_share_refused(&v->fds);
	return may;
}

struct vsock_conn *vsock_conn_new(struct virtio_vsock *v, enum vsock_state state,
				  vsock_event_fn *fn)
{
	const size_t kept = offsetof(struct vsock_conn, state);
	struct vsock_conn *c = v->idle;

	if (c) {
		v->idle = c->next;
	} else if (v->nr_touched < VSOCK_MAX_CONNS) {
		c = &v->conn[v->nr_touched++];
		c->v = v;
		c->src = (struct loop_source){ .fd = -1, .fn = fn, .lock = v->vd.lock };
	} else {
		return NULL;
	}
	memset((char *)c + kept, 0, sizeof(*c) - kept);
	c->state = state;
	return c;
}

int vsock_take_offer(struct vsock_conn *c)
{
	for (unsigned i = 0; i < c->v->nr_offers; i++) {
		struct vsock_offer *o = &c->v->offer[i];

		if (o->port != c->host_port || o->fd < 0)
			continue;
		c->offer = o;
		c->undelivered = true;
		return take_fd(&o->fd);
	}
	return -ECONNREFUSED;
}

void vsock_conn_delivered(struct vsock_conn *c)
{
	if (c->undelivered && c->v->delivered)
		c->v->delivered(c->v->delivered_ctx, c->host_port);
	c->undelivered = false;
}

void vsock_conn_close(struct vsock_conn *c)
{
	vsock_conn_delivered(c);
	if (c->src.fd >= 0)
		loop_remove(c->v->loop, &c->src);
	close_fd(&c->src.fd);
	if (c->counted)
		fd_share_give(&c->v->fds, 1);
	c->counted = false;
	free(c->buffer);
	c->buffer = NULL;
	c->len = 0;
	c->readable = false;
}

void vsock_conn_free(struct vsock_conn *c)
{
	if (c->state == VSOCK_FREE)
		return;
	vsock_conn_close(c);
	vsock_conn_unhash(c);
	c->v->nr_clients -= c->state == VSOCK_CLIENT;
	c->state = VSOCK_FREE;
	c->pending = 0;
	c->deadline_ns = 0;
	c->next = c->v->idle;
	c->v->idle = c;
}

int vsock_conn_watch(struct vsock_conn *c, int fd)
{
	c->src.fd = fd;
	c->counted = !c->offer;
	if (c->counted)
		fd_share_take(&c->v->fds, fd);
	return loop_add(c->v->loop, &c->src, EVENTS);
}

int vsock_conn_await_room(struct vsock_conn *c, bool on)
{
	int rc = 0;

	if (c->awaits_room != on)
		rc = loop_change(c->v->loop, &c->src, EVENTS | (on ? EPOLLOUT : 0));
	if (rc == 0)
		c->awaits_room = on;
	return rc;
}

int vsock_conn_keep(struct vsock_conn *c, const struct iovec *iov, unsigned nr)
{
	if (!c->buffer)
		c->buffer = malloc(VSOCK_BUFFER);
	if (!c->buffer)
		return -ENOMEM;
	if (!c->len)
		c->head = 0; /* so that it stays in the pages that were touched */
	for (unsigned i = 0; i < nr; i++) {
		const uint32_t at = (c->head + c->len) % VSOCK_BUFFER;
		const size_t len = iov[i].iov_len, first = min(len, VSOCK_BUFFER - at);

		memcpy(c->buffer + at, iov[i].iov_base, first);
		memcpy(c->buffer, (const uint8_t *)iov[i].iov_base + first, len - first);
		c->len += (uint32_t)len;
	}
	return vsock_conn_await_room(c, true);
}

void vsock_start_timer(struct virtio_vsock *v)
{
	const struct itimerspec soon = { .it_value.tv_nsec = TICK_NS };

	if (v->ticking) /* otherwise it would be put off again and again */
		return;
	v->ticking = true;
	(void)timerfd_settime(v->timer.fd, 0, &soon, NULL);
}

void vsock_conn_expect(struct vsock_conn *c, uint64_t within_ns)
{
	c->deadline_ns = monotonic_ns() + within_ns;
	vsock_start_timer(c->v);
}

/* -- what is to be told to the guest --------------------------------------------------------- */

uint32_t vsock_conn_credit(const struct vsock_conn *c)
{
	uint32_t in_flight = c->tx_cnt - c->peer_fwd_cnt;
	uint32_t all = min(c->peer_buf_alloc, MAX_CREDIT);

	return all > in_flight ? all - in_flight : 0;
}

bool vsock_conn_take_credit(struct vsock_conn *c, const struct vsock_header *h)
{
	uint32_t step = le32(h->fwd_cnt) - c->peer_fwd_cnt; /* wraps, as the counters do */

	if (step <= c->tx_cnt - c->peer_fwd_cnt)
		c->peer_fwd_cnt += step;
	else if (step <= INT32_MAX)
		return false;
	/* Otherwise it is an older number: two of the guest's processors sent at the same time. */
	c->peer_buf_alloc = le32(h->buf_alloc);
	if (vsock_conn_credit(c))
		c->credit_asked = false;
	return true;
}

bool vsock_conn_has_data(const struct vsock_conn *c)
{
	return c->state == VSOCK_OPEN && c->readable &&
	       !(c->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	       !(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV);
}

static bool conn_has_packet(const struct vsock_conn *c)
{
	return c->pending || (vsock_conn_has_data(c) && vsock_conn_credit(c));
}

void vsock_conn_settle(struct vsock_conn *c)
{
	struct virtio_vsock *v = c->v;

	if (vsock_conn_has_data(c) && !vsock_conn_credit(c) && !c->credit_asked) {
		c->credit_asked = true;
		c->pending |= OP(CREDIT_REQUEST);
	}
	if (c->state == VSOCK_OPEN && c->fwd_cnt - c->fwd_told >= TELL_CREDIT)
		c->pending |= OP(CREDIT_UPDATE);
	if (c->queued || !conn_has_packet(c))
		return;
	c->queued = true;
	c->next_ready = NULL;
	if (v->ready)
		v->last_ready->next_ready = c;
	else
		v->ready = c;
	v->last_ready = c;
}
