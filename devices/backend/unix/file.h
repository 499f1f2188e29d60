/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file of a UNIX socket that listens. Only the process that made it removes it, from the
 * directory that it was made in, even if the path leads elsewhere by then.
 *
 * Whoever is connected to a socket can tell whether it is a monitor's: a guest that may connect to
 * PATH_PORT (unix/vsock.h) is not let into the machine of another monitor whose socket happens to
 * have that name.
 */
#pragma once

#include <sys/types.h>

#include "vmm/types.h"

/* Bytes of the longest path of a socket, without its 0 (unix(7)). */
#define UNIX_MAX_PATH 107

struct unix_file {
	dev_t dev;
	ino_t ino; /* 0: none */
	int dir;   /* O_PATH, of its directory; owned, if there is one */
};

/* Binds fd, an unbound UNIX socket, to path, which fits into an address. The file is for this user
 * only (mode 0600). Returns 0 or -errno, not logged. */
int unix_file_bind(int fd, const char *path) __must_check;

/* Returns a socket's path, as the kernel tells it, without what unix_file_bind() puts before it. */
const char *unix_file_unmarked(const char *path);

/* Is fd connected to a socket that a monitor has bound by unix_file_bind()? */
bool unix_file_is_monitors(int fd);

/* Makes *f the file at path, which was just made. Returns 0 or -errno, not logged; then *f is
 * none. */
int unix_file_made(struct unix_file *f, const char *path) __must_check;

/* Removes the file, unless *f is none or somebody has put another file in its place. Then *f is
 * none. */
void unix_file_remove(struct unix_file *f, const char *path);
