/* SPDX-License-Identifier: BSD-2-Clause */
/* Directories that COMMAND's environment names, but that the guest doesn't have, because its /run
 * and /dev/shm are new. */
#pragma once

#include "orders.h"

/* Is it in one of the guest's own file systems, which have nothing of the host's? A path with ".."
 * never counts as such. */
bool place_is_guests(const char *path);

/* Makes the directory, with mode 0700 and for the user, unless it exists. Parents that are made
 * below a directory of the user's belong to the user, others to root. Returns 0, or -1 with
 * errno. */
int place_make(const char *path, uid_t uid, gid_t gid);

/* Makes those directories that the environment names in the guest's own file systems. Returns NULL;
 * or the name of a variable whose directory couldn't be made, with errno. */
const char *places_make(const struct orders *o);
