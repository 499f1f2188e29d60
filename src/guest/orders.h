/* SPDX-License-Identifier: BSD-2-Clause */
/* The orders (wire.h) in parsed form. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "net.h"
#include "wire.h"

#define ORDERS_MAX_LIMITS 16

struct orders_share {
	bool writable;
	bool file;              /* mount GUEST_SHARE_FILE in its root there, not the root */
	const char *tag, *path; /* tag of the file system; where it goes */
};

struct orders {
	const char *module[GUEST_MAX_MODULES]; /* files, in the order in which they load */
	size_t nr_modules;
	const char *root;    /* tag of the root's file system; NULL: stay where we are */
	const char *overlay; /* size of the layer on top, as tmpfs takes it */
	struct orders_share share[GUEST_MAX_SHARES];
	size_t nr_shares;
	const char *hostname, *directory;
	bool net;                   /* ask for addresses */
	enum net_dns6 dns6;         /* ask for names, too */
	const char *resolv_options; /* for /etc/resolv.conf; NULL: there are none */
	bool terminal;              /* COMMAND gets a terminal of this size */
	unsigned short rows, cols;
	bool one_output; /* standard output and standard error both go to GUEST_STDOUT, in order */
	unsigned umask;
	uid_t uid;
	gid_t gid, group[GUEST_MAX_GROUPS];
	size_t nr_groups;
	struct {
		unsigned resource;
		struct rlimit value;
	} limit[ORDERS_MAX_LIMITS];
	size_t nr_limits;
	char **argv, **env; /* both end with NULL */
};

/* Parses text, len bytes of which the last is NUL; *o points into it from here on. Returns NULL, or
 * what is wrong. */
const char *orders_parse(struct orders *o, char *text, size_t len);
