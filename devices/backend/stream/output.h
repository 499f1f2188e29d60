/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where to write what a guest says, or what there is to say about it: a path of the user's, which
 * is opened once, at the start. Nothing here ever waits.
 *
 * A guest that may write to the directory could have put a symbolic link there the last time, so
 * none is followed but those in /dev that lead to a device. /dev/stdout, /dev/stderr, /dev/fd/N and
 * /proc/self/fd/N are that descriptor of this process: what is there already stays, and the next
 * bytes follow it.
 */
#pragma once

#include "vmm/types.h"

struct output {
	int fd;           /* owned; -1: none */
	bool nonblocking; /* it never waits; else it is somebody else's, too */
	bool given;       /* it was open before */
	bool regular;     /* a regular file that is this output's alone */
};

/* flags: O_APPEND, or O_TRUNC for an empty file. 0; or -errno, not logged, and then it is none:
 * -ENXIO: a FIFO without a reader; -EOPNOTSUPP: a socket; -ELOOP: a link; -EBADF: that descriptor
 * can't be written to. */
int output_open(struct output *o, const char *path, int flags) __must_check;
void output_close(struct output *o);

/* What output_open() would say of a link, a socket or a descriptor: -ELOOP, -EOPNOTSUPP, -EBADF, or
 * 0. */
int output_try(const char *path) __must_check;

/* Why it can't be opened, for messages after "PATH: ". */
const char *output_error(int rc);

/* As much as is taken at once: how much, or -errno; -EAGAIN: nothing is. */
ssize_t output_write(const struct output *o, const void *buf, size_t len) __must_check;

/* Writes all of it, and gives up after that time. 0 or -errno; -ETIMEDOUT. */
int output_write_all(const struct output *o, const char *text, size_t len,
		     int patience_ms) __must_check;

/* The descriptor that the path names, or -1: it is an ordinary one. */
int output_descriptor(const char *path);

/* A descriptor for fd that we may close; -1 when fd is closed. A terminal or pipe is opened anew
 * where that is permitted: then O_NONBLOCK is *ours alone, and nobody else's reading or writing
 * makes us wait. */
int output_own(int fd, int flags, bool *ours);
