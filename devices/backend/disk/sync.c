/* SPDX-License-Identifier: BSD-2-Clause */
/* Disk I/O by plain system calls, each of which is waited for: for hosts without io_uring, and for
 * what io_uring can't do. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "backend/disk/disk_impl.h"
#include "backend/disk/qcow2.h"

static int transfer(struct disk *d, struct disk_request *r)
{
	while (r->len) {
		ssize_t n = r->op == DISK_READ
				    ? preadv(d->fd, r->iov, (int)r->nr_iov, (off_t)r->off)
				    : pwritev(d->fd, r->iov, (int)r->nr_iov, (off_t)r->off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA; /* somebody cut the file */
		disk_advance(r, (size_t)n);
	}
	return 0;
}

bool disk_is_special(const struct disk *d, const struct disk_request *r)
{
	return d->block_device && (r->op == DISK_DISCARD || (r->off | r->len) % d->host_block);
}

static int allocate(struct disk *d, int mode, const struct disk_request *r)
{
	if (TEMP_FAILURE_RETRY(fallocate(d->fd, mode, (off_t)r->off, (off_t)r->len)) < 0)
		return -errno;
	return 0;
}

static int discard(struct disk *d, struct disk_request *r)
{
	const uint64_t begin = align_up(r->off, d->host_block), end = r->off + r->len;
	uint64_t range[2] = { begin, end - begin - end % d->host_block };
	int rc;

	if (d->block_device && begin + d->host_block > end)
		return 0; /* not a whole block */
	if (d->block_device)
		rc = TEMP_FAILURE_RETRY(ioctl(d->fd, BLKDISCARD, range)) < 0 ? -errno : 0;
	else
		rc = allocate(d, disk_fallocate_mode(r), r);
	/* It is not a failure if the host can't: a discard is a hint. */
	return rc == -EOPNOTSUPP ? 0 : rc;
}

/* Writes zeroes to a piece of r. */
static int write_zeroes(struct disk *d, struct disk_request *r)
{
	static _Alignas(4096) const uint8_t zeroes[4096];
	uint64_t left = min(r->len, DISK_PIECE);

	while (left) {
		struct iovec iov[64];
		unsigned n = 0;

		for (uint64_t want = left; want && n < ARRAY_SIZE(iov); n++) {
			size_t len = min(want, sizeof(zeroes));

			iov[n] = (struct iovec){ (void *)zeroes, len };
			want -= len;
		}
		struct disk_request w = {
			.op = DISK_WRITE, .off = r->off, .iov = iov, .nr_iov = n
		};
		const uint64_t len = min(left, n * sizeof(zeroes));

		w.len = len;
		int rc = transfer(d, &w);

		if (rc < 0)
			return rc;
		left -= len;
		r->off += len;
		r->len -= len;
	}
	return r->len > 0;
}

/* Tries the cheapest way first; the last one always works. */
static int zero(struct disk *d, struct disk_request *r)
{
	int rc;

	if (disk_is_special(d, r))
		return write_zeroes(d, r);
	rc = allocate(d, disk_fallocate_mode(r), r);
	if (rc == -EOPNOTSUPP && r->unmap)
		rc = allocate(d, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, r);
	return rc == -EOPNOTSUPP ? write_zeroes(d, r) : rc;
}

/* A range's tables are changed a piece at a time. Pieces end where clusters end. */
static int image_do(struct disk *d, struct disk_request *r)
{
	const uint64_t most = 64 * MIB, len = most - r->off % most;
	struct disk_request piece = *r;
	int rc;

	if ((r->op != DISK_DISCARD && r->op != DISK_ZERO) || r->len <= len)
		return qcow2_do(d->image, r);
	piece.len = len;
	rc = qcow2_do(d->image, &piece);
	if (rc < 0)
		return rc;
	r->off += len;
	r->len -= len;
	return 1;
}

int disk_do(struct disk *d, struct disk_request *r)
{
	if (d->image)
		return image_do(d, r);
	switch (r->op) {
	case DISK_READ:
	case DISK_WRITE:
		return transfer(d, r);
	case DISK_FLUSH:
		return TEMP_FAILURE_RETRY(fdatasync(d->fd)) < 0 ? -errno : 0;
	case DISK_DISCARD:
		return discard(d, r);
	case DISK_ZERO:
		return zero(d, r);
	}
	return -EINVAL;
}

static int sync_start(struct disk *d)
{
	d->current = NULL;
	return 0;
}

static void sync_stop(struct disk *d __unused) {}

static void sync_submit(struct disk *d, struct disk_request *r)
{
	assert(!d->current);
	d->current = r;
}

static void sync_run(struct disk *d, bool wait __unused)
{
	struct disk_request *r = d->current;
	int rc;

	if (!r)
		return;
	d->current = NULL;
	rc = disk_do(d, r);
	if (rc > 0)
		disk_again(d, r);
	else
		disk_finish(d, r, rc);
}

const struct disk_engine_ops disk_sync_engine = {
	.name = "sync",
	.waits = true,
	.start = sync_start,
	.stop = sync_stop,
	.submit = sync_submit,
	.run = sync_run,
};
