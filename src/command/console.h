/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the guest's kernel prints what it has to say in a machine that runs a command: its end is
 * kept, and all of it goes to a file if that is wanted. */
#pragma once

#include <stdio.h>

#include "backend/stream/output.h"
#include "vmm/stream.h"

#define COMMAND_CONSOLE_LEN 8192

struct command_console {
	struct stream stream;
	struct output log; /* --console-log */
	char text[COMMAND_CONSOLE_LEN];
	uint64_t len; /* of all that came; the last is in text, as in a ring */
};

/* path NULL: no file. 0 or -errno, logged. */
int command_console_open(struct command_console *c, const char *path) __must_check;
void command_console_close(struct command_console *c);

/* The last lines, each with '\n'; printable, at most that many and max - 1 bytes. */
void command_console_tail(const struct command_console *c, unsigned lines, char *text, size_t max);
