/* SPDX-License-Identifier: BSD-2-Clause */
/* A file's bytes, read into memory as a whole: a copy, so that nobody changes or truncates it while
 * we use it. */
#pragma once

#include "vmm/types.h"

struct kept;
struct stat;

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
/* The two halves of this. file_open() returns a descriptor, which the caller owns, and fills *st; or
 * -errno, logged. file_load() reads what it has opened. */
int file_open(const char *option, const char *path, struct kept *kept,
	      struct stat *st) __must_check;
int file_load(struct file *f, int fd, const struct stat *st, const char *option,
	      const char *path) __must_check;
/* Reads len bytes at offset of an open file. Returns 0; -ENODATA: it ends before that; or another
 * -errno. Nothing is logged. */
int file_read_at(int fd, uint8_t *data, size_t len, uint64_t offset) __must_check;
/* Makes *f memory for len bytes. Returns 0 or -errno, not logged. */
int file_alloc(struct file *f, size_t len) __must_check;
void file_free(struct file *f);
