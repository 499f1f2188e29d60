/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vhost-user daemon that says what the input contains, and a driver: answers that are right
 * except for their values, any bytes, too few bytes, unasked messages, descriptors, and the end of
 * the connection at any time. Nothing is waited for.
 */
#include <fcntl.h>
#include <stdio.h>

#include "unit/devices/backend/vhost/daemon.h"
#include "fuzz.h"

struct target {
	struct fs_vhost s;
	struct driver d;
	struct loop loop;
	uint8_t *host;
	int memfd, peer;
	uint64_t all_features;
};

static struct target t;

static void target_init(void)
{
	const struct fs_vhost_options dry = { .tag = "tag", .dry = true };
	int rc = loop_init(&t.loop);

	assert(rc == 0);
	rc = fs_vhost_init(&t.s, &dry, &t.loop);
	assert(rc == 0);
	t.all_features = t.s.vd.features;
	t.memfd = shared_driver_init(&t.d, &t.s.vd, &t.host);
	t.peer = -1;
}

static void say(const void *bytes, size_t len)
{
	if (t.peer >= 0)
		(void)!send(t.peer, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The answer is right except for what flags say. */
static void answer(struct fuzz_in *in)
{
	struct vu_message m = { .request = (uint32_t)fuzz_number(in, 1), .flags = 5, .size = 8 };
	const uint8_t how = (uint8_t)fuzz_number(in, 1);

	if (how & 1)
		m.u64 = fuzz_number(in, 8);
	if (how & 2)
		m.flags = (uint32_t)fuzz_number(in, 4);
	if (how & 4)
		m.size = (uint32_t)fuzz_number(in, 4);
	say(&m, how & 8 ? fuzz_number(in, 1) % 21 : 20);
}

static void say_bytes(struct fuzz_in *in)
{
	uint8_t bytes[256];
	const size_t len = fuzz_number(in, 1);

	fuzz_take(in, bytes, len);
	say(bytes, len);
}

/* Gives every answer that a start needs. */
static void answer_all(bool acks)
{
	static const uint32_t asked[] = { VU_SET_FEATURES,   VU_SET_MEM_TABLE,   VU_SET_VRING_NUM,
					  VU_SET_VRING_BASE, VU_SET_VRING_ADDR,  VU_SET_VRING_CALL,
					  VU_SET_VRING_KICK, VU_SET_VRING_ENABLE };

	for (unsigned queue = 0; queue < 2 && acks; queue++)
		for (unsigned i = queue ? 2 : 0; i < ARRAY_SIZE(asked); i++)
			say(&(struct vu_message){ asked[i], 5, 8, .u64 = 0 }, 20);
}

static void stop_answers(void)
{
	for (unsigned i = 0; i < 2; i++)
		say(&(struct vu_message){ VU_GET_VRING_BASE, 5, 8, .state = { i, 0 } }, 20);
}

static void hang_up(void)
{
	if (t.peer >= 0)
		close(t.peer);
	t.peer = -1;
}

static void with_descriptors(void)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { "x", 1 };
	struct msghdr hdr = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.h), &t.memfd, sizeof(int));
	if (t.peer >= 0)
		(void)!sendmsg(t.peer, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The daemon lets go of guest memory, and goes on if somebody kicks then. */
static void rest(bool goes_on)
{
	virtio_quiesce(&t.s.vd);
	assert(!t.s.daemon.running);
	for (unsigned i = 0; i < t.s.vd.nr_queues && goes_on; i++)
		t.s.vd.ops->lent_kick(&t.s.vd, &t.s.vd.q[i]);
}

static void step(struct fuzz_in *in)
{
	const uint8_t op = (uint8_t)fuzz_number(in, 1);

	if (op == FUZZ_REST) {
		rest(fuzz_number(in, 1) & 1);
		return;
	}
	switch (op % 10) {
	case 0:
	case 1:
		answer(in);
		break;
	case 2:
		say_bytes(in);
		break;
	case 3:
		answer_all(t.s.daemon.acks);
		break;
	case 4:
		driver_start(&t.d, fuzz_number(in, 5) & t.s.vd.features);
		break;
	case 5:
		stop_answers();
		break;
	case 6:
		if (t.s.daemon.watched)
			t.s.daemon.hangup.fn(&t.s.daemon.hangup, EPOLLIN);
		break;
	case 7:
		virtio_queue_disable(&t.s.vd, virtio_queue(&t.s.vd, op / 10 & 1));
		break;
	case 8:
		hang_up();
		break;
	case 9:
		with_descriptors();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	const struct vhost_user_memory *memory;
	int pair[2], rc;

	if (!t.s.vd.ops)
		target_init();
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 0;
	t.peer = pair[0];
	memory = &(struct vhost_user_memory){ t.memfd, t.host };
	for (uint8_t n = (uint8_t)fuzz_number(&in, 1) % 8; n; n--)
		answer(&in);
	rc = vhost_user_init(&t.s.daemon, "--fs tag=tag", pair[1], memory, 0);
	assert(rc < 0 || t.s.daemon.fd >= 0);
	t.s.open = true;
	t.s.vd.features = vhost_user_offer(&t.s.daemon, t.all_features);
	for (unsigned steps = 0; in.len && steps < 60; steps++)
		step(&in);
	virtio_reset(&t.s.vd);
	vhost_user_destroy(&t.s.daemon);
	t.s.open = false;
	hang_up();
	return 0;
}
