/* SPDX-License-Identifier: BSD-2-Clause */
/* Device memory: the registers of a virtio-mmio device, and addresses that no device has. */
#include "guest.h"

void guest(void)
{
	volatile uint8_t *nobody = (volatile uint8_t *)0xdffff000ul;

	expect("virtio-mmio magic", VIRTIO(0)[0], 0x74726976);
	expect("virtio-mmio version", VIRTIO(0)[1], 2);
	expect("virtio-rng device id", VIRTIO(0)[2], 4);
	expect("a page for a device that isn't there", VIRTIO(8)[0], 0xffffffff);
	VIRTIO(8)[0] = 0;
	expect("the same, after it was written to", VIRTIO(8)[0], 0xffffffff);
	expect("unclaimed, 8 bits", nobody[1], 0xff);
	expect("unclaimed, 16 bits", *(volatile uint16_t *)(nobody + 2), 0xffff);
	expect("unclaimed, 32 bits", *(volatile uint32_t *)(nobody + 4), 0xffffffff);
	expect("unclaimed, 64 bits", *(volatile uint64_t *)(nobody + 8), UINT64_MAX);
	expect("unclaimed, across its 8 bytes", *(volatile uint64_t *)(nobody + 0xffc), UINT64_MAX);
	*(volatile uint64_t *)nobody = 1;
	print("mmio\n");
	leave(16);
}
