/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One direction of a stream: bytes from one descriptor to another through a buffer, no faster than
 * they are taken, until the one ends or the other's reader is gone. Both are non-blocking.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#define RELAY_BUFFER (128 << 10)

enum relay_end { RELAY_PIPE, RELAY_SOCKET, RELAY_TERMINAL };

struct relay {
	enum relay_end from_kind, to_kind;
	int from, to; /* owned, except sockets, of which one direction is shut down; -1: over */
	size_t head, len;
	char buffer[RELAY_BUFFER];
};

static inline bool relay_over(const struct relay *r)
{
	return r->from < 0 && r->to < 0;
}

/* Says what to poll(2) for: p[0] is from, p[1] is to; poll(2) ignores -1. */
void relay_poll(const struct relay *r, struct pollfd p[2]);

/* Does what poll(2) found possible. */
void relay_move(struct relay *r, const struct pollfd p[2]);

/* Ends it, and throws away what is in the buffer. */
void relay_stop(struct relay *r);
