/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/mmio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_mmio.h>

#include "loop_turn.h"
#include "ring.h"
#include "wires.h"
#include "vmm/event.h"
#include "test.h"

#define FOUND  (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define AGREED (FOUND | VIRTIO_CONFIG_S_FEATURES_OK)
#define LIVE   (AGREED | VIRTIO_CONFIG_S_DRIVER_OK)

#define QUEUE_RESET  0x0c0 /* virtio 1.2 §4.2.2; not in every linux/virtio_mmio.h */
#define BASE         0xd0000000
#define CAT_F_PURR   5
#define CAT_FEATURES VIRTIO_BIT(CAT_F_PURR)

/* A device that answers each request with "meow", with its transport, on a bus, with an interrupt
 * line that counts edges, and a loop. */
struct cat {
	struct virtio_dev vd;
	struct virtio_mmio mmio;
	struct bus bus;
	struct loop loop;
	struct fake_ram ram;
	struct ring ring[2];
	bool level;
	unsigned edges;      /* atomic */
	unsigned stop_after; /* number of edges at which the loop stops */
	unsigned lent_kicks, queue_resets, config_calls, last_size;
	unsigned refills; /* requests that the driver adds while the device works */
	uint8_t config[16];
	unsigned starts;
};

static void request(struct cat *cat, unsigned queue)
{
	ring_send(&cat->ring[queue], &(struct ring_buf){ 0x10000, 8, .in = true }, 1);
}

static int cat_kick(struct virtio_dev *vd, struct virtq *q)
{
	struct cat *cat = container_of(vd, struct cat, vd);
	struct virtq_chain c;
	int rc;

	while ((rc = virtq_pop(q, &c)) > 0) {
		virtq_push(q, c.head, (uint32_t)chain_write(&c, 0, "meow", 4));
		if (cat->refills > 0) {
			cat->refills--;
			request(cat, (unsigned)(q - vd->q));
		}
	}
	return rc;
}

static void cat_reset(struct virtio_dev *vd, struct virtq *q)
{
	struct cat *cat = container_of(vd, struct cat, vd);

	if (q)
		cat->queue_resets++;
}

static void cat_lent_kick(struct virtio_dev *vd, struct virtq *q)
{
	assert_ptr_equal(q, &vd->q[1]);
	container_of(vd, struct cat, vd)->lent_kicks++;
}

static uint64_t cat_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	struct cat *cat = container_of(vd, struct cat, vd);

	cat->config_calls++;
	cat->last_size = size;
	return load_le(cat->config + off, size);
}

static void cat_config_write(struct virtio_dev *vd, uint32_t off, unsigned size, uint64_t value)
{
	struct cat *cat = container_of(vd, struct cat, vd);

	cat->config_calls++;
	cat->last_size = size;
	store_le(cat->config + off, size, value);
}

static int cat_start(struct virtio_dev *vd, struct loop *loop)
{
	struct cat *cat = container_of(vd, struct cat, vd);

	assert_ptr_equal(loop, &cat->loop);
	assert_non_null(vd->lock);
	cat->starts++;
	return 0;
}

static const struct virtio_ops cat_ops = {
	.name = "cat",
	.device_id = 77,
	.nr_queues = 2,
	.queue_size = 16,
	.config_size = 16,
	.start = cat_start,
	.kick = cat_kick,
	.reset = cat_reset,
	.lent_kick = cat_lent_kick,
	.config_read = cat_config_read,
	.config_write = cat_config_write,
};

/* The status bit must be there by the time of the edge. */
static void cat_irq(void *ctx, unsigned n, bool level)
{
	struct cat *cat = ctx;

	assert_int_equal(n, 7);
	if (level && !cat->level) {
		assert_int_not_equal(cat->mmio.state.isr, 0);
		if (__atomic_add_fetch(&cat->edges, 1, __ATOMIC_RELEASE) == cat->stop_after)
			loop_stop(&cat->loop);
	}
	cat->level = level;
}

static uint32_t rd(struct cat *cat, uint32_t reg)
{
	return (uint32_t)bus_read(&cat->bus, BASE + reg, 4, NULL);
}

static void wr(struct cat *cat, uint32_t reg, uint32_t v)
{
	assert_true(bus_write(&cat->bus, BASE + reg, 4, v));
}

static void cat_init(struct cat *cat)
{
	*cat = (struct cat){ 0 };
	ram_init(&cat->ram);
	assert_int_equal(loop_init(&cat->loop), 0);
	virtio_init(&cat->vd, &cat_ops, CAT_FEATURES);
	assert_int_equal(virtio_mmio_init(&cat->mmio, &cat->vd, &cat->ram.mem,
					  &(struct irq_line){ cat_irq, cat, 7 }, &cat->loop),
			 0);
	assert_int_equal(bus_add(&cat->bus, BASE, VIRTIO_MMIO_SIZE, &cat->mmio.dev), 0);
	bus_freeze(&cat->bus);
	assert_int_equal(cat->starts, 1);
}

static void cat_destroy(struct cat *cat)
{
	virtio_mmio_destroy(&cat->mmio);
	loop_destroy(&cat->loop);
	ram_destroy(&cat->ram);
}

static void set_queue(struct cat *cat, unsigned i)
{
	const struct ring *r = &cat->ring[i];

	wr(cat, VIRTIO_MMIO_QUEUE_SEL, i);
	wr(cat, VIRTIO_MMIO_QUEUE_NUM, r->size);
	wr(cat, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)r->desc_gpa);
	wr(cat, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0);
	wr(cat, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)r->avail_gpa);
	wr(cat, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0);
	wr(cat, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)r->used_gpa);
	wr(cat, VIRTIO_MMIO_QUEUE_USED_HIGH, 0);
	wr(cat, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* Is a kick waiting for the loop? Takes it. */
static bool kick_pending(struct cat *cat, unsigned queue)
{
	uint64_t nr;

	return read(virtio_kicks_fd(&cat->mmio.kicks, queue), &nr, sizeof(nr)) == sizeof(nr);
}

/* Acts as a driver does, through registers only. The device then looks at earlier offers. */
static void bring_up(struct cat *cat, uint64_t features)
{
	features |= VIRTIO_BIT(VIRTIO_F_VERSION_1);
	wr(cat, VIRTIO_MMIO_STATUS, 0);
	wr(cat, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	wr(cat, VIRTIO_MMIO_STATUS, FOUND);
	for (unsigned word = 0; word < 2; word++) {
		wr(cat, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
		wr(cat, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32 * word));
	}
	wr(cat, VIRTIO_MMIO_STATUS, AGREED);
	assert_int_equal(rd(cat, VIRTIO_MMIO_STATUS), AGREED);
	for (unsigned i = 0; i < 2; i++) {
		ring_init(&cat->ring[i], &cat->ram, i * RING_BYTES, 16);
		set_queue(cat, i);
		assert_int_equal(rd(cat, VIRTIO_MMIO_QUEUE_READY), 1);
	}
	for (unsigned i = 0; i < 2; i++)
		kick_pending(cat, i); /* from the previous driver */
	wr(cat, VIRTIO_MMIO_STATUS, LIVE);
	assert_int_equal(rd(cat, VIRTIO_MMIO_STATUS), LIVE);
	for (unsigned i = 0; i < 2; i++)
		assert_true(kick_pending(cat, i));
}

static void the_registers_say_what_is_there(void **state __unused)
{
	struct cat cat;
	const uint64_t offered = CAT_FEATURES | VIRTIO_BIT(VIRTIO_F_VERSION_1) |
				 VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
				 VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
				 VIRTIO_BIT(VIRTIO_F_RING_RESET);
	const struct {
		uint32_t reg, value;
	} fresh[] = {
		{ VIRTIO_MMIO_MAGIC_VALUE, 0x74726976 },
		{ VIRTIO_MMIO_VERSION, 2 },
		{ VIRTIO_MMIO_DEVICE_ID, 77 },
		{ VIRTIO_MMIO_VENDOR_ID, 0x4d4d564d },
		{ VIRTIO_MMIO_DEVICE_FEATURES, (uint32_t)offered },
		{ VIRTIO_MMIO_QUEUE_NUM_MAX, 16 },
		{ VIRTIO_MMIO_QUEUE_READY, 0 },
		{ VIRTIO_MMIO_INTERRUPT_STATUS, 0 },
		{ VIRTIO_MMIO_STATUS, 0 },
		{ QUEUE_RESET, 0 },
		{ VIRTIO_MMIO_SHM_LEN_LOW, UINT32_MAX },
		{ VIRTIO_MMIO_SHM_LEN_HIGH, UINT32_MAX },
		{ VIRTIO_MMIO_SHM_BASE_LOW, UINT32_MAX },
		{ VIRTIO_MMIO_SHM_BASE_HIGH, UINT32_MAX },
		{ VIRTIO_MMIO_CONFIG_GENERATION, 0 },
		/* Registers that are write-only, legacy-only, or don't exist. */
		{ VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0 },
		{ VIRTIO_MMIO_DRIVER_FEATURES, 0 },
		{ VIRTIO_MMIO_GUEST_PAGE_SIZE, 0 },
		{ VIRTIO_MMIO_QUEUE_PFN, 0 },
		{ VIRTIO_MMIO_QUEUE_NOTIFY, 0 },
		{ 0x0f8, 0 },
	};

	cat_init(&cat);
	for (unsigned i = 0; i < ARRAY_SIZE(fresh); i++)
		assert_int_equal(rd(&cat, fresh[i].reg), fresh[i].value);
	wr(&cat, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_DEVICE_FEATURES), offered >> 32);
	for (uint32_t sel = 2; sel; sel <<= 1) {
		wr(&cat, VIRTIO_MMIO_DEVICE_FEATURES_SEL, sel);
		assert_int_equal(rd(&cat, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	}
	virtio_config_changed(&cat.vd);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_CONFIG_GENERATION), 1);
	/* A write changes nothing that is read-only. */
	for (unsigned i = 0; i < 4; i++) {
		wr(&cat, fresh[i].reg, 0xdeadbeef);
		assert_int_equal(rd(&cat, fresh[i].reg), fresh[i].value);
	}
	cat_destroy(&cat);
}

static void features_are_written_word_by_word(void **state __unused)
{
	struct cat cat;

	cat_init(&cat);
	wr(&cat, VIRTIO_MMIO_STATUS, FOUND);
	wr(&cat, VIRTIO_MMIO_DRIVER_FEATURES, 1 << CAT_F_PURR);
	wr(&cat, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
	wr(&cat, VIRTIO_MMIO_DRIVER_FEATURES, 0x55);
	wr(&cat, VIRTIO_MMIO_STATUS, AGREED);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_STATUS), FOUND); /* not VERSION_1 */
	wr(&cat, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr(&cat, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	wr(&cat, VIRTIO_MMIO_STATUS, AGREED);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_STATUS), AGREED);
	assert_true(cat.vd.state.driver_features ==
		    (CAT_FEATURES | VIRTIO_BIT(VIRTIO_F_VERSION_1)));
	cat_destroy(&cat);
}

static void only_aligned_words_are_registers(void **state __unused)
{
	struct cat cat;

	cat_init(&cat);
	for (unsigned size = 1; size <= 8; size *= 2)
		for (uint32_t off = 0; off < VIRTIO_MMIO_CONFIG; off++) {
			if (size == 4 && off % 4 == 0)
				continue;
			assert_int_equal(bus_read(&cat.bus, BASE + off, size, NULL), 0);
			/* Written to the status register this would be ACKNOWLEDGE. */
			assert_true(bus_write(&cat.bus, BASE + off, size, 0x0101010101010101));
		}
	assert_int_equal(rd(&cat, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(cat.config_calls, 0); /* 8 bytes at 0xfc are not config space either */
	assert_int_equal(cat.mmio.state.queue_sel, 0);
	cat_destroy(&cat);
}

static void config_space_takes_every_width(void **state __unused)
{
	struct cat cat;
	const uint64_t at = BASE + VIRTIO_MMIO_CONFIG;

	cat_init(&cat);
	for (unsigned i = 0; i < sizeof(cat.config); i++)
		cat.config[i] = (uint8_t)(0x10 + i);
	for (unsigned size = 1; size <= 8; size *= 2) {
		assert_true(bus_read(&cat.bus, at + 3, size, NULL) ==
			    load_le(cat.config + 3, size));
		assert_int_equal(cat.last_size, size);
		assert_true(bus_write(&cat.bus, at + 8, size, 0x8877665544332211));
		assert_int_equal(cat.last_size, size);
		assert_memory_equal(cat.config + 8, "\x11\x22\x33\x44\x55\x66\x77\x88", size);
	}
	cat.config_calls = 0;
	assert_int_equal(bus_read(&cat.bus, at + 16, 1, NULL), 0);
	assert_int_equal(bus_read(&cat.bus, at + 15, 2, NULL), 0);
	assert_int_equal(bus_read(&cat.bus, BASE + VIRTIO_MMIO_SIZE - 8, 8, NULL), 0);
	assert_true(bus_write(&cat.bus, at + 9, 8, 0));
	assert_int_equal(cat.config_calls, 0);
	cat_destroy(&cat);
}

static void a_queue_that_is_not_there_has_no_registers(void **state __unused)
{
	struct cat cat;
	const uint32_t sel[] = { 2, VIRTIO_MAX_QUEUES, 0x10000, UINT32_MAX };

	cat_init(&cat);
	bring_up(&cat, VIRTIO_BIT(VIRTIO_F_RING_RESET));

	const struct virtio_dev before = cat.vd;

	for (unsigned i = 0; i < ARRAY_SIZE(sel); i++) {
		wr(&cat, VIRTIO_MMIO_QUEUE_SEL, sel[i]);
		assert_int_equal(rd(&cat, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		assert_int_equal(rd(&cat, VIRTIO_MMIO_QUEUE_READY), 0);
		for (uint32_t reg = VIRTIO_MMIO_QUEUE_NUM; reg < 0x100; reg += 4)
			if (reg != VIRTIO_MMIO_STATUS)
				wr(&cat, reg, 1);
	}
	assert_memory_equal(&cat.vd, &before, sizeof(before));
	for (unsigned i = 0; i < ARRAY_SIZE(sel); i++)
		wr(&cat, VIRTIO_MMIO_QUEUE_NOTIFY, sel[i]);
	assert_false(kick_pending(&cat, 0));
	assert_true(kick_pending(&cat, 1)); /* each register got a 1 */
	cat_destroy(&cat);
}

static void a_ready_queue_stays_where_it_is(void **state __unused)
{
	struct cat cat;
	const uint32_t reg[] = {
		VIRTIO_MMIO_QUEUE_NUM,        VIRTIO_MMIO_QUEUE_DESC_LOW,
		VIRTIO_MMIO_QUEUE_DESC_HIGH,  VIRTIO_MMIO_QUEUE_AVAIL_LOW,
		VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW,
		VIRTIO_MMIO_QUEUE_USED_HIGH,  VIRTIO_MMIO_QUEUE_READY,
	};
	struct virtq before;

	cat_init(&cat);
	bring_up(&cat, 0);
	wr(&cat, VIRTIO_MMIO_QUEUE_SEL, 1);
	before = cat.vd.q[1];
	for (unsigned i = 0; i < ARRAY_SIZE(reg); i++)
		wr(&cat, reg[i], 0x4000);
	wr(&cat, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_memory_equal(&cat.vd.q[1], &before, sizeof(before));
	/* Both halves of each address count. */
	wr(&cat, VIRTIO_MMIO_QUEUE_READY, 0);
	for (unsigned i = 0; i < 7; i++)
		wr(&cat, reg[i], 0x1000 + i);
	assert_int_equal(cat.vd.q[1].state.size, 0x1000);
	assert_true(cat.vd.q[1].state.desc_gpa == 0x100200001001);
	assert_true(cat.vd.q[1].state.avail_gpa == 0x100400001003);
	assert_true(cat.vd.q[1].state.used_gpa == 0x100600001005);
	for (unsigned i = 1; i < 7; i += 2)
		wr(&cat, reg[i], 0x2000);
	assert_true(cat.vd.q[1].state.avail_gpa == 0x100400002000);
	cat_destroy(&cat);
}

static void a_wrong_size_is_not_truncated_to_a_right_one(void **state __unused)
{
	struct cat cat;
	const uint32_t bad[] = { 0, 3, 32, 0x10010, 0x80000010 };

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		cat_init(&cat);
		bring_up(&cat, 0);
		wr(&cat, VIRTIO_MMIO_QUEUE_READY, 0);
		wr(&cat, VIRTIO_MMIO_QUEUE_NUM, bad[i]);
		wr(&cat, VIRTIO_MMIO_QUEUE_DESC_LOW, 0);
		wr(&cat, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x2000);
		wr(&cat, VIRTIO_MMIO_QUEUE_USED_LOW, 0x3000);
		wr(&cat, VIRTIO_MMIO_QUEUE_READY, 1);
		assert_int_equal(rd(&cat, VIRTIO_MMIO_QUEUE_READY), 0);
		assert_int_equal(rd(&cat, VIRTIO_MMIO_STATUS), LIVE | VIRTIO_CONFIG_S_NEEDS_RESET);
		assert_int_equal(rd(&cat, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
		cat_destroy(&cat);
	}
}

static void a_queue_stops_and_starts(void **state __unused)
{
	struct cat cat;

	cat_init(&cat);
	bring_up(&cat, VIRTIO_BIT(VIRTIO_F_RING_RESET));
	wr(&cat, VIRTIO_MMIO_QUEUE_SEL, 0);
	wr(&cat, VIRTIO_MMIO_QUEUE_READY, 2); /* this value means nothing */
	wr(&cat, QUEUE_RESET, 2);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_QUEUE_READY), 1);
	wr(&cat, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(cat.queue_resets, 1);
	wr(&cat, VIRTIO_MMIO_QUEUE_READY, 0); /* it is stopped completely */
	assert_int_equal(cat.queue_resets, 1);

	ring_init(&cat.ring[0], &cat.ram, 0, 16);
	set_queue(&cat, 0);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_QUEUE_READY), 1);
	wr(&cat, QUEUE_RESET, 1);
	assert_int_equal(rd(&cat, QUEUE_RESET), 0);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(cat.queue_resets, 2);
	wr(&cat, VIRTIO_MMIO_QUEUE_SEL, 1);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_QUEUE_READY), 1);

	bring_up(&cat, 0);
	wr(&cat, QUEUE_RESET, 1); /* not negotiated */
	assert_int_equal(rd(&cat, VIRTIO_MMIO_QUEUE_READY), 1);
	cat_destroy(&cat);
}

/* Runs the loop until the device has sent this many edges in all. */
static void run_until(struct cat *cat, unsigned edges)
{
	cat->stop_after = edges;
	cat->loop.stop = false;
	assert_int_equal(loop_run(&cat->loop), 0);
	assert_int_equal(cat->edges, edges);
}

static void a_kick_becomes_an_interrupt(void **state __unused)
{
	struct cat cat;
	const uint64_t one = 1;

	cat_init(&cat);
	bring_up(&cat, 0);
	assert_int_not_equal(virtio_kicks_fd(&cat.mmio.kicks, 0),
			     virtio_kicks_fd(&cat.mmio.kicks, 1));
	/* By eventfd, as from an ioeventfd … */
	request(&cat, 1);
	assert_int_equal(write(virtio_kicks_fd(&cat.mmio.kicks, 1), &one, sizeof(one)),
			 sizeof(one));
	assert_int_equal(ring_used(&cat.ring[1]), 0); /* not on this thread */
	run_until(&cat, 1);
	assert_int_equal(ring_used(&cat.ring[1]), 1);
	assert_false(kick_pending(&cat, 1));
	assert_int_equal(rd(&cat, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	/* … and by register; each sends an edge of its own, acknowledged or not. */
	request(&cat, 0);
	wr(&cat, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	assert_int_equal(ring_used(&cat.ring[0]), 0);
	run_until(&cat, 2);
	assert_int_equal(ring_used(&cat.ring[0]), 1);
	assert_memory_equal(ram_at(&cat.ram, 0x10000, 4), "meow", 4);

	pthread_mutex_lock(&cat.mmio.dev.lock);
	virtio_config_changed(&cat.vd);
	pthread_mutex_unlock(&cat.mmio.dev.lock);
	assert_int_equal(cat.edges, 3);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_INTERRUPT_STATUS),
			 VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
	wr(&cat, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	wr(&cat, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	cat_destroy(&cat);
}

static void work_that_comes_meanwhile_is_done(void **state __unused)
{
	struct cat cat;

	cat_init(&cat);
	bring_up(&cat, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX));
	ring_set_used_event(&cat.ring[1], 3);
	cat.refills = 3; /* there is no kick, because the device is seen to be working */
	request(&cat, 1);
	wr(&cat, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	run_until(&cat, 1);
	assert_int_equal(ring_used(&cat.ring[1]), 4);
	assert_false(kick_pending(&cat, 1));
	cat_destroy(&cat);
}

static bool look(struct cat *cat)
{
	bool any;

	pthread_mutex_lock(&cat->mmio.dev.lock);
	any = cat->loop.pollers->look(cat->loop.pollers);
	pthread_mutex_unlock(&cat->mmio.dev.lock);
	return any;
}

static bool rest(struct cat *cat)
{
	bool any;

	pthread_mutex_lock(&cat->mmio.dev.lock);
	any = cat->loop.pollers->rest(cat->loop.pollers);
	pthread_mutex_unlock(&cat->mmio.dev.lock);
	return any;
}

static void kick_and_serve(struct cat *cat, unsigned queue)
{
	request(cat, queue);
	wr(cat, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	assert_true(loop_turn(&cat->loop));
}

/* While the loop looks at the rings, a driver with EVENT_IDX is not asked to kick. */
static void a_loop_that_looks_needs_no_kick(void **state __unused)
{
	struct cat cat;

	cat_init(&cat);
	assert_false(look(&cat)); /* before the driver is up */
	assert_false(rest(&cat));
	bring_up(&cat, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX));
	kick_and_serve(&cat, 1);
	assert_int_equal(ring_avail_event(&cat.ring[1]), 1);

	for (uint16_t i = 2; i < 5; i++) {
		assert_false(look(&cat));
		request(&cat, 1);
		assert_true(look(&cat));
		assert_int_equal(ring_used(&cat.ring[1]), i);
		assert_int_equal(ring_avail_event(&cat.ring[1]), 1);
	}
	assert_false(rest(&cat));
	assert_int_equal(ring_avail_event(&cat.ring[1]), 4);
	/* What comes just before it rests is not missed. */
	assert_false(look(&cat));
	request(&cat, 1);
	assert_true(rest(&cat));
	assert_true(look(&cat));
	assert_int_equal(ring_used(&cat.ring[1]), 5);

	/* A reset forgets all of it. */
	bring_up(&cat, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX));
	assert_false(look(&cat));
	assert_false(rest(&cat));
	cat_destroy(&cat);
}

/* Without EVENT_IDX, a flag says so. */
static void a_loop_that_looks_says_so_by_a_flag(void **state __unused)
{
	const struct vring_used *used;
	struct cat cat;

	cat_init(&cat);
	bring_up(&cat, 0);
	used = cat.ring[1].used;
	kick_and_serve(&cat, 1);
	assert_int_equal(le16toh(used->flags), 0);
	request(&cat, 1);
	assert_true(look(&cat));
	assert_int_equal(le16toh(used->flags), VRING_USED_F_NO_NOTIFY);
	assert_false(rest(&cat));
	assert_int_equal(le16toh(used->flags), 0);
	cat_destroy(&cat);
}

static void what_others_serve_is_not_looked_at(void **state __unused)
{
	const struct virtio_transport_ops *ops;
	struct cat cat;

	cat_init(&cat);
	ops = cat.vd.transport;
	bring_up(&cat, 0);
	kick_and_serve(&cat, 1);
	ops->watch_kicks(&cat.mmio, 1, false);
	request(&cat, 1);
	assert_false(look(&cat));
	assert_false(rest(&cat));
	ops->watch_kicks(&cat.mmio, 1, true);
	assert_false(look(&cat));
	wr(&cat, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	assert_true(loop_turn(&cat.loop));
	assert_int_equal(ring_used(&cat.ring[1]), 2);
	/* A malformed ring is met only once. */
	cat.ring[1].avail->idx = htole16(0x4000);
	assert_true(look(&cat));
	assert_false(look(&cat));
	assert_false(rest(&cat));
	cat_destroy(&cat);
}

/* With vhost, others take the kicks of queue 1, until the device is reset. */
static void kicks_can_be_left_to_others(void **state __unused)
{
	const struct virtio_transport_ops *ops;
	struct cat cat;
	struct epoll_event ev;
	uint64_t nr;
	int kick;

	cat_init(&cat);
	ops = cat.vd.transport;
	bring_up(&cat, 0);
	kick = ops->kick_fd(&cat.mmio, 1);
	assert_int_equal(kick, virtio_kicks_fd(&cat.mmio.kicks, 1));
	request(&cat, 1);
	wr(&cat, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	assert_int_equal(epoll_wait(cat.loop.epoll_fd, &ev, 1, 0), 1);
	ops->watch_kicks(&cat.mmio, 1, false);
	/* The loop was on its way to the queue, and nothing happened. */
	((struct loop_source *)ev.data.ptr)->fn(ev.data.ptr, ev.events);
	assert_false(loop_turn(&cat.loop));
	assert_int_equal(ring_used(&cat.ring[1]), 0);
	assert_int_equal(read(kick, &nr, sizeof(nr)), sizeof(nr)); /* it is still there */
	request(&cat, 0);
	wr(&cat, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	assert_true(loop_turn(&cat.loop)); /* the other queue is still ours */
	assert_int_equal(ring_used(&cat.ring[0]), 1);

	bring_up(&cat, 0);
	request(&cat, 1);
	wr(&cat, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	assert_true(loop_turn(&cat.loop));
	assert_int_equal(ring_used(&cat.ring[1]), 1);
	cat_destroy(&cat);
}

static void others_can_call_the_driver(void **state __unused)
{
	const struct virtio_transport_ops *ops;
	const uint64_t one = 1;
	struct cat cat;
	int call;

	cat_init(&cat);
	ops = cat.vd.transport;
	bring_up(&cat, 0);
	call = ops->call_fd(&cat.mmio, 1);
	assert_true(call >= 0);
	assert_int_equal(ops->call_fd(&cat.mmio, 0), call);
	assert_int_equal(cat.edges, 0);
	assert_int_equal(write(call, &one, sizeof(one)), sizeof(one));
	assert_int_equal(cat.edges, 0); /* not before the bit is set */
	assert_true(loop_turn(&cat.loop));
	assert_int_equal(cat.edges, 1);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	assert_false(loop_turn(&cat.loop));
	/* Signals that come too late for one driver are not for the next one. */
	assert_int_equal(write(call, &one, sizeof(one)), sizeof(one));
	wr(&cat, VIRTIO_MMIO_STATUS, 0);
	assert_false(loop_turn(&cat.loop));
	assert_int_equal(cat.edges, 1);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_int_equal(ops->call_fd(&cat.mmio, 0), call);
	cat_destroy(&cat);
}

/* Another process serves a queue: nothing that it does with its eventfds blocks us. */
static void what_is_lent_is_neither_read_nor_written(void **state __unused)
{
	const gpa_t bell = BASE + VIRTIO_MMIO_QUEUE_NOTIFY;
	const uint64_t one = 1, most = UINT64_MAX - 3;
	const struct virtio_transport_ops *ops;
	struct shared_fd kick, call, same;
	struct test_wires w;
	const struct wires wires = test_wires_init(&w, 0);
	struct cat cat;
	int fd;

	cat_init(&cat);
	ops = cat.vd.transport;
	/* The test's wires know no values: one queue's doorbell is enough. */
	cat.vd.nr_queues = 1;
	assert_int_equal(virtio_mmio_wire(&cat.mmio, &wires, BASE), 0);
	cat.vd.nr_queues = 2;
	bring_up(&cat, 0);
	assert_int_equal(ops->lend_kick(&cat.mmio, 0, &kick), 0);
	assert_true(event_take(shared_fd_hand_on(&kick)));
	assert_true(test_wires_store(&w, bell));
	assert_true(event_take(shared_fd_hand_on(&kick)));
	assert_int_equal(ops->lend_kick(&cat.mmio, 1, &kick), 0);
	assert_int_equal(ops->lend_call(&cat.mmio, 1, &call), 0);
	assert_int_equal(ops->lend_call(&cat.mmio, 0, &same), 0);
	fd = shared_fd_hand_on(&call);
	assert_int_equal(fd, shared_fd_hand_on(&same));
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(fcntl(shared_fd_hand_on(&kick), F_SETFL, 0), 0);
	assert_int_equal(write(fd, &most, sizeof(most)), sizeof(most));
	assert_int_equal(write(shared_fd_hand_on(&kick), &most, sizeof(most)), sizeof(most));
	for (unsigned i = 1; i < 3; i++) {
		assert_true(loop_turn(&cat.loop));
		assert_int_equal(cat.edges, i);
		assert_false(loop_turn(&cat.loop));
		assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	}
	wr(&cat, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	assert_int_equal(cat.lent_kicks, 0); /* not on this thread */
	while (loop_turn(&cat.loop))
		;
	assert_int_equal(cat.lent_kicks, 1);
	assert_int_equal(cat.edges, 3);

	bring_up(&cat, 0);
	request(&cat, 1);
	wr(&cat, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	assert_true(loop_turn(&cat.loop));
	assert_int_equal(ring_used(&cat.ring[1]), 1);
	assert_int_equal(cat.lent_kicks, 1);
	assert_true(test_wires_store(&w, bell));
	assert_true(kick_pending(&cat, 0));
	cat_destroy(&cat);
}

/* KVM's ioeventfd keeps the file of the descriptor open. */
static void kicks_come_off_the_loop(void **state __unused)
{
	struct cat cat;
	struct epoll_event ev;
	const uint64_t one = 1;
	int kick;

	cat_init(&cat);
	kick = dup(virtio_kicks_fd(&cat.mmio.kicks, 0));
	assert_int_equal(write(kick, &one, sizeof(one)), sizeof(one));
	assert_int_equal(epoll_wait(cat.loop.epoll_fd, &ev, 1, 0), 1);
	virtio_mmio_destroy(&cat.mmio);
	assert_int_equal(epoll_wait(cat.loop.epoll_fd, &ev, 1, 0), 0);
	close(kick);
	loop_destroy(&cat.loop);
	ram_destroy(&cat.ram);
}

static void a_reset_clears_the_registers(void **state __unused)
{
	struct cat cat;

	cat_init(&cat);
	bring_up(&cat, 0);
	request(&cat, 0);
	wr(&cat, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	run_until(&cat, 1);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	wr(&cat, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(rd(&cat, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	for (unsigned i = 0; i < 2; i++) {
		wr(&cat, VIRTIO_MMIO_QUEUE_SEL, i);
		assert_int_equal(rd(&cat, VIRTIO_MMIO_QUEUE_READY), 0);
	}
	assert_false(virtio_has(&cat.vd, VIRTIO_F_VERSION_1));
	bring_up(&cat, 0);
	cat_destroy(&cat);
}

static void *run_loop(void *arg)
{
	struct cat *cat = arg;

	return (void *)(intptr_t)loop_run(&cat->loop);
}

/* A vCPU's side with EVENT_IDX while the loop runs on a thread of its own: kicks and interrupts are
 * left out, each only if the other side looks again; a missed one hangs the test. Under TSan this
 * also shows that the lock and the rings' barriers order everything. */
static void it_works_across_threads(void **state __unused)
{
	struct cat cat;
	struct ring *r = &cat.ring[0];
	struct ring_elem used;
	pthread_t thread;
	void *rc;
	uint16_t sent = 0, got = 0;
	unsigned kicks = 0;

	cat_init(&cat);
	bring_up(&cat, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX));
	assert_int_equal(pthread_create(&thread, NULL, run_loop, &cat), 0);
	while (got < 5000) {
		unsigned seen = __atomic_load_n(&cat.edges, __ATOMIC_ACQUIRE);

		for (; sent < 5000 && (uint16_t)(sent - got) < 16; sent++) {
			request(&cat, 0);
			if (vring_need_event(ring_avail_event(r), (uint16_t)(sent + 1), sent)) {
				wr(&cat, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
				kicks++;
			}
		}
		/* Ask for an interrupt at the next one, look once more, and rely on that
		 * interrupt. */
		ring_set_used_event(r, got);
		if (ring_used(r) == 0)
			while (__atomic_load_n(&cat.edges, __ATOMIC_ACQUIRE) == seen)
				usleep(10);
		wr(&cat, VIRTIO_MMIO_INTERRUPT_ACK, rd(&cat, VIRTIO_MMIO_INTERRUPT_STATUS));
		for (; ring_take(r, &used); got++) {
			assert_int_equal(used.id, got % 16);
			assert_int_equal(used.len, 4);
		}
	}
	assert_int_equal(got, 5000);
	assert_in_range(kicks, 1, 5000);
	loop_stop(&cat.loop);
	pthread_join(thread, &rc);
	assert_int_equal((intptr_t)rc, 0);
	cat_destroy(&cat);
}

/* Fails unless the page shows what reads return. */
static void assert_shown(struct cat *cat, const uint32_t *page)
{
	for (uint32_t off = 0; off < VIRTIO_MMIO_CONFIG + 32; off += 4)
		if (le32toh(page[off / 4]) != rd(cat, off))
			fail_msg("register 0x%x: 0x%x, and the page has 0x%x", off, rd(cat, off),
				 le32toh(page[off / 4]));
}

static void a_page_shows_what_a_read_returns(void **state __unused)
{
	static uint32_t page[VIRTIO_MMIO_SIZE / 4];
	static const uint32_t writes[][2] = {
		{ VIRTIO_MMIO_STATUS, 1 },
		{ VIRTIO_MMIO_STATUS, 3 },
		{ VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1 },
		{ VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1 },
		{ VIRTIO_MMIO_DRIVER_FEATURES, 1 },
		{ VIRTIO_MMIO_STATUS, 11 },
		{ VIRTIO_MMIO_QUEUE_SEL, 9 }, /* there is none */
		{ VIRTIO_MMIO_QUEUE_SEL, 1 },
		{ VIRTIO_MMIO_QUEUE_NUM, 16 },
		{ VIRTIO_MMIO_QUEUE_READY, 1 },
		{ VIRTIO_MMIO_STATUS, 15 },
		{ VIRTIO_MMIO_CONFIG + 8, 0x12345678 },
	};
	struct cat cat;

	cat_init(&cat);
	virtio_mmio_show(&cat.mmio, page);
	assert_int_equal(page[0], htole32(0x74726976));
	for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
		wr(&cat, writes[i][0], writes[i][1]);
		assert_shown(&cat, page);
	}
	assert_int_equal(page[VIRTIO_MMIO_STATUS / 4], htole32(15));
	/* What the device changes is there with the edge. */
	cat.config[3] = 77;
	virtio_config_changed(&cat.vd);
	assert_int_equal(page[VIRTIO_MMIO_INTERRUPT_STATUS / 4], htole32(VIRTIO_MMIO_INT_CONFIG));
	assert_shown(&cat, page);
	cat.vd.transport->interrupt(cat.vd.transport_ctx, 1);
	assert_shown(&cat, page);
	wr(&cat, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(page[VIRTIO_MMIO_INTERRUPT_STATUS / 4], htole32(VIRTIO_MMIO_INT_VRING));
	virtio_broken(&cat.vd, "the test says so");
	assert_shown(&cat, page);
	wr(&cat, VIRTIO_MMIO_STATUS, 0);
	virtio_config_changed(&cat.vd); /* without an edge, because no driver is there */
	assert_shown(&cat, page);
	cat_destroy(&cat);
}

static void a_failed_set_up_is_cleaned_up(void **state __unused)
{
	struct fake_ram ram;
	struct virtio_dev vd;
	struct virtio_mmio t;
	struct loop none = { .epoll_fd = -1, .wake_fd = -1 };

	ram_init(&ram);
	virtio_init(&vd, &cat_ops, 0);
	assert_int_equal(virtio_mmio_init(&t, &vd, &ram.mem, &(struct irq_line){ 0 }, &none),
			 -EBADF);
	virtio_mmio_destroy(&t);
	assert_int_equal(t.kicks.kick[0].src.fd, -1);
	ram_destroy(&ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_registers_say_what_is_there),
		cmocka_unit_test(features_are_written_word_by_word),
		cmocka_unit_test(only_aligned_words_are_registers),
		cmocka_unit_test(config_space_takes_every_width),
		cmocka_unit_test(a_queue_that_is_not_there_has_no_registers),
		cmocka_unit_test(a_ready_queue_stays_where_it_is),
		cmocka_unit_test(a_wrong_size_is_not_truncated_to_a_right_one),
		cmocka_unit_test(a_queue_stops_and_starts),
		cmocka_unit_test(a_kick_becomes_an_interrupt),
		cmocka_unit_test(work_that_comes_meanwhile_is_done),
		cmocka_unit_test(a_loop_that_looks_needs_no_kick),
		cmocka_unit_test(a_loop_that_looks_says_so_by_a_flag),
		cmocka_unit_test(what_others_serve_is_not_looked_at),
		cmocka_unit_test(kicks_can_be_left_to_others),
		cmocka_unit_test(others_can_call_the_driver),
		cmocka_unit_test(what_is_lent_is_neither_read_nor_written),
		cmocka_unit_test(kicks_come_off_the_loop),
		cmocka_unit_test(a_reset_clears_the_registers),
		cmocka_unit_test(it_works_across_threads),
		cmocka_unit_test(a_page_shows_what_a_read_returns),
		cmocka_unit_test(a_failed_set_up_is_cleaned_up),
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests_name("virtio-mmio", tests, NULL, NULL);
}
