/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a kernel's file is known by without being read: inode, size, and when it was changed, by
 * both of its times in ns. Nobody can set the second one (ctime).
 *
 * But a file system that comes from somebody else, on a stick or in an image, has the inodes and
 * times that he likes. So these name a file only together with its file system. If that is the
 * cache's own, nothing has to be added: what the cache remembers of it is part of it. Otherwise the
 * mount is named, by a number that no other mount gets until this machine boots again (Linux 6.8),
 * and the boot. A file in a file system whose times a server or a program tells (NFS, FUSE) has no
 * key: it is read, and its content decides.
 *
 * A write soon after another may not change the times, as their clock advances in steps. So a file
 * that was changed just now has no key (like in git's index). Nor does a program that keeps a file
 * mapped and writes to it change them at each write; a kernel that is changed like that may be
 * taken for what it was.
 */
#pragma once

#include <sys/stat.h>

#include "vmm/types.h"

#define KEY_LEN 160

struct key {
	char name[KEY_LEN]; /* "l-…"; "": the file has none */
	bool settled;       /* it was not changed just now: the key may be remembered */
};

/* Returns the key of an open file. cache is the cache's directory; boot tells this boot from others,
 * 0: it isn't known. */
struct key key_of(int fd, const struct stat *st, const struct stat *cache, uint64_t boot);

/* Returns a number that this boot has and no other, or 0. */
uint64_t key_boot(void);

/* Does this kernel itself keep the files of the file system that fd is in, with their times, and
 * does a file stay there while it is open? */
bool key_is_local(int fd);
