/* SPDX-License-Identifier: BSD-2-Clause */
/* A file's bytes, read whole into memory: a copy, so that nobody changes or truncates it under
 * us. */
#pragma once

#include "vmm/types.h"

struct kept;

/* Bytes, not text: they end where len says, so str*() is never for them. The type sees to it
 * that a compiler warns, and tests/source/bytes_are_no_text that nobody casts that away. */
struct file {
	uint8_t *data; /* owned; NULL: none */
	size_t len;
};

/* Reads path, which option (for messages) names; or, from its beginning, the file that is kept
 * (kept: or NULL). 0 or -errno, logged. file_free() is safe after a failure. */
int file_read(struct file *f, const char *option, const char *path, struct kept *kept) __must_check;
/* Memory for len bytes in its place. 0 or -errno, not logged. */
int file_alloc(struct file *f, size_t len) __must_check;
void file_free(struct file *f);
