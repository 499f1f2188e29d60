/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream (vmm/stream.h) over file descriptors: the part that terminals, pipes and files share.
 *
 * The descriptors may be shared with other processes (the shell's terminal), so O_NONBLOCK is never
 * set on them: what poll(2) says is ready is read or written in pieces that then don't wait.
 * Input goes through a small buffer, read ahead of the device so that a terminal's escape keys work
 * while the guest reads nothing; when it is full, the rest stays where it is. Output goes out at
 * once, and to a larger buffer while the reader is slow.
 *
 * The descriptors of one client after the other can be used (fdstream_connect).
 *
 * Both sources are one-shot (EPOLLONESHOT): nothing is watched that nobody waits for, hang-ups
 * included, so that a closed pipe or a full buffer costs no time. What epoll refuses (regular
 * files, /dev/null) is always ready: an eventfd that is always ready is watched in its place.
 */
#pragma once

#include "vmm/loop.h"
#include "vmm/stream.h"

#define FDSTREAM_INPUT  4096  /* bytes and breaks */
#define FDSTREAM_OUTPUT 65536 /* bytes; touched only as far as the reader falls behind */
#define FDSTREAM_BREAK  0x100

struct fdstream_side {
	struct loop_source src; /* fd or always_ready */
	int fd;                 /* owned; -1: there is none, or none any more */
	int always_ready;       /* or -1 */
	bool armed;
	uint32_t head, len; /* of the buffer */
};

struct fdstream {
	struct stream stream;
	struct loop *loop; /* not owned */
	char what[80];     /* for messages: "serial port" */
	const char *name;  /* of the output, for messages */

	/* Set after fdstream_open(), where the default will not do. */
	/* For each byte; default: fdstream_input(). */
	void (*key)(struct fdstream *f, uint8_t byte);
	bool nonblocking;  /* out has O_NONBLOCK, and nobody else can change that */
	size_t write_most; /* else: that one write never waits for; default: PIPE_BUF */
	bool reopens;      /* a hang-up: nobody has it open now */
	/* The input ended; on the loop. Default: it is closed. And a failure of the output is then
	 * no news. */
	void (*ended)(struct fdstream *f);

	struct fdstream_side in, out;
	bool hungry;  /* the device found no input */
	bool starved; /* the device's output was not all taken */
	uint16_t input[FDSTREAM_INPUT];
	uint8_t output[FDSTREAM_OUTPUT];
};

/* in and out are owned from here on, also after a failure; -1: none. *f was zeroed, and stays so
 * but for what is used (its buffers are large). what is copied, name is not. 0 or -errno, logged.
 */
int fdstream_open(struct fdstream *f, struct loop *loop, int in, int out, const char *what,
		  const char *name) __must_check;
void fdstream_close(struct fdstream *f);

/* Goes over to two other descriptors, which are owned from here on, also after a failure; -1: none.
 * Input that the device has not read yet stays; what was not written is forgotten. On the loop's
 * thread with the device's lock held. 0 or -errno, logged. */
int fdstream_connect(struct fdstream *f, int in, int out) __must_check;

/* From key(): one entry of input, a byte or FDSTREAM_BREAK; at most one a call. */
void fdstream_input(struct fdstream *f, uint16_t entry);

/* Watches the input (again, after it reopened). On the loop's thread with the device's lock held.
 */
void fdstream_watch_input(struct fdstream *f);
/* Watches it for a hang-up only; true when it has hung up already. From ended(). */
bool fdstream_watch_hang_up(struct fdstream *f);

/* For struct stream_ops. */
void fdstream_start(struct stream *s);
ssize_t fdstream_read(struct stream *s, void *buf, size_t len);
size_t fdstream_write(struct stream *s, const void *buf, size_t len);
bool fdstream_flush(struct stream *s);
