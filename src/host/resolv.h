/* SPDX-License-Identifier: BSD-2-Clause */
/* How this host looks for names (resolv.conf(5)), for guests that do it by --net user. */
#pragma once

#include "vmm/types.h"

#define RESOLV_MAX_DOMAINS 6   /* as many as every C library takes */
#define RESOLV_MAX_TEXT    256 /* bytes, of all of them and of the options */

struct resolv {
	char text[RESOLV_MAX_TEXT];                 /* what domain[] points to */
	const char *domain[RESOLV_MAX_DOMAINS + 1]; /* to look in; ends with NULL */
	char options[RESOLV_MAX_TEXT];              /* with blanks between them; "": none */
	bool has4, first6;                          /* servers by IPv4; the first one is by IPv6 */
};

/* Reads the file at path, which may be missing. What makes no sense in it is left out. r->domain
 * points into *r: it is not to be copied. */
void resolv_read(struct resolv *r, const char *path);
