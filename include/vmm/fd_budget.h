/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits the descriptors that a machine's devices take at the request of a guest or of a client.
 *
 * A process may have RLIMIT_NOFILE of them, for all its machines and for itself. So each machine
 * has a budget of a quarter of them, and each device that takes any (a user-mode network's sockets,
 * vsock's connections, the files of a shared directory) has a share of that: half of the budget is
 * divided evenly among the shares, so that no device can leave another one without any; the other
 * half goes to whoever comes first.
 *
 * Machines know nothing of each other, but the kernel gives the lowest number that is free. So a
 * descriptor whose number is in the last eighth of what the process may have means that the other
 * numbers are in use. From then on a share gets no more than the few that it may always have.
 *
 * What the options of a machine limit already (eventfds of its queues, a client of a console's
 * socket, a connection of --net socket) is not counted here: it comes out of what the budgets
 * leave.
 *
 * One thread sets a budget up, with all its shares, before anything is taken. After that each share
 * is used with its device's lock held. Several shares may use the budget at the same time, and each
 * may then exceed it by one.
 */
#pragma once

#include "vmm/log.h"

struct fd_budget {
	unsigned all;     /* how many may be taken */
	unsigned ceiling; /* this number and higher ones are for the process itself */
	unsigned nr_shares;
	unsigned common; /* how many are taken of the common half; atomic */
};

/* fd_budget_init() is for a process that may have limit descriptors; fd_budget_limit() returns what
 * RLIMIT_NOFILE says now. */
void fd_budget_init(struct fd_budget *b, uint64_t limit);
uint64_t fd_budget_limit(void);

struct fd_share {
	struct fd_budget *budget; /* not owned; NULL: only most limits it */
	const char *what;         /* not owned; for messages */
	unsigned most;            /* its limit, whatever the budget has */
	unsigned taken, borrowed; /* borrowed: how many of them are from the common half */
	bool high;                /* the last descriptor's number was at or above the ceiling */
	unsigned said;            /* 1 + taken when a refusal was last logged; 0: never */
	struct ratelimit log;
};

/* Makes a share of b, which outlives it. b may be NULL. */
void fd_share_init(struct fd_share *s, struct fd_budget *b, const char *what, unsigned most);

/* May nr more be taken? */
bool fd_share_room(const struct fd_share *s, unsigned nr);
/* Counts fd, which has just been opened. It may be one too many where that can't be avoided. */
void fd_share_take(struct fd_share *s, int fd);
/* Counts nr of them less, which were closed. */
void fd_share_give(struct fd_share *s, unsigned nr);

/* Logs that something was refused because there was no room; then not again until half was given
 * back. */
void fd_share_refused(struct fd_share *s);
