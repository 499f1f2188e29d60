/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds virtio devices and brings them up. On PCI, configuration space is at ECAM's address, which
 * minivmm and QEMU's microvm (pcie=on) have in common, and BARs are placed here, as there is no
 * firmware that did. On MMIO, windows are looked at where the two monitors have them.
 */
#include "virtio.h"

void queue_lay_out(struct queue *q);
void queue_interrupts(struct queue *q);

#define AT(type, base, off) (*(volatile type *)((base) + (off)))

#define ECAM     0xe0000000ul
#define BARS     0xc8000000ul
#define BAR_ROOM 0x100000u

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
/* MMIO registers, and those of PCI's common configuration */
enum {
	MAGIC = 0,
	VERSION = 4,
	DEVICE_ID = 8,
	OFFERED = 0x10,
	OFFERED_SEL = 0x14,
	TAKEN = 0x20,
	TAKEN_SEL = 0x24,
	QUEUE_SEL = 0x30,
	QUEUE_MAX_SIZE = 0x34,
	QUEUE_SIZE = 0x38,
	QUEUE_READY = 0x44,
	NOTIFY = 0x50,
	INTERRUPT_STATUS = 0x60,
	INTERRUPT_ACK = 0x64,
	STATUS = 0x70,
	DESC = 0x80,
	AVAIL = 0x90,
	USED = 0xa0,
	CONFIG = 0x100
};
enum {
	C_OFFERED_SEL = 0,
	C_OFFERED = 4,
	C_TAKEN_SEL = 8,
	C_TAKEN = 12,
	C_STATUS = 20,
	C_QUEUE_SEL = 22,
	C_QUEUE_SIZE = 24,
	C_QUEUE_VECTOR = 26,
	C_QUEUE_READY = 28,
	C_NOTIFY_OFF = 30,
	C_DESC = 32,
	C_AVAIL = 40,
	C_USED = 48
};

static bool find_mmio(struct device *d, uintptr_t base, unsigned step, int first, int last,
		      unsigned id, unsigned nth)
{
	for (int i = first; i != last; i += first < last ? 1 : -1) {
		volatile uint8_t *at = (volatile uint8_t *)(base + step * (unsigned)i);

		if (AT(uint32_t, at, MAGIC) != 0x74726976 || AT(uint32_t, at, VERSION) != 2 ||
		    AT(uint32_t, at, DEVICE_ID) != id || nth--)
			continue;
		d->mmio = at;
		return true;
	}
	return false;
}

/* The address of a BAR, which is placed here. */
static volatile uint8_t *place(volatile uint8_t *function, unsigned bar, uintptr_t bars)
{
	volatile uint8_t *reg = function + 0x10 + 4 * bar;
	uintptr_t at = bars + bar * BAR_ROOM;

	AT(uint32_t, reg, 0) = (uint32_t)at;
	if (AT(uint32_t, reg, 0) & 4) /* 64 bits */
		AT(uint32_t, reg, 4) = 0;
	return (volatile uint8_t *)at;
}

/* The window that a virtio capability at `cap` names. */
static volatile uint8_t *window(volatile uint8_t *function, unsigned cap, uintptr_t bars)
{
	return place(function, AT(uint8_t, function, cap + 4), bars) +
	       AT(uint32_t, function, cap + 8);
}

static void set_up_virtio(struct device *d, volatile uint8_t *function, unsigned cap,
			  uintptr_t bars)
{
	switch (AT(uint8_t, function, cap + 3)) {
	case 1:
		d->common = window(function, cap, bars);
		break;
	case 2:
		d->notify = window(function, cap, bars);
		d->notify_multiplier = AT(uint32_t, function, cap + 16);
		break;
	case 4:
		d->config = window(function, cap, bars);
		break;
	}
}

static void set_up_msix(struct device *d, volatile uint8_t *function, unsigned cap, uintptr_t bars)
{
	uint32_t table = AT(uint32_t, function, cap + 4);

	d->msix_control = function + cap + 2;
	d->msix_table = place(function, table & 7, bars) + (table & ~7u);
}

static void set_up_function(struct device *d, volatile uint8_t *function, uintptr_t bars)
{
	for (unsigned cap = AT(uint8_t, function, 0x34); cap;
	     cap = AT(uint8_t, function, cap + 1)) {
		if (AT(uint8_t, function, cap) == 9)
			set_up_virtio(d, function, cap, bars);
		else if (AT(uint8_t, function, cap) == 0x11)
			set_up_msix(d, function, cap, bars);
	}
	AT(uint16_t, function, 4) = 6; /* memory, bus master */
}

static bool find_pci(struct device *d, unsigned id, unsigned nth)
{
	static const uint16_t transitional[] = { [VIRTIO_NET] = 0x1000,
						 [VIRTIO_BLK] = 0x1001,
						 [VIRTIO_BALLOON] = 0x1002,
						 [VIRTIO_CONSOLE] = 0x1003,
						 [VIRTIO_RNG] = 0x1005 };

	for (unsigned slot = 0; slot < 32; slot++) {
		volatile uint8_t *function = (volatile uint8_t *)(ECAM + slot * 0x8000);
		uint16_t device;

		if (AT(uint16_t, function, 0) != 0x1af4)
			continue;
		device = AT(uint16_t, function, 2);
		if (device != 0x1040 + id && (id > VIRTIO_BALLOON || device != transitional[id]))
			continue;
		if (nth--)
			continue;
		set_up_function(d, function, BARS + slot * 8ul * BAR_ROOM);
		return true;
	}
	return false;
}

static void set_status(const struct device *d, uint8_t v)
{
	if (d->mmio)
		AT(uint32_t, d->mmio, STATUS) = v;
	else
		AT(uint8_t, d->common, C_STATUS) = v;
}

static uint8_t status(const struct device *d)
{
	return d->mmio ? (uint8_t)AT(uint32_t, d->mmio, STATUS) : AT(uint8_t, d->common, C_STATUS);
}

void device_find(struct device *d, unsigned id, unsigned nth)
{
	*d = (struct device){ 0 };
	if (!find_pci(d, id, nth) && !find_mmio(d, 0xd0000000, 0x1000, 0, 32, id, nth) &&
	    !find_mmio(d, 0xfeb00000, 0x200, 31, -1, id, nth))
		fail("no such device");
	set_status(d, 0);
	while (status(d))
		relax();
}

static uint32_t offered(const struct device *d, unsigned half)
{
	if (d->mmio) {
		AT(uint32_t, d->mmio, OFFERED_SEL) = half;
		return AT(uint32_t, d->mmio, OFFERED);
	}
	AT(uint32_t, d->common, C_OFFERED_SEL) = half;
	return AT(uint32_t, d->common, C_OFFERED);
}

static void take(const struct device *d, unsigned half, uint32_t bits)
{
	if (d->mmio) {
		AT(uint32_t, d->mmio, TAKEN_SEL) = half;
		AT(uint32_t, d->mmio, TAKEN) = bits;
		return;
	}
	AT(uint32_t, d->common, C_TAKEN_SEL) = half;
	AT(uint32_t, d->common, C_TAKEN) = bits;
}

void device_start(struct device *d, uint64_t wanted)
{
	set_status(d, ACKNOWLEDGE | DRIVER);
	d->features = (wanted | VERSION_1) & (offered(d, 0) | (uint64_t)offered(d, 1) << 32);
	take(d, 0, (uint32_t)d->features);
	take(d, 1, (uint32_t)(d->features >> 32));
	set_status(d, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	if (!(status(d) & FEATURES_OK) || !(d->features & VERSION_1))
		fail("features");
}

void device_live(const struct device *d)
{
	set_status(d, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

static void put64(volatile uint8_t *at, const volatile void *p)
{
	AT(uint32_t, at, 0) = (uint32_t)(uintptr_t)p;
	AT(uint32_t, at, 4) = 0;
}

static void queue_place_mmio(const struct device *d, struct queue *q, unsigned size)
{
	AT(uint32_t, d->mmio, QUEUE_SEL) = q->index;
	q->size = (uint16_t)AT(uint32_t, d->mmio, QUEUE_MAX_SIZE);
	if (q->size > size)
		q->size = (uint16_t)size;
	queue_lay_out(q);
	AT(uint32_t, d->mmio, QUEUE_SIZE) = q->size;
	put64(d->mmio + DESC, q->desc);
	put64(d->mmio + AVAIL, q->avail);
	put64(d->mmio + USED, q->used);
	AT(uint32_t, d->mmio, QUEUE_READY) = 1;
	q->doorbell = d->mmio + NOTIFY;
}

static void queue_place_pci(const struct device *d, struct queue *q, unsigned size)
{
	AT(uint16_t, d->common, C_QUEUE_SEL) = q->index;
	q->size = AT(uint16_t, d->common, C_QUEUE_SIZE);
	if (q->size > size)
		q->size = (uint16_t)size;
	queue_lay_out(q);
	AT(uint16_t, d->common, C_QUEUE_SIZE) = q->size;
	put64(d->common + C_DESC, q->desc);
	put64(d->common + C_AVAIL, q->avail);
	put64(d->common + C_USED, q->used);
	AT(uint16_t, d->common, C_QUEUE_READY) = 1;
	q->doorbell = d->notify + AT(uint16_t, d->common, C_NOTIFY_OFF) * d->notify_multiplier;
	q->narrow = true;
}

void queue_init(struct device *d, struct queue *q, unsigned index, unsigned size)
{
	*q = (struct queue){ .index = (uint16_t)index };
	q->event_idx = d->features & RING_EVENT_IDX;
	q->indirect = d->features & RING_INDIRECT_DESC;
	if (d->mmio)
		queue_place_mmio(d, q, size < QUEUE_MAX ? size : QUEUE_MAX);
	else
		queue_place_pci(d, q, size < QUEUE_MAX ? size : QUEUE_MAX);
	if (q->size == 0)
		fail("no such queue");
}

uint64_t device_config(const struct device *d, unsigned off, unsigned len)
{
	volatile uint8_t *at = (d->mmio ? d->mmio + CONFIG : d->config) + off;

	switch (len) {
	case 1:
		return AT(uint8_t, at, 0);
	case 2:
		return AT(uint16_t, at, 0);
	case 4:
		return AT(uint32_t, at, 0);
	default: /* 64-bit fields are read in halves (§4.2.2.2) */
		return AT(uint32_t, at, 0) | (uint64_t)AT(uint32_t, at, 4) << 32;
	}
}

void device_config_write(const struct device *d, unsigned off, unsigned len, uint64_t v)
{
	volatile uint8_t *at = (d->mmio ? d->mmio + CONFIG : d->config) + off;

	switch (len) {
	case 1:
		AT(uint8_t, at, 0) = (uint8_t)v;
		break;
	case 2:
		AT(uint16_t, at, 0) = (uint16_t)v;
		break;
	default:
		AT(uint32_t, at, 0) = (uint32_t)v;
		break;
	}
}

void queue_want_interrupts(struct device *d, struct queue *q)
{
	queue_interrupts(q);
	if (d->mmio)
		return;
	AT(uint16_t, d->common, C_QUEUE_SEL) = q->index;
	AT(uint16_t, d->common, C_QUEUE_VECTOR) = 0;
	expect("vector", AT(uint16_t, d->common, C_QUEUE_VECTOR), 0);
}

/* Writes the first message of MSI-X (PCI Local Bus 3.0 §6.8.2), masked meanwhile. */
void device_route(const struct device *d, unsigned vector)
{
	if (!d->msix_table)
		fail("no MSI-X");
	AT(uint32_t, d->msix_table, 12) = 1;
	AT(uint32_t, d->msix_table, 0) = 0xfee00000; /* the first processor */
	AT(uint32_t, d->msix_table, 4) = 0;
	AT(uint32_t, d->msix_table, 8) = vector;
	AT(uint32_t, d->msix_table, 12) = 0;
	AT(uint16_t, d->msix_control, 0) = 0x8000; /* on */
}

void device_acknowledge(const struct device *d)
{
	if (d->mmio)
		AT(uint32_t, d->mmio, INTERRUPT_ACK) = AT(uint32_t, d->mmio, INTERRUPT_STATUS);
}
