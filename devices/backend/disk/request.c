/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/disk/request.h"

#include <fcntl.h>

void disk_advance(struct disk_request *r, size_t n)
{
	r->off += n;
	r->len -= n;
	while (r->nr_iov && n >= r->iov->iov_len) {
		n -= r->iov->iov_len;
		r->iov++;
		r->nr_iov--;
	}
	if (n) {
		r->iov->iov_base = (uint8_t *)r->iov->iov_base + n;
		r->iov->iov_len -= n;
	}
}

int disk_fallocate_mode(const struct disk_request *r)
{
	int how = r->op == DISK_DISCARD || r->unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;

	return how | FALLOC_FL_KEEP_SIZE;
}

const char *disk_op_name(enum disk_op op)
{
	switch (op) {
	case DISK_READ:
		return "read";
	case DISK_WRITE:
		return "write";
	case DISK_FLUSH:
		return "flush";
	case DISK_DISCARD:
		return "discard";
	case DISK_ZERO:
		return "write zeroes";
	}
	return "";
}
