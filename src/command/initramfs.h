/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An initramfs made in memory: a cpio archive of the format "newc" (Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst). Everything in it is root's.
 *
 * A failure (no memory) is kept, and told at the end.
 */
#pragma once

#include "vmm/types.h"

struct initramfs {
	uint8_t *data; /* owned */
	size_t len, room;
	unsigned inode;
	bool failed;
};

/* What is before the archive: bytes of another one, or more than one. Nothing if len is 0. */
void initramfs_begin(struct initramfs *a, const void *before, size_t len);

/* A folder, or a file with these bytes; permissions as in 0755. Its folder must be there. */
void initramfs_folder(struct initramfs *a, const char *path, unsigned permissions);
void initramfs_file(struct initramfs *a, const char *path, unsigned permissions, const void *data,
		    size_t len);

/* Ends it. 0 or -ENOMEM, not logged; then it is empty. */
int initramfs_end(struct initramfs *a) __must_check;

/* Safe at any time. */
void initramfs_free(struct initramfs *a);
