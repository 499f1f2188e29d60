/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disk I/O by io_uring: everything that was submitted since the last run goes to the kernel in one
 * system call, which also does at once what needs no waiting (reads of cached data). The rest
 * completes later, in any order. Large copies go to the kernel's threads, so that several are made at
 * the same time.
 *
 * The loop watches the ring's own descriptor: unlike a registered eventfd it needs no read(2) to be
 * silenced, and it does not become readable for a request that was completed by the submitting call
 * and has already been taken by run.
 *
 * No IORING_SETUP_SINGLE_ISSUER: a reset drains the ring on a vCPU's thread. What a thread has
 * submitted to a file or block device is done even if the thread ends before that.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include "backend/disk/disk_impl.h"
#include "backend/io_ring.h"

static int uring_start(struct disk *d)
{
	static const uint8_t only[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
					IORING_OP_FALLOCATE, IORING_OP_NOP };
	struct io_uring *ring = calloc(1, sizeof(*ring));
	int rc;

	if (!ring)
		return -ENOMEM;
	rc = io_ring_open(ring, DISK_MAX_IN_FLIGHT, d->fd, only, ARRAY_SIZE(only));
	if (rc < 0) {
		free(ring);
		return rc;
	}
	d->uring = ring;
	d->event_fd = ring->ring_fd;
	disk_at_once_start(d);
	return 0;
}

static void uring_stop(struct disk *d)
{
	if (!d->uring)
		return;
	io_uring_queue_exit(d->uring);
	free(d->uring);
	d->uring = NULL;
	d->event_fd = -1;
}

static bool is_by_hand(const struct disk *d, const struct disk_request *r)
{
	const bool range = r->op == DISK_DISCARD || r->op == DISK_ZERO;

	return r->by_hand || (range && disk_is_special(d, r));
}

static void uring_submit(struct disk *d, struct disk_request *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(d->uring);

	assert(sqe); /* the ring has DISK_MAX_IN_FLIGHT of them */
	switch (r->op) {
	case DISK_READ:
		io_uring_prep_readv(sqe, IO_RING_FILE, r->iov, r->nr_iov, r->off);
		break;
	case DISK_WRITE:
		io_uring_prep_writev(sqe, IO_RING_FILE, r->iov, r->nr_iov, r->off);
		break;
	case DISK_FLUSH:
		io_uring_prep_fsync(sqe, IO_RING_FILE, IORING_FSYNC_DATASYNC);
		break;
	case DISK_DISCARD:
	case DISK_ZERO:
		if (is_by_hand(d, r))
			io_uring_prep_nop(sqe); /* done when it comes back: uring_complete() */
		else
			io_uring_prep_fallocate(sqe, IO_RING_FILE, disk_fallocate_mode(r),
						(off_t)r->off, (off_t)r->len);
		break;
	}
	sqe->flags |= IOSQE_FIXED_FILE | (disk_is_large(r) ? IOSQE_ASYNC : 0);
	io_uring_sqe_set_data(sqe, r);
}

static void uring_complete(struct disk *d, struct disk_request *r, int res)
{
	const bool data = r->op == DISK_READ || r->op == DISK_WRITE;

	if (data && res > 0) {
		disk_advance(r, (size_t)res);
		res = r->len ? -EAGAIN : 0;
	} else if (data && res == 0) {
		res = -ENODATA; /* somebody cut the file */
	} else if (res == -EOPNOTSUPP || is_by_hand(d, r)) {
		res = disk_do(d, r); /* it knows more ways; this is rare enough to wait for */
	}
	if (res > 0)
		disk_again(d, r);
	else if (res == -EAGAIN || res == -EINTR)
		uring_submit(d, r); /* again, or what is left of it */
	else
		disk_finish(d, r, res);
}

static unsigned uring_reap(struct disk *d)
{
	struct io_uring_cqe *cqe;
	unsigned n = 0;

	for (; io_uring_peek_cqe(d->uring, &cqe) == 0; n++) {
		struct disk_request *r = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(d->uring, cqe);
		uring_complete(d, r, res);
	}
	return n;
}

static void uring_run(struct disk *d, bool wait)
{
	struct io_uring *ring = d->uring;

	do {
		int rc = 0;

		if (wait)
			rc = io_uring_submit_and_wait(ring, 1);
		else if (io_uring_sq_ready(ring))
			rc = io_uring_submit(ring);
		if (rc == -EAGAIN || rc == -EBUSY || rc == -ENOMEM)
			usleep(1000); /* out of memory; what was not taken stays in the ring */
		else
			assert(rc >= 0 || rc == -EINTR);
		if (uring_reap(d))
			wait = false;
	} while (wait || io_uring_sq_ready(ring));
}

static bool uring_has_done(const struct disk *d)
{
	const struct io_uring *ring = d->uring;

	return __atomic_load_n(ring->cq.ktail, __ATOMIC_ACQUIRE) !=
	       __atomic_load_n(ring->cq.khead, __ATOMIC_RELAXED);
}

const struct disk_engine_ops disk_uring_engine = {
	.name = "io_uring",
	.start = uring_start,
	.stop = uring_stop,
	.submit = uring_submit,
	.run = uring_run,
	.has_done = uring_has_done,
};
