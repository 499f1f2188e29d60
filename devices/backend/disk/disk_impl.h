/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of a disk, for its engines and its overlay. What calls what:
 *
 *   at_once.c <--- disk.c ---> overlay.c ------> qcow2*.c
 *        ^          |  ^                          ^
 *        |          v  | disk_finish(), _again()  |
 *        +------- uring.c ---> sync.c ------------+
 *
 * Below all of them are request.c, image_lock.c and quoted.c.
 */
#pragma once

#include "backend/disk/disk.h"

/* An engine. submit begins a request and never calls disk_finish() or disk_again(). run calls them;
 * with wait it returns only after it did so at least once (something is begun). */
struct disk_engine_ops {
	const char *name;
	bool waits; /* run does begun requests on this thread: one at a time is enough */
	int (*start)(struct disk *d); /* 0; or -errno, not logged, if this host can't or won't */
	void (*stop)(struct disk *d); /* no request is in flight */
	void (*submit)(struct disk *d, struct disk_request *r);
	void (*run)(struct disk *d, bool wait);
	bool (*has_done)(const struct disk *d); /* disk_has_done(); NULL: never */
};

extern const struct disk_engine_ops disk_sync_engine, disk_uring_engine;

/* -- for engines (disk.c) -------------------------------------------------------------------- */

/* r is done. */
void disk_finish(struct disk *d, struct disk_request *r, int result);
/* What is left of r waits again, before all others. */
void disk_again(struct disk *d, struct disk_request *r);

/* -- at_once.c ------------------------------------------------------------------------------- */

/* An engine whose requests complete later calls this when it starts: from then on disk.c tries
 * disk_try_at_once() before the engine. */
void disk_at_once_start(struct disk *d);

/* Does r, which is begun, if that takes no waiting. True: it is done. False: the engine does it, or
 * what is left of it. alone: no other request is begun together with r, or waits. */
bool disk_try_at_once(struct disk *d, struct disk_request *r, bool alone);

/* A copy so large that another thread should do it, if this one has others to do. */
static inline bool disk_is_large(const struct disk_request *r)
{
	return (r->op == DISK_READ || r->op == DISK_WRITE) && r->len >= 512 * KIB;
}

/* -- sync.c ---------------------------------------------------------------------------------- */

/* Zeroes are written by hand in pieces of this size. */
#define DISK_PIECE (2 * MIB)

/* Does r, or a piece of it, on the spot, blocking, by system calls. Returns 0; 1: there is more of
 * it, for disk_again(); or -errno. */
int disk_do(struct disk *d, struct disk_request *r) __must_check;

/* Is r a DISCARD or ZERO that fallocate(2) can't do? A block device discards by ioctl, and zeroes
 * only whole blocks. disk_do() does it. */
bool disk_is_special(const struct disk *d, const struct disk_request *r);

/* -- for disk_open() ------------------------------------------------------------------------- */

/* What a disk keeps: descriptors of struct kept. */
enum { DISK_KEPT_IMAGE, DISK_KEPT_OVERLAY };

/* Puts an overlay on *d, which has been opened as its base. Returns 0; or -errno, logged.
 * (overlay.c) */
int disk_overlay(struct disk *d, const struct disk_options *o) __must_check;

/* Warns of a disk that was given as raw but begins, or ends, like an image of another format.
 * Returns whether it does. */
bool disk_warn_of_format(const struct disk *d);
