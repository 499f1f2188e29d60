/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptors that a library waits for by asking again and again, as an epoll set that a loop
 * can watch: in each round the library says which ones, and learns what happened to them. Events
 * are EPOLL*.
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
	struct poll_entry *entry; /* the wanted ones only, so that a round costs no more */
	size_t nr, room;
	uint32_t *place; /* indexed by descriptor: the number of its entry + 1, or 0 */
	size_t nr_places;
};

/* Returns 0, or -errno, not logged. poll_set_destroy() is safe after a failure. */
int poll_set_init(struct poll_set *s) __must_check;
void poll_set_destroy(struct poll_set *s);

/* fd is new: forgets what was known of an earlier one with its number. */
void poll_set_forget(struct poll_set *s, int fd);
/* fd is about to be closed. */
void poll_set_remove(struct poll_set *s, int fd);

/* begin starts a new round, in which nothing is wanted yet; want waits for events of fd (false: out
 * of memory); end ends the round and returns whether anything is wanted. */
void poll_set_begin(struct poll_set *s);
bool poll_set_want(struct poll_set *s, int fd, uint32_t events);
bool poll_set_end(struct poll_set *s);

/* look notes what has happened by now, and returns whether anything has; happened says what happened
 * to fd; done forgets it all. */
bool poll_set_look(struct poll_set *s);
uint32_t poll_set_happened(const struct poll_set *s, int fd);
void poll_set_done(struct poll_set *s);
