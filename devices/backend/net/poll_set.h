/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptors that a library waits for by asking again and again, as an epoll set that a loop
 * can watch: each round the library says which, and learns what became of them. In EPOLL*.
 */
#pragma once

#include <sys/epoll.h>

#include "vmm/types.h"

struct poll_entry {
	int fd;
	uint32_t wanted;
	uint32_t armed; /* in the epoll set; 0: it isn't there */
	uint32_t happened;
};

struct poll_set {
	int fd;                   /* for the loop: EPOLLIN when anything has happened */
	struct poll_entry *entry; /* of those that are wanted, so that a round costs no more */
	size_t nr, room;
	uint32_t *place; /* by descriptor: the entry's + 1, or 0 */
	size_t nr_places;
};

/* 0 or -errno, not logged. poll_set_destroy() is safe after a failure. */
int poll_set_init(struct poll_set *s) __must_check;
void poll_set_destroy(struct poll_set *s);

/* fd is new: what was known about its number is history. */
void poll_set_forget(struct poll_set *s, int fd);
/* fd is about to be closed. */
void poll_set_remove(struct poll_set *s, int fd);

/* A new round: nothing is wanted; wait for events of fd (false: memory is short); that was all.
 * poll_set_end() returns whether anything is wanted. */
void poll_set_begin(struct poll_set *s);
bool poll_set_want(struct poll_set *s, int fd, uint32_t events);
bool poll_set_end(struct poll_set *s);

/* Notes what has happened by now; what happened to fd; forgets it. */
void poll_set_look(struct poll_set *s);
uint32_t poll_set_happened(const struct poll_set *s, int fd);
void poll_set_done(struct poll_set *s);
