/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file that takes what a guest says, or what there is to say about the guest: a path of the
 * user's, which is opened once, at the start. Only output_write_all() waits for a reader, and not
 * for longer than it is told.
 *
 * A guest that may write to the directory could have put a symbolic link there in an earlier run.
 * So links are not followed, except those in /dev that lead to a device. /dev/stdout, /dev/stderr,
 * /dev/fd/N and /proc/self/fd/N mean that descriptor of this process: what is there already stays,
 * and the next bytes follow it.
 */
#pragma once

#include "vmm/types.h"

struct output {
	int fd;           /* owned; -1: none */
	bool nonblocking; /* it never waits; otherwise others have it open, too */
	bool given;       /* it was open before */
	bool regular;     /* a regular file that only this output has */
};

/* flags: O_APPEND, or O_TRUNC for an empty file. Returns 0; or -errno, not logged, and then o has
 * no file: -ENXIO: a FIFO without a reader; -EOPNOTSUPP: a socket; -ELOOP: a link; -EBADF: that
 * descriptor can't be written to. */
int output_open(struct output *o, const char *path, int flags) __must_check;
void output_close(struct output *o);

/* Returns what output_open() would say of a link, a socket or a descriptor: -ELOOP, -EOPNOTSUPP,
 * -EBADF, or 0. */
int output_try(const char *path) __must_check;

/* Returns why it can't be opened, for messages after "PATH: ". */
const char *output_error(int rc);

/* Writes as much as is taken at once. Returns its length, or -errno; -EAGAIN: nothing is taken. */
ssize_t output_write(const struct output *o, const void *buf, size_t len) __must_check;

/* Writes all of it, but gives up after that time. Returns 0 or -errno; -ETIMEDOUT. */
int output_write_all(const struct output *o, const char *text, size_t len,
		     int patience_ms) __must_check;

/* Returns the descriptor that the path stands for, or -1: it is an ordinary path. */
int output_descriptor(const char *path);

/* Returns a descriptor for fd that we may close; -1 if fd is closed. A terminal or pipe is opened
 * anew if that is permitted: then O_NONBLOCK is *ours alone, and other readers or writers can't
 * make us wait. */
int output_own(int fd, int flags, bool *ours);
