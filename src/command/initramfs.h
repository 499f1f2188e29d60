/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An initramfs made in memory: a cpio archive of the format "newc" (Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst). Everything in it is root's.
 *
 * A failure (out of memory) is remembered, and initramfs_end() returns it.
 */
#pragma once

#include "vmm/types.h"

struct initramfs {
	uint8_t *data; /* owned */
	size_t len, room;
	unsigned inode;
	bool failed;
};

/* Begins one that follows len bytes of other archives; len may be 0. */
void initramfs_begin(struct initramfs *a, const void *before, size_t len);

/* These add a directory, or a file with these bytes. permissions are such as 0755. The directory
 * that it is in must be there. */
void initramfs_directory(struct initramfs *a, const char *path, unsigned permissions);
void initramfs_file(struct initramfs *a, const char *path, unsigned permissions, const void *data,
		    size_t len);

/* Ends it. Returns 0; or -ENOMEM, not logged: then it is empty. */
int initramfs_end(struct initramfs *a) __must_check;

/* Safe at any time. */
void initramfs_free(struct initramfs *a);
