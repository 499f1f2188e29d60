/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-vsock (virtio 1.2 §5.10): packets and queues. Connections are in vsock_conn.c, the host's
 * sockets in backend/unix/vsock.c.
 *
 * Towards the guest: a connection that has something to send is in a queue (v->ready) and gets one
 * packet at a time, so that all have their turn. The connection has a mask of what to send, and the
 * data stay in the host's socket; so a guest without buffers costs no memory. Only a few answers
 * about connections that don't exist are kept; when there are too many, the guest's packets wait
 * (§5.10.6.1.1 asks for such a limit).
 *
 * From the guest: data go from its buffer to the host's socket; vsock_conn.c keeps what does not
 * fit. A packet that is not from the guest's own CID to the host's is dropped; one that makes no
 * sense resets its connection.
 *
 * A port of the host can also be answered by a descriptor, one end of a socket pair: so the streams
 * of `minivmm run` need no file.
 *
 * Deliberately missing: SEQPACKET and datagrams, forwarding to other CIDs. The event queue exists,
 * and stays silent: the guest's CID never changes under it.
 */
#include "virtio/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "virtio/vsock_impl.h"
#include "vmm/event.h"

/* Runs both queues again, after the loop's other sources have had their turn. */
static void work_later(const struct virtio_vsock *v)
{
	event_signal(v->work.fd);
}

/* -- towards the guest ----------------------------------------------------------------------- */

static void next_rst(struct virtio_vsock *v, struct vsock_header *h)
{
	const struct vsock_rst *r = &v->state.rst[0];

	h->src_port = to_le32(r->host_port);
	h->dst_port = to_le32(r->guest_port);
	h->type = to_le16(r->type);
	h->op = to_le16(VIRTIO_VSOCK_OP_RST);
	memmove(&v->state.rst[0], &v->state.rst[1], --v->state.nr_rsts * sizeof(*r));
}

/* Fills v->rx with the next packet. False: it turns out that there is none. */
static bool next_packet(struct virtio_vsock *v, struct vsock_header *h)
{
	struct vsock_conn *c = v->ready;

	if (v->state.nr_rsts) {
		next_rst(v, h);
		return true;
	}
	v->ready = c->next_ready;
	c->queued = false;
	return vsock_conn_next(c, h, &v->rx);
}

/* Gets a buffer of the guest's into v->rx. Returns 1; or 0: there is none. */
static int rx_buffer(struct virtio_vsock *v, struct virtq *q)
{
	if (!v->has_rx) {
		int rc = virtio_pop(&v->vd, q, &v->rx);

		if (rc <= 0)
			return rc;
		if (v->rx.in_len <= sizeof(struct vsock_header))
			return -EPROTO; /* data would never fit */
		v->has_rx = true;
	}
	return 1;
}

static int vsock_rx(struct virtio_vsock *v, struct virtq *q)
{
	while (v->state.nr_rsts || v->ready) {
		struct vsock_header h = {
			.src_cid = to_le64(VSOCK_HOST_CID),
			.dst_cid = to_le64(v->cid),
			.type = to_le16(VIRTIO_VSOCK_TYPE_STREAM),
		};
		int rc = rx_buffer(v, q);

		if (rc <= 0)
			return rc;
		if (!next_packet(v, &h))
			continue;
		chain_write(&v->rx, 0, &h, sizeof(h));
		virtq_push(q, v->rx.head, (uint32_t)sizeof(h) + le32(h.len));
		round_spend(&v->vd.round, le32(h.len));
		v->has_rx = false;
		if (v->stalled) {
			v->stalled = false;
			work_later(v);
		}
	}
	return 0;
}

static void vsock_send(struct virtio_vsock *v)
{
	if ((v->ready || v->state.nr_rsts) && virtio_kick(&v->vd, VSOCK_RX))
		work_later(v);
}

/* Something happened to a connection's socket. */
static void conn_event(struct loop_source *src, uint32_t events __unused)
{
	struct vsock_conn *c = container_of(src, struct vsock_conn, src);

	vsock_conn_event(c);
	vsock_send(c->v);
}

/* -- from the guest -------------------------------------------------------------------------- */

static void answer_rst(struct virtio_vsock *v, const struct vsock_header *h)
{
	/* §5.10.6.4.1: two ends that answered RST with RST would never stop. */
	if (le16(h->op) == VIRTIO_VSOCK_OP_RST)
		return;
	v->state.rst[v->state.nr_rsts++] = (struct vsock_rst){
		.guest_port = le32(h->src_port),
		.host_port = le32(h->dst_port),
		.type = le16(h->type),
	};
}

static void vsock_packet(struct virtio_vsock *v, const struct virtq_chain *chain)
{
	struct iovec data[VIRTQ_MAX_SIZE];
	struct vsock_header h;
	struct vsock_conn *c;
	unsigned nr = 0;

	chain_read(chain, 0, &h, sizeof(h));
	if (le64(h.src_cid) != v->cid || le64(h.dst_cid) != VSOCK_HOST_CID) {
		guest_err(&v->vd.log,
			  "--vsock: a packet from CID %ju to %ju, not %u to %u: dropped",
			  (uintmax_t)le64(h.src_cid), (uintmax_t)le64(h.dst_cid), v->cid,
			  VSOCK_HOST_CID);
		return;
	}
	if (le16(h.type) != VIRTIO_VSOCK_TYPE_STREAM) {
		answer_rst(v, &h);
		return;
	}
	if (le16(h.op) == VIRTIO_VSOCK_OP_RW) {
		if (le32(h.len) > chain->out_len - sizeof(h))
			h.op = to_le16(VIRTIO_VSOCK_OP_INVALID);
		else
			nr = iov_cut(data, chain->iov, sizeof(h), le32(h.len));
	}
	c = vsock_conn_find(v, le32(h.src_port), le32(h.dst_port));
	if (c)
		vsock_conn_packet(c, &h, data, nr);
	else if (le16(h.op) != VIRTIO_VSOCK_OP_REQUEST || !vsock_conn_request(v, &h, conn_event))
		answer_rst(v, &h);
}

static int vsock_tx(struct virtio_vsock *v, struct virtq *q)
{
	struct virtq_chain chain;

	while (v->state.nr_rsts < VSOCK_MAX_RSTS) {
		int rc = virtio_pop(&v->vd, q, &chain);

		if (rc <= 0)
			return rc;
		if (chain.out_len < sizeof(struct vsock_header))
			return -EPROTO;
		vsock_packet(v, &chain);
		round_spend(&v->vd.round, min(chain.out_len, (uint64_t)VSOCK_BUFFER));
		virtq_push(q, chain.head, 0);
	}
	v->stalled = true; /* vsock_rx() goes on with it */
	return 0;
}

/* -- the device ------------------------------------------------------------------------------ */

static int vsock_kick(struct virtio_dev *vd, struct virtq *q)
{
	struct virtio_vsock *v = container_of(vd, struct virtio_vsock, vd);
	int rc = 0;

	if (q == &vd->q[VSOCK_RX])
		return vsock_rx(v, q);
	if (q == &vd->q[VSOCK_TX]) {
		rc = vsock_tx(v, q);
		vsock_send(v);
	}
	return rc;
}

static void listener_event(struct loop_source *src, uint32_t events __unused)
{
	struct virtio_vsock *v = container_of(src, struct virtio_vsock, listener);

	if (vsock_conn_accept(v, conn_event))
		return;
	/* Clients wait in the listener's backlog until the next tick. */
	v->paused = loop_change(v->loop, &v->listener, 0) == 0;
	vsock_start_timer(v);
}

static void timer_event(struct loop_source *src, uint32_t events __unused)
{
	struct virtio_vsock *v = container_of(src, struct virtio_vsock, timer);
	uint64_t nr;

	if (read(src->fd, &nr, sizeof(nr)) < 0)
		return;
	v->ticking = false;
	if (v->paused)
		v->paused = loop_change(v->loop, &v->listener, EPOLLIN) < 0;
	vsock_conns_expire(v, monotonic_ns());
	vsock_send(v);
}

static void work_event(struct loop_source *src, uint32_t events __unused)
{
	struct virtio_vsock *v = container_of(src, struct virtio_vsock, work);

	if (!event_take(src->fd))
		return;
	if (virtio_kick(&v->vd, VSOCK_TX))
		work_later(v);
	vsock_send(v);
}

static int vsock_activate(struct virtio_dev *vd)
{
	struct virtio_vsock *v = container_of(vd, struct virtio_vsock, vd);
	struct loop_source *const source[] = { &v->timer, &v->work, &v->listener };
	int rc = 0;

	if (v->watched)
		return 0;
	v->watched = true;
	for (unsigned i = 0; i < ARRAY_SIZE(source) && rc == 0; i++) {
		source[i]->lock = vd->lock;
		if (source[i]->fd >= 0)
			rc = loop_add(v->loop, source[i], EPOLLIN);
	}
	return rc;
}

static void vsock_reset(struct virtio_dev *vd, struct virtq *q)
{
	struct virtio_vsock *v = container_of(vd, struct virtio_vsock, vd);

	if (!q || q == &vd->q[VSOCK_RX])
		v->has_rx = false;
	if (q)
		return;
	vsock_conns_drop(v, false);
	v->state.nr_rsts = 0;
	v->stalled = false;
}

static void vsock_quiesce(struct virtio_dev *vd)
{
	struct virtio_vsock *v = container_of(vd, struct virtio_vsock, vd);

	virtq_unpop(&vd->q[VSOCK_RX], v->has_rx);
	v->has_rx = false;
}

static uint64_t vsock_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	const struct virtio_vsock *v = container_of(vd, struct virtio_vsock, vd);

	return vsock_read_config(v->cid, off, size);
}

static void vsock_describe(const struct virtio_dev *vd, unsigned nth __unused, FILE *out)
{
	const struct virtio_vsock *v = container_of(vd, struct virtio_vsock, vd);

	fprintf(out, "CID %u, %s", v->cid, v->path ?: "of run");
}

static const struct virtio_ops vsock_ops = {
	.name = "vsock",
	.module = "vmw_vsock_virtio_transport",
	.device_id = VIRTIO_ID_VSOCK,
	.nr_queues = VSOCK_NR_QUEUES,
	.queue_size = VIRTQ_MAX_SIZE,
	.config_size = sizeof(struct virtio_vsock_config),
	.describe = vsock_describe,
	.kick = vsock_kick,
	.activate = vsock_activate,
	.reset = vsock_reset,
	.quiesce = vsock_quiesce,
	.config_read = vsock_config_read,
};

/* What a device keeps: descriptors of struct kept. */
enum { KEPT_LISTENER, KEPT_DIR };

static int vsock_listen(struct virtio_vsock *v, struct kept *kept)
{
	int rc = unix_dir_open(&v->dir, v->path, kept, KEPT_DIR);

	if (rc < 0)
		return log_ret(rc, "--vsock: listening at %s: %s", v->path, unix_dir_error(rc));
	v->listener.fd = kept_open(kept, KEPT_LISTENER);
	if (v->listener.fd != -ENOENT)
		return v->listener.fd < 0 ? log_errno("--vsock: %s", v->path) : 0;
	v->listener.fd = vsock_unix_listen(v->path, &v->dir, &v->file);
	if (v->listener.fd < 0)
		return v->listener.fd;
	rc = kept_keep(kept, KEPT_LISTENER, v->listener.fd, "--vsock");
	if (rc < 0 || !kept)
		return rc;
	kept_keep_file(kept, &v->file, v->path);
	v->file = (struct unix_file){ 0 };
	return 0;
}

int virtio_vsock_init(struct virtio_vsock *v, const struct vsock_options *o, struct loop *loop)
{
	*v = (struct virtio_vsock){
		.cid = o->cid,
		.loop = loop,
		.dir.fd = -1,
		.listener = { .fd = -1, .fn = listener_event },
		.timer = { .fd = -1, .fn = timer_event },
		.work = { .fd = -1, .fn = work_event },
	};
	virtio_init(&v->vd, &vsock_ops, 0);
	fd_share_init(&v->fds, o->fds, "--vsock", VSOCK_MAX_CONNS);
	/* Most of it is never touched, so it takes no memory. */
	v->conn = calloc(VSOCK_MAX_CONNS, sizeof(*v->conn));
	v->path = o->path ? strdup(o->path) : NULL;
	if (!v->conn || (o->path && !v->path))
		return log_ret(-ENOMEM, "--vsock: out of memory");
	v->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	v->work.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->timer.fd < 0 || v->work.fd < 0)
		return log_errno("--vsock: timerfd, eventfd");
	return v->path && !o->dry ? vsock_listen(v, o->kept) : 0;
}

int virtio_vsock_offer(struct virtio_vsock *v, uint32_t port, int fd)
{
	if (v->nr_offers == VSOCK_MAX_OFFERS) {
		close(fd);
		return log_ret(-ENOSPC, "--vsock: too many ports for descriptors");
	}
	v->offer[v->nr_offers++] = (struct vsock_offer){ .port = port, .fd = fd };
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return log_errno("--vsock: port %u", port);
	return 0;
}

void virtio_vsock_on_delivered(struct virtio_vsock *v, void (*fn)(void *ctx, uint32_t port),
			       void *ctx)
{
	v->delivered = fn;
	v->delivered_ctx = ctx;
}

void virtio_vsock_guest_stopped(struct virtio_vsock *v)
{
	pthread_mutex_lock(v->vd.lock);
	(void)virtio_kick(&v->vd, VSOCK_TX); /* its last packets, whose kick may be on its way */
	vsock_conns_end_offered(v);
	for (unsigned i = 0; i < v->nr_offers; i++) {
		if (v->offer[i].fd < 0)
			continue;
		close_fd(&v->offer[i].fd);
		if (v->delivered)
			v->delivered(v->delivered_ctx, v->offer[i].port);
	}
	pthread_mutex_unlock(v->vd.lock);
}

void virtio_vsock_finish(struct virtio_vsock *v)
{
	if (!v->loop)
		return;
	vsock_conns_drop(v, false);
	vsock_conns_flush(v);
	vsock_conns_drop(v, true);
	for (unsigned i = 0; i < v->nr_offers; i++)
		close_fd(&v->offer[i].fd);
}

void virtio_vsock_destroy(struct virtio_vsock *v)
{
	struct loop_source *const source[] = { &v->timer, &v->work, &v->listener };

	if (!v->loop)
		return;
	virtio_vsock_finish(v);
	unix_file_remove(&v->file, v->path);
	unix_dir_close(&v->dir);
	for (unsigned i = 0; i < ARRAY_SIZE(source); i++) {
		if (v->watched && source[i]->fd >= 0)
			loop_remove(v->loop, source[i]);
		close_fd(&source[i]->fd);
	}
	v->watched = false;
	free(v->conn);
	free(v->path);
	v->conn = NULL;
	v->path = NULL;
	v->nr_touched = 0;
}
