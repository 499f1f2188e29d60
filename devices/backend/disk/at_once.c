/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests that need no waiting, because the host has in memory what they read or change: one
 * system call on this thread is cheaper than giving them to the engine, and the answer follows at
 * once.
 *
 * Which ones these are depends on the file system:
 * - Most file systems say it themselves, by RWF_NOWAIT.
 * - A tmpfs or ramfs never waits, because it is nothing but memory.
 * - ext4, and others on older kernels, have no RWF_NOWAIT for writes to the page cache. io_uring
 *   gives these to a thread, and so takes three times as long as we do here. They hardly ever
 *   wait, except when the host has too much to write already. So we measure how long each takes:
 *   after a write that waited, the engine has the writes for a hundred times as long.
 */
#include <errno.h>
#include <linux/magic.h>
#include <sys/statfs.h>

#include "backend/disk/disk_impl.h"

#define MAX_TIMED (64 * KIB) /* a write's size */
#define WAITED_NS 500000     /* a write of this size takes so long only if it waits */
#define PENALTY   100        /* so that this thread waits for at most 1 % of the time */

void disk_at_once_start(struct disk *d)
{
	struct statfs fs;

	d->at_once = (struct disk_at_once){ .read = DISK_IF_NOWAIT, .write = DISK_IF_NOWAIT };
	/* What has a block device's name may be a tmpfs. */
	if (d->block_device || fstatfs(d->fd, &fs) < 0)
		return;
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)
		d->at_once.read = d->at_once.write = DISK_ALWAYS;
	/* A network, or a daemon, may make a write wait for ever. */
	d->at_once.local = fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
			   fs.f_type == BTRFS_SUPER_MAGIC;
}

/* A write waits for whatever else changes the same file. So none is made here while the engine has
 * a request; nr_begun counts r, too. */
static bool may_write(const struct disk *d, const struct disk_request *r, bool alone)
{
	if (d->nr_begun > 1)
		return false;
	if (d->at_once.write == DISK_IF_QUICK)
		return r->len <= MAX_TIMED;
	return alone || (d->at_once.write == DISK_ALWAYS && !disk_is_large(r));
}

static bool may_read(const struct disk *d, const struct disk_request *r, bool alone)
{
	return alone || (d->at_once.read == DISK_ALWAYS && !disk_is_large(r));
}

static ssize_t transfer(const struct disk *d, const struct disk_request *r, enum disk_when when)
{
	const int flags = when == DISK_IF_NOWAIT ? RWF_NOWAIT : 0;

	return r->op == DISK_READ ? preadv2(d->fd, r->iov, (int)r->nr_iov, (off_t)r->off, flags)
				  : pwritev2(d->fd, r->iov, (int)r->nr_iov, (off_t)r->off, flags);
}

static ssize_t timed_transfer(struct disk *d, const struct disk_request *r)
{
	const uint64_t begin = monotonic_ns();
	uint64_t took;
	ssize_t n;

	if (begin < d->at_once.not_before)
		return 0;
	n = transfer(d, r, DISK_IF_QUICK);
	took = monotonic_ns() - begin;
	if (took > WAITED_NS)
		d->at_once.not_before = begin + PENALTY * took;
	return n;
}

/* The file system has no RWF_NOWAIT. */
static void give_up(struct disk *d, const struct disk_request *r)
{
	if (r->op == DISK_READ)
		d->at_once.read = DISK_NEVER;
	else
		d->at_once.write = d->at_once.local ? DISK_IF_QUICK : DISK_NEVER;
}

bool disk_try_at_once(struct disk *d, struct disk_request *r, bool alone)
{
	enum disk_when when = DISK_NEVER;
	ssize_t n;

	if (r->op == DISK_READ && may_read(d, r, alone))
		when = d->at_once.read;
	else if (r->op == DISK_WRITE && may_write(d, r, alone))
		when = d->at_once.write;
	if (when == DISK_NEVER)
		return false;
	n = when == DISK_IF_QUICK ? timed_transfer(d, r) : transfer(d, r, when);
	/* Linux before 6.0 says EINVAL of a write to the page cache. */
	if (n < 0 && when == DISK_IF_NOWAIT && (errno == EOPNOTSUPP || errno == EINVAL))
		give_up(d, r);
	if (n > 0)
		disk_advance(r, (size_t)n);
	return !r->len; /* errors are the engine's, which will meet them again */
}
