/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's root and what is mounted in it. Each function returns NULL, or what failed, with
 * errno. */
#pragma once

#include "orders.h"

/* Mounts what is needed before there is a root. */
const char *mount_early(void);

/* Mounts the root: the host's directory, read-only, and a layer in memory over it. Afterwards it is
 * our root and working directory. */
const char *mount_root(const struct orders *o);

/* Mounts the kernel's file systems in the root. */
const char *mount_all(void);

/* Mounts the shares in the root, in the order of the orders. */
const char *mount_shares(const struct orders *o);

/* Has the layer run out of room? */
bool overlay_full(void);
