/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames over a stream socket arrive whole and in order however the stream is cut; and a peer may
 * go, come back and lie. */
#include "backend/net/socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "net_end.h"
#include "vmm/log.h"

/* The peer, with its socket in a directory of its own. */
struct fixture {
	char dir[32], path[64];
	int listener, peer;
	struct net_end *e;
};

static int accept_one(struct fixture *x)
{
	int fd = accept4(x->listener, NULL, NULL, SOCK_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (void *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static struct fixture start(void)
{
	struct fixture x = { .dir = "/tmp/net_socket.XXXXXX" };

	log_set_level(LOG_QUIET);
	assert_non_null(mkdtemp(x.dir));
	snprintf(x.path, sizeof(x.path), "%s/s", x.dir);
	x.listener = listen_at(x.path);
	return x;
}

static void open_end(struct fixture *x)
{
	struct net_backend *b;

	assert_int_equal(net_socket_open(&b, x->path, NULL), 0);
	x->e = net_end_new(b);
	x->peer = accept_one(x);
}

static void finish(struct fixture *x)
{
	if (x->e)
		net_end_free(x->e);
	close_fd(&x->peer);
	close_fd(&x->listener);
	unlink(x->path);
	rmdir(x->dir);
}

/* Fills a frame of len bytes that differ by its number and their place. */
static void fill(uint8_t *frame, size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(number * 7 + i + (i >> 8));
}

static void check(const uint8_t *frame, size_t len, unsigned number)
{
	uint8_t want[NET_MAX_FRAME];

	fill(want, len, number);
	assert_memory_equal(frame, want, len);
}

/* Appends a frame with its length to to. */
static size_t put(uint8_t *to, size_t len, unsigned number)
{
	to[0] = (uint8_t)(len >> 24);
	to[1] = (uint8_t)(len >> 16);
	to[2] = (uint8_t)(len >> 8);
	to[3] = (uint8_t)len;
	fill(to + 4, len, number);
	return 4 + len;
}

static void peer_write(struct fixture *x, const void *data, size_t len)
{
	assert_int_equal(write(x->peer, data, len), len);
}

static void peer_read(struct fixture *x, void *buf, size_t len)
{
	for (size_t n = 0; n < len;) {
		ssize_t got = read(x->peer, (uint8_t *)buf + n, len - n);

		assert_true(got > 0);
		n += (size_t)got;
	}
}

static void frames_come_whole_however_they_are_cut(void **state __unused)
{
	static const size_t lens[] = { 14, 60, 1514, 15, 65553, 9000, 64 };
	static const size_t pieces[] = { SIZE_MAX, 4099, 661 };
	static uint8_t stream[128 * 1024];
	struct fixture x = start();
	size_t total = 0;

	open_end(&x);
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++)
		total += put(stream + total, lens[i], i);
	/* All at once, then in pieces that end anywhere. */
	for (unsigned round = 0; round < ARRAY_SIZE(pieces); round++) {
		const size_t piece = min(pieces[round], total);
		size_t end = 4 + lens[0];
		unsigned frames = 0;

		for (size_t n = 0; n < total; n += piece) {
			peer_write(&x, stream + n, min(piece, total - n));
			for (; frames < ARRAY_SIZE(lens) && end <= n + piece; frames++) {
				net_end_await(x.e, NULL);
				assert_int_equal(x.e->len, lens[frames]);
				check(x.e->frame, lens[frames], frames);
				end += 4 + lens[min(frames + 1, ARRAY_SIZE(lens) - 1)];
			}
		}
		assert_int_equal(frames, ARRAY_SIZE(lens));
	}
	assert_int_equal(x.e->links, 0);
	finish(&x);
}

static void frames_go_out_with_their_length(void **state __unused)
{
	static const size_t lens[] = { 14, 1514, 65553, 100 };
	uint8_t frame[NET_MAX_FRAME] = { 0 }, want[4 + NET_MAX_FRAME], got[4 + NET_MAX_FRAME];
	struct fixture x = start();

	open_end(&x);
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		fill(frame, lens[i], i);
		net_end_send(x.e, frame, lens[i]);
		peer_read(&x, got, put(want, lens[i], i));
		assert_memory_equal(got, want, 4 + lens[i]);
	}
	assert_int_equal(net_end_try_send(x.e, frame, 13), -EMSGSIZE);
	assert_int_equal(net_end_try_send(x.e, frame, 0), -EMSGSIZE);
	assert_int_equal(net_end_try_send(x.e, frame, 65554), -EMSGSIZE);
	finish(&x);
}

/* If a peer does not read, what was taken is still sent in full, and ready() tells when to go
 * on. */
static void a_slow_peer_loses_no_byte(void **state __unused)
{
	static uint8_t frame[65000], got[4 + 65000], want[4 + 65000];
	struct fixture x = start();
	unsigned sent = 0, received = 0;

	open_end(&x);
	x.e->greedy = false;
	for (unsigned round = 0; round < 3; round++) {
		for (;;) {
			size_t len = 1000 + sent * 977 % 64000;
			ssize_t n;

			fill(frame, len, sent);
			n = net_end_try_send(x.e, frame, len);
			if (n == -EAGAIN)
				break;
			assert_int_equal(n, NET_HDR_LEN + len);
			sent++;
			memset(frame, 0xff, sizeof(frame)); /* it's ours again */
		}
		assert_int_equal(net_end_try_send(x.e, frame, 1000), -EAGAIN);
		/* All but the last frame: the backend may still have its end. */
		for (; received + 1 < sent; received++) {
			size_t len = put(want, 1000 + received * 977 % 64000, received);

			peer_read(&x, got, len);
			assert_memory_equal(got, want, len);
		}
		net_end_await(x.e, NULL);
	}
	finish(&x);
}

#define LONGEST 3000u

static size_t length_of(unsigned number)
{
	return number % 7 == 3 ? 5 : 100 + number * 977 % (LONGEST - 100); /* 5: too short */
}

/* Sends frames number *sent and up, as many as there is room for. Returns whether there was room for
 * all of a batch. */
static bool send_batch(struct fixture *x, unsigned *sent, uint64_t *lost)
{
	static uint8_t data[NET_BATCH][NET_HDR_LEN + LONGEST];
	struct net_frame frame[NET_BATCH];
	struct iovec iov[NET_BATCH];
	unsigned took;

	for (unsigned i = 0; i < NET_BATCH; i++) {
		const size_t len = length_of(*sent + i);

		fill(data[i] + NET_HDR_LEN, len, *sent + i);
		iov[i] = (struct iovec){ data[i], NET_HDR_LEN + len };
		frame[i] = (struct net_frame){ &iov[i], 1, NET_HDR_LEN + len };
	}
	took = x->e->b->ops->send_batch(x->e->b, 0, frame, NET_BATCH, lost);
	*sent += took;
	return took == NET_BATCH;
}

/* However much of a batch the socket takes, every byte arrives once. */
static void batches_arrive_whole(void **state __unused)
{
	static uint8_t got[4 + LONGEST], want[4 + LONGEST];
	unsigned sent = 0, received = 0;
	struct fixture x = start();
	uint64_t lost = 0, bad = 0;

	open_end(&x);
	x.e->greedy = false;
	for (unsigned round = 0; round < 5; round++) {
		while (send_batch(&x, &sent, &lost))
			continue;
		/* All but the last frame: the backend may still have its end. */
		for (; received + 2 < sent; received++) {
			if (length_of(received) == 5) {
				bad++;
				continue;
			}
			peer_read(&x, got, put(want, length_of(received), received));
			assert_memory_equal(got, want, 4 + length_of(received));
		}
		net_end_await(x.e, NULL);
	}
	assert_true(sent > 100);
	assert_in_range(lost, bad, bad + 2);
	finish(&x);
}

static void frames_wait_for_a_guest_without_buffers(void **state __unused)
{
	uint8_t stream[3 * 104];
	struct fixture x = start();
	size_t len = 0;

	open_end(&x);
	for (unsigned i = 0; i < 3; i++)
		len += put(stream + len, 100, i);
	x.e->greedy = false;
	peer_write(&x, stream, len);
	net_end_await(x.e, NULL); /* the peer has read all of them; ready() says so */
	x.e->b->ops->want_frames(x.e->b, 0, false);
	x.e->greedy = true;
	x.e->b->ops->want_frames(x.e->b, 0, true);
	x.e->matched = false;
	net_end_run(x.e); /* told again, though nothing new came */
	assert_true(x.e->matched);
	check(x.e->frame, 100, 0);
	for (unsigned i = 1; i < 3; i++) {
		net_end_await(x.e, NULL);
		check(x.e->frame, 100, i);
	}
	finish(&x);
}

/* A broken device takes nothing: the socket is read until the buffer is full, and then not any
 * more. */
static void a_device_that_takes_nothing_costs_nothing(void **state __unused)
{
	static uint8_t stream[4 + 1500];
	struct fixture x = start();
	unsigned sent = 0, turns = 0, before;

	open_end(&x);
	x.e->greedy = false;
	x.e->match = net_end_never;
	do {
		before = sent;
		while (send(x.peer, stream, put(stream, 1500, sent), MSG_DONTWAIT) > 0)
			sent++;
		while (net_end_turn(x.e))
			assert_true(turns++ < 10000);
	} while (sent > before);
	assert_true(sent > 100);
	x.e->greedy = true;
	for (unsigned i = 0; i < sent; i++) {
		net_end_await(x.e, NULL);
		check(x.e->frame, 1500, i);
	}
	finish(&x);
}

static void a_frame_that_does_not_fit_is_lost_alone(void **state __unused)
{
	uint8_t stream[4096], small[200];
	struct iovec iov = { small, sizeof(small) };
	struct fixture x = start();
	size_t len;

	open_end(&x);
	x.e->greedy = false;
	len = put(stream, 189, 0);
	len += put(stream + len, 188, 1);
	peer_write(&x, stream, len);
	net_end_await(x.e, NULL);
	assert_int_equal(x.e->b->ops->receive(x.e->b, 0, &iov, 1), -EMSGSIZE);
	assert_int_equal(x.e->b->ops->receive(x.e->b, 0, &iov, 1), 200);
	check(small + 12, 188, 1);
	assert_int_equal(x.e->b->ops->receive(x.e->b, 0, &iov, 1), -EAGAIN);
	finish(&x);
}

static void a_peer_that_goes_away_is_awaited(void **state __unused)
{
	uint8_t stream[200], frame[100] = { 0 };
	struct fixture x = start();

	open_end(&x);
	put(stream, 100, 5);
	peer_write(&x, stream, 50); /* half a frame, which must not be continued later */
	close(x.peer);
	net_end_await_link(x.e, false);
	assert_int_equal(net_end_try_send(x.e, frame, sizeof(frame)), -ENOTCONN);
	net_end_await_link(x.e, true);
	x.peer = accept_one(&x);
	peer_write(&x, stream, 104);
	net_end_await(x.e, NULL);
	check(x.e->frame, 100, 5);
	net_end_send(x.e, frame, sizeof(frame));
	peer_read(&x, stream, 104);
	assert_int_equal(x.e->links, 2);
	finish(&x);
}

static void await_event(struct net_end *e)
{
	struct pollfd p = { .fd = e->loop.epoll_fd, .events = POLLIN };
	uint64_t n;

	(void)!read(e->loop.wake_fd, &n, sizeof(n));
	assert_int_equal(poll(&p, 1, -1), 1);
	assert_true(net_end_turn(e));
}

/* Somebody who can write to the directory puts a link in the socket's place, or in the
 * directory's. */
static void a_link_in_its_place_is_not_followed(void **state __unused)
{
	struct fixture x = start(), victim = start();
	char moved[64];

	open_end(&x);
	assert_int_equal(unlink(x.path), 0);
	assert_int_equal(symlink(victim.path, x.path), 0);
	close_fd(&x.peer);
	net_end_await_link(x.e, false);
	await_event(x.e); /* it tries again, and is not let in */
	assert_false(x.e->up);
	assert_int_equal(accept4(victim.listener, NULL, NULL, 0), -1);
	assert_int_equal(unlink(x.path), 0);
	close_fd(&x.listener);
	x.listener = listen_at(x.path);
	snprintf(moved, sizeof(moved), "%s.moved", x.dir);
	assert_int_equal(rename(x.dir, moved), 0);
	assert_int_equal(symlink(victim.dir, x.dir), 0);
	net_end_await_link(x.e, true);
	x.peer = accept_one(&x);
	assert_int_equal(accept4(victim.listener, NULL, NULL, 0), -1);
	assert_int_equal(unlink(x.dir), 0);
	assert_int_equal(rename(moved, x.dir), 0);
	finish(&x);
	victim.peer = -1;
	finish(&victim);
}

static void a_peer_that_hangs_up_on_a_guest_without_buffers(void **state __unused)
{
	struct fixture x = start();

	open_end(&x);
	x.e->b->ops->want_frames(x.e->b, 0, false);
	close_fd(&x.peer);
	net_end_await_link(x.e, false);
	finish(&x);
}

/* Sends until the backend has no room. */
static void choke(struct fixture *x)
{
	static uint8_t frame[60000];

	x->e->greedy = false;
	while (net_end_try_send(x->e, frame, sizeof(frame)) > 0)
		continue;
	assert_int_equal(net_end_try_send(x->e, frame, sizeof(frame)), -EAGAIN);
	x->e->readies = 0;
	x->e->match = net_end_never;
}

/* The device holds a frame back until ready(): nothing else would make it go on. */
static void a_device_without_room_is_told_when_the_peer_goes(void **state __unused)
{
	static uint8_t frame[60000];
	struct fixture x = start();

	open_end(&x);
	choke(&x);
	close_fd(&x.peer);
	net_end_await_link(x.e, false);
	assert_true(x.e->readies > 0);
	assert_int_equal(net_end_try_send(x.e, frame, sizeof(frame)), -ENOTCONN);
	finish(&x);
}

/* Its socket has room again but takes nothing: that event never ends. */
static void a_peer_that_reads_no_more_costs_nothing(void **state __unused)
{
	static uint8_t frame[60000];
	uint8_t stream[104];
	struct fixture x = start();

	open_end(&x);
	choke(&x);
	assert_int_equal(shutdown(x.peer, SHUT_RD), 0);
	while (read(x.peer, frame, sizeof(frame)) > 0)
		continue;
	for (unsigned turns = 0; net_end_turn(x.e); turns++)
		assert_true(turns < 100);
	assert_true(x.e->readies > 0);
	assert_int_equal(net_end_try_send(x.e, frame, sizeof(frame)), -EPIPE);
	x.e->greedy = true;
	peer_write(&x, stream, put(stream, 100, 3));
	net_end_await(x.e, NULL);
	check(x.e->frame, 100, 3);
	assert_int_equal(x.e->links, 0);
	finish(&x);
}

static void a_peer_out_of_step_is_disconnected(void **state __unused)
{
	static const uint32_t lengths[] = { 0, 13, 65554, 0xffffffff };
	struct fixture x = start();

	open_end(&x);
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint8_t stream[300];
		size_t len = put(stream, 100, i);
		uint32_t length = htobe32(lengths[i]);

		/* A good frame before the bad one is delivered, what follows is not. */
		memcpy(stream + len, &length, 4);
		len += 4;
		len += put(stream + len, 100, 99);
		x.e->frames = 0;
		peer_write(&x, stream, len);
		net_end_await_link(x.e, false);
		assert_int_equal(x.e->frames, 1);
		check(x.e->frame, 100, i);
		assert_int_equal(read(x.peer, stream, 1), 0);
		close(x.peer);
		net_end_await_link(x.e, true);
		x.peer = accept_one(&x);
	}
	finish(&x);
}

static void nobody_listens(void **state __unused)
{
	char path[200];
	struct net_backend *b;
	struct fixture x = start();

	x.peer = -1;
	close_fd(&x.listener);
	assert_int_equal(net_socket_open(&b, x.path, NULL), -ECONNREFUSED);
	unlink(x.path);
	assert_int_equal(net_socket_open(&b, x.path, NULL), -ENOENT);
	assert_int_equal(symlink("nowhere", x.path), 0);
	assert_int_equal(net_socket_open(&b, x.path, NULL), -ELOOP);
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(net_socket_open(&b, path, NULL), -ENAMETOOLONG);
	finish(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_whole_however_they_are_cut),
		cmocka_unit_test(frames_go_out_with_their_length),
		cmocka_unit_test(a_slow_peer_loses_no_byte),
		cmocka_unit_test(batches_arrive_whole),
		cmocka_unit_test(frames_wait_for_a_guest_without_buffers),
		cmocka_unit_test(a_device_that_takes_nothing_costs_nothing),
		cmocka_unit_test(a_frame_that_does_not_fit_is_lost_alone),
		cmocka_unit_test(a_peer_that_goes_away_is_awaited),
		cmocka_unit_test(a_link_in_its_place_is_not_followed),
		cmocka_unit_test(a_peer_that_hangs_up_on_a_guest_without_buffers),
		cmocka_unit_test(a_device_without_room_is_told_when_the_peer_goes),
		cmocka_unit_test(a_peer_that_reads_no_more_costs_nothing),
		cmocka_unit_test(a_peer_out_of_step_is_disconnected),
		cmocka_unit_test(nobody_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
