/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of vhost-user, for tests: written anew from the specification, so that ours are
 * checked against an independent definition. And a driver whose memory a daemon can share. */
#pragma once

#include <sys/mman.h>
#include <sys/socket.h>

#include "virtio/fs_vhost.h"

#include "ring.h"

struct vu_message {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		struct {
			uint32_t index, num;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} addr;
		struct {
			uint32_t nr, padding;
			struct {
				uint64_t gpa, size, user, offset;
			} region[8];
		} memory;
	} __attribute__((packed));
} __attribute__((packed));
#define VU_HEADER 12u

enum {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES,
	VU_SET_OWNER,
	VU_SET_MEM_TABLE = 5,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR,
	VU_SET_VRING_BASE,
	VU_GET_VRING_BASE,
	VU_SET_VRING_KICK,
	VU_SET_VRING_CALL,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES,
	VU_SET_VRING_ENABLE = 18
};

#define VU_FEATURES (1ull << 32 | 1ull << 30 | 1ull << 29 | 1ull << 28)

#define SHARED_SIZE (1 * MIB + 64 * KIB)

/* Like driver_init(), but in one file: there the second region follows the first, but not in the
 * guest. */
static inline int shared_driver_init(struct driver *d, struct virtio_dev *vd, uint8_t **host)
{
	int fd = memfd_create("ram", MFD_CLOEXEC), rc;

	driver_init(d, vd);
	rc = ftruncate(fd, SHARED_SIZE);
	assert(fd >= 0 && rc == 0);
	*host = mmap(NULL, SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert(*host != MAP_FAILED);
	d->ram.mem = (struct gmem){ 0 };
	rc = gmem_add(&d->ram.mem, 0, 1 * MIB, *host);
	assert(rc == 0);
	rc = gmem_add(&d->ram.mem, 4 * MIB, 64 * KIB, *host + 1 * MIB);
	assert(rc == 0);
	return fd;
}
