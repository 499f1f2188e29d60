/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-mmio device with all features (configuration space, two queues, requests that it keeps
 * for a while) and an input that is a list of operations: accesses of every width, writes to guest
 * memory, kicks, completions, resets. One operation sets the device up as a driver would, so that
 * inputs need not find the way themselves.
 */
#include "virtio/mmio.h"

#include <assert.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>

#include "fuzz.h"

#define RAM_SIZE   (16 * KIB)
#define QUEUE_SIZE 8
#define AGREED     (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

struct target {
	struct virtio_dev vd;
	struct virtio_mmio mmio;
	struct loop loop;
	struct gmem mem;
	uint8_t *ram;
	uint8_t config[24];
	struct {
		struct virtq *q;
		struct virtq_chain chain;
	} held[4]; /* q NULL: free */
	unsigned edges;
	uint8_t page[VIRTIO_MMIO_SIZE] __attribute__((aligned(4)));
};

static void answer(struct virtq *q, const struct virtq_chain *c)
{
	uint8_t buf[16];
	size_t n = chain_read(c, 0, buf, sizeof(buf));

	virtq_push(q, c->head, (uint32_t)chain_write(c, 0, buf, n));
}

/* Keeps a request if there is room; leaves the rest in the queue if the request's first byte says
 * so. */
static int target_kick(struct virtio_dev *vd, struct virtq *q)
{
	struct target *t = container_of(vd, struct target, vd);
	struct virtq_chain c;
	unsigned slot = 0;
	int rc;

	while ((rc = virtq_pop(q, &c)) > 0) {
		uint8_t first = 0;

		chain_read(&c, 0, &first, 1);
		while (slot < ARRAY_SIZE(t->held) && t->held[slot].q)
			slot++;
		if (slot < ARRAY_SIZE(t->held) && first & 1) {
			t->held[slot].q = q;
			t->held[slot].chain = c;
		} else {
			answer(q, &c);
		}
		if (first & 2)
			return 0;
	}
	return rc;
}

static int target_activate(struct virtio_dev *vd)
{
	struct target *t = container_of(vd, struct target, vd);

	return t->config[0] == 0xff ? -1 : 0;
}

static void target_reset(struct virtio_dev *vd, struct virtq *q)
{
	struct target *t = container_of(vd, struct target, vd);

	for (unsigned i = 0; i < ARRAY_SIZE(t->held); i++)
		if (!q || t->held[i].q == q)
			t->held[i].q = NULL;
}

static uint64_t target_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	struct target *t = container_of(vd, struct target, vd);

	return load_le(t->config + off, size);
}

static void target_config_write(struct virtio_dev *vd, uint32_t off, unsigned size, uint64_t value)
{
	struct target *t = container_of(vd, struct target, vd);

	store_le(t->config + off, size, value);
}

static const struct virtio_ops target_ops = {
	.name = "target",
	.device_id = 1,
	.nr_queues = 2,
	.queue_size = QUEUE_SIZE,
	.config_size = sizeof(((struct target *)NULL)->config),
	.kick = target_kick,
	.activate = target_activate,
	.reset = target_reset,
	.config_read = target_config_read,
	.config_write = target_config_write,
};

static void count_edges(void *ctx, unsigned n __unused, bool level)
{
	struct target *t = ctx;

	assert(t->mmio.state.isr);
	t->edges += level;
}

static void wr(struct target *t, uint32_t reg, uint32_t v)
{
	t->mmio.dev.ops->write(&t->mmio.dev, reg, 4, v);
}

/* Brings up a device with the features that the input asks for; rings are in the first 512 bytes of
 * each half of RAM. */
static void bring_up(struct target *t, uint64_t features)
{
	wr(t, VIRTIO_MMIO_STATUS, 0);
	wr(t, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned word = 0; word < 2; word++) {
		wr(t, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
		wr(t, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32 * word));
	}
	wr(t, VIRTIO_MMIO_STATUS, AGREED);
	for (uint32_t i = 0; i < target_ops.nr_queues; i++) {
		const uint32_t base = i * (uint32_t)RAM_SIZE / 2;

		wr(t, VIRTIO_MMIO_QUEUE_SEL, i);
		wr(t, VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE);
		wr(t, VIRTIO_MMIO_QUEUE_DESC_LOW, base);
		wr(t, VIRTIO_MMIO_QUEUE_AVAIL_LOW, base + 0x80);
		wr(t, VIRTIO_MMIO_QUEUE_USED_LOW, base + 0x100);
		wr(t, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	wr(t, VIRTIO_MMIO_STATUS, AGREED | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Does what the loop does with pending kicks. */
static void run_loop(struct target *t)
{
	struct epoll_event ev;

	/* A round may ask for another one, for ever if the device writes to an available ring. */
	for (unsigned i = 0; i < 4 && epoll_wait(t->loop.epoll_fd, &ev, 1, 0) == 1; i++) {
		struct loop_source *src = ev.data.ptr;

		src->fn(src, ev.events);
	}
}

static void complete(struct target *t, unsigned slot)
{
	struct virtq *q = t->held[slot].q;

	if (!q)
		return;
	t->held[slot].q = NULL;
	answer(q, &t->held[slot].chain);
	virtio_notify(&t->vd, q);
}

static void one_op(struct target *t, struct fuzz_in *in)
{
	struct dev *dev = &t->mmio.dev;
	const unsigned op = (unsigned)fuzz_number(in, 1), size = 1u << (op >> 4 & 3);
	uint64_t off, len;

	switch (op & 15) {
	case 0: /* a register */
		off = 4 * fuzz_number(in, 1);
		dev->ops->write(dev, off, 4, fuzz_number(in, 4));
		break;
	case 1: /* any access; the bus keeps it inside the device and the value inside the width */
	case 2:
		off = fuzz_number(in, 2) % (VIRTIO_MMIO_SIZE - size + 1);
		if ((op & 15) == 1)
			assert(size == 8 || dev->ops->read(dev, off, size) >> 8 * size == 0);
		else
			dev->ops->write(dev, off, size, fuzz_number(in, size));
		break;
	case 3: /* memory */
		off = fuzz_number(in, 2) % RAM_SIZE;
		len = min(fuzz_number(in, 1), RAM_SIZE - off);
		fuzz_take(in, t->ram + off, len);
		break;
	case 4:
		bring_up(t, fuzz_number(in, 8));
		break;
	case 5:
		run_loop(t);
		break;
	case 6:
		complete(t, (op >> 4) % ARRAY_SIZE(t->held));
		break;
	case 7:
		virtio_config_changed(&t->vd);
		break;
	case 8:
		wr(t, VIRTIO_MMIO_STATUS, 0);
		break;
	case 9: /* a kick, and its effects */
		wr(t, VIRTIO_MMIO_QUEUE_NOTIFY, op >> 4);
		run_loop(t);
		break;
	case 10: /* what a loop does that polls */
		(void)!t->loop.pollers->look(t->loop.pollers);
		break;
	case 11:
		(void)!t->loop.pollers->rest(t->loop.pollers);
		break;
	}
}

/* Do the first bytes of the page that the guest reads show what reads would return? */
static void check_page(struct target *t, uint32_t len)
{
	for (uint32_t off = 0; off < len; off += 4) {
		uint32_t v = 0;

		for (unsigned i = 0; off >= VIRTIO_MMIO_CONFIG && i < 4; i++)
			v |= (uint32_t)t->mmio.dev.ops->read(&t->mmio.dev, off + i, 1) << 8 * i;
		if (off < VIRTIO_MMIO_CONFIG)
			v = (uint32_t)t->mmio.dev.ops->read(&t->mmio.dev, off, 4);
		assert(load_le(&t->page[off], 4) == v);
	}
}

/* Checks what holds whatever the guest does. */
static void check(const struct target *t)
{
	const struct virtio_dev *vd = &t->vd;

	if (vd->state.status & VIRTIO_CONFIG_S_DRIVER_OK)
		assert((vd->state.status & AGREED) == AGREED);
	if (vd->state.status & VIRTIO_CONFIG_S_FEATURES_OK)
		assert(!(vd->state.driver_features & ~vd->features) &&
		       virtio_has(vd, VIRTIO_F_VERSION_1));
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		if (vd->q[i].state.ready)
			assert(i < target_ops.nr_queues &&
			       vd->state.status & VIRTIO_CONFIG_S_FEATURES_OK &&
			       vd->q[i].state.size <= QUEUE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(t->held); i++)
		assert(!t->held[i].q || t->held[i].q->state.ready);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct target *t = calloc(1, sizeof(*t));
	int rc;

	assert(t);
	t->ram = calloc(1, RAM_SIZE);
	assert(t->ram);
	rc = gmem_add(&t->mem, 0, RAM_SIZE, t->ram);
	assert(rc == 0);
	rc = loop_init(&t->loop);
	assert(rc == 0);
	virtio_init(&t->vd, &target_ops, 0xff);
	rc = virtio_mmio_init(&t->mmio, &t->vd, &t->mem, &(struct irq_line){ count_edges, t, 0 },
			      &t->loop);
	assert(rc == 0);
	virtio_mmio_show(&t->mmio, t->page);
	for (unsigned i = 0; i < 1000 && in.len > 0; i++) {
		one_op(t, &in);
		check(t);
		check_page(t, VIRTIO_MMIO_CONFIG + 32);
	}
	check_page(t, VIRTIO_MMIO_SIZE); /* it takes much longer than an operation */
	virtio_mmio_destroy(&t->mmio);
	loop_destroy(&t->loop);
	free(t->ram);
	free(t);
	return 0;
}
