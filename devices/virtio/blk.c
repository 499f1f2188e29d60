/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-blk (virtio 1.2 §5.2): read, write, flush, discard, write zeroes and get-id on one queue.
 *
 * Requests are answered when the host is done with them, in any order. A kick takes all that are
 * there, then starts them together, or as many as a round may (vmm/round.h). Those that are not
 * begun when the driver resets the device are dropped. No assumption is made about how the driver
 * cuts a request into buffers (§2.7.4.1): the header is the first 16 bytes that we may read, the
 * status is the last byte that we may write.
 *
 * Cache (§5.2.6.2). With VIRTIO_BLK_F_FLUSH we are a writeback cache: a write is done when the
 * host's page cache has it. A flush makes stable every write that was answered before the flush was
 * made available; writes still in flight then are not covered, and need not be, which is why a
 * flush does not wait for them. Without VIRTIO_BLK_F_FLUSH, or when the driver turns the cache off,
 * each write is answered after a flush of its own.
 *
 * The driver should keep to the block size (§5.2.5). A request that is not made of whole blocks,
 * but of sectors of 512 bytes, is served nevertheless.
 *
 * An error of the host ends in VIRTIO_BLK_S_IOERR and a line in the log (at most ten lines a
 * second); the guest goes on. So does a request that the driver should not have made. Only a
 * request that can't be answered (no header, no room for the status, or more in flight than the
 * queue holds) makes the device ask for a reset.
 *
 * Deliberately missing: several queues (one I/O thread serves a disk), SIZE_MAX, secure erase,
 * zones, lifetime, and resizing.
 */
#include "virtio/blk.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>

/* The limit of a read or write: several times what Linux sends. All begun requests must come to an
 * end before the guest can be ended. */
#define MAX_DATA            (16 * MIB)
#define MAX_RANGES          16 /* of a discard */
#define MAX_DISCARD_SECTORS (GIB / DISK_SECTOR)
#define MAX_ZERO_SECTORS    (64 * MIB / DISK_SECTOR) /* these may have to be written, one by one */

/* The wire formats, with types that need a conversion. */
struct blk_header {
	le32_t type, reserved;
	le64_t sector;
};
_Static_assert(sizeof(struct blk_header) == sizeof(struct virtio_blk_outhdr), "virtio 1.2 §5.2.6");

struct blk_range {
	le64_t sector;
	le32_t sectors, flags;
};
_Static_assert(sizeof(struct blk_range) == sizeof(struct virtio_blk_discard_write_zeroes),
	       "virtio 1.2 §5.2.6");

struct blk_config {
	le64_t capacity;
	le32_t size_max, seg_max;
	le32_t geometry;
	le32_t blk_size;
	uint8_t physical_block_exp, alignment_offset;
	le16_t min_io_size;
	le32_t opt_io_size;
	uint8_t writeback, unused0;
	le16_t num_queues;
	le32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	le32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
};
#define CONFIG_SIZE (offsetof(struct blk_config, unused1) + 3)
_Static_assert(CONFIG_SIZE == 60, "virtio 1.2 §5.2.4");

/* A request in flight. Its iovecs and ranges are our own copies; only the status and what iov
 * points at are the guest's. */
struct blk_request {
	struct disk_request io;
	uint8_t *status;
	uint16_t head;
	uint32_t used; /* bytes written, from the first on, for the used ring */
	unsigned ranges_left;
	struct blk_range *range; /* the next one */
	union {
		struct iovec iov[VIRTQ_MAX_SIZE];
		struct blk_range ranges[MAX_RANGES];
	};
};

/* So many answers are published together: then the cache line of used->idx goes to the driver's
 * processor and back once for all of them, and yet the driver need not wait for the whole round. If
 * we wait for the host between two answers (disk_waits()), each is published at once. */
#define MAX_FILLED 8

/* The result of starting a request: one of VIRTIO_BLK_S_*, or this. */
#define STARTED (-1)

/* -- answering ------------------------------------------------------------------------------- */

/* The driver must see what was answered before the device's lock is given back. */
static void blk_publish(struct virtio_blk *b)
{
	if (b->nr_filled)
		virtq_publish(&b->vd.q[0], b->nr_filled);
	b->nr_filled = 0;
}

static void blk_answer(struct virtio_blk *b, struct blk_request *r, uint8_t status)
{
	if (!b->dropping) {
		STORE_ONCE(r->status, status);
		virtq_fill(&b->vd.q[0], b->nr_filled++, r->head, r->used);
		if (b->nr_filled == MAX_FILLED || disk_waits(&b->disk))
			blk_publish(b);
	}
	b->idle[b->nr_idle++] = (uint16_t)(r - b->request);
}

/* Submits the next range of a discard or write zeroes. */
static void blk_next_range(struct virtio_blk *b, struct blk_request *r)
{
	r->io.off = le64(r->range->sector) * DISK_SECTOR;
	r->io.len = (uint64_t)le32(r->range->sectors) * DISK_SECTOR;
	r->io.unmap = le32(r->range->flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	r->range++;
	r->ranges_left--;
	disk_submit(&b->disk, &r->io);
}

static bool blk_writeback(const struct virtio_blk *b)
{
	return virtio_has(&b->vd, VIRTIO_BLK_F_FLUSH) && !b->state.writethrough;
}

static void blk_log_error(struct virtio_blk *b, const struct disk_request *io)
{
	const char *why = strerrordesc_np(-io->result), *path = b->disk.path;

	if (io->op == DISK_FLUSH)
		guest_err(&b->vd.log, "--disk %s: flush: %s", path, why);
	else
		guest_err(&b->vd.log, "--disk %s: %s of %llu bytes at %llu: %s", path,
			  disk_op_name(io->op), (unsigned long long)io->len,
			  (unsigned long long)io->off, why);
}

/* One step of a request is done: begin the next one, or answer. */
static void blk_done(struct disk *d, struct disk_request *io)
{
	struct virtio_blk *b = container_of(d, struct virtio_blk, disk);
	struct blk_request *r = container_of(io, struct blk_request, io);

	if (b->dropping) {
		blk_answer(b, r, 0);
	} else if (io->result < 0) {
		blk_log_error(b, io);
		if (io->op == DISK_READ)
			r->used = 0; /* only some of it was read, perhaps */
		blk_answer(b, r, VIRTIO_BLK_S_IOERR);
	} else if (r->ranges_left) {
		blk_next_range(b, r);
	} else if ((io->op == DISK_WRITE || io->op == DISK_ZERO) && !blk_writeback(b)) {
		io->op = DISK_FLUSH;
		disk_submit(d, io);
	} else {
		blk_answer(b, r, VIRTIO_BLK_S_OK);
	}
}

static void blk_run(struct virtio_blk *b)
{
	const bool more = disk_run(&b->disk, &b->vd.round);

	blk_publish(b);
	if (more)
		virtio_again(&b->vd, 0);
}

static void blk_completions(struct loop_source *src, uint32_t events __unused)
{
	struct virtio_blk *b = container_of(src, struct virtio_blk, completions);

	b->vd.round = round_begin();
	blk_run(b);
	virtio_notify(&b->vd, &b->vd.q[0]);
}

static bool blk_look(struct loop_poller *p)
{
	struct virtio_blk *b = container_of(p, struct virtio_blk, poller);

	if (!disk_has_done(&b->disk))
		return false;
	blk_completions(&b->completions, EPOLLIN);
	return true;
}

/* -- starting: each returns a status, or STARTED --------------------------------------------- */

static int blk_read_write(struct virtio_blk *b, struct blk_request *r, const struct virtq_chain *c,
			  uint64_t sector, bool write)
{
	uint64_t len = write ? c->out_len - sizeof(struct blk_header) : c->in_len - 1;

	if (write && b->disk.readonly)
		return VIRTIO_BLK_S_IOERR;
	if (len > MAX_DATA || !disk_covers(&b->disk, sector, len)) {
		guest_err(&b->vd.log,
			  "--disk %s: the guest asked for %llu bytes at sector %llu of %llu",
			  b->disk.path, (unsigned long long)len, (unsigned long long)sector,
			  (unsigned long long)b->disk.size / DISK_SECTOR);
		return VIRTIO_BLK_S_IOERR;
	}
	if (!len)
		return VIRTIO_BLK_S_OK;
	r->io = (struct disk_request){
		.op = write ? DISK_WRITE : DISK_READ,
		.off = sector * DISK_SECTOR,
		.len = len,
		.iov = r->iov,
		.nr_iov = write ? iov_cut(r->iov, c->iov, sizeof(struct blk_header), len)
				: iov_cut(r->iov, c->iov + c->nr_out, 0, len),
	};
	if (!write)
		r->used = (uint32_t)len + 1;
	disk_submit(&b->disk, &r->io);
	return STARTED;
}

static int blk_flush(struct virtio_blk *b, struct blk_request *r)
{
	r->io = (struct disk_request){ .op = DISK_FLUSH };
	disk_submit(&b->disk, &r->io);
	return STARTED;
}

static int blk_ranges(struct virtio_blk *b, struct blk_request *r, const struct virtq_chain *c,
		      bool zero)
{
	const unsigned most = zero ? 1 : MAX_RANGES;
	const uint64_t most_sectors = zero ? MAX_ZERO_SECTORS : MAX_DISCARD_SECTORS;
	const uint32_t flags = zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	uint64_t len = c->out_len - sizeof(struct blk_header);

	/* It is not offered for a read-only disk. */
	if (!virtio_has(&b->vd, zero ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD))
		return VIRTIO_BLK_S_UNSUPP;
	if (!len || len % sizeof(struct blk_range) || len > most * sizeof(struct blk_range))
		return VIRTIO_BLK_S_IOERR;
	chain_read(c, sizeof(struct blk_header), r->ranges, len);
	r->range = r->ranges;
	r->ranges_left = (unsigned)(len / sizeof(struct blk_range));
	/* All of them are checked before the first is acted on. */
	for (unsigned i = 0; i < r->ranges_left; i++) {
		uint32_t sectors = le32(r->ranges[i].sectors);

		if (le32(r->ranges[i].flags) & ~flags)
			return VIRTIO_BLK_S_UNSUPP;
		if (!sectors || sectors > most_sectors ||
		    !disk_covers(&b->disk, le64(r->ranges[i].sector),
				 (uint64_t)sectors * DISK_SECTOR))
			return VIRTIO_BLK_S_IOERR;
	}
	r->io = (struct disk_request){ .op = zero ? DISK_ZERO : DISK_DISCARD };
	blk_next_range(b, r);
	return STARTED;
}

static int blk_get_id(struct virtio_blk *b, struct blk_request *r, const struct virtq_chain *c)
{
	size_t n = chain_write(c, 0, b->id, min(sizeof(b->id), c->in_len - 1));

	r->used = (uint32_t)n + (n == c->in_len - 1);
	return VIRTIO_BLK_S_OK;
}

static int blk_start(struct virtio_blk *b, struct blk_request *r, const struct virtq_chain *c)
{
	struct blk_header h;

	chain_read(c, 0, &h, sizeof(h));
	switch (le32(h.type)) {
	case VIRTIO_BLK_T_IN:
		return blk_read_write(b, r, c, le64(h.sector), false);
	case VIRTIO_BLK_T_OUT:
		return blk_read_write(b, r, c, le64(h.sector), true);
	case VIRTIO_BLK_T_FLUSH:
		return blk_flush(b, r);
	case VIRTIO_BLK_T_DISCARD:
		return blk_ranges(b, r, c, false);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return blk_ranges(b, r, c, true);
	case VIRTIO_BLK_T_GET_ID:
		return blk_get_id(b, r, c);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static int blk_accept(struct virtio_blk *b, const struct virtq_chain *c)
{
	const struct iovec *last;
	struct blk_request *r;
	int status;

	/* A correct driver has each descriptor in flight once, so it never exceeds the queue's
	 * size. */
	if (c->out_len < sizeof(struct blk_header) || !c->in_len || !b->nr_idle)
		return -EPROTO;
	r = &b->request[b->idle[--b->nr_idle]];
	last = &c->iov[c->nr_out + c->nr_in - 1];
	r->head = c->head;
	r->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	r->used = c->in_len == 1; /* 1 if the status is all that the driver wants */
	r->ranges_left = 0;
	status = blk_start(b, r, c);
	if (status != STARTED)
		blk_answer(b, r, (uint8_t)status);
	return 0;
}

/* -- the device ------------------------------------------------------------------------------ */

static int blk_kick(struct virtio_dev *vd, struct virtq *q)
{
	struct virtio_blk *b = container_of(vd, struct virtio_blk, vd);
	struct virtq_chain c;
	int rc;

	while ((rc = virtq_pop(q, &c)) > 0) {
		rc = blk_accept(b, &c);
		if (rc < 0)
			break;
	}
	blk_run(b);
	return rc;
}

static int blk_watch(struct virtio_dev *vd, struct loop *loop)
{
	struct virtio_blk *b = container_of(vd, struct virtio_blk, vd);
	int rc;

	if (b->completions.fd < 0)
		return 0;
	b->completions.lock = b->poller.lock = vd->lock;
	rc = loop_add(loop, &b->completions, EPOLLIN);
	if (rc < 0)
		return log_ret(rc, "--disk %s: epoll_ctl: %s", b->disk.path, strerrordesc_np(-rc));
	loop_add_poller(loop, &b->poller);
	b->loop = loop;
	return 0;
}

static void blk_drop(struct virtio_blk *b)
{
	b->dropping = true;
	disk_drop(&b->disk);
	b->dropping = false;
}

static void blk_reset(struct virtio_dev *vd, struct virtq *q)
{
	struct virtio_blk *b = container_of(vd, struct virtio_blk, vd);

	blk_drop(b);
	if (!q)
		b->state = (struct virtio_blk_state){ 0 };
}

static void blk_quiesce(struct virtio_dev *vd)
{
	struct virtio_blk *b = container_of(vd, struct virtio_blk, vd);

	disk_drain(&b->disk);
	blk_publish(b);
}

static uint64_t blk_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	const struct virtio_blk *b = container_of(vd, struct virtio_blk, vd);
	const struct disk *d = &b->disk;
	const uint32_t physical_blocks = d->physical_block_size / d->block_size;
	const struct blk_config c = {
		.capacity = to_le64(d->size / DISK_SECTOR),
		.seg_max = to_le32(VIRTQ_MAX_SIZE - 2), /* header and status take one each */
		.blk_size = to_le32(d->block_size),
		.physical_block_exp = (uint8_t)__builtin_ctz(physical_blocks),
		.min_io_size = to_le16((uint16_t)min(d->min_io_size / d->block_size, 0xffffu)),
		.opt_io_size = to_le32(d->opt_io_size / d->block_size),
		.writeback = blk_writeback(b),
		.max_discard_sectors = to_le32(MAX_DISCARD_SECTORS),
		.max_discard_seg = to_le32(MAX_RANGES),
		.discard_sector_alignment = to_le32(d->discard_size / DISK_SECTOR),
		.max_write_zeroes_sectors = to_le32(MAX_ZERO_SECTORS),
		.max_write_zeroes_seg = to_le32(1),
		.write_zeroes_may_unmap = 1,
	};

	/* The core has checked the range against config_size. */
	return load_le((const uint8_t *)&c + off, size);
}

static void blk_config_write(struct virtio_dev *vd, uint32_t off, unsigned size, uint64_t value)
{
	struct virtio_blk *b = container_of(vd, struct virtio_blk, vd);

	if (off == offsetof(struct blk_config, writeback) && size == 1 &&
	    virtio_has(vd, VIRTIO_BLK_F_CONFIG_WCE))
		b->state.writethrough = value == 0;
}

/* Linux calls its disks vda, vdb, … in the order in which it finds them. */
static void blk_describe(const struct virtio_dev *vd, unsigned nth, FILE *out)
{
	const struct virtio_blk *b = container_of(vd, struct virtio_blk, vd);
	const struct disk_options *o = &b->options;

	fprintf(out, "vd%c, %s, %llu MiB%s%s", 'a' + (int)nth, o->path,
		(unsigned long long)(b->disk.size / MIB), o->format == DISK_QCOW2 ? ", qcow2" : "",
		o->readonly ? ", read-only" : "");
	if (o->sector)
		fprintf(out, ", sectors of %u", o->sector);
	if (o->overlay)
		fprintf(out, ", written to %s", o->overlay);
	if (o->temp)
		fprintf(out, ", what is written is thrown away");
}

static const struct virtio_ops blk_ops = {
	.name = "blk",
	.module = "virtio_blk",
	.device_id = VIRTIO_ID_BLOCK,
	.nr_queues = 1,
	.queue_size = VIRTQ_MAX_SIZE,
	.config_size = CONFIG_SIZE,
	.describe = blk_describe,
	.start = blk_watch,
	.kick = blk_kick,
	.reset = blk_reset,
	.quiesce = blk_quiesce,
	.config_read = blk_config_read,
	.config_write = blk_config_write,
};

int virtio_blk_init(struct virtio_blk *b, const struct disk_options *o)
{
	const uint64_t always = VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) |
				VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
				VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) |
				VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE);
	const uint64_t writable =
		VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) | VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	const char *slash = strrchr(o->path, '/');
	const char *id = o->id && *o->id ? o->id : slash ? slash + 1 : o->path;
	int rc;

	*b = (struct virtio_blk){ .options = *o, .nr_idle = DISK_MAX_IN_FLIGHT };
	virtio_init(&b->vd, &blk_ops,
		    always | (o->readonly ? VIRTIO_BIT(VIRTIO_BLK_F_RO) : writable));
	for (unsigned i = 0; i < DISK_MAX_IN_FLIGHT; i++)
		b->idle[i] = (uint16_t)(DISK_MAX_IN_FLIGHT - 1 - i);
	memcpy(b->id, id, strnlen(id, sizeof(b->id)));
	rc = disk_open(&b->disk, o, blk_done);
	if (rc < 0)
		return rc;
	b->completions = (struct loop_source){ .fd = b->disk.event_fd, .fn = blk_completions };
	b->poller.look = blk_look; /* no rest: the descriptor always tells */
	/* Most of this megabyte is never touched, so it takes no memory. */
	b->request = calloc(DISK_MAX_IN_FLIGHT, sizeof(*b->request));
	return b->request ? 0 : log_ret(-ENOMEM, "--disk %s: out of memory", o->path);
}

void virtio_blk_destroy(struct virtio_blk *b)
{
	blk_drop(b);
	if (b->loop) {
		loop_remove(b->loop, &b->completions);
		loop_remove_poller(b->loop, &b->poller);
	}
	b->loop = NULL;
	disk_close(&b->disk);
	free(b->request);
	b->request = NULL;
}
