/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an option opened, for the next life of a guest that is restarted: whoever can write to a
 * directory may have changed what a name in it means, so nothing is opened by name a second time.
 *
 * Each life works with duplicates of the descriptors and closes those. Position, locks and flags
 * belong to the open file description, and so go on from one life to the next.
 *
 * All zeroes: nothing is kept yet. A NULL pointer, where the functions take one, is an option of a
 * guest that lives once: nothing is ever kept. One thread at a time.
 */
#pragma once

#include "backend/unix/file.h"
#include "vmm/types.h"

#define KEPT_FDS     32
#define KEPT_NUMBERS 3
#define KEPT_VHOST   16 /* the first descriptor of vhost's, where a TAP has others below */

struct kept {
	int fd[KEPT_FDS];
	uint32_t has; /* a bit for each of them that is there */

	/* What else the next life needs to know; the opener's. */
	uint64_t number[KEPT_NUMBERS];
	bool failed; /* what was written is lost, or may be: it is not opened again */

	/* For kept_end(). */
	bool locked;           /* the descriptors have locks (disk_lock()) */
	struct unix_file file; /* of a socket that listens, at path: removed then */
	char path[108];
};

bool kept_has(const struct kept *k, unsigned i);

/* A duplicate of descriptor i, the caller's to close; -ENOENT: it isn't kept; or -errno. Nothing is
 * logged. */
int kept_open(const struct kept *k, unsigned i) __must_check;

/* Keeps a duplicate of fd as descriptor i. 0, also when k is NULL; or -errno, logged as what's. */
int kept_keep(struct kept *k, unsigned i, int fd, const char *what) __must_check;

/* Keeps the file of a socket that listens: it is owned by k from here on, unless that is NULL. */
void kept_keep_file(struct kept *k, const struct unix_file *file, const char *path);

/* Unlocks and closes all of it, and removes the file: the guest lives no more. */
void kept_end(struct kept *k);
