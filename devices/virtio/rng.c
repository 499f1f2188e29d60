/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-rng (virtio 1.2 §5.4): the host's random numbers for the guest.
 *
 * A request gets at most 256 bytes, however large it is: getrandom(2) gives as much at once, and
 * every driver asks again.
 */
#include "virtio/rng.h"

#include <sys/random.h>

static int rng_kick(struct virtio_dev *vd, struct virtq *q)
{
	struct virtq_chain c;
	int rc;

	while ((rc = virtio_pop(vd, q, &c)) > 0) {
		uint8_t buf[256];
		ssize_t n = getrandom(buf, sizeof(buf), 0);

		virtq_push(q, c.head, n > 0 ? (uint32_t)chain_write(&c, 0, buf, (size_t)n) : 0);
	}
	return rc;
}

const struct virtio_ops virtio_rng_ops = {
	.name = "rng",
	.module = "virtio_rng",
	.device_id = VIRTIO_ID_RNG,
	.nr_queues = 1,
	.queue_size = 64,
	.kick = rng_kick,
};
