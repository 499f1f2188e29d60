/* SPDX-License-Identifier: BSD-2-Clause */
#include "vsock_unix.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "vmm/log.h"

#define BACKLOG 128

/* "CONNECT 4294967295\n" has 19; a "\r" is forgiven. */
#define COMMAND_MAX 20

static int unix_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static int unix_connect(const struct sockaddr_un *addr)
{
	AUTO_CLOSE int fd = unix_socket();

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		return -errno;
	return take_fd(&fd);
}

/* A socket file whose listener is gone: what a monitor that was killed left behind. */
static bool is_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd;

	if (lstat(addr->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = unix_connect(addr);
	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

int vsock_unix_listen(const char *path, struct unix_file *file)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd = unix_socket();
	int rc;

	if (fd < 0)
		return log_errno("--vsock: socket");
	if ((size_t)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path) >
	    VSOCK_UNIX_MAX_PATH)
		return log_ret(-ENAMETOOLONG, "--vsock: the path %s is too long", path);
	rc = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	if (rc < 0 && errno == EADDRINUSE) {
		if (!is_stale(&addr))
			return log_ret(-EADDRINUSE,
				       "--vsock: %s exists already and is in use, or is no socket; "
				       "give each machine a path of its own",
				       path);
		unlink(path);
		rc = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	}
	if (rc < 0 || unix_file_made(file, path) < 0 || listen(fd, BACKLOG) < 0)
		return log_errno("--vsock: listening at %s", path);
	return take_fd(&fd);
}

int vsock_unix_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int vsock_unix_dial(const char *path, uint32_t port)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if ((size_t)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", path, port) >=
	    sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	return unix_connect(&addr);
}

/* The port in "CONNECT 1234", which the len bytes of line should be. */
static int parse(const char *line, size_t len, uint32_t *port)
{
	static const char verb[] = "CONNECT ";
	const size_t verb_len = strlen(verb);
	uint64_t value = 0; /* of at most COMMAND_MAX digits, which fit */

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
