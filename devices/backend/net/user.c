/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network of the guest's own, by libslirp (4.7): it answers ARP, DHCP, router solicitations and
 * DNS, and turns the guest's TCP connections and UDP datagrams into sockets of this process. The
 * guest is 10.0.2.15 and fec0::/64, 10.0.2.2 and fec0::2 are the host (its loopback interface),
 * 10.0.2.3 and fec0::3 the name server.
 *
 * libslirp wants to be polled: it says which descriptors it waits for and until when, and is told
 * what happened to them. Those descriptors are in an epoll set of ours (poll_set.h), which is one
 * source of the device's loop; a timerfd is the second. The third is an eventfd by which a call
 * from the device has the rest of its work done on the loop, once for a batch of frames.
 *
 * Frames for the guest wait in a queue. libslirp can't be told to hold back. So when the queue
 * grows, its sockets are not looked at for a while, which slows down the other end. What is still
 * too much is dropped, as on a wire.
 *
 * The guest's IPv4 fragments are dropped, so a datagram must fit the MTU, and TCP's urgent data are
 * not urgent any more (slirp_guard.c says why).
 *
 * Each connection and each of the guest's UDP ports is a socket of this process. Their number is
 * limited (slirp_flows.h).
 *
 * With restricted, libslirp itself drops everything, even DNS, except what is for itself (ARP,
 * DHCP, echo requests) and answers on a forwarded TCP connection. UDP is dropped altogether.
 *
 * libslirp keeps the time and the name server's address in globals, for all its instances. Networks
 * on several I/O threads write them without any order, which does no harm as they write the same.
 */
#include "backend/net/user.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "backend/net/frame.h"
#include "backend/net/poll_set.h"
#include "backend/net/slirp_flows.h"
#include "backend/net/slirp_guard.h"
#include "vmm/event.h"
#include "backend/net/slirp_lib.h"
#include "vmm/log.h"

#define QUEUE_SIZE  (4 * MIB)
#define QUEUE_PAUSE (256 * KIB) /* the sockets wait while there is this much */
#define GUEST       0x0a00020f  /* unless the guest chooses another address */
#define DATAGRAMS   16          /* of a socket in one round */
#define IDLE_MS     1000        /* libslirp asks for this when it waits for nothing */

struct user_timer {
	SlirpTimerId id;
	void *opaque;
	uint64_t at_ns; /* 0: not set */
};

struct net_user {
	struct net_backend b;
	struct slirp_lib lib;
	Slirp *slirp;
	struct loop *loop;
	struct loop_source sockets;          /* the epoll set */
	struct loop_source timer;            /* for poll_at_ns and ra */
	struct loop_source poke;             /* edge-triggered */
	bool started, poked, paused, wanted; /* wanted: the guest wants frames */
	struct ratelimit log;

	struct slirp_guard guard;
	struct slirp_flows flows;
	struct poll_set set;  /* libslirp's descriptors */
	struct user_timer ra; /* the only one that libslirp 4.7 has */
	uint64_t poll_at_ns;  /* when libslirp wants to be called; 0: only if something happens */
	uint64_t timer_ns;    /* when the timer fires; 0: it is off */

	/* Frames for the guest, each preceded by its length: queue[head..tail). */
	uint8_t *queue;
	size_t head, tail;
	uint8_t frame[NET_MAX_WIRE]; /* our copy of a frame of the guest's */
};

static struct net_user *to_user(struct net_backend *b)
{
	return container_of(b, struct net_user, b);
}

/* Makes the loop call user_run(). */
static void user_poke(struct net_user *u)
{
	if (!u->poked)
		event_signal(u->poke.fd);
	u->poked = true;
}

/* -- the queue ------------------------------------------------------------------------------- */

static size_t queued(const struct net_user *u)
{
	return u->tail - u->head;
}

static bool queue_room(struct net_user *u, size_t len)
{
	if (len <= QUEUE_SIZE - u->tail)
		return true;
	if (u->head < QUEUE_SIZE / 2)
		return false;
	memmove(u->queue, u->queue + u->head, queued(u));
	u->tail -= u->head;
	u->head = 0;
	return true; /* a frame is shorter than half of it */
}

static ssize_t user_deliver(const void *frame, size_t len, void *ctx)
{
	struct net_user *u = ctx;
	const uint32_t length = (uint32_t)len;

	slirp_guard_look(&u->guard, frame, len);
	if (len > NET_MAX_WIRE || !queue_room(u, sizeof(length) + len))
		return (ssize_t)len; /* dropped: libslirp would only log an error */
	memcpy(u->queue + u->tail, &length, sizeof(length));
	memcpy(u->queue + u->tail + sizeof(length), frame, len);
	u->tail += sizeof(length) + len;
	return (ssize_t)len;
}

/* Watches the sockets only while there is room for what they bring. */
static void user_pause(struct net_user *u)
{
	const bool pause = queued(u) > QUEUE_PAUSE;

	if (pause != u->paused && loop_change(u->loop, &u->sockets, pause ? 0 : EPOLLIN) == 0)
		u->paused = pause;
}

static ssize_t user_receive(struct net_backend *b, unsigned pair __unused, const struct iovec *iov,
			    unsigned nr)
{
	struct net_user *u = to_user(b);
	const uint8_t *frame;
	uint32_t len;

	if (!queued(u))
		return -EAGAIN;
	memcpy(&len, u->queue + u->head, sizeof(len));
	frame = u->queue + u->head + sizeof(len);
	u->head += sizeof(len) + len;
	if (!queued(u))
		u->head = u->tail = 0; /* so that it stays in the pages that were touched */
	user_pause(u);
	return net_frame_give(iov, nr, frame, len);
}

static void user_want_frames(struct net_backend *b, unsigned pair __unused, bool on)
{
	struct net_user *u = to_user(b);

	u->wanted = on;
	if (on && queued(u))
		user_poke(u);
}

/* -- libslirp's descriptors ------------------------------------------------------------------ */

static const struct {
	uint32_t epoll;
	int slirp;
} event_names[] = {
	{ EPOLLIN, SLIRP_POLL_IN },   { EPOLLOUT, SLIRP_POLL_OUT }, { EPOLLPRI, SLIRP_POLL_PRI },
	{ EPOLLERR, SLIRP_POLL_ERR }, { EPOLLHUP, SLIRP_POLL_HUP },
};

static void user_register(int fd, void *ctx)
{
	struct net_user *u = ctx;

	poll_set_forget(&u->set, fd);
	slirp_flows_opened(&u->flows, fd);
}

static void user_unregister(int fd, void *ctx)
{
	struct net_user *u = ctx;

	poll_set_remove(&u->set, fd);
	slirp_flows_closed(&u->flows, fd);
}

static int user_add_poll(int fd, int events, void *ctx)
{
	struct net_user *u = ctx;
	uint32_t wanted = 0;

	if (!u->started)
		slirp_flows_add_listener(&u->flows, fd);
	if (slirp_flows_hold(&u->flows, fd))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(event_names); i++) {
		if (events & event_names[i].slirp)
			wanted |= event_names[i].epoll;
	}
	return poll_set_want(&u->set, fd, wanted) ? fd : -1; /* -1: it isn't polled */
}

static int user_what_happened(int fd, void *ctx)
{
	const struct net_user *u = ctx;
	const uint32_t happened = poll_set_happened(&u->set, fd);
	int events = 0;

	for (size_t i = 0; i < ARRAY_SIZE(event_names); i++) {
		if (happened & event_names[i].epoll)
			events |= event_names[i].slirp;
	}
	return events;
}

/* -- time ------------------------------------------------------------------------------------ */

static int64_t user_clock(void *ctx __unused)
{
	return (int64_t)monotonic_ns();
}

static void user_set_timer(struct net_user *u)
{
	uint64_t at = u->ra.at_ns;
	struct itimerspec t = { 0 };

	if (u->poll_at_ns && (!at || u->poll_at_ns < at))
		at = u->poll_at_ns;
	/* A timer that fires too early is better than a system call for each frame. */
	if (!at || (u->timer_ns && u->timer_ns <= at))
		return;
	t.it_value.tv_sec = (time_t)(at / 1000000000);
	t.it_value.tv_nsec = (long)(at % 1000000000);
	if (timerfd_settime(u->timer.fd, TFD_TIMER_ABSTIME, &t, NULL) == 0)
		u->timer_ns = at;
}

static void *user_timer_new(SlirpTimerId id, void *opaque, void *ctx)
{
	struct net_user *u = ctx;

	u->ra = (struct user_timer){ .id = id, .opaque = opaque };
	return &u->ra;
}

static void user_timer_free(void *timer, void *ctx __unused)
{
	*(struct user_timer *)timer = (struct user_timer){ 0 };
}

static void user_timer_mod(void *timer, int64_t expire_ms, void *ctx)
{
	struct user_timer *t = timer;

	t->at_ns = (uint64_t)expire_ms * 1000000;
	user_set_timer(ctx);
}

/* -- the loop's side ------------------------------------------------------------------------- */

/* Asks libslirp what it waits for. */
static void user_fill(struct net_user *u)
{
	uint32_t timeout = IDLE_MS;
	bool waits;

	poll_set_begin(&u->set);
	u->lib.slirp_pollfds_fill(u->slirp, &timeout, user_add_poll, u);
	waits = poll_set_end(&u->set);
	u->poll_at_ns = waits || timeout < IDLE_MS ? monotonic_ns() + timeout * 1000000ull : 0;
	user_set_timer(u);
}

/* Tells libslirp what happened, and again while anything has, as it takes one datagram of a socket
 * each time. Then hands its frames to the device. */
static void user_run(struct net_user *u)
{
	for (unsigned i = 0; i < DATAGRAMS; i++) {
		if ((u->paused || !poll_set_look(&u->set)) && i > 0)
			break;
		u->lib.slirp_pollfds_poll(u->slirp, 0, user_what_happened, u);
		poll_set_done(&u->set);
		user_fill(u);
		user_pause(u);
	}
	if (u->wanted && queued(u))
		u->b.ready(u->b.ctx, 0);
}

static void user_sockets_ready(struct loop_source *src, uint32_t events __unused)
{
	user_run(container_of(src, struct net_user, sockets));
}

static void user_poked(struct loop_source *src, uint32_t events __unused)
{
	struct net_user *u = container_of(src, struct net_user, poke);

	u->poked = false;
	user_run(u);
}

static void user_timed(struct loop_source *src, uint32_t events __unused)
{
	struct net_user *u = container_of(src, struct net_user, timer);
	uint64_t times;

	if (read(u->timer.fd, &times, sizeof(times)) < 0)
		return; /* the timer was set again meanwhile */
	u->timer_ns = 0;
	if (u->ra.at_ns && u->ra.at_ns <= monotonic_ns()) {
		u->ra.at_ns = 0;
		u->lib.slirp_handle_timer(u->slirp, u->ra.id, u->ra.opaque);
	}
	user_run(u);
}

/* -- the device's side ----------------------------------------------------------------------- */

static ssize_t user_send(struct net_backend *b, unsigned pair __unused, const struct iovec *iov,
			 unsigned nr)
{
	struct net_user *u = to_user(b);
	const ssize_t len = net_frame_take(u->frame, iov, nr);

	if (len < 0)
		return len;
	if (!slirp_guard_pass(&u->guard, u->frame, (size_t)len))
		return -EPROTONOSUPPORT;
	if (!u->poll_at_ns) /* libslirp's clock stood still */
		u->lib.slirp_pollfds_poll(u->slirp, 0, user_what_happened, u);
	if (slirp_flows_begin(&u->flows, u->frame, (size_t)len))
		u->lib.slirp_input(u->slirp, u->frame, (int)len); /* otherwise it is lost */
	slirp_flows_end(&u->flows);
	user_poke(u);
	return (ssize_t)NET_HDR_LEN + len;
}

static void user_notify(void *ctx)
{
	user_poke(ctx);
}

static void user_guest_error(const char *message, void *ctx)
{
	struct net_user *u = ctx;

	guest_err(&u->log, "--net user: %s", message);
}

static int user_start(struct net_backend *b, struct loop *loop)
{
	struct net_user *u = to_user(b);
	int rc;

	u->loop = loop;
	u->sockets.lock = u->timer.lock = u->poke.lock = b->lock;
	rc = loop_add(loop, &u->sockets, EPOLLIN);
	if (rc == 0)
		rc = loop_add(loop, &u->timer, EPOLLIN);
	if (rc == 0)
		rc = loop_add(loop, &u->poke, EPOLLIN | EPOLLET);
	errno = -rc;
	if (rc < 0)
		return log_errno("--net user: watching its descriptors");
	user_fill(u);
	u->started = true;
	return 0;
}

static void user_destroy(struct net_backend *b)
{
	struct net_user *u = to_user(b);
	struct loop_source *const source[] = { &u->sockets, &u->timer, &u->poke };

	if (u->slirp)
		u->lib.slirp_cleanup(u->slirp); /* closes its sockets */
	for (size_t i = 0; i < ARRAY_SIZE(source) && u->loop; i++)
		loop_remove(u->loop, source[i]);
	poll_set_destroy(&u->set);
	slirp_flows_destroy(&u->flows);
	close_fd(&u->timer.fd);
	close_fd(&u->poke.fd);
	free(u->queue);
	free(u);
}

static const struct net_backend_ops user_ops = {
	.name = "user",
	.start = user_start,
	.send = user_send,
	.receive = user_receive,
	.want_frames = user_want_frames,
	.destroy = user_destroy,
};

/* -- opening --------------------------------------------------------------------------------- */

static const SlirpCb callbacks = {
	.send_packet = user_deliver,
	.guest_error = user_guest_error,
	.clock_get_ns = user_clock,
	.timer_new_opaque = user_timer_new,
	.timer_free = user_timer_free,
	.timer_mod = user_timer_mod,
	.register_poll_fd = user_register,
	.unregister_poll_fd = user_unregister,
	.notify = user_notify,
};

static struct in_addr ip4(uint32_t address)
{
	return (struct in_addr){ htonl(address) };
}

static int user_forward(struct net_user *u, const struct net_user_forward *f)
{
	char host[INET_ADDRSTRLEN];
	const char *advice;

	if (u->lib.slirp_add_hostfwd(u->slirp, f->udp, f->host, f->host_port, f->guest,
				     f->guest_port) == 0) {
		if (f->udp)
			slirp_flows_add_forward(&u->flows, f->guest.s_addr ? f->guest : ip4(GUEST),
						f->guest_port);
		return 0;
	}
	inet_ntop(AF_INET, &f->host, host, sizeof(host));
	advice = errno == EADDRINUSE      ? "; take another port"
		 : errno == EADDRNOTAVAIL ? "; this host has no such address"
		 : errno == EACCES        ? "; take a port from 1024 on"
					  : "";
	return log_ret(-errno, "--net user: hostfwd=%s:%s:%u: listening on the host: %s%s",
		       f->udp ? "udp" : "tcp", host, f->host_port, strerrordesc_np(errno), advice);
}

static int user_slirp(struct net_user *u, const struct net_user_options *o)
{
	const SlirpConfig c = {
		.version = 4,
		.restricted = o->restricted,
		.in_enabled = true,
		.vnetwork = ip4(0x0a000200),
		.vnetmask = ip4(0xffffff00),
		.vhost = ip4(0x0a000202),
		.vdhcp_start = ip4(GUEST),
		.vnameserver = ip4(0x0a000203),
		.in6_enabled = true,
		.vprefix_addr6 = { { { 0xfe, 0xc0 } } },
		.vprefix_len = 64,
		.vhost6 = { { { 0xfe, 0xc0, [15] = 2 } } },
		.vnameserver6 = { { { 0xfe, 0xc0, [15] = 3 } } },
		.vdnssearch = o->domain && *o->domain ? (const char **)o->domain : NULL,
		.if_mtu = o->mtu ?: 1500,
		.if_mru = o->mtu ?: 1500,
	};
	int rc = slirp_lib_load(&u->lib);

	if (rc < 0)
		return rc;
	u->slirp = u->lib.slirp_new(&c, &callbacks, u);
	if (!u->slirp)
		return log_ret(-EINVAL, "--net user: libslirp refuses to start");
	for (size_t i = 0; i < o->nr_forwards && rc == 0; i++)
		rc = user_forward(u, &o->forward[i]);
	return rc;
}

int net_user_open(struct net_backend **b, const struct net_user_options *o)
{
	struct net_user *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return log_ret(-ENOMEM, "--net user: out of memory");
	u->b = (struct net_backend){ .ops = &user_ops, .pairs = 1, .mtu = o->mtu };
	u->wanted = true;
	u->queue = malloc(QUEUE_SIZE); /* only what is used is ever touched */
	rc = poll_set_init(&u->set);
	if (rc == 0)
		rc = slirp_flows_init(&u->flows, o->fds);
	u->sockets = (struct loop_source){ .fd = u->set.fd, .fn = user_sockets_ready };
	u->timer = (struct loop_source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), .fn = user_timed
	};
	u->poke = (struct loop_source){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
					.fn = user_poked };
	if (!u->queue || rc < 0 || u->timer.fd < 0 || u->poke.fd < 0)
		rc = log_errno("--net user: setting up");
	if (rc == 0)
		rc = user_slirp(u, o);
	if (rc < 0)
		user_destroy(&u->b);
	else
		*b = &u->b;
	return rc;
}
