/* SPDX-License-Identifier: BSD-2-Clause */
/* A TAP as the other end of a network card. See net_tap.c. */
#pragma once

#include "backend/kept.h"
#include "backend/net/net.h"

struct net_tap_options {
	const char *option; /* for messages: "--net tap=tap0"; outlives the backend */
	const char *name;   /* NULL: a new one, whose name the kernel chooses */
	const char *bridge; /* NULL: none, or the one that it is in */
	const char *script; /* to run with the interface's name as its argument; NULL: none */
	unsigned pairs;
	unsigned mtu;      /* 0: as it is */
	struct kept *kept; /* outlives the backend; or NULL */
};

/* Attaches to the TAP of that name, which is made when it isn't there and goes when we do; puts it
 * into the bridge, brings it up and runs the script. Or takes what is kept of that, as it is. 0 or
 * -errno, logged. */
int net_tap_open(const struct net_tap_options *o, struct net_backend **b) __must_check;

/* Takes an open TAP that somebody configured, as far as it goes: fd stays the caller's. 0 or
 * -errno, logged. */
int net_tap_adopt(const char *option, int fd, struct kept *kept,
		  struct net_backend **b) __must_check;

/* -- without attaching to it, for a dry run (net_tap_try.c) -- */

/* Would net_tap_open() do, or net_tap_adopt(), as far as can be seen? 0 or -errno, logged. */
int net_tap_try(const struct net_tap_options *o) __must_check;
int net_tap_try_fd(const char *option, int fd) __must_check;

/* What both have: /dev/net/tun, open, the caller's; or -errno, logged. */
int net_tap_open_device(const char *option) __must_check;
/* And why it does not: each logs that, and returns -errno. */
int net_tap_not_allowed(const struct net_tap_options *o);
int net_tap_wrong_kind(const struct net_tap_options *o);
int net_tap_not_one(const char *option, int fd);
