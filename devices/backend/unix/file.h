/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file of a UNIX socket that listens: whoever made it removes it, and nobody else's. It is
 * removed from the directory that it was made in, whatever has become of the path.
 *
 * A socket of a monitor's can be told from others by whoever is connected to it: a guest that may
 * connect to PATH_PORT (vsock_unix.h) is not let into the machine of another monitor whose socket
 * happens to be called so.
 */
#pragma once

#include <sys/types.h>

#include "vmm/types.h"

struct unix_file {
	dev_t dev;
	ino_t ino; /* 0: none */
	int dir;   /* O_PATH, of its directory; owned, unless it is none */
};

/* Binds fd, an unbound UNIX socket, to path, which fits into an address. The file is for this user
 * only (mode 0600). 0 or -errno, not logged. */
int unix_file_bind(int fd, const char *path) __must_check;

/* A path as the kernel tells it of a socket, without what unix_file_bind() puts in front. */
const char *unix_file_unmarked(const char *path);

/* Is fd connected to a socket that a monitor has bound by unix_file_bind()? */
bool unix_file_is_monitors(int fd);

/* The file at path, which was just made. 0 or -errno, not logged, and then it is none. */
int unix_file_made(struct unix_file *f, const char *path) __must_check;

/* Removes it, unless it is none or somebody has put another in its place; then it is none. */
void unix_file_remove(struct unix_file *f, const char *path);
