/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-vsock device with UNIX sockets of the host's, and an input that is a list of what the
 * guest, clients and a listener on the host do: packets that are nearly right, with counters that
 * may lie, buffers, text and bytes of clients, shutdowns, time-outs, resets.
 */
#include "virtio/vsock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ring.h"
#include "fuzz.h"
#include "virtio/vsock_impl.h"

#define CID       3u
#define LISTENER  7u /* the port at which the host listens */
#define OFFERED   8u /* the one that a descriptor answers */
#define HOST_FDS  8u
#define OUT_LEN   (80 * KIB) /* for packets of the guest's */
#define IN_LEN    (16 * KIB) /* for its buffers */
#define MAX_STEPS 300u

struct target {
	struct virtio_vsock v;
	struct driver d;
	struct loop loop;
	char dir[32], path[64];
	int listener;
	gpa_t out, in;
	int fd[HOST_FDS]; /* clients and accepted connections; -1: none */
	unsigned next_fd;
};

static struct target t = { .listener = -1 };

static void target_exit(void)
{
	char path[80];

	snprintf(path, sizeof(path), "%s_%u", t.path, LISTENER);
	unlink(path);
	virtio_vsock_destroy(&t.v);
	rmdir(t.dir);
}

static void target_init(void)
{
	const struct vsock_options o = { .cid = CID, .path = t.path };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int rc;

	strcpy(t.dir, "/tmp/fuzz-vsock-XXXXXX");
	if (!mkdtemp(t.dir))
		abort();
	snprintf(t.path, sizeof(t.path), "%s/v", t.dir);
	atexit(target_exit);
	rc = loop_init(&t.loop);
	assert(rc == 0);
	rc = virtio_vsock_init(&t.v, &o, &t.loop);
	assert(rc == 0);
	driver_init(&t.d, &t.v.vd);
	t.out = driver_alloc(&t.d, OUT_LEN);
	t.in = driver_alloc(&t.d, IN_LEN);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s_%u", t.path, LISTENER);
	t.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	rc = bind(t.listener, (struct sockaddr *)&a, sizeof(a));
	assert(rc == 0);
	rc = listen(t.listener, 1);
	assert(rc == 0);
	for (unsigned i = 0; i < HOST_FDS; i++)
		t.fd[i] = -1;
}

/* Runs the loop for as long as it has work, within reason: a device that keeps itself busy is a
 * finding. */
static void settle(void)
{
	struct epoll_event ev;

	for (unsigned n = 0; epoll_wait(t.loop.epoll_fd, &ev, 1, 0) == 1; n++) {
		struct loop_source *src = ev.data.ptr;

		assert(n < 10000);
		src->fn(src, ev.events);
	}
}

static void keep_fd(int fd)
{
	int *slot = &t.fd[t.next_fd++ % HOST_FDS];

	close_fd(slot);
	*slot = fd;
}

/* -- the host -------------------------------------------------------------------------------- */

static void connect_client(struct fuzz_in *in)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char text[40];
	size_t len = fuzz_number(in, 1);

	strcpy(a.sun_path, t.path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return;
	}
	if (len & 0x80) {
		snprintf(text, sizeof(text), "CONNECT %u\n", (unsigned)len & 3);
		len = strlen(text);
	} else {
		len %= sizeof(text);
		fuzz_take(in, text, len);
	}
	(void)!send(fd, text, len, MSG_NOSIGNAL);
	keep_fd(fd);
}

static void host_acts(struct fuzz_in *in)
{
	static uint8_t bytes[64 * KIB];
	unsigned what = (unsigned)fuzz_number(in, 1);
	int *fd = &t.fd[what / 16 % HOST_FDS];

	switch (what % 7) {
	case 0:
		(void)!send(*fd, bytes, fuzz_number(in, 2), MSG_NOSIGNAL);
		break;
	case 1:
		(void)!recv(*fd, bytes, fuzz_number(in, 2), MSG_DONTWAIT);
		break;
	case 2:
		shutdown(*fd, SHUT_WR);
		break;
	case 3:
		shutdown(*fd, SHUT_RD);
		break;
	case 4:
		close_fd(fd);
		break;
	case 5:
		keep_fd(accept4(t.listener, NULL, NULL, SOCK_NONBLOCK));
		break;
	case 6:
		connect_client(in);
		break;
	}
}

/* -- the guest ------------------------------------------------------------------------------- */

static void offer_buffers(struct fuzz_in *in)
{
	static const uint32_t sizes[] = { 4140, 45, 100, 44, 16384 };
	unsigned n = (unsigned)fuzz_number(in, 1);
	uint32_t size = sizes[n / 32 % ARRAY_SIZE(sizes)];

	for (n %= 32; n; n--)
		ring_send(&t.d.ring[0],
			  (struct ring_buf[]){ { t.in, size / 2, true },
					       { t.in + size / 2, size - size / 2, true } },
			  2);
	driver_kick(&t.d, 0);
}

/* Takes each field from a few likely values, or any value. */
static uint32_t pick(struct fuzz_in *in, const uint32_t likely[4])
{
	unsigned how = (unsigned)fuzz_number(in, 1);

	return how < 0xf0 ? likely[how % 4] : (uint32_t)fuzz_number(in, 4);
}

static void send_packet(struct fuzz_in *in)
{
	unsigned what = (unsigned)fuzz_number(in, 1), ports = (unsigned)fuzz_number(in, 1);
	uint32_t carried, host_port = ports & 0x80   ? LISTENER
				      : ports & 0x40 ? OFFERED
						     : t.v.state.next_port - ports / 4 % 4;
	const struct vsock_conn *c = vsock_conn_find(&t.v, ports % 4, host_port);
	uint32_t fwd_cnt = c ? c->peer_fwd_cnt : 0, tx_cnt = c ? c->tx_cnt : 0;
	struct vsock_header h = {
		.src_cid = to_le64(CID),
		.dst_cid = to_le64(2),
		.src_port = to_le32(ports % 4),
		.dst_port = to_le32(host_port),
		.type = to_le16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = to_le16((uint16_t)(what % 9)),
		.flags = to_le32((uint32_t)fuzz_number(in, 1)),
	};

	h.buf_alloc = to_le32(pick(in, (const uint32_t[]){ 262144, 100, 0, UINT32_MAX }));
	h.fwd_cnt =
		to_le32(pick(in, (const uint32_t[]){ tx_cnt, fwd_cnt, fwd_cnt + 1, tx_cnt + 1 }));
	carried = what & 0x80 ? (uint32_t)min(fuzz_number(in, 2), OUT_LEN - sizeof(h))
			      : (uint32_t)fuzz_number(in, 1);
	h.len = to_le32(
		what % 9 == VIRTIO_VSOCK_OP_RW
			? pick(in, (const uint32_t[]){ carried, carried, carried / 2, carried + 1 })
			: 0);
	if (what == 0x7f) {
		h.src_cid = to_le64(fuzz_number(in, 8));
		h.dst_cid = to_le64(fuzz_number(in, 1));
		h.type = to_le16((uint16_t)fuzz_number(in, 1));
	}
	memcpy(ram_at(&t.d.ram, t.out, sizeof(h)), &h, sizeof(h));
	ring_send(&t.d.ring[1],
		  (struct ring_buf[]){
			  { t.out, sizeof(h) + carried / 3, false },
			  { t.out + sizeof(h) + carried / 3, carried - carried / 3, false } },
		  2);
	driver_kick(&t.d, 1);
}

static void send_chain(struct fuzz_in *in)
{
	unsigned q = (unsigned)fuzz_number(in, 1) % 3, n = 1 + (unsigned)fuzz_number(in, 1) % 4;
	struct ring_buf buf[4];

	for (unsigned i = 0; i < n; i++) {
		buf[i].gpa = t.out + fuzz_number(in, 2);
		buf[i].len = (uint32_t)fuzz_number(in, 2);
		buf[i].in = fuzz_number(in, 1) & 1;
	}
	ring_send(&t.d.ring[q], buf, n);
	driver_kick(&t.d, q);
}

static void reset_something(struct fuzz_in *in)
{
	unsigned what = (unsigned)fuzz_number(in, 1);

	if (what % 4 == 3) {
		driver_start(&t.d, what & 0x80 ? t.v.vd.features : 0);
	} else {
		virtio_queue_disable(&t.v.vd, virtio_queue(&t.v.vd, what % 4));
		driver_queue_up(&t.d, what % 4);
	}
}

static unsigned delivered;

static void on_delivered(void *ctx __unused, uint32_t port)
{
	assert(port == OFFERED);
	delivered++;
}

static void offer_port(void)
{
	int fd[2], rc;

	if (t.v.nr_offers)
		close_fd(&t.v.offer[--t.v.nr_offers].fd);
	rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd);
	assert(rc == 0);
	keep_fd(fd[0]);
	rc = virtio_vsock_offer(&t.v, OFFERED, fd[1]);
	assert(rc == 0);
	virtio_vsock_on_delivered(&t.v, on_delivered, NULL);
	delivered = 0;
}

static void check(void)
{
	unsigned clients = 0, idle = 0, in_use = 0;

	for (unsigned i = 0; i < t.v.nr_touched; i++) {
		const struct vsock_conn *c = &t.v.conn[i];

		clients += c->state == VSOCK_CLIENT;
		in_use += c->state != VSOCK_FREE;
		assert(c->len <= VSOCK_BUFFER && (!c->len || c->buffer));
		assert(c->state != VSOCK_OPEN || c->rx_cnt - c->fwd_cnt == c->len);
		assert(c->state != VSOCK_FREE || (c->src.fd < 0 && !c->buffer && !c->hashed));
		assert(c->state == VSOCK_FREE || !c->hashed ||
		       vsock_conn_find(&t.v, c->guest_port, c->host_port));
		assert(c->state != VSOCK_DRAINING || c->len);
	}
	for (const struct vsock_conn *c = t.v.idle; c; c = c->next)
		idle++;
	assert(clients == t.v.nr_clients && in_use + idle == t.v.nr_touched);
	assert(t.v.state.nr_rsts <= VSOCK_MAX_RSTS);
	assert(delivered <= (t.v.offer[0].fd < 0));
}

static void step(struct fuzz_in *in)
{
	const unsigned op = (unsigned)fuzz_number(in, 1);

	if (op == FUZZ_REST) {
		driver_rest(&t.d);
		return;
	}
	switch (op % 12) {
	case 0:
	case 1:
	case 2:
	case 3:
		send_packet(in);
		break;
	case 4:
	case 5:
	case 6:
		host_acts(in);
		break;
	case 7:
		offer_buffers(in);
		break;
	case 8:
		send_chain(in);
		break;
	case 9:
		vsock_conns_expire(&t.v, monotonic_ns() + (fuzz_number(in, 1) & 1) * 3600000000000);
		driver_kick(&t.d, 0);
		break;
	case 10:
		reset_something(in);
		break;
	case 11:
		(void)virtio_config_read(&t.v.vd, fuzz_number(in, 1),
					 1u << (fuzz_number(in, 1) & 3));
		break;
	}
	settle();
	check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	int fd;

	if (t.listener < 0)
		target_init();
	t.next_fd = 0;
	t.v.state.next_port = 0;
	offer_port();
	driver_start(&t.d, t.v.vd.features);
	for (unsigned steps = 0; in.len && steps < MAX_STEPS; steps++)
		step(&in);
	for (unsigned i = 0; i < HOST_FDS; i++)
		close_fd(&t.fd[i]);
	while ((fd = accept4(t.listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
		close(fd);
	settle();
	virtio_reset(&t.v.vd);
	vsock_conns_drop(&t.v, true);
	check();
	assert(delivered == (t.v.offer[0].fd < 0));
	return 0;
}
