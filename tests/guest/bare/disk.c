/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads sector 1 of the disk, prints its first line, writes it to sector 2, flushes. */
#include "virtio.h"

static struct {
	uint32_t type, zero;
	uint64_t sector;
} head;
static char data[512];
static volatile uint8_t status;

static void request(uint32_t type, uint64_t sector, uint16_t data_flags)
{
	head.type = type;
	head.sector = sector;
	status = 0xff;
	ring.desc[0] = (struct desc){ (uintptr_t)&head, sizeof(head), DESC_NEXT,
				      data_flags == 0xff ? 2 : 1 };
	ring.desc[1] = (struct desc){ (uintptr_t)data, sizeof(data),
				      (uint16_t)(DESC_NEXT | data_flags), 2 };
	ring.desc[2] = (struct desc){ (uintptr_t)&status, 1, DESC_WRITE, 0 };
	virtio_do(VIRTIO(0));
	expect("status of a request", status, 0);
}

void guest(void)
{
	virtio_up(VIRTIO(0));
	request(0, 1, DESC_WRITE); /* in */
	for (unsigned i = 0; i < sizeof(data) && data[i] != '\n'; i++)
		out8(COM1, (uint8_t)data[i]);
	print("\n");
	request(1, 2, 0);    /* out */
	request(4, 0, 0xff); /* flush */
	leave(16);
}
