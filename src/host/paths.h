/* SPDX-License-Identifier: BSD-2-Clause */
/* Paths of minivmm's own options, and whether a guest could change where they lead. */
#pragma once

#include "config/config.h"

/* Refuses each path of the configuration that leads through a directory which the guest may write
 * (--share :rw, --fs readonly=off): the guest could put a link to another file of the host's there,
 * for this start or the next one. Symbolic links and bind mounts are followed. A path that doesn't
 * exist yet is not an error here.
 *
 * Returns 0; -EINVAL, logged: one line that names both options and the way out; or -ENOMEM,
 * logged. */
int paths_check(const struct config *c) __must_check;

/* Does that path lead through such a directory? Also true if that can't be found out. */
bool paths_guest_may_write(const struct config *c, const char *path);
