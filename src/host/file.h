/* SPDX-License-Identifier: BSD-2-Clause */
/* A file's bytes, read into memory as a whole: a copy, so that nobody changes or truncates it while
 * we use it. */
#pragma once

#include "vmm/types.h"

struct kept;

/* Bytes, not text: they end where len says, so never use str*() on them. Their type makes a
 * compiler warn about that, and tests/source/bytes_are_no_text checks that nobody casts the warning
 * away. */
struct file {
	uint8_t *data; /* owned; NULL: none */
	size_t len;
};

/* Reads path, whose option is named for messages; or, if kept has its file already, that one from
 * its beginning. kept may be NULL. Returns 0 or -errno, logged. file_free() is safe after a
 * failure. */
int file_read(struct file *f, const char *option, const char *path, struct kept *kept) __must_check;
/* Makes *f memory for len bytes. Returns 0 or -errno, not logged. */
int file_alloc(struct file *f, size_t len) __must_check;
void file_free(struct file *f);
