/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/initramfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define HEADER_LEN 110 /* a magic number and 13 fields of 8 hexadecimal digits */
#define TRAILER    "TRAILER!!!"

/* Returns where the next len bytes go, or NULL. */
static uint8_t *make_room(struct initramfs *a, size_t len)
{
	size_t room = max(2 * a->room, a->len + len + 4096);
	uint8_t *data;

	if (a->failed || len > SIZE_MAX / 4 - a->len)
		goto fail;
	if (len > a->room - a->len) {
		data = realloc(a->data, room);
		if (!data)
			goto fail;
		a->data = data;
		a->room = room;
	}
	a->len += len;
	return a->data + a->len - len;
fail:
	a->failed = true;
	return NULL;
}

static void put(struct initramfs *a, const void *data, size_t len)
{
	uint8_t *p = len ? make_room(a, len) : NULL;

	if (p)
		memcpy(p, data, len);
}

/* Names and contents begin at multiples of 4. */
static void pad(struct initramfs *a)
{
	put(a, "\0\0\0", -a->len & 3);
}

static void put_entry(struct initramfs *a, const char *path, unsigned mode, const void *data,
		      size_t len)
{
	char header[HEADER_LEN + 1];
	const size_t name_len = strlen(path) + 1;

	if (len > UINT32_MAX) {
		a->failed = true;
		return;
	}
	snprintf(header, sizeof(header),
		 "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ++a->inode, mode, 0,
		 0, /* user and group */
		 1, 0 /* links, time */, (unsigned)len, 0, 0, 0, 0 /* devices */,
		 (unsigned)name_len, 0);
	put(a, header, HEADER_LEN);
	put(a, path, name_len);
	pad(a);
	put(a, data, len);
	pad(a);
}

void initramfs_begin(struct initramfs *a, const void *before, size_t len)
{
	*a = (struct initramfs){ 0 };
	put(a, before, len);
	pad(a);
}

void initramfs_directory(struct initramfs *a, const char *path, unsigned permissions)
{
	put_entry(a, path, S_IFDIR | permissions, NULL, 0);
}

void initramfs_file(struct initramfs *a, const char *path, unsigned permissions, const void *data,
		    size_t len)
{
	put_entry(a, path, S_IFREG | permissions, data, len);
}

int initramfs_end(struct initramfs *a)
{
	put_entry(a, TRAILER, 0, NULL, 0);
	if (!a->failed)
		return 0;
	initramfs_free(a);
	return -ENOMEM;
}

void initramfs_free(struct initramfs *a)
{
	free(a->data);
	*a = (struct initramfs){ 0 };
}
