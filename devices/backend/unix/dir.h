/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UNIX sockets that others listen at, in a directory that is looked up once: whoever may write
 * there, or above, changes nothing about where a later connection goes, as the directory stays open
 * and no link is followed in it.
 *
 * A name without a slash is all that is resolved, so that openat(2) with O_NOFOLLOW gets no further
 * than the directory, on any kernel. The connection is made through /proc/self/fd, which takes an
 * O_PATH descriptor where connect(2) itself takes a path only.
 */
#pragma once

#include "backend/kept.h"
#include "vmm/types.h"

struct unix_dir {
	int fd;           /* O_PATH, owned; -1: none */
	const char *name; /* the last part of the path: not owned */
};

/* The directory of path, which must outlive *d; or descriptor nr of kept (or NULL), if that is
 * kept. 0; or -errno, not logged, with *d safe to close. */
int unix_dir_open(struct unix_dir *d, const char *path, struct kept *kept,
		  unsigned nr) __must_check;
void unix_dir_close(struct unix_dir *d);

/* Connects to the stream socket at the path with suffix ("" or more of its name). A non-blocking
 * descriptor; or -errno, not logged: -ELOOP: that is a symbolic link, -ENOTSOCK: another file. */
int unix_dir_dial(const struct unix_dir *d, const char *suffix) __must_check;

/* What went wrong with either, for messages: rc is -errno. */
const char *unix_dir_error(int rc);
