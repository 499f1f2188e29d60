/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/unix/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* The beginning of the path that a monitor listens at. It does not change where the path leads, and
 * nobody else writes a path so. The kernel keeps the path as it was bound, for as long as somebody
 * listens, and tells it to whoever connects: unlike the file's mode or name, it can't be
 * changed. */
#define MARK_ABSOLUTE "/.//."
#define MARK_RELATIVE ".//./"

/* Returns the last part of path. */
static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int unix_file_bind(int fd, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *mark = *path == '/' ? MARK_ABSOLUTE : MARK_RELATIVE;
	const size_t room = sizeof(addr.sun_path) - 1;

	if (strlen(path) > room)
		return -ENAMETOOLONG;
	if (strlen(path) + strlen(mark) > room)
		mark = "";
	memcpy(addr.sun_path, mark, strlen(mark));
	memcpy(addr.sun_path + strlen(mark), path, strlen(path) + 1);
	/* bind() takes the file's mode from the socket's (Linux). */
	if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return 0;
}

const char *unix_file_unmarked(const char *path)
{
	if (!strncmp(path, MARK_ABSOLUTE "/", strlen(MARK_ABSOLUTE "/")))
		return path + strlen(MARK_ABSOLUTE);
	return !strncmp(path, MARK_RELATIVE, strlen(MARK_RELATIVE)) ? path + strlen(MARK_RELATIVE)
								    : path;
}

bool unix_file_is_monitors(int fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(addr);

	if (getpeername(fd, (struct sockaddr *)&addr, &len) < 0)
		return false;
	return unix_file_unmarked(addr.sun_path) != addr.sun_path;
}

int unix_file_made(struct unix_file *f, const char *path)
{
	const char *name = name_of(path);
	char *dir = name > path ? strndup(path, (size_t)(name - path)) : strdup(".");
	AUTO_CLOSE int fd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	struct stat st;
	int rc = dir ? -errno : -ENOMEM;

	*f = (struct unix_file){ 0 };
	free(dir);
	if (fd < 0)
		return rc;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*f = (struct unix_file){ .dev = st.st_dev, .ino = st.st_ino, .dir = take_fd(&fd) };
	return 0;
}

void unix_file_remove(struct unix_file *f, const char *path)
{
	const char *name;
	struct stat st;

	if (!f->ino)
		return;
	name = name_of(path);
	if (fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == f->dev &&
	    st.st_ino == f->ino)
		unlinkat(f->dir, name, 0);
	close(f->dir);
	*f = (struct unix_file){ 0 };
}
