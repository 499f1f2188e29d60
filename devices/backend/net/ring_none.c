/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/ring.h"

unsigned net_ring_write(struct net_ring *r __unused, int fd __unused,
			const struct net_frame *frame __unused, unsigned nr __unused,
			uint64_t *lost __unused)
{
	return 0;
}

void net_ring_close(struct net_ring *r __unused) {}
