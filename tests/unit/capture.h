/* SPDX-License-Identifier: BSD-2-Clause */
/* Catches what a function prints on standard error, and how many messages it is. */
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include "vmm/log.h"

#include "test.h"

struct capture {
	int saved, file;
	char text[4096];
};

static inline void capture_begin(struct capture *c)
{
	c->file = memfd_create("stderr", MFD_CLOEXEC);
	c->saved = dup(STDERR_FILENO);
	assert_true(c->file >= 0 && c->saved >= 0);
	assert_int_equal(dup2(c->file, STDERR_FILENO), STDERR_FILENO);
}

/* Returns c->text. */
static inline const char *capture_end(struct capture *c)
{
	ssize_t len = pread(c->file, c->text, sizeof(c->text) - 1, 0);

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	close(c->file);
	assert_true(len >= 0);
	c->text[len] = '\0';
	return c->text;
}

/* Counts between log_use(&c.sink) and log_use(NULL). */
struct message_count {
	struct log_sink sink;
	unsigned nr;
};

static inline void count_message(struct log_sink *s, enum log_level level __unused,
				 const char *text __unused)
{
	container_of(s, struct message_count, sink)->nr++;
}
