/* SPDX-License-Identifier: BSD-2-Clause */
#include "backend/stream/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "backend/stream/fdstream.h"
#include "backend/stream/output.h"
#include "vmm/log.h"

#define CTRL_A 1

struct tty {
	struct fdstream fd;
	struct power power;
	bool escaped;              /* the last key was Ctrl-A */
	struct loop_source opened; /* inotify: somebody opened the pseudo-terminal; fd -1: none */
};

static const char keys[] = "\r\n"
			   "minivmm: Ctrl-A x  quit\r\n"
			   "         Ctrl-A c  send a break\r\n"
			   "         Ctrl-A a  send Ctrl-A (so does Ctrl-A Ctrl-A)\r\n"
			   "         Ctrl-A h  show this help\r\n";

static void tty_key(struct fdstream *f, uint8_t byte)
{
	struct tty *t = container_of(f, struct tty, fd);

	if (!t->escaped) {
		t->escaped = byte == CTRL_A;
		if (!t->escaped)
			fdstream_input(f, byte);
		return;
	}
	t->escaped = false;
	switch (byte) {
	case 'x':
		power_report(&t->power, POWER_QUIT, 0);
		break;
	case 'h':
		fdstream_write(&f->stream, keys, strlen(keys));
		break;
	case 'c':
		fdstream_input(f, FDSTREAM_BREAK);
		break;
	case 'a':
	case CTRL_A:
		fdstream_input(f, CTRL_A);
		break;
	}
}

static void tty_start(struct stream *s)
{
	struct tty *t = container_of(s, struct tty, fd.stream);

	t->opened.lock = s->lock;
	fdstream_start(s);
}

static void tty_destroy(struct stream *s)
{
	struct tty *t = container_of(s, struct tty, fd.stream);

	fdstream_close(&t->fd);
	if (t->opened.fd >= 0)
		loop_remove(t->fd.loop, &t->opened);
	close_fd(&t->opened.fd);
	free(t);
}

static const struct stream_ops tty_ops = {
	.start = tty_start,
	.read = fdstream_read,
	.write = fdstream_write,
	.flush = fdstream_flush,
	.destroy = tty_destroy,
};

/* Makes a stream of the two descriptors, which it owns from here on. Returns 0 or -errno,
 * logged. */
static int tty_new(struct tty **t, struct loop *loop, int in, int out, const char *what,
		   const char *name)
{
	*t = calloc(1, sizeof(**t));
	if (!*t) {
		close_fd(&in);
		close_fd(&out);
		return log_ret(-ENOMEM, "%s: out of memory", what);
	}
	(*t)->fd.stream.ops = &tty_ops;
	(*t)->opened.fd = -1;
	return fdstream_open(&(*t)->fd, loop, in, out, what, name);
}

/* Returns the result of opening t: hands out the stream, or frees t. */
static int tty_finish(struct stream **s, struct tty *t, int rc)
{
	*s = NULL;
	if (rc < 0 && t)
		tty_destroy(&t->fd.stream);
	else if (t)
		*s = &t->fd.stream;
	return rc;
}

/* Returns a descriptor for fd that is ours, at least to close. */
static int own(int fd, int flags, bool *ours)
{
	return output_own(fd, flags, ours);
}

/* What an end keeps: descriptors of struct kept, and numbers. */
enum { KEPT_IN, KEPT_OUT, KEPT_OPENED };
enum { KEPT_OURS, KEPT_SEEN };

/* The same, or the kept descriptor: in a later life fd may be another file. */
static int own_or_kept(struct kept *k, unsigned which, int fd, int flags, bool *ours,
		       const char *what)
{
	int mine = kept_open(k, which);

	*ours = k && k->number[KEPT_OURS] >> which & 1;
	if (mine != -ENOENT || (k && k->number[KEPT_SEEN] >> which & 1))
		return mine;
	mine = own(fd, flags, ours);
	if (k)
		k->number[KEPT_SEEN] |= 1u << which;
	if (k && *ours)
		k->number[KEPT_OURS] |= 1u << which;
	if (mine >= 0 && kept_keep(k, which, mine, what) < 0)
		close_fd(&mine);
	return mine;
}

/* Finds out what matters about standard output, open as t's output. */
static void tty_output(struct tty *t, int out, bool ours)
{
	t->fd.nonblocking = ours;
	if (isatty(out))
		t->fd.write_most = 1; /* poll() promises no more on a terminal */
}

int tty_stdio(struct stream **s, struct loop *loop, const char *what, const struct power *power,
	      struct kept *kept)
{
	struct tty *t;
	bool in_ours, out_ours;
	int in = own_or_kept(kept, KEPT_IN, STDIN_FILENO, O_RDONLY, &in_ours, what);
	int out = own_or_kept(kept, KEPT_OUT, STDOUT_FILENO, O_WRONLY, &out_ours, what);
	int rc = tty_new(&t, loop, in, out, what, "standard output");

	if (rc == 0)
		tty_output(t, out, out_ours);
	if (rc == 0 && isatty(STDIN_FILENO)) {
		t->power = *power;
		t->fd.key = tty_key;
	}
	return tty_finish(s, t, rc);
}

int tty_stdout(struct stream **s, struct loop *loop, const char *what, struct kept *kept)
{
	struct tty *t;
	bool ours;
	int out = own_or_kept(kept, KEPT_OUT, STDOUT_FILENO, O_WRONLY, &ours, what);
	int rc = tty_new(&t, loop, -1, out, what, "standard output");

	if (rc == 0)
		tty_output(t, out, ours);
	return tty_finish(s, t, rc);
}

int tty_fd(struct stream **s, struct loop *loop, const char *what, int fd, struct kept *kept)
{
	const bool again = kept_has(kept, KEPT_IN) || kept_has(kept, KEPT_OUT);
	const int flags = again ? 0 : fcntl(fd, F_GETFL);
	const int mode = flags & O_ACCMODE;
	int in = -1, out = -1, rc;
	bool ours = false, in_ours;
	struct tty *t;

	*s = NULL;
	if (flags < 0)
		return log_errno("%s: fd=%d", what, fd);
	if (again ? kept_has(kept, KEPT_IN) : mode != O_WRONLY)
		in = own_or_kept(kept, KEPT_IN, fd, O_RDONLY, &in_ours, what);
	if (again ? kept_has(kept, KEPT_OUT) : mode != O_RDONLY)
		out = own_or_kept(kept, KEPT_OUT, fd, O_WRONLY, &ours, what);
	rc = tty_new(&t, loop, in, out, what, "its descriptor");
	if (rc == 0)
		tty_output(t, out, ours);
	return tty_finish(s, t, rc);
}

bool tty_size_of(int fd, uint16_t *cols, uint16_t *rows)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0)
		return false;
	*cols = size.ws_col;
	*rows = size.ws_row;
	return true;
}

bool tty_size(uint16_t *cols, uint16_t *rows)
{
	return tty_size_of(STDOUT_FILENO, cols, rows) || tty_size_of(STDIN_FILENO, cols, rows);
}

/* Opens path and returns the descriptor. *ours is set if nobody else can make it wait. */
static int file_open(const char *what, const char *key, const char *path, bool *ours,
		     struct kept *kept)
{
	struct output out;
	int rc = output_open(&out, path, O_TRUNC);

	if (rc < 0)
		return log_ret(rc, "%s: %s=%s: %s", what, key, path, output_error(rc));
	*ours = out.nonblocking;
	if (kept)
		kept->number[KEPT_OURS] = *ours;
	rc = kept_keep(kept, KEPT_OUT, out.fd, what);
	if (rc < 0)
		output_close(&out);
	return rc < 0 ? rc : out.fd;
}

int tty_file(struct stream **s, struct loop *loop, const char *what, const char *key,
	     const char *path, struct kept *kept)
{
	int fd = kept_open(kept, KEPT_OUT);
	bool ours = kept && kept->number[KEPT_OURS];
	struct tty *t;
	int rc;

	*s = NULL;
	if (fd == -ENOENT)
		fd = file_open(what, key, path, &ours, kept);
	else if (fd < 0)
		log_ret(fd, "%s: %s=%s: %s", what, key, path, strerrordesc_np(-fd));
	if (fd < 0)
		return fd;
	rc = tty_new(&t, loop, -1, fd, what, path);
	if (rc == 0)
		tty_output(t, fd, ours);
	return tty_finish(s, t, rc);
}

/* While nobody has it open, it has hung up; now somebody has opened it. */
static void pty_opened(struct loop_source *src, uint32_t events __unused)
{
	struct tty *t = container_of(src, struct tty, opened);
	char event[sizeof(struct inotify_event) + NAME_MAX + 1];

	while (read(src->fd, event, sizeof(event)) > 0)
		;
	fdstream_watch_input(&t->fd);
}

/* path: NULL if it is kept. */
static int pty_watch(struct tty *t, const char *path, struct kept *kept)
{
	int rc = t->opened.fd =
		path ? inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : kept_open(kept, KEPT_OPENED);

	t->opened.fn = pty_opened;
	if (rc < 0 || (path && inotify_add_watch(t->opened.fd, path, IN_OPEN) < 0))
		return log_errno("%s: watching its pseudo-terminal", t->fd.what);
	if (path && kept_keep(kept, KEPT_OPENED, t->opened.fd, t->fd.what) < 0)
		return -EMFILE;
	rc = loop_add(t->fd.loop, &t->opened, EPOLLIN);
	errno = -rc;
	return rc < 0 ? log_errno("%s: watching its pseudo-terminal", t->fd.what) : 0;
}

/* Opens a new pseudo-terminal's master, in raw mode so that it does not echo the guest's output to
 * the guest. It is opened and closed once: otherwise the kernel would not tell that nobody has it
 * open. */
static int pty_open(char *path, size_t len)
{
	AUTO_CLOSE int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	AUTO_CLOSE int slave = -1;
	struct termios mode;

	if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0)
		return log_errno("opening a pseudo-terminal");
	errno = ptsname_r(fd, path, len);
	slave = errno ? -1 : open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || tcgetattr(slave, &mode) < 0)
		return log_errno("opening a pseudo-terminal");
	cfmakeraw(&mode);
	if (tcsetattr(slave, TCSANOW, &mode) < 0)
		return log_errno("opening a pseudo-terminal");
	return take_fd(&fd);
}

int tty_pty(struct stream **s, struct loop *loop, const char *what, struct kept *kept)
{
	const bool again = kept_has(kept, KEPT_OUT);
	char path[64];
	struct tty *t;
	int rc, fd = again ? kept_open(kept, KEPT_OUT) : pty_open(path, sizeof(path));

	*s = NULL;
	if (fd < 0)
		return again ? log_errno("%s: its pseudo-terminal", what) : fd;
	rc = tty_new(&t, loop, fcntl(fd, F_DUPFD_CLOEXEC, 3), fd, what, "the pseudo-terminal");
	if (rc == 0 && !again)
		rc = kept_keep(kept, KEPT_OUT, fd, what);
	if (rc == 0) {
		t->fd.reopens = true;
		rc = pty_watch(t, again ? NULL : path, kept);
	}
	if (rc == 0 && !again)
		log_msg(LOG_ASKED, "the %s is %s", what, path);
	return tty_finish(s, t, rc);
}
