/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/net/ring.h"

#include <liburing.h>
#include <stdlib.h>

#include "backend/io_ring.h"

/* The TAP isn't registered with the ring, which would keep it in use for a moment after this
 * process was killed. */
static void open_ring(struct net_ring *r)
{
	static const uint8_t only[] = { IORING_OP_WRITE, IORING_OP_WRITEV };

	r->unusable = true;
	r->uring = calloc(1, sizeof(*r->uring));
	if (!r->uring)
		return;
	if (io_ring_open(r->uring, NET_BATCH, -1, only, ARRAY_SIZE(only)) == 0) {
		r->unusable = false;
		return;
	}
	free(r->uring);
	r->uring = NULL;
}

void net_ring_close(struct net_ring *r)
{
	if (!r->uring)
		return;
	io_uring_queue_exit(r->uring);
	free(r->uring);
	r->uring = NULL;
}

/* There are as many entries as frames in a batch, and all are free. */
static void queue_frame(struct io_uring *uring, int fd, const struct net_frame *f)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(uring);

	if (f->nr == 1)
		io_uring_prep_write(sqe, fd, f->iov->iov_base, (unsigned)f->iov->iov_len, 0);
	else
		io_uring_prep_writev(sqe, fd, f->iov, f->nr, 0);
}

/* Takes the results that there are. Returns how many. */
static unsigned take_results(struct io_uring *uring, uint64_t *lost)
{
	const struct io_uring_cqe *cqe;
	unsigned head, nr = 0;

	io_uring_for_each_cqe(uring, head, cqe)
	{
		*lost += cqe->res < 0;
		nr++;
	}
	io_uring_cq_advance(uring, nr);
	return nr;
}

/* The descriptor is non-blocking, so the kernel makes the writes in the submitting call, in the
 * order of the entries. */
unsigned net_ring_write(struct net_ring *r, int fd, const struct net_frame *frame, unsigned nr,
			uint64_t *lost)
{
	unsigned done;

	if (!r->uring && !r->unusable)
		open_ring(r);
	if (r->unusable)
		return 0;
	for (unsigned i = 0; i < nr; i++)
		queue_frame(r->uring, fd, &frame[i]);
	(void)!io_uring_submit_and_wait(r->uring, nr);
	done = take_results(r->uring, lost);
	if (done < nr) { /* out of memory, or interrupted: what wasn't taken is forgotten */
		r->unusable = true;
		net_ring_close(r);
	}
	return done;
}
