/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which files of a kernel's modules folder (/lib/modules/RELEASE) a machine needs, and in which
 * order: by modules.dep and modules.builtin, as depmod(8) writes them.
 */
#pragma once

#include "vmm/types.h"

#define MODULES_MAX 64

struct modules {
	const char *path[MODULES_MAX]; /* in the folder; in the order in which they load */
	size_t len[MODULES_MAX];       /* of path, which no NUL ends: it is part of dep */
	size_t nr;
};

/* The text of both files; builtin may be empty. */
struct modules_index {
	const char *dep, *builtin;
	size_t dep_len, builtin_len;
};

/* Adds the module of that name ("virtio_pci", '-' is as good as '_') to m, behind all that it needs
 * and that is not in m yet. 0, also if it is built into the kernel; -ENOENT: there is none, or none
 * of those that it needs; -ELOOP: modules need each other; -EINVAL: a path that leads out of the
 * folder; -E2BIG. *culprit (not NULL), of *culprit_len bytes, is then what it was about. */
int modules_add(struct modules *m, const struct modules_index *x, const char *name,
		const char **culprit, size_t *culprit_len) __must_check;
