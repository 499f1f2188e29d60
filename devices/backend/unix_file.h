/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of a UNIX socket that listens: whoever made it removes it, and nobody else's. */
#pragma once

#include <sys/types.h>

#include "vmm/types.h"

struct unix_file {
	dev_t dev;
	ino_t ino; /* 0: none */
};

/* The file at path, which was just made. 0 or -errno, not logged, and then it is none. */
int unix_file_made(struct unix_file *f, const char *path) __must_check;

/* Removes it, unless it is none or somebody has put another in its place. */
void unix_file_remove(const struct unix_file *f, const char *path);
