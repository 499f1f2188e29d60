/* SPDX-License-Identifier: BSD-2-Clause */
/* The orders (wire.h), taken apart. */
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
	bool file;              /* not the root of it goes there, but GUEST_SHARE_FILE in it */
	const char *tag, *path; /* of the file system, and where it goes */
};

struct orders {
	const char *module[GUEST_MAX_MODULES]; /* files, in the order in which they load */
	size_t nr_modules;
	const char *root;    /* tag of the root's file system; NULL: stay where we are */
	const char *overlay; /* size of the layer on top, as tmpfs takes it */
	struct orders_share share[GUEST_MAX_SHARES];
	size_t nr_shares;
	const char *hostname, *folder;
	bool net;                   /* ask for addresses */
	enum net_dns6 dns6;         /* and names */
	const char *resolv_options; /* for /etc/resolv.conf; NULL: none */
	bool terminal;              /* COMMAND gets one, of this size */
	unsigned short rows, cols;
	bool one_output; /* of COMMAND's two: both go to GUEST_STDOUT, in order */
	unsigned umask;
	uid_t uid;
	gid_t gid, group[GUEST_MAX_GROUPS];
	size_t nr_groups;
	struct {
		unsigned resource;
		struct rlimit value;
	} limit[ORDERS_MAX_LIMITS];
	size_t nr_limits;
	char **argv, **env; /* end with NULL */
};

/* Takes text apart, len bytes of which the last is NUL; *o points into it from here on. NULL, or
 * what is wrong. */
const char *orders_parse(struct orders *o, char *text, size_t len);
