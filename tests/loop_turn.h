/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/loop.h"

/* Makes a loop, which no thread runs, do what it finds ready first, without waiting. False: nothing
 * was ready. */
static inline bool loop_turn(struct loop *l)
{
	struct epoll_event ev;
	struct loop_source *src;
	uint64_t n;

	if (epoll_wait(l->epoll_fd, &ev, 1, 0) != 1)
		return false;
	src = ev.data.ptr;
	if (!src) /* it was woken to stop */
		return read(l->wake_fd, &n, sizeof(n)) > 0;
	pthread_mutex_lock(src->lock);
	src->fn(src, ev.events);
	pthread_mutex_unlock(src->lock);
	return true;
}
