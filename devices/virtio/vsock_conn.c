/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections of a virtio-vsock device (virtio 1.2 §5.10.6).
 *
 * Sockets are watched edge-triggered; an event is only a hint to try again. So a socket costs
 * nothing while it isn't read for lack of credit or buffers.
 *
 * Memory: a connection has a buffer only if its reader on the host is slow and the socket is full,
 * and then at most VSOCK_BUFFER, which is the credit that the guest is given.
 */
#include "virtio/vsock_impl.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "backend/unix/vsock.h"

#define SECONDS     1000000000ull
#define COMMAND_NS  (10 * SECONDS) /* a client must write its line */
#define REQUEST_NS  (10 * SECONDS) /* the guest must answer it */
#define DIAL_NS     (10 * SECONDS) /* the host's listener must have room */
#define CLOSING_NS  (10 * SECONDS) /* the guest must confirm the end */
#define DRAINING_NS (60 * SECONDS) /* a reader must take some of what is left */
#define FLUSH_MS    2000           /* a reader must take some, when the machine is gone */

#define MAX_DATA   (64 * KIB) /* in one packet */
#define BOTH       (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)
#define FIRST_PORT (1u << 30) /* of clients on the host */

/* -- how they end ---------------------------------------------------------------------------- */

/* Ends the connection at once. The guest is told, unless it has never heard of the connection. */
static void conn_reset(struct vsock_conn *c)
{
	if (c->state == VSOCK_CLIENT || c->pending & OP(REQUEST)) {
		vsock_conn_free(c);
		return;
	}
	vsock_conn_close(c);
	c->state = VSOCK_RESET;
	c->deadline_ns = 0;
	c->pending = OP(RST);
	vsock_conn_settle(c);
}

/* The host will read nothing more. */
static void host_reads_no_more(struct vsock_conn *c)
{
	c->fwd_cnt = c->rx_cnt;
	c->len = 0;
	if (c->state != VSOCK_OPEN || c->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		return;
	c->host_shut |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	c->pending |= OP(SHUTDOWN);
}

/* The host's end is closed, and all that came from it was sent to the guest. */
static void host_is_gone(struct vsock_conn *c)
{
	c->host_shut = BOTH;
	c->pending |= OP(SHUTDOWN);
	vsock_conn_close(c);
	c->state = VSOCK_CLOSING;
	vsock_conn_expect(c, CLOSING_NS);
}

/* The host will send nothing more. */
static void host_sends_no_more(struct vsock_conn *c)
{
	c->readable = false;
	if (vsock_unix_hung_up(c->src.fd)) {
		host_is_gone(c);
	} else {
		c->host_shut |= VIRTIO_VSOCK_SHUTDOWN_SEND;
		c->pending |= OP(SHUTDOWN);
	}
}

/* The guest has ended it. What it sent before still reaches the host. */
static void guest_is_gone(struct vsock_conn *c, bool confirm)
{
	c->pending = confirm ? OP(RST) : 0;
	c->deadline_ns = 0;
	if (c->len) {
		c->state = VSOCK_DRAINING;
		shutdown(c->src.fd, SHUT_RD);
		vsock_conn_expect(c, DRAINING_NS);
	} else {
		vsock_conn_close(c);
		c->state = VSOCK_RESET;
	}
	if (!confirm)
		vsock_conn_unhash(c);
	if (!c->pending && c->state == VSOCK_RESET)
		vsock_conn_free(c);
	else
		vsock_conn_settle(c);
}

/* -- from the host to the guest -------------------------------------------------------------- */

/* Reads data into to, after the header. Returns its length; 0: none, perhaps because this was the
 * end. */
static uint32_t conn_read(struct vsock_conn *c, const struct virtq_chain *to)
{
	struct iovec iov[VIRTQ_MAX_SIZE];
	uint64_t room = min(to->in_len - sizeof(struct vsock_header), MAX_DATA);
	unsigned nr;
	ssize_t n;

	room = min(room, (uint64_t)vsock_conn_credit(c));
	if (!vsock_conn_has_data(c) || !room)
		return 0;
	nr = iov_cut(iov, to->iov + to->nr_out, sizeof(struct vsock_header), room);
	n = readv(c->src.fd, iov, (int)nr);
	if (n > 0) {
		c->tx_cnt += (uint32_t)n;
		if (c->offer)
			c->offer->to_guest += (uint64_t)n;
		return (uint32_t)n;
	}
	if (n == 0)
		host_sends_no_more(c);
	else if (errno == EAGAIN)
		c->readable = false;
	else if (errno != EINTR)
		conn_reset(c);
	return 0;
}

bool vsock_conn_next(struct vsock_conn *c, struct vsock_header *h, const struct virtq_chain *to)
{
	/* A SHUTDOWN that announces the end of data is pending only when no more data come. */
	static const uint16_t order[] = {
		VIRTIO_VSOCK_OP_REQUEST,       VIRTIO_VSOCK_OP_RESPONSE,
		VIRTIO_VSOCK_OP_SHUTDOWN,      VIRTIO_VSOCK_OP_RW,
		VIRTIO_VSOCK_OP_CREDIT_UPDATE, VIRTIO_VSOCK_OP_CREDIT_REQUEST,
		VIRTIO_VSOCK_OP_RST,
	};
	uint32_t len = 0;
	uint16_t op = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(order) && !op; i++) {
		if (order[i] == VIRTIO_VSOCK_OP_RW)
			len = conn_read(c, to);
		if (len || c->pending & 1u << order[i])
			op = order[i];
	}
	if (op) {
		h->src_port = to_le32(c->host_port);
		h->dst_port = to_le32(c->guest_port);
		h->len = to_le32(len);
		h->op = to_le16(op);
		h->flags = to_le32(op == VIRTIO_VSOCK_OP_SHUTDOWN ? c->host_shut : 0);
		h->buf_alloc = to_le32(VSOCK_BUFFER);
		h->fwd_cnt = to_le32(c->fwd_cnt);
		c->fwd_told = c->fwd_cnt;
		c->pending &= ~(1u << op | OP(CREDIT_UPDATE)); /* every packet carries the credit */
	}
	if (op == VIRTIO_VSOCK_OP_RST) {
		vsock_conn_unhash(c);
		if (c->state == VSOCK_RESET)
			vsock_conn_free(c);
	}
	vsock_conn_settle(c);
	return op;
}

/* -- from the guest to the host -------------------------------------------------------------- */

/* Returns how many bytes the socket took; < 0: it will never take any more. */
static ssize_t conn_write(struct vsock_conn *c, const struct iovec *iov, unsigned nr)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = nr };
	ssize_t n = sendmsg(c->src.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

/* All that the guest sent was written. */
static void conn_drained(struct vsock_conn *c)
{
	vsock_conn_close(c);
	c->state = VSOCK_RESET;
	c->deadline_ns = 0;
	if (!c->pending)
		vsock_conn_free(c);
}

/* Writes what is in the buffer. */
static void conn_flush(struct vsock_conn *c)
{
	while (c->len) {
		uint32_t first = min(c->len, (uint32_t)VSOCK_BUFFER - c->head);
		const struct iovec iov[] = {
			{ c->buffer + c->head, first },
			{ c->buffer, c->len - first },
		};
		ssize_t n = conn_write(c, iov, ARRAY_SIZE(iov));

		if (n == 0)
			return;
		if (n < 0) {
			host_reads_no_more(c);
			break;
		}
		c->head = (c->head + (uint32_t)n) % VSOCK_BUFFER;
		c->len -= (uint32_t)n;
		c->fwd_cnt += (uint32_t)n;
		if (c->state == VSOCK_DRAINING)
			vsock_conn_expect(c, DRAINING_NS);
	}
	if (c->awaits_room)
		(void)vsock_conn_await_room(c, false);
	if (c->state == VSOCK_DRAINING) {
		conn_drained(c);
	} else if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND && !c->ended) {
		c->ended = true; /* once, since it makes an event for us, too */
		shutdown(c->src.fd, SHUT_WR);
		vsock_conn_delivered(c);
	}
}

static void conn_data(struct vsock_conn *c, const struct iovec *iov, unsigned nr, uint32_t len)
{
	struct iovec rest[VIRTQ_MAX_SIZE];
	ssize_t n = 0;

	if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
	    len > VSOCK_BUFFER - (c->rx_cnt - c->fwd_cnt)) {
		guest_err(&c->v->vd.log, "--vsock: the guest sends more than it may on port %u",
			  c->guest_port);
		conn_reset(c);
		return;
	}
	c->rx_cnt += len;
	if (c->offer)
		c->offer->from_guest += len;
	if (!c->len && len && !(c->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV))
		n = conn_write(c, iov, nr);
	if (n < 0 || c->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		host_reads_no_more(c);
		return;
	}
	c->fwd_cnt += (uint32_t)n;
	if (n < len &&
	    vsock_conn_keep(c, rest, iov_cut(rest, iov, (uint64_t)n, len - (uint64_t)n)) < 0)
		conn_reset(c);
}

static void conn_guest_shuts(struct vsock_conn *c, uint32_t flags)
{
	c->guest_shut |= flags & BOTH;
	if (c->guest_shut == BOTH) {
		guest_is_gone(c, true);
		return;
	}
	if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		shutdown(c->src.fd, SHUT_RD);
	conn_flush(c);
}

static void conn_open_packet(struct vsock_conn *c, const struct vsock_header *h,
			     const struct iovec *iov, unsigned nr)
{
	switch (le16(h->op)) {
	case VIRTIO_VSOCK_OP_RW:
		conn_data(c, iov, nr, le32(h->len));
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		conn_guest_shuts(c, le32(h->flags));
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		c->pending |= OP(CREDIT_UPDATE);
		break;
	default:
		conn_reset(c);
	}
}

/* The guest's answer to a client. */
static void conn_answered(struct vsock_conn *c, uint16_t op)
{
	if (op != VIRTIO_VSOCK_OP_RESPONSE || c->pending & OP(REQUEST) ||
	    vsock_unix_ok(c->src.fd, c->host_port) < 0) {
		conn_reset(c);
		return;
	}
	c->state = VSOCK_OPEN;
	c->deadline_ns = 0;
	c->readable = true;
}

void vsock_conn_packet(struct vsock_conn *c, const struct vsock_header *h, const struct iovec *iov,
		       unsigned nr)
{
	uint16_t op = le16(h->op);

	if (op == VIRTIO_VSOCK_OP_RST)
		guest_is_gone(c, false);
	else if (c->state == VSOCK_RESET || c->state == VSOCK_DRAINING)
		return; /* its RST is on its way */
	else if (!vsock_conn_take_credit(c, h))
		conn_reset(c);
	else if (c->state == VSOCK_OPEN)
		conn_open_packet(c, h, iov, nr);
	else if (c->state == VSOCK_REQUESTED)
		conn_answered(c, op);
	else if (c->state == VSOCK_DIALLING)
		conn_reset(c);
	else if (op == VIRTIO_VSOCK_OP_SHUTDOWN && (le32(h->flags) & BOTH) == BOTH)
		guest_is_gone(c, true);
	vsock_conn_settle(c);
}

/* -- how they begin -------------------------------------------------------------------------- */

/* Connects to the host's end, or leaves that for the next tick. False: there is none. */
static bool conn_dial(struct vsock_conn *c)
{
	int fd = vsock_take_offer(c);

	if (fd < 0 && c->v->path && vsock_may_open(c->v))
		fd = vsock_unix_dial(&c->v->dir, c->host_port);
	if (fd == -EAGAIN)
		return true;
	if (vsock_unix_refusal(fd))
		guest_err(&c->v->vd.log, "--vsock: %s_%u %s", c->v->path, c->host_port,
			  vsock_unix_refusal(fd));
	if (fd < 0 || vsock_conn_watch(c, fd) < 0)
		return false;
	c->state = VSOCK_OPEN;
	c->deadline_ns = 0;
	c->pending = OP(RESPONSE);
	c->readable = true;
	return true;
}

bool vsock_conn_request(struct virtio_vsock *v, const struct vsock_header *h, vsock_event_fn *fn)
{
	struct vsock_conn *c = vsock_conn_new(v, VSOCK_DIALLING, fn);

	if (!c)
		return false;
	vsock_conn_hash(c, le32(h->src_port), le32(h->dst_port));
	if (!vsock_conn_take_credit(c, h) || !conn_dial(c)) {
		vsock_conn_free(c);
		return false;
	}
	if (c->state == VSOCK_DIALLING)
		vsock_conn_expect(c, DIAL_NS);
	vsock_conn_settle(c);
	return true;
}

bool vsock_conn_accept(struct virtio_vsock *v, vsock_event_fn *fn)
{
	struct vsock_conn *c = v->nr_clients < VSOCK_CLIENTS && vsock_may_open(v)
				       ? vsock_conn_new(v, VSOCK_CLIENT, fn)
				       : NULL;
	int fd;

	if (!c)
		return false;
	v->nr_clients++;
	fd = vsock_unix_accept(v->listener.fd);
	if (fd < 0 || vsock_conn_watch(c, fd) < 0) {
		vsock_conn_free(c);
		return fd == -EAGAIN || fd == -ECONNABORTED || fd == -EINTR;
	}
	vsock_conn_expect(c, COMMAND_NS);
	return true;
}

/* Reads what a client wants. */
static void client_ready(struct vsock_conn *c)
{
	struct virtio_vsock *v = c->v;
	uint32_t port, *mine = &v->state.next_port;
	int rc = vsock_unix_command(c->src.fd, &port);

	if (rc == 0 && !vsock_unix_hung_up(c->src.fd))
		return;
	if (rc <= 0 || !virtio_live(&v->vd)) {
		vsock_conn_free(c);
		return;
	}
	do {
		*mine = *mine >= FIRST_PORT && *mine < UINT32_MAX - 1 ? *mine + 1 : FIRST_PORT;
	} while (vsock_conn_find(v, port, *mine));
	v->nr_clients--;
	c->state = VSOCK_REQUESTED;
	vsock_conn_hash(c, port, *mine);
	c->pending = OP(REQUEST);
	vsock_conn_expect(c, REQUEST_NS);
}

/* -- events and ends ------------------------------------------------------------------------- */

void vsock_conn_event(struct vsock_conn *c)
{
	if (c->state == VSOCK_CLIENT) {
		client_ready(c);
	} else if (c->state == VSOCK_REQUESTED) {
		if (vsock_unix_hung_up(c->src.fd))
			conn_reset(c);
	} else if (c->state == VSOCK_DRAINING) {
		conn_flush(c);
	} else if (c->state == VSOCK_OPEN) {
		c->readable = true;
		conn_flush(c);
		if (!vsock_conn_has_data(c) && vsock_unix_hung_up(c->src.fd))
			host_is_gone(c);
	}
	vsock_conn_settle(c);
}

static void conn_expired(struct vsock_conn *c)
{
	if (c->state == VSOCK_DRAINING) {
		guest_err(&c->v->vd.log,
			  "--vsock: nobody reads the last %u bytes of the guest's port %u: dropped",
			  c->len, c->guest_port);
		conn_drained(c);
	} else {
		conn_reset(c);
	}
}

void vsock_conns_expire(struct virtio_vsock *v, uint64_t now_ns)
{
	bool more = false;

	for (unsigned i = 0; i < v->nr_touched; i++) {
		struct vsock_conn *c = &v->conn[i];

		if (c->state == VSOCK_DIALLING && !conn_dial(c))
			conn_reset(c);
		if (c->deadline_ns && c->deadline_ns <= now_ns)
			conn_expired(c);
		vsock_conn_settle(c);
		more |= c->deadline_ns;
	}
	if (more)
		vsock_start_timer(v);
}

void vsock_conns_drop(struct virtio_vsock *v, bool all)
{
	for (unsigned i = 0; i < v->nr_touched; i++) {
		struct vsock_conn *c = &v->conn[i];

		if (all && c->state != VSOCK_FREE)
			vsock_conn_free(c);
		else if (c->state != VSOCK_FREE && c->state != VSOCK_CLIENT)
			guest_is_gone(c, false);
		c->queued = false;
	}
	v->ready = v->last_ready = NULL;
}

void vsock_conns_end_offered(struct virtio_vsock *v)
{
	for (unsigned i = 0; i < v->nr_touched; i++)
		if (v->conn[i].state == VSOCK_OPEN && v->conn[i].offer)
			conn_guest_shuts(&v->conn[i], VIRTIO_VSOCK_SHUTDOWN_SEND);
}

void vsock_conns_flush(struct virtio_vsock *v)
{
	for (unsigned i = 0; i < v->nr_touched; i++) {
		struct vsock_conn *c = &v->conn[i];
		struct pollfd p = { .fd = c->src.fd, .events = POLLOUT };

		while (c->len && patience_poll(v->loop->patience, &p, FLUSH_MS) > 0)
			conn_flush(c);
		if (c->len)
			conn_expired(c);
	}
}
