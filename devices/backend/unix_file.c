/* SPDX-License-Identifier: BSD-2-Clause */
#include "unix_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

int unix_file_made(struct unix_file *f, const char *path)
{
	struct stat st;

	*f = (struct unix_file){ 0 };
	if (lstat(path, &st) < 0)
		return -errno;
	*f = (struct unix_file){ .dev = st.st_dev, .ino = st.st_ino };
	return 0;
}

void unix_file_remove(const struct unix_file *f, const char *path)
{
	struct stat st;

	if (f->ino && lstat(path, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino)
		unlink(path);
}
