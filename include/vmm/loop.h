/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A loop waits for descriptors (epoll) and calls back, on the one thread that runs it.
 *
 * A source is embedded in its owner; the callback is door 2 of the two places where a device's lock
 * is taken (the other is bus dispatch): source->lock, when not NULL, is held around fn. Any thread
 * adds and changes sources. The loop's own thread removes them, or another one while the loop is
 * not running, so that a callback never meets a source that is gone. (Another thread may also
 * remove one with its lock held, if the source stays in memory and its callback expects to be
 * called once more: docs/threads.md.)
 *
 * A loop that polls looks for work in memory before it waits (vmm/polling.h), by its pollers. They
 * are called with their lock like a source's callback, but don't wait for it: a poller whose lock
 * another thread has, for longer than an access to a register takes, is left out.
 */
#pragma once

#include <pthread.h>
#include <sys/epoll.h>

#include "vmm/patience.h"
#include "vmm/polling.h"
#include "vmm/types.h"

struct loop_source {
	int fd; /* not owned */
	void (*fn)(struct loop_source *src, uint32_t events);
	pthread_mutex_t *lock; /* or NULL; not owned */
};

/* Embedded in its owner. */
struct loop_poller {
	/* Is there work? Does it, and returns true. This is a look at memory: it makes no system
	 * call when there is none. */
	bool (*look)(struct loop_poller *p);
	/* The loop is going to wait: from now on work must be told by a descriptor. Returns true if
	 * there already is some, which can't be told any more. NULL: it always is told. */
	bool (*rest)(struct loop_poller *p);
	pthread_mutex_t *lock; /* not owned */

	/* The loop's: */
	bool looked; /* after it was last told to rest */
	struct loop_poller *next;
};

struct loop {
	int epoll_fd, wake_fd;
	bool stop; /* atomic */

	/* loop_park() */
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned parks; /* atomic; changed with the lock held */
	bool busy;      /* a thread runs it, and isn't parked */

	/* How long the last bytes of its sources are waited for. NULL: for ever. Not owned; set
	 * before the loop runs. */
	struct patience *patience;

	struct polling polling;
	struct loop_poller *pollers;
	uint64_t checked_ns; /* when the descriptors were last asked */
};

/* Returns 0 or -errno, logged. loop_destroy() is safe after a failure, and on {.epoll_fd = -1,
 * .wake_fd = -1}. */
int loop_init(struct loop *l) __must_check;
void loop_destroy(struct loop *l);

/* Watches src->fd for events (EPOLLIN, EPOLLOUT, …; level-triggered unless EPOLLET). Returns 0 or
 * -errno, not logged: -EPERM means that the descriptor is a regular file, which is always ready. */
int loop_add(struct loop *l, struct loop_source *src, uint32_t events) __must_check;
int loop_change(struct loop *l, struct loop_source *src, uint32_t events) __must_check;
void loop_remove(struct loop *l, struct loop_source *src);

/* Adds what the loop looks at before it waits, if it polls, and removes it, if it is there. No
 * thread runs the loop. */
void loop_add_poller(struct loop *l, struct loop_poller *p);
void loop_remove_poller(struct loop *l, struct loop_poller *p);

/* Lets the loop poll; load_fd is polling_open()'s, and outlives the loop. No thread runs it yet. */
void loop_poll(struct loop *l, int load_fd);

/* Dispatches until loop_stop(). Returns 0 or -errno, logged. */
int loop_run(struct loop *l) __must_check;

/* The same, but it returns when monotonic_ns() reaches until, at the latest. */
int loop_run_until(struct loop *l, uint64_t until) __must_check;

/* Forgets every loop_stop() before this, so that the loop can run again. The thread that ran it
 * calls this. */
void loop_rearm(struct loop *l);

/* Makes loop_run() return soon, or at once when it is called later. Any thread;
 * async-signal-safe. */
void loop_stop(struct loop *l);

/* Returns when no callback runs, and none runs again before loop_go_on(): the loop's thread waits
 * between two of them, or before the first one if it doesn't run the loop yet. loop_stop() and the
 * time of loop_run_until() still end its run. Any thread but the loop's own calls these, without a
 * lock that a callback takes. Each loop_park() needs a loop_go_on(). */
void loop_park(struct loop *l);
void loop_go_on(struct loop *l);
