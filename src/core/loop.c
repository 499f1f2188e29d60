/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "vmm/event.h"
#include "vmm/log.h"

int loop_init(struct loop *l)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };

	*l = (struct loop){
		.epoll_fd = -1,
		.wake_fd = -1,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.idle = PTHREAD_COND_INITIALIZER,
	};
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		return log_errno("event loop: epoll_create1");
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake_fd < 0)
		return log_errno("event loop: eventfd");
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev) < 0)
		return log_errno("event loop: epoll_ctl");
	return 0;
}

void loop_destroy(struct loop *l)
{
	close_fd(&l->wake_fd);
	close_fd(&l->epoll_fd);
}

static int loop_ctl(struct loop *l, int op, struct loop_source *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	return epoll_ctl(l->epoll_fd, op, src->fd, &ev) < 0 ? -errno : 0;
}

int loop_add(struct loop *l, struct loop_source *src, uint32_t events)
{
	return loop_ctl(l, EPOLL_CTL_ADD, src, events);
}

int loop_change(struct loop *l, struct loop_source *src, uint32_t events)
{
	return loop_ctl(l, EPOLL_CTL_MOD, src, events);
}

void loop_remove(struct loop *l, struct loop_source *src)
{
	/* It fails only for a source that is not there, which is what the caller wants. */
	(void)loop_ctl(l, EPOLL_CTL_DEL, src, 0);
}

static void loop_dispatch(struct loop_source *src, uint32_t events)
{
	pthread_mutex_t *lock = src->lock; /* fn may free src */

	if (lock)
		pthread_mutex_lock(lock); /* door 2 of 2: docs/threads.md */
	src->fn(src, events);
	if (lock)
		pthread_mutex_unlock(lock);
}

/* Returns the timeout for epoll_wait() in ms; -1, for ever, if until is UINT64_MAX. */
static int ms_until(uint64_t until)
{
	const uint64_t now = until == UINT64_MAX ? 0 : monotonic_ns();

	if (until == UINT64_MAX)
		return -1;
	return until > now ? (int)min((until - now) / 1000000 + 1, (uint64_t)INT_MAX) : 0;
}

static bool is_stopped(struct loop *l)
{
	return __atomic_load_n(&l->stop, __ATOMIC_ACQUIRE);
}

static bool is_parked(struct loop *l)
{
	return __atomic_load_n(&l->parks, __ATOMIC_ACQUIRE) > 0;
}

static void set_busy(struct loop *l, bool busy)
{
	l->busy = busy;
	if (!busy)
		pthread_cond_broadcast(&l->idle);
}

/* Waits while the loop is parked, unless something else ends its run. loop_go_on() wakes it by the
 * eventfd, as loop_stop() does, which a signal handler may call. */
static void wait_while_parked(struct loop *l, uint64_t until)
{
	struct pollfd wake = { .fd = l->wake_fd, .events = POLLIN };

	pthread_mutex_lock(&l->lock);
	while (is_parked(l) && !is_stopped(l) && ms_until(until) != 0) {
		set_busy(l, false);
		pthread_mutex_unlock(&l->lock);
		(void)poll(&wake, 1, ms_until(until));
		event_take(l->wake_fd);
		pthread_mutex_lock(&l->lock);
	}
	set_busy(l, !is_parked(l));
	pthread_mutex_unlock(&l->lock);
}

/* Waits for one event and dispatches it. Returns 0 or -errno, logged. */
static int loop_step(struct loop *l, uint64_t until)
{
	struct epoll_event ev;
	/* It takes one event at a time, because a callback may remove any other source. */
	const int n = epoll_wait(l->epoll_fd, &ev, 1, ms_until(until));

	if (n < 0 && errno != EINTR)
		return log_errno("event loop: epoll_wait");
	if (n == 1 && ev.data.ptr)
		loop_dispatch(ev.data.ptr, ev.events);
	else if (n == 1)
		event_take(l->wake_fd); /* whoever wakes us sets stop or parks first */
	return 0;
}

int loop_run_until(struct loop *l, uint64_t until)
{
	int rc = 0;

	wait_while_parked(l, until);
	while (rc == 0 && !is_stopped(l) && ms_until(until) != 0) {
		if (is_parked(l))
			wait_while_parked(l, until);
		else
			rc = loop_step(l, until);
	}
	pthread_mutex_lock(&l->lock);
	set_busy(l, false);
	pthread_mutex_unlock(&l->lock);
	return rc;
}

int loop_run(struct loop *l)
{
	return loop_run_until(l, UINT64_MAX);
}

void loop_rearm(struct loop *l)
{
	/* The order matters: whoever stops the loop sets the flag, then wakes it. And the exchange
	 * acquires: our caller sees what was done before a stop that is forgotten here. */
	event_take(l->wake_fd);
	(void)__atomic_exchange_n(&l->stop, false, __ATOMIC_ACQ_REL);
}

void loop_stop(struct loop *l)
{
	__atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
	event_signal(l->wake_fd);
}

void loop_park(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	__atomic_add_fetch(&l->parks, 1, __ATOMIC_RELEASE);
	event_signal(l->wake_fd);
	while (l->busy)
		pthread_cond_wait(&l->idle, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

void loop_go_on(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	assert(l->parks > 0);
	__atomic_sub_fetch(&l->parks, 1, __ATOMIC_RELEASE);
	event_signal(l->wake_fd);
	pthread_mutex_unlock(&l->lock);
}
