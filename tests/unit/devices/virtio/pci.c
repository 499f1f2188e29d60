/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtio/pci.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "loop_turn.h"
#include "ring.h"
#include "wires.h"
#include "vmm/event.h"
#include "capture.h"
#include "test.h"

#define FOUND  (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define AGREED (FOUND | VIRTIO_CONFIG_S_FEATURES_OK)
#define LIVE   (AGREED | VIRTIO_CONFIG_S_DRIVER_OK)

#define ECAM       0xe0008000 /* of slot 1 */
#define LOW        0xc0000000
#define LEN        0x1000000
#define HIGH       0x100000000
#define FIRST      7 /* the function's message 0 is the machine's 7 */
#define Q_RESET    58
#define COMMON_LEN 60
#define QUEUES     3

/* A device that answers each request with "meow". */
struct cat {
	struct virtio_dev vd;
	struct virtio_pci t;
	struct pci pci;
	struct test_wires wires;
	struct bus mmio;
	struct loop loop;
	struct fake_ram ram;
	struct ring ring[QUEUES];
	unsigned queue_resets, lent_kicks;
	uint8_t config[12];
	gpa_t bar, common, notify, isr, device, table, pba; /* addresses as the guest finds them */
	unsigned msix, window;                              /* capabilities */
	unsigned starts;
};

static int cat_kick(struct virtio_dev *vd __unused, struct virtq *q)
{
	struct virtq_chain c;
	int rc;

	while ((rc = virtq_pop(q, &c)) > 0)
		virtq_push(q, c.head, (uint32_t)chain_write(&c, 0, "meow", 4));
	return rc;
}

static void cat_reset(struct virtio_dev *vd, struct virtq *q)
{
	container_of(vd, struct cat, vd)->queue_resets += q != NULL;
}

static void cat_lent_kick(struct virtio_dev *vd, struct virtq *q)
{
	assert_ptr_equal(q, &vd->q[1]);
	container_of(vd, struct cat, vd)->lent_kicks++;
}

static uint64_t cat_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	return load_le(container_of(vd, struct cat, vd)->config + off, size);
}

static void cat_config_write(struct virtio_dev *vd, uint32_t off, unsigned size, uint64_t value)
{
	store_le(container_of(vd, struct cat, vd)->config + off, size, value);
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
	.device_id = VIRTIO_ID_BLOCK,
	.nr_queues = QUEUES,
	.queue_size = 16,
	.config_size = 12,
	.start = cat_start,
	.kick = cat_kick,
	.reset = cat_reset,
	.lent_kick = cat_lent_kick,
	.config_read = cat_config_read,
	.config_write = cat_config_write,
};

static uint64_t rd(struct cat *cat, gpa_t at, unsigned size)
{
	return bus_read(&cat->mmio, at, size, NULL);
}

static void wr(struct cat *cat, gpa_t at, unsigned size, uint64_t v)
{
	assert_true(bus_write(&cat->mmio, at, size, v));
}

static void put(struct cat *cat, unsigned reg, unsigned size, uint64_t v)
{
	wr(cat, cat->common + reg, size, v);
}

static uint64_t get(struct cat *cat, unsigned reg, unsigned size)
{
	return rd(cat, cat->common + reg, size);
}

/* Goes through the capabilities as a driver does; from now on memory is decoded at bar. */
static void find(struct cat *cat, gpa_t bar)
{
	gpa_t *const place[] = { NULL, &cat->common, &cat->notify, &cat->isr, &cat->device };
	unsigned seen = 0;

	wr(cat, ECAM + PCI_BASE_ADDRESS_0, 4, (uint32_t)bar);
	wr(cat, ECAM + PCI_BASE_ADDRESS_1, 4, bar >> 32);
	wr(cat, ECAM + PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	cat->bar = bar;
	for (unsigned at = (unsigned)rd(cat, ECAM + PCI_CAPABILITY_LIST, 1); at;
	     at = (unsigned)rd(cat, ECAM + at + 1, 1)) {
		unsigned type = (unsigned)rd(cat, ECAM + at + 3, 1);

		assert_true(at >= 0x40 && at % 4 == 0 && seen++ < 10);
		if (rd(cat, ECAM + at, 1) == PCI_CAP_ID_MSIX) {
			cat->msix = at;
			cat->table = bar + rd(cat, ECAM + at + PCI_MSIX_TABLE, 4);
			cat->pba = bar + rd(cat, ECAM + at + PCI_MSIX_PBA, 4);
			continue;
		}
		assert_int_equal(rd(cat, ECAM + at, 1), PCI_CAP_ID_VNDR);
		if (type == VIRTIO_PCI_CAP_PCI_CFG)
			cat->window = at;
		else
			*place[type] = bar + rd(cat, ECAM + at + VIRTIO_PCI_CAP_OFFSET, 4);
	}
}

static int cat_up(void **state)
{
	struct cat *cat = *state = calloc(1, sizeof(*cat));
	struct wires wires = test_wires_init(&cat->wires, FIRST);

	ram_init(&cat->ram);
	assert_int_equal(loop_init(&cat->loop), 0);
	virtio_init(&cat->vd, &cat_ops, VIRTIO_BIT(5));
	assert_int_equal(virtio_pci_init(&cat->t, &cat->vd, &cat->ram.mem, &wires, &cat->loop), 0);
	pci_init(&cat->pci, LOW, LEN, HIGH, LEN);
	assert_int_equal(pci_add(&cat->pci, &cat->t.fn), 1);
	assert_int_equal(bus_add(&cat->mmio, ECAM - 0x8000, PCI_ECAM_SIZE, &cat->pci.ecam), 0);
	assert_int_equal(bus_add(&cat->mmio, LOW, LEN, &cat->pci.windows.low.dev), 0);
	assert_int_equal(bus_add(&cat->mmio, HIGH, LEN, &cat->pci.windows.high.dev), 0);
	bus_freeze(&cat->mmio);
	find(cat, LOW);
	assert_int_equal(cat->starts, 1);
	return 0;
}

static int cat_down(void **state)
{
	struct cat *cat = *state;

	virtio_pci_destroy(&cat->t);
	assert_int_equal(cat->wires.nr_bells, 0);
	assert_int_equal(cat->wires.connects, cat->wires.disconnects);
	pci_destroy(&cat->pci);
	loop_destroy(&cat->loop);
	ram_destroy(&cat->ram);
	free(cat);
	return 0;
}

static void set_queue(struct cat *cat, unsigned i)
{
	struct ring *r = &cat->ring[i];

	ring_init(r, &cat->ram, i * RING_BYTES, 16);
	put(cat, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
	put(cat, VIRTIO_PCI_COMMON_Q_SIZE, 2, r->size);
	put(cat, VIRTIO_PCI_COMMON_Q_DESCLO, 4, r->desc_gpa);
	put(cat, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, r->avail_gpa);
	put(cat, VIRTIO_PCI_COMMON_Q_USEDLO, 4, r->used_gpa);
	put(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2, i + 1);
	put(cat, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

/* Is a kick waiting for the loop? Takes it. */
static bool kick_pending(struct cat *cat, unsigned queue)
{
	uint64_t nr;

	return read(virtio_kicks_fd(&cat->t.kicks, queue), &nr, sizeof(nr)) == sizeof(nr);
}

/* Acts as a driver does. The device then looks at earlier offers. */
static void bring_up(struct cat *cat, uint64_t features)
{
	features |= VIRTIO_BIT(VIRTIO_F_VERSION_1);
	put(cat, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	put(cat, VIRTIO_PCI_COMMON_STATUS, 1, FOUND);
	for (unsigned word = 0; word < 2; word++) {
		put(cat, VIRTIO_PCI_COMMON_GFSELECT, 4, word);
		put(cat, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32 * word));
		assert_int_equal(get(cat, VIRTIO_PCI_COMMON_GF, 4),
				 (uint32_t)(features >> 32 * word));
	}
	put(cat, VIRTIO_PCI_COMMON_STATUS, 1, AGREED);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_STATUS, 1), AGREED);
	put(cat, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	for (unsigned i = 0; i < QUEUES; i++)
		set_queue(cat, i);
	for (unsigned i = 0; i < QUEUES; i++)
		kick_pending(cat, i); /* from the previous driver */
	put(cat, VIRTIO_PCI_COMMON_STATUS, 1, LIVE);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_STATUS, 1), LIVE);
	for (unsigned i = 0; i < QUEUES; i++)
		assert_true(kick_pending(cat, i));
}

static void control(struct cat *cat, uint16_t v)
{
	wr(cat, ECAM + cat->msix + PCI_MSIX_FLAGS, 2, v);
}

static void set_vector(struct cat *cat, unsigned i, uint64_t address, uint32_t data, uint32_t mask)
{
	wr(cat, cat->table + 16 * i, 4, (uint32_t)address);
	wr(cat, cat->table + 16 * i + 4, 4, address >> 32);
	wr(cat, cat->table + 16 * i + 8, 4, data);
	wr(cat, cat->table + 16 * i + 12, 4, mask);
}

/* Switches MSI-X on as kernels do: first all vectors are masked, then those in use unmasked. */
static void interrupts_on(struct cat *cat)
{
	control(cat, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	for (unsigned i = 0; i <= QUEUES; i++)
		set_vector(cat, i, 0xfee00000 + (i << 12), 0x40 + i, 0);
	control(cat, PCI_MSIX_FLAGS_ENABLE);
}

static void request(struct cat *cat, unsigned queue)
{
	ring_send(&cat->ring[queue], &(struct ring_buf){ 0x60000, 8, .in = true }, 1);
}

static void config_changed(struct cat *cat)
{
	pthread_mutex_lock(cat->vd.lock);
	virtio_config_changed(&cat->vd);
	pthread_mutex_unlock(cat->vd.lock);
}

static void the_function_says_what_it_is(void **state)
{
	struct cat *cat = *state;

	assert_int_equal(rd(cat, ECAM, 4), 0x10421af4);
	assert_int_equal(rd(cat, ECAM + 8, 4), 0x01000001);
	assert_int_equal(rd(cat, ECAM + 0x2c, 4), 0x10421af4);
	assert_int_equal(rd(cat, ECAM + 0x3d, 1), 0);
	assert_true(cat->common && cat->notify && cat->isr && cat->device && cat->window);
	assert_int_equal(rd(cat, ECAM + cat->msix + 2, 2), QUEUES);
	assert_int_equal(cat->notify, LOW + 0x3000);
	assert_int_equal(cat->table, LOW + 0x4000);
	assert_int_equal(cat->pba, LOW + 0x5000);
}

static void the_registers_say_what_is_there(void **state)
{
	struct cat *cat = *state;
	const struct {
		unsigned reg, size;
		uint64_t value;
	} fresh[] = {
		{ VIRTIO_PCI_COMMON_DFSELECT, 4, 0 },
		{ VIRTIO_PCI_COMMON_DF, 4, (uint32_t)cat->vd.features },
		{ VIRTIO_PCI_COMMON_GFSELECT, 4, 0 },
		{ VIRTIO_PCI_COMMON_GF, 4, 0 },
		{ VIRTIO_PCI_COMMON_MSIX, 2, 0xffff },
		{ VIRTIO_PCI_COMMON_NUMQ, 2, QUEUES },
		{ VIRTIO_PCI_COMMON_STATUS, 1, 0 },
		{ VIRTIO_PCI_COMMON_CFGGENERATION, 1, 0 },
		{ VIRTIO_PCI_COMMON_Q_SELECT, 2, 0 },
		{ VIRTIO_PCI_COMMON_Q_SIZE, 2, 16 },
		{ VIRTIO_PCI_COMMON_Q_MSIX, 2, 0xffff },
		{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0 },
		{ VIRTIO_PCI_COMMON_Q_NOFF, 2, 0 },
		{ VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0 },
		{ VIRTIO_PCI_COMMON_Q_USEDHI, 4, 0 },
		{ VIRTIO_PCI_COMMON_Q_NDATA, 2, 0 },
		{ Q_RESET, 2, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(fresh); i++)
		assert_int_equal(get(cat, fresh[i].reg, fresh[i].size), fresh[i].value);
	put(cat, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_DF, 4), cat->vd.features >> 32);
	for (uint32_t sel = 2; sel; sel <<= 1) {
		put(cat, VIRTIO_PCI_COMMON_DFSELECT, 4, sel);
		put(cat, VIRTIO_PCI_COMMON_GFSELECT, 4, sel);
		put(cat, VIRTIO_PCI_COMMON_GF, 4, UINT32_MAX);
		assert_int_equal(get(cat, VIRTIO_PCI_COMMON_DF, 4), 0);
		assert_int_equal(get(cat, VIRTIO_PCI_COMMON_GF, 4), 0);
	}
	assert_int_equal(cat->vd.state.driver_features, 0);
	config_changed(cat);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_CFGGENERATION, 1), 1);
	/* A write changes nothing that is read-only. */
	put(cat, VIRTIO_PCI_COMMON_DF, 4, 7);
	put(cat, VIRTIO_PCI_COMMON_NUMQ, 2, 7);
	put(cat, VIRTIO_PCI_COMMON_CFGGENERATION, 1, 7);
	put(cat, VIRTIO_PCI_COMMON_Q_NOFF, 2, 7);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_CFGGENERATION, 1), 1);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_NOFF, 2), 0);
}

/* Only accesses of its own width reach a register. */
static void other_widths_do_nothing(void **state)
{
	struct cat *cat = *state;
	static const uint8_t width[COMMON_LEN] = {
		[0] = 4,  [4] = 4,  [8] = 4,  [12] = 4, [16] = 2, [18] = 2, [20] = 1,
		[21] = 1, [22] = 2, [24] = 2, [26] = 2, [28] = 2, [30] = 2, [32] = 4,
		[36] = 4, [40] = 4, [44] = 4, [48] = 4, [52] = 4, [58] = 2,
	};
	struct virtio_dev before;
	struct virtio_pci_state registers;

	bring_up(cat, 0);
	put(cat, VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	before = cat->vd;
	registers = cat->t.state;
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned off = 0; off < 0x1000 - size; off++) {
			if (off < COMMON_LEN && width[off] == size)
				continue;
			assert_int_equal(get(cat, off, size), 0);
			put(cat, off, size, 0);
			put(cat, off, size, UINT64_MAX);
		}
	assert_memory_equal(&before, &cat->vd, sizeof(before));
	assert_memory_equal(&registers, &cat->t.state, sizeof(registers));
}

static void device_config_takes_every_width(void **state)
{
	struct cat *cat = *state;

	for (unsigned size = 1; size <= 8; size *= 2) {
		wr(cat, cat->device + 3, size, 0x8877665544332211);
		assert_true(rd(cat, cat->device + 3, size) ==
			    (0x8877665544332211 & UINT64_MAX >> (64 - 8 * size)));
		assert_memory_equal(cat->config + 3, "\x11\x22\x33\x44\x55\x66\x77\x88", size);
	}
	assert_int_equal(rd(cat, cat->device + 12, 1), 0);
	assert_int_equal(rd(cat, cat->device + 8, 8), 0);
	assert_int_equal(rd(cat, cat->device + 0xff8, 8), 0);
	wr(cat, cat->device + 11, 2, 0);
	assert_int_equal(rd(cat, cat->device + 8, 1), 0x66);
}

static void a_queue_that_is_not_there_has_no_registers(void **state)
{
	struct cat *cat = *state;
	static const uint16_t sel[] = { QUEUES, VIRTIO_MAX_QUEUES, 0x100, UINT16_MAX };

	bring_up(cat, VIRTIO_BIT(VIRTIO_F_RING_RESET));

	const struct virtio_dev before = cat->vd;

	for (unsigned i = 0; i < ARRAY_SIZE(sel); i++) {
		put(cat, VIRTIO_PCI_COMMON_Q_SELECT, 2, sel[i]);
		assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
		assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		for (unsigned off = 24; off < COMMON_LEN; off += 2)
			put(cat, off, off >= 32 && off < 56 ? 4 : 2, 1);
	}
	assert_memory_equal(&before, &cat->vd, sizeof(before));
	wr(cat, cat->notify + 4 * QUEUES, 2, 0);
	wr(cat, cat->notify + 0xffc, 4, 0);
	assert_false(loop_turn(&cat->loop));
}

static void a_ready_queue_stays_where_it_is(void **state)
{
	struct cat *cat = *state;
	struct virtq before;

	bring_up(cat, 0);
	put(cat, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	before = cat->vd.q[1];
	put(cat, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	for (unsigned off = 32; off < 56; off += 4)
		put(cat, off, 4, 0x4000);
	put(cat, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0); /* no driver writes this */
	put(cat, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	put(cat, Q_RESET, 2, 1); /* not negotiated */
	assert_memory_equal(&before, &cat->vd.q[1], sizeof(before));
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_DESCLO, 4), RING_BYTES);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_AVAILLO, 4), RING_BYTES + 8 * KIB);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_USEDLO, 4), RING_BYTES + 12 * KIB);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_NOFF, 2), 1);
}

static void a_queue_is_reset_alone(void **state)
{
	struct cat *cat = *state;

	bring_up(cat, VIRTIO_BIT(VIRTIO_F_RING_RESET));
	put(cat, VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	put(cat, Q_RESET, 2, 0);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	put(cat, Q_RESET, 2, 1);
	assert_int_equal(get(cat, Q_RESET, 2), 0);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_SIZE, 2), 16);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	assert_int_equal(cat->queue_resets, 1);
	put(cat, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	set_queue(cat, 2);
	request(cat, 2);
	wr(cat, cat->notify + 8, 2, 2);
	assert_true(loop_turn(&cat->loop));
	assert_int_equal(ring_used(&cat->ring[2]), 1);
}

static void a_wrong_queue_breaks_the_device(void **state)
{
	struct cat *cat = *state;
	static const struct {
		unsigned reg, size;
		uint32_t value;
	} wrong[] = {
		{ VIRTIO_PCI_COMMON_Q_SIZE, 2, 0 },
		{ VIRTIO_PCI_COMMON_Q_SIZE, 2, 3 },
		{ VIRTIO_PCI_COMMON_Q_SIZE, 2, 32 },
		{ VIRTIO_PCI_COMMON_Q_DESCLO, 4, 8 },
		{ VIRTIO_PCI_COMMON_Q_DESCHI, 4, 1 },
		{ VIRTIO_PCI_COMMON_Q_AVAILLO, 4, 1 },
		{ VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0xfffffffc },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		bring_up(cat, VIRTIO_BIT(VIRTIO_F_RING_RESET));
		put(cat, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
		put(cat, Q_RESET, 2, 1);
		put(cat, wrong[i].reg, wrong[i].size, wrong[i].value);
		put(cat, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_int_equal(get(cat, VIRTIO_PCI_COMMON_STATUS, 1),
				 LIVE | VIRTIO_CONFIG_S_NEEDS_RESET);
	}
}

static void kicks_come_by_eventfd_and_by_exit(void **state)
{
	struct cat *cat = *state;

	bring_up(cat, 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		request(cat, i);
		assert_true(test_wires_store(&cat->wires, cat->notify + 4 * i));
		assert_int_equal(ring_used(&cat->ring[i]), 0); /* not on this thread */
		assert_true(loop_turn(&cat->loop));
		assert_int_equal(ring_used(&cat->ring[i]), 1);
	}
	for (unsigned size = 1; size <= 8; size *= 2) {
		const uint16_t before = ring_used(&cat->ring[1]);

		request(cat, 1);
		wr(cat, cat->notify + 4, size, UINT64_MAX); /* any width, any value */
		assert_true(loop_turn(&cat->loop));
		assert_int_equal(ring_used(&cat->ring[1]), before + 1);
	}
	assert_int_equal(rd(cat, cat->notify, 4), 0);
	assert_false(loop_turn(&cat->loop));
}

static void doorbells_follow_the_bar(void **state)
{
	struct cat *cat = *state;
	const gpa_t was = cat->notify;

	assert_int_equal(cat->wires.nr_bells, QUEUES);
	find(cat, HIGH + 0x8000);
	assert_int_equal(cat->wires.nr_bells, QUEUES);
	assert_false(test_wires_store(&cat->wires, was));
	bring_up(cat, 0);
	request(cat, 2);
	assert_true(test_wires_store(&cat->wires, cat->notify + 8));
	assert_true(loop_turn(&cat->loop));
	assert_int_equal(ring_used(&cat->ring[2]), 1);
	wr(cat, ECAM + PCI_COMMAND, 2, 0);
	assert_int_equal(cat->wires.nr_bells, 0);
	/* Without doorbells the exits will do. */
	cat->wires.no_bells = true;
	find(cat, LOW + 0x10000);
	assert_int_equal(cat->wires.nr_bells, 0);
	request(cat, 2);
	wr(cat, cat->notify + 8, 2, 2);
	assert_true(loop_turn(&cat->loop));
	assert_int_equal(ring_used(&cat->ring[2]), 2);
	cat->wires.no_bells = false;
	find(cat, LOW);
	assert_int_equal(cat->wires.nr_bells, QUEUES);
}

static void without_msix_there_is_the_isr(void **state)
{
	struct cat *cat = *state;

	bring_up(cat, 0);
	assert_int_equal(rd(cat, cat->isr, 1), 0);
	request(cat, 0);
	wr(cat, cat->notify, 2, 0);
	assert_true(loop_turn(&cat->loop));
	assert_int_equal(rd(cat, cat->isr, 2), 0); /* no such register */
	assert_int_equal(rd(cat, cat->isr, 1), 1);
	assert_int_equal(rd(cat, cat->isr, 1), 0); /* reading cleared it */
	config_changed(cat);
	request(cat, 0);
	wr(cat, cat->notify, 2, 0);
	assert_true(loop_turn(&cat->loop));
	assert_int_equal(rd(cat, cat->isr, 1), 3);
	assert_int_equal(cat->wires.connects, 0);
	config_changed(cat);
	put(cat, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(rd(cat, cat->isr, 1), 0);
}

static void each_queue_has_its_interrupt(void **state)
{
	struct cat *cat = *state;

	bring_up(cat, 0);
	interrupts_on(cat);
	assert_int_equal(cat->wires.connects, QUEUES + 1);
	assert_int_equal(cat->wires.tells, 1); /* all at once */
	for (unsigned i = 0; i < QUEUES; i++) {
		assert_int_equal(cat->wires.msi[FIRST + 1 + i].told_address,
				 0xfee01000 + (i << 12));
		assert_int_equal(cat->wires.msi[FIRST + 1 + i].told_data, 0x41 + i);
		assert_int_equal(cat->wires.msi[FIRST + 1 + i].device, 1 << 3); /* its slot */
		request(cat, i);
		wr(cat, cat->notify + 4 * i, 2, i);
		assert_true(loop_turn(&cat->loop));
		for (unsigned n = 0; n <= QUEUES; n++)
			assert_int_equal(test_wires_sent(&cat->wires, FIRST + n), n == i + 1);
	}
	config_changed(cat);
	for (unsigned n = 0; n <= QUEUES; n++)
		assert_int_equal(test_wires_sent(&cat->wires, FIRST + n), n == 0);
	assert_int_equal(rd(cat, cat->isr, 1), 0);
	/* Two queues can share a vector, and one can have none. */
	put(cat, VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	put(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
	put(cat, VIRTIO_PCI_COMMON_MSIX, 2, 0xffff);
	config_changed(cat);
	request(cat, 2);
	wr(cat, cat->notify + 8, 2, 2);
	assert_true(loop_turn(&cat->loop));
	assert_int_equal(test_wires_sent(&cat->wires, FIRST), 1);
}

static void vectors_that_are_not_there_are_refused(void **state)
{
	struct cat *cat = *state;
	static const uint16_t wrong[] = { QUEUES + 1, MSIX_MAX_VECTORS, 0x100, 0xfffe, 0xffff };

	put(cat, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		put(cat, VIRTIO_PCI_COMMON_MSIX, 2, QUEUES);
		put(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2, QUEUES);
		assert_int_equal(get(cat, VIRTIO_PCI_COMMON_MSIX, 2), QUEUES);
		assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2), QUEUES);
		put(cat, VIRTIO_PCI_COMMON_MSIX, 2, wrong[i]);
		put(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2, wrong[i]);
		assert_int_equal(get(cat, VIRTIO_PCI_COMMON_MSIX, 2), 0xffff);
		assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	}
}

/* Whatever masks a vector, its interrupt waits until nothing does. */
static void what_is_masked_is_pending(void **state)
{
	struct cat *cat = *state;
	static const uint16_t on = PCI_MSIX_FLAGS_ENABLE;

	bring_up(cat, 0);
	interrupts_on(cat);
	for (unsigned how = 0; how < 3; how++) {
		assert_int_equal(rd(cat, cat->pba, 8), 0);
		if (how == 0)
			wr(cat, cat->table + 2 * 16 + 12, 4, 1);
		else
			control(cat, how == 1 ? on | PCI_MSIX_FLAGS_MASKALL : 0);
		for (unsigned twice = 0; twice < 2; twice++) {
			if (how == 2) /* while MSI-X is off nothing is sent, now or later */
				msix_signal(&cat->t.msix, 2);
			request(cat, 1);
			wr(cat, cat->notify + 4, 2, 1);
			assert_true(loop_turn(&cat->loop));
		}
		assert_int_equal(test_wires_sent(&cat->wires, FIRST + 2), 0);
		for (unsigned size = 1; size <= 8; size *= 2)
			assert_int_equal(rd(cat, cat->pba, size), 1 << 2);
		assert_int_equal(rd(cat, cat->pba + 1, 4), 0);
		assert_int_equal(rd(cat, cat->pba + 8, 8), 0);
		wr(cat, cat->pba, 8, 0); /* read-only */
		if (how == 0)
			wr(cat, cat->table + 2 * 16 + 12, 4, 0);
		else
			control(cat, on);
		assert_int_equal(rd(cat, cat->pba, 8), 0);
		assert_int_equal(test_wires_sent(&cat->wires, FIRST + 2), 2);
	}
	assert_int_equal(cat->wires.tells, 4); /* the first, and the one that was routed again */
}

static void the_table_takes_words(void **state)
{
	struct cat *cat = *state;

	for (unsigned i = 0; i <= QUEUES; i++) {
		assert_int_equal(rd(cat, cat->table + 16 * i, 8), 0);
		assert_int_equal(rd(cat, cat->table + 16 * i + 8, 8), 1ull << 32); /* masked */
	}
	wr(cat, cat->table + 16, 8, 0x123456789abcdef3);
	wr(cat, cat->table + 24, 8, 0xfffffffe55667788);
	assert_true(rd(cat, cat->table + 16, 8) == 0x123456789abcdef0);
	assert_int_equal(rd(cat, cat->table + 20, 4), 0x12345678);
	assert_int_equal(rd(cat, cat->table + 24, 4), 0x55667788);
	assert_int_equal(rd(cat, cat->table + 28, 4), 0);
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned off = 0; off < 0x1000 - size; off++) {
			if ((size == 4 || size == 8) && off % size == 0 && off < 64)
				continue;
			assert_int_equal(rd(cat, cat->table + off, size), 0);
			wr(cat, cat->table + off, size, UINT64_MAX);
		}
	assert_true(rd(cat, cat->table + 16, 8) == 0x123456789abcdef0);
	assert_int_equal(rd(cat, cat->table + 24, 8), 0x55667788);
	assert_int_equal(cat->wires.connects, 0); /* MSI-X is off */
}

/* Software must mask a vector before it changes it; this works without it, too. */
static void a_message_can_change(void **state)
{
	struct cat *cat = *state;

	interrupts_on(cat);
	wr(cat, cat->table + 8, 4, 0x99);
	assert_int_equal(cat->wires.msi[FIRST].told_data, 0x99);
	assert_true(cat->wires.msi[FIRST].fd >= 0);
	wr(cat, cat->table + 8, 4, 0x99); /* the same value: nothing is to be done */
	assert_int_equal(cat->wires.connects, QUEUES + 2);
	cat->wires.no_routes = true;
	wr(cat, cat->table + 8, 4, 0xaa);
	assert_int_equal(cat->wires.msi[FIRST].fd, -1);
	msix_signal(&cat->t.msix, 0);
	assert_int_equal(rd(cat, cat->pba, 1), 1); /* it waits */
	cat->wires.no_routes = false;
	wr(cat, cat->table + 8, 4, 0xbb);
	assert_int_equal(cat->wires.msi[FIRST].told_data, 0xbb);
	assert_int_equal(test_wires_sent(&cat->wires, FIRST), 1);
}

/* A guest that has used up the descriptors (--net user) can't fill the log as well. */
static void a_shortage_of_descriptors_is_said_now_and_then(void **state)
{
	struct cat *cat = *state;
	struct rlimit before, tight;
	struct capture c;
	struct stat st;

	capture_begin(&c);
	log_set_level(LOG_WARN);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	interrupts_on(cat);
	for (unsigned i = 0; i < 2000; i++) {
		control(cat, PCI_MSIX_FLAGS_ENABLE);
		msix_signal(&cat->t.msix, 1);
		assert_true(cat->vd.transport->call_fd(&cat->t, 0) < 0);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	log_set_level(LOG_QUIET);
	assert_int_equal(fstat(c.file, &st), 0);
	assert_non_null(strstr(capture_end(&c), "eventfd for interrupt 0 of cat: Too many open"));
	assert_true(st.st_size < 100000);
	control(cat, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(cat->wires.connects, QUEUES + 1);
}

/* A driver learns that it can't have an interrupt, and may do without (§4.1.5.1.2.1). */
static void a_vector_that_cant_be_had_reads_back_as_none(void **state)
{
	struct cat *cat = *state;
	struct rlimit before, tight;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	put(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	put(cat, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	put(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2), 1);
}

static void others_serve_and_call(void **state)
{
	struct cat *cat = *state;
	const struct virtio_transport_ops *ops = cat->vd.transport;
	const uint64_t one = 1;
	uint64_t nr;
	int call, nowhere;

	bring_up(cat, 0);
	interrupts_on(cat);
	call = ops->call_fd(&cat->t, 1);
	assert_int_equal(write(call, &one, sizeof(one)), sizeof(one));
	assert_int_equal(test_wires_sent(&cat->wires, FIRST + 2), 1);
	put(cat, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	put(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0xffff);
	nowhere = ops->call_fd(&cat->t, 1);
	assert_true(nowhere >= 0 && nowhere != call);
	assert_int_equal(write(nowhere, &one, sizeof(one)), sizeof(one));
	for (unsigned n = 0; n <= QUEUES; n++)
		assert_int_equal(test_wires_sent(&cat->wires, FIRST + n), 0);

	ops->watch_kicks(&cat->t, 1, false);
	wr(cat, cat->notify + 4, 2, 1);
	assert_false(loop_turn(&cat->loop));
	assert_int_equal(read(ops->kick_fd(&cat->t, 1), &nr, sizeof(nr)), sizeof(nr));
	bring_up(cat, 0);
	wr(cat, cat->notify + 4, 2, 1);
	assert_true(loop_turn(&cat->loop));
}

/* The worst that its process can make of an eventfd: it blocks, and is full. */
static void spoil(const struct shared_fd *s)
{
	const uint64_t most = UINT64_MAX - 1;
	const int fd = shared_fd_hand_on(s);

	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	event_take(fd);
	assert_int_equal(write(fd, &most, sizeof(most)), sizeof(most));
}

static void what_is_lent_is_kvms_to_signal(void **state)
{
	struct cat *cat = *state;
	const struct virtio_transport_ops *ops = cat->vd.transport;
	const gpa_t bell = cat->notify + 4;
	struct shared_fd kick, again, call, same;
	const uint64_t one = 1;

	bring_up(cat, 0);
	interrupts_on(cat);
	assert_int_equal(ops->lend_kick(&cat->t, 1, &kick), 0);
	assert_true(event_take(shared_fd_hand_on(&kick))); /* for earlier kicks */
	assert_true(test_wires_store(&cat->wires, bell));
	assert_true(event_take(shared_fd_hand_on(&kick)));
	assert_false(loop_turn(&cat->loop));
	wr(cat, bell, 4, 1); /* the device tells it what KVM doesn't know */
	assert_false(event_take(shared_fd_hand_on(&kick)));
	assert_true(loop_turn(&cat->loop));
	assert_int_equal(cat->lent_kicks, 1);
	find(cat, HIGH);
	assert_false(test_wires_store(&cat->wires, bell));
	assert_true(test_wires_store(&cat->wires, cat->notify + 4));
	assert_true(event_take(shared_fd_hand_on(&kick)));
	assert_int_equal(ops->lend_kick(&cat->t, 1, &again), 0);
	assert_true(test_wires_store(&cat->wires, cat->notify + 4));
	assert_true(event_take(shared_fd_hand_on(&again)));

	/* A call: beside our own, pending while it is masked. */
	assert_int_equal(ops->lend_call(&cat->t, 1, &call), 0);
	assert_int_equal(ops->lend_call(&cat->t, 1, &same), 0);
	assert_int_equal(shared_fd_hand_on(&call), shared_fd_hand_on(&same));
	assert_int_equal(write(shared_fd_hand_on(&call), &one, sizeof(one)), sizeof(one));
	msix_signal(&cat->t.msix, 2);
	assert_int_equal(test_wires_sent(&cat->wires, FIRST + 2), 2);
	control(cat, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_int_equal(rd(cat, cat->pba, 8), 0);
	assert_int_equal(write(shared_fd_hand_on(&call), &one, sizeof(one)), sizeof(one));
	assert_int_equal(rd(cat, cat->pba, 8), 4);
	control(cat, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(test_wires_sent(&cat->wires, FIRST + 2), 1);

	/* Nothing that the process does with them blocks us; and a reset takes them back. */
	control(cat, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	spoil(&again);
	spoil(&call);
	put(cat, VIRTIO_PCI_COMMON_MSIX, 2, 2);
	config_changed(cat);
	msix_signal(&cat->t.msix, 2);
	wr(cat, cat->notify + 4, 2, 1);
	assert_true(loop_turn(&cat->loop));
	assert_false(loop_turn(&cat->loop));
	bring_up(cat, 0);
	assert_int_equal(rd(cat, cat->pba, 8), 0);
	assert_true(test_wires_store(&cat->wires, cat->notify + 4));
	request(cat, 1);
	assert_true(loop_turn(&cat->loop));
	assert_int_equal(ring_used(&cat->ring[1]), 1);
	assert_int_equal(cat->lent_kicks, 2);
}

static void reads_and_writes_go_through_the_window(void **state)
{
	struct cat *cat = *state;
	const gpa_t cap = ECAM + cat->window, data = cap + 16;
	static const uint32_t bad_len[] = { 0, 3, 5, 8, 0x10001, UINT32_MAX };
	static const uint32_t bad_off[] = { 0x8000, 0x7fff, 0x12, UINT32_MAX, UINT32_MAX - 3 };

	wr(cat, ECAM + PCI_COMMAND, 2, 0); /* works without memory decoding */
	wr(cat, cap + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_Q_SIZE);
	wr(cat, cap + VIRTIO_PCI_CAP_LENGTH, 4, 2);
	assert_int_equal(rd(cat, data, 2), 16);
	assert_int_equal(rd(cat, data, 1), 16);
	wr(cat, data, 2, 8);
	assert_int_equal(cat->vd.q[0].state.size, 8);
	assert_int_equal(rd(cat, data, 4), 8);
	wr(cat, cap + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_STATUS);
	wr(cat, cap + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	wr(cat, data, 1, FOUND);
	assert_int_equal(cat->vd.state.status, FOUND);
	wr(cat, cap + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_DFSELECT);
	wr(cat, cap + VIRTIO_PCI_CAP_LENGTH, 4, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(bad_len); i++) {
		wr(cat, cap + VIRTIO_PCI_CAP_LENGTH, 4, bad_len[i]);
		wr(cat, data, 4, 42);
	}
	wr(cat, cap + VIRTIO_PCI_CAP_LENGTH, 4, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(bad_off); i++) {
		wr(cat, cap + VIRTIO_PCI_CAP_OFFSET, 4, bad_off[i]);
		wr(cat, data, 4, 42);
	}
	wr(cat, cap + VIRTIO_PCI_CAP_OFFSET, 4, 0);
	wr(cat, cap + VIRTIO_PCI_CAP_BAR, 1, 1);
	wr(cat, data, 4, 42);
	assert_int_equal(cat->t.state.device_features_sel, 0);
	wr(cat, cap + VIRTIO_PCI_CAP_BAR, 1, 0);
	wr(cat, data, 4, 42);
	assert_int_equal(cat->t.state.device_features_sel, 42);
	/* A kick works, too. */
	find(cat, LOW);
	bring_up(cat, 0);
	wr(cat, cap + VIRTIO_PCI_CAP_OFFSET, 4, 0x3004);
	wr(cat, cap + VIRTIO_PCI_CAP_LENGTH, 4, 2);
	request(cat, 1);
	wr(cat, data, 2, 1);
	assert_true(loop_turn(&cat->loop));
	assert_int_equal(ring_used(&cat->ring[1]), 1);
}

static void a_reset_clears_the_registers(void **state)
{
	struct cat *cat = *state;

	bring_up(cat, 0);
	interrupts_on(cat);
	wr(cat, cat->table + 16 + 12, 4, 1);
	request(cat, 0);
	wr(cat, cat->notify, 2, 0);
	assert_true(loop_turn(&cat->loop));
	assert_int_equal(rd(cat, cat->pba, 1), 2);
	/* Its interrupts are still set up, but nothing is pending. */
	put(cat, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_MSIX, 2), 0xffff);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	assert_int_equal(get(cat, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(rd(cat, cat->pba, 1), 0);
	assert_int_equal(rd(cat, cat->table + 8, 4), 0x40);
	bring_up(cat, 0);
}

static void a_failed_set_up_is_cleaned_up(void **state __unused)
{
	struct cat *cat = calloc(1, sizeof(*cat));
	struct loop none = { .epoll_fd = -1, .wake_fd = -1 };

	ram_init(&cat->ram);
	virtio_init(&cat->vd, &cat_ops, 0);
	assert_true(virtio_pci_init(&cat->t, &cat->vd, &cat->ram.mem, &(struct wires){ 0 }, &none) <
		    0);
	virtio_pci_destroy(&cat->t);
	ram_destroy(&cat->ram);
	free(cat);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, cat_up, cat_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_function_says_what_it_is),
		TEST(the_registers_say_what_is_there),
		TEST(other_widths_do_nothing),
		TEST(device_config_takes_every_width),
		TEST(a_queue_that_is_not_there_has_no_registers),
		TEST(a_ready_queue_stays_where_it_is),
		TEST(a_queue_is_reset_alone),
		TEST(a_wrong_queue_breaks_the_device),
		TEST(kicks_come_by_eventfd_and_by_exit),
		TEST(doorbells_follow_the_bar),
		TEST(without_msix_there_is_the_isr),
		TEST(each_queue_has_its_interrupt),
		TEST(vectors_that_are_not_there_are_refused),
		TEST(what_is_masked_is_pending),
		TEST(the_table_takes_words),
		TEST(a_message_can_change),
		TEST(a_shortage_of_descriptors_is_said_now_and_then),
		TEST(a_vector_that_cant_be_had_reads_back_as_none),
		TEST(others_serve_and_call),
		TEST(what_is_lent_is_kvms_to_signal),
		TEST(reads_and_writes_go_through_the_window),
		TEST(a_reset_clears_the_registers),
		cmocka_unit_test(a_failed_set_up_is_cleaned_up),
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests_name("virtio-pci", tests, NULL, NULL);
}
