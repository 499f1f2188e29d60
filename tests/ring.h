/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver's side of virtio, for tests: fake RAM, a builder of rings, and a driver that brings a
 * device up and counts its interrupts. There is no KVM and no transport.
 *
 *	struct driver d;
 *	driver_init(&d, &vd);            // vd: after virtio_init()
 *	driver_start(&d, features);      // negotiates; every queue is ready; DRIVER_OK
 *	gpa_t buf = driver_alloc(&d, 512);
 *	ring_send(&d.ring[0], (struct ring_buf[]){ { buf, 512, .in = true } }, 1);
 *	virtio_kick(&vd, 0);
 *	ring_take(&d.ring[0], &used);    // used.id, used.len
 *	driver_destroy(&d);
 *
 * ring_desc(), ring_offer() and struct ring's pointers build what a correct driver never does.
 * Structures are the kernel's, so that ours are checked against an independent definition.
 */
#pragma once

#include <assert.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "vmm/event.h"
#include "vmm/virtio.h"

/* Two regions that are adjacent in guest-physical addresses but not on the host: a range that
 * crosses from one to the other is not RAM in one piece. Each ends where ASan sees one byte too
 * many. */
#define RAM_LOW_SIZE  (1 * MIB)
#define RAM_HIGH      RAM_LOW_SIZE
#define RAM_HIGH_SIZE (64 * KIB)
#define RAM_END       (RAM_HIGH + RAM_HIGH_SIZE)

struct fake_ram {
	struct gmem mem;
	void *host[2];
};

static inline void ram_init(struct fake_ram *ram)
{
	const struct {
		gpa_t base;
		uint64_t size;
	} region[] = { { 0, RAM_LOW_SIZE }, { RAM_HIGH, RAM_HIGH_SIZE } };

	*ram = (struct fake_ram){ 0 };
	for (unsigned i = 0; i < ARRAY_SIZE(region); i++) {
		int rc = posix_memalign(&ram->host[i], 4096, region[i].size);

		assert(rc == 0);
		memset(ram->host[i], 0, region[i].size);
		rc = gmem_add(&ram->mem, region[i].base, region[i].size, ram->host[i]);
		assert(rc == 0);
	}
}

static inline void ram_destroy(struct fake_ram *ram)
{
	free(ram->host[0]);
	free(ram->host[1]);
}

/* The driver's view of its own memory, which must exist. */
static inline void *ram_at(const struct fake_ram *ram, gpa_t gpa, uint64_t len)
{
	void *host = gmem_slice(&ram->mem, gpa, len);

	assert(host);
	return host;
}

/* One buffer of a request. in: the device writes it. */
struct ring_buf {
	gpa_t gpa;
	uint32_t len;
	bool in;
};

struct ring {
	const struct fake_ram *ram;
	uint16_t size;
	gpa_t desc_gpa, avail_gpa, used_gpa;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;

	uint16_t next_desc; /* ring_send() takes descriptors round and round */
	uint16_t last_used; /* the driver's position in the used ring */
};

/* Bytes that ring_init() takes from gpa on, for any size up to VIRTQ_MAX_SIZE. */
#define RING_BYTES (16 * KIB)

/* A zeroed ring of size descriptors in [gpa, gpa + RING_BYTES), a multiple of 16. */
static inline void ring_init(struct ring *r, const struct fake_ram *ram, gpa_t gpa, uint16_t size)
{
	*r = (struct ring){ .ram = ram, .size = size };
	r->desc_gpa = gpa;
	r->avail_gpa = gpa + 8 * KIB;
	r->used_gpa = gpa + 12 * KIB;
	memset(ram_at(ram, gpa, RING_BYTES), 0, RING_BYTES);
	r->desc = ram_at(ram, r->desc_gpa, sizeof(*r->desc) * size);
	r->avail = ram_at(ram, r->avail_gpa, 6 + 2u * size);
	r->used = ram_at(ram, r->used_gpa, 6 + 8u * size);
}

/* Writes descriptor i of table (r->desc, or an indirect table in RAM). */
static inline void ring_desc_in(struct vring_desc *table, unsigned i, gpa_t addr, uint32_t len,
				uint16_t flags, uint16_t next)
{
	table[i] =
		(struct vring_desc){ htole64(addr), htole32(len), htole16(flags), htole16(next) };
}
static inline void ring_desc(struct ring *r, unsigned i, gpa_t addr, uint32_t len, uint16_t flags,
			     uint16_t next)
{
	ring_desc_in(r->desc, i, addr, len, flags, next);
}

/* Makes the chain that starts at head available. Any value of head is allowed. */
static inline void ring_offer(struct ring *r, uint16_t head)
{
	uint16_t idx = le16toh(r->avail->idx);

	r->avail->ring[idx & (r->size - 1)] = htole16(head);
	__atomic_store_n(&r->avail->idx, htole16((uint16_t)(idx + 1)), __ATOMIC_SEQ_CST);
}

/* Chains buf[0..nr) and makes them available. Returns the head. The caller has less than size
 * descriptors in flight. */
static inline uint16_t ring_send(struct ring *r, const struct ring_buf *buf, unsigned nr)
{
	uint16_t head = r->next_desc;

	assert(nr > 0 && nr <= r->size);
	for (unsigned i = 0; i < nr; i++) {
		uint16_t at = r->next_desc;

		r->next_desc = (uint16_t)((at + 1) & (r->size - 1));
		ring_desc(r, at, buf[i].gpa, buf[i].len,
			  (uint16_t)((buf[i].in ? VRING_DESC_F_WRITE : 0) |
				     (i + 1 < nr ? VRING_DESC_F_NEXT : 0)),
			  r->next_desc);
	}
	ring_offer(r, head);
	return head;
}

/* Returns how many elements the device has used that ring_take() has not returned. */
static inline uint16_t ring_used(const struct ring *r)
{
	return (uint16_t)(le16toh(__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE)) - r->last_used);
}

struct ring_elem {
	uint32_t id, len;
};

/* Takes the next element of the used ring; false if there is none. */
static inline bool ring_take(struct ring *r, struct ring_elem *e)
{
	const vring_used_elem_t *u = &r->used->ring[r->last_used & (r->size - 1)];

	if (ring_used(r) == 0)
		return false;
	*e = (struct ring_elem){ le32toh(u->id), le32toh(u->len) };
	r->last_used++;
	return true;
}

/* EVENT_IDX: asks for an interrupt when the device uses element number n (modulo 2^16); and returns
 * the number of the buffer that the device wants a kick for. */
static inline void ring_set_used_event(struct ring *r, uint16_t n)
{
	__atomic_store_n(&r->avail->ring[r->size], htole16(n), __ATOMIC_SEQ_CST);
}
static inline uint16_t ring_avail_event(const struct ring *r)
{
	const uint16_t *p = (const uint16_t *)&r->used->ring[r->size];

	return le16toh(__atomic_load_n(p, __ATOMIC_SEQ_CST));
}

/* Points q at the ring, as a transport does; virtq_enable() or virtio_queue_enable() comes next. */
static inline void ring_attach(const struct ring *r, struct virtq *q)
{
	q->state.size = r->size;
	q->state.desc_gpa = r->desc_gpa;
	q->state.avail_gpa = r->avail_gpa;
	q->state.used_gpa = r->used_gpa;
}

struct driver {
	struct fake_ram ram;
	struct virtio_dev *vd;
	pthread_mutex_t lock; /* the device's; tests with threads take it as bus and loop would */
	struct ring ring[VIRTIO_MAX_QUEUES];
	unsigned interrupts[VIRTIO_MAX_QUEUES], config_interrupts;
	unsigned changes; /* of what registers show, which the device told the transport of */
	gpa_t next_alloc;

	/* Made when the device asks for them; -1: it has not. There is no loop here, so only the
	 * device and the test read the eventfds. */
	int kick_fd[VIRTIO_MAX_QUEUES], call_fd[VIRTIO_MAX_QUEUES];
	bool unwatched[VIRTIO_MAX_QUEUES]; /* the device told the transport not to look at kicks */
	struct shared_fd lent_kick[VIRTIO_MAX_QUEUES], lent_call[VIRTIO_MAX_QUEUES];
};

static inline void driver_interrupt(void *ctx, int queue)
{
	struct driver *d = ctx;

	if (queue < 0)
		d->config_interrupts++;
	else
		d->interrupts[queue]++;
}

static inline void driver_changed(void *ctx)
{
	((struct driver *)ctx)->changes++;
}

static inline int driver_eventfd(int *fd)
{
	if (*fd < 0)
		*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd;
}
static inline int driver_kick_fd(void *ctx, unsigned queue)
{
	return driver_eventfd(&((struct driver *)ctx)->kick_fd[queue]);
}
static inline int driver_call_fd(void *ctx, unsigned queue)
{
	return driver_eventfd(&((struct driver *)ctx)->call_fd[queue]);
}
static inline void driver_watch_kicks(void *ctx, unsigned queue, bool on)
{
	((struct driver *)ctx)->unwatched[queue] = !on;
}

static inline int driver_lend_kick(void *ctx, unsigned queue, struct shared_fd *kick)
{
	struct driver *d = ctx;
	int rc;

	shared_fd_close(&d->lent_kick[queue]);
	rc = shared_fd_open(&d->lent_kick[queue], 1);
	*kick = d->lent_kick[queue];
	return rc;
}
static inline int driver_lend_call(void *ctx, unsigned queue, struct shared_fd *call)
{
	struct driver *d = ctx;
	int rc = shared_fd_is_open(&d->lent_call[queue]) ? 0
							 : shared_fd_open(&d->lent_call[queue], 0);

	*call = d->lent_call[queue];
	return rc;
}

/* Connects vd, which virtio_init() has seen, to a driver with fake RAM. */
static inline void driver_init(struct driver *d, struct virtio_dev *vd)
{
	static const struct virtio_transport_ops ops = {
		.interrupt = driver_interrupt,
		.changed = driver_changed,
		.kick_fd = driver_kick_fd,
		.watch_kicks = driver_watch_kicks,
		.call_fd = driver_call_fd,
		.lend_kick = driver_lend_kick,
		.lend_call = driver_lend_call,
	};

	*d = (struct driver){ .vd = vd };
	ram_init(&d->ram);
	pthread_mutex_init(&d->lock, NULL);
	vd->mem = &d->ram.mem;
	vd->lock = &d->lock;
	vd->transport = &ops;
	vd->transport_ctx = d;
	d->next_alloc = VIRTIO_MAX_QUEUES * RING_BYTES;
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		d->kick_fd[i] = d->call_fd[i] = -1;
}

static inline void driver_destroy(struct driver *d)
{
	virtio_reset(d->vd);
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		close_fd(&d->kick_fd[i]);
		close_fd(&d->call_fd[i]);
		shared_fd_close(&d->lent_kick[i]);
		shared_fd_close(&d->lent_call[i]);
	}
	pthread_mutex_destroy(&d->lock);
	ram_destroy(&d->ram);
}

/* A fresh ring for queue i, made ready. */
static inline void driver_queue_up(struct driver *d, unsigned i)
{
	struct virtq *q = virtio_queue(d->vd, i);

	ring_init(&d->ring[i], &d->ram, i * RING_BYTES, q->max_size);
	ring_attach(&d->ring[i], q);
	virtio_queue_enable(d->vd, q);
}

/* Resets the device and brings it up (virtio 1.2 §3.1.1). features: a mask of VIRTIO_BIT() besides
 * VERSION_1. True when the device accepted them and all queues are ready. */
static inline bool driver_start(struct driver *d, uint64_t features)
{
	const uint8_t found = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	const uint8_t agreed = found | VIRTIO_CONFIG_S_FEATURES_OK;
	const uint8_t live = agreed | VIRTIO_CONFIG_S_DRIVER_OK;

	features |= VIRTIO_BIT(VIRTIO_F_VERSION_1);
	virtio_set_status(d->vd, 0);
	virtio_set_status(d->vd, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_set_status(d->vd, found);
	virtio_accept_features(d->vd, 0, (uint32_t)features);
	virtio_accept_features(d->vd, 1, (uint32_t)(features >> 32));
	virtio_set_status(d->vd, agreed);
	if (d->vd->state.status != agreed)
		return false;
	for (unsigned i = 0; i < d->vd->nr_queues; i++)
		driver_queue_up(d, i);
	virtio_set_status(d->vd, live);
	return d->vd->state.status == live;
}

/* Returns len bytes of the driver's memory, 16-byte aligned, zeroed; never freed. */
static inline gpa_t driver_alloc(struct driver *d, uint64_t len)
{
	gpa_t gpa = d->next_alloc;

	memset(ram_at(&d->ram, gpa, len), 0, len);
	d->next_alloc = align_up(gpa + len, 16);
	return gpa;
}

/* The same, filled from src. */
static inline gpa_t driver_put(struct driver *d, const void *src, uint64_t len)
{
	gpa_t gpa = driver_alloc(d, len);

	memcpy(ram_at(&d->ram, gpa, len), src, len);
	return gpa;
}

/* Kicks queue i until the device has seen all that is available. */
static inline void driver_kick(struct driver *d, unsigned i)
{
	while (virtio_kick(d->vd, i))
		;
}

/* What virtio_quiesce() promises: no chain is popped and not pushed. */
static inline bool driver_holds_nothing(const struct driver *d)
{
	for (unsigned i = 0; i < d->vd->nr_queues; i++)
		if (d->vd->q[i].state.next_avail != d->vd->q[i].state.next_used)
			return false;
	return true;
}

/* Kicks the queues for which the device, or the core, asked for another round. */
static inline void driver_go_on(struct driver *d)
{
	for (unsigned i = 0; i < d->vd->nr_queues; i++)
		if (d->kick_fd[i] >= 0 && event_take(d->kick_fd[i]))
			driver_kick(d, i);
}

/* Does both, a round of each queue, whatever the driver is. For fuzz targets. */
static inline void driver_rest(struct driver *d)
{
	virtio_quiesce(d->vd);
	assert(!virtio_live(d->vd) || driver_holds_nothing(d));
	for (unsigned i = 0; i < d->vd->nr_queues; i++)
		if (d->kick_fd[i] >= 0 && event_take(d->kick_fd[i]))
			(void)virtio_kick(d->vd, i);
}
