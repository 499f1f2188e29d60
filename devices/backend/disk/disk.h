/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's half of a disk: an image file or a block device, and the engine that does its I/O.
 *
 * Requests belong to the caller, which fills and submits them. disk_run() begins submitted
 * requests, as many as a round allows, and calls done() for those that have completed, in any
 * order. A request that isn't begun can be dropped. The bytes of begun requests are limited, so
 * that a reset need not wait long. The engine is io_uring, or plain preadv/pwritev if the host has
 * none or refuses it. Data goes through the host's page cache, and what is there already is done at
 * once, without the engine (at_once.c). Of several large requests the host's threads do all but
 * one, at the same time.
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

#include "backend/disk/request.h"
#include "backend/kept.h"
#include "vmm/round.h"
#include "vmm/types.h"

#define DISK_MAX_IN_FLIGHT 256 /* submitted and not done at once; the caller keeps to it */

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

struct disk;
struct disk_engine_ops;
struct qcow2;

/* When a read or write is done at once, rather than by the engine (at_once.c). */
enum disk_when {
	DISK_NEVER,
	DISK_IF_NOWAIT, /* if the host's kernel says that it needn't wait */
	DISK_IF_QUICK,  /* unless the last ones took long */
	DISK_ALWAYS,
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

	struct disk_at_once {
		enum disk_when read, write;
		bool local;          /* its file system waits for nothing but a device */
		uint64_t not_before; /* monotonic_ns(); DISK_IF_QUICK */
	} at_once;

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

/* Returns whether the engine does one request after the other, and waits for the host at each. */
bool disk_waits(const struct disk *d);

/* Returns whether the engine has done requests that disk_run() will find: a look at memory, without
 * a system call. event_fd is then readable, or will be soon. Any thread, without a lock: a hint. */
bool disk_has_done(const struct disk *d);

/* Both return when no request is in flight any more; done() has been called for each. disk_drain()
 * begins them all; disk_drop() begins none, and those that weren't begun are done with
 * -ECANCELED. */
void disk_drain(struct disk *d);
void disk_drop(struct disk *d);
