/* SPDX-License-Identifier: BSD-2-Clause */
/* A file's bytes, read whole into memory: a copy, so that nobody changes or truncates it under us.
 */
#pragma once

#include "vmm/types.h"

struct file {
	void *data; /* owned; NULL: none */
	size_t len;
};

/* Reads path, which option (for messages) names. 0 or -errno, logged. file_free() is safe after a
 * failure. */
int file_read(struct file *f, const char *option, const char *path) __must_check;
/* Memory for len bytes in its place. 0 or -errno, not logged. */
int file_alloc(struct file *f, size_t len) __must_check;
void file_free(struct file *f);
