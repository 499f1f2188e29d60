/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/disk/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "backend/disk/disk_impl.h"
#include "backend/disk/image_lock.h"
#include "backend/disk/qcow2.h"
#include "backend/disk/quoted.h"
#include "vmm/log.h"

/* Logs what open(2) said, and what can be done about it. */
static int open_failed(const struct disk_options *o, bool readonly, int err)
{
	const char *why = strerrordesc_np(err) ?: "can't be opened";
	char file[1100];

	if (err == ENOENT)
		return log_ret(-err, "--disk %s: %s (make an empty disk with: truncate -s 8G %s)",
			       o->path, why, disk_quoted(file, sizeof(file), o->path));
	if (!readonly && (err == EACCES || err == EROFS || err == EPERM) &&
	    access(o->path, R_OK) == 0)
		return log_ret(
			-err,
			"--disk %s: %s (open for writing; use readonly=on to attach it read-only)",
			o->path, why);
	return log_ret(-err, "--disk %s: %s", o->path, why);
}

/* Called before open(2), which would wait at a FIFO and has side effects on some character
 * devices. */
static int check_kind(const struct disk_options *o)
{
	struct stat st;

	if (stat(o->path, &st) < 0)
		return open_failed(o, true, errno);
	if (S_ISDIR(st.st_mode))
		return log_ret(-EISDIR,
			       "--disk %s: is a directory (give an image file or a block device)",
			       o->path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return log_ret(-ENOTBLK,
			       "--disk %s: is neither a file nor a block device (give one of them)",
			       o->path);
	return 0;
}

static int lock_image(const struct disk *d, const struct disk_options *o, bool readonly)
{
	int rc = image_lock(d->fd, readonly);

	if (rc == -EBUSY)
		return log_ret(
			rc,
			"--disk %s: in use by another minivmm or given twice (attach it with readonly=on in both, or make a copy)",
			o->path);
	if (rc < 0)
		log_warn(
			"--disk %s: its file system has no locks (%s): take care that nothing else uses it",
			o->path, strerrordesc_np(-rc));
	return 0;
}

static int measure_block_device(struct disk *d)
{
	int block = DISK_SECTOR;
	unsigned physical = 0, min_io = 0, opt_io = 0;

	if (ioctl(d->fd, BLKGETSIZE64, &d->size) < 0)
		return log_errno("--disk %s: can't tell its size", d->path);
	/* These are hints: a device that does not know them keeps the defaults. */
	(void)ioctl(d->fd, BLKSSZGET, &block);
	(void)ioctl(d->fd, BLKPBSZGET, &physical);
	(void)ioctl(d->fd, BLKIOMIN, &min_io);
	(void)ioctl(d->fd, BLKIOOPT, &opt_io);
	d->block_device = true;
	d->block_size = (uint32_t)block;
	d->physical_block_size = max(physical, d->block_size);
	d->min_io_size = min_io;
	d->opt_io_size = opt_io;
	return 0;
}

/* Returns 0 or -EINVAL, logged. An image of another format must not be made longer. */
static int check_size(const struct disk *d)
{
	char file[1100];
	bool other;

	disk_quoted(file, sizeof(file), d->path);
	if (!d->size)
		return log_ret(-EINVAL,
			       "--disk %s: is empty (give it a size with: truncate -s 8G %s)",
			       d->path, file);
	other = disk_warn_of_format(d);
	if (d->size % DISK_SECTOR == 0)
		return 0;
	return log_ret(
		-EINVAL,
		"--disk %s: its size, %llu bytes, is not a multiple of %d, and a raw image has whole sectors%s%s%s",
		d->path, (unsigned long long)d->size, DISK_SECTOR,
		other ? "" : " (round it up with: truncate -s %512 ", other ? "" : file,
		other ? "" : ")");
}

static int measure(struct disk *d)
{
	struct stat st;

	if (fstat(d->fd, &st) < 0)
		return log_errno("--disk %s", d->path);
	if (S_ISBLK(st.st_mode)) {
		if (measure_block_device(d) < 0)
			return -EIO;
	} else {
		d->size = (uint64_t)st.st_size;
		d->block_size = DISK_SECTOR;
		/* File systems report up to a MiB here; more than a page is of no use to a
		 * guest. */
		d->physical_block_size = st.st_blksize >= 4096 ? 4096 : DISK_SECTOR;
		d->min_io_size = d->physical_block_size;
	}
	d->discard_size = d->physical_block_size;
	return check_size(d);
}

static int try_engine(struct disk *d, enum disk_engine which)
{
	static const struct disk_engine_ops *const engine[] = {
#ifdef HAVE_IO_URING
		[DISK_ENGINE_URING] = &disk_uring_engine,
#endif
		[DISK_ENGINE_SYNC] = &disk_sync_engine,
	};
	int rc = engine[which] ? engine[which]->start(d) : -ENOSYS;

	if (rc == 0)
		d->engine = engine[which];
	return rc;
}

static int start_engine(struct disk *d, enum disk_engine wanted)
{
	bool any = wanted == DISK_ENGINE_AUTO;
	int rc = try_engine(d, any ? DISK_ENGINE_URING : wanted);

	if (rc == 0)
		return 0;
	if (!any)
		return log_ret(rc, "--disk %s: no io_uring here: %s (leave the choice to minivmm)",
			       d->path, strerrordesc_np(-rc));
	log_info("--disk %s: no io_uring here (%s): requests are done one by one", d->path,
		 strerrordesc_np(-rc));
	return try_engine(d, DISK_ENGINE_SYNC);
}

/* Another tool would read a backing file below this image. We only read files that we were told
 * of. */
static int open_qcow2(struct disk *d, enum qcow2_use use)
{
	struct qcow2_info info;
	int rc = qcow2_open(&d->image, d->fd, d->path, use, &info);

	if (rc < 0)
		return rc;
	if (*info.backing)
		return log_ret(
			-EINVAL,
			"--disk %s: has a base, %s (give that, with this one as its overlay=)",
			d->path, info.backing);
	d->size = info.size;
	d->block_size = DISK_SECTOR;
	d->physical_block_size = d->min_io_size = 4096;
	d->opt_io_size = d->discard_size = qcow2_cluster_size(d->image);
	return 0;
}

static int open_by_name(struct disk *d, const struct disk_options *o, bool readonly)
{
	int rc = check_kind(o);

	if (rc < 0)
		return rc;
	d->fd = open(o->path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (d->fd < 0)
		return open_failed(o, readonly, errno);
	rc = lock_image(d, o, readonly);
	if (rc == 0)
		rc = kept_keep(o->kept, DISK_KEPT_IMAGE, d->fd, o->path);
	if (rc == 0 && o->kept)
		o->kept->locked = true;
	return rc;
}

static int open_image(struct disk *d, const struct disk_options *o, bool readonly)
{
	int rc;

	d->path = strdup(o->path);
	if (!d->path)
		return log_errno("--disk %s", o->path);
	rc = d->fd = kept_open(o->kept, DISK_KEPT_IMAGE);
	if (rc == -ENOENT)
		rc = open_by_name(d, o, readonly);
	else if (rc < 0)
		return log_ret(rc, "--disk %s: %s", o->path, strerrordesc_np(-rc));
	if (rc < 0)
		return rc;
	return o->format == DISK_RAW ? measure(d)
	       : readonly            ? open_qcow2(d, QCOW2_READ)
				     : open_qcow2(d, o->dry ? QCOW2_TRY : QCOW2_WRITE);
}

/* The guest's blocks may be smaller or larger than the host's: the host's page cache allows
 * that. */
static int set_sector(struct disk *d, const struct disk_options *o)
{
	d->host_block = d->block_size;
	if (!o->sector)
		return 0;
	if (d->size % o->sector)
		return log_ret(
			-EINVAL,
			"--disk %s: its size, %llu bytes, is not a multiple of sector=%u (use sector=512, or make it larger)",
			d->path, (unsigned long long)d->size, o->sector);
	d->block_size = o->sector;
	d->physical_block_size = max(d->physical_block_size, o->sector);
	d->discard_size = max(d->discard_size, o->sector);
	return 0;
}

int disk_open(struct disk *d, const struct disk_options *o,
	      void (*done)(struct disk *d, struct disk_request *r))
{
	const bool over = o->overlay || o->temp;
	int rc;

	*d = (struct disk){
		.fd = -1,
		.event_fd = -1,
		.base_fd = -1,
		.readonly = o->readonly,
		.done = done,
		.kept = o->kept,
	};
	d->waiting_end = &d->waiting;
	if (o->kept && o->kept->failed)
		return log_ret(
			-EIO,
			"--disk %s: the host could not store what was written: the guest is not restarted with it",
			o->path);
	rc = open_image(d, o, o->readonly || over);
	if (rc == 0 && over)
		rc = disk_overlay(d, o);
	if (rc == 0)
		rc = set_sector(d, o);
	if (rc == 0)
		rc = start_engine(d, d->image ? DISK_ENGINE_SYNC : o->engine);
	return rc;
}

/* The lock of a kept file is held from one life of the guest to the next. */
static void let_go(const struct disk *d, int *fd)
{
	if (d->kept && d->kept->locked)
		close_fd(fd);
	else
		image_release(fd);
}

void disk_close(struct disk *d)
{
	int rc = 0;

	if (!d->path)
		return; /* *d may be all zeroes: fd 0 is not ours */
	if (d->engine)
		d->engine->stop(d);
	d->engine = NULL;
	if (d->image)
		rc = qcow2_close(d->image);
	if (rc < 0) {
		log_ret(rc, "--disk %s: what was written last is lost: %s", d->path,
			strerrordesc_np(-rc));
		if (d->kept)
			d->kept->failed = true;
	}
	if (d->base_image)
		(void)!qcow2_close(d->base_image);
	d->image = d->base_image = NULL;
	let_go(d, &d->base_fd);
	let_go(d, &d->fd);
	free(d->path);
	d->path = NULL;
}

bool disk_covers(const struct disk *d, uint64_t sector, uint64_t len)
{
	uint64_t sectors = d->size / DISK_SECTOR;

	return len % DISK_SECTOR == 0 && sector <= sectors && len / DISK_SECTOR <= sectors - sector;
}

/* -- what is begun, and what waits ----------------------------------------------------------- */

/* A reset waits for begun requests. This is many times what keeps a fast device busy. */
#define MAX_BEGUN (32 * MIB)

static uint64_t cost_of(const struct disk_request *r)
{
	switch (r->op) {
	case DISK_READ:
	case DISK_WRITE:
		break;
	case DISK_FLUSH:
		return 1 * MIB;
	case DISK_DISCARD:
		return max(r->len / 16, (uint64_t)1);
	case DISK_ZERO:
		return r->by_hand ? min(r->len, DISK_PIECE) : r->len;
	}
	return max(r->len, (uint64_t)1);
}

static struct disk_request *take_first(struct disk *d)
{
	struct disk_request *r = d->waiting;

	d->waiting = r->next;
	if (!d->waiting)
		d->waiting_end = &d->waiting;
	return r;
}

/* May another request be begun before others are done? */
static bool has_room(const struct disk *d)
{
	return d->waiting && (!d->nr_begun || d->begun + cost_of(d->waiting) <= MAX_BEGUN);
}

static bool may_begin(const struct disk *d, struct round *round)
{
	return has_room(d) && !(d->engine->waits ? round_is_late(round) : round_is_over(round));
}

static bool is_last(const struct disk *d)
{
	return d->waiting && !d->waiting->next;
}

/* Returns what the request costs. */
static uint64_t begin(struct disk *d, bool alone)
{
	struct disk_request *r = take_first(d);
	const uint64_t cost = cost_of(r);

	r->cost = cost;
	d->begun += cost;
	d->nr_begun++;
	if (!d->engine->waits && disk_try_at_once(d, r, alone))
		disk_finish(d, r, 0);
	else
		d->engine->submit(d, r);
	return cost;
}

static void end(struct disk *d, struct disk_request *r)
{
	d->nr_begun -= r->cost > 0;
	d->begun -= r->cost;
	r->cost = 0;
}

void disk_submit(struct disk *d, struct disk_request *r)
{
	d->in_flight++;
	r->next = NULL;
	r->cost = 0;
	r->by_hand = false;
	*d->waiting_end = r;
	d->waiting_end = &r->next;
}

/* Begins the next request, and those after it that go to the engine by the same call. If the last
 * one is large, it is left for the next call: by then the engine has the others, and this thread
 * copies at the same time. */
static void begin_some(struct disk *d, struct round *round)
{
	const unsigned most = d->engine->waits ? 1 : DISK_MAX_IN_FLIGHT;
	const bool alone = is_last(d);
	unsigned n = 0;

	do {
		round_spend(round, begin(d, alone));
	} while (++n < most && may_begin(d, round) && !(is_last(d) && disk_is_large(d->waiting)));
}

bool disk_run(struct disk *d, struct round *round)
{
	bool go = may_begin(d, round); /* may read the clock, so once for each request */

	do {
		if (go)
			begin_some(d, round);
		if (d->nr_begun)
			d->engine->run(d, false);
		go = may_begin(d, round);
	} while (go);
	return has_room(d);
}

bool disk_waits(const struct disk *d)
{
	return d->engine->waits;
}

bool disk_has_done(const struct disk *d)
{
	return d->engine->has_done && d->engine->has_done(d);
}

void disk_drain(struct disk *d)
{
	while (d->in_flight) {
		for (unsigned n = 0; n < (d->engine->waits ? 1 : DISK_MAX_IN_FLIGHT) && has_room(d);
		     n++)
			begin(d, false);
		if (d->nr_begun)
			d->engine->run(d, true);
	}
}

void disk_drop(struct disk *d)
{
	while (d->in_flight) {
		while (d->waiting)
			disk_finish(d, take_first(d), -ECANCELED);
		if (d->nr_begun)
			d->engine->run(d, true);
	}
}

void disk_finish(struct disk *d, struct disk_request *r, int result)
{
	end(d, r);
	d->in_flight--;
	r->result = result;
	d->done(d, r); /* r belongs to the caller again from here on */
}

void disk_again(struct disk *d, struct disk_request *r)
{
	end(d, r);
	r->by_hand = true;
	r->next = d->waiting;
	if (!d->waiting)
		d->waiting_end = &r->next;
	d->waiting = r;
}
