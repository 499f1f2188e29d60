/* SPDX-License-Identifier: BSD-2-Clause */
/* A TAP as the other end of a network card. See tap.c. */
#pragma once

#include "backend/kept.h"
#include "backend/net/net.h"

struct net_tap_options {
	const char *option; /* for messages: "--net tap=tap0"; outlives the backend */
	const char *name;   /* NULL: a new one, whose name the kernel chooses */
	const char *bridge; /* NULL: none, or the one that it is in already */
	const char *script; /* is run with the interface's name as its argument; NULL: none */
	unsigned pairs;
	unsigned mtu;      /* 0: unchanged */
	struct kept *kept; /* outlives the backend; or NULL */
};

/* Attaches to the TAP of that name; if there is none, makes one, which disappears with this
 * process. Then puts it into the bridge, brings it up and runs the script. If a TAP is kept, takes
 * that instead, unchanged. Returns 0, or -errno, logged. */
int net_tap_open(const struct net_tap_options *o, struct net_backend **b) __must_check;

/* Takes an open TAP as somebody configured it. fd stays the caller's. Returns 0, or -errno,
 * logged. */
int net_tap_adopt(const char *option, int fd, struct kept *kept,
		  struct net_backend **b) __must_check;

/* -- without attaching to it, for a dry run (tap_try.c) -------------------------------------- */

/* Would net_tap_open() or net_tap_adopt() succeed, as far as can be seen? Returns 0, or -errno,
 * logged. */
int net_tap_try(const struct net_tap_options *o) __must_check;
int net_tap_try_fd(const char *option, int fd) __must_check;

/* Opens /dev/net/tun, for tap.c and tap_try.c. Returns the descriptor, which the caller owns; or
 * -errno, logged. */
int net_tap_open_device(const char *option) __must_check;
/* Each logs one reason why that fails, and returns -errno. */
int net_tap_not_allowed(const struct net_tap_options *o);
int net_tap_wrong_kind(const struct net_tap_options *o);
int net_tap_not_one(const char *option, int fd);
