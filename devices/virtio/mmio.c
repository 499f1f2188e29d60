/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio over MMIO, version 2 (virtio 1.2 §4.2): registers, kicks and interrupts for any virtio
 * device.
 *
 * Registers are 32 bits wide and answer aligned 32-bit accesses only, as §4.2.2.2 asks of a driver;
 * any other access below the configuration space reads as zero and writes nothing. Configuration
 * space takes 1, 2, 4 and 8 bytes at any offset.
 *
 * An interrupt sets a bit of InterruptStatus and then sends one edge, each time, even if the bit
 * was set. It can't be lost: a handler that reads the status after the edge finds the bit. An edge
 * may come while a handler runs, after it read the status and before it acknowledged, so that the
 * acknowledgement clears the new bit, too. Then the interrupt controller latches the edge and runs
 * the handler again. That second run may find no bit set, which is harmless: a handler looks at the
 * used rings after it acknowledged, and what it finds there was published before the bit was set.
 * vhost and vhost-user interrupt the driver by an eventfd on the device's loop, because the bit
 * must be set first.
 *
 * No read of a register changes anything, so the guest can do without us when it reads: a page, which
 * it can't write, shows what a read would return (virtio_mmio_show()). It is written anew after each
 * write of a register and each change by the device, a word at a time; so a field of configuration
 * space that changes while the driver looks must not be wider than a word. Without this, each
 * interrupt would cost an exit for InterruptStatus.
 *
 * Deliberately missing: version 1 (legacy), shared memory regions, NOTIFICATION_DATA.
 */
#include "virtio/mmio.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_mmio.h>
#include <sys/eventfd.h>

#include "vmm/event.h"

#define MAGIC  0x74726976 /* "virt" */
#define VENDOR 0x4d4d564d /* "MVMM" */

#ifndef VIRTIO_MMIO_QUEUE_RESET
#define VIRTIO_MMIO_QUEUE_RESET 0x0c0
#endif

static uint32_t reg_read(struct virtio_mmio *t, uint64_t off)
{
	struct virtio_dev *vd = t->vd;
	struct virtq *q = virtio_queue(vd, t->state.queue_sel); /* NULL: no such queue */

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
		if (t->state.device_features_sel > 1)
			return 0;
		return (uint32_t)(vd->features >> 32 * t->state.device_features_sel);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return q ? q->max_size : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return q && q->state.ready;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return t->state.isr;
	case VIRTIO_MMIO_STATUS:
		return vd->state.status;
	case VIRTIO_MMIO_QUEUE_RESET:
		return 0; /* §4.2.2.1: never in progress, since the write waits for it */
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX; /* §4.2.2: there is no such region, whatever SHMSel says */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return vd->state.config_generation;
	default:
		return 0;
	}
}

/* -- what the guest reads by itself ---------------------------------------------------------- */

static void show(const struct virtio_mmio *t, uint64_t off, uint32_t v)
{
	if (t->shown)
		__atomic_store_n(&t->shown[off / 4], htole32(v), __ATOMIC_RELEASE);
}

static uint32_t config_word(const struct virtio_mmio *t, uint32_t off)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 4; i++)
		v |= (uint32_t)virtio_config_read(t->vd, off + i, 1) << 8 * i;
	return v;
}

static void show_all(void *ctx)
{
	struct virtio_mmio *t = ctx;

	if (!t->shown)
		return;
	for (uint32_t off = 0; off < VIRTIO_MMIO_CONFIG; off += 4)
		show(t, off, reg_read(t, off));
	for (uint32_t off = 0; off < t->vd->ops->config_size; off += 4)
		show(t, VIRTIO_MMIO_CONFIG + off, config_word(t, off));
}

/* -- writes ---------------------------------------------------------------------------------- */

/* Sets a part of a queue's address or size. The driver doesn't touch these while the queue is ready
 * (§4.2.2.2). */
static void queue_reg_write(struct virtq *q, uint64_t off, uint32_t v)
{
	if (!q || q->state.ready)
		return;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		/* The size is neither truncated nor clamped to a valid one: virtq_enable() refuses
		 * it. */
		q->state.size = (uint16_t)min(v, (uint32_t)UINT16_MAX);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		gpa_set_low(&q->state.desc_gpa, v);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		gpa_set_high(&q->state.desc_gpa, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		gpa_set_low(&q->state.avail_gpa, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		gpa_set_high(&q->state.avail_gpa, v);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		gpa_set_low(&q->state.used_gpa, v);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		gpa_set_high(&q->state.used_gpa, v);
		break;
	}
}

/* Stopping by QueueReady = 0 also resets the queue: the driver reads it back and may then reuse the
 * memory (§4.2.2.2). */
static void queue_ready(struct virtio_dev *vd, struct virtq *q, uint32_t v)
{
	if (q && v == 1)
		virtio_queue_enable(vd, q);
	else if (q && v == 0)
		virtio_queue_disable(vd, q);
}

/* The loop may already be on its way to the source: lent_called() expects that. */
static void take_back_call(struct virtio_mmio *t)
{
	if (!shared_fd_is_open(&t->lent_call))
		return;
	loop_remove(t->kicks.loop, &t->lent_source);
	shared_fd_close(&t->lent_call);
}

static void status_write(struct virtio_mmio *t, uint32_t v)
{
	virtio_kicks_set_status(&t->kicks, (uint8_t)v);
	if ((uint8_t)v != 0)
		return;
	/* A reset: the next driver does not care about earlier interrupts. */
	if (t->call.fd >= 0)
		event_take(t->call.fd);
	take_back_call(t);
	t->state = (struct virtio_mmio_state){ 0 };
}

static void reg_write(struct virtio_mmio *t, uint64_t off, uint32_t v)
{
	struct virtio_dev *vd = t->vd;
	struct virtq *q = virtio_queue(vd, t->state.queue_sel); /* NULL: no such queue */

	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		t->state.device_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		t->state.driver_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_accept_features(vd, t->state.driver_features_sel, v);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		t->state.queue_sel = v;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		queue_ready(vd, q, v);
		break;
	case VIRTIO_MMIO_QUEUE_RESET:
		if (q && v == 1)
			virtio_queue_reset(vd, q);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		virtio_kicks_send(&t->kicks, v);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		t->state.isr &= ~v;
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
	if (off == VIRTIO_MMIO_INTERRUPT_ACK || off == VIRTIO_MMIO_QUEUE_NOTIFY)
		show(t, VIRTIO_MMIO_INTERRUPT_STATUS, t->state.isr); /* these are often written */
	else
		show_all(t);
}

static const struct dev_ops mmio_ops = {
	.name = "virtio-mmio",
	.read = mmio_read,
	.write = mmio_write,
};

static void mmio_interrupt(void *ctx, int queue)
{
	struct virtio_mmio *t = ctx;

	t->state.isr |= queue < 0 ? VIRTIO_MMIO_INT_CONFIG : VIRTIO_MMIO_INT_VRING;
	show(t, VIRTIO_MMIO_INTERRUPT_STATUS, t->state.isr);
	irq_pulse(&t->irq); /* after the bit, and every time: see the top */
}

/* vhost interrupts the driver. */
static void called(struct loop_source *src, uint32_t events __unused)
{
	struct virtio_mmio *t = container_of(src, struct virtio_mmio, call);

	if (event_take(src->fd)) /* it is empty if a reset came in between */
		mmio_interrupt(t, 0);
}

/* One for all queues, which share the interrupt; made when it is first asked for. */
static int mmio_call_fd(void *ctx, unsigned queue __unused)
{
	struct virtio_mmio *t = ctx;
	AUTO_CLOSE int fd = -1;
	int rc;

	if (t->call.fd >= 0)
		return t->call.fd;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t->call.fd = fd;
	rc = fd < 0 ? -errno : loop_add(t->kicks.loop, &t->call, EPOLLIN);
	if (rc == 0)
		return take_fd(&fd);
	t->call.fd = -1;
	guest_err(&t->vd->log, "virtio-%s: eventfd: %s", t->vd->ops->name, strerror(-rc));
	return rc;
}

/* Each signal is an edge; it stays in the eventfd, whose count means nothing. */
static void lent_called(struct loop_source *src, uint32_t events __unused)
{
	struct virtio_mmio *t = container_of(src, struct virtio_mmio, lent_source);

	if (shared_fd_is_open(&t->lent_call)) /* otherwise a reset came in between */
		mmio_interrupt(t, 0);
}

/* One for all queues, too. */
static int mmio_lend_call(void *ctx, unsigned queue __unused, struct shared_fd *call)
{
	struct virtio_mmio *t = ctx;
	struct shared_fd fd = t->lent_call;
	int rc = shared_fd_is_open(&fd) ? 0 : shared_fd_open(&fd, 0);

	if (rc == 0 && !shared_fd_is_open(&t->lent_call)) {
		t->lent_source.fd = shared_fd_hand_on(&fd);
		rc = loop_add(t->kicks.loop, &t->lent_source, EPOLLIN | EPOLLET);
	}
	if (rc < 0) {
		shared_fd_close(&fd);
		guest_err(&t->vd->log, "virtio-%s: eventfd: %s", t->vd->ops->name, strerror(-rc));
		return rc;
	}
	*call = t->lent_call = fd;
	return 0;
}

static int mmio_lend_kick(void *ctx, unsigned queue, struct shared_fd *kick)
{
	struct virtio_mmio *t = ctx;

	return virtio_kicks_lend(&t->kicks, queue, kick);
}

static int mmio_kick_fd(void *ctx, unsigned queue)
{
	const struct virtio_mmio *t = ctx;

	return virtio_kicks_fd(&t->kicks, queue);
}

static void mmio_watch_kicks(void *ctx, unsigned queue, bool on)
{
	struct virtio_mmio *t = ctx;

	virtio_kicks_watch(&t->kicks, queue, on);
}

static const struct virtio_transport_ops transport_ops = {
	.interrupt = mmio_interrupt,
	.changed = show_all,
	.kick_fd = mmio_kick_fd,
	.watch_kicks = mmio_watch_kicks,
	.call_fd = mmio_call_fd,
	.lend_kick = mmio_lend_kick,
	.lend_call = mmio_lend_call,
};

int virtio_mmio_init(struct virtio_mmio *t, struct virtio_dev *vd, const struct gmem *mem,
		     const struct irq_line *irq, struct loop *loop)
{
	int rc;

	*t = (struct virtio_mmio){ .vd = vd, .irq = *irq };
	dev_init(&t->dev, &mmio_ops);
	t->call = (struct loop_source){ .fd = -1, .fn = called, .lock = &t->dev.lock };
	t->lent_source = (struct loop_source){ .fn = lent_called, .lock = &t->dev.lock };
	vd->mem = mem;
	vd->lock = &t->dev.lock;
	vd->transport = &transport_ops;
	vd->transport_ctx = t;
	rc = virtio_kicks_init(&t->kicks, vd, loop);
	return rc == 0 ? virtio_start(vd, loop) : rc;
}

void virtio_mmio_show(struct virtio_mmio *t, void *page)
{
	t->shown = page;
	show_all(t);
}

void virtio_mmio_destroy(struct virtio_mmio *t)
{
	virtio_reset(t->vd);
	take_back_call(t);
	virtio_kicks_destroy(&t->kicks);
	if (t->call.fd >= 0)
		loop_remove(t->kicks.loop, &t->call);
	close_fd(&t->call.fd);
	dev_destroy(&t->dev);
}

int virtio_mmio_wire(struct virtio_mmio *t, const struct wires *wires, gpa_t base)
{
	int rc = 0;

	t->kicks.wires = *wires;
	for (unsigned i = 0; i < t->vd->nr_queues && rc == 0; i++) {
		const struct doorbell bell = { base + VIRTIO_MMIO_QUEUE_NOTIFY, 4, i };

		rc = virtio_kicks_place(&t->kicks, i, &bell);
	}
	return rc < 0 ? log_ret(rc, "virtio-%s: ioeventfd: %s", t->vd->ops->name, strerror(-rc))
		      : 0;
}
