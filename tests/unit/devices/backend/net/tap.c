/* SPDX-License-Identifier: BSD-2-Clause */
/* Real TAPs, in a network namespace of the test's own; skipped where there can't be one. */
#include "backend/net/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "capture.h"
#include "test.h"

#define PROTOCOL 0x88b5 /* for experiments */
#define OPTION   "--net tap=t"

static bool possible;

static int enter_namespace(void **state __unused)
{
	possible = unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 &&
		   access("/dev/net/tun", R_OK | W_OK) == 0;
	return 0;
}

static void need_namespace(void)
{
	if (!possible)
		skip();
}

/* Opens the network's side: a socket that sees PROTOCOL on the interface. */
static int open_wire(const char *name)
{
	struct sockaddr_ll a = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(PROTOCOL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	struct timeval patience = { .tv_sec = 60 };
	int s = socket(AF_PACKET, SOCK_RAW, htons(PROTOCOL));

	assert_true(s >= 0);
	assert_true(a.sll_ifindex > 0);
	assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return s;
}

static void make_frame(uint8_t frame[100], uint8_t mark)
{
	memset(frame, mark, 100);
	memset(frame, 0xff, ETH_ALEN); /* to everybody */
	frame[ETH_ALEN] = 2;
	store_le(frame + 2 * ETH_ALEN, 2, htons(PROTOCOL));
}

struct heard {
	struct loop loop;
	pthread_mutex_t lock;
	unsigned ready[NET_MAX_PAIRS];
	bool linked, up;
};

static void on_ready(void *ctx, unsigned pair)
{
	struct heard *h = ctx;

	h->ready[pair]++;
	loop_stop(&h->loop);
}

static void on_link(void *ctx, bool up)
{
	struct heard *h = ctx;

	h->linked = true;
	h->up = up;
	loop_stop(&h->loop);
}

static void start(struct net_backend *b, struct heard *h)
{
	*h = (struct heard){ .lock = PTHREAD_MUTEX_INITIALIZER };
	assert_int_equal(loop_init(&h->loop), 0);
	b->ready = on_ready;
	b->link = on_link;
	b->ctx = h;
	b->lock = &h->lock;
	assert_int_equal(b->ops->start(b, &h->loop), 0);
}

/* Receives frames from the wire until ours comes: the kernel sends some by itself. */
static void receive_ours(struct net_backend *b, struct heard *h, const uint8_t want[100])
{
	uint8_t got[2][1000];
	struct iovec iov[] = { { got[0], 7 }, { got[0] + 7, 993 }, { NULL, NET_MAX_FRAME } };
	ssize_t n;

	iov[2].iov_base = malloc(NET_MAX_FRAME);
	for (;;) {
		n = b->ops->receive(b, 0, iov, 3);
		if (n == NET_HDR_LEN + 100 && !memcmp(got[0] + NET_HDR_LEN, want, 100))
			break;
		if (n == -EAGAIN) {
			h->loop.stop = false;
			b->ops->want_frames(b, 0, true);
			assert_int_equal(loop_run(&h->loop), 0);
		}
	}
	free(iov[2].iov_base);
}

static void exchange(struct net_backend *b, const char *name)
{
	uint8_t out[NET_HDR_LEN + 100] = { 0 }, in[100], got[200];
	int wire = open_wire(name);
	struct heard h;

	start(b, &h);
	make_frame(out + NET_HDR_LEN, 0x11);
	assert_int_equal(b->ops->send(b, 0,
				      (struct iovec[]){ { out, 5 }, { out + 5, sizeof(out) - 5 } },
				      2) > 0,
			 1);
	assert_int_equal(recv(wire, got, sizeof(got), 0), 100);
	assert_memory_equal(got, out + NET_HDR_LEN, 100);
	make_frame(in, 0x22);
	assert_int_equal(send(wire, in, sizeof(in), 0), 100);
	receive_ours(b, &h, in);
	/* A header that lies loses its frame, and has no other effect. */
	memset(out, 0xff, NET_HDR_LEN);
	if (b->features)
		assert_int_equal(b->ops->send(b, 0, &(struct iovec){ out, sizeof(out) }, 1),
				 -EINVAL);
	close(wire);
	b->ops->destroy(b);
	loop_destroy(&h.loop);
}

static void a_tap_is_made_and_goes(void **state __unused)
{
	const struct net_tap_options o = { .option = OPTION, .pairs = 1, .mtu = 1400 };
	struct net_backend *b;

	need_namespace();
	assert_int_equal(net_tap_open(&o, &b), 0);
	assert_true(if_nametoindex("mvm0") > 0);
	assert_int_equal(b->mtu, 1400);
	assert_true(b->features & 1ull << VIRTIO_NET_F_GUEST_TSO4);
	exchange(b, "mvm0");
	assert_int_equal(if_nametoindex("mvm0"), 0);
}

/* In order, and one that the kernel refuses harms no other. */
static void many_frames_go_out_at_once(void **state __unused)
{
	const struct net_tap_options o = { .option = OPTION, .name = "t", .pairs = 1 };
	static uint8_t out[NET_BATCH][NET_HDR_LEN + 100];
	struct net_frame frame[NET_BATCH];
	struct iovec iov[NET_BATCH][2];
	struct net_backend *b;
	uint64_t lost = 0;
	uint8_t got[200];
	int wire;

	need_namespace();
	assert_int_equal(net_tap_open(&o, &b), 0);
	wire = open_wire("t");
	for (unsigned i = 0; i < NET_BATCH; i++) {
		const size_t first = i % 3 ? 7 : sizeof(out[i]);

		make_frame(out[i] + NET_HDR_LEN, (uint8_t)(i + 1));
		iov[i][0] = (struct iovec){ out[i], first };
		iov[i][1] = (struct iovec){ out[i] + first, sizeof(out[i]) - first };
		frame[i] = (struct net_frame){ iov[i], i % 3 ? 2 : 1, sizeof(out[i]) };
	}
	memset(out[5], 0xff, NET_HDR_LEN);
	for (unsigned nr = 3; nr <= NET_BATCH; nr += NET_BATCH - 3) { /* by hand, by a ring */
		lost = 0;
		assert_int_equal(b->ops->send_batch(b, 0, frame, nr, &lost), nr);
		assert_int_equal(lost, nr > 5);
		for (unsigned i = 0; i < nr; i++) {
			if (i == 5)
				continue;
			assert_int_equal(recv(wire, got, sizeof(got), 0), 100);
			assert_memory_equal(got, out[i] + NET_HDR_LEN, 100);
		}
	}
	close(wire);
	b->ops->destroy(b);
	assert_int_equal(if_nametoindex("t"), 0);
}

static void queues_are_attached_as_used(void **state __unused)
{
	const struct net_tap_options o = { .option = OPTION, .name = "many", .pairs = 3 };
	struct net_backend *b;

	need_namespace();
	assert_int_equal(net_tap_open(&o, &b), 0);
	assert_int_equal(b->pairs, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(b->ops->set_pairs(b, 3), 0);
		assert_int_equal(b->ops->set_pairs(b, 1), 0);
	}
	assert_int_equal(b->ops->set_features(b, b->features), 0);
	assert_int_equal(b->ops->set_features(b, 0), 0);
	exchange(b, "many");
}

/* A guest restarts: the interface is the same, as it was at first, and its script has run once. */
static void a_kept_tap_is_like_new(void **state __unused)
{
	static const char script[] = "#!/bin/sh\necho ran >>$0.log\n";
	char path[] = "/tmp/minivmm-tap-XXXXXX", log[64];
	struct kept kept = { 0 };
	const struct net_tap_options o = {
		.option = OPTION, .pairs = 3, .mtu = 1400, .script = path, .kept = &kept
	};
	struct stat st;
	int fd;

	need_namespace();
	fd = mkstemp(path);
	assert_int_equal(write(fd, script, sizeof(script) - 1), sizeof(script) - 1);
	fchmod(fd, 0700);
	close(fd);
	snprintf(log, sizeof(log), "%s.log", path);
	for (int life = 0; life < 3; life++) {
		struct net_backend *b;

		assert_int_equal(net_tap_open(&o, &b), 0);
		assert_int_equal(b->mtu, 1400);
		assert_true(b->features & 1ull << VIRTIO_NET_F_GUEST_TSO4);
		if (life == 2) {
			exchange(b, "mvm0"); /* destroys it, too */
			break;
		}
		assert_int_equal(b->ops->set_pairs(b, 3), 0);
		assert_int_equal(b->ops->set_features(b, b->features), 0);
		b->ops->destroy(b); /* as the guest left it */
	}
	assert_int_equal(stat(log, &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_true(if_nametoindex("mvm0") > 0);
	kept_end(&kept);
	assert_int_equal(if_nametoindex("mvm0"), 0);
	unlink(log);
	unlink(path);
}

static void delete_interface(const char *name)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
	} m = {
		.head = { .nlmsg_len = sizeof(m),
			  .nlmsg_type = RTM_DELLINK,
			  .nlmsg_flags = NLM_F_REQUEST },
		.link.ifi_index = (int)if_nametoindex(name),
	};
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	assert_int_equal(send(s, &m, sizeof(m), 0), sizeof(m));
	close(s);
}

static void a_deleted_interface_is_a_link_down(void **state __unused)
{
	const struct net_tap_options o = { .option = OPTION, .name = "gone", .pairs = 1 };
	struct net_backend *b;
	unsigned lines = 0;
	struct capture c;
	struct heard h;

	need_namespace();
	assert_int_equal(net_tap_open(&o, &b), 0);
	start(b, &h);
	assert_int_equal(b->ops->set_features(b, 1ull << VIRTIO_NET_F_GUEST_CSUM), 0);
	delete_interface("gone");
	while (!h.linked) {
		h.loop.stop = false;
		assert_int_equal(loop_run(&h.loop), 0);
	}
	assert_false(h.up);

	/* The guest may try again as often as it likes. */
	capture_begin(&c);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(b->ops->set_features(b, 0), -EBADFD);
	for (const char *p = capture_end(&c); (p = strchr(p, '\n')); p++)
		lines++;
	assert_in_range(lines, 1, 20); /* ten a second, and the second may end */
	b->ops->destroy(b);
	loop_destroy(&h.loop);
}

static void bring_up(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_UP };
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &r), 0);
	close(s);
}

static int open_tun(short flags)
{
	struct ifreq r = { .ifr_name = "handed", .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &r), 0);
	return fd;
}

static void a_tap_is_adopted(void **state __unused)
{
	need_namespace();
	for (int headers = 0; headers < 2; headers++) {
		int fd = open_tun((short)(IFF_TAP | IFF_NO_PI | (headers ? IFF_VNET_HDR : 0)));
		struct net_backend *b;

		bring_up("handed");
		assert_int_equal(net_tap_adopt("--net fd=9", fd, NULL, &b), 0);
		assert_int_equal(b->features != 0, headers);
		assert_int_equal(b->ops->tap_fd(b, 0) >= 0, headers);
		exchange(b, "handed");
		close(fd);
	}
}

static void what_is_no_tap_is_refused(void **state __unused)
{
	struct net_backend *b = NULL;
	struct capture c;
	int fd;

	capture_begin(&c);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_true(net_tap_adopt("--net fd=0", fd, NULL, &b) < 0);
	assert_non_null(strstr(capture_end(&c), "is not a TAP"));
	close(fd);
	capture_begin(&c);
	assert_true(net_tap_adopt("--net fd=9999", 9999, NULL, &b) < 0);
	assert_non_null(strstr(capture_end(&c), "--net fd=9999: descriptor 9999"));
	need_namespace();
	fd = open_tun(IFF_TUN | IFF_NO_PI);
	capture_begin(&c);
	assert_true(net_tap_adopt("--net fd=9", fd, NULL, &b) < 0);
	assert_non_null(strstr(capture_end(&c), "is not a TAP"));
	close(fd);
	assert_null(b);
}

static void refuses(const struct net_tap_options *o, const char *words)
{
	struct net_backend *b = NULL;
	struct capture c;

	capture_begin(&c);
	assert_true(net_tap_open(o, &b) < 0);
	assert_non_null(strstr(capture_end(&c), words));
	assert_null(b);
}

static void what_cannot_be_is_explained(void **state __unused)
{
	struct net_tap_options o = { .option = OPTION, .name = "t", .pairs = 1 };
	struct net_backend *b;

	need_namespace();
	o.bridge = "nobridge";
	refuses(&o, "there is no bridge nobridge");
	o.bridge = NULL;
	o.name = "lo";
	refuses(&o, "that interface is not a TAP");
	o.name = "t";
	o.script = "/bin/false";
	refuses(&o, "script /bin/false t failed with status 1");
	o.script = "/there is no such";
	refuses(&o, "script /there is no such: No such file");
	o.script = NULL;
	assert_int_equal(net_tap_open(&o, &b), 0);
	refuses(&o, "the TAP is in use");
	b->ops->destroy(b);
}

static void a_program_may_ignore_its_children(void **state __unused)
{
	const struct net_tap_options o = {
		.option = OPTION, .name = "t", .pairs = 1, .script = "/bin/true"
	};
	struct net_backend *b;
	struct capture c;
	int rc;

	need_namespace();
	signal(SIGCHLD, SIG_IGN);
	capture_begin(&c);
	rc = net_tap_open(&o, &b);
	assert_non_null(strstr(capture_end(&c), "script /bin/true: its status is lost"));
	signal(SIGCHLD, SIG_DFL);
	assert_int_equal(rc, 0);
	b->ops->destroy(b);
}

/* This comes last: dropped privileges don't come back. */
static void without_privileges_there_are_commands(void **state __unused)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	const struct net_tap_options o = {
		.option = OPTION, .bridge = "br0", .mtu = 9000, .pairs = 2
	};

	need_namespace();
	assert_int_equal(syscall(SYS_capset, &head, none), 0);
	refuses(&o,
		"Run once: sudo ip tuntap add dev mvm0 mode tap user $USER multi_queue && sudo ip link set mvm0 mtu 9000 master br0 up; then use --net tap=mvm0. Or use --net user, which needs no privileges");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tap_is_made_and_goes),
		cmocka_unit_test(many_frames_go_out_at_once),
		cmocka_unit_test(queues_are_attached_as_used),
		cmocka_unit_test(a_kept_tap_is_like_new),
		cmocka_unit_test(a_deleted_interface_is_a_link_down),
		cmocka_unit_test(a_tap_is_adopted),
		cmocka_unit_test(what_is_no_tap_is_refused),
		cmocka_unit_test(what_cannot_be_is_explained),
		cmocka_unit_test(a_program_may_ignore_its_children),
		cmocka_unit_test(without_privileges_there_are_commands),
	};

	return cmocka_run_group_tests_name("net-tap", tests, enter_namespace, NULL);
}
