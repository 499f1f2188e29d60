/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's /etc/resolv.conf: which servers it asks for names, and how (resolv.conf(5)). */
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
	char search[DHCP_MAX_SEARCH]; /* domains, separated by blanks; "": none */
	const char *server6;          /* one that has an IPv6 address; NULL: there is none */
	bool first6;                  /* it comes before the others */
	const char *options;          /* the resolver's options; NULL: none */
};

/* Adds what a lease says, as far as there is room. */
void names_add(struct names *n, const struct dhcp_lease *lease);

/* Does that directory belong to root's own file system? If something is mounted there, it belongs
 * to somebody else: a share is the host's. */
bool names_directory_is_ours(const char *root, const char *directory);

/* Prints the file. */
void names_print(const struct names *n, FILE *f);
