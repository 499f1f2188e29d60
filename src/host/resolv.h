/* SPDX-License-Identifier: BSD-2-Clause */
/* How this host looks up names (resolv.conf(5)), for guests that look them up by --net user. */
#pragma once

#include "vmm/types.h"

#define RESOLV_MAX_DOMAINS 6   /* every C library takes that many */
#define RESOLV_MAX_TEXT    256 /* bytes of all domains, and also of the options */

struct resolv {
	char text[RESOLV_MAX_TEXT];                 /* what domain[] points to */
	const char *domain[RESOLV_MAX_DOMAINS + 1]; /* domains to search; ends with NULL */
	char options[RESOLV_MAX_TEXT];              /* separated by blanks; "": none */
	bool has4, first6;                          /* any server is IPv4; the first is IPv6 */
};

/* Reads the file at path, which may be missing. What makes no sense in it is left out. r->domain
 * points into *r, so don't copy *r. */
void resolv_read(struct resolv *r, const char *path);
