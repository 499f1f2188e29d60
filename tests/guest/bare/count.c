/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints bytes that count up, for ever, without asking whether there is room; after every 64 of them
 * reads a sector of the disk and prints its first byte. */
#include "virtio.h"

static struct {
	uint32_t type, zero;
	uint64_t sector;
} head;
static char data[512];
static volatile uint8_t status;

void guest(void)
{
	virtio_up(VIRTIO(0));
	for (uint8_t i = 0;; i++) {
		out8(COM1, i);
		if (i % 64 != 63)
			continue;
		head.sector = i / 64;
		status = 0xff;
		ring.desc[0] = (struct desc){ (uintptr_t)&head, sizeof(head), DESC_NEXT, 1 };
		ring.desc[1] =
			(struct desc){ (uintptr_t)data, sizeof(data), DESC_NEXT | DESC_WRITE, 2 };
		ring.desc[2] = (struct desc){ (uintptr_t)&status, 1, DESC_WRITE, 0 };
		virtio_do(VIRTIO(0));
		out8(COM1, status ? 0xee : (uint8_t)data[0]);
	}
}
