/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's root and what is mounted in it. Each function returns NULL, or what failed, with
 * errno. */
#pragma once

#include "orders.h"

/* What is needed before there is a root. */
const char *mount_early(void);

/* The root: the host's folder, read-only, and a layer in memory over it. We are in it
 * afterwards. */
const char *mount_root(const struct orders *o);

/* The kernel's file systems, in the root. */
const char *mount_all(void);

/* The shares, in the root, in the order in which the orders have them. */
const char *mount_shares(const struct orders *o);

/* Has the layer run out of room? */
bool overlay_full(void);
