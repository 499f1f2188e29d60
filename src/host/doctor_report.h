/* SPDX-License-Identifier: BSD-2-Clause */
/* The doctor's functions that its architecture's part (arch.h) uses to report. */
#pragma once

#include <stdio.h>

#include "vmm/types.h"

enum verdict { GOOD, BAD, ABSENT }; /* ABSENT: a guest can run without it */

struct doctor_report {
	const struct doctor_host *host;
	FILE *out;
	unsigned bad;        /* how many items are BAD */
	const char *backend; /* the module, or NULL: no known one is loaded */
	unsigned seen;       /* the architecture's own bits: what it saw of the processor */
};

/* Prints an item, in one line. */
void doctor_say(struct doctor_report *r, enum verdict verdict, const char *what, const char *fmt,
		...) __printf(4, 5);
/* Says what to do about the item before. */
void doctor_advise(struct doctor_report *r, const char *fmt, ...) __printf(2, 3);

/* Does the host have a file at path, which is without its first slash? */
bool doctor_exists(const struct doctor_report *r, const char *path);
/* Reads the first size - 1 bytes of a file of /proc or /sys; "" if it can't be read. Returns
 * text. */
const char *doctor_read(const struct doctor_report *r, const char *path, char *text, size_t size);

/* A capability of KVM's, by KVM_CHECK_EXTENSION. */
struct doctor_capability {
	int number, least;
	const char *name, *use; /* name NULL: the list ends here */
};
