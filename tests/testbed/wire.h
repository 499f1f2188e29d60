/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The messages between the two halves of the test bed: host.c on the caller's machine, agent.c as
 * PID 1 of the emulated host ("L1"). They are built together on one machine, so plain structs serve
 * as messages.
 *
 * Each port is a virtio-serial port in L1 (/dev/vport0pN) and one end of a socket pair in host.c.
 * Ports block when the other side doesn't read, and each stream has its own port and its own thread
 * on either side: so a slow reader of one stream holds up its writer and nobody else.
 *
 * PORT_CTL   agent to host: struct report, READY (for the description of COMMAND), then STARTED,
 *            then FINISHED
 *            host to agent: struct spec and its tail; when STARTED, a struct winsize for each change
 *            of the terminal's size
 * the rest   frames: a uint16_t length and that many bytes; length 0 is the end of the stream. The
 *            reverse direction of PORT_OUT, PORT_ERR and PORT_TTY carries one byte, when the
 *            caller's end was closed
 */
#pragma once

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { PORT_CTL = 1, PORT_IN, PORT_OUT, PORT_ERR, PORT_TTY, NR_PORTS = PORT_TTY };

/* The process that COMMAND shall be. After it come gid_t[nr_groups], then the NUL-terminated
 * strings cwd, shares, args, env. */
struct spec {
	uint32_t tail_len, nr_groups, nr_shares, nr_args, nr_env;
	uint32_t descriptors; /* number that virtiofsd may have */
	uint32_t ttys;        /* bit n: file descriptor n is the terminal */
	uid_t uid;
	gid_t gid;
	mode_t umask;
	struct timespec now;
	struct rlimit limits[RLIM_NLIMITS];
	struct termios termios;
	struct winsize winsize;
};

enum { READY, STARTED, FINISHED };

struct report {
	int what;   /* READY, STARTED, FINISHED */
	int status; /* COMMAND's exit status as a shell gives it: 128 + N when signal N killed it */
};

enum {
	FRAME_MAX = 32768 - sizeof(uint16_t)
}; /* the virtio-serial driver passes on at most 32 KiB at a time */

/* Reads up to len bytes. Returns how many, 0 at the end of the stream, -1 on an error. The caller
 * may have left O_NONBLOCK set. */
static inline ssize_t read_some(int fd, void *buf, size_t len)
{
	for (;;) {
		ssize_t n = read(fd, buf, len);

		if (n >= 0 || (errno != EINTR && errno != EAGAIN))
			return n;
		if (errno == EAGAIN)
			poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1);
	}
}

/* Reads exactly len bytes; false if the stream ended or failed before that. */
static inline bool read_all(int fd, void *buf, size_t len)
{
	for (ssize_t n; len > 0; buf = (char *)buf + n, len -= (size_t)n)
		if ((n = read_some(fd, buf, len)) <= 0)
			return false;
	return true;
}

/* Writes exactly len bytes; false on an error (in errno). */
static inline bool write_all(int fd, const void *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EAGAIN)
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
		else if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			buf = (const char *)buf + n, len -= (size_t)n;
	}
	return true;
}

struct frame {
	uint16_t len;
	char data[FRAME_MAX];
};

static inline bool frame_write(int fd, const struct frame *f)
{
	return write_all(fd, f, offsetof(struct frame, data) + f->len);
}

/* False at the end of the stream. */
static inline bool frame_read(int fd, struct frame *f)
{
	return read_all(fd, &f->len, sizeof(f->len)) && f->len > 0 && f->len <= FRAME_MAX &&
	       read_all(fd, f->data, f->len);
}
