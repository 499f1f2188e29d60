/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host ends for serial ports and consoles: standard input and output, a file, a pseudo-terminal, an
 * open descriptor. (For none, use a NULL stream.) Each of these makes a struct stream, which
 * stream_destroy() ends. The argument what names the guest's end in messages, such as "serial
 * port"; it is copied. kept outlives the stream, or is NULL.
 *
 * Standard input may be anything. When it is a terminal, whose mode the program sets, Ctrl-A is an
 * escape:
 * 	Ctrl-A x	quits: POWER_QUIT
 * 	Ctrl-A h	shows these keys
 * 	Ctrl-A c	sends a break
 * 	Ctrl-A Ctrl-A	(or Ctrl-A a) sends one Ctrl-A; any other key after Ctrl-A is dropped
 * A pipe or file is passed on byte by byte, Ctrl-A included. Its end just ends the input.
 */
#pragma once

#include "backend/kept.h"
#include "vmm/loop.h"
#include "vmm/power.h"
#include "vmm/stream.h"

/* Standard input and output. *power, which is copied, is told when the user quits. Returns 0 or
 * -errno, logged. */
int tty_stdio(struct stream **s, struct loop *loop, const char *what, const struct power *power,
	      struct kept *kept) __must_check;

/* Standard output alone, while another stream has tty_stdio(). Returns 0 or -errno, logged. */
int tty_stdout(struct stream **s, struct loop *loop, const char *what,
	       struct kept *kept) __must_check;

/* A descriptor of the caller's, of which a copy is used: for input, output or both, as it was
 * opened. Returns 0 or -errno, logged. */
int tty_fd(struct stream **s, struct loop *loop, const char *what, int fd,
	   struct kept *kept) __must_check;

/* Stores the size of the terminal fd. False: it is not a terminal. */
bool tty_size_of(int fd, uint16_t *cols, uint16_t *rows);
/* Stores the size of the terminal that is standard output or input. False: neither is a
 * terminal. */
bool tty_size(uint16_t *cols, uint16_t *rows);

/* Output to path only. A regular file is created, or truncated (a kept one goes on where it was);
 * path may also be a FIFO that has a reader, or a device. It is opened as output.h says. Messages
 * call it KEY=PATH, as the user wrote it: "file" is a console's key. Returns 0 or -errno,
 * logged. */
int tty_file(struct stream **s, struct loop *loop, const char *what, const char *key,
	     const char *path, struct kept *kept) __must_check;

/* A new pseudo-terminal, whose path is logged because the user asked for it; or the kept one. It
 * may be opened and closed any number of times; what the guest writes while nobody has it open is
 * lost. Returns 0 or -errno, logged. */
int tty_pty(struct stream **s, struct loop *loop, const char *what, struct kept *kept) __must_check;
