/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "ring.h"
#include "backend/unix/vsock.h"
#include "capture.h"
#include "test.h"
#include "virtio/vsock_impl.h"
#include "virtio/vsock_vhost.h"

#define CID     42u
#define RX      0u
#define TX      1u
#define BUF_LEN (44 + 4096u)
#define BUFS    32u
#define CREDIT  (1u << 20) /* the guest's, unless a test says otherwise */
#define LATER   (monotonic_ns() + 3600 * 1000000000ull)

#define REQUEST        VIRTIO_VSOCK_OP_REQUEST
#define RESPONSE       VIRTIO_VSOCK_OP_RESPONSE
#define RST            VIRTIO_VSOCK_OP_RST
#define SHUTDOWN       VIRTIO_VSOCK_OP_SHUTDOWN
#define RW             VIRTIO_VSOCK_OP_RW
#define CREDIT_UPDATE  VIRTIO_VSOCK_OP_CREDIT_UPDATE
#define CREDIT_REQUEST VIRTIO_VSOCK_OP_CREDIT_REQUEST
#define SHUT_RCV       VIRTIO_VSOCK_SHUTDOWN_RCV
#define SHUT_SEND      VIRTIO_VSOCK_SHUTDOWN_SEND

/* A packet as the guest sees it, with the kernel's definition of the header. */
struct packet {
	struct virtio_vsock_hdr h;
	uint8_t data[4096];
};

/* A device that listens in a directory of its own, and its driver. */
struct rig {
	struct virtio_vsock v;
	struct driver d;
	struct loop loop;
	char dir[32], path[64];
	gpa_t buffer[VIRTQ_MAX_SIZE]; /* of the receive queue, by head */
	bool keep;                    /* used buffers are not offered again */
	gpa_t out;                    /* the packet that is being sent */
};

static void offer(struct rig *t, gpa_t gpa)
{
	uint16_t head = ring_send(&t->d.ring[RX], &(struct ring_buf){ gpa, BUF_LEN, true }, 1);

	t->buffer[head] = gpa;
}

static void rig_start(struct rig *t)
{
	assert_true(driver_start(&t->d, 0));
	t->d.next_alloc = VIRTIO_MAX_QUEUES * RING_BYTES;
	t->out = driver_alloc(&t->d, 128 * KIB);
	for (unsigned i = 0; i < BUFS; i++)
		offer(t, driver_alloc(&t->d, BUF_LEN));
	driver_kick(&t->d, RX);
}

static struct fd_budget *budget; /* the next rig's; or NULL */

static void rig_open(struct rig *t)
{
	struct vsock_options o = { .cid = CID, .path = t->path, .fds = budget };

	memset(t, 0, sizeof(*t));
	strcpy(t->dir, "/tmp/vsock-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->path, sizeof(t->path), "%s/v", t->dir);
	assert_int_equal(loop_init(&t->loop), 0);
	assert_int_equal(virtio_vsock_init(&t->v, &o, &t->loop), 0);
	driver_init(&t->d, &t->v.vd);
}

static void rig_up(struct rig *t)
{
	rig_open(t);
	rig_start(t);
}

static void rig_down(struct rig *t)
{
	driver_destroy(&t->d);
	virtio_vsock_destroy(&t->v);
	virtio_vsock_destroy(&t->v);
	loop_destroy(&t->loop);
	assert_int_equal(access(t->path, F_OK), -1);
	assert_int_equal(rmdir(t->dir), 0);
}

/* Runs the loop until it would wait. UNIX sockets report everything at once, so nothing is
 * missed. */
static void settle(struct rig *t)
{
	struct epoll_event ev;

	while (epoll_wait(t->loop.epoll_fd, &ev, 1, 0) == 1) {
		struct loop_source *src = ev.data.ptr;

		src->fn(src, ev.events);
	}
}

static unsigned in_use(const struct rig *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->v.nr_touched; i++)
		n += t->v.conn[i].state != VSOCK_FREE;
	return n;
}

static bool needs_reset(const struct rig *t)
{
	return t->v.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* -- the guest ------------------------------------------------------------------------------- */

static struct packet packet(uint16_t op, uint32_t guest_port, uint32_t host_port)
{
	return (struct packet){ .h = {
					.src_cid = CID,
					.dst_cid = 2,
					.src_port = guest_port,
					.dst_port = host_port,
					.type = VIRTIO_VSOCK_TYPE_STREAM,
					.op = op,
					.buf_alloc = CREDIT,
				} };
}

/* Sends the header and len bytes of data, whatever the header says. */
static void send_raw(struct rig *t, const struct virtio_vsock_hdr *h, const void *data,
		     uint32_t len)
{
	struct ring_elem e;

	memcpy(ram_at(&t->d.ram, t->out, sizeof(*h)), h, sizeof(*h));
	if (len)
		memcpy(ram_at(&t->d.ram, t->out + sizeof(*h), len), data, len);
	ring_send(&t->d.ring[TX],
		  (struct ring_buf[]){ { t->out, sizeof(*h), false },
				       { t->out + sizeof(*h), len, false } },
		  2);
	driver_kick(&t->d, TX);
	settle(t);
	(void)ring_take(&t->d.ring[TX], &e);
}

static void say(struct rig *t, uint16_t op, uint32_t guest_port, uint32_t host_port)
{
	struct packet p = packet(op, guest_port, host_port);

	send_raw(t, &p.h, NULL, 0);
}

static void say_shutdown(struct rig *t, uint32_t guest_port, uint32_t host_port, uint32_t flags)
{
	struct packet p = packet(SHUTDOWN, guest_port, host_port);

	p.h.flags = flags;
	send_raw(t, &p.h, NULL, 0);
}

static void say_data(struct rig *t, uint32_t guest_port, uint32_t host_port, const void *data,
		     uint32_t len)
{
	struct packet p = packet(RW, guest_port, host_port);

	p.h.len = len;
	send_raw(t, &p.h, data, len);
}

static void say_credit(struct rig *t, uint32_t guest_port, uint32_t host_port, uint32_t buf_alloc,
		       uint32_t fwd_cnt)
{
	struct packet p = packet(CREDIT_UPDATE, guest_port, host_port);

	p.h.buf_alloc = buf_alloc;
	p.h.fwd_cnt = fwd_cnt;
	send_raw(t, &p.h, NULL, 0);
}

/* Gets the next packet for the guest; false: there is none. */
static bool hear(struct rig *t, struct packet *p)
{
	struct ring_elem e;
	gpa_t gpa;

	settle(t);
	if (!ring_take(&t->d.ring[RX], &e))
		return false;
	gpa = t->buffer[e.id];
	assert_in_range(e.len, sizeof(p->h), BUF_LEN);
	memcpy(p, ram_at(&t->d.ram, gpa, e.len), e.len);
	assert_int_equal(p->h.len, e.len - sizeof(p->h));
	assert_int_equal(p->h.src_cid, 2);
	assert_int_equal(p->h.dst_cid, CID);
	if (!t->keep) {
		offer(t, gpa);
		driver_kick(&t->d, RX);
	}
	return true;
}

static bool quiet(struct rig *t)
{
	struct packet p;

	return !hear(t, &p);
}

static struct packet expect(struct rig *t, uint16_t op, uint32_t guest_port, uint32_t host_port)
{
	struct packet p = { 0 };

	assert_true(hear(t, &p));
	assert_int_equal(p.h.op, op);
	assert_int_equal(p.h.dst_port, guest_port);
	assert_int_equal(p.h.src_port, host_port);
	return p;
}

/* -- the host -------------------------------------------------------------------------------- */

static struct sockaddr_un address(const struct rig *t, int port)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (port < 0)
		snprintf(a.sun_path, sizeof(a.sun_path), "%s", t->path);
	else
		snprintf(a.sun_path, sizeof(a.sun_path), "%s_%d", t->path, port);
	return a;
}

static int listen_at(const struct rig *t, int port, int backlog)
{
	struct sockaddr_un a = address(t, port);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	unlink(a.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void listen_end(const struct rig *t, int port, int fd)
{
	close(fd);
	unlink(address(t, port).sun_path);
}

static int accept_from(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

static int client(struct rig *t, const char *text)
{
	struct sockaddr_un a = address(t, -1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	settle(t);
	return fd;
}

/* Checks that exactly this text can be read from fd now. */
static void assert_reads(int fd, const char *text)
{
	char buf[256] = { 0 };

	assert_int_equal(recv(fd, buf, sizeof(buf) - 1, 0), strlen(text));
	assert_string_equal(buf, text);
}

static bool at_end(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, 0);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static bool nothing_yet(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) < 0 && errno == EAGAIN;
}

/* Returns a client that the guest accepted at port 5000. */
static int connected(struct rig *t, uint32_t *host_port)
{
	char ok[32];
	int fd = client(t, "CONNECT 5000\n");
	struct packet p;

	assert_true(hear(t, &p));
	assert_int_equal(p.h.op, REQUEST);
	*host_port = p.h.src_port;
	say(t, RESPONSE, 5000, *host_port);
	snprintf(ok, sizeof(ok), "OK %u\n", *host_port);
	assert_reads(fd, ok);
	return fd;
}

/* -- what it is for -------------------------------------------------------------------------- */

static void a_client_reaches_the_guest(void **state __unused)
{
	struct rig t;
	struct packet p;
	uint32_t port;
	int fd;

	rig_up(&t);
	fd = client(&t, "CONNECT 5000\nand more");
	assert_true(hear(&t, &p));
	port = p.h.src_port;
	assert_int_equal(p.h.op, REQUEST);
	assert_int_equal(p.h.dst_port, 5000);
	assert_int_equal(p.h.type, VIRTIO_VSOCK_TYPE_STREAM);
	assert_int_equal(p.h.buf_alloc, VSOCK_BUFFER);
	assert_true(quiet(&t)); /* data waits for the answer */
	assert_true(nothing_yet(fd));
	say(&t, RESPONSE, 5000, port);
	p = expect(&t, RW, 5000, port);
	assert_memory_equal(p.data, "and more", p.h.len);
	say_data(&t, 5000, port, "hello", 5);
	assert_int_equal(send(fd, "you", 3, 0), 3);
	p = expect(&t, RW, 5000, port);
	assert_int_equal(p.h.fwd_cnt, 5);
	assert_memory_equal(p.data, "you", 3);
	p.data[0] = 0;
	assert_int_equal(recv(fd, p.data, 3, 0), 3);
	assert_memory_equal(p.data, "OK ", 3);
	assert_true(quiet(&t));
	close(fd);
	rig_down(&t);
}

static void a_guest_that_refuses_closes_the_client(void **state __unused)
{
	struct rig t;
	struct packet p;
	int fd;

	rig_up(&t);
	fd = client(&t, "CONNECT 1\n");
	assert_true(hear(&t, &p));
	say(&t, RST, 1, p.h.src_port);
	assert_true(at_end(fd));
	assert_true(quiet(&t));
	assert_int_equal(in_use(&t), 0);
	close(fd);
	rig_down(&t);
}

static void the_guest_reaches_a_listener(void **state __unused)
{
	struct rig t;
	struct packet p;
	int listener, fd;

	rig_up(&t);
	listener = listen_at(&t, 7, 8);
	say(&t, REQUEST, 1024, 7);
	p = expect(&t, RESPONSE, 1024, 7);
	assert_int_equal(p.h.buf_alloc, VSOCK_BUFFER);
	fd = accept_from(listener);
	say_data(&t, 1024, 7, "ping", 4);
	assert_reads(fd, "ping");
	assert_int_equal(send(fd, "pong", 4, 0), 4);
	p = expect(&t, RW, 1024, 7);
	assert_memory_equal(p.data, "pong", 4);
	say(&t, REQUEST, 1024, 8); /* nobody listens there */
	expect(&t, RST, 1024, 8);
	assert_int_equal(in_use(&t), 1);
	close(fd);
	listen_end(&t, 7, listener);
	rig_down(&t);
}

static void a_listener_that_is_gone_refuses(void **state __unused)
{
	struct rig t;
	struct sockaddr_un a;
	int listener;

	rig_up(&t);
	listener = listen_at(&t, 7, 8);
	close(listener); /* its file stays */
	say(&t, REQUEST, 1024, 7);
	expect(&t, RST, 1024, 7);
	a = address(&t, 7);
	unlink(a.sun_path);
	rig_down(&t);
}

static void a_busy_listener_is_asked_again(void **state __unused)
{
	struct rig t;
	int listener, fd;

	rig_up(&t);
	listener = listen_at(&t, 7, 0);
	say(&t, REQUEST, 1, 7);
	expect(&t, RESPONSE, 1, 7);
	say(&t, REQUEST, 2, 7);
	assert_true(quiet(&t)); /* the backlog is full */
	vsock_conns_expire(&t.v, monotonic_ns());
	driver_kick(&t.d, RX);
	assert_true(quiet(&t));
	fd = accept_from(listener);
	vsock_conns_expire(&t.v, monotonic_ns());
	driver_kick(&t.d, RX);
	expect(&t, RESPONSE, 2, 7);
	say(&t, REQUEST, 3, 7);
	assert_true(quiet(&t));
	vsock_conns_expire(&t.v, LATER);
	driver_kick(&t.d, RX);
	expect(&t, RST, 3, 7);
	close(fd);
	listen_end(&t, 7, listener);
	rig_down(&t);
}

static void only_a_whole_command_will_do(void **state __unused)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{ "CONNECT 0\n", true },
		{ "CONNECT 4294967295\n", true },
		{ "CONNECT 12\r\n", true },
		{ "CONNECT 4294967296\n", false },
		{ "CONNECT 999999999999\n", false },
		{ "CONNECT 0000000000001", false },
		{ "CONNECT \n", false },
		{ "CONNECT\n", false },
		{ "CONNECT -1\n", false },
		{ "CONNECT 1 \n", false },
		{ "CONNECT  1\n", false },
		{ "connect 1\n", false },
		{ "\n", false },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET /index.html HTTP/1.0\r\n\r\n", false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig t;
		struct packet p;
		int fd;

		rig_up(&t);
		fd = client(&t, cases[i].text);
		assert_int_equal(hear(&t, &p), cases[i].good);
		assert_int_equal(at_end(fd), !cases[i].good);
		assert_int_equal(in_use(&t), cases[i].good);
		assert_int_equal(t.v.nr_clients, 0);
		close(fd);
		rig_down(&t);
	}
}

static void a_command_may_come_in_pieces(void **state __unused)
{
	static const char text[] = "CONNECT 77\n";
	struct rig t;
	int fd;

	rig_up(&t);
	fd = client(&t, "");
	for (unsigned i = 0; i < strlen(text); i++) {
		assert_true(quiet(&t));
		assert_int_equal(send(fd, text + i, 1, 0), 1);
	}
	expect(&t, REQUEST, 77, 1u << 30);
	close(fd);
	rig_down(&t);
}

static void a_command_that_never_ends_does(void **state __unused)
{
	struct rig t;
	int fd;

	rig_up(&t);
	fd = client(&t, "CONNECT 7");
	vsock_conns_expire(&t.v, monotonic_ns());
	assert_true(nothing_yet(fd));
	vsock_conns_expire(&t.v, LATER);
	assert_true(at_end(fd));
	close(fd);
	fd = client(&t, "CONN"); /* and one that ends too early */
	close(fd);
	settle(&t);
	assert_int_equal(in_use(&t), 0);
	assert_int_equal(t.v.nr_clients, 0);
	assert_true(quiet(&t));
	rig_down(&t);
}

static void a_guest_that_does_not_answer_refuses(void **state __unused)
{
	struct rig t;
	struct packet p;
	int fd;

	rig_up(&t);
	fd = client(&t, "CONNECT 9\n");
	assert_true(hear(&t, &p));
	vsock_conns_expire(&t.v, LATER);
	driver_kick(&t.d, RX);
	assert_true(at_end(fd));
	expect(&t, RST, 9, p.h.src_port);
	close(fd);
	fd = client(&t, "CONNECT 9\n");
	assert_true(hear(&t, &p));
	close(fd); /* the client does not want to wait */
	expect(&t, RST, 9, p.h.src_port);
	assert_int_equal(in_use(&t), 0);
	rig_down(&t);
}

static void clients_wait_for_a_driver_and_without_one_are_refused(void **state __unused)
{
	struct rig t;
	int early, late;

	rig_open(&t);
	early = client(&t, "CONNECT 1\n");
	assert_true(nothing_yet(early));
	rig_start(&t);
	expect(&t, REQUEST, 1, 1u << 30);
	virtio_reset(&t.v.vd);
	assert_true(at_end(early));
	late = client(&t, "CONNECT 1\n");
	assert_true(at_end(late));
	close(early);
	close(late);
	rig_down(&t);
}

/* -- credit ---------------------------------------------------------------------------------- */

static void the_guest_is_never_sent_more_than_it_has_room_for(void **state __unused)
{
	struct rig t;
	struct packet p;
	char data[10000];
	uint32_t port;
	int fd;

	rig_up(&t);
	memset(data, 'x', sizeof(data));
	fd = connected(&t, &port);
	say_credit(&t, 5000, port, 5000, 0);
	assert_int_equal(send(fd, data, sizeof(data), 0), sizeof(data));
	p = expect(&t, RW, 5000, port);
	assert_int_equal(p.h.len, 4096);
	p = expect(&t, RW, 5000, port);
	assert_int_equal(p.h.len, 5000 - 4096);
	expect(&t, CREDIT_REQUEST, 5000, port);
	assert_true(quiet(&t));
	say_credit(&t, 5000, port, 5000, 1); /* one byte more */
	p = expect(&t, RW, 5000, port);
	assert_int_equal(p.h.len, 1);
	expect(&t, CREDIT_REQUEST, 5000, port);
	say_credit(&t, 5000, port, 100, 2); /* the buffer is smaller than what is in flight */
	assert_true(quiet(&t));
	say_credit(&t, 5000, port, UINT32_MAX, 5001);
	for (unsigned left = sizeof(data) - 5001; left; left -= p.h.len)
		p = expect(&t, RW, 5000, port);
	assert_true(quiet(&t));
	close(fd);
	rig_down(&t);
}

static void credit_counters_that_lie_end_the_connection(void **state __unused)
{
	static const struct {
		uint32_t fwd_cnt;
		bool fine;
	} cases[] = {
		{ 3, true },  { 2, true },          /* was overtaken on its way */
		{ 0, true },  { UINT32_MAX, true }, /* the oldest that still counts as old */
		{ 4, false }, { 100000, false },    { INT32_MAX, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig t;
		uint32_t port;
		int fd;

		rig_up(&t);
		fd = connected(&t, &port);
		assert_int_equal(send(fd, "abc", 3, 0), 3);
		expect(&t, RW, 5000, port);
		say_credit(&t, 5000, port, 10, 3);
		say_credit(&t, 5000, port, 10, cases[i].fwd_cnt);
		if (cases[i].fine) {
			assert_int_equal(vsock_conn_credit(&t.v.conn[0]), 10);
			assert_true(quiet(&t));
		} else {
			expect(&t, RST, 5000, port);
			assert_true(at_end(fd));
		}
		close(fd);
		rig_down(&t);
	}
}

/* The guest sends until the host's socket and the buffer are full. Returns how many bytes: byte i
 * is i modulo 251. */
static uint32_t fill(struct rig *t, uint32_t port)
{
	const struct vsock_conn *c = vsock_conn_find(&t->v, 5000, port);
	uint8_t data[8192];
	uint32_t sent = 0;

	while (c->rx_cnt - c->fwd_cnt <= VSOCK_BUFFER - sizeof(data)) {
		struct packet p;

		for (unsigned i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t)((sent + i) % 251);
		say_data(t, 5000, port, data, sizeof(data));
		sent += (uint32_t)sizeof(data);
		while (hear(t, &p))
			assert_int_equal(p.h.op, CREDIT_UPDATE);
	}
	return sent;
}

/* Reads n bytes that fill() sent, from byte first on, while the loop runs. */
static void drain(struct rig *t, int fd, uint32_t first, uint32_t n)
{
	uint8_t data[5000];
	ssize_t got;

	for (uint32_t at = first; at < first + n; at += (uint32_t)got) {
		got = recv(fd, data, min(sizeof(data), (size_t)(first + n - at)), 0);
		assert_true(got > 0);
		for (ssize_t i = 0; i < got; i++)
			if (data[i] != (uint8_t)((at + (uint32_t)i) % 251))
				fail_msg("byte %u is wrong", at + (uint32_t)i);
		settle(t);
	}
}

static void a_slow_reader_holds_up_the_guest_and_loses_nothing(void **state __unused)
{
	struct rig t;
	struct packet p;
	uint32_t port, sent, told = 0;
	int fd;

	rig_up(&t);
	fd = connected(&t, &port);
	sent = fill(&t, port);
	assert_true(sent > VSOCK_BUFFER);
	assert_true(quiet(&t));
	drain(&t, fd, 0, sent);
	while (hear(&t, &p)) {
		assert_int_equal(p.h.op, CREDIT_UPDATE);
		told = p.h.fwd_cnt;
	}
	/* The guest can send a whole packet again, whatever it was told. */
	assert_true(sent - told <= VSOCK_BUFFER - 64 * KIB);
	say(&t, CREDIT_REQUEST, 5000, port);
	p = expect(&t, CREDIT_UPDATE, 5000, port);
	assert_int_equal(p.h.fwd_cnt, sent);
	assert_int_equal(p.h.buf_alloc, VSOCK_BUFFER);
	close(fd);
	rig_down(&t);
}

/* A read of the socket stops there: a short read does not mean that the socket is empty. */
static void what_follows_descriptors_and_urgent_data_arrives(void **state __unused)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { (char[]){ 'a' }, 1 };
	struct msghdr m = { NULL, 0, &iov, 1, &control, sizeof(control), 0 };
	struct rig t;
	uint32_t port;
	int fd;

	rig_up(&t);
	fd = connected(&t, &port);
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	assert_int_equal(sendmsg(fd, &m, 0), 1);
	assert_int_equal(send(fd, "b", 1, 0), 1);
	assert_int_equal(*expect(&t, RW, 5000, port).data, 'a');
	assert_int_equal(*expect(&t, RW, 5000, port).data, 'b');
	assert_int_equal(send(fd, "c", 1, 0), 1);
	if (send(fd, "!", 1, MSG_OOB) == 1) { /* Linux 5.15 and newer */
		assert_int_equal(send(fd, "d", 1, 0), 1);
		assert_int_equal(*expect(&t, RW, 5000, port).data, 'c');
		assert_int_equal(*expect(&t, RW, 5000, port).data, 'd');
	}
	close(fd);
	rig_down(&t);
}

/* Has anything happened that the loop would wake up for? */
static bool wakes(const struct rig *t)
{
	struct epoll_event ev;

	return epoll_wait(t->loop.epoll_fd, &ev, 1, 0) > 0;
}

static void a_reader_wakes_the_loop_only_if_it_was_slow(void **state __unused)
{
	struct rig t;
	uint32_t port, sent;
	struct packet p;
	int fd;

	rig_up(&t);
	fd = connected(&t, &port);
	say_data(&t, 5000, port, "one", 3);
	assert_reads(fd, "one");
	assert_false(wakes(&t));
	sent = fill(&t, port);
	drain(&t, fd, 0, sent);
	while (hear(&t, &p))
		assert_int_equal(p.h.op, CREDIT_UPDATE);
	say_data(&t, 5000, port, "two", 3);
	assert_reads(fd, "two");
	assert_false(wakes(&t));
	close(fd);
	rig_down(&t);
}

static void a_guest_that_sends_beyond_its_credit_is_cut_off(void **state __unused)
{
	struct rig t;
	uint8_t data[8192] = { 0 };
	uint32_t port;
	int fd;

	rig_up(&t);
	log_set_level(LOG_QUIET);
	fd = connected(&t, &port);
	fill(&t, port);
	say_data(&t, 5000, port, data, sizeof(data));
	say_data(&t, 5000, port, data, sizeof(data));
	expect(&t, RST, 5000, port);
	assert_int_equal(in_use(&t), 0);
	log_set_level(LOG_WARN);
	close(fd);
	rig_down(&t);
}

/* -- ends ------------------------------------------------------------------------------------ */

static void each_direction_closes_alone(void **state __unused)
{
	struct rig t;
	struct packet p;
	uint32_t port;
	int fd;

	rig_up(&t);
	fd = connected(&t, &port);
	say_data(&t, 5000, port, "question", 8);
	say_shutdown(&t, 5000, port, SHUT_SEND);
	assert_reads(fd, "question");
	assert_true(at_end(fd));
	assert_int_equal(send(fd, "answer", 6, 0), 6);
	p = expect(&t, RW, 5000, port);
	assert_memory_equal(p.data, "answer", 6);
	assert_true(quiet(&t));
	close(fd);
	p = expect(&t, SHUTDOWN, 5000, port);
	assert_int_equal(p.h.flags, SHUT_SEND | SHUT_RCV);
	say(&t, RST, 5000, port);
	assert_int_equal(in_use(&t), 0);

	fd = connected(&t, &port);
	assert_int_equal(send(fd, "question", 8, 0), 8);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	p = expect(&t, RW, 5000, port);
	assert_memory_equal(p.data, "question", 8);
	p = expect(&t, SHUTDOWN, 5000, port);
	assert_int_equal(p.h.flags, SHUT_SEND);
	say_data(&t, 5000, port, "answer", 6);
	say_shutdown(&t, 5000, port, SHUT_SEND | SHUT_RCV);
	assert_reads(fd, "answer");
	assert_true(at_end(fd));
	expect(&t, RST, 5000, port);
	assert_int_equal(in_use(&t), 0);
	close(fd);
	rig_down(&t);
}

static void a_guest_that_reads_no_more_says_so(void **state __unused)
{
	struct rig t;
	uint32_t port;
	int fd;

	rig_up(&t);
	fd = connected(&t, &port);
	say_shutdown(&t, 5000, port, SHUT_RCV);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	say_data(&t, 5000, port, "still", 5);
	assert_reads(fd, "still");
	close(fd);
	expect(&t, SHUTDOWN, 5000, port);
	rig_down(&t);
}

static void a_host_that_reads_no_more_says_so(void **state __unused)
{
	struct rig t;
	struct packet p;
	uint32_t port;
	int fd;

	rig_up(&t);
	fd = connected(&t, &port);
	assert_int_equal(shutdown(fd, SHUT_RD), 0);
	say_data(&t, 5000, port, "lost", 4);
	p = expect(&t, SHUTDOWN, 5000, port);
	assert_int_equal(p.h.flags, SHUT_RCV);
	assert_int_equal(p.h.fwd_cnt, 4);
	say_data(&t, 5000, port, "lost, too", 9); /* it was on its way */
	assert_true(quiet(&t));
	assert_int_equal(send(fd, "on", 2, 0), 2);
	p = expect(&t, RW, 5000, port);
	assert_int_equal(p.h.fwd_cnt, 13);
	close(fd);
	rig_down(&t);
}

static void data_come_before_the_end(void **state __unused)
{
	struct rig t;
	struct packet p;
	char data[20000];
	uint32_t port;
	int fd;

	rig_up(&t);
	memset(data, 'x', sizeof(data));
	fd = connected(&t, &port);
	say_credit(&t, 5000, port, 1000, 0);
	assert_int_equal(send(fd, data, sizeof(data), 0), sizeof(data));
	close(fd);
	p = expect(&t, RW, 5000, port);
	assert_int_equal(p.h.len, 1000);
	expect(&t, CREDIT_REQUEST, 5000, port);
	assert_true(quiet(&t)); /* even though the host is gone */
	say_credit(&t, 5000, port, CREDIT, 1000);
	for (unsigned left = sizeof(data) - 1000; left; left -= p.h.len)
		p = expect(&t, RW, 5000, port);
	p = expect(&t, SHUTDOWN, 5000, port);
	assert_int_equal(p.h.flags, SHUT_SEND | SHUT_RCV);
	vsock_conns_expire(&t.v, LATER); /* the guest does not confirm */
	driver_kick(&t.d, RX);
	expect(&t, RST, 5000, port);
	assert_int_equal(in_use(&t), 0);
	rig_down(&t);
}

static void what_a_guest_sent_before_it_closed_arrives(void **state __unused)
{
	static const uint16_t ways[] = { SHUTDOWN, RST, 0 }; /* 0: the device is reset */

	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		struct rig t;
		uint32_t port, sent;
		int fd;

		rig_up(&t);
		fd = connected(&t, &port);
		sent = fill(&t, port);
		if (ways[i] == SHUTDOWN) {
			say_shutdown(&t, 5000, port, SHUT_SEND | SHUT_RCV);
			expect(&t, RST, 5000, port);
		} else if (ways[i] == RST) {
			say(&t, RST, 5000, port);
		} else {
			rig_start(&t);
		}
		assert_true(quiet(&t));
		assert_null(vsock_conn_find(&t.v, 5000, port));
		drain(&t, fd, 0, sent);
		assert_true(at_end(fd));
		assert_int_equal(in_use(&t), 0);
		close(fd);
		rig_down(&t);
	}
}

static void half_a_close_waits_for_the_data(void **state __unused)
{
	struct rig t;
	struct packet p;
	uint32_t port, sent;
	int fd;

	rig_up(&t);
	fd = connected(&t, &port);
	sent = fill(&t, port);
	say_shutdown(&t, 5000, port, SHUT_SEND);
	drain(&t, fd, 0, sent);
	assert_true(at_end(fd));
	while (hear(&t, &p))
		assert_int_equal(p.h.op, CREDIT_UPDATE);
	assert_int_equal(in_use(&t), 1);
	close(fd);
	rig_down(&t);
}

static void nobody_drains_for_ever(void **state __unused)
{
	struct rig t;
	uint32_t port;
	struct capture c;
	int fd;

	rig_up(&t);
	fd = connected(&t, &port);
	fill(&t, port);
	say_shutdown(&t, 5000, port, SHUT_SEND | SHUT_RCV);
	expect(&t, RST, 5000, port);
	vsock_conns_expire(&t.v, monotonic_ns());
	assert_int_equal(in_use(&t), 1);
	capture_begin(&c);
	vsock_conns_expire(&t.v, LATER);
	assert_non_null(strstr(capture_end(&c), "the guest's port 5000"));
	assert_int_equal(in_use(&t), 0);
	close(fd);
	rig_down(&t);
}

/* The guest chooses how many of them there are. */
static void those_who_never_drain_do_not_flood_the_log(void **state __unused)
{
	struct rig t;
	struct capture c;
	unsigned lines = 0;
	int fd[30];

	rig_up(&t);
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++) {
		uint32_t port;

		fd[i] = connected(&t, &port);
		fill(&t, port);
		say_shutdown(&t, 5000, port, SHUT_SEND | SHUT_RCV);
		expect(&t, RST, 5000, port);
	}
	capture_begin(&c);
	vsock_conns_expire(&t.v, LATER);
	for (const char *p = capture_end(&c); (p = strchr(p, '\n')); p++)
		lines++;
	assert_in_range(lines, 1, 20); /* ten a second, and the second may end */
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	rig_down(&t);
}

struct reader {
	int fd;
	uint32_t n;
	bool right;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	uint8_t data[4096];
	ssize_t got;

	r->right = true;
	while ((got = recv(r->fd, data, sizeof(data), 0)) > 0)
		for (ssize_t i = 0; i < got; i++)
			r->right &= data[i] == (uint8_t)(r->n++ % 251);
	return NULL;
}

static void the_end_of_the_machine_waits_for_a_reader(void **state __unused)
{
	struct rig t;
	struct reader r;
	pthread_t thread;
	uint32_t port, sent;

	rig_up(&t);
	r = (struct reader){ .fd = connected(&t, &port) };
	sent = fill(&t, port);
	assert_int_equal(fcntl(r.fd, F_SETFL, 0), 0); /* it waits */
	assert_int_equal(pthread_create(&thread, NULL, read_all, &r), 0);
	rig_down(&t);
	pthread_join(thread, NULL);
	assert_int_equal(r.n, sent);
	assert_true(r.right);
	close(r.fd);
}

static void a_host_that_goes_while_data_wait_costs_them(void **state __unused)
{
	struct rig t;
	struct packet p;
	uint32_t port, sent;
	int fd;

	rig_up(&t);
	fd = connected(&t, &port);
	sent = fill(&t, port);
	close(fd); /* there are unread data, so it is a reset for a UNIX socket, too */
	do
		assert_true(hear(&t, &p));
	while (p.h.op == SHUTDOWN);
	assert_int_equal(p.h.op, RST);
	assert_true(sent > 0);
	say(&t, RST, 5000, port);
	assert_true(quiet(&t));
	assert_int_equal(in_use(&t), 0);
	rig_down(&t);
}

/* -- what a guest gets wrong ----------------------------------------------------------------- */

static void a_packet_for_nobody_is_answered(void **state __unused)
{
	static const uint16_t ops[] = { RESPONSE, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST,
					0,        8,        99, UINT16_MAX };
	struct rig t;

	rig_up(&t);
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		say(&t, ops[i], 10 + i, 20 + i);
		expect(&t, RST, 10 + i, 20 + i);
	}
	say(&t, RST, 1, 2); /* but this is not */
	assert_true(quiet(&t));
	assert_int_equal(t.v.nr_touched, 0);
	assert_false(needs_reset(&t));
	rig_down(&t);
}

static void a_packet_that_makes_no_sense_ends_the_connection(void **state __unused)
{
	struct packet lies = packet(RW, 5000, 0);
	const uint16_t ops[] = { REQUEST, RESPONSE, 0, 8, UINT16_MAX, RW };

	lies.h.len = 100; /* and carries 5 */
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		struct rig t;
		uint32_t port;
		int fd;

		rig_up(&t);
		fd = connected(&t, &port);
		lies.h.dst_port = port;
		if (ops[i] == RW)
			send_raw(&t, &lies.h, "12345", 5);
		else
			say(&t, ops[i], 5000, port);
		expect(&t, RST, 5000, port);
		assert_true(at_end(fd));
		assert_int_equal(in_use(&t), 0);
		assert_false(needs_reset(&t));
		close(fd);
		rig_down(&t);
	}
}

static void a_quiet_device_holds_no_buffer(void **state __unused)
{
	struct rig t;
	struct packet p;
	uint32_t port;
	int fd;

	rig_up(&t);
	fd = connected(&t, &port);
	/* It had nothing for the buffer that it took. */
	assert_true(quiet(&t));
	assert_true(t.v.has_rx);
	virtio_quiesce(&t.v.vd);
	assert_false(t.v.has_rx);
	assert_true(driver_holds_nothing(&t.d));
	driver_go_on(&t.d);
	assert_true(quiet(&t));

	/* What comes goes on in order, whether or not the kicks were first. */
	for (unsigned i = 0; i < 3 * BUFS; i++) {
		assert_int_equal(send(fd, &(char){ (char)i }, 1, 0), 1);
		p = expect(&t, RW, 5000, port);
		assert_int_equal(p.h.len, 1);
		assert_int_equal(p.data[0], (char)i);
		virtio_quiesce(&t.v.vd);
		assert_true(driver_holds_nothing(&t.d));
		if (i % 2)
			driver_go_on(&t.d);
	}
	assert_true(quiet(&t));

	/* Answers that wait for a buffer are in the state. */
	t.keep = true;
	for (unsigned i = 0; i < BUFS + 3; i++)
		say(&t, RW, 1000 + i, 1);
	virtio_quiesce(&t.v.vd);
	assert_int_equal(t.v.state.nr_rsts, 3);
	assert_int_equal(t.v.state.rst[2].guest_port, 1000 + BUFS + 2);
	close(fd);
	rig_down(&t);
}

static void before_it_is_open_a_connection_carries_nothing(void **state __unused)
{
	static const uint16_t ops[] = { REQUEST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST, 77 };

	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		struct rig t;
		struct packet p;
		int fd, listener;

		rig_up(&t);
		fd = client(&t, "CONNECT 6\n");
		assert_true(hear(&t, &p));
		say(&t, ops[i], 6, p.h.src_port);
		expect(&t, RST, 6, p.h.src_port);
		assert_true(at_end(fd));
		close(fd);

		listener = listen_at(&t, 7, 0);
		say(&t, REQUEST, 1, 7);
		expect(&t, RESPONSE, 1, 7);
		say(&t, REQUEST, 2, 7); /* is being dialled */
		say(&t, ops[i], 2, 7);
		expect(&t, RST, 2, 7);
		assert_int_equal(in_use(&t), 1);
		listen_end(&t, 7, listener);
		rig_down(&t);
	}
}

static void after_its_end_data_end_it_for_good(void **state __unused)
{
	struct rig t;
	uint32_t port;
	int fd;

	rig_up(&t);
	log_set_level(LOG_QUIET);
	fd = connected(&t, &port);
	say_shutdown(&t, 5000, port, SHUT_SEND);
	say_data(&t, 5000, port, "x", 1);
	expect(&t, RST, 5000, port);
	log_set_level(LOG_WARN);
	close(fd);
	rig_down(&t);
}

static void strangers_are_ignored(void **state __unused)
{
	struct packet p = packet(REQUEST, 1, 7);
	struct rig t;
	int listener;

	rig_up(&t);
	log_set_level(LOG_QUIET);
	listener = listen_at(&t, 7, 8);
	p.h.src_cid = CID + 1;
	send_raw(&t, &p.h, NULL, 0);
	p.h.src_cid = CID | 1ull << 32;
	send_raw(&t, &p.h, NULL, 0);
	p.h.src_cid = CID;
	p.h.dst_cid = 3;
	send_raw(&t, &p.h, NULL, 0);
	p.h.dst_cid = 2 | 1ull << 32;
	send_raw(&t, &p.h, NULL, 0);
	assert_true(quiet(&t));
	p.h.dst_cid = 2;
	p.h.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	send_raw(&t, &p.h, NULL, 0);
	p = expect(&t, RST, 1, 7);
	assert_int_equal(p.h.type, VIRTIO_VSOCK_TYPE_SEQPACKET);
	assert_int_equal(in_use(&t), 0);
	log_set_level(LOG_WARN);
	listen_end(&t, 7, listener);
	rig_down(&t);
}

static void a_buffer_without_room_is_malformed(void **state __unused)
{
	struct rig t;
	struct virtio_vsock_hdr h = { 0 };

	rig_open(&t);
	log_set_level(LOG_QUIET);
	assert_true(driver_start(&t.d, 0));
	t.out = driver_put(&t.d, &h, sizeof(h));
	ring_send(&t.d.ring[TX], &(struct ring_buf){ t.out, sizeof(h) - 1, false }, 1);
	driver_kick(&t.d, TX);
	assert_true(needs_reset(&t));

	assert_true(driver_start(&t.d, 0));
	ring_send(&t.d.ring[RX], &(struct ring_buf){ t.out, sizeof(h), true }, 1);
	driver_kick(&t.d, RX); /* there is nothing to send, so it isn't looked at */
	assert_false(needs_reset(&t));
	say(&t, CREDIT_REQUEST, 1, 2);
	assert_true(needs_reset(&t));
	assert_int_equal(ring_used(&t.d.ring[RX]), 0);
	log_set_level(LOG_WARN);
	rig_down(&t);
}

/* -- limits ---------------------------------------------------------------------------------- */

static void many_connections_at_once_and_no_more(void **state __unused)
{
	struct rig t;
	int listener, *fd = calloc(VSOCK_MAX_CONNS, sizeof(*fd));
	unsigned n = 0;

	rig_up(&t);
	listener = listen_at(&t, 7, 8);
	/* A process may have 1024 descriptors; two for each here. */
	while (n < 400) {
		say(&t, REQUEST, 1000 + n, 7);
		expect(&t, RESPONSE, 1000 + n, 7);
		fd[n++] = accept_from(listener);
	}
	for (unsigned i = 0; i < n; i++) {
		say_data(&t, 1000 + i, 7, &i, sizeof(i));
		assert_int_equal(send(fd[i], &i, sizeof(i), 0), sizeof(i));
	}
	for (unsigned i = 0; i < n; i++) {
		struct packet p;
		unsigned got;

		assert_int_equal(recv(fd[i], &got, sizeof(got), 0), sizeof(got));
		assert_int_equal(got, i);
		p = expect(&t, RW, 1000 + i, 7);
		assert_memory_equal(p.data, &i, sizeof(i));
		close(fd[i]);
	}
	free(fd);
	listen_end(&t, 7, listener);
	rig_down(&t);
}

/* With 40 descriptors: the guest is refused, clients wait, and connections that end make room. */
static void connections_have_a_budget(void **state __unused)
{
	struct fd_budget ten;
	struct capture said;
	struct packet p;
	struct rig t;
	int listener, fd[10], late;
	const char *text;

	fd_budget_init(&ten, 40);
	budget = &ten;
	rig_up(&t);
	budget = NULL;
	listener = listen_at(&t, 7, 100);
	for (unsigned i = 0; i < 10; i++) {
		say(&t, REQUEST, 1000 + i, 7);
		expect(&t, RESPONSE, 1000 + i, 7);
		fd[i] = accept_from(listener);
	}
	capture_begin(&said);
	for (unsigned i = 0; i < 100; i++) {
		say(&t, REQUEST, 2000 + i, 7);
		expect(&t, RST, 2000 + i, 7);
	}
	late = client(&t, "CONNECT 5000\n");
	text = capture_end(&said);
	assert_non_null(strstr(text, "--vsock: 10 descriptors are in use"));
	assert_int_equal(strchr(text, '\n') + 1 - text, strlen(text)); /* one line */
	assert_true(quiet(&t));
	say(&t, RST, 1000, 7);
	assert_true(at_end(fd[0]));
	while (!hear(&t, &p)) /* the client's turn comes with the next tick */
		poll(&(struct pollfd){ .fd = t.v.timer.fd, .events = POLLIN }, 1, -1);
	assert_int_equal(p.h.op, REQUEST);
	assert_int_equal(p.h.dst_port, 5000);
	say(&t, REQUEST, 3000, 7);
	expect(&t, RST, 3000, 7);
	for (unsigned i = 0; i < 10; i++)
		close(fd[i]);
	close(late);
	listen_end(&t, 7, listener);
	rig_down(&t);
	assert_int_equal(ten.common, 0);
}

static void a_full_table_refuses(void **state __unused)
{
	struct rig t;
	int listener;

	rig_up(&t);
	listener = listen_at(&t, 7, 0);
	/* Nobody accepts: all but the first are being dialled, and take no descriptor. */
	for (unsigned i = 0; i < VSOCK_MAX_CONNS; i++)
		say(&t, REQUEST, i, 7);
	expect(&t, RESPONSE, 0, 7);
	assert_true(quiet(&t));
	say(&t, REQUEST, 5000, 7);
	expect(&t, RST, 5000, 7);
	say(&t, RST, 17, 7);
	say(&t, REQUEST, 5000, 7); /* now there is room */
	assert_true(quiet(&t));
	assert_int_equal(in_use(&t), VSOCK_MAX_CONNS);
	for (unsigned i = 0; i < VSOCK_MAX_CONNS; i++)
		if (i != 17)
			assert_non_null(vsock_conn_find(&t.v, i, 7));
	vsock_conns_expire(&t.v, LATER);
	driver_kick(&t.d, RX);
	for (unsigned i = 1; i < VSOCK_MAX_CONNS; i++) {
		struct packet p;

		assert_true(hear(&t, &p));
		assert_int_equal(p.h.op, RST);
	}
	listen_end(&t, 7, listener);
	rig_down(&t);
}

static void too_many_silent_clients_wait_outside(void **state __unused)
{
	struct rig t;
	int fd[VSOCK_CLIENTS + 2];
	struct pollfd p;

	rig_up(&t);
	p = (struct pollfd){ .fd = t.v.timer.fd, .events = POLLIN };
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = client(&t, i == VSOCK_CLIENTS ? "CONNECT 5\n" : "");
	assert_int_equal(t.v.nr_clients, VSOCK_CLIENTS);
	assert_true(t.v.paused);
	assert_true(quiet(&t));
	close(fd[0]);
	settle(&t);
	t.v.timer.fn(&t.v.timer, EPOLLIN); /* too early */
	assert_int_equal(t.v.nr_clients, VSOCK_CLIENTS - 1);
	assert_int_equal(poll(&p, 1, 60000), 1); /* the next tick */
	expect(&t, REQUEST, 5, 1u << 30);
	for (unsigned i = 1; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	settle(&t);
	rig_down(&t);
}

static void a_guest_without_buffers_loses_nothing(void **state __unused)
{
	struct rig t;
	struct packet p;
	uint32_t a, b;
	int one, two;

	rig_up(&t);
	one = connected(&t, &a);
	two = connected(&t, &b);
	t.keep = true;
	for (unsigned i = 0; i < BUFS; i++) { /* used up */
		say(&t, CREDIT_REQUEST, 5000, a);
		expect(&t, CREDIT_UPDATE, 5000, a);
	}
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(send(one, "one", 3, 0), 3);
		assert_int_equal(send(two, "two", 3, 0), 3);
		say(&t, CREDIT_REQUEST, 5000, a);
	}
	shutdown(two, SHUT_WR);
	assert_true(quiet(&t));
	t.keep = false;
	for (unsigned i = 0; i < 8; i++)
		offer(&t, t.buffer[i]);
	driver_kick(&t.d, RX);
	p = expect(&t, RW, 5000, a);
	assert_int_equal(p.h.len, 300);
	p = expect(&t, RW, 5000, b);
	assert_int_equal(p.h.len, 300);
	expect(&t, SHUTDOWN, 5000, b);
	assert_true(quiet(&t));
	close(one);
	close(two);
	rig_down(&t);
}

static void a_flood_of_nonsense_waits_for_the_answers(void **state __unused)
{
	const unsigned all = 3 * VSOCK_MAX_RSTS;
	struct rig t;
	struct packet p = packet(RW, 1, 2);
	gpa_t out;

	rig_open(&t);
	assert_true(driver_start(&t.d, 0)); /* no buffers yet */
	out = driver_alloc(&t.d, all * sizeof(p.h));
	for (unsigned i = 0; i < all; i++) {
		p.h.src_port = i;
		memcpy(ram_at(&t.d.ram, out, sizeof(p.h)), &p.h, sizeof(p.h));
		ring_send(&t.d.ring[TX], &(struct ring_buf){ out, sizeof(p.h), false }, 1);
		out += sizeof(p.h);
	}
	driver_kick(&t.d, TX);
	settle(&t);
	assert_int_equal(ring_used(&t.d.ring[TX]), VSOCK_MAX_RSTS);
	for (unsigned i = 0; i < BUFS; i++)
		offer(&t, driver_alloc(&t.d, BUF_LEN));
	driver_kick(&t.d, RX);
	for (unsigned i = 0; i < all; i++)
		expect(&t, RST, i, 2);
	assert_int_equal(ring_used(&t.d.ring[TX]), all);
	assert_true(quiet(&t));
	rig_down(&t);
}

/* -- resets ---------------------------------------------------------------------------------- */

static void a_reset_ends_all_of_it(void **state __unused)
{
	struct rig t;
	struct epoll_event ev;
	uint32_t port;
	int fd, listener;

	rig_up(&t);
	listener = listen_at(&t, 7, 0);
	say(&t, REQUEST, 1, 7);
	expect(&t, RESPONSE, 1, 7);
	say(&t, REQUEST, 2, 7);
	fd = connected(&t, &port);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	/* The loop has fetched the event, and the reset comes first. */
	assert_int_equal(epoll_wait(t.loop.epoll_fd, &ev, 1, 0), 1);
	virtio_reset(&t.v.vd);
	((struct loop_source *)ev.data.ptr)->fn(ev.data.ptr, ev.events);
	assert_true(at_end(fd));
	assert_int_equal(in_use(&t), 0);
	close(fd);
	rig_start(&t);
	((struct loop_source *)ev.data.ptr)->fn(ev.data.ptr, ev.events);
	fd = connected(&t, &port);
	/* Another connection is in that slot now. */
	((struct loop_source *)ev.data.ptr)->fn(ev.data.ptr, EPOLLHUP);
	assert_true(quiet(&t));
	assert_int_equal(in_use(&t), 1);
	close(fd);
	listen_end(&t, 7, listener);
	rig_down(&t);
}

static void a_queue_alone_can_be_reset(void **state __unused)
{
	struct rig t;
	uint32_t port;
	int fd;

	rig_up(&t);
	fd = connected(&t, &port);
	virtio_queue_disable(&t.v.vd, virtio_queue(&t.v.vd, RX));
	assert_int_equal(send(fd, "later", 5, 0), 5);
	settle(&t);
	driver_queue_up(&t.d, RX);
	for (unsigned i = 0; i < 4; i++)
		offer(&t, driver_alloc(&t.d, BUF_LEN));
	driver_kick(&t.d, RX);
	expect(&t, RW, 5000, port);
	close(fd);
	rig_down(&t);
}

static void *run_loop(void *arg)
{
	struct rig *t = arg;

	assert_int_equal(loop_run(&t->loop), 0);
	return NULL;
}

/* A vCPU resets the device while clients come and go on the loop's thread. */
static void a_reset_may_come_at_any_time(void **state __unused)
{
	struct rig t;
	pthread_t thread;

	rig_up(&t);
	assert_int_equal(pthread_create(&thread, NULL, run_loop, &t), 0);
	for (unsigned i = 0; i < 100; i++) {
		struct sockaddr_un a = address(&t, -1);
		int fd[4];

		for (unsigned j = 0; j < ARRAY_SIZE(fd); j++) {
			fd[j] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
			assert_int_equal(connect(fd[j], (struct sockaddr *)&a, sizeof(a)), 0);
			(void)!send(fd[j], "CONNECT 3\nx", 11, MSG_NOSIGNAL);
		}
		pthread_mutex_lock(&t.d.lock);
		rig_start(&t);
		pthread_mutex_unlock(&t.d.lock);
		for (unsigned j = 0; j < ARRAY_SIZE(fd); j++)
			close(fd[j]);
	}
	loop_stop(&t.loop);
	pthread_join(thread, NULL);
	rig_down(&t);
}

/* -- set-up ---------------------------------------------------------------------------------- */

static void the_guest_reads_its_cid(void **state __unused)
{
	struct rig t;

	rig_up(&t);
	assert_int_equal(virtio_config_read(&t.v.vd, 0, 8), CID);
	assert_int_equal(virtio_config_read(&t.v.vd, 0, 4), CID);
	assert_int_equal(virtio_config_read(&t.v.vd, 4, 4), 0);
	assert_int_equal(virtio_config_read(&t.v.vd, 1, 8), 0);
	rig_down(&t);
}

static int init_at(struct virtio_vsock *v, const char *path, struct capture *said)
{
	static struct loop loop;
	struct vsock_options o = { .cid = CID, .path = path };
	int rc;

	capture_begin(said);
	rc = virtio_vsock_init(v, &o, &loop);
	capture_end(said);
	return rc;
}

static void a_socket_left_behind_is_replaced_and_no_other(void **state __unused)
{
	struct rig t;
	struct virtio_vsock v;
	struct capture said;
	char path[80];
	int fd;

	rig_open(&t);
	assert_int_equal(init_at(&v, t.path, &said), -EADDRINUSE);
	assert_non_null(strstr(said.text, "is in use"));
	virtio_vsock_destroy(&v);
	assert_int_equal(access(t.path, F_OK), 0);

	fd = listen_at(&t, 1, 1);
	close(fd);
	assert_int_equal(init_at(&v, address(&t, 1).sun_path, &said), 0);
	virtio_vsock_destroy(&v);

	snprintf(path, sizeof(path), "%s/none/v", t.dir);
	assert_int_equal(init_at(&v, path, &said), -ENOENT);
	assert_non_null(strstr(said.text, path));
	virtio_vsock_destroy(&v);
	assert_int_equal(init_at(&v, t.dir, &said), -EADDRINUSE);
	virtio_vsock_destroy(&v);
	rig_down(&t);
}

/* Somebody moved the socket to make room for another machine, while this one went on. */
static void a_socket_in_its_place_is_not_removed(void **state __unused)
{
	struct rig t;
	int fd;

	rig_up(&t);
	assert_int_equal(unlink(t.path), 0);
	fd = listen_at(&t, -1, 1);
	driver_destroy(&t.d);
	virtio_vsock_destroy(&t.v);
	loop_destroy(&t.loop);
	assert_int_equal(access(t.path, F_OK), 0);
	listen_end(&t, -1, fd);
	assert_int_equal(rmdir(t.dir), 0);
}

/* -- names that a guest can change ----------------------------------------------------------- */

/* Listens at path, in another directory, which a guest must not reach. */
static int listen_elsewhere(char dir[32], char path[64], const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(dir, "/tmp/secret-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, 64, "%s/%s", dir, name);
	strcpy(a.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void a_link_is_not_dialled(void **state __unused)
{
	char dir[32], secret[64], between[80];
	struct sockaddr_un link;
	struct capture said;
	struct rig t;
	int fd;

	rig_up(&t);
	fd = listen_elsewhere(dir, secret, "docker.sock");
	link = address(&t, 77);
	snprintf(between, sizeof(between), "%s/between", t.dir);
	assert_int_equal(symlink(secret, link.sun_path), 0);
	capture_begin(&said);
	say(&t, REQUEST, 1024, 77);
	expect(&t, RST, 1024, 77);
	assert_non_null(strstr(capture_end(&said), "v_77 is a symbolic link"));
	/* The same for a link to a socket that the guest could reach by another name. */
	assert_int_equal(unlink(link.sun_path), 0);
	assert_int_equal(symlink("v", link.sun_path), 0);
	say(&t, REQUEST, 1024, 77);
	expect(&t, RST, 1024, 77);
	/* The same for two links. */
	assert_int_equal(symlink(secret, between), 0);
	assert_int_equal(unlink(link.sun_path), 0);
	assert_int_equal(symlink("between", link.sun_path), 0);
	say(&t, REQUEST, 1024, 77);
	expect(&t, RST, 1024, 77);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
	unlink(between);
	unlink(link.sun_path);
	unlink(secret);
	rmdir(dir);
	rig_down(&t);
}

static void a_file_of_another_kind_is_not_dialled(void **state __unused)
{
	struct rig t;

	rig_up(&t);
	assert_int_equal(mkfifo(address(&t, 5).sun_path, 0600), 0);
	assert_int_equal(mkdir(address(&t, 6).sun_path, 0700), 0);
	say(&t, REQUEST, 1024, 5);
	expect(&t, RST, 1024, 5);
	say(&t, REQUEST, 1024, 6);
	expect(&t, RST, 1024, 6);
	unlink(address(&t, 5).sun_path);
	rmdir(address(&t, 6).sun_path);
	rig_down(&t);
}

/* The directory of the start counts, for dialling and for removing. */
static void another_directory_in_its_place_is_not_entered(void **state __unused)
{
	char dir[32], secret[64], moved[64], own[80];
	int listener, fd, peer;
	struct rig t;

	rig_up(&t);
	listener = listen_at(&t, 77, 8);
	fd = listen_elsewhere(dir, secret, "v_77");
	snprintf(moved, sizeof(moved), "%s.moved", t.dir);
	assert_int_equal(rename(t.dir, moved), 0);
	assert_int_equal(symlink(dir, t.dir), 0);
	say(&t, REQUEST, 1024, 77);
	expect(&t, RESPONSE, 1024, 77);
	peer = accept_from(listener);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	close(fd);
	close(peer);
	driver_destroy(&t.d);
	virtio_vsock_destroy(&t.v);
	loop_destroy(&t.loop);
	snprintf(own, sizeof(own), "%s/v", moved);
	assert_int_equal(access(own, F_OK), -1);
	close(listener);
	snprintf(own, sizeof(own), "%s/v_77", moved);
	assert_int_equal(unlink(own), 0);
	assert_int_equal(rmdir(moved), 0);
	unlink(t.dir);
	unlink(secret);
	rmdir(dir);
}

/* Two machines have sockets called web and web_2, or a console's socket has such a name. */
static void the_socket_of_another_machine_is_not_dialled(void **state __unused)
{
	const int console = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	static struct virtio_vsock other;
	struct capture said;
	char here[256], path[80];
	struct rig t;

	rig_up(&t);
	assert_int_equal(init_at(&other, address(&t, 2).sun_path, &said), 0);
	/* People open it to a group like this; and it is renamed meanwhile. */
	assert_int_equal(chmod(address(&t, 2).sun_path, 0660), 0);
	capture_begin(&said);
	say(&t, REQUEST, 1024, 2);
	expect(&t, RST, 1024, 2);
	assert_non_null(strstr(capture_end(&said), "v_2 belongs to another machine"));
	virtio_vsock_destroy(&other);
	/* The same by a relative path. */
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(t.dir), 0);
	assert_int_equal(unix_file_bind(console, "v_3"), 0);
	assert_int_equal(chdir(here), 0);
	assert_int_equal(listen(console, 1), 0);
	say(&t, REQUEST, 1024, 3);
	expect(&t, RST, 1024, 3);
	snprintf(path, sizeof(path), "%s_4", t.path);
	assert_int_equal(rename(address(&t, 3).sun_path, path), 0);
	say(&t, REQUEST, 1024, 4);
	expect(&t, RST, 1024, 4);
	close(console);
	unlink(path);
	rig_down(&t);
}

static void the_socket_is_for_its_user_only(void **state __unused)
{
	const mode_t before = umask(0);
	struct stat st;
	struct rig t;

	rig_up(&t);
	umask(before);
	assert_int_equal(stat(t.path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	rig_down(&t);
}

static void vhost_needs_the_host_s_module(void **state __unused)
{
	struct vsock_vhost v = { 0 };
	struct capture said;
	struct driver d;

	vsock_vhost_destroy(&v);
	if (access("/dev/vhost-vsock", F_OK) < 0) {
		capture_begin(&said);
		assert_int_equal(vsock_vhost_init(&v, CID, true, NULL), -ENOENT);
		assert_non_null(strstr(
			capture_end(&said),
			"--vsock: this host has no /dev/vhost-vsock; load its module, as in sudo modprobe vhost_vsock"));
		vsock_vhost_destroy(&v);
	}
	/* A dry run's device exists, and can't be started. */
	assert_int_equal(vsock_vhost_init(&v, CID, false, NULL), 0);
	driver_init(&d, &v.vd);
	assert_int_equal(virtio_config_read(&v.vd, 0, 8), CID);
	log_set_level(LOG_QUIET);
	assert_false(driver_start(&d, 0));
	log_set_level(LOG_WARN);
	assert_true(v.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	driver_destroy(&d);
	vsock_vhost_destroy(&v);
	vsock_vhost_destroy(&v);
}

/* -- ports that a descriptor answers --------------------------------------------------------- */

struct told {
	unsigned nr;
	uint32_t port;
};

static void note_delivered(void *ctx, uint32_t port)
{
	struct told *told = ctx;

	told->nr++;
	told->port = port;
}

/* Returns the host's end of port 9, to which the guest's port 80 is connected. */
static int offered(struct rig *t, struct told *told)
{
	int fd[2];

	*told = (struct told){ 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
	assert_int_equal(virtio_vsock_offer(&t->v, 9, fd[1]), 0);
	virtio_vsock_on_delivered(&t->v, note_delivered, told);
	say(t, REQUEST, 80, 9);
	expect(t, RESPONSE, 80, 9);
	return fd[0];
}

static void a_descriptor_answers_its_port_once(void **state __unused)
{
	struct rig t;
	struct told told;
	struct packet p;
	int fd;

	rig_up(&t);
	fd = offered(&t, &told);
	assert_int_equal(send(fd, "down", 4, 0), 4);
	p = expect(&t, RW, 80, 9);
	assert_memory_equal(p.data, "down", 4);
	say_data(&t, 80, 9, "up", 2);
	assert_reads(fd, "up");
	say(&t, REQUEST, 81, 9);
	expect(&t, RST, 81, 9);
	assert_int_equal(told.nr, 0);
	say_shutdown(&t, 80, 9, SHUT_SEND);
	assert_true(at_end(fd));
	assert_int_equal(told.nr, 1);
	assert_int_equal(told.port, 9);
	assert_int_equal(send(fd, "more", 4, 0), 4);
	expect(&t, RW, 80, 9);
	say_shutdown(&t, 80, 9, SHUT_SEND | SHUT_RCV);
	expect(&t, RST, 80, 9);
	assert_int_equal(told.nr, 1);
	close(fd);
	rig_down(&t);
}

static void delivered_means_all_of_it(void **state __unused)
{
	static uint8_t data[64 * KIB];
	struct rig t;
	struct told told;
	size_t sent = 0, got = 0;
	int fd;

	rig_up(&t);
	fd = offered(&t, &told);
	for (; sent < 768 * KIB && !t.v.conn[0].len; sent += sizeof(data))
		say_data(&t, 80, 9, data, sizeof(data));
	assert_true(t.v.conn[0].len); /* nobody has read it */
	say_shutdown(&t, 80, 9, SHUT_SEND);
	assert_int_equal(told.nr, 0);
	while (got < sent) {
		ssize_t n = recv(fd, data, sizeof(data), 0);

		assert_true(n > 0);
		got += (size_t)n;
		settle(&t);
	}
	assert_int_equal(told.nr, 1);
	assert_true(at_end(fd));
	close(fd);
	rig_down(&t);
}

static void who_closes_or_is_reset_is_done(void **state __unused)
{
	struct rig t;
	struct told told;
	int fd;

	rig_up(&t);
	fd = offered(&t, &told);
	close(fd);
	settle(&t);
	assert_int_equal(told.nr, 1);
	rig_down(&t);

	rig_up(&t);
	fd = offered(&t, &told);
	rig_start(&t); /* the guest starts anew, and finds the port closed */
	assert_int_equal(told.nr, 1);
	assert_true(at_end(fd));
	say(&t, REQUEST, 80, 9);
	expect(&t, RST, 80, 9);
	close(fd);
	rig_down(&t);
}

static void what_nobody_took_is_closed_in_the_end(void **state __unused)
{
	struct rig t;
	int fd[2];

	rig_up(&t);
	for (unsigned i = 0; i < VSOCK_MAX_OFFERS; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
		assert_int_equal(virtio_vsock_offer(&t.v, i, fd[1]), 0);
		if (i)
			close(fd[0]);
		else
			t.out = (gpa_t)fd[0];
	}
	log_set_level(LOG_QUIET);
	assert_int_equal(virtio_vsock_offer(&t.v, 100, dup(0)), -ENOSPC);
	log_set_level(LOG_WARN);
	virtio_vsock_finish(&t.v);
	assert_true(at_end((int)t.out));
	close((int)t.out);
	rig_down(&t);
}

/* The kernel refuses everything, and the guest tries again and again. */
static void a_guest_can_t_flood_the_log_by_vhost(void **state __unused)
{
	struct message_count count = { .sink = { count_message, LOG_INFO } };
	const unsigned tries = 2000;
	struct vsock_vhost v;
	struct driver d;

	assert_int_equal(vsock_vhost_init(&v, 3, false, NULL), 0);
	v.open = true;
	v.vhost = (struct vhost){ .fd = open("/dev/null", O_RDWR | O_CLOEXEC), .option = "-" };
	assert_true(v.vhost.fd >= 0);
	driver_init(&d, &v.vd);
	log_use(&count.sink);
	for (unsigned i = 0; i < tries; i++)
		assert_false(driver_start(&d, 0));
	log_use(NULL);
	assert_in_range(count.nr, 1, tries); /* there would be two each, if they weren't limited */
	driver_destroy(&d);
	vsock_vhost_destroy(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_reaches_the_guest),
		cmocka_unit_test(a_guest_that_refuses_closes_the_client),
		cmocka_unit_test(the_guest_reaches_a_listener),
		cmocka_unit_test(a_listener_that_is_gone_refuses),
		cmocka_unit_test(a_busy_listener_is_asked_again),
		cmocka_unit_test(only_a_whole_command_will_do),
		cmocka_unit_test(a_command_may_come_in_pieces),
		cmocka_unit_test(a_command_that_never_ends_does),
		cmocka_unit_test(a_guest_that_does_not_answer_refuses),
		cmocka_unit_test(clients_wait_for_a_driver_and_without_one_are_refused),
		cmocka_unit_test(the_guest_is_never_sent_more_than_it_has_room_for),
		cmocka_unit_test(credit_counters_that_lie_end_the_connection),
		cmocka_unit_test(a_slow_reader_holds_up_the_guest_and_loses_nothing),
		cmocka_unit_test(what_follows_descriptors_and_urgent_data_arrives),
		cmocka_unit_test(a_reader_wakes_the_loop_only_if_it_was_slow),
		cmocka_unit_test(a_guest_that_sends_beyond_its_credit_is_cut_off),
		cmocka_unit_test(each_direction_closes_alone),
		cmocka_unit_test(a_guest_that_reads_no_more_says_so),
		cmocka_unit_test(a_host_that_reads_no_more_says_so),
		cmocka_unit_test(data_come_before_the_end),
		cmocka_unit_test(what_a_guest_sent_before_it_closed_arrives),
		cmocka_unit_test(half_a_close_waits_for_the_data),
		cmocka_unit_test(nobody_drains_for_ever),
		cmocka_unit_test(those_who_never_drain_do_not_flood_the_log),
		cmocka_unit_test(the_end_of_the_machine_waits_for_a_reader),
		cmocka_unit_test(a_host_that_goes_while_data_wait_costs_them),
		cmocka_unit_test(a_packet_for_nobody_is_answered),
		cmocka_unit_test(a_packet_that_makes_no_sense_ends_the_connection),
		cmocka_unit_test(a_quiet_device_holds_no_buffer),
		cmocka_unit_test(before_it_is_open_a_connection_carries_nothing),
		cmocka_unit_test(after_its_end_data_end_it_for_good),
		cmocka_unit_test(strangers_are_ignored),
		cmocka_unit_test(a_buffer_without_room_is_malformed),
		cmocka_unit_test(many_connections_at_once_and_no_more),
		cmocka_unit_test(connections_have_a_budget),
		cmocka_unit_test(a_full_table_refuses),
		cmocka_unit_test(too_many_silent_clients_wait_outside),
		cmocka_unit_test(a_guest_without_buffers_loses_nothing),
		cmocka_unit_test(a_flood_of_nonsense_waits_for_the_answers),
		cmocka_unit_test(a_reset_ends_all_of_it),
		cmocka_unit_test(a_queue_alone_can_be_reset),
		cmocka_unit_test(a_reset_may_come_at_any_time),
		cmocka_unit_test(the_guest_reads_its_cid),
		cmocka_unit_test(a_socket_left_behind_is_replaced_and_no_other),
		cmocka_unit_test(a_socket_in_its_place_is_not_removed),
		cmocka_unit_test(a_descriptor_answers_its_port_once),
		cmocka_unit_test(delivered_means_all_of_it),
		cmocka_unit_test(who_closes_or_is_reset_is_done),
		cmocka_unit_test(what_nobody_took_is_closed_in_the_end),
		cmocka_unit_test(a_link_is_not_dialled),
		cmocka_unit_test(a_file_of_another_kind_is_not_dialled),
		cmocka_unit_test(another_directory_in_its_place_is_not_entered),
		cmocka_unit_test(the_socket_of_another_machine_is_not_dialled),
		cmocka_unit_test(the_socket_is_for_its_user_only),
		cmocka_unit_test(vhost_needs_the_host_s_module),
		cmocka_unit_test(a_guest_can_t_flood_the_log_by_vhost),
	};

	return cmocka_run_group_tests_name("virtio-vsock", tests, NULL, NULL);
}
