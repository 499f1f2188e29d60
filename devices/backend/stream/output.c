/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/stream/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* -- opening --------------------------------------------------------------------------------- */

int output_descriptor(const char *path)
{
	static const char *const dir[] = { "/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/" };
	static const char *const name[] = { "/dev/stdin", "/dev/stdout", "/dev/stderr" };
	unsigned fd;
	int end = 0;

	for (size_t i = 0; i < ARRAY_SIZE(name); i++)
		if (!strcmp(path, name[i]))
			return (int)i;
	for (size_t i = 0; i < ARRAY_SIZE(dir); i++) {
		const char *number = path + strlen(dir[i]);

		if (strncmp(path, dir[i], strlen(dir[i])) || *number < '0' || *number > '9')
			continue;
		if (sscanf(number, "%7u%n", &fd, &end) == 1 && !number[end])
			return (int)fd;
	}
	return -1;
}

int output_own(int fd, int flags, bool *ours)
{
	char path[32];
	struct stat st;
	int mine = -1;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (isatty(fd) || (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)))
		mine = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	*ours = mine >= 0;
	return *ours ? mine : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static bool is_writable(int fd)
{
	const int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

/* Whoever else has a regular file or socket open shares its position and flags. */
static int open_given(struct output *o, int fd)
{
	o->given = true;
	if (!is_writable(fd))
		return -EBADF;
	o->fd = output_own(fd, O_WRONLY, &o->nonblocking);
	return o->fd < 0 ? -errno : 0;
}

/* True for links of the host's own, as in /dev/serial/by-id. In /dev/shm anybody makes links. */
static bool leads_to_device(const char *path)
{
	struct stat st;

	return !strncmp(path, "/dev/", 5) && strncmp(path, "/dev/shm/", 9) &&
	       stat(path, &st) == 0 && S_ISCHR(st.st_mode);
}

int output_try(const char *path)
{
	const int given = output_descriptor(path);
	struct stat st;

	if (given >= 0)
		return is_writable(given) ? 0 : -EBADF;
	if (lstat(path, &st) < 0)
		return 0;
	if (S_ISSOCK(st.st_mode))
		return -EOPNOTSUPP;
	return S_ISLNK(st.st_mode) && !leads_to_device(path) ? -ELOOP : 0;
}

int output_open(struct output *o, const char *path, int flags)
{
	const int given = output_descriptor(path);
	const int always = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct stat st;

	*o = (struct output){ .fd = -1 };
	if (given >= 0)
		return open_given(o, given);
	/* O_NONBLOCK: a FIFO that nobody reads must not hold up the start. */
	o->fd = open(path, always | O_CREAT | O_NOFOLLOW | flags, 0666);
	if (o->fd < 0 && errno == ELOOP) {
		if (!leads_to_device(path))
			return -ELOOP;
		o->fd = open(path, always);
	}
	if (o->fd < 0) {
		const int error = errno;

		return error == ENXIO && output_try(path) < 0 ? -EOPNOTSUPP : -error;
	}
	o->nonblocking = true;
	o->regular = fstat(o->fd, &st) == 0 && S_ISREG(st.st_mode);
	return 0;
}

void output_close(struct output *o)
{
	close_fd(&o->fd);
}

const char *output_error(int rc)
{
	switch (rc) {
	case -ENXIO:
		return "is a FIFO that nobody reads; start its reader first";
	case -ELOOP:
		return "is a symbolic link, which is not followed; name the file itself";
	case -EOPNOTSUPP:
		return "is a socket; name a file or a FIFO";
	case -EBADF:
		return "is not open for writing here";
	default:
		return strerrordesc_np(-rc);
	}
}

/* -- writing --------------------------------------------------------------------------------- */

/* Returns the most that certainly doesn't wait, on a descriptor that may: 0 if anything would. */
static size_t room(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (poll(&p, 1, 0) != 1)
		return 0;
	return isatty(fd) ? 1 : PIPE_BUF;
}

ssize_t output_write(const struct output *o, const void *buf, size_t len)
{
	ssize_t n = -1;

	errno = ENOTSOCK;
	if (!o->nonblocking)
		n = send(o->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == ENOTSOCK) {
		if (!o->nonblocking)
			len = min(len, room(o->fd));
		if (!len)
			return -EAGAIN;
		n = write(o->fd, buf, len);
	}
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	return n;
}

int output_write_all(const struct output *o, const char *text, size_t len, int patience_ms)
{
	const uint64_t end = monotonic_ns() + (uint64_t)patience_ms * 1000000;
	struct pollfd p = { .fd = o->fd, .events = POLLOUT };

	while (len) {
		const uint64_t now = monotonic_ns();
		ssize_t n = output_write(o, text, len);

		if (n < 0 && n != -EAGAIN)
			return (int)n;
		if (n < 0 && now >= end)
			return -ETIMEDOUT;
		if (n < 0)
			(void)!poll(&p, 1, (int)((end - now) / 1000000) + 1);
		n = max(n, (ssize_t)0);
		text += n;
		len -= (size_t)n;
	}
	return 0;
}
