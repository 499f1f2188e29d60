/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host ends for serial ports and consoles: standard input and output, a file, a pseudo-terminal, an
 * open descriptor. (For none, use a NULL stream.) Each of these makes a struct stream, which
 * stream_destroy() ends. what is how messages call the guest's end: "serial port"; it is copied.
 * kept outlives the stream, or is NULL.
 *
 * Standard input may be anything. When it is a terminal, whose mode the program sees to,
 * Ctrl-A is an escape:
 *	Ctrl-A x	quits: POWER_QUIT
 *	Ctrl-A h	shows these keys
 *	Ctrl-A c	sends a break
 *	Ctrl-A Ctrl-A	(or Ctrl-A a) sends one Ctrl-A; any other key after Ctrl-A is dropped
 * A pipe or file is passed on byte by byte, Ctrl-A included. Its end just ends the input.
 */
#pragma once

#include "backend/kept.h"
#include "vmm/loop.h"
#include "vmm/power.h"
#include "vmm/stream.h"

/* Standard input and output. *power is told when the user quits and is copied. 0 or -errno, logged.
 */
int tty_stdio(struct stream **s, struct loop *loop, const char *what, const struct power *power,
	      struct kept *kept) __must_check;

/* Standard output alone, beside a tty_stdio() of something else. 0 or -errno, logged. */
int tty_stdout(struct stream **s, struct loop *loop, const char *what,
	       struct kept *kept) __must_check;

/* A descriptor of the caller's, of which a copy is used: for input, output or both, as it was
 * opened. 0 or -errno, logged. */
int tty_fd(struct stream **s, struct loop *loop, const char *what, int fd,
	   struct kept *kept) __must_check;

/* The size of the terminal behind fd. False: it is none. */
bool tty_size_of(int fd, uint16_t *cols, uint16_t *rows);
/* The size of the terminal that is standard output or input. False: neither is one. */
bool tty_size(uint16_t *cols, uint16_t *rows);

/* Output only, to path: created, or truncated when it is a regular file (what is kept goes on where
 * it was); may be a FIFO that has a reader, or a device, and is opened as output.h has it. 0 or
 * -errno, logged. */
int tty_file(struct stream **s, struct loop *loop, const char *what, const char *path,
	     struct kept *kept) __must_check;

/* A new pseudo-terminal, whose path is logged as asked for; or the one that is kept. It may be
 * opened and closed any number of times; what the guest says while nobody has it open is forgotten.
 * 0 or -errno, logged. */
int tty_pty(struct stream **s, struct loop *loop, const char *what, struct kept *kept) __must_check;
