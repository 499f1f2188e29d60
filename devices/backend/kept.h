/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an option opened, for the next life of a guest that is restarted: in the meantime somebody
 * may have changed what a name in a directory means, so nothing is opened by name a second time.
 *
 * Each life works with duplicates of the descriptors and closes those. Position, locks and flags
 * belong to the open file description, so they are the same in the next life.
 *
 * All zeroes: nothing is kept yet. The functions take NULL for an option of a guest that lives
 * once: then nothing is ever kept. One thread at a time.
 */
#pragma once

#include "backend/unix/file.h"
#include "vmm/types.h"

#define KEPT_FDS     32
#define KEPT_NUMBERS 3
#define KEPT_VHOST   16 /* the first descriptor of vhost's; a TAP's others are below */

struct kept {
	int fd[KEPT_FDS];
	uint32_t has; /* a bit for each descriptor that is there */

	/* Whatever else the next life needs to know; its meaning is up to the option. */
	uint64_t number[KEPT_NUMBERS];
	bool failed; /* what was written is lost, or may be: don't open it again */

	/* kept_end() needs these. */
	bool locked;           /* the descriptors have locks (image_lock()) */
	struct unix_file file; /* of a listening socket, at path: kept_end() removes it */
	char path[UNIX_MAX_PATH + 1];
};

bool kept_has(const struct kept *k, unsigned i);

/* Returns a duplicate of descriptor i, which the caller owns; -ENOENT: it isn't kept; or another
 * -errno. Nothing is logged. */
int kept_open(const struct kept *k, unsigned i) __must_check;

/* Keeps a duplicate of fd as descriptor i. Returns 0, also when k is NULL; or -errno, logged as
 * what's. */
int kept_keep(struct kept *k, unsigned i, int fd, const char *what) __must_check;

/* Keeps the file of a listening socket: k owns it from here on, unless k is NULL. */
void kept_keep_file(struct kept *k, const struct unix_file *file, const char *path);

/* Unlocks and closes everything, and removes the file: the guest has no next life. */
void kept_end(struct kept *k);
