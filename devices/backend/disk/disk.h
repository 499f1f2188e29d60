/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's half of a disk: an image file or a block device, and the engine that does its I/O.
 *
 * Requests belong to the caller, which fills and submits them. disk_run() begins submitted
 * requests, as many as a round allows, and calls done() for those that have completed, in any
 * order. A request that isn't begun can be dropped. The bytes of begun requests are limited, so
 * that a reset need not wait long. The engine is io_uring, or plain preadv/pwritev if the host has
 * none or refuses it. Data goes through the host's page cache.
 *
 * The format is what the caller says, never what the file looks like. With an overlay the image is
 * only read, and what the guest writes goes to a qcow2 file of its own (qcow2.h), or to a temporary
 * one that disappears with the process. All qcow2 I/O is waited for.
 *
 * Deliberately missing: formats other than raw and qcow2, O_DIRECT, and changes of size while the
 * disk is open (what was cut off a raw file fails with -ENODATA).
 *
 * One thread at a time (the caller holds the lock of its device), not always the same one. All
 * descriptors are opened in disk_open(), and none after it.
 */
#pragma once

#include <sys/uio.h>

#include "backend/kept.h"
#include "vmm/round.h"
#include "vmm/types.h"

#define DISK_SECTOR        512
#define DISK_MAX_IN_FLIGHT 256 /* requests submitted and not done; the caller must not exceed it */

/* AUTO: io_uring, or SYNC without a message if the host has none or refuses it. */
enum disk_engine { DISK_ENGINE_AUTO, DISK_ENGINE_URING, DISK_ENGINE_SYNC };

enum disk_format { DISK_RAW, DISK_QCOW2 };

struct disk_options {
	const char *path;
	const char *id; /* serial number for the guest; NULL or "": the file's name */
	bool readonly;
	enum disk_engine engine;
	enum disk_format format;
	uint32_t sector;     /* bytes that the guest takes for a block, 512 or 4096; 0: as it is */
	const char *overlay; /* file that takes the writes, made when there is none; or NULL */
	bool temp;           /* a temporary one takes them */
	bool dry;            /* make no file */
	struct kept *kept;   /* outlives the disk; or NULL */
};

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,   /* what was done before it was submitted is then on stable storage */
	DISK_DISCARD, /* a hint: the contents of the range are no longer needed */
	DISK_ZERO,    /* the range reads as zeroes afterwards */
};

struct disk_request {
	/* The caller's. off, len and iov are used up on the way: when a request fails, off and len
	 * tell where, and what was left. */
	enum disk_op op;
	bool unmap;        /* DISK_ZERO: storage may be given back to the host */
	uint64_t off, len; /* a range for which disk_covers() is true */
	/* READ, WRITE: nr_iov (at most IOV_MAX) of them, len bytes in sum; they stay until it is
	 * done. */
	struct iovec *iov;
	unsigned nr_iov;

	int result; /* when done: 0 or -errno */

	/* The disk's own. */
	struct disk_request *next;
	uint64_t cost; /* bytes that count while it is begun; 0: it isn't */
	bool by_hand;  /* done by disk_do(), a piece at a time */
};

struct disk;
struct qcow2;

/* An engine. submit begins a request and never calls disk_finish() or disk_again(). run calls them;
 * with wait it returns only after it did so at least once (something is begun). */
struct disk_engine_ops {
	const char *name;
	bool waits; /* run does begun requests on this thread: one at a time is enough */
	int (*start)(struct disk *d); /* 0; or -errno, not logged, if this host can't or won't */
	void (*stop)(struct disk *d); /* no request is in flight */
	void (*submit)(struct disk *d, struct disk_request *r);
	void (*run)(struct disk *d, bool wait);
};

struct disk {
	char *path; /* NULL: not open */
	int fd;
	bool readonly, block_device;
	uint64_t size; /* bytes, a multiple of DISK_SECTOR */
	/* Bytes, powers of two: the smallest unit of access, and the unit that the device is built
	 * of. */
	uint32_t block_size, physical_block_size;
	uint32_t host_block; /* the same for the block device itself, whatever the guest sees */
	uint32_t min_io_size, opt_io_size; /* bytes; 0 = no wish */
	uint32_t discard_size;             /* bytes; a smaller discard gives no storage back */

	/* Called by disk_run() and disk_drain(); may submit again. The opener sets it. */
	void (*done)(struct disk *d, struct disk_request *r);

	const struct disk_engine_ops *engine;
	int event_fd;       /* readable: disk_run() has something to do; -1: never */
	unsigned in_flight; /* submitted and not done */
	struct disk_request *waiting, **waiting_end; /* those that aren't begun, in order */
	unsigned nr_begun;
	uint64_t begun;               /* sum of the costs of those that are begun */
	struct disk_request *current; /* sync engine: the begun request */
	void *uring;                  /* io_uring engine: struct io_uring */

	/* qcow2 images: what fd has (NULL: raw); below an overlay, what path has. */
	struct qcow2 *image, *base_image;
	int base_fd;
	struct kept *kept;
};

/* Opens, locks and measures the file, and starts an engine. Returns 0; or -errno, logged, with *d
 * safe to close. The lock (on the open file description) is exclusive, or shared when readonly.
 * Kept files stay locked when the disk is closed, and a later disk_open() with the same options
 * takes them. */
int disk_open(struct disk *d, const struct disk_options *o,
	      void (*done)(struct disk *d, struct disk_request *r)) __must_check;

/* Safe on a disk that failed to open, was closed before, or is all zeroes. No request is in
 * flight. */
void disk_close(struct disk *d);

/* Returns whether the disk has len bytes from sector on, and these are whole sectors. */
bool disk_covers(const struct disk *d, uint64_t sector, uint64_t len);

/* Queues a request for disk_run(). */
void disk_submit(struct disk *d, struct disk_request *r);

/* Begins submitted requests, for as long as the round lasts, and calls done() for those that are
 * done. True when there is more to begin: call again, after other sources of the loop have had
 * their turn. */
bool disk_run(struct disk *d, struct round *round);

/* Both return when no request is in flight any more; done() has been called for each. disk_drain()
 * begins them all; disk_drop() begins none, and those that weren't begun are done with
 * -ECANCELED. */
void disk_drain(struct disk *d);
void disk_drop(struct disk *d);

/* Returns "read", "write", … for messages. */
const char *disk_op_name(enum disk_op op);

/* -- for engines ----------------------------------------------------------------------------- */

/* Does a disk that was given as raw begin, or end, like an image of another format? Then warns. */
bool disk_warn_of_format(const struct disk *d);

/* Zeroes are written by hand in pieces of this size. */
#define DISK_PIECE (2 * MIB)

extern const struct disk_engine_ops disk_sync_engine, disk_uring_engine;

/* What a disk keeps: descriptors of struct kept. */
enum { DISK_KEPT_IMAGE, DISK_KEPT_OVERLAY };

/* Puts an overlay on *d, which has been opened as its base. Returns 0; or -errno, logged. */
int disk_overlay(struct disk *d, const struct disk_options *o) __must_check;

/* Locks an image for writing or for reading. Returns 0; -EBUSY; or another -errno if its file
 * system has no locks. Nothing is logged. */
int disk_lock(int fd, bool readonly) __must_check;

/* Unlocks and closes *fd, unless it is -1. The lock belongs to the open file description: after a
 * mere close(2) it would last as long as a child of fork() has that, too. */
void disk_release(int *fd);

/* Does r, or a piece of it, on the spot, blocking, by system calls. Returns 0; 1: there is more of
 * it, for disk_again(); or -errno. */
int disk_do(struct disk *d, struct disk_request *r) __must_check;

/* Removes the first n bytes of a READ or WRITE, which have been transferred, from r. */
void disk_advance(struct disk_request *r, size_t n);

/* Is r a DISCARD or ZERO that fallocate(2) can't do? A block device discards by ioctl, and zeroes
 * only whole blocks. disk_do() does it. */
bool disk_is_special(const struct disk *d, const struct disk_request *r);

/* Returns the cheapest mode of fallocate(2) for a DISCARD or ZERO. */
int disk_fallocate_mode(const struct disk_request *r);

/* Writes path to to, quoted for a shell, for commands in messages. If size is too small, the text
 * is cut. Returns to. */
const char *disk_quoted(char *to, size_t size, const char *path);

/* r is done. */
void disk_finish(struct disk *d, struct disk_request *r, int result);
/* What is left of r waits again, before all others. */
void disk_again(struct disk *d, struct disk_request *r);
