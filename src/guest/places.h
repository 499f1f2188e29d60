/* SPDX-License-Identifier: BSD-2-Clause */
/* Directories that COMMAND's environment names and that the guest, whose /run and /dev/shm are new,
 * has not got. */
#pragma once

#include "orders.h"

/* Is it in a file system of the guest's own, in which nothing of the host's is? Not if a part of it
 * is "..". */
bool place_is_guests(const char *path);

/* Makes the directory, with mode 0700 and the user's, unless it is there; what it is below is the
 * user's from the first of his directories on, and root's before. 0, or -1 with errno. */
int place_make(const char *path, uid_t uid, gid_t gid);

/* Makes those that the environment names in the guest's own file systems. NULL; or the name of a
 * variable of which it can't be made, with errno. */
const char *places_make(const struct orders *o);
