/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
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
		.polling.load_fd = -1,
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

/* Waits for one event, for at most timeout_ms. It takes one at a time, because a callback may remove
 * any other source. Returns 1: there is one; 0; or -errno, logged. */
static int wait_for_event(struct loop *l, struct epoll_event *ev, int timeout_ms)
{
	const int n = epoll_wait(l->epoll_fd, ev, 1, timeout_ms);

	return n < 0 && errno == EINTR ? 0 : n < 0 ? log_errno("event loop: epoll_wait") : n;
}

static void handle_event(struct loop *l, const struct epoll_event *ev)
{
	if (ev->data.ptr)
		loop_dispatch(ev->data.ptr, ev->events);
	else
		event_take(l->wake_fd); /* whoever wakes us sets stop or parks first */
}

/* Does both. Returns as wait_for_event(). */
static int take_event(struct loop *l, int timeout_ms)
{
	struct epoll_event ev;
	const int rc = wait_for_event(l, &ev, timeout_ms);

	if (rc > 0)
		handle_event(l, &ev);
	return rc;
}

/* -- polling --------------------------------------------------------------------------------- */

#define DESCRIPTORS_NS 10000  /* between two questions to the kernel, while we look at memory */
#define RETRY_NS       500000 /* when a poller's lock was taken for long */
#define LOCK_TRIES     100    /* until it counts as that; some 30 us */

void loop_add_poller(struct loop *l, struct loop_poller *p)
{
	p->next = l->pollers;
	l->pollers = p;
}

void loop_remove_poller(struct loop *l, struct loop_poller *p)
{
	struct loop_poller **at = &l->pollers;

	while (*at && *at != p)
		at = &(*at)->next;
	if (*at)
		*at = p->next;
}

void loop_poll(struct loop *l, int load_fd)
{
	polling_init(&l->polling, load_fd);
}

/* Looks at all pollers but those whose lock another thread has, as it may have it for long. Returns
 * whether there was work. */
static bool look_at_all(struct loop *l)
{
	bool any = false;

	for (struct loop_poller *p = l->pollers; p; p = p->next) {
		if (pthread_mutex_trylock(p->lock)) /* door 2, too */
			continue;
		p->looked = true;
		any |= p->look(p);
		pthread_mutex_unlock(p->lock);
	}
	return any;
}

/* Nearly always another thread has it for no longer than an access to a register takes. */
static bool lock_soon(pthread_mutex_t *lock)
{
	unsigned tries = 0;

	while (pthread_mutex_trylock(lock)) {
		if (++tries == LOCK_TRIES)
			return false;
		sched_yield();
	}
	return true;
}

/* Tells the pollers that were looked at that the loop is going to wait. Returns whether there is work
 * already. *all: none was left out because its lock was taken for long. */
static bool rest_all(struct loop *l, bool *all)
{
	bool any = false;

	*all = true;
	for (struct loop_poller *p = l->pollers; p; p = p->next) {
		if (!p->looked)
			continue;
		if (!lock_soon(p->lock)) { /* door 2, too */
			*all = false;
			continue;
		}
		p->looked = false;
		any |= p->rest && p->rest(p);
		pthread_mutex_unlock(p->lock);
	}
	return any;
}

/* Looks at the pollers, and asks for events if that has not been done for some time. Returns as
 * take_event(). */
static int look_once(struct loop *l, uint64_t now)
{
	const bool found = look_at_all(l);
	int rc = 0;

	if (now - l->checked_ns >= DESCRIPTORS_NS) {
		l->checked_ns = now;
		rc = take_event(l, 0);
	}
	return rc < 0 ? rc : rc || found;
}

/* Looks for work for a moment. Adds to *idle_ns how long there was none. Returns as take_event(). */
static int look(struct loop *l, uint64_t *idle_ns)
{
	const uint64_t begin = monotonic_ns(), ns = polling_begin(&l->polling, begin);
	uint64_t now = begin;
	int rc = 0;

	while (rc == 0 && now - begin < ns) {
		const uint64_t before = now;

		rc = look_once(l, now);
		now = monotonic_ns();
		if (rc == 0 && polling_disturbed(&l->polling, now, now - before))
			break;
	}
	*idle_ns += now - begin;
	return rc;
}

/* Waits, and learns how long the next look should be. */
static int wait_and_adapt(struct loop *l, uint64_t until, uint64_t idle_ns)
{
	const uint64_t begin = monotonic_ns();
	struct epoll_event ev;
	const int rc = wait_for_event(l, &ev, ms_until(until));

	l->checked_ns = monotonic_ns();
	polling_adapt(&l->polling, idle_ns + l->checked_ns - begin);
	if (rc > 0)
		handle_event(l, &ev);
	return rc;
}

/* Returns as take_event(), when there was something to do, or at the given time. */
static int poll_and_wait(struct loop *l, uint64_t until)
{
	uint64_t idle_ns = 0;
	bool all;
	int rc = look(l, &idle_ns);

	if (rc != 0)
		return rc;
	if (rest_all(l, &all))
		return look_once(l, monotonic_ns());
	return wait_and_adapt(l, all ? until : min(until, monotonic_ns() + RETRY_NS), idle_ns);
}

/* -- running --------------------------------------------------------------------------------- */

static int loop_step(struct loop *l, uint64_t until)
{
	const bool polls = l->polling.load_fd >= 0 && l->pollers;
	const int rc = polls ? poll_and_wait(l, until) : take_event(l, ms_until(until));

	return min(rc, 0);
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
