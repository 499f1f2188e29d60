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
void file_free(struct file *f);
