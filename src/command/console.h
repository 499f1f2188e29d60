/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the guest's kernel prints what it has to say in a machine that runs a command: its end is
 * kept, and all of it goes to a file if that is wanted. */
#pragma once

#include <stdio.h>

#include "backend/stream/output.h"
#include "vmm/stream.h"

#define RUN_CONSOLE_LEN 8192

struct run_console {
	struct stream stream;
	struct output log; /* --console-log */
	char text[RUN_CONSOLE_LEN];
	uint64_t len; /* of all that came; the last is in text, as in a ring */
};

/* path NULL: no file. 0 or -errno, logged. */
int run_console_open(struct run_console *c, const char *path) __must_check;
void run_console_close(struct run_console *c);

/* The last lines, each with '\n'; printable, at most that many and max - 1 bytes. */
void run_console_tail(const struct run_console *c, unsigned lines, char *text, size_t max);
