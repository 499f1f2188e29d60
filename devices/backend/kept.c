/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/kept.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "backend/disk/image_lock.h"
#include "vmm/log.h"

bool kept_has(const struct kept *k, unsigned i)
{
	assert(i < KEPT_FDS);
	return k && k->has >> i & 1;
}

int kept_open(const struct kept *k, unsigned i)
{
	int fd = kept_has(k, i) ? fcntl(k->fd[i], F_DUPFD_CLOEXEC, 3) : -ENOENT;

	return fd == -1 ? -errno : fd;
}

int kept_keep(struct kept *k, unsigned i, int fd, const char *what)
{
	int mine;

	if (!k)
		return 0;
	assert(!kept_has(k, i));
	mine = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (mine < 0)
		return log_errno("%s: keeping it for a restart", what);
	k->fd[i] = mine;
	k->has |= 1u << i;
	return 0;
}

void kept_keep_file(struct kept *k, const struct unix_file *file, const char *path)
{
	if (!k)
		return;
	k->file = *file;
	snprintf(k->path, sizeof(k->path), "%s", path);
}

void kept_end(struct kept *k)
{
	for (unsigned i = 0; i < KEPT_FDS; i++) {
		if (!kept_has(k, i))
			continue;
		if (k->locked)
			image_release(&k->fd[i]);
		close_fd(&k->fd[i]);
	}
	unix_file_remove(&k->file, k->path);
	*k = (struct kept){ 0 };
}
