/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which files of a kernel's directory of modules (/lib/modules/RELEASE) a machine needs, and in
 * which order: by modules.dep and modules.builtin, as depmod(8) writes them.
 */
#pragma once

#include "vmm/types.h"

#define MODULES_MAX 64

struct modules {
	const char *path[MODULES_MAX]; /* in the directory; in the order in which they load */
	size_t len[MODULES_MAX];       /* of path, which has no NUL at its end: it is part of dep */
	size_t nr;
};

/* The text of both files; builtin may be empty. */
struct modules_index {
	const char *dep, *builtin;
	size_t dep_len, builtin_len;
};

/* Adds the module of that name ("virtio_pci"; '-' is the same as '_') to m, after all that it needs
 * and that is not in m yet. Returns 0, also if it is built into the kernel; -ENOENT: it, or one
 * that it needs, doesn't exist; -ELOOP: modules need each other; -EINVAL: a path leads out of the
 * directory; -E2BIG. After an error, *culprit (not NULL), of *culprit_len bytes, is the name or
 * path that it is about. */
int modules_add(struct modules *m, const struct modules_index *x, const char *name,
		const char **culprit, size_t *culprit_len) __must_check;
