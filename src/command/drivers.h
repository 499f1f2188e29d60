/* SPDX-License-Identifier: BSD-2-Clause */
/* The drivers of the kernel that a command's guest boots, as far as its directory of modules tells.
 * A kernel without such a directory is assumed to have everything built in. */
#pragma once

#include "command/modules.h"
#include "host/file.h"

struct drivers {
	char *dir;                /* the directory of its modules; NULL: it has none */
	struct file dep, builtin; /* modules.dep and modules.builtin; the latter may be missing */
};

/* Searches for the directory: given, if that is not NULL; otherwise by the release that the kernel
 * names in its first 64 KiB, which are enough of *kernel, near kernel_path or in /lib/modules.
 * Returns 0 or -errno, logged; drivers_free() is safe after either, and on zeroes. */
int drivers_find(struct drivers *d, const char *given, const char *kernel_path,
		 const struct file *kernel) __must_check;
void drivers_free(struct drivers *d);

/* Does the directory say that the kernel lacks the driver, or something that this needs? */
bool drivers_lack(const struct drivers *d, const char *module);

/* What modules_add() searches; it refers to *d. */
struct modules_index drivers_index(const struct drivers *d);

/* Reads a file of the directory; name has len bytes. Returns 0 or -errno, logged; file_free() is
 * safe after either. */
int drivers_read(const struct drivers *d, struct file *f, const char *name,
		 size_t len) __must_check;
