/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/stream/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "backend/stream/fdstream.h"
#include "backend/unix/file.h"
#include "vmm/log.h"

#define BACKLOG       16 /* clients that wait for their turn */
#define RETRY_SECONDS 1

struct socket {
	struct fdstream fd;          /* the client's two sides; without descriptors: none */
	struct loop_source listener; /* fd owned; one-shot, armed while there is no client */
	struct loop_source retry;    /* a timer, owned: the waiting client could not be taken */
	bool short_of_fds;           /* that has been said */
	struct sockaddr_un address;
	struct unix_file file; /* its own, once made; none if it is kept */
	unsigned connections;
};

static struct socket *socket_of(struct stream *s)
{
	return container_of(s, struct socket, fd.stream);
}

static bool socket_connected(const struct socket *s)
{
	return s->connections & 1;
}

static void socket_wait(struct socket *s)
{
	(void)!loop_change(s->fd.loop, &s->listener, EPOLLIN | EPOLLONESHOT);
}

/* Ends the client: it has left, and the guest has all that it sent. */
static void socket_end_client(struct socket *s)
{
	s->connections++;
	socket_wait(s);
}

/* The client's input ended: the client has left, or only finished sending. */
static void socket_ended(struct fdstream *f)
{
	struct socket *s = container_of(f, struct socket, fd);

	if (!fdstream_watch_hang_up(f))
		return;
	(void)!fdstream_connect(f, -1, -1);
	if (f->in.len == 0) /* otherwise socket_read() ends it */
		socket_end_client(s);
	stream_ready(&f->stream);
}

/* Descriptors are short, perhaps because the guest has used them up (--vsock, --net user). That may
 * change; until then the client waits. */
static void socket_put_off(struct socket *s)
{
	const struct itimerspec t = { .it_value.tv_sec = RETRY_SECONDS };

	(void)!timerfd_settime(s->retry.fd, 0, &t, NULL);
}

static void socket_retry(struct loop_source *src, uint32_t events __unused)
{
	struct socket *s = container_of(src, struct socket, retry);
	uint64_t times;

	if (read(src->fd, &times, sizeof(times)) == sizeof(times))
		socket_wait(s);
}

static void socket_client(struct loop_source *src, uint32_t events __unused)
{
	struct socket *s = container_of(src, struct socket, listener);
	struct fdstream *f = &s->fd;
	int out = fcntl(src->fd, F_DUPFD_CLOEXEC, 0); /* its place, before it is taken */
	int in = out < 0 ? -1 : accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (in < 0) {
		if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) {
			socket_wait(s); /* the client has left already */
		} else {
			if (!s->short_of_fds)
				log_errno("%s: a client at %s has to wait", f->what, f->name);
			s->short_of_fds = true;
			socket_put_off(s);
		}
		close_fd(&out);
		return;
	}
	(void)!dup3(in, out, O_CLOEXEC); /* both are open, so it can't fail */
	if (fdstream_connect(f, in, out) < 0) {
		(void)!fdstream_connect(f, -1, -1);
		socket_put_off(s);
		return;
	}
	s->short_of_fds = false;
	s->connections++;
	fdstream_watch_input(f);
	stream_ready(&f->stream);
}

/* -- the stream ------------------------------------------------------------------------------ */

static void socket_start(struct stream *stream)
{
	struct socket *s = socket_of(stream);

	s->listener.lock = s->retry.lock = stream->lock;
	fdstream_start(stream);
	socket_wait(s);
}

static ssize_t socket_read(struct stream *stream, void *buf, size_t len)
{
	struct socket *s = socket_of(stream);
	ssize_t n = fdstream_read(stream, buf, len);

	if (socket_connected(s) && s->fd.in.fd < 0 && s->fd.in.len == 0)
		socket_end_client(s);
	return n;
}

static unsigned socket_connections(struct stream *stream)
{
	return socket_of(stream)->connections;
}

static void socket_destroy(struct stream *stream)
{
	struct socket *s = socket_of(stream);

	fdstream_close(&s->fd);
	if (s->listener.fd >= 0)
		loop_remove(s->fd.loop, &s->listener);
	close_fd(&s->listener.fd);
	if (s->retry.fd >= 0)
		loop_remove(s->fd.loop, &s->retry);
	close_fd(&s->retry.fd);
	unix_file_remove(&s->file, s->address.sun_path);
	free(s);
}

static const struct stream_ops socket_ops = {
	.start = socket_start,
	.read = socket_read,
	.write = fdstream_write,
	.flush = fdstream_flush,
	.destroy = socket_destroy,
	.connections = socket_connections,
};

/* -- opening --------------------------------------------------------------------------------- */

static int socket_new(const struct socket *s)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? log_errno("%s: socket", s->fd.what) : fd;
}

/* Removes what a dead process left at the address. Returns 0 or -errno, logged. */
static int socket_replace(const struct socket *s)
{
	const char *what = s->fd.what, *path = s->address.sun_path;
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return log_ret(
			-EEXIST,
			"%s: socket=%s: there is another file; remove it, or choose another path",
			what, path);

	AUTO_CLOSE int fd = socket_new(s);

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&s->address, sizeof(s->address)) == 0 ||
	    errno == EAGAIN)
		return log_ret(
			-EADDRINUSE,
			"%s: socket=%s: somebody listens there, perhaps another minivmm; choose another path",
			what, path);
	if ((errno == ECONNREFUSED && unlink(path) < 0) ||
	    (errno != ECONNREFUSED && errno != ENOENT))
		return log_errno("%s: socket=%s: what was left there can't be replaced", what,
				 path);
	return 0;
}

static int socket_bind(const struct socket *s)
{
	errno = -unix_file_bind(s->listener.fd, s->address.sun_path);
	return errno ? -1 : 0;
}

static int socket_make(struct socket *s, struct kept *kept)
{
	const char *what = s->fd.what, *path = s->address.sun_path;
	int rc;

	s->listener.fd = socket_new(s);
	if (s->listener.fd < 0)
		return s->listener.fd;
	if (socket_bind(s) < 0) {
		rc = errno == EADDRINUSE ? socket_replace(s) : 0;
		if (rc < 0)
			return rc;
		if (socket_bind(s) < 0)
			return log_errno("%s: socket=%s", what, path);
	}
	(void)!unix_file_made(&s->file, path); /* if this fails, the file is left at the end */
	if (listen(s->listener.fd, BACKLOG) < 0)
		return log_errno("%s: socket=%s", what, path);
	rc = kept_keep(kept, 0, s->listener.fd, what);
	if (rc < 0 || !kept)
		return rc;
	kept_keep_file(kept, &s->file, path);
	s->file = (struct unix_file){ 0 };
	return 0;
}

static int socket_open(struct socket *s, struct kept *kept)
{
	const char *what = s->fd.what, *path = s->address.sun_path;
	int rc;

	if (kept_has(kept, 0))
		rc = s->listener.fd = kept_open(kept, 0);
	else
		rc = socket_make(s, kept);
	if (rc < 0)
		return kept_has(kept, 0) ? log_errno("%s: socket=%s", what, path) : rc;
	s->retry.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->retry.fd < 0)
		return log_errno("%s: timerfd", what);
	rc = loop_add(s->fd.loop, &s->listener, EPOLLONESHOT);
	if (rc == 0)
		rc = loop_add(s->fd.loop, &s->retry, EPOLLIN);
	return rc < 0 ? log_ret(rc, "%s: socket=%s: epoll_ctl", what, path) : 0;
}

int socket_listen(struct stream **stream, struct loop *loop, const char *what, const char *path,
		  struct kept *kept)
{
	struct socket *s = calloc(1, sizeof(*s));
	int rc;

	*stream = NULL;
	if (!s)
		return log_ret(-ENOMEM, "%s: out of memory", what);
	s->listener = (struct loop_source){ .fd = -1, .fn = socket_client };
	s->retry = (struct loop_source){ .fd = -1, .fn = socket_retry };
	s->fd.stream.ops = &socket_ops;
	s->address.sun_family = AF_UNIX;
	strncpy(s->address.sun_path, path, UNIX_MAX_PATH);
	rc = fdstream_open(&s->fd, loop, -1, -1, what, s->address.sun_path);
	s->fd.nonblocking = true;
	s->fd.ended = socket_ended;
	if (rc == 0 && strlen(path) > UNIX_MAX_PATH)
		rc = log_ret(-ENAMETOOLONG, "%s: socket=%s: a socket's path has at most %d bytes",
			     what, path, UNIX_MAX_PATH);
	if (rc == 0)
		rc = socket_open(s, kept);
	if (rc == 0)
		*stream = &s->fd.stream;
	else
		socket_destroy(&s->fd.stream);
	return rc;
}
