/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio over PCI, modern only (virtio 1.2 §4.1): any virtio device as a PCI function.
 *
 * One BAR holds everything, a page for each structure, so that a guest can give them to different
 * users:
 *
 *   0x0000  common configuration   §4.1.4.3
 *   0x1000  ISR status             §4.1.4.5
 *   0x2000  device configuration   §4.1.4.6
 *   0x3000  notifications: 4 bytes for each queue, §4.1.4.4
 *   0x4000  MSI-X table
 *   0x5000  MSI-X pending bits
 *
 * A store of any width and value to a queue's notification address kicks it, by ioeventfd or
 * through this file.
 *
 * There is a vector for each queue and one for the configuration, and no interrupt pin: while MSI-X
 * is off, a driver finds the ISR status set and has to look for itself.
 *
 * Deliberately missing: the legacy and transitional interface, shared memory regions,
 * NOTIFICATION_DATA, NOTIF_CONFIG_DATA.
 */
#include "virtio/pci.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "virtio/pci_impl.h"

#define COMMON_CFG 0x0000
#define ISR_CFG    0x1000
#define DEVICE_CFG 0x2000
#define NOTIFY_CFG 0x3000
#define MSIX_TABLE 0x4000
#define MSIX_PBA   0x5000
#define BAR_SIZE   0x8000
#define PAGE       0x1000

#define NOTIFY_EVERY 4

#define WINDOW_LEN  20 /* struct virtio_pci_cfg_cap: a capability and four bytes of data */
#define WINDOW_DATA 16

_Static_assert(VIRTIO_MAX_QUEUES + 1 <= MSIX_MAX_VECTORS, "a vector for each");

/* -- the BAR --------------------------------------------------------------------------------- */

/* §4.1.4.5: reading clears it. */
static uint8_t isr_read(struct virtio_pci *t)
{
	const uint8_t isr = t->state.isr;

	t->state.isr = 0;
	return isr;
}

static uint64_t bar_read(struct pci_function *f, uint64_t off, unsigned size)
{
	struct virtio_pci *t = container_of(f, struct virtio_pci, fn);
	const uint64_t at = off % PAGE;

	switch (off - at) {
	case COMMON_CFG:
		return virtio_pci_common_read(t, at, size);
	case ISR_CFG:
		return at == 0 && size == 1 ? isr_read(t) : 0;
	case DEVICE_CFG:
		return virtio_config_read(t->vd, at, size);
	case MSIX_TABLE:
		return msix_table_read(&t->msix, at, size);
	case MSIX_PBA:
		return msix_pba_read(&t->msix, at, size);
	}
	return 0;
}

static void bar_write(struct pci_function *f, uint64_t off, unsigned size, uint64_t value)
{
	struct virtio_pci *t = container_of(f, struct virtio_pci, fn);
	const uint64_t at = off % PAGE;

	switch (off - at) {
	case COMMON_CFG:
		virtio_pci_common_write(t, at, size, value);
		break;
	case DEVICE_CFG:
		virtio_config_write(t->vd, at, size, value);
		break;
	case NOTIFY_CFG:
		virtio_kicks_send(&t->kicks, (uint32_t)at / NOTIFY_EVERY);
		break;
	case MSIX_TABLE:
		msix_table_write(&t->msix, at, size, value);
		break;
	}
}

/* The doorbells are where the BAR is. It does no harm if one can't be wired (there is another one,
 * or KVM has no room): then the store comes to bar_write(). */
static void bar_moved(struct pci_function *f, gpa_t from __unused, gpa_t to)
{
	struct virtio_pci *t = container_of(f, struct virtio_pci, fn);

	for (unsigned i = 0; i < t->vd->nr_queues; i++) {
		const struct doorbell bell = { .gpa = to + NOTIFY_CFG + i * NOTIFY_EVERY };

		(void)!virtio_kicks_place(&t->kicks, i, to == PCI_NOWHERE ? NULL : &bell);
	}
}

/* -- configuration space --------------------------------------------------------------------- */

/* Finds what the window to the BAR (§4.1.4.9) shows. False: the driver has set it to something that
 * is not a register's width or place. It also works while memory isn't decoded. */
static bool window_at(const struct virtio_pci *t, uint64_t *off, unsigned *size)
{
	const uint8_t *cap = t->fn.state.config + t->window;
	const uint64_t len = load_le(cap + VIRTIO_PCI_CAP_LENGTH, 4);

	*off = load_le(cap + VIRTIO_PCI_CAP_OFFSET, 4);
	*size = (unsigned)len;
	return cap[VIRTIO_PCI_CAP_BAR] == 0 && (len == 1 || len == 2 || len == 4) &&
	       *off % len == 0 && *off <= BAR_SIZE - len;
}

/* Is any part of [off, off + size) the window's data? */
static bool touches_window(const struct virtio_pci *t, unsigned off, unsigned size)
{
	const unsigned data = t->window + WINDOW_DATA;

	return off < data + 4 && off + size > data;
}

static void config_read(struct pci_function *f, unsigned off, unsigned size)
{
	struct virtio_pci *t = container_of(f, struct virtio_pci, fn);
	uint64_t at;
	unsigned len;

	if (touches_window(t, off, size) && window_at(t, &at, &len))
		store_le(f->state.config + t->window + WINDOW_DATA, len, bar_read(f, at, len));
}

static void config_written(struct pci_function *f, unsigned off, unsigned size)
{
	struct virtio_pci *t = container_of(f, struct virtio_pci, fn);
	uint64_t at;
	unsigned len;

	msix_config_written(&t->msix, f, off, size);
	if (touches_window(t, off, size) && window_at(t, &at, &len))
		bar_write(f, at, len, load_le(f->state.config + t->window + WINDOW_DATA, len));
}

static const struct pci_function_ops function_ops = {
	.name = "virtio-pci",
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_moved = bar_moved,
	.config_read = config_read,
	.config_written = config_written,
};

/* -- the device's side ----------------------------------------------------------------------- */

static void pci_interrupt(void *ctx, int queue)
{
	struct virtio_pci *t = ctx;
	const uint16_t vector = queue < 0 ? t->state.config_vector : t->state.queue_vector[queue];

	if (!t->msix.enabled)
		t->state.isr |= queue < 0 ? VIRTIO_PCI_ISR_CONFIG : 1;
	else if (vector != VIRTIO_MSI_NO_VECTOR)
		msix_signal(&t->msix, vector);
}

static int pci_kick_fd(void *ctx, unsigned queue)
{
	const struct virtio_pci *t = ctx;

	return virtio_kicks_fd(&t->kicks, queue);
}

static void pci_watch_kicks(void *ctx, unsigned queue, bool on)
{
	struct virtio_pci *t = ctx;

	virtio_kicks_watch(&t->kicks, queue, on);
}

static int open_nowhere(struct virtio_pci *t)
{
	if (!shared_fd_is_open(&t->nowhere) && shared_fd_open(&t->nowhere, 0) < 0)
		return guest_errno(&t->vd->log, "virtio-%s: eventfd", t->vd->ops->name);
	return 0;
}

static int pci_call_fd(void *ctx, unsigned queue)
{
	struct virtio_pci *t = ctx;
	int rc;

	assert(queue < t->vd->nr_queues);
	if (t->state.queue_vector[queue] != VIRTIO_MSI_NO_VECTOR)
		return msix_fd(&t->msix, t->state.queue_vector[queue]);
	rc = open_nowhere(t);
	return rc < 0 ? rc : shared_fd_hand_on(&t->nowhere);
}

static int pci_lend_call(void *ctx, unsigned queue, struct shared_fd *call)
{
	struct virtio_pci *t = ctx;
	int rc;

	assert(queue < t->vd->nr_queues);
	if (t->state.queue_vector[queue] != VIRTIO_MSI_NO_VECTOR)
		return msix_lend(&t->msix, t->state.queue_vector[queue], call);
	rc = open_nowhere(t);
	*call = t->nowhere;
	return rc;
}

static int pci_lend_kick(void *ctx, unsigned queue, struct shared_fd *kick)
{
	struct virtio_pci *t = ctx;

	return virtio_kicks_lend(&t->kicks, queue, kick);
}

static const struct virtio_transport_ops transport_ops = {
	.interrupt = pci_interrupt,
	.kick_fd = pci_kick_fd,
	.watch_kicks = pci_watch_kicks,
	.call_fd = pci_call_fd,
	.lend_kick = pci_lend_kick,
	.lend_call = pci_lend_call,
};

/* -- life ------------------------------------------------------------------------------------ */

/* §4.1.4: the structure has len bytes at off in the BAR. Returns the capability's offset. */
static unsigned add_cap(struct pci_function *f, uint8_t type, uint8_t cap_len, uint32_t off,
			uint32_t len)
{
	const unsigned cap = pci_add_cap(f, PCI_CAP_ID_VNDR, cap_len);

	pci_set(f, cap + VIRTIO_PCI_CAP_LEN, 1, cap_len, 0);
	pci_set(f, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1, type, 0);
	pci_set(f, cap + VIRTIO_PCI_CAP_OFFSET, 4, off, 0);
	pci_set(f, cap + VIRTIO_PCI_CAP_LENGTH, 4, len, 0);
	return cap;
}

static void add_caps(struct virtio_pci *t)
{
	const uint8_t plain = sizeof(struct virtio_pci_cap);
	struct pci_function *f = &t->fn;
	unsigned cap;

	add_cap(f, VIRTIO_PCI_CAP_COMMON_CFG, plain, COMMON_CFG, VIRTIO_PCI_COMMON_LEN);
	cap = add_cap(f, VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(struct virtio_pci_notify_cap),
		      NOTIFY_CFG, t->vd->nr_queues * NOTIFY_EVERY);
	pci_set(f, cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, NOTIFY_EVERY, 0);
	add_cap(f, VIRTIO_PCI_CAP_ISR_CFG, plain, ISR_CFG, 1);
	if (t->vd->ops->config_size)
		add_cap(f, VIRTIO_PCI_CAP_DEVICE_CFG, plain, DEVICE_CFG, t->vd->ops->config_size);
	t->window = add_cap(f, VIRTIO_PCI_CAP_PCI_CFG, WINDOW_LEN, 0, 0);
	pci_set(f, t->window + VIRTIO_PCI_CAP_BAR, 1, 0, 0xff);
	pci_set(f, t->window + VIRTIO_PCI_CAP_OFFSET, 4, 0, UINT32_MAX);
	pci_set(f, t->window + VIRTIO_PCI_CAP_LENGTH, 4, 0, UINT32_MAX);
	pci_set(f, t->window + WINDOW_DATA, 4, 0, UINT32_MAX);
}

/* Returns the class by which a kernel without a virtio driver knows the device. */
static uint32_t class_of(uint32_t device_id)
{
	static const struct {
		uint32_t id, class;
	} known[] = {
		{ VIRTIO_ID_NET, 0x020000 },     /* Ethernet */
		{ VIRTIO_ID_BLOCK, 0x010000 },   /* storage, SCSI: no class fits better */
		{ VIRTIO_ID_CONSOLE, 0x078000 }, /* other communication */
		{ VIRTIO_ID_VSOCK, 0x078000 },   { VIRTIO_ID_FS, 0x018000 }, /* other storage */
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].id == device_id)
			return known[i].class;
	return 0x00ff00; /* it fits no class */
}

unsigned virtio_pci_nr_vectors(const struct virtio_dev *vd)
{
	return vd->nr_queues + 1;
}

int virtio_pci_init(struct virtio_pci *t, struct virtio_dev *vd, const struct gmem *mem,
		    const struct wires *wires, struct loop *loop)
{
	const uint16_t device = (uint16_t)(0x1040 + vd->ops->device_id); /* §4.1.2 */
	const struct pci_ids ids = {
		.vendor = 0x1af4,
		.device = device,
		.subsystem_vendor = 0x1af4,
		.subsystem = device,
		.class = class_of(vd->ops->device_id),
		.revision = 1,
	};
	int rc;

	*t = (struct virtio_pci){ .vd = vd };
	pci_function_init(&t->fn, &function_ops, &ids, BAR_SIZE);
	vd->mem = mem;
	vd->lock = &t->fn.dev.lock;
	vd->transport = &transport_ops;
	vd->transport_ctx = t;
	virtio_pci_regs_init(t);
	msix_init(&t->msix, &t->fn, vd->ops->name, virtio_pci_nr_vectors(vd), wires, MSIX_TABLE,
		  MSIX_PBA);
	add_caps(t);
	rc = virtio_kicks_init(&t->kicks, vd, loop);
	t->kicks.wires = *wires;
	return rc == 0 ? virtio_start(vd, loop) : rc;
}

void virtio_pci_destroy(struct virtio_pci *t)
{
	virtio_reset(t->vd);
	if (t->fn.bar_at != PCI_NOWHERE)
		bar_moved(&t->fn, t->fn.bar_at, PCI_NOWHERE);
	virtio_kicks_destroy(&t->kicks);
	msix_destroy(&t->msix);
	shared_fd_close(&t->nowhere);
	pci_function_destroy(&t->fn);
}
