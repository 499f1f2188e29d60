/* SPDX-License-Identifier: BSD-2-Clause */
/* The directory in which unpacked kernels are kept. */
#pragma once

#include <limits.h>

#include "config/config.h"

/* Opens the directory that --kernel-cache names, or that of the user's caches, and makes it if it
 * isn't there. Returns a descriptor, which the caller owns; or < 0: it can't be used, and a message
 * says why, of level warning if the user named it, and otherwise of level info.
 *
 * It is ours alone (0700), on a file system of this machine, and not where the guest may write. In
 * somebody else's directory nothing is made: root with a user's HOME leaves no trace there. */
int dir_open(const struct config *c) __must_check;

/* Writes where it is if no option names another. Returns NULL: it can be used, as far as one sees
 * without making it; or why it can't. For the doctor. */
const char *dir_look(char path[PATH_MAX]);
