/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ethernet frames over a stream UNIX socket, each preceded by its length as 32 bits in network
 * order: what QEMU's -netdev stream and passt speak. We connect; the other end listens.
 *
 * One read takes as many frames as the buffer holds. The guest's frames are sent from where they
 * are, all that there are at once; when the socket takes only a part of one, the rest is kept and
 * goes before anything else.
 *
 * When the peer goes away, the link is down, and we try to connect again every second, in the
 * directory that the socket was in at the start. The same happens when the peer gets out of step,
 * which shows by a length that an Ethernet frame can't have.
 */
#include "backend/net/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "backend/net/frame.h"
#include "backend/unix/dir.h"
#include "vmm/log.h"
#include "vmm/virtq.h"

#define RETRY_NS    1000000000
#define RX_SIZE     (256 * KIB)
#define LENGTH_SIZE 4

struct net_socket {
	struct net_backend b;
	const char *path; /* not owned */
	struct unix_dir dir;
	struct loop *loop;
	struct loop_source src;   /* the connection; fd < 0: there is none */
	struct loop_source timer; /* to connect again; or at once, to be on the loop */
	uint32_t events;          /* those that the loop watches */
	bool wanted;              /* the guest wants frames */
	struct ratelimit log;

	/* What was received: rx[rx_start..rx_end). */
	size_t rx_start, rx_end;
	/* The part of the guest's last frame that the socket did not take yet. */
	size_t rest_off, rest_len;
	bool blocked; /* send() said -EAGAIN */
	uint8_t rest[LENGTH_SIZE + NET_MAX_WIRE];
	uint8_t rx[RX_SIZE];
};

static struct net_socket *to_socket(struct net_backend *b)
{
	return container_of(b, struct net_socket, b);
}

/* Calls back on the loop after ns nanoseconds. */
static void socket_timer(struct net_socket *s, long ns)
{
	const struct itimerspec t = { .it_value = { ns / 1000000000, ns % 1000000000 } };

	(void)timerfd_settime(s->timer.fd, 0, &t, NULL); /* can't fail: the values are valid */
}

/* Returns whether there is a point in reading. */
static bool socket_has_room(const struct net_socket *s)
{
	return s->wanted && s->rx_end - s->rx_start < RX_SIZE;
}

/* Makes the loop watch for what can happen next. */
static void socket_watch(struct net_socket *s)
{
	const uint32_t events =
		(socket_has_room(s) ? EPOLLIN : 0u) | (s->rest_len || s->blocked ? EPOLLOUT : 0u);

	if (s->src.fd >= 0 && events != s->events && loop_change(s->loop, &s->src, events) == 0)
		s->events = events;
}

/* Lets the device try again to send what it could not. */
static void socket_unblock(struct net_socket *s)
{
	const bool blocked = s->blocked;

	s->blocked = false;
	socket_watch(s);
	if (blocked)
		s->b.ready(s->b.ctx, 0);
}

/* -- the connection -------------------------------------------------------------------------- */

/* Returns 0 or -errno, not logged. */
static int socket_connect(struct net_socket *s)
{
	int fd = unix_dir_dial(&s->dir, "");

	s->src.fd = max(fd, -1);
	return min(fd, 0);
}

static int socket_add(struct net_socket *s)
{
	s->events = 0;
	int rc = loop_add(s->loop, &s->src, s->events);

	if (rc == 0)
		socket_watch(s);
	return rc;
}

static void socket_disconnect(struct net_socket *s)
{
	loop_remove(s->loop, &s->src);
	close_fd(&s->src.fd);
	s->rx_start = s->rx_end = s->rest_len = 0;
	socket_timer(s, RETRY_NS);
	s->b.link(s->b.ctx, false);
	socket_unblock(s); /* the frame that waits is lost, and the driver's queue goes on */
}

static void socket_reconnect(struct net_socket *s)
{
	int rc = socket_connect(s);

	if (rc == 0)
		rc = socket_add(s);
	if (rc < 0) {
		close_fd(&s->src.fd);
		socket_timer(s, RETRY_NS);
		return;
	}
	guest_err(&s->log, "--net socket=%s: connected again", s->path);
	s->b.link(s->b.ctx, true);
}

/* -- receiving ------------------------------------------------------------------------------- */

/* Returns the length of the frame at the start of rx; 0: it isn't complete yet; -EPROTO: it is not
 * a frame. */
static int socket_next(const struct net_socket *s)
{
	const size_t there = s->rx_end - s->rx_start;
	uint32_t len;

	if (there < LENGTH_SIZE)
		return 0;
	memcpy(&len, s->rx + s->rx_start, LENGTH_SIZE);
	len = be32toh(len);
	if (len < NET_MIN_WIRE || len > NET_MAX_WIRE)
		return -EPROTO;
	return len <= there - LENGTH_SIZE ? (int)len : 0;
}

static ssize_t socket_receive(struct net_backend *b, unsigned pair __unused,
			      const struct iovec *iov, unsigned nr)
{
	struct net_socket *s = to_socket(b);
	const int len = socket_next(s);
	const uint8_t *frame = s->rx + s->rx_start + LENGTH_SIZE;

	if (len < 0)
		socket_timer(s, 1); /* it ends on the loop, not in a call from the device */
	if (len <= 0)
		return -EAGAIN;
	s->rx_start += LENGTH_SIZE + (size_t)len;
	socket_watch(s);
	return net_frame_give(iov, nr, frame, (size_t)len);
}

/* Reads as much as fits. Returns 0; or -errno: the connection is over. */
static int socket_fill(struct net_socket *s)
{
	ssize_t n;

	if (s->rx_start > 0) { /* less than a frame is left, or the guest is slow */
		memmove(s->rx, s->rx + s->rx_start, s->rx_end - s->rx_start);
		s->rx_end -= s->rx_start;
		s->rx_start = 0;
	}
	n = recv(s->src.fd, s->rx + s->rx_end, RX_SIZE - s->rx_end, MSG_DONTWAIT);
	if (n > 0)
		s->rx_end += (size_t)n;
	else if (n == 0)
		return -EPIPE;
	return n < 0 && errno != EAGAIN && errno != EINTR ? -errno : 0;
}

/* Hands frames to the device while there are some and it wants them. */
static void socket_deliver(struct net_socket *s)
{
	if (s->wanted && socket_next(s) > 0)
		s->b.ready(s->b.ctx, 0);
	if (socket_next(s) < 0) {
		guest_err(
			&s->log,
			"--net socket=%s: the peer sent a length that no frame has; trying again with a new connection",
			s->path);
		socket_disconnect(s);
	}
}

static void socket_want_frames(struct net_backend *b, unsigned pair __unused, bool on)
{
	struct net_socket *s = to_socket(b);

	s->wanted = on;
	socket_watch(s);
	if (on && s->src.fd >= 0 && socket_next(s) != 0)
		socket_timer(s, 1);
}

/* -- sending --------------------------------------------------------------------------------- */

/* True when nothing is left of the previous frame. A peer that reads no more, though it may still
 * send, has lost the rest of that frame and all that follow: a hang-up is an event of its own. */
static bool socket_flush(struct net_socket *s)
{
	while (s->rest_len) {
		ssize_t n = send(s->src.fd, s->rest + s->rest_off, s->rest_len,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EPIPE && errno != ECONNRESET)
			return false;
		if (n < 0)
			n = (ssize_t)s->rest_len;
		s->rest_off += (size_t)n;
		s->rest_len -= (size_t)n;
	}
	return true;
}

static void socket_again(struct net_socket *s)
{
	s->blocked = true;
	socket_watch(s);
}

static bool is_frame(const struct net_frame *f)
{
	return f->nr <= VIRTQ_MAX_SIZE && f->len >= NET_HDR_LEN + NET_MIN_WIRE &&
	       f->len <= NET_MAX_FRAME;
}

/* Returns how many bytes of the stream f becomes; 0: it can't be sent, and is lost. */
static size_t on_wire(const struct net_frame *f)
{
	return is_frame(f) ? LENGTH_SIZE + f->len - NET_HDR_LEN : 0;
}

static uint32_t wire_length(const struct net_frame *f)
{
	return htobe32((uint32_t)(f->len - NET_HDR_LEN));
}

/* Puts the bytes of all frames into out, which has room. Returns the number of iovecs. */
static size_t gather(struct iovec *out, uint32_t length[NET_BATCH], const struct net_frame *frame,
		     unsigned nr)
{
	size_t n = 0;

	for (unsigned i = 0; i < nr; i++) {
		const struct net_frame *f = &frame[i];

		if (!is_frame(f))
			continue;
		length[i] = wire_length(f);
		out[n++] = (struct iovec){ &length[i], LENGTH_SIZE };
		n += net_iov_skip(out + n, f->iov, f->nr, NET_HDR_LEN);
	}
	return n;
}

/* Keeps what follows the first skip bytes of a frame. */
static void socket_keep(struct net_socket *s, const struct net_frame *f, size_t skip)
{
	const uint32_t length = wire_length(f);
	const size_t head = LENGTH_SIZE - min(skip, (size_t)LENGTH_SIZE);

	s->rest_off = 0;
	s->rest_len = on_wire(f) - skip;
	memcpy(s->rest, (const uint8_t *)&length + LENGTH_SIZE - head, head);
	net_iov_read(s->rest + head, s->rest_len - head, f->iov, f->nr,
		     NET_HDR_LEN + skip + head - LENGTH_SIZE);
	socket_watch(s);
}

/* The socket has taken len bytes of these frames. Returns as send_batch(). */
static unsigned socket_took(struct net_socket *s, const struct net_frame *frame, unsigned nr,
			    size_t len, uint64_t *lost)
{
	for (unsigned i = 0; i < nr; i++) {
		const size_t all = on_wire(&frame[i]);

		if (all && len == 0) {
			socket_again(s);
			return i;
		}
		if (len < all)
			socket_keep(s, &frame[i], len);
		len -= min(len, all);
		*lost += all == 0;
	}
	return nr;
}

static unsigned socket_send_batch(struct net_backend *b, unsigned pair __unused,
				  const struct net_frame *frame, unsigned nr, uint64_t *lost)
{
	struct net_socket *s = to_socket(b);
	struct iovec out[NET_BATCH_IOV + NET_BATCH];
	uint32_t length[NET_BATCH];
	struct msghdr msg = { .msg_iov = out };
	ssize_t n = 0;

	if (s->src.fd < 0) {
		*lost += nr;
		return nr;
	}
	if (!socket_flush(s)) {
		socket_again(s);
		return 0;
	}
	msg.msg_iovlen = gather(out, length, frame, nr);
	if (msg.msg_iovlen)
		n = sendmsg(s->src.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		*lost += nr;
		return nr;
	}
	return socket_took(s, frame, nr, (size_t)max(n, (ssize_t)0), lost);
}

static ssize_t socket_send(struct net_backend *b, unsigned pair, const struct iovec *iov,
			   unsigned nr)
{
	const struct net_frame f = { iov, nr, net_iov_len(iov, nr) };
	uint64_t lost = 0;

	if (to_socket(b)->src.fd < 0)
		return -ENOTCONN;
	if (!is_frame(&f))
		return -EMSGSIZE;
	if (socket_send_batch(b, pair, &f, 1, &lost) == 0)
		return -EAGAIN;
	return lost ? -errno : (ssize_t)f.len; /* only sendmsg() can have failed, just now */
}

/* -- the backend ----------------------------------------------------------------------------- */

static void socket_event(struct loop_source *src, uint32_t events)
{
	struct net_socket *s = container_of(src, struct net_socket, src);
	int rc = 0;

	if (events & EPOLLOUT && socket_flush(s))
		socket_unblock(s);
	/* When the guest has no room, it loses what a peer that hung up has left in the socket. */
	if (socket_has_room(s))
		rc = socket_fill(s);
	else if (events & (EPOLLHUP | EPOLLERR))
		rc = -EPIPE;
	if (rc < 0) {
		guest_err(&s->log, "--net socket=%s: %s; trying to connect again every second",
			  s->path, rc == -EPIPE ? "the peer went away" : strerrordesc_np(-rc));
		socket_disconnect(s);
		return;
	}
	socket_watch(s);
	socket_deliver(s);
}

static void socket_timed(struct loop_source *src, uint32_t events __unused)
{
	struct net_socket *s = container_of(src, struct net_socket, timer);
	uint64_t times;

	if (read(s->timer.fd, &times, sizeof(times)) < 0)
		return; /* the timer was set again meanwhile */
	if (s->src.fd < 0)
		socket_reconnect(s);
	else
		socket_deliver(s);
}

static int socket_start(struct net_backend *b, struct loop *loop)
{
	struct net_socket *s = to_socket(b);
	int rc;

	s->loop = loop;
	s->src.lock = s->timer.lock = b->lock;
	rc = loop_add(loop, &s->timer, EPOLLIN);
	if (rc == 0)
		rc = socket_add(s);
	errno = -rc;
	return rc < 0 ? log_errno("--net socket=%s: watching it", s->path) : 0;
}

static void socket_destroy(struct net_backend *b)
{
	struct net_socket *s = to_socket(b);

	if (s->loop) {
		loop_remove(s->loop, &s->timer);
		if (s->src.fd >= 0)
			loop_remove(s->loop, &s->src);
	}
	close_fd(&s->timer.fd);
	close_fd(&s->src.fd);
	unix_dir_close(&s->dir);
	free(s);
}

static const struct net_backend_ops socket_ops = {
	.name = "socket",
	.start = socket_start,
	.send = socket_send,
	.send_batch = socket_send_batch,
	.receive = socket_receive,
	.want_frames = socket_want_frames,
	.destroy = socket_destroy,
};

int net_socket_open(struct net_backend **b, const char *path, struct kept *kept)
{
	struct net_socket *s = calloc(1, sizeof(*s)); /* untouched pages of it cost nothing */
	int rc;

	if (!s)
		return log_ret(-ENOMEM, "--net socket=%s: out of memory", path);
	s->b = (struct net_backend){ .ops = &socket_ops, .pairs = 1 };
	s->path = path;
	s->wanted = true;
	s->src = (struct loop_source){ .fd = -1, .fn = socket_event };
	s->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	s->timer.fn = socket_timed;
	rc = unix_dir_open(&s->dir, path, kept, 0);
	if (rc == 0)
		rc = s->timer.fd < 0 ? -EMFILE : socket_connect(s);
	if (rc < 0) {
		log_ret(rc,
			"--net socket=%s: connect: %s; something must listen there, for instance: passt --socket %s",
			path, unix_dir_error(rc), path);
		socket_destroy(&s->b);
		return rc;
	}
	*b = &s->b;
	return 0;
}
