/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/vhost/user.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "backend/unix/dir.h"

#define RING_FEATURES                                                                              \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |                \
	 VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX))

/* This is a feature of the protocol, not of virtio. */
#define F_PROTOCOL_FEATURES 30
#define P_REPLY_ACK         3

enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
};

/* The fields are in native byte order: both ends are on one machine. */
struct header {
	uint32_t request, flags, len;
};
#define VERSION    1u
#define REPLY      (1u << 2)
#define NEED_REPLY (1u << 3)

struct vring_state {
	uint32_t index, num;
};

struct vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct region {
	uint64_t gpa, size, host, off;
};

struct message {
	struct header h;
	union {
		uint64_t number;
		struct vring_state state;
		struct vring_addr addr;
		struct {
			uint32_t nr, padding;
			struct region region[GMEM_MAX_REGIONS];
		} memory;
	};
};
_Static_assert(sizeof(struct header) == 12 && offsetof(struct message, number) == 16,
	       "the payload is sent apart from the header");

/* -- messages -------------------------------------------------------------------------------- */

/* Ends the connection: from now on the daemon is told nothing, and not listened to. */
static int give_up(struct vhost_user *v, int rc, const char *why)
{
	if (v->fd < 0)
		return rc;
	if (v->watched)
		loop_remove(v->loop, &v->hangup);
	v->watched = false;
	close_fd(&v->fd);
	return log_ret(rc, "%s: the daemon %s", v->option, why);
}

/* What begins now must be over in time; otherwise the daemon is given up. */
static void begin(struct vhost_user *v)
{
	v->deadline = monotonic_ns() + (uint64_t)v->timeout_ms * 1000000;
}

/* Waits until the socket is ready for what. */
static int await(struct vhost_user *v, short what)
{
	struct pollfd p = { .fd = v->fd, .events = what };
	const struct patience *patience = v->loop ? v->loop->patience : NULL;
	const uint64_t now = monotonic_ns();
	int rc;

	if (now >= v->deadline || patience_over(patience))
		return give_up(v, -ETIMEDOUT, "does not answer: the guest goes on without it");
	rc = patience_poll(patience, &p, (int)((v->deadline - now) / 1000000) + 1);
	return rc < 0 && errno != EINTR ? give_up(v, -errno, "can't be waited for") : 0;
}

/* Sends header and payload, with up to nr descriptors. */
static int send_message(struct vhost_user *v, struct message *m, const int *fds, unsigned nr)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int) * GMEM_MAX_REGIONS)];
	} control = { 0 };
	uint8_t wire[sizeof(*m)];
	const size_t len = sizeof(m->h) + m->h.len;
	size_t done = 0;

	memcpy(wire, &m->h, sizeof(m->h));
	memcpy(wire + sizeof(m->h), &m->number, m->h.len);
	while (done < len && v->fd >= 0) {
		struct iovec iov = { wire + done, len - done };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		if (nr && !done) { /* they go with the first byte */
			msg.msg_control = &control;
			msg.msg_controllen = CMSG_SPACE(sizeof(int) * nr);
			control.h.cmsg_len = CMSG_LEN(sizeof(int) * nr);
			control.h.cmsg_level = SOL_SOCKET;
			control.h.cmsg_type = SCM_RIGHTS;
			memcpy(CMSG_DATA(&control.h), fds, sizeof(int) * nr);
		}
		n = sendmsg(v->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			(void)!await(v, POLLOUT);
		else if (n == 0 || errno != EINTR)
			give_up(v, -EPIPE, "is gone");
	}
	return v->fd < 0 ? -EPIPE : 0;
}

/* Receives exactly len bytes. Descriptors that come with them are not taken. */
static int receive(struct vhost_user *v, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len && v->fd >= 0) {
		ssize_t n = recv(v->fd, p, len, MSG_DONTWAIT);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			(void)!await(v, POLLIN);
		} else if (n == 0 || errno != EINTR) {
			give_up(v, -EPIPE, "is gone");
		}
	}
	return v->fd < 0 ? -EPIPE : 0;
}

/* Receives the answer to request, which must have len bytes. */
static int get_reply(struct vhost_user *v, struct message *m, uint32_t request, uint32_t len)
{
	int rc = receive(v, &m->h, sizeof(m->h));

	if (rc < 0)
		return rc;
	/* The daemon may repeat NEED_REPLY in its answer. */
	if (m->h.request != request || (m->h.flags & ~NEED_REPLY) != (VERSION | REPLY) ||
	    m->h.len != len)
		return give_up(v, -EPROTO, "answers something other than it was asked");
	return receive(v, &m->number, len);
}

/* Sends a request, with a descriptor unless fd is -1; then waits until it was obeyed, if the daemon
 * can say so. */
static int tell(struct vhost_user *v, struct message *m, uint32_t request, size_t len, int fd)
{
	struct message answer;
	int rc;

	m->h = (struct header){ request, VERSION | (v->acks ? NEED_REPLY : 0), (uint32_t)len };
	rc = send_message(v, m, &fd, fd >= 0);
	if (rc < 0 || !v->acks)
		return rc;
	rc = get_reply(v, &answer, request, sizeof(answer.number));
	if (rc == 0 && answer.number)
		rc = give_up(v, -EIO, "refuses what the device needs");
	return rc;
}

static int tell_number(struct vhost_user *v, uint32_t request, uint64_t number, int fd)
{
	struct message m = { .number = number };

	return tell(v, &m, request, sizeof(number), fd);
}

static int tell_state(struct vhost_user *v, uint32_t request, uint32_t index, uint32_t num)
{
	struct message m = { .state = { index, num } };

	return tell(v, &m, request, sizeof(m.state), -1);
}

static int ask_number(struct vhost_user *v, uint32_t request, uint64_t *number)
{
	struct message m = { .h = { request, VERSION, 0 } };
	int rc = send_message(v, &m, NULL, 0);

	if (rc == 0)
		rc = get_reply(v, &m, request, sizeof(m.number));
	*number = rc == 0 ? m.number : 0;
	return rc;
}

/* -- life ------------------------------------------------------------------------------------ */

int vhost_user_connect(const char *option, const char *path, struct kept *kept)
{
	struct unix_dir dir;
	int fd = unix_dir_open(&dir, path, kept, 0);

	if (fd == 0)
		fd = unix_dir_dial(&dir, "");
	unix_dir_close(&dir);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return log_ret(
			fd,
			"%s: nobody listens at %s; start the daemon first, as in /usr/lib/qemu/virtiofsd --socket-path=%s -o source=DIR",
			option, path, path);
	return fd < 0 ? log_ret(fd, "%s: %s: %s", option, path, unix_dir_error(fd)) : fd;
}

int vhost_user_init(struct vhost_user *v, const char *option, int fd,
		    const struct vhost_user_memory *memory, int timeout_ms)
{
	struct message owner = { 0 };
	uint64_t protocol = 0;
	int rc;

	*v = (struct vhost_user){ .fd = fd, .memory = *memory, .timeout_ms = timeout_ms };
	v->option = strdup(option);
	if (!v->option)
		return log_errno("%s", option);
	begin(v);
	rc = ask_number(v, GET_FEATURES, &v->features);
	if (rc == 0 && !(v->features >> VIRTIO_F_VERSION_1 & 1))
		rc = give_up(v, -EPROTO, "is older than virtio 1.0: not supported");
	if (rc == 0 && v->features >> F_PROTOCOL_FEATURES & 1)
		rc = ask_number(v, GET_PROTOCOL_FEATURES, &protocol);
	protocol &= VIRTIO_BIT(P_REPLY_ACK);
	if (rc == 0 && v->features >> F_PROTOCOL_FEATURES & 1)
		rc = tell_number(v, SET_PROTOCOL_FEATURES, protocol, -1);
	v->acks = protocol;
	return rc == 0 ? tell(v, &owner, SET_OWNER, 0, -1) : rc;
}

void vhost_user_destroy(struct vhost_user *v)
{
	if (!v->option)
		return;
	if (v->watched)
		loop_remove(v->loop, &v->hangup);
	v->watched = false;
	close_fd(&v->fd);
	free(v->option);
	v->option = NULL;
}

uint64_t vhost_user_offer(const struct vhost_user *v, uint64_t features)
{
	return features & ~VIRTIO_BIT(VIRTIO_F_RING_RESET) & (v->features | ~RING_FEATURES);
}

/* -- running --------------------------------------------------------------------------------- */

static int share_memory(struct vhost_user *v)
{
	const struct gmem *mem = v->vd->mem;
	const size_t len = 8 + mem->nr * sizeof(struct region);
	struct message m = { .memory.nr = (uint32_t)mem->nr }, answer;
	int fds[GMEM_MAX_REGIONS], rc;

	for (size_t i = 0; i < mem->nr; i++) {
		const struct gmem_region *r = &mem->region[i];

		m.memory.region[i] = (struct region){
			r->base,
			r->size,
			(uintptr_t)r->host,
			(uint64_t)(r->host - v->memory.host),
		};
		fds[i] = v->memory.fd;
	}
	m.h = (struct header){ SET_MEM_TABLE, VERSION | (v->acks ? NEED_REPLY : 0), (uint32_t)len };
	rc = send_message(v, &m, fds, (unsigned)mem->nr);
	if (rc == 0 && v->acks)
		rc = get_reply(v, &answer, SET_MEM_TABLE, sizeof(answer.number));
	if (rc == 0 && v->acks && answer.number)
		rc = give_up(v, -EIO, "refuses the guest's memory");
	return rc;
}

/* The daemon looks at the ring at once, because its kick already has a count. */
static int start_ring(struct vhost_user *v, unsigned i, uint16_t base)
{
	const struct virtio_dev *vd = v->vd;
	const struct virtq *q = &vd->q[i];
	struct shared_fd kick, call;
	struct message addr = { .addr = {
					.index = i,
					.desc = (uintptr_t)q->desc,
					.used = (uintptr_t)q->used,
					.avail = (uintptr_t)q->avail,
				} };
	int rc = vd->transport->lend_call(vd->transport_ctx, i, &call);

	if (rc == 0)
		rc = vd->transport->lend_kick(vd->transport_ctx, i, &kick);
	if (rc == 0)
		rc = tell_state(v, SET_VRING_NUM, i, q->state.size);
	if (rc == 0)
		rc = tell_state(v, SET_VRING_BASE, i, base);
	if (rc == 0)
		rc = tell(v, &addr, SET_VRING_ADDR, sizeof(addr.addr), -1);
	if (rc == 0)
		rc = tell_number(v, SET_VRING_CALL, i, shared_fd_hand_on(&call));
	if (rc == 0)
		rc = tell_number(v, SET_VRING_KICK, i, shared_fd_hand_on(&kick));
	if (rc == 0 && v->features >> F_PROTOCOL_FEATURES & 1)
		rc = tell_state(v, SET_VRING_ENABLE, i, 1);
	return rc;
}

static int start_rings(struct vhost_user *v)
{
	int rc = 0;

	for (unsigned i = 0; i < v->vd->nr_queues && rc == 0; i++) {
		const struct virtq_state *s = &v->vd->q[i].state;

		if (s->ready)
			rc = start_ring(v, i, s->next_avail);
	}
	return rc;
}

/* The daemon hung up, or said something without being asked. Or the loop saw an answer that
 * somebody read before it got here. */
static void heard(struct loop_source *src, uint32_t events __unused)
{
	struct vhost_user *v = container_of(src, struct vhost_user, hangup);
	uint8_t byte;
	ssize_t n;

	if (v->fd < 0)
		return;
	n = recv(v->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	give_up(v, -EPIPE,
		n > 0 ? "sends what nobody asked for: the guest goes on without it" : "is gone");
	virtio_broken(v->vd, "its daemon is gone");
}

/* The loop does not watch the socket while an answer is awaited: it would wait for the lock. */
static int watch(struct vhost_user *v)
{
	int rc;

	if (v->fd < 0 || !v->loop)
		return 0;
	if (v->watched)
		return loop_change(v->loop, &v->hangup, EPOLLIN | EPOLLRDHUP);
	v->hangup = (struct loop_source){ .fd = v->fd, .fn = heard, .lock = v->vd->lock };
	rc = loop_add(v->loop, &v->hangup, EPOLLIN | EPOLLRDHUP);
	v->watched = rc == 0;
	return rc;
}

static void unwatch(struct vhost_user *v)
{
	if (v->watched)
		(void)!loop_change(v->loop, &v->hangup, 0);
}

int vhost_user_start(struct vhost_user *v, struct virtio_dev *vd, struct loop *loop)
{
	int rc;

	v->vd = vd;
	v->loop = loop;
	if (v->fd < 0) {
		guest_err(&vd->log, "%s: the daemon is gone: start it, and minivmm, again",
			  v->option);
		return -EPIPE;
	}
	begin(v);
	unwatch(v);
	v->running = true;
	rc = tell_number(v, SET_FEATURES,
			 (vd->state.driver_features & v->features) |
				 (v->features & VIRTIO_BIT(F_PROTOCOL_FEATURES)),
			 -1);
	if (rc == 0)
		rc = share_memory(v);
	if (rc == 0)
		rc = start_rings(v);
	if (rc == 0)
		rc = watch(v);
	if (rc < 0)
		vhost_user_stop(v);
	return rc;
}

/* Stores in *base where the daemon says that it stopped. */
static int stop_ring(struct vhost_user *v, unsigned i, uint16_t *base)
{
	struct message m = { .h = { GET_VRING_BASE, VERSION, sizeof(m.state) },
			     .state = { .index = i } };
	int rc = send_message(v, &m, NULL, 0);

	if (rc == 0)
		rc = get_reply(v, &m, GET_VRING_BASE, sizeof(m.state));
	*base = (uint16_t)m.state.num;
	return rc;
}

void vhost_user_look(struct vhost_user *v, unsigned queue)
{
	uint16_t base;
	int rc;

	if (!v->running || v->fd < 0 || !v->vd->q[queue].state.ready)
		return;
	begin(v);
	unwatch(v);
	rc = stop_ring(v, queue, &base);
	if (rc == 0)
		rc = start_ring(v, queue, base);
	if (rc == 0)
		rc = watch(v);
	if (rc < 0)
		virtio_broken(v->vd, "its daemon can't be told of a kick");
}

void vhost_user_stop(struct vhost_user *v)
{
	if (!v->running)
		return;
	v->running = false;
	begin(v);
	unwatch(v);
	for (unsigned i = 0; i < v->vd->nr_queues && v->fd >= 0; i++) {
		struct virtq *q = &v->vd->q[i];
		uint16_t base;

		if (q->state.ready && stop_ring(v, i, &base) == 0)
			virtq_take_over(q, base);
	}
	(void)!watch(v);
}

void vhost_user_go_on(struct vhost_user *v)
{
	int rc = v->fd < 0 ? -EPIPE : 0;

	if (v->running)
		return;
	v->running = true;
	begin(v);
	unwatch(v);
	if (rc == 0)
		rc = start_rings(v);
	if (rc == 0)
		rc = watch(v);
	if (rc < 0)
		virtio_broken(v->vd, "its daemon doesn't go on");
}
