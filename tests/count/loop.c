/* SPDX-License-Identifier: BSD-2-Clause */
/* From the driver's kick to its interrupt, on an I/O thread's loop, by a device on MMIO that answers
 * every request and does nothing else: what comes on top of each device's own work. */
#include "vmm/loop.h"

#include <linux/virtio_mmio.h>
#include <sys/mman.h>

#include "count.h"
#include "virtio/mmio.h"

#define BASE 0xd0000000
#define BUF  0x10000

static struct virtio_dev vd;
static struct virtio_mmio mmio;
static struct bus bus;
static struct loop loop;
static struct fake_ram ram;
static struct ring ring;
static int irqfd;

static int echo_kick(struct virtio_dev *dev __unused, struct virtq *q)
{
	struct virtq_chain c;
	int rc;

	while ((rc = virtq_pop(q, &c)) > 0)
		virtq_push(q, c.head, 0);
	return rc;
}

static const struct virtio_ops echo_ops = {
	.name = "echo", .device_id = 77, .nr_queues = 1, .queue_size = 256, .kick = echo_kick
};

/* As KVM's lines do, which have an irqfd. */
static void interrupt(void *ctx __unused, unsigned n __unused, bool level)
{
	if (!level)
		return;
	event_signal(irqfd);
	uncounted_stop(&loop);
}

static void set(uint32_t reg, uint32_t value)
{
	must(bus_write(&bus, BASE + reg, 4, value));
}

static void driver_up(void)
{
	const uint32_t found = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	ring_init(&ring, &ram, 0, 256);
	set(VIRTIO_MMIO_STATUS, found);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 1u << VIRTIO_RING_F_EVENT_IDX);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 1u << (VIRTIO_F_VERSION_1 - 32));
	set(VIRTIO_MMIO_STATUS, found | VIRTIO_CONFIG_S_FEATURES_OK);
	set(VIRTIO_MMIO_QUEUE_NUM, ring.size);
	set(VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)ring.desc_gpa);
	set(VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)ring.avail_gpa);
	set(VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)ring.used_gpa);
	set(VIRTIO_MMIO_QUEUE_READY, 1);
	set(VIRTIO_MMIO_STATUS, found | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	must(virtio_live(&vd) && vd.q[0].state.ready);
}

static bool up(void)
{
	const struct irq_line line = { .set = interrupt };

	ram_init(&ram);
	irqfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(irqfd >= 0 && loop_init(&loop) == 0);
	virtio_init(&vd, &echo_ops, 0);
	must(virtio_mmio_init(&mmio, &vd, &ram.mem, &line, &loop) == 0);
	must(bus_add(&bus, BASE, VIRTIO_MMIO_SIZE, &mmio.dev) == 0);
	driver_up();
	return true;
}

/* It polls for ever, whatever the host's load. */
static bool up_polling(void)
{
	up();
	loop.polling = (struct polling){
		.load_fd = irqfd,
		.processors = 2,
		.ns = POLLING_MAX_NS,
		.again_ns = UINT64_MAX,
	};
	return true;
}

/* The driver kicks if the device asks for that, as Linux does. */
static void serve(unsigned batch)
{
	const uint16_t idx = le16toh(ring.avail->idx);

	for (unsigned i = 0; i < batch; i++)
		offer(&ring, &(struct ring_buf){ BUF, 64, true }, 1);
	if (vring_need_event(ring_avail_event(&ring), (uint16_t)(idx + batch), idx))
		event_signal(mmio.kicks.kick[0].src.fd);
	counted_loop(&loop);
	take(&ring, batch);
	event_take(irqfd);
}

const struct kind loop_kinds[KINDS_MAX] = {
	{ "loop.woken", 1, up, serve, NULL },
	{ "loop.polled", 1, up_polling, serve, NULL },
};
