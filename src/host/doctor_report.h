/* SPDX-License-Identifier: BSD-2-Clause */
/* How the doctor reports, for its part that is the architecture's (arch.h). */
#pragma once

#include <stdio.h>

#include "vmm/types.h"

enum verdict { GOOD, BAD, ABSENT }; /* ABSENT: a guest can run without it */

struct doctor_report {
	const struct doctor_host *host;
	FILE *out;
	unsigned bad;        /* how many items are */
	const char *backend; /* the module, or NULL: no known one is loaded */
	unsigned seen;       /* the architecture's own bits: what it saw of the processor */
};

/* One item: a line. */
void doctor_say(struct doctor_report *r, enum verdict verdict, const char *what, const char *fmt,
		...) __printf(4, 5);
/* Says what to do about the item before. */
void doctor_advise(struct doctor_report *r, const char *fmt, ...) __printf(2, 3);

/* path is one of the host's, without its first slash. */
bool doctor_exists(const struct doctor_report *r, const char *path);
/* Reads the first size - 1 bytes of a file of /proc or /sys; "" if it can't be read. Returns text. */
const char *doctor_read(const struct doctor_report *r, const char *path, char *text, size_t size);

/* Something that KVM_CHECK_EXTENSION tells of. */
struct doctor_capability {
	int number, least;
	const char *name, *use; /* name NULL: the end of a list */
};
