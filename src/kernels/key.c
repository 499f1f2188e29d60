/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/key.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statfs.h>

#define JUST_NOW_S   2       /* the coarsest step of a file system's times */
#define MOUNT_UNIQUE 0x4000u /* STATX_MNT_ID_UNIQUE, which older headers lack */
#define BCACHEFS     0xca451a4e
#define ZFS          0x2fc12fc1

bool key_is_local(int fd)
{
	static const uint32_t local[] = { EXT4_SUPER_MAGIC,
					  XFS_SUPER_MAGIC,
					  BTRFS_SUPER_MAGIC,
					  F2FS_SUPER_MAGIC,
					  OVERLAYFS_SUPER_MAGIC,
					  TMPFS_MAGIC,
					  RAMFS_MAGIC,
					  BCACHEFS,
					  ZFS };
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		if ((uint32_t)st.f_type == local[i])
			return true;
	return false;
}

uint64_t key_boot(void)
{
	AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char text[37] = "", hex[17]; /* "0e5f1a3c-8a6e-4b0d-…" */
	size_t n = 0;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return 0;
	for (const char *p = text; *p && n < sizeof(hex) - 1; p++)
		if (*p != '-')
			hex[n++] = *p;
	hex[n] = '\0';
	return strtoull(hex, NULL, 16);
}

static bool is_settled(const struct stat *st)
{
	const time_t changed = max(st->st_mtim.tv_sec, st->st_ctim.tv_sec);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return changed < now.tv_sec - JUST_NOW_S;
}

/* Writes which file system it is. Returns false if that can't be said. */
static bool name_place(char place[40], int fd, const struct stat *st, const struct stat *cache,
		       uint64_t boot)
{
	struct statx x;

	if (st->st_dev == cache->st_dev) {
		strcpy(place, "here");
		return true;
	}
	if (!boot || statx(fd, "", AT_EMPTY_PATH, MOUNT_UNIQUE, &x) < 0 ||
	    !(x.stx_mask & MOUNT_UNIQUE))
		return false;
	snprintf(place, 40, "%llx.%llx", (unsigned long long)boot,
		 (unsigned long long)x.stx_mnt_id);
	return true;
}

struct key key_of(int fd, const struct stat *st, const struct stat *cache, uint64_t boot)
{
	struct key k = { .settled = is_settled(st) };
	char place[40];

	if (key_is_local(fd) && name_place(place, fd, st, cache, boot))
		snprintf(k.name, sizeof(k.name), "l-%s-%llx-%llx-%llx.%lx-%llx.%lx", place,
			 (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
			 (unsigned long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
			 (unsigned long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
	return k;
}
