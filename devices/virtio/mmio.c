/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio over MMIO, version 2 (virtio 1.2 §4.2): registers, kicks and interrupts for any virtio
 * device.
 *
 * Registers are 32 bits wide and answer aligned 32-bit accesses only, as §4.2.2.2 asks of a driver;
 * any other access below the configuration space reads as zero and writes nothing. Configuration
 * space takes 1, 2, 4 and 8 bytes at any offset.
 *
 * A kick is an eventfd, which KVM signals (ioeventfd) or, where an exit brings the write here, we
 * do. Either way the queue runs on the device's loop, never on a vCPU's thread.
 *
 * An interrupt sets a bit of InterruptStatus and then sends one edge, each time, even if the bit
 * was set. It can't be lost: whoever reads the status after the edge finds the bit, and an edge
 * that comes while a handler runs (after it read the status, before it acknowledged, so that the
 * acknowledgement takes the new bit along) is latched by the interrupt controller and runs the
 * handler again. That second run may find no bit set, which is harmless: a handler looks at the
 * used rings after it acknowledged, and what it finds there was published before the bit was set.
 *
 * Deliberately missing: version 1 (legacy), shared memory regions, NOTIFICATION_DATA.
 */
#include "mmio.h"

#include <assert.h>
#include <linux/virtio_mmio.h>
#include <sys/eventfd.h>

#define MAGIC  0x74726976 /* "virt" */
#define VENDOR 0x4d4d564d /* "MVMM" */

#ifndef VIRTIO_MMIO_QUEUE_RESET
#define VIRTIO_MMIO_QUEUE_RESET 0x0c0
#endif

static uint32_t reg_read(struct virtio_mmio *t, uint64_t off)
{
	struct virtio_dev *vd = t->vd;
	struct virtq *q = virtio_queue(vd, t->regs.queue_sel); /* NULL: no such queue */

	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return 2;
	case VIRTIO_MMIO_DEVICE_ID:
		return vd->ops->device_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		if (t->regs.device_features_sel > 1)
			return 0;
		return (uint32_t)(vd->features >> 32 * t->regs.device_features_sel);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return q ? q->max_size : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return q && q->ready;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return t->regs.isr;
	case VIRTIO_MMIO_STATUS:
		return vd->status;
	case VIRTIO_MMIO_QUEUE_RESET:
		return 0; /* §4.2.2.1: never under way, since the write waits for it */
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX; /* §4.2.2: no such region, whatever SHMSel says */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return vd->config_generation;
	default:
		return 0;
	}
}

static void set_low(gpa_t *gpa, uint32_t v)
{
	*gpa = (*gpa & ~(uint64_t)UINT32_MAX) | v;
}

static void set_high(gpa_t *gpa, uint32_t v)
{
	*gpa = (*gpa & UINT32_MAX) | (uint64_t)v << 32;
}

static void kick(const struct virtio_mmio *t, uint32_t index)
{
	const uint64_t one = 1;

	/* EAGAIN means that 2^64 - 2 kicks are pending, which is as good as one. */
	if (virtio_queue(t->vd, index) && write(t->kick[index].src.fd, &one, sizeof(one)) < 0)
		return;
}

/* Where a queue lies. §4.2.2.2: the driver doesn't touch it while the queue is ready. */
static void queue_reg_write(struct virtq *q, uint64_t off, uint32_t v)
{
	if (!q || q->ready)
		return;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		/* Neither truncated nor clamped to a size that might do: virtq_enable() refuses it.
		 */
		q->size = (uint16_t)min(v, (uint32_t)UINT16_MAX);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		set_low(&q->desc_gpa, v);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_high(&q->desc_gpa, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		set_low(&q->avail_gpa, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_high(&q->avail_gpa, v);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		set_low(&q->used_gpa, v);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_high(&q->used_gpa, v);
		break;
	}
}

/* Stopping by QueueReady = 0 is a reset of the queue, too: the driver reads it back and may then
 * reuse the memory (§4.2.2.2). */
static void queue_ready(struct virtio_dev *vd, struct virtq *q, uint32_t v)
{
	if (q && v == 1)
		virtio_queue_enable(vd, q);
	else if (q && v == 0)
		virtio_queue_disable(vd, q);
}

static void status_write(struct virtio_mmio *t, uint32_t v)
{
	virtio_set_status(t->vd, (uint8_t)v);
	if ((uint8_t)v == 0) /* a reset */
		t->regs = (struct virtio_mmio_regs){ 0 };
}

static void reg_write(struct virtio_mmio *t, uint64_t off, uint32_t v)
{
	struct virtio_dev *vd = t->vd;
	struct virtq *q = virtio_queue(vd, t->regs.queue_sel); /* NULL: no such queue */

	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		t->regs.device_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		t->regs.driver_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_accept_features(vd, t->regs.driver_features_sel, v);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		t->regs.queue_sel = v;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		queue_ready(vd, q, v);
		break;
	case VIRTIO_MMIO_QUEUE_RESET:
		if (q && v == 1)
			virtio_queue_reset(vd, q);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		kick(t, v);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		t->regs.isr &= ~v;
		break;
	case VIRTIO_MMIO_STATUS:
		status_write(t, v);
		break;
	default:
		queue_reg_write(q, off, v);
		break;
	}
}

static uint64_t mmio_read(struct dev *dev, uint64_t off, unsigned size)
{
	struct virtio_mmio *t = container_of(dev, struct virtio_mmio, dev);

	if (off >= VIRTIO_MMIO_CONFIG)
		return virtio_config_read(t->vd, off - VIRTIO_MMIO_CONFIG, size);
	return size == 4 ? reg_read(t, off) : 0; /* no register has an unaligned offset */
}

static void mmio_write(struct dev *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct virtio_mmio *t = container_of(dev, struct virtio_mmio, dev);

	if (off >= VIRTIO_MMIO_CONFIG)
		virtio_config_write(t->vd, off - VIRTIO_MMIO_CONFIG, size, value);
	else if (size == 4)
		reg_write(t, off, (uint32_t)value);
}

static void mmio_reset(struct dev *dev)
{
	struct virtio_mmio *t = container_of(dev, struct virtio_mmio, dev);

	status_write(t, 0);
}

static const struct dev_ops mmio_ops = {
	.name = "virtio-mmio",
	.read = mmio_read,
	.write = mmio_write,
	.reset = mmio_reset,
};

static void mmio_interrupt(void *ctx, int queue)
{
	struct virtio_mmio *t = ctx;

	t->regs.isr |= queue < 0 ? VIRTIO_MMIO_INT_CONFIG : VIRTIO_MMIO_INT_VRING;
	irq_pulse(&t->irq); /* after the bit, and every time: see the top */
}

static const struct virtio_transport_ops transport_ops = { .interrupt = mmio_interrupt };

static void kicked(struct loop_source *src, uint32_t events __unused)
{
	struct virtio_mmio_kick *k = container_of(src, struct virtio_mmio_kick, src);
	struct virtio_mmio *t = k->transport;
	const uint32_t index = (uint32_t)(k - t->kick);
	uint64_t nr;

	/* Empty the eventfd before looking at the queue, so that a later kick is never taken for an
	 * earlier one. It can't be empty already: nobody else reads it. */
	if (read(src->fd, &nr, sizeof(nr)) < 0)
		return;
	if (virtio_kick(t->vd, index))
		kick(t, index); /* another round, when the loop's other sources had their turn */
}

int virtio_mmio_init(struct virtio_mmio *t, struct virtio_dev *vd, const struct gmem *mem,
		     const struct irq_line *irq, struct loop *loop)
{
	*t = (struct virtio_mmio){ .vd = vd, .irq = *irq, .loop = loop };
	dev_init(&t->dev, &mmio_ops);
	vd->mem = mem;
	vd->lock = &t->dev.lock;
	vd->transport = &transport_ops;
	vd->transport_ctx = t;
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		t->kick[i] = (struct virtio_mmio_kick){
			.src = { .fd = -1, .fn = kicked, .lock = &t->dev.lock },
			.transport = t,
		};
	for (unsigned i = 0; i < vd->nr_queues; i++) {
		struct loop_source *src = &t->kick[i].src;

		src->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (src->fd < 0)
			return log_errno("virtio-%s: eventfd", vd->ops->name);
		if (loop_add(loop, src, EPOLLIN) < 0)
			return log_errno("virtio-%s: epoll_ctl", vd->ops->name);
	}
	return 0;
}

void virtio_mmio_destroy(struct virtio_mmio *t)
{
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		if (t->kick[i].src.fd < 0)
			continue;
		loop_remove(t->loop, &t->kick[i].src);
		close_fd(&t->kick[i].src.fd);
	}
	virtio_reset(t->vd);
	dev_destroy(&t->dev);
}

int virtio_mmio_kick_fd(const struct virtio_mmio *t, unsigned index)
{
	assert(index < t->vd->nr_queues);
	return t->kick[index].src.fd;
}
