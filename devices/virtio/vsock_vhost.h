/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-vsock that the host's kernel serves: its AF_VSOCK reaches the guest. See vsock_vhost.c. */
#pragma once

#include "backend/vhost/vhost.h"
#include "vmm/virtio.h"

struct vsock_vhost {
	struct virtio_dev vd;
	uint32_t cid;
	struct vhost vhost;
	bool open; /* vhost is open */
};

/* cid is 3 to 2^32 - 2. open: false makes a device that can't be started, for a dry run. kept
 * outlives the device, or is NULL. Returns 0; or -errno, logged, with *v safe to destroy. */
int vsock_vhost_init(struct vsock_vhost *v, uint32_t cid, bool open,
		     struct kept *kept) __must_check;

/* No thread runs. Safe also after a failure, a second time, and when all of *v is zero. */
void vsock_vhost_destroy(struct vsock_vhost *v);
