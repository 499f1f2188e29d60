/* SPDX-License-Identifier: BSD-2-Clause */
/* The front end of vhost-user with a daemon of the test's own, which is a thread. */
#include "daemon.h"

#include "count_fds.h"
#include "loop_turn.h"
#include "wires.h"
#include "virtio/pci.h"
#include "vmm/event.h"

#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <stdio.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <sys/un.h>

#include "capture.h"
#include "test.h"

enum fault {
	NONE,
	HANG_UP,
	SILENCE,
	WRONG_REQUEST,
	WRONG_FLAGS,
	WRONG_SIZE,
	HALF,
	REFUSAL,
	WITH_FDS
};

/* One ring, as the daemon knows it. */
struct vu_ring {
	uint32_t num, base;
	uint64_t desc, used, avail;
	int kick, call;
	bool enabled;
	uint16_t served;
};

struct daemon {
	pthread_t thread;
	int fd;
	uint64_t features, protocol; /* those that it has */
	enum fault fault;            /* in the answer to this request */
	uint32_t at;
	bool deaf; /* it never looks at kicks */

	uint64_t agreed, protocol_agreed;
	bool owned;
	struct {
		uint64_t gpa, size, user;
		uint8_t *at;
	} region[8];
	unsigned nr;
	struct vu_ring ring[2];
	bool bad;             /* we were sent something that the specification does not allow */
	pthread_mutex_t lock; /* held during obey(), and while others look */
};

static void expect(struct daemon *m, bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "the daemon was told nonsense: %s\n", what);
	m->bad = true;
}

static void *daemon_at(struct daemon *m, uint64_t address, bool guest)
{
	for (unsigned i = 0; i < m->nr; i++) {
		uint64_t base = guest ? m->region[i].gpa : m->region[i].user;

		if (address >= base && address - base < m->region[i].size)
			return m->region[i].at + (address - base);
	}
	return NULL;
}

/* Writes a new number to every chain, which has only one buffer. */
static void serve(struct daemon *m, struct vu_ring *r)
{
	struct vring_desc *desc = daemon_at(m, r->desc, false);
	struct vring_avail *avail = daemon_at(m, r->avail, false);
	struct vring_used *used = daemon_at(m, r->used, false);
	uint64_t n;

	if (read(r->kick, &n, sizeof(n)) < 0)
		return;
	expect(m, desc && avail && used, "a kick of a ring that is not set up");
	for (; !m->bad && r->base != __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE); r->base++) {
		uint16_t head = avail->ring[r->base % r->num];

		*(uint32_t *)daemon_at(m, desc[head].addr, true) = 1000u + r->served++;
		used->ring[r->base % r->num].id = head;
		used->ring[r->base % r->num].len = 4;
		__atomic_store_n(&used->idx, (uint16_t)(r->base + 1), __ATOMIC_RELEASE);
		n = 1;
		expect(m, write(r->call, &n, sizeof(n)) == sizeof(n),
		       "a call that can't be written");
	}
}

static void take_memory(struct daemon *m, const struct vu_message *msg, const int *fds, unsigned nr)
{
	expect(m, msg->memory.nr == nr && nr <= 8 && msg->size == 8 + 32 * nr, "a memory table");
	for (unsigned i = 0; i < nr && !m->bad; i++) {
		m->region[i].gpa = msg->memory.region[i].gpa;
		m->region[i].size = msg->memory.region[i].size;
		m->region[i].user = msg->memory.region[i].user;
		m->region[i].at = mmap(NULL, m->region[i].size, PROT_READ | PROT_WRITE, MAP_SHARED,
				       fds[i], (off_t)msg->memory.region[i].offset);
		expect(m, m->region[i].at != MAP_FAILED, "memory that can't be mapped");
		close(fds[i]);
	}
	m->nr = nr;
}

/* Returns whether there is a special answer, in *msg. */
static bool obey(struct daemon *m, struct vu_message *msg, int *fds, unsigned nr)
{
	struct vu_ring *r = &m->ring[msg->state.index & 1];

	switch (msg->request) {
	case VU_GET_FEATURES:
		*msg = (struct vu_message){ VU_GET_FEATURES, 0, 8, .u64 = m->features };
		return true;
	case VU_GET_PROTOCOL_FEATURES:
		*msg = (struct vu_message){ VU_GET_PROTOCOL_FEATURES, 0, 8, .u64 = m->protocol };
		return true;
	case VU_SET_PROTOCOL_FEATURES:
		m->protocol_agreed = msg->u64;
		expect(m, !(msg->u64 & ~m->protocol), "protocol features");
		break;
	case VU_SET_FEATURES:
		m->agreed = msg->u64;
		expect(m, !(msg->u64 & ~m->features), "features");
		break;
	case VU_SET_OWNER:
		m->owned = true;
		break;
	case VU_SET_MEM_TABLE:
		for (unsigned i = 0; i < m->nr; i++)
			munmap(m->region[i].at, m->region[i].size);
		take_memory(m, msg, fds, nr);
		break;
	case VU_SET_VRING_NUM:
		r->num = msg->state.num;
		break;
	case VU_SET_VRING_BASE:
		r->base = msg->state.num;
		break;
	case VU_SET_VRING_ADDR:
		r->desc = msg->addr.desc;
		r->used = msg->addr.used;
		r->avail = msg->addr.avail;
		break;
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
		expect(m, nr == 1 && msg->u64 <= 1, "an eventfd");
		*(msg->request == VU_SET_VRING_KICK ? &r->kick : &r->call) = fds[0];
		break;
	case VU_SET_VRING_ENABLE:
		r->enabled = msg->state.num;
		break;
	case VU_GET_VRING_BASE:
		close_fd(&r->kick);
		close_fd(&r->call);
		r->enabled = false;
		*msg = (struct vu_message){ VU_GET_VRING_BASE, 0, 8,
					    .state = { msg->state.index, r->base } };
		return true;
	default:
		expect(m, false, "an unknown request");
	}
	return false;
}

/* Sends the answer, with the wanted fault. False: there are no more answers. */
static bool answer(struct daemon *m, struct vu_message *msg, enum fault fault)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = { .h = { CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { msg, VU_HEADER + 8 };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	const int fds[2] = { 1, 2 };

	msg->flags = 1 | 4;
	if (fault == WRONG_REQUEST)
		msg->request++;
	if (fault == WRONG_FLAGS)
		msg->flags = 1;
	if (fault == WRONG_SIZE)
		msg->size = 0xffffffff;
	if (fault == HALF)
		iov.iov_len = VU_HEADER + 3;
	if (fault == WITH_FDS) {
		memcpy(CMSG_DATA(&control.h), fds, sizeof(fds));
		hdr.msg_control = &control;
		hdr.msg_controllen = sizeof(control);
	}
	sendmsg(m->fd, &hdr, MSG_NOSIGNAL);
	return fault == NONE || fault == WITH_FDS;
}

/* Receives a message and its descriptors. False: the other end has gone. */
static bool hear(struct daemon *m, struct vu_message *msg, int fds[8], unsigned *nr)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = { msg, VU_HEADER };
	struct msghdr hdr = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(m->fd, &hdr, MSG_WAITALL | MSG_CMSG_CLOEXEC);

	*nr = 0;
	if (n != VU_HEADER)
		return false;
	if (hdr.msg_controllen) {
		*nr = (unsigned)((control.h.cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(&control.h), *nr * sizeof(int));
	}
	expect(m, msg->size <= sizeof(*msg) - VU_HEADER && (msg->flags & 7) == 1, "a header");
	return m->bad || !msg->size ||
	       recv(m->fd, &msg->u64, msg->size, MSG_WAITALL) == (ssize_t)msg->size;
}

/* Without protocol features a ring need not be enabled. */
static int kick_of(const struct daemon *m, unsigned i)
{
	if (m->deaf)
		return -1;
	return m->ring[i].enabled || !(m->agreed >> 30 & 1) ? m->ring[i].kick : -1;
}

static void *daemon_main(void *arg)
{
	struct daemon *m = arg;
	bool on = true;

	while (on && !m->bad) {
		struct pollfd p[] = { { m->fd, POLLIN, 0 },
				      { kick_of(m, 0), POLLIN, 0 },
				      { kick_of(m, 1), POLLIN, 0 } };
		struct vu_message msg;
		int fds[8];
		unsigned nr;

		poll(p, 3, -1);
		for (unsigned i = 0; i < 2; i++)
			if (p[1 + i].revents)
				serve(m, &m->ring[i]);
		if (!p[0].revents)
			continue;
		if (!hear(m, &msg, fds, &nr))
			break;
		const enum fault fault = msg.request == m->at ? m->fault : NONE;
		const bool wanted = msg.flags & 8;

		if (fault == HANG_UP) {
			while (nr)
				close(fds[--nr]);
			break;
		}
		pthread_mutex_lock(&m->lock);
		const bool answers = obey(m, &msg, fds, nr);

		pthread_mutex_unlock(&m->lock);
		if (answers || (wanted && m->protocol_agreed & 8)) {
			if (msg.size != 8 || wanted)
				msg = (struct vu_message){ msg.request, 0, 8,
							   .u64 = fault == REFUSAL };
			if (fault != SILENCE)
				on = answer(m, &msg, fault);
		}
	}
	if (m->fault == HANG_UP || m->bad)
		shutdown(m->fd, SHUT_RDWR);
	return NULL;
}

struct rig {
	struct fs_vhost s;
	struct driver d;
	struct daemon m;
	struct loop loop;
	uint8_t *host;
	int memfd;
};

/* Is a daemon with that fault waited for in vain? */
static bool hangs(enum fault fault)
{
	return fault == SILENCE || fault == HALF;
}

static bool asked_at_init(uint32_t request)
{
	return request == VU_GET_FEATURES || request == VU_GET_PROTOCOL_FEATURES ||
	       request == VU_SET_OWNER;
}

/* Where a daemon is waited for in vain, briefly; where it answers, for as long as a busy host
 * needs. */
#define BRIEF_MS   50
#define PATIENT_MS 60000

/* Makes a device and a daemon, which agree unless the daemon has a fault. */
static int rig_up(struct rig *t, uint64_t features, uint64_t protocol, enum fault fault,
		  uint32_t at)
{
	const struct fs_vhost_options dry = { .tag = "tag", .dry = true };
	struct vhost_user_memory memory;
	int pair[2];

	*t = (struct rig){ .m = { .features = features,
				  .protocol = protocol,
				  .fault = fault,
				  .at = at,
				  .ring = { { .kick = -1, .call = -1 },
					    { .kick = -1, .call = -1 } },
				  .lock = PTHREAD_MUTEX_INITIALIZER } };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	t->m.fd = pair[0];
	assert_int_equal(pthread_create(&t->m.thread, NULL, daemon_main, &t->m), 0);
	assert_int_equal(loop_init(&t->loop), 0);
	assert_int_equal(fs_vhost_init(&t->s, &dry, &t->loop), 0);
	t->memfd = shared_driver_init(&t->d, &t->s.vd, &t->host);
	memory = (struct vhost_user_memory){ t->memfd, t->host };
	t->s.open = true;

	int rc = vhost_user_init(&t->s.daemon, "--fs tag=tag", pair[1], &memory,
				 hangs(fault) && asked_at_init(at) ? BRIEF_MS : PATIENT_MS);

	t->s.vd.features = vhost_user_offer(&t->s.daemon, t->s.vd.features);
	return rc;
}

static void rig_down(struct rig *t)
{
	driver_destroy(&t->d);
	fs_vhost_destroy(&t->s);
	shutdown(t->m.fd, SHUT_RDWR);
	pthread_join(t->m.thread, NULL);
	for (unsigned i = 0; i < t->m.nr; i++)
		munmap(t->m.region[i].at, t->m.region[i].size);
	for (unsigned i = 0; i < 2; i++) {
		close_fd(&t->m.ring[i].kick);
		close_fd(&t->m.ring[i].call);
	}
	close(t->m.fd);
	loop_destroy(&t->loop);
	munmap(t->host, SHARED_SIZE);
	close(t->memfd);
	assert_false(t->m.bad);
}

static uint32_t ask(struct rig *t, unsigned queue, gpa_t gpa)
{
	struct pollfd p = { shared_fd_hand_on(&t->d.lent_call[queue]), POLLIN, 0 };
	struct ring_elem used;
	uint64_t n = 1;

	ring_send(&t->d.ring[queue], &(struct ring_buf){ gpa, 4, .in = true }, 1);
	assert_int_equal(write(shared_fd_hand_on(&t->d.lent_kick[queue]), &n, sizeof(n)),
			 sizeof(n));
	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_int_equal(read(p.fd, &n, sizeof(n)), sizeof(n));
	assert_true(ring_take(&t->d.ring[queue], &used));
	assert_int_equal(used.len, 4);
	return *(uint32_t *)ram_at(&t->d.ram, gpa, 4);
}

/* The current value. */
#define SEEN(t, field)                                                                             \
	({                                                                                         \
		pthread_mutex_lock(&(t)->m.lock);                                                  \
		const __typeof__((t)->m.field) seen_ = (t)->m.field;                               \
		pthread_mutex_unlock(&(t)->m.lock);                                                \
		seen_;                                                                             \
	})

static void the_daemon_serves_the_queues(void **state __unused)
{
	struct rig t;

	for (uint64_t protocol = 0; protocol <= 0xff; protocol += 0xff) {
		assert_int_equal(rig_up(&t, VU_FEATURES | 1 << 24, protocol, NONE, 0), 0);
		assert_int_equal(SEEN(&t, protocol_agreed), protocol & 8);
		for (unsigned life = 0; life < 3; life++) {
			assert_true(driver_start(&t.d, t.s.vd.features));
			assert_int_equal(ask(&t, 1, 0xff000), 1000 + 2 * life);
			assert_int_equal(ask(&t, 1, 4 * MIB + 64),
					 1001 + 2 * life); /* the other region */
			assert_int_equal(ask(&t, 0, 4 * MIB), 1000 + life);
			assert_true(SEEN(&t, owned));
			assert_int_equal(SEEN(&t, agreed), VU_FEATURES);
			virtio_reset(&t.s.vd);
			assert_int_equal(SEEN(&t, ring[0].kick),
					 -1); /* it has stopped, and said so */
			assert_int_equal(SEEN(&t, ring[1].kick), -1);
		}
		assert_int_equal(virtio_config_read(&t.s.vd, 36, 4), 1);
		assert_int_equal(virtio_config_read(&t.s.vd, 0, 4), 'g' << 16 | 'a' << 8 | 't');
		rig_down(&t);
	}
}

/* Features of rings are those that both have; single queues don't come back. */
static void features_are_those_of_both(void **state __unused)
{
	struct rig t;

	assert_int_equal(rig_up(&t, 1ull << 32 | 1ull << 28, 0, NONE, 0), 0);
	assert_int_equal(t.s.vd.features, 1ull << 32 | 1ull << 28);
	assert_true(driver_start(&t.d, t.s.vd.features));
	assert_int_equal(ask(&t, 1, 0xff000), 1000);
	rig_down(&t);
	log_set_level(LOG_QUIET);
	assert_int_equal(rig_up(&t, 1ull << 28, 0, NONE, 0), -EPROTO);
	log_set_level(LOG_WARN);
	assert_false(driver_start(&t.d, 0));
	rig_down(&t);
}

/* Each fault at each message: the device fails in time, and nothing else does. */
static void a_daemon_that_errs_is_given_up(void **state __unused)
{
	static const uint32_t requests[] = {
		VU_GET_FEATURES,   VU_GET_PROTOCOL_FEATURES, VU_SET_OWNER,      VU_SET_FEATURES,
		VU_SET_MEM_TABLE,  VU_SET_VRING_NUM,         VU_SET_VRING_ADDR, VU_SET_VRING_CALL,
		VU_SET_VRING_KICK, VU_SET_VRING_ENABLE,      VU_GET_VRING_BASE
	};
	const unsigned before = count_fds();
	struct rig t;

	log_set_level(LOG_QUIET);
	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		for (enum fault f = HANG_UP; f < WITH_FDS; f++) {
			const bool at_init = asked_at_init(requests[i]),
				   at_stop = requests[i] == VU_GET_VRING_BASE,
				   asks = i < 2 || at_stop;
			int rc;

			if (f == REFUSAL && asks)
				continue;
			rc = rig_up(&t, VU_FEATURES, 0xff, f, requests[i]);
			assert_int_equal(rc < 0, at_init);
			if (hangs(f) && !at_stop)
				t.s.daemon.timeout_ms = BRIEF_MS;
			assert_int_equal(driver_start(&t.d, 0), at_stop);
			if (hangs(f))
				t.s.daemon.timeout_ms = BRIEF_MS;
			virtio_reset(&t.s.vd);
			assert_int_equal(t.s.daemon.fd, -1);
			assert_false(t.s.daemon.watched);
			assert_false(driver_start(&t.d, 0)); /* it does not start again */
			rig_down(&t);
		}
	}
	assert_int_equal(count_fds(), before);
	log_set_level(LOG_WARN);
}

static void descriptors_that_it_sends_are_not_taken(void **state __unused)
{
	struct rig t;
	unsigned before;

	assert_int_equal(rig_up(&t, VU_FEATURES, 0xff, WITH_FDS, VU_SET_FEATURES), 0);
	assert_true(driver_start(&t.d, 0));
	before = count_fds();
	for (unsigned i = 0; i < 5; i++)
		assert_true(driver_start(&t.d, 0));
	assert_int_equal(count_fds(), before);
	rig_down(&t);
}

static void a_daemon_that_dies_or_speaks_unasked_breaks_the_device(void **state __unused)
{
	struct capture c;
	struct rig t;

	for (int speaks = 0; speaks < 2; speaks++) {
		assert_int_equal(rig_up(&t, VU_FEATURES, 0xff, NONE, 0), 0);
		assert_true(driver_start(&t.d, 0));
		assert_true(t.s.daemon.watched);
		/* Nothing has come: the event was about an answer that has been read. */
		t.s.daemon.hangup.fn(&t.s.daemon.hangup, EPOLLIN);
		assert_int_equal(t.s.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
		if (speaks)
			assert_int_equal(write(t.m.fd, "x", 1), 1);
		else
			shutdown(t.m.fd, SHUT_WR);
		capture_begin(&c);
		t.s.daemon.hangup.fn(&t.s.daemon.hangup, EPOLLIN);
		t.s.daemon.hangup.fn(&t.s.daemon.hangup, EPOLLIN); /* one that was on its way */
		capture_end(&c);
		assert_non_null(strstr(
			c.text, speaks ? "--fs tag=tag: the daemon sends what nobody asked for"
				       : "--fs tag=tag: the daemon is gone\n"));
		assert_int_not_equal(t.s.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
		assert_int_equal(t.d.config_interrupts, 1);
		assert_false(t.s.daemon.watched);
		capture_begin(&c);
		assert_false(driver_start(&t.d, 0));
		capture_end(&c);
		assert_non_null(strstr(c.text, "the daemon is gone: start it, and minivmm, again"));
		rig_down(&t);
	}
}

/* -- by virtio-pci --------------------------------------------------------------------------- */

#define BAR    0xc0000000
#define COMMON 0x0000 /* in the BAR, as the device has it */
#define NOTIFY 0x3000
#define TABLE  0x4000

struct board {
	struct fs_vhost s;
	struct virtio_pci t;
	struct pci pci;
	struct test_wires wires;
	struct fake_ram ram;
	struct ring ring[2];
	struct loop loop;
	struct daemon m;
	uint8_t *host;
	int memfd;
};

/* The same as bus_write(). */
static void store(struct board *b, unsigned off, unsigned size, uint64_t v)
{
	struct dev *d = &b->t.fn.dev;

	pthread_mutex_lock(&d->lock);
	b->t.fn.ops->bar_write(&b->t.fn, off, size, v);
	pthread_mutex_unlock(&d->lock);
}

static void configure(struct board *b, unsigned off, unsigned size, uint64_t v)
{
	struct dev *d = &b->t.fn.dev;

	pthread_mutex_lock(&d->lock);
	d->ops->write(d, off, size, v);
	pthread_mutex_unlock(&d->lock);
}

/* Virtio 1.2 §4.1.4.9. */
static void notify_by_window(struct board *b, unsigned queue)
{
	configure(b, b->t.window + VIRTIO_PCI_CAP_OFFSET, 4, NOTIFY + 4 * queue);
	configure(b, b->t.window + VIRTIO_PCI_CAP_LENGTH, 4, 2);
	configure(b, b->t.window + 16, 2, queue);
}

static void board_queue(struct board *b, unsigned i)
{
	struct ring *r = &b->ring[i];

	ring_init(r, &b->ram, i * RING_BYTES, 64);
	store(b, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
	store(b, VIRTIO_PCI_COMMON_Q_SIZE, 2, r->size);
	store(b, VIRTIO_PCI_COMMON_Q_DESCLO, 4, r->desc_gpa);
	store(b, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, r->avail_gpa);
	store(b, VIRTIO_PCI_COMMON_Q_USEDLO, 4, r->used_gpa);
	store(b, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	store(b, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

/* Message 1 is for queues and configuration. */
static void board_start(struct board *b)
{
	store(b, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	configure(b, PCI_BASE_ADDRESS_0, 4, BAR);
	configure(b, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	store(b, TABLE + 16 + 12, 4, 0);
	configure(b, b->t.msix.cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned status = 1; status <= 3; status += 2)
		store(b, VIRTIO_PCI_COMMON_STATUS, 1, status);
	store(b, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	store(b, VIRTIO_PCI_COMMON_GF, 4, 1);
	store(b, VIRTIO_PCI_COMMON_STATUS, 1, 11);
	store(b, VIRTIO_PCI_COMMON_MSIX, 2, 1);
	for (unsigned i = 0; i < 2; i++)
		board_queue(b, i);
	store(b, VIRTIO_PCI_COMMON_STATUS, 1, 15);
	assert_int_equal(b->s.vd.state.status, 15);
}

static void board_up(struct board *b, bool deaf)
{
	const struct fs_vhost_options dry = { .tag = "tag", .dry = true };
	const struct wires wires = test_wires_init(&b->wires, 0);
	int pair[2];

	b->memfd = memfd_create("ram", MFD_CLOEXEC);
	assert_int_equal(ftruncate(b->memfd, 1 * MIB), 0);
	b->host = mmap(NULL, 1 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, b->memfd, 0);
	assert_int_equal(gmem_add(&b->ram.mem, 0, 1 * MIB, b->host), 0);
	b->m = (struct daemon){ .features = VU_FEATURES,
				.protocol = 8,
				.deaf = deaf,
				.ring = { { .kick = -1, .call = -1 }, { .kick = -1, .call = -1 } },
				.lock = PTHREAD_MUTEX_INITIALIZER };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	b->m.fd = pair[0];
	assert_int_equal(pthread_create(&b->m.thread, NULL, daemon_main, &b->m), 0);
	assert_int_equal(loop_init(&b->loop), 0);
	assert_int_equal(fs_vhost_init(&b->s, &dry, &b->loop), 0);
	b->s.open = true;

	const struct vhost_user_memory memory = { b->memfd, b->host };

	assert_int_equal(vhost_user_init(&b->s.daemon, "-", pair[1], &memory, 60000), 0);
	b->s.vd.features = vhost_user_offer(&b->s.daemon, b->s.vd.features);
	pci_init(&b->pci, BAR, 0x1000000, 0x1000000000, 0x1000000000);
	assert_int_equal(virtio_pci_init(&b->t, &b->s.vd, &b->ram.mem, &wires, &b->loop), 0);
	assert_true(pci_add(&b->pci, &b->t.fn) >= 0);
	board_start(b);
}

static void board_down(struct board *b)
{
	virtio_pci_destroy(&b->t);
	fs_vhost_destroy(&b->s);
	shutdown(b->m.fd, SHUT_RDWR);
	pthread_join(b->m.thread, NULL);
	for (unsigned i = 0; i < b->m.nr; i++)
		munmap(b->m.region[i].at, b->m.region[i].size);
	for (unsigned i = 0; i < 2; i++) {
		close_fd(&b->m.ring[i].kick);
		close_fd(&b->m.ring[i].call);
	}
	close(b->m.fd);
	pci_destroy(&b->pci);
	loop_destroy(&b->loop);
	munmap(b->host, 1 * MIB);
	close(b->memfd);
	assert_false(b->m.bad);
}

static void await_answer(struct board *b)
{
	struct pollfd p = { b->wires.msi[1].lent, POLLIN, 0 };
	struct ring_elem used;

	while (loop_turn(&b->loop))
		;
	while (!ring_take(&b->ring[1], &used)) {
		assert_int_equal(poll(&p, 1, 60000), 1);
		(void)test_wires_sent(&b->wires, 1);
	}
	assert_int_equal(used.len, 4);
}

/* KVM has the doorbell. Kicks by other ways reach the daemon, too. */
static void every_way_to_kick_reaches_the_daemon(void **state __unused)
{
	struct board b = { 0 };

	board_up(&b, false);
	for (unsigned i = 0; i < 12; i++) {
		ring_send(&b.ring[1], &(struct ring_buf){ 0xf0000, 4, .in = true }, 1);
		if (i % 3 == 0)
			assert_true(test_wires_store(&b.wires, BAR + NOTIFY + 4));
		else if (i % 3 == 1)
			notify_by_window(&b, 1);
		else
			store(&b, NOTIFY + 4 + 2, 1, 0);
		await_answer(&b);
	}
	board_down(&b);
}

static void board_quiesce(struct board *b)
{
	pthread_mutex_lock(b->s.vd.lock);
	virtio_quiesce(&b->s.vd);
	pthread_mutex_unlock(b->s.vd.lock);
	assert_false(b->s.daemon.running);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(SEEN(b, ring[i].kick), -1);
}

static void request(struct board *b)
{
	ring_send(&b->ring[1], &(struct ring_buf){ 0xf0000, 4, .in = true }, 1);
	assert_true(test_wires_store(&b->wires, BAR + NOTIFY + 4));
}

static void a_quiet_daemon_has_brought_its_positions_home(void **state __unused)
{
	struct board b = { 0 };
	const struct virtq_state *q = &b.s.vd.q[1].state;

	board_up(&b, false);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 3; i++) {
			request(&b);
			await_answer(&b);
		}
		board_quiesce(&b);
		assert_int_equal(q->next_avail, 4 * round + 3);
		assert_int_equal(q->next_used, 4 * round + 3);
		board_quiesce(&b);

		/* What comes meanwhile waits, and its kick isn't lost. */
		request(&b);
		assert_int_equal(ring_used(&b.ring[1]), 0);
		await_answer(&b);
		assert_true(b.s.daemon.running);
	}
	/* A reset ends it all. */
	board_quiesce(&b);
	board_start(&b);
	assert_int_equal(q->next_avail, 0);
	request(&b);
	await_answer(&b);
	board_down(&b);
}

static void a_daemon_that_dies_in_the_quiet_is_noticed(void **state __unused)
{
	struct board b = { 0 };

	board_up(&b, false);
	log_set_level(LOG_QUIET);
	shutdown(b.m.fd, SHUT_RDWR);
	pthread_mutex_lock(b.s.vd.lock);
	virtio_quiesce(&b.s.vd);
	pthread_mutex_unlock(b.s.vd.lock);
	while (loop_turn(&b.loop))
		;
	log_set_level(LOG_WARN);
	assert_true(b.s.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	board_down(&b);
}

static int take_dup(struct board *b, bool kick)
{
	int fd;

	pthread_mutex_lock(&b->m.lock);
	fd = fcntl(kick ? b->m.ring[0].kick : b->m.ring[0].call, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&b->m.lock);
	return fd;
}

/* It makes its eventfds blocking, and fills them. Neither a vCPU nor the loop waits for it:
 * otherwise this test doesn't end. */
static void a_daemon_that_fills_its_eventfds_holds_nobody_up(void **state __unused)
{
	const uint64_t most = UINT64_MAX - 1;
	struct board b = { 0 };

	board_up(&b, true);
	for (unsigned i = 0; i < 4; i++) {
		const int fd = take_dup(&b, i % 2);

		assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
		event_take(fd);
		assert_int_equal(write(fd, &most, sizeof(most)), sizeof(most));
		close(fd);
		notify_by_window(&b, 0);
		store(&b, NOTIFY, 1, 0);
		if (i == 1)
			board_start(&b); /* a reset, and another life */
	}
	configure(&b, b.t.msix.cap + PCI_MSIX_FLAGS, 2,
		  PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	log_set_level(LOG_QUIET);
	shutdown(b.m.fd, SHUT_WR);
	while (loop_turn(&b.loop))
		;
	log_set_level(LOG_WARN);
	assert_int_equal(b.s.vd.state.status & VIRTIO_CONFIG_S_NEEDS_RESET,
			 VIRTIO_CONFIG_S_NEEDS_RESET);
	notify_by_window(&b, 0);
	store(&b, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	board_down(&b);
}

static void a_dry_run_has_a_device_that_does_not_start(void **state __unused)
{
	const struct fs_vhost_options dry = { .tag = "t", .dry = true };
	struct fs_vhost s;
	struct driver d;

	assert_int_equal(fs_vhost_init(&s, &dry, NULL), 0);
	driver_init(&d, &s.vd);
	log_set_level(LOG_QUIET);
	assert_false(driver_start(&d, 0));
	log_set_level(LOG_WARN);
	driver_destroy(&d);
	fs_vhost_destroy(&s);
	s = (struct fs_vhost){ 0 };
	fs_vhost_destroy(&s);
}

static void nobody_there_is_told(void **state __unused)
{
	const struct fs_vhost_options o = { .tag = "t",
					    .path = "/nowhere/socket",
					    .memory.fd = -1 };
	struct fs_vhost s;
	struct capture c;

	capture_begin(&c);
	assert_int_equal(fs_vhost_init(&s, &o, NULL), -ENOENT);
	capture_end(&c);
	fs_vhost_destroy(&s);
	assert_string_equal(
		c.text,
		"minivmm: --fs tag=t: nobody listens at /nowhere/socket; start the daemon first, as in /usr/lib/qemu/virtiofsd --socket-path=/nowhere/socket -o source=DIR\n");
}

static void a_link_to_a_daemon_is_not_followed(void **state __unused)
{
	char path[] = "/tmp/vhost_user-link-XXXXXX";
	struct capture c;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	capture_begin(&c);
	assert_int_equal(vhost_user_connect("--fs tag=t", path, NULL), -ENOTSOCK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/nowhere", path), 0);
	assert_int_equal(vhost_user_connect("--fs tag=t", path, NULL), -ELOOP);
	assert_non_null(strstr(capture_end(&c), "is a symbolic link, which is not followed; name"));
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_daemon_serves_the_queues),
		cmocka_unit_test(features_are_those_of_both),
		cmocka_unit_test(a_daemon_that_errs_is_given_up),
		cmocka_unit_test(descriptors_that_it_sends_are_not_taken),
		cmocka_unit_test(a_daemon_that_dies_or_speaks_unasked_breaks_the_device),
		cmocka_unit_test(every_way_to_kick_reaches_the_daemon),
		cmocka_unit_test(a_quiet_daemon_has_brought_its_positions_home),
		cmocka_unit_test(a_daemon_that_dies_in_the_quiet_is_noticed),
		cmocka_unit_test(a_daemon_that_fills_its_eventfds_holds_nobody_up),
		cmocka_unit_test(a_dry_run_has_a_device_that_does_not_start),
		cmocka_unit_test(nobody_there_is_told),
		cmocka_unit_test(a_link_to_a_daemon_is_not_followed),
	};

	return cmocka_run_group_tests_name("vhost_user", tests, NULL, NULL);
}
