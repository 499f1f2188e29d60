/* SPDX-License-Identifier: BSD-2-Clause */
/* As much of a virtio-mmio driver as is needed to offer one chain and wait for it (virtio 1.2
 * §4.2). */
#pragma once

#include "guest.h"

enum { DESC_NEXT = 1, DESC_WRITE = 2 };

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
static struct {
	struct desc desc[8] __attribute__((aligned(16)));
	struct {
		uint16_t flags, idx, ring[8];
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[8];
	} used __attribute__((aligned(4)));
} ring;

static inline void virtio_up(volatile uint32_t *r)
{
	r[0x70 / 4] = 0;
	r[0x70 / 4] = 1 | 2; /* ACKNOWLEDGE, DRIVER */
	r[0x24 / 4] = 1;     /* feature bits 32 and up: VERSION_1 */
	r[0x20 / 4] = 1;
	r[0x24 / 4] = 0;
	r[0x20 / 4] = 0;
	r[0x70 / 4] = 1 | 2 | 8; /* FEATURES_OK */
	expect("FEATURES_OK", r[0x70 / 4] & 8, 8);
	r[0x30 / 4] = 0;
	r[0x38 / 4] = 8;
	r[0x80 / 4] = (uint32_t)(uintptr_t)ring.desc;
	r[0x90 / 4] = (uint32_t)(uintptr_t)&ring.avail;
	r[0xa0 / 4] = (uint32_t)(uintptr_t)&ring.used;
	r[0x44 / 4] = 1;
	expect("QueueReady", r[0x44 / 4], 1);
	r[0x70 / 4] = 1 | 2 | 8 | 4; /* DRIVER_OK */
}

/* Offers the chain at descriptor 0, kicks, and waits. Returns how many bytes the device says that
 * it wrote. */
static inline uint32_t virtio_do(volatile uint32_t *r)
{
	volatile uint16_t *done = &ring.used.idx;
	uint16_t before = *done;

	ring.avail.ring[ring.avail.idx % 8] = 0;
	__atomic_store_n(&ring.avail.idx, (uint16_t)(ring.avail.idx + 1), __ATOMIC_RELEASE);
	r[0x50 / 4] = 0; /* QueueNotify: an ioeventfd */
	while (*done == before)
		;
	return ring.used.ring[before % 8].len;
}
