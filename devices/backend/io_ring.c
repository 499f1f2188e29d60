/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/io_ring.h"

#include <assert.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_OPS 8

/* io_uring_register(2). Debian's shared liburing 2.3 doesn't export functions for what we need. */
static int ring_register(const struct io_uring *ring, unsigned what, void *arg, unsigned nr)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, what, arg, nr) < 0 ? -errno : 0;
}

static int restrict_to(struct io_uring *ring, int fd, const uint8_t *op, unsigned nr)
{
	struct io_uring_restriction only[MAX_OPS + 2] = {
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_ASYNC },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
		  .sqe_flags = fd < 0 ? 0 : (uint8_t)IOSQE_FIXED_FILE },
	};
	int rc = fd < 0 ? 0 : io_uring_register_files(ring, &fd, 1);

	assert(nr <= MAX_OPS);
	for (unsigned i = 0; i < nr; i++)
		only[2 + i] = (struct io_uring_restriction){
			.opcode = IORING_RESTRICTION_SQE_OP,
			.sqe_op = op[i],
		};
	if (rc == 0)
		rc = ring_register(ring, IORING_REGISTER_RESTRICTIONS, only, nr + 2);
	return rc == 0 ? ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0) : rc;
}

int io_ring_open(struct io_uring *ring, unsigned entries, int fd, const uint8_t *op, unsigned nr)
{
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED };
	int rc = io_uring_queue_init_params(entries, ring, &p);

	if (rc < 0)
		return rc == -EINVAL ? -ENOSYS : rc;
	rc = restrict_to(ring, fd, op, nr);
	if (rc < 0)
		io_uring_queue_exit(ring);
	return rc == -EINVAL ? -ENOSYS : rc;
}
