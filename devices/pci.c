/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A conventional PCI bus (PCI Local Bus 3.0) with a host bridge and single-function devices.
 *
 * Configuration space is reached by a window of memory (ECAM, PCI Express Base 3.0 §7.2.2) or by
 * ports (pci_ports.h), with every width and at every offset: a write changes the bits that are the
 * guest's and leaves the others. A function has nothing beyond its 256 bytes: the rest reads as
 * zero.
 *
 * A function has at most one BAR: 64-bit memory that is not prefetchable, since reading a register
 * may change it. As firmware we put it in the window below 4 GiB, where every kernel can reach it;
 * the guest can move it to any place in that window or in the one above RAM. Elsewhere it does not
 * answer. Decoding is off at the start: the drivers switch it on.
 *
 * Which function answers at an address changes while the machine runs, but the buses are frozen. So
 * the bus knows only the windows, and we find the function in them, by bar_at, without a lock: the
 * only lock that the bus takes is the function's own. An access that was on its way while the BAR
 * moved reaches the function as if it had come before. Of two BARs that overlap, the one in the
 * lower slot answers.
 *
 * Deliberately missing: interrupt pins (functions have MSI-X), I/O BARs, bridges, several functions
 * of a device, hot plug, power management. Command bits other than memory, bus master and interrupt
 * disable are zero, and the latter two change nothing: a driver tells the device itself what it
 * should not do.
 */
#include "pci.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>

/* Offsets in a function's struct dev: configuration space, followed by its BAR. */
#define CONFIG_SIZE 0x1000u
#define BAR         CONFIG_SIZE

/* -- a function ------------------------------------------------------------------------------ */

void pci_set(struct pci_function *f, unsigned off, unsigned size, uint64_t value, uint64_t writable)
{
	assert(off + size <= sizeof(f->state.config));
	store_le(f->state.config + off, size, value);
	store_le(f->writable + off, size, writable);
}

unsigned pci_add_cap(struct pci_function *f, uint8_t id, unsigned len)
{
	const unsigned off = f->next_cap;

	assert(off + len <= sizeof(f->state.config));
	f->state.config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	f->state.config[f->last_cap ? f->last_cap + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST] =
		(uint8_t)off;
	f->state.config[off + PCI_CAP_LIST_ID] = id;
	f->last_cap = off;
	f->next_cap = (unsigned)align_up(off + len, 4);
	return off;
}

gpa_t pci_bar(const struct pci_function *f)
{
	return load_le(f->state.config + PCI_BASE_ADDRESS_0, 8) & PCI_BASE_ADDRESS_MEM_MASK;
}

static bool in_window(const struct pci_window *w, gpa_t at, uint64_t len)
{
	return at >= w->base && at - w->base <= w->len && len <= w->len - (at - w->base);
}

/* The address at which the BAR answers by what configuration space says. */
static gpa_t decoded_at(const struct pci_function *f)
{
	const gpa_t at = pci_bar(f);

	if (!f->bar_size || !(f->state.config[PCI_COMMAND] & PCI_COMMAND_MEMORY))
		return PCI_NOWHERE;
	if (!in_window(&f->windows->low, at, f->bar_size) &&
	    !in_window(&f->windows->high, at, f->bar_size))
		return PCI_NOWHERE;
	return at;
}

static void decode(struct pci_function *f)
{
	const gpa_t from = f->bar_at, to = decoded_at(f);

	if (from == to)
		return;
	__atomic_store_n(&f->bar_at, to, __ATOMIC_RELEASE); /* pairs with window_forward() */
	if (f->ops->bar_moved)
		f->ops->bar_moved(f, from, to);
}

static uint64_t config_read(struct pci_function *f, unsigned off, unsigned size)
{
	uint64_t value = 0;

	if (off >= sizeof(f->state.config))
		return 0;
	if (f->ops->config_read)
		f->ops->config_read(f, off, size);
	for (unsigned i = 0; i < size && off + i < sizeof(f->state.config); i++)
		value |= (uint64_t)f->state.config[off + i] << 8 * i;
	return value;
}

static void config_write(struct pci_function *f, unsigned off, unsigned size, uint64_t value)
{
	if (off >= sizeof(f->state.config))
		return;
	for (unsigned i = 0; i < size && off + i < sizeof(f->state.config); i++) {
		const uint8_t can = f->writable[off + i], byte = (uint8_t)(value >> 8 * i);

		f->state.config[off + i] =
			(uint8_t)((f->state.config[off + i] & ~can) | (byte & can));
	}
	decode(f);
	if (f->ops->config_written)
		f->ops->config_written(f, off, size);
}

static uint64_t function_read(struct dev *dev, uint64_t off, unsigned size)
{
	struct pci_function *f = container_of(dev, struct pci_function, dev);

	if (off < CONFIG_SIZE)
		return config_read(f, (unsigned)off, size);
	return f->ops->bar_read ? f->ops->bar_read(f, off - BAR, size) : 0;
}

static void function_write(struct dev *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct pci_function *f = container_of(dev, struct pci_function, dev);

	if (off < CONFIG_SIZE)
		config_write(f, (unsigned)off, size, value);
	else if (f->ops->bar_write)
		f->ops->bar_write(f, off - BAR, size, value);
}

static const struct dev_ops function_ops = {
	.name = "pci-function",
	.read = function_read,
	.write = function_write,
};

void pci_function_init(struct pci_function *f, const struct pci_function_ops *ops,
		       const struct pci_ids *ids, uint64_t bar_size)
{
	assert(bar_size == 0 || (bar_size >= 4 * KIB && is_power_of_two(bar_size)));
	*f = (struct pci_function){ .ops = ops, .bar_size = bar_size, .bar_at = PCI_NOWHERE };
	dev_init(&f->dev, &function_ops);
	f->next_cap = PCI_STD_HEADER_SIZEOF;
	pci_set(f, PCI_VENDOR_ID, 2, ids->vendor, 0);
	pci_set(f, PCI_DEVICE_ID, 2, ids->device, 0);
	pci_set(f, PCI_CLASS_REVISION, 4, ids->class << 8 | ids->revision, 0);
	pci_set(f, PCI_SUBSYSTEM_VENDOR_ID, 2, ids->subsystem_vendor, 0);
	pci_set(f, PCI_SUBSYSTEM_ID, 2, ids->subsystem, 0);
	pci_set(f, PCI_COMMAND, 2, 0,
		bar_size ? PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE : 0);
	/* Scratch registers, which kernels write and nothing here reads. */
	pci_set(f, PCI_CACHE_LINE_SIZE, 1, 0, 0xff);
	pci_set(f, PCI_INTERRUPT_LINE, 1, 0, 0xff);
	if (bar_size)
		pci_set(f, PCI_BASE_ADDRESS_0, 8, PCI_BASE_ADDRESS_MEM_TYPE_64, ~(bar_size - 1));
}

void pci_function_destroy(struct pci_function *f)
{
	dev_destroy(&f->dev);
}

/* -- the ways to configuration space --------------------------------------------------------- */

struct dev *pci_config(const struct pci *p, unsigned devfn, uint64_t *off, unsigned size)
{
	if (devfn % 8 || devfn / 8 >= p->nr_slots || size > CONFIG_SIZE - *off)
		return NULL;
	return &p->slot[devfn / 8]->dev;
}

static struct dev *ecam_forward(struct dev *dev, uint64_t *off, unsigned size)
{
	const struct pci *p = container_of(dev, struct pci, ecam);
	const unsigned devfn = (unsigned)(*off / CONFIG_SIZE);

	*off %= CONFIG_SIZE;
	return pci_config(p, devfn, off, size);
}

static const struct dev_ops ecam_ops = { .name = "pci-ecam", .forward = ecam_forward };

/* -- the ways to the BARs -------------------------------------------------------------------- */

static struct dev *window_forward(struct dev *dev, uint64_t *off, unsigned size)
{
	const struct pci_window *w = container_of(dev, struct pci_window, dev);
	const struct pci *p = w->pci;
	const gpa_t at = w->base + *off;

	for (unsigned i = 0; i < p->nr_slots; i++) {
		struct pci_function *f = p->slot[i];
		const gpa_t bar = __atomic_load_n(&f->bar_at, __ATOMIC_ACQUIRE); /* see decode() */

		if (at < bar || at - bar >= f->bar_size)
			continue;
		if (size > f->bar_size - (at - bar))
			return NULL;
		*off = BAR + (at - bar);
		return &f->dev;
	}
	return NULL;
}

static const struct dev_ops window_ops = { .name = "pci-bars", .forward = window_forward };

/* -- the bus --------------------------------------------------------------------------------- */

static const struct pci_function_ops bridge_ops = { .name = "host bridge" };
/* The same as QEMU's generic host bridge, for which no kernel has quirks. */
static const struct pci_ids bridge_ids = {
	.vendor = 0x1b36,
	.device = 0x0008,
	.subsystem_vendor = 0x1af4,
	.subsystem = 0x1100,
	.class = 0x060000,
};

static void window_init(struct pci *p, struct pci_window *w, gpa_t base, uint64_t len)
{
	*w = (struct pci_window){ .pci = p, .base = base, .len = len };
	dev_init(&w->dev, &window_ops);
}

void pci_init(struct pci *p, gpa_t low, uint64_t low_len, gpa_t high, uint64_t high_len)
{
	*p = (struct pci){ .next_bar = low };
	dev_init(&p->ecam, &ecam_ops);
	window_init(p, &p->windows.low, low, low_len);
	window_init(p, &p->windows.high, high, high_len);
	pci_function_init(&p->bridge, &bridge_ops, &bridge_ids, 0);
	p->slot[p->nr_slots++] = &p->bridge;
}

void pci_destroy(struct pci *p)
{
	pci_function_destroy(&p->bridge);
	dev_destroy(&p->windows.low.dev);
	dev_destroy(&p->windows.high.dev);
	dev_destroy(&p->ecam);
}

int pci_add(struct pci *p, struct pci_function *f)
{
	const gpa_t bar = f->bar_size ? align_up(p->next_bar, f->bar_size) : p->next_bar;

	if (p->nr_slots == PCI_SLOTS || !in_window(&p->windows.low, bar, f->bar_size))
		return -ENOSPC;
	f->windows = &p->windows;
	f->id = (uint16_t)(p->nr_slots << 3);
	if (f->bar_size)
		store_le(f->state.config + PCI_BASE_ADDRESS_0, 8,
			 bar | PCI_BASE_ADDRESS_MEM_TYPE_64);
	p->next_bar = bar + f->bar_size;
	p->slot[p->nr_slots] = f;
	return (int)p->nr_slots++;
}
