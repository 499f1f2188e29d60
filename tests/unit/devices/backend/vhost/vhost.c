/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues that the host's kernel serves, where the kernel is a fake: its ioctls end here, and it
 * serves its rings when the test says so. Descriptors of it are kept ones, so nothing opens /dev.
 */
#include "backend/vhost/vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "backend/net/net.h"
#include "ring.h"
#include "test.h"
#include "virtio/net.h"
#include "virtio/vsock.h"
#include "virtio/vsock_vhost.h"

#define FEATURES                                                                                   \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) |                    \
	 VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF))

static struct fake_kernel {
	struct {
		unsigned num, base;
		struct vhost_vring_addr at;
		int kick, call, backend;
	} ring[2];
	bool running;    /* vsock */
	unsigned starts; /* how often it was given a base */
} kernel;

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list va;
	void *arg;

	va_start(va, request);
	arg = va_arg(va, void *);
	va_end(va);

	struct vhost_vring_state *state = arg;
	const struct vhost_vring_file *file = arg;

	switch (request) {
	case VHOST_GET_FEATURES:
		*(uint64_t *)arg = FEATURES;
		return 0;
	case VHOST_SET_FEATURES:
	case VHOST_SET_MEM_TABLE:
	case VHOST_VSOCK_SET_GUEST_CID:
		return 0;
	case VHOST_SET_VRING_NUM:
		kernel.ring[state->index].num = state->num;
		return 0;
	case VHOST_SET_VRING_BASE:
		kernel.ring[state->index].base = state->num;
		kernel.starts++;
		return 0;
	case VHOST_GET_VRING_BASE:
		state->num = kernel.ring[state->index].base;
		return 0;
	case VHOST_SET_VRING_ADDR:
		kernel.ring[((struct vhost_vring_addr *)arg)->index].at =
			*(struct vhost_vring_addr *)arg;
		return 0;
	case VHOST_SET_VRING_KICK:
		kernel.ring[file->index].kick = file->fd;
		return 0;
	case VHOST_SET_VRING_CALL:
		kernel.ring[file->index].call = file->fd;
		return 0;
	case VHOST_NET_SET_BACKEND:
		kernel.ring[file->index].backend = file->fd;
		return 0;
	case VHOST_VSOCK_SET_RUNNING:
		kernel.running = *(int *)arg;
		return 0;
	}
	return __real_ioctl(fd, request, arg);
}

/* Uses all that is available. Returns how many. */
static unsigned kernel_serves(unsigned i)
{
	const struct vring_avail *avail = (void *)(uintptr_t)kernel.ring[i].at.avail_user_addr;
	struct vring_used *used = (void *)(uintptr_t)kernel.ring[i].at.used_user_addr;
	const unsigned num = kernel.ring[i].num;
	unsigned nr = 0;

	assert_true(kernel.ring[i].kick >= 0);
	for (; (uint16_t)kernel.ring[i].base != avail->idx; kernel.ring[i].base++, nr++) {
		used->ring[used->idx % num].id = avail->ring[kernel.ring[i].base % num];
		used->ring[used->idx % num].len = 4;
		used->idx++;
	}
	return nr;
}

static void offer(struct driver *d, unsigned queue)
{
	ring_send(&d->ring[queue],
		  &(struct ring_buf){ driver_alloc(d, 64), 64, .in = queue % 2 == 0 }, 1);
}

/* The kernel has served three of the first queue, and none of the second: quiet, and on. */
static void check_quiet(struct driver *d, unsigned rx)
{
	struct ring_elem e;

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 3; i++)
			offer(d, rx);
		assert_int_equal(kernel_serves(0), round ? 4 : 3);
		assert_true(d->unwatched[rx] && d->unwatched[rx + 1]);

		virtio_quiesce(d->vd);
		assert_true(driver_holds_nothing(d));
		assert_int_equal(d->vd->q[rx].state.next_avail, 4 * round + 3);
		assert_int_equal(kernel.ring[0].kick, -1);
		assert_false(d->unwatched[rx] || d->unwatched[rx + 1]);
		virtio_quiesce(d->vd);
		offer(d, rx); /* meanwhile */

		kernel.starts = 0;
		driver_go_on(d);
		assert_int_equal(kernel.starts, 2); /* once for each */
		assert_true(d->vd->q[rx].quiet);    /* the kernel's event index stays as it is */
		assert_true(d->unwatched[rx] && d->unwatched[rx + 1]);
	}
	assert_int_equal(kernel_serves(0), 1);
	for (unsigned i = 0; i < 12; i++) {
		assert_true(ring_take(&d->ring[rx], &e));
		assert_int_equal(e.id, i);
	}
	assert_int_equal(ring_used(&d->ring[rx]), 0);
}

static int any_fd(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void keep(struct kept *kept, unsigned nr)
{
	AUTO_CLOSE int fd = any_fd();

	assert_int_equal(kept_keep(kept, nr, fd, "fake"), 0);
}

static void sockets_of_the_kernels_are_quiet_and_go_on(void **state __unused)
{
	struct kept kept = { 0 };
	struct vsock_vhost v;
	struct driver d;

	keep(&kept, 0);
	assert_int_equal(vsock_vhost_init(&v, 3, true, &kept), 0);
	driver_init(&d, &v.vd);
	virtio_quiesce(&v.vd);
	assert_true(driver_start(&d, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)));
	assert_true(kernel.running);
	check_quiet(&d, VSOCK_RX);
	assert_true(kernel.running);

	/* A reset ends it, also while it is quiet. */
	virtio_quiesce(&v.vd);
	assert_false(kernel.running);
	virtio_set_status(&v.vd, 0);
	driver_go_on(&d);
	assert_false(kernel.running);
	driver_destroy(&d);
	vsock_vhost_destroy(&v);
	kept_end(&kept);
}

static int tap_start(struct net_backend *b __unused, struct loop *loop __unused)
{
	return 0;
}

static int tap_fd(struct net_backend *b __unused, unsigned pair __unused)
{
	return 1000; /* the kernel is a fake */
}

static void tap_want_frames(struct net_backend *b __unused, unsigned pair __unused,
			    bool on __unused)
{
}

static void tap_destroy(struct net_backend *b __unused) {}

static void frames_of_the_kernels_are_quiet_and_go_on(void **state __unused)
{
	static const struct net_backend_ops ops = {
		.name = "tap",
		.start = tap_start,
		.tap_fd = tap_fd,
		.want_frames = tap_want_frames,
		.destroy = tap_destroy,
	};
	struct net_backend tap = { .ops = &ops, .pairs = 1 };
	struct kept kept = { 0 };
	const struct virtio_net_options o = {
		.name = "--net tap", .mtu = 1500, .vhost = true, .kept = &kept
	};
	struct virtio_net n;
	struct driver d;

	keep(&kept, KEPT_VHOST);
	assert_int_equal(virtio_net_init(&n, &o, &tap), 0);
	driver_init(&d, &n.vd);
	assert_int_equal(virtio_start(&n.vd, NULL), 0);
	assert_true(driver_start(&d, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)));
	assert_int_equal(kernel.ring[0].backend, 1000);
	check_quiet(&d, 0);
	assert_int_equal(kernel.ring[0].backend, 1000);
	virtio_quiesce(&n.vd);
	assert_int_equal(kernel.ring[0].backend, -1);
	assert_int_equal(kernel.ring[1].backend, -1);
	driver_destroy(&d);
	virtio_net_destroy(&n);
	kept_end(&kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_of_the_kernels_are_quiet_and_go_on),
		cmocka_unit_test(frames_of_the_kernels_are_quiet_and_go_on),
	};

	return cmocka_run_group_tests_name("vhost", tests, NULL, NULL);
}
