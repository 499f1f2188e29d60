/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream (vmm/stream.h) over file descriptors: what terminals, pipes and files have in common.
 *
 * The descriptors may be shared with other processes (the shell's terminal), so O_NONBLOCK is never
 * set on them: when poll(2) says that one is ready, it is read or written in pieces that then don't
 * wait. Input goes through a small buffer, read ahead of the device so that a terminal's escape
 * keys work while the guest reads nothing; when it is full, the rest stays where it is. Output goes
 * out at once, and to a larger buffer while the reader is slow.
 *
 * The descriptors of one client after the other can be used (fdstream_connect).
 *
 * Both sources are one-shot (EPOLLONESHOT): events, hang-ups included, are watched only while
 * somebody waits for them, so that a closed pipe or a full buffer costs no time. Descriptors that
 * epoll refuses (regular files, /dev/null) are always ready: an eventfd that is always ready is
 * watched in their place.
 */
#pragma once

#include "vmm/loop.h"
#include "vmm/stream.h"

#define FDSTREAM_INPUT  4096  /* bytes and breaks */
#define FDSTREAM_OUTPUT 65536 /* bytes; touched only as far as the reader is slow */
#define FDSTREAM_BREAK  0x100

struct fdstream_side {
	struct loop_source src; /* fd or always_ready */
	int fd;                 /* owned; -1: there is none (any more) */
	int always_ready;       /* or -1 */
	bool armed;
	uint32_t head, len; /* of the buffer */
};

struct fdstream {
	struct stream stream;
	struct loop *loop; /* not owned */
	char what[80];     /* for messages: "serial port" */
	const char *name;  /* of the output, for messages */

	/* Set these after fdstream_open() if the defaults will not do. */
	/* Called for each byte; default: fdstream_input(). */
	void (*key)(struct fdstream *f, uint8_t byte);
	bool nonblocking;  /* out has O_NONBLOCK, and nobody else can change that */
	size_t write_most; /* otherwise a write of this length never waits; default: PIPE_BUF */
	bool reopens;      /* a hang-up means that nobody has it open now */
	/* Called on the loop: the input ended. Default: it is closed. After this a failure of the
	 * output is not reported. */
	void (*ended)(struct fdstream *f);

	struct fdstream_side in, out;
	bool hungry;  /* the device found no input */
	bool starved; /* the device has output that was not taken */
	uint16_t input[FDSTREAM_INPUT];
	uint8_t output[FDSTREAM_OUTPUT];
};

/* Owns in and out from here on, also after a failure; -1: there is none. *f was zeroed, and only
 * what is used of it is touched (its buffers are large). Copies what, but not name. Returns 0 or
 * -errno, logged. */
int fdstream_open(struct fdstream *f, struct loop *loop, int in, int out, const char *what,
		  const char *name) __must_check;
void fdstream_close(struct fdstream *f);

/* Changes to two other descriptors, which it owns from here on, also after a failure; -1: there is
 * none. Input that the device has not read yet stays; output that was not written is lost. Called
 * on the loop's thread with the device's lock held. Returns 0 or -errno, logged. */
int fdstream_connect(struct fdstream *f, int in, int out) __must_check;

/* Called by key(): adds one entry of input, a byte or FDSTREAM_BREAK; at most once in each call. */
void fdstream_input(struct fdstream *f, uint16_t entry);

/* Watches the input (again, after it reopened). Called on the loop's thread with the device's lock
 * held. */
void fdstream_watch_input(struct fdstream *f);
/* Called by ended(): watches the input for a hang-up only; true if it has already hung up. */
bool fdstream_watch_hang_up(struct fdstream *f);

/* For struct stream_ops. */
void fdstream_start(struct stream *s);
ssize_t fdstream_read(struct stream *s, void *buf, size_t len);
size_t fdstream_write(struct stream *s, const void *buf, size_t len);
bool fdstream_flush(struct stream *s);
