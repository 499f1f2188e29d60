/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/unix/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Does /proc/self/fd lead to the file that a descriptor has open? */
static bool proc_works(int fd)
{
	struct stat by_fd, by_path;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fstat(fd, &by_fd) == 0 && stat(path, &by_path) == 0 &&
	       by_fd.st_dev == by_path.st_dev && by_fd.st_ino == by_path.st_ino;
}

int unix_dir_open(struct unix_dir *d, const char *path, struct kept *kept, unsigned nr)
{
	const char *slash = strrchr(path, '/');
	char *dir;
	int rc = 0;

	*d = (struct unix_dir){ .fd = kept_open(kept, nr), .name = slash ? slash + 1 : path };
	if (d->fd != -ENOENT)
		return min(d->fd, 0);
	d->fd = -1;
	dir = slash ? strndup(path, (size_t)(slash + 1 - path)) : strdup(".");
	if (!dir)
		return -ENOMEM;
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		rc = -ENAMETOOLONG; /* nobody can listen there */
	else if ((d->fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		rc = -errno;
	else if (!proc_works(d->fd))
		rc = -ENOSYS;
	free(dir);
	return rc == 0 ? kept_keep(kept, nr, d->fd, path) : rc;
}

void unix_dir_close(struct unix_dir *d)
{
	close_fd(&d->fd);
}

int unix_dir_dial(const struct unix_dir *d, const char *suffix)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	AUTO_CLOSE int file = -1, fd = -1;
	char name[NAME_MAX + 1];
	struct stat st;

	if (snprintf(name, sizeof(name), "%s%s", d->name, suffix) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	file = openat(d->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (file < 0 || fstat(file, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -ENOTSOCK;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d", file);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return take_fd(&fd);
}

const char *unix_dir_error(int rc)
{
	switch (rc) {
	case -ELOOP:
		return "it is a symbolic link, which is not followed; name the socket itself";
	case -ENOSYS:
		return "connecting to a socket needs /proc; mount it: mount -t proc proc /proc";
	case -ENOTSOCK:
		return "it is not a socket";
	default:
		return strerrordesc_np(-rc);
	}
}
