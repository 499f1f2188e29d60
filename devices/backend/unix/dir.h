/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UNIX sockets that others listen at, in a directory that is looked up once: later changes to the
 * path don't change where a connection goes, as the directory stays open and no link is followed in
 * it.
 *
 * Only a name without a slash is resolved, so that openat(2) with O_NOFOLLOW can't leave the
 * directory, on any kernel. The connection is made through /proc/self/fd, which accepts an O_PATH
 * descriptor; connect(2) itself accepts only a path.
 */
#pragma once

#include "backend/kept.h"
#include "vmm/types.h"

struct unix_dir {
	int fd;           /* O_PATH, owned; -1: none */
	const char *name; /* the last part of the path: not owned */
};

/* Opens the directory of path, which must outlive *d; or takes descriptor nr of kept (or NULL), if
 * that is kept. Returns 0; or -errno, not logged, with *d safe to close. */
int unix_dir_open(struct unix_dir *d, const char *path, struct kept *kept,
		  unsigned nr) __must_check;
void unix_dir_close(struct unix_dir *d);

/* Connects to the stream socket at the path plus suffix ("" or the rest of its name). Returns a
 * non-blocking descriptor; or -errno, not logged: -ELOOP: it is a symbolic link, -ENOTSOCK: another
 * file. */
int unix_dir_dial(const struct unix_dir *d, const char *suffix) __must_check;

/* Returns what went wrong with either, for messages: rc is -errno. */
const char *unix_dir_error(int rc);
