/* SPDX-License-Identifier: BSD-2-Clause */
/* Takes what the guest's kernel prints in a machine that runs a command: its end is kept, and all
 * of it goes to a file if the user wants that. */
#pragma once

#include <stdio.h>

#include "backend/stream/output.h"
#include "vmm/stream.h"

#define COMMAND_CONSOLE_LEN 8192

struct command_console {
	struct stream stream;
	struct output log; /* --console-log */
	char text[COMMAND_CONSOLE_LEN];
	uint64_t len; /* of all that came; text is a ring that has the last of it */
};

/* path NULL: there is no log. Returns 0 or -errno, logged. */
int command_console_open(struct command_console *c, const char *path) __must_check;
void command_console_close(struct command_console *c);

/* Copies the last lines to text, each with '\n', in printable characters: at most that many lines,
 * and at most max - 1 bytes. */
void command_console_tail(const struct command_console *c, unsigned lines, char *text, size_t max);
