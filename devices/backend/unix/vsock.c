/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/unix/vsock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/log.h"

#define BACKLOG 128

/* "CONNECT 4294967295\n" has 19; a "\r" is accepted. */
#define COMMAND_MAX 20

/* Is it a socket file without a listener, as a killed monitor leaves it? */
static bool is_stale(const struct unix_dir *dir)
{
	int fd = unix_dir_dial(dir, "");

	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

int vsock_unix_listen(const char *path, const struct unix_dir *dir, struct unix_file *file)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return log_errno("--vsock: socket");
	if (strlen(path) > VSOCK_UNIX_MAX_PATH)
		return log_ret(-ENAMETOOLONG, "--vsock: the path %s is too long", path);
	rc = unix_file_bind(fd, path);
	if (rc == -EADDRINUSE) {
		if (!is_stale(dir))
			return log_ret(
				-EADDRINUSE,
				"--vsock: %s exists already and is in use, or is not a socket; give each machine a path of its own",
				path);
		unlinkat(dir->fd, dir->name, 0);
		rc = unix_file_bind(fd, path);
	}
	if (rc == 0)
		rc = unix_file_made(file, path);
	if (rc == 0 && listen(fd, BACKLOG) < 0)
		rc = -errno;
	errno = -rc;
	return rc < 0 ? log_errno("--vsock: listening at %s", path) : take_fd(&fd);
}

int vsock_unix_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int vsock_unix_dial(const struct unix_dir *dir, uint32_t port)
{
	AUTO_CLOSE int fd = -1;
	char suffix[16];

	snprintf(suffix, sizeof(suffix), "_%u", port);
	fd = unix_dir_dial(dir, suffix);
	if (fd >= 0 && unix_file_is_monitors(fd))
		return -EREMOTE;
	return take_fd(&fd);
}

const char *vsock_unix_refusal(int rc)
{
	if (rc == -EREMOTE)
		return "belongs to another machine, which guests may not reach";
	return rc == -ELOOP ? "is a symbolic link, which is not followed" : NULL;
}

/* Stores the port in "CONNECT 1234", which the len bytes of line should be. */
static int parse(const char *line, size_t len, uint32_t *port)
{
	static const char verb[] = "CONNECT ";
	const size_t verb_len = strlen(verb);
	uint64_t value = 0; /* it has at most COMMAND_MAX digits, so it fits */

	if (len <= verb_len || memcmp(line, verb, verb_len))
		return -EINVAL;
	for (size_t i = verb_len; i < len; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -EINVAL;
		value = value * 10 + (uint64_t)(line[i] - '0');
	}
	if (value > UINT32_MAX)
		return -ERANGE;
	*port = (uint32_t)value;
	return 1;
}

int vsock_unix_command(int fd, uint32_t *port)
{
	char line[COMMAND_MAX];
	ssize_t n = recv(fd, line, sizeof(line), MSG_PEEK | MSG_DONTWAIT);
	const char *end;
	size_t len;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	end = memchr(line, '\n', (size_t)n);
	if (!end)
		return n == sizeof(line) ? -EINVAL : 0;
	/* What follows the line is for the guest. */
	len = (size_t)(end - line);
	if (recv(fd, line, len + 1, MSG_DONTWAIT) != (ssize_t)len + 1)
		return -EIO;
	if (len && line[len - 1] == '\r')
		len--;
	return parse(line, len, port);
}

int vsock_unix_ok(int fd, uint32_t host_port)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "OK %u\n", host_port);

	/* The first bytes that this socket sends always fit. */
	return send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) == len ? 0 : -EIO;
}

bool vsock_unix_hung_up(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) > 0;
}
