/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's /etc/resolv.conf: whom it asks for names, and how (resolv.conf(5)). */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "dhcp.h"

#define NAMES_MAX_SERVERS 3 /* as many as the C library reads */

struct names {
	struct in_addr server[NAMES_MAX_SERVERS];
	size_t nr_servers;
	char search[DHCP_MAX_SEARCH]; /* domains, with blanks between them; "": none */
	const char *server6;          /* one that is reached by IPv6; NULL: there is none */
	bool first6;                  /* it comes before the others */
	const char *options;          /* of the resolver; NULL: none */
};

/* Adds what a lease says. What there is no room for is left out. */
void names_add(struct names *n, const struct dhcp_lease *lease);

/* Is that directory root's own, and not in something that is mounted there? That is somebody
 * else's, as a share is the host's. */
bool names_folder_is_ours(const char *root, const char *folder);

/* Prints the file. */
void names_print(const struct names *n, FILE *f);
