/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A driver's side of virtio, over MMIO and PCI (virtio 1.2 §2.7, §4.1, §4.2), that does what
 * Linux's does: indirect descriptors for requests of several pieces, and a kick only when the device
 * asks for one, by EVENT_IDX where it is offered. But it polls, and wants no interrupts.
 */
#pragma once

#include "native.h"

enum {
	VIRTIO_NET = 1,
	VIRTIO_BLK,
	VIRTIO_CONSOLE,
	VIRTIO_RNG,
	VIRTIO_BALLOON,
	VIRTIO_VSOCK = 19,
	VIRTIO_FS = 26
};

#define RING_INDIRECT_DESC (1ull << 28)
#define RING_EVENT_IDX     (1ull << 29)
#define VERSION_1          (1ull << 32)

/* Either mmio is set, or the other pointers are. */
struct device {
	volatile uint8_t *mmio;
	volatile uint8_t *common, *notify, *config;
	volatile uint8_t *msix_control, *msix_table; /* NULL: it has no MSI-X */
	uint32_t notify_multiplier;
	uint64_t features; /* that both want */
};

/* On PCI, has the interrupts of all queues go to the first processor, as that vector. */
void device_route(const struct device *d, unsigned vector);
/* Says that an interrupt has been seen. */
void device_acknowledge(const struct device *d);

#define QUEUE_MAX  256
#define PIECES_MAX 32

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
struct avail {
	uint16_t flags, idx, ring[QUEUE_MAX + 1]; /* used_event comes after the last */
};
struct used {
	uint16_t flags, idx;
	struct {
		uint32_t id, len;
	} ring[QUEUE_MAX + 1]; /* and avail_event */
};
struct queue {
	uint16_t index, size;
	bool event_idx, indirect, interrupts;
	struct desc *desc;
	struct avail *avail;
	volatile struct used *used;
	volatile uint16_t *avail_event;
	struct desc (*tables)[PIECES_MAX]; /* one for each head */
	void *token[QUEUE_MAX];
	uint16_t free_head, nr_free;
	uint16_t added, last_kick, seen; /* avail.idx, what it was at the last kick, used.idx */
	volatile void *doorbell;
	bool narrow; /* the doorbell takes 16 bits */
	uint64_t kicks;
};

struct piece {
	void *at;
	uint32_t len;
};

/* The nth device with this id, reset and ready for device_start. Ends the guest if there is none. */
void device_find(struct device *d, unsigned id, unsigned nth);
/* Negotiates VERSION_1 and, of `wanted`, INDIRECT_DESC and EVENT_IDX what the device offers. Queues
 * are added next, and then it goes live. */
void device_start(struct device *d, uint64_t wanted);
void device_live(const struct device *d);
/* A field of 1, 2, 4 or 8 bytes in the device's own configuration. */
uint64_t device_config(const struct device *d, unsigned off, unsigned len);
void device_config_write(const struct device *d, unsigned off, unsigned len, uint64_t v);

/* Makes a queue of at most `size` elements: less when the device has less. */
void queue_init(struct device *d, struct queue *q, unsigned index, unsigned size);
/* From now on the device interrupts for each chain that it has used. Called before it goes live. */
void queue_want_interrupts(struct device *d, struct queue *q);
/* Offers a chain: `out` pieces for the device to read, then `in` that it writes. False, and nothing
 * is offered, when the queue is full. */
bool queue_add(struct queue *q, const struct piece *p, unsigned out, unsigned in, void *token);
/* Kicks the device for what was added since the last call, if it wants that. */
void queue_kick(struct queue *q);
/* Kicks it in any case. */
void queue_ring(struct queue *q);
/* The token of a chain that the device has used, and how many bytes it says that it wrote (unless
 * len is NULL); or NULL at once if there is none. A token may not be NULL. */
void *queue_poll(struct queue *q, uint32_t *len);
/* Waits for the next one. */
static inline void *queue_wait(struct queue *q, uint32_t *len)
{
	void *token;

	while (!(token = queue_poll(q, len)))
		relax();
	return token;
}
