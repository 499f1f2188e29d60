/* SPDX-License-Identifier: BSD-2-Clause */
/* When the host's kernel completes a request is its own affair: at once, or by a thread of its own.
 * Here the device always finds completed what it has submitted, so that it always does the same. */
#include <liburing.h>
#include <poll.h>

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
/* This is called by what is counted, and isn't counted itself. */
void uncounted_wait(struct io_uring *ring, int nr);

__attribute__((noinline)) void uncounted_wait(struct io_uring *ring, int nr)
{
	struct pollfd p = { .fd = ring->ring_fd, .events = POLLIN };

	while ((int)io_uring_cq_ready(ring) < nr)
		poll(&p, 1, 1);
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
	int nr = __real_io_uring_submit(ring);

	uncounted_wait(ring, nr);
	return nr;
}
