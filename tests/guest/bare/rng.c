/* SPDX-License-Identifier: BSD-2-Clause */
/* A kick by ioeventfd, served on the I/O thread while this vCPU spins: 64 random bytes, twice. */
#include "virtio.h"

void guest(void)
{
	static uint64_t a[8], b[8];
	unsigned same = 0;

	virtio_up(VIRTIO(0));
	ring.desc[0] = (struct desc){ (uintptr_t)a, sizeof(a), DESC_WRITE, 0 };
	expect("first request, bytes", virtio_do(VIRTIO(0)), sizeof(a));
	ring.desc[0] = (struct desc){ (uintptr_t)b, sizeof(b), DESC_WRITE, 0 };
	expect("second request, bytes", virtio_do(VIRTIO(0)), sizeof(b));
	for (unsigned i = 0; i < 8; i++)
		same += a[i] == b[i] || a[i] == 0;
	expect("words that are not random", same, 0);
	print("rng\n");
	leave(16);
}
