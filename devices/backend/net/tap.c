/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TAP, as Documentation/networking/tuntap.rst of Linux 6.1 and <linux/if_tun.h> describe it: one
 * descriptor for each pair of queues, frames with a virtio-net header, segmentation and checksums
 * as the guest negotiates them.
 *
 * The descriptors are watched edge-triggered: the reader reads until there is nothing left, or asks
 * to be told again (want_frames). So starting and stopping costs no system call while frames flow.
 */
#include "backend/net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "backend/net/link.h"
#include "backend/net/ring.h"
#include "backend/net/script.h"
#include "vmm/log.h"

/* Linux 6.2; virtio 1.3. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO   56
#endif

#define BIT(f) (1ull << (f))

#define RING_FROM 4 /* frames; fewer are not worth a ring */

struct tap_queue {
	struct loop_source src; /* src.fd: owned */
	struct net_ring ring;   /* made when it is needed first */
	struct net_tap *tap;
};

struct net_tap {
	struct net_backend b;
	const char *option;
	char name[IFNAMSIZ];
	bool headers;         /* frames have a virtio-net header on this descriptor, too */
	bool unlimited;       /* it never says that it has no room */
	struct loop *loop;    /* NULL before it was started */
	unsigned pairs;       /* attached ones */
	uint64_t features;    /* those in force */
	struct ratelimit log; /* an interface may be deleted while the guest goes on trying */
	struct tap_queue queue[NET_MAX_PAIRS]; /* b.pairs of them */
};

static struct net_tap *tap_of(struct net_backend *b)
{
	return container_of(b, struct net_tap, b);
}

/* -- as a backend ---------------------------------------------------------------------------- */

static void tap_event(struct loop_source *src, uint32_t events)
{
	struct tap_queue *q = container_of(src, struct tap_queue, src);
	struct net_tap *t = q->tap;
	const unsigned pair = (unsigned)(q - t->queue);

	if (pair >= t->pairs)
		return; /* a detached queue reports errors without end */
	if (events & EPOLLERR)
		t->b.link(t->b.ctx, false); /* somebody deleted the interface */
	else
		t->b.ready(t->b.ctx, pair);
}

static int tap_start(struct net_backend *b, struct loop *loop)
{
	struct net_tap *t = tap_of(b);
	int rc = 0;

	for (unsigned i = 0; i < b->pairs && rc == 0; i++) {
		t->queue[i].src.fn = tap_event;
		t->queue[i].src.lock = b->lock;
		rc = loop_add(loop, &t->queue[i].src, EPOLLIN | EPOLLOUT | EPOLLET);
	}
	if (rc < 0)
		return log_ret(rc, "%s: epoll_ctl: %s", t->option, strerrordesc_np(-rc));
	t->loop = loop;
	return 0;
}

/* Makes the loop report again what is the case now. */
static void tap_rearm(struct net_tap *t, unsigned pair)
{
	if (t->loop)
		(void)!loop_change(t->loop, &t->queue[pair].src, EPOLLIN | EPOLLOUT | EPOLLET);
}

static void tap_want_frames(struct net_backend *b, unsigned pair, bool on)
{
	if (on)
		tap_rearm(tap_of(b), pair);
}

/* Copies what follows the header in iov[0..nr) to rest, which has room for nr; fills the header
 * with zeroes if clear says so. Returns how many iovecs rest has. */
static unsigned without_header(const struct iovec *iov, unsigned nr, struct iovec *rest, bool clear)
{
	size_t skip = NET_HDR_LEN;
	unsigned n = 0;

	for (unsigned i = 0; i < nr; i++) {
		size_t here = min(skip, iov[i].iov_len);

		if (clear)
			memset(iov[i].iov_base, 0, here);
		skip -= here;
		if (here < iov[i].iov_len)
			rest[n++] = (struct iovec){ (uint8_t *)iov[i].iov_base + here,
						    iov[i].iov_len - here };
	}
	return n;
}

static ssize_t tap_send(struct net_backend *b, unsigned pair, const struct iovec *iov, unsigned nr)
{
	struct net_tap *t = tap_of(b);
	struct iovec rest[NET_MAX_IOV];
	ssize_t n;

	if (!t->headers) {
		nr = without_header(iov, nr, rest, false);
		iov = rest;
	}
	if (nr == 1)
		n = write(t->queue[pair].src.fd, iov->iov_base, iov->iov_len);
	else
		n = writev(t->queue[pair].src.fd, iov, (int)nr);
	return n < 0 ? -errno : n;
}

static unsigned tap_send_batch(struct net_backend *b, unsigned pair, const struct net_frame *frame,
			       unsigned nr, uint64_t *lost)
{
	struct net_tap *t = tap_of(b);
	struct tap_queue *q = &t->queue[pair];
	unsigned done = 0;

	if (t->headers && t->unlimited && nr >= RING_FROM)
		done = net_ring_write(&q->ring, q->src.fd, frame, nr, lost);
	for (; done < nr; done++) {
		const ssize_t n = tap_send(b, pair, frame[done].iov, frame[done].nr);

		if (n == -EAGAIN)
			break;
		*lost += n < 0;
	}
	return done;
}

static ssize_t tap_receive(struct net_backend *b, unsigned pair, const struct iovec *iov,
			   unsigned nr)
{
	struct net_tap *t = tap_of(b);
	struct iovec rest[NET_MAX_IOV];
	ssize_t n;

	if (t->headers) {
		n = readv(t->queue[pair].src.fd, iov, (int)nr);
	} else {
		nr = without_header(iov, nr, rest, true);
		n = readv(t->queue[pair].src.fd, rest, (int)nr);
		n += n > 0 ? (ssize_t)NET_HDR_LEN : 0;
	}
	return n < 0 ? -EAGAIN : n; /* if the interface is gone, an event says so */
}

static int tap_set_features(struct net_backend *b, uint64_t features)
{
	const uint64_t uso = BIT(VIRTIO_NET_F_GUEST_USO4) | BIT(VIRTIO_NET_F_GUEST_USO6);
	struct net_tap *t = tap_of(b);
	unsigned long flags = 0;

	if (features == t->features)
		return 0;
	if (features & BIT(VIRTIO_NET_F_GUEST_CSUM)) { /* everything else needs it */
		flags |= TUN_F_CSUM;
		if (features & BIT(VIRTIO_NET_F_GUEST_TSO4))
			flags |= TUN_F_TSO4;
		if (features & BIT(VIRTIO_NET_F_GUEST_TSO6))
			flags |= TUN_F_TSO6;
		if (flags != TUN_F_CSUM && features & BIT(VIRTIO_NET_F_GUEST_ECN))
			flags |= TUN_F_TSO_ECN;
		if ((features & uso) == uso) /* the kernel knows them only together */
			flags |= TUN_F_USO4 | TUN_F_USO6;
	}
	if (ioctl(t->queue[0].src.fd, TUNSETOFFLOAD, flags) < 0)
		return guest_errno(&t->log, "%s: TUNSETOFFLOAD", t->option);
	t->features = features;
	return 0;
}

static int tap_set_pairs(struct net_backend *b, unsigned nr)
{
	struct net_tap *t = tap_of(b);

	while (t->pairs != nr) {
		const bool more = t->pairs < nr;
		const unsigned i = more ? t->pairs : t->pairs - 1;
		struct ifreq r = { .ifr_flags = more ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

		if (ioctl(t->queue[i].src.fd, TUNSETQUEUE, &r) < 0)
			return guest_errno(&t->log, "%s: TUNSETQUEUE", t->option);
		t->pairs = more ? i + 1 : i;
		if (more)
			tap_rearm(t, i);
	}
	return 0;
}

static int tap_fd(struct net_backend *b, unsigned pair)
{
	return tap_of(b)->headers ? tap_of(b)->queue[pair].src.fd : -EINVAL;
}

static void tap_destroy(struct net_backend *b)
{
	struct net_tap *t = tap_of(b);

	for (unsigned i = 0; i < NET_MAX_PAIRS; i++) {
		if (t->loop && t->queue[i].src.fd >= 0)
			loop_remove(t->loop, &t->queue[i].src);
		net_ring_close(&t->queue[i].ring);
		close_fd(&t->queue[i].src.fd);
	}
	free(t);
}

static const struct net_backend_ops tap_ops = {
	.name = "tap",
	.start = tap_start,
	.send = tap_send,
	.send_batch = tap_send_batch,
	.receive = tap_receive,
	.want_frames = tap_want_frames,
	.set_features = tap_set_features,
	.set_pairs = tap_set_pairs,
	.tap_fd = tap_fd,
	.destroy = tap_destroy,
};

/* -- making one ------------------------------------------------------------------------------ */

static struct net_tap *tap_new(const char *option, unsigned pairs)
{
	struct net_tap *t = calloc(1, sizeof(*t));

	if (!t) {
		log_msg(LOG_ERROR, "%s: out of memory", option);
		return NULL;
	}
	t->b = (struct net_backend){ .ops = &tap_ops, .pairs = pairs };
	t->option = option;
	t->pairs = pairs;
	for (unsigned i = 0; i < NET_MAX_PAIRS; i++)
		t->queue[i] = (struct tap_queue){ .src = { .fd = -1 }, .tap = t };
	return t;
}

static int open_queue(struct net_tap *t, const struct net_tap_options *o, unsigned i)
{
	int *fd = &t->queue[i].src.fd;
	struct ifreq r = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
						(o->pairs > 1 ? IFF_MULTI_QUEUE : 0)) };

	*fd = net_tap_open_device(o->option);
	if (*fd < 0)
		return *fd;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", i ? t->name : o->name ?: "mvm%d");
	if (ioctl(*fd, TUNSETIFF, &r) == 0) {
		memcpy(t->name, r.ifr_name, sizeof(t->name));
		return 0;
	}
	switch (errno) {
	case EPERM:
		return net_tap_not_allowed(o);
	case EBUSY:
		return log_ret(-EBUSY, "%s: the TAP is in use; give each guest its own", o->option);
	case EINVAL:
		return net_tap_wrong_kind(o);
	default:
		return log_errno("%s: TUNSETIFF", o->option);
	}
}

static void find_offloads(struct net_tap *t)
{
	const int fd = t->queue[0].src.fd;

	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) == 0)
		t->b.features |= BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) |
				 BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) |
				 BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) |
				 BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN);
	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6) == 0)
		t->b.features |= BIT(VIRTIO_NET_F_HOST_USO) | BIT(VIRTIO_NET_F_GUEST_USO4) |
				 BIT(VIRTIO_NET_F_GUEST_USO6);
	(void)ioctl(fd, TUNSETOFFLOAD, 0); /* as t->features says */
}

static int use_headers(struct net_tap *t)
{
	const int len = NET_HDR_LEN;

	if (ioctl(t->queue[0].src.fd, TUNSETVNETHDRSZ, &len) < 0)
		return log_errno("%s: TUNSETVNETHDRSZ", t->option);
	t->headers = true;
	find_offloads(t);
	return 0;
}

/* Sets what is not so already. */
static int configure(struct net_tap *t, const struct net_tap_options *o)
{
	struct net_link is, want = { .mtu = o->mtu };
	int rc = net_link_read(o->option, t->name, &is, o->bridge, &want.bridge);

	if (rc < 0)
		return rc;
	if (want.mtu == is.mtu)
		want.mtu = 0;
	if (want.bridge == is.bridge)
		want.bridge = 0;
	if (!is.up || want.mtu || want.bridge)
		rc = net_link_write(o->option, t->name, &want);
	if (rc == -EPERM)
		return net_tap_not_allowed(o);
	t->b.mtu = o->mtu ? o->mtu : is.mtu;
	return rc;
}

/* -- from one life of the guest to the next -------------------------------------------------- */

enum { KEPT_MTU, KEPT_FEATURES, KEPT_HEADERS };

static int tap_keep(const struct net_tap *t, struct kept *k)
{
	int rc = 0;

	for (unsigned i = 0; i < t->b.pairs && rc == 0; i++)
		rc = kept_keep(k, i, t->queue[i].src.fd, t->option);
	if (rc == 0 && k) {
		k->number[KEPT_MTU] = t->b.mtu;
		k->number[KEPT_FEATURES] = t->b.features;
		k->number[KEPT_HEADERS] = t->headers;
	}
	return rc;
}

/* Drops the frames for the life before this one. A TAP queues at most its txqueuelen, which is 1000
 * if nobody changed it. */
static void drain(int fd)
{
	char rest[NET_HDR_LEN];

	for (unsigned i = 0; i < 1000; i++)
		if (read(fd, rest, sizeof(rest)) < 0 && errno == EAGAIN)
			return;
}

/* Takes a kept TAP as if it were new. If that fails, somebody has deleted the interface, and the
 * guest is told that its link is down. */
static int tap_take(struct net_tap *t, const struct kept *k)
{
	struct ifreq detach = { .ifr_flags = IFF_DETACH_QUEUE };

	for (unsigned i = 0; i < t->b.pairs; i++) {
		const int fd = t->queue[i].src.fd = kept_open(k, i);

		if (fd < 0)
			return log_errno("%s", t->option);
		if (i > 0)
			(void)ioctl(fd, TUNSETQUEUE, &detach); /* it may be detached already */
		drain(fd);
	}
	(void)ioctl(t->queue[0].src.fd, TUNSETOFFLOAD, 0);
	t->pairs = 1;
	t->b.mtu = (unsigned)k->number[KEPT_MTU];
	t->b.features = k->number[KEPT_FEATURES];
	t->headers = k->number[KEPT_HEADERS];
	return 0;
}

/* Ends the opening of a TAP: rc says how it went. */
static int tap_finish(struct net_tap *t, struct net_backend **b, int rc)
{
	int room;

	if (rc < 0) {
		tap_destroy(&t->b);
		return rc;
	}
	/* The kernel's default is INT_MAX. */
	t->unlimited = ioctl(t->queue[0].src.fd, TUNGETSNDBUF, &room) == 0 && room == INT_MAX;
	*b = &t->b;
	return 0;
}

int net_tap_open(const struct net_tap_options *o, struct net_backend **b)
{
	struct net_tap *t = tap_new(o->option, o->pairs);
	int rc = 0;

	if (!t)
		return -ENOMEM;
	if (kept_has(o->kept, 0))
		return tap_finish(t, b, tap_take(t, o->kept));
	for (unsigned i = 0; i < o->pairs && rc == 0; i++)
		rc = open_queue(t, o, i);
	if (rc == 0)
		rc = use_headers(t);
	if (rc == 0)
		rc = configure(t, o);
	if (rc == 0 && o->script)
		rc = net_script_run(o->option, o->script, t->name);
	if (rc == 0)
		rc = tap_set_pairs(&t->b, 1);
	if (rc == 0)
		rc = tap_keep(t, o->kept);
	return tap_finish(t, b, rc);
}

static int adopt(struct net_tap *t, int fd)
{
	struct ifreq r = { 0 };
	int *own = &t->queue[0].src.fd;

	*own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (*own < 0)
		return log_errno("%s: descriptor %d", t->option, fd);
	if (ioctl(*own, TUNGETIFF, &r) < 0 || !(r.ifr_flags & IFF_TAP))
		return net_tap_not_one(t->option, fd);
	/* IFF_NO_PI can't be checked: the same bit is set when there is no filter. */
	memcpy(t->name, r.ifr_name, sizeof(t->name));
	if (fcntl(*own, F_SETFL, O_NONBLOCK) < 0)
		return log_errno("%s: descriptor %d", t->option, fd);
	if (ioctl(fd, FIOCLEX) < 0)
		return log_errno("%s: descriptor %d", t->option, fd);
	return r.ifr_flags & IFF_VNET_HDR ? use_headers(t) : 0;
}

int net_tap_adopt(const char *option, int fd, struct kept *kept, struct net_backend **b)
{
	struct net_tap *t = tap_new(option, 1);
	int rc;

	if (!t)
		return -ENOMEM;
	if (kept_has(kept, 0))
		return tap_finish(t, b, tap_take(t, kept));
	rc = adopt(t, fd);
	if (rc == 0)
		rc = tap_keep(t, kept);
	return tap_finish(t, b, rc);
}
