/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many descriptors a machine's devices may take at the request of a guest or of a client.
 *
 * A process has RLIMIT_NOFILE of them, for all its machines and for itself. So each machine has a
 * budget of a quarter of them, and each device that takes any (a user-mode network's sockets,
 * vsock's connections, the files of a shared directory) has a share of that: half of the budget
 * belongs to the shares, evenly, so that no device can leave another without; the other half to
 * whoever comes first.
 *
 * Machines know nothing of each other, but the kernel gives the lowest number that is free: a
 * descriptor whose number is in the last eighth of what the process may have means that the rest is
 * in use. Then a share gets no more, but for the few that it has in any case.
 *
 * What the options of a machine bound (eventfds of its queues, a client of a console's socket, a
 * connection of --net socket) is not counted here: it is in what is left.
 *
 * A budget is set up by one thread, with all its shares, before anything is taken. Then each share
 * is used with its device's lock held; several may use the budget at a time, and may exceed it by
 * one each.
 */
#pragma once

#include "vmm/log.h"

struct fd_budget {
	unsigned all;     /* that may be taken */
	unsigned ceiling; /* numbers from here on are for the process itself */
	unsigned nr_shares;
	unsigned common; /* taken of the common half; atomic */
};

/* For a process that may have limit descriptors; or what RLIMIT_NOFILE says now. */
void fd_budget_init(struct fd_budget *b, uint64_t limit);
uint64_t fd_budget_limit(void);

struct fd_share {
	struct fd_budget *budget; /* not owned; NULL: there is no limit but most */
	const char *what;         /* not owned; for messages */
	unsigned most;            /* whatever the budget has */
	unsigned taken, borrowed; /* borrowed: of those, from the common half */
	bool high;                /* the last one's number said that the process has few left */
	unsigned said;            /* 1 + taken when a refusal was last mentioned; 0: never */
	struct ratelimit log;
};

/* One more share of b (or of NULL), which outlives it. */
void fd_share_init(struct fd_share *s, struct fd_budget *b, const char *what, unsigned most);

/* May nr more be taken? */
bool fd_share_room(const struct fd_share *s, unsigned nr);
/* Counts fd, which has just been opened; also one too many, where that can't be helped. */
void fd_share_take(struct fd_share *s, int fd);
/* nr of them are closed. */
void fd_share_give(struct fd_share *s, unsigned nr);

/* Something was refused for want of room. Says so, and again only after half was given back. */
void fd_share_refused(struct fd_share *s);
