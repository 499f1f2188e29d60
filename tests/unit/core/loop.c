/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/loop.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "test.h"
#include "vmm/event.h"

struct waker {
	struct loop_source src;
	struct loop *loop;
	pthread_mutex_t lock;
	struct waker *remove; /* another source, which the callback removes */
	unsigned calls;
};

static void woken(struct loop_source *src, uint32_t events)
{
	struct waker *w = container_of(src, struct waker, src);
	uint64_t n;

	assert_int_equal(events, EPOLLIN);
	assert_int_equal(pthread_mutex_trylock(&w->lock), EBUSY); /* door 2: the lock is held */
	assert_int_equal(read(src->fd, &n, sizeof(n)), sizeof(n));
	w->calls++;
	if (w->remove) {
		loop_remove(w->loop, &w->remove->src);
		w->remove->remove = NULL;
	}
	loop_stop(w->loop);
}

static void waker_init(struct waker *w, struct loop *l)
{
	*w = (struct waker){ .loop = l, .lock = PTHREAD_MUTEX_INITIALIZER };
	w->src = (struct loop_source){ .fd = eventfd(1, EFD_CLOEXEC),
				       .fn = woken,
				       .lock = &w->lock };
	assert_int_equal(loop_add(l, &w->src, EPOLLIN), 0);
}

static void a_source_is_called_with_its_lock(void **state __unused)
{
	struct loop l;
	struct waker w;

	assert_int_equal(loop_init(&l), 0);
	waker_init(&w, &l);
	assert_int_equal(loop_run(&l), 0);
	assert_int_equal(w.calls, 1);
	close(w.src.fd);
	loop_destroy(&l);
}

static void a_callback_may_remove_another_source(void **state __unused)
{
	struct loop l;
	struct waker w[2];

	assert_int_equal(loop_init(&l), 0);
	waker_init(&w[0], &l);
	waker_init(&w[1], &l);
	w[0].remove = &w[1]; /* whichever comes first removes the other, which is also ready */
	w[1].remove = &w[0];
	assert_int_equal(loop_run(&l), 0);
	assert_int_equal(w[0].calls + w[1].calls, 1);
	close(w[0].src.fd);
	close(w[1].src.fd);
	loop_destroy(&l);
}

static void *stopper(void *arg)
{
	loop_stop(arg);
	return NULL;
}

static void another_thread_stops_it(void **state __unused)
{
	struct loop l;
	pthread_t thread;

	assert_int_equal(loop_init(&l), 0);
	pthread_create(&thread, NULL, stopper, &l);
	assert_int_equal(loop_run(&l), 0);
	pthread_join(thread, NULL);
	loop_destroy(&l);
}

static void destroy_is_safe_on_what_never_was(void **state __unused)
{
	struct loop l = { .epoll_fd = -1, .wake_fd = -1 };

	loop_destroy(&l);
	loop_destroy(&l);
	assert_int_equal(l.epoll_fd, -1);
}

static void it_runs_until_a_time_and_again(void **state __unused)
{
	struct loop l;
	struct waker w;

	assert_int_equal(loop_init(&l), 0);
	assert_int_equal(loop_run_until(&l, monotonic_ns() + 1000000), 0);
	assert_int_equal(loop_run_until(&l, 0), 0);
	loop_stop(&l);
	loop_stop(&l);
	loop_rearm(&l);
	waker_init(&w, &l);
	assert_int_equal(loop_run(&l), 0); /* it waits for this one, not for what was stopped */
	assert_int_equal(w.calls, 1);
	assert_int_equal(loop_run_until(&l, UINT64_MAX), 0); /* it is still stopped */
	close(w.src.fd);
	loop_destroy(&l);
}

/* A loop with a thread of its own, and a source that is ready all the time until it is not. */
struct runner {
	struct loop loop;
	struct loop_source src;
	pthread_t thread;
	unsigned calls; /* not atomic: park and go on are what orders it */
	unsigned stop_at;
	bool inside; /* a callback runs */
};

static void count(struct loop_source *src, uint32_t events __unused)
{
	struct runner *r = container_of(src, struct runner, src);

	r->inside = true;
	for (int i = 0; i < 10; i++)
		sched_yield();
	if (++r->calls == r->stop_at)
		loop_stop(&r->loop);
	r->inside = false;
}

static void *run_it(void *arg)
{
	struct runner *r = arg;

	return loop_run(&r->loop) == 0 ? r : NULL;
}

static void runner_init(struct runner *r)
{
	*r = (struct runner){ 0 };
	assert_int_equal(loop_init(&r->loop), 0);
	r->src = (struct loop_source){ .fd = eventfd(1, EFD_CLOEXEC), .fn = count };
	assert_int_equal(loop_add(&r->loop, &r->src, EPOLLIN), 0);
}

static void runner_start(struct runner *r)
{
	assert_int_equal(pthread_create(&r->thread, NULL, run_it, r), 0);
}

static void runner_destroy(struct runner *r)
{
	void *end;

	pthread_join(r->thread, &end);
	assert_ptr_equal(end, r);
	close(r->src.fd);
	loop_destroy(&r->loop);
}

/* Gives the loop's thread a chance to do what it mustn't. */
static void assert_quiet(struct runner *r)
{
	const unsigned calls = r->calls;

	for (int i = 0; i < 100; i++) {
		assert_false(r->inside);
		sched_yield();
	}
	assert_int_equal(r->calls, calls);
}

static void a_parked_loop_calls_nobody(void **state __unused)
{
	struct runner r;

	runner_init(&r);
	runner_start(&r);
	for (int i = 0; i < 200; i++) {
		loop_park(&r.loop);
		assert_quiet(&r);
		loop_go_on(&r.loop);
	}
	/* It does go on. */
	loop_park(&r.loop);
	r.stop_at = r.calls + 3;
	loop_go_on(&r.loop);
	runner_destroy(&r);
	assert_int_equal(r.calls, r.stop_at);
}

static void it_goes_on_when_all_want_it(void **state __unused)
{
	struct runner r;

	runner_init(&r);
	runner_start(&r);
	loop_park(&r.loop);
	loop_park(&r.loop);
	loop_go_on(&r.loop);
	assert_quiet(&r);
	r.stop_at = r.calls + 1;
	loop_go_on(&r.loop);
	runner_destroy(&r);
}

static void a_loop_is_parked_before_it_runs(void **state __unused)
{
	struct runner r;

	runner_init(&r);
	loop_park(&r.loop);
	/* Its time ends it nevertheless. */
	assert_int_equal(loop_run_until(&r.loop, monotonic_ns() + 1000000), 0);
	assert_int_equal(loop_run_until(&r.loop, 0), 0);
	assert_int_equal(r.calls, 0);
	runner_start(&r);
	assert_quiet(&r);
	r.stop_at = 1;
	loop_go_on(&r.loop);
	runner_destroy(&r);
	assert_int_equal(r.calls, 1);
}

static void a_parked_loop_can_be_stopped(void **state __unused)
{
	struct runner r;
	void *end;

	runner_init(&r);
	runner_start(&r);
	loop_park(&r.loop);
	r.calls = 0;
	loop_stop(&r.loop);
	pthread_join(r.thread, &end);
	assert_ptr_equal(end, &r);
	assert_int_equal(r.calls, 0);
	/* The next run is still parked. */
	loop_rearm(&r.loop);
	runner_start(&r);
	assert_quiet(&r);
	r.stop_at = 1;
	loop_go_on(&r.loop);
	runner_destroy(&r);
}

/* -- polling --------------------------------------------------------------------------------- */

/* Work as a virtqueue has it: it can be seen in memory, and is told by an eventfd if it was asked
 * to. */
struct memory_work {
	struct loop loop;
	struct loop_poller poller;
	struct loop_source src;
	pthread_mutex_t lock;
	unsigned made, asked; /* atomic */
	unsigned done, told, looks;
	unsigned wanted; /* the loop is stopped after so much */
};

static bool work_look(struct loop_poller *p)
{
	struct memory_work *w = container_of(p, struct memory_work, poller);

	assert_int_equal(pthread_mutex_trylock(&w->lock), EBUSY);
	w->looks++;
	if (__atomic_load_n(&w->made, __ATOMIC_SEQ_CST) == w->done)
		return false;
	if (++w->done == w->wanted)
		loop_stop(&w->loop);
	return true;
}

static bool work_rest(struct loop_poller *p)
{
	struct memory_work *w = container_of(p, struct memory_work, poller);

	__atomic_store_n(&w->asked, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&w->made, __ATOMIC_SEQ_CST) != w->done;
}

static void work_told(struct loop_source *src, uint32_t events __unused)
{
	struct memory_work *w = container_of(src, struct memory_work, src);

	assert_true(event_take(src->fd));
	w->told++;
	do {
		while (w->done != w->wanted && work_look(&w->poller))
			;
	} while (w->done != w->wanted && work_rest(&w->poller)); /* the loop may not look */
}

static void make_work(struct memory_work *w)
{
	__atomic_add_fetch(&w->made, 1, __ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&w->asked, 0, __ATOMIC_SEQ_CST))
		event_signal(w->src.fd);
}

static void work_init(struct memory_work *w, const char *load)
{
	const int fd = memfd_create("loadavg", MFD_CLOEXEC);

	*w = (struct memory_work){ .lock = PTHREAD_MUTEX_INITIALIZER };
	assert_int_equal(write(fd, load, strlen(load)), strlen(load));
	assert_int_equal(loop_init(&w->loop), 0);
	loop_poll(&w->loop, fd);
	w->loop.polling.load_fd = fd; /* on a machine of one processor, too */
	w->loop.polling.processors = 2;
	w->src = (struct loop_source){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				       .fn = work_told,
				       .lock = &w->lock };
	w->poller = (struct loop_poller){ .look = work_look, .rest = work_rest, .lock = &w->lock };
	assert_int_equal(loop_add(&w->loop, &w->src, EPOLLIN), 0);
	loop_add_poller(&w->loop, &w->poller);
}

static void work_destroy(struct memory_work *w)
{
	loop_remove_poller(&w->loop, &w->poller);
	loop_remove_poller(&w->loop, &w->poller); /* it may be gone already */
	assert_null(w->loop.pollers);
	close(w->src.fd);
	close(w->loop.polling.load_fd);
	loop_destroy(&w->loop);
}

static void work_that_is_there_is_found_without_being_told(void **state __unused)
{
	struct memory_work w;

	work_init(&w, "0.00 0.00 0.00 1/1 1\n");
	w.made = w.wanted = 3;
	assert_int_equal(loop_run(&w.loop), 0);
	assert_int_equal(w.done, 3);
	assert_int_equal(w.told, 0);
	work_destroy(&w);
}

static void a_busy_host_is_not_polled_on(void **state __unused)
{
	struct memory_work w;

	work_init(&w, "0.00 0.00 0.00 3/3 1\n");
	w.made = w.wanted = 1;
	event_signal(w.src.fd);
	assert_int_equal(loop_run(&w.loop), 0);
	assert_int_equal(w.told, 1);
	assert_int_equal(w.looks, 1); /* that of work_told() */
	work_destroy(&w);
}

static void slow_work(struct loop_source *src, uint32_t events)
{
	usleep(2 * POLLING_MAX_NS / 1000);
	work_told(src, events);
}

/* What the loop learns from is how long there was no work, not how long the work took. This machine
 * may take longer than it should to say that there is work, so there are many tries. */
static void work_that_takes_long_does_not_end_the_polling(void **state __unused)
{
	struct memory_work w;

	work_init(&w, "0.00 0.00 0.00 3/3 1\n"); /* the host is busy: it doesn't look, but learns */
	w.src.fn = slow_work;
	for (unsigned i = 1; i < 1000 && w.loop.polling.ns <= POLLING_MIN_NS; i++) {
		w.made = w.wanted = i;
		event_signal(w.src.fd);
		assert_int_equal(loop_run(&w.loop), 0);
		loop_rearm(&w.loop);
	}
	assert_true(w.loop.polling.ns > POLLING_MIN_NS);
	work_destroy(&w);
}

/* Runs the loop until another source, whose lock is free, has had its turn. */
static void other_source_runs(struct memory_work *w)
{
	struct waker other;

	waker_init(&other, &w->loop); /* it stops the loop */
	assert_int_equal(loop_run(&w->loop), 0);
	assert_int_equal(other.calls, 1);
	loop_remove(&w->loop, &other.src);
	close(other.src.fd);
	loop_rearm(&w->loop);
}

/* A vCPU may have a device's lock for long; the loop's other devices don't wait for it. */
static void a_poller_whose_lock_is_taken_holds_nobody_up(void **state __unused)
{
	struct memory_work w;

	work_init(&w, "0.00 0.00 0.00 1/1 1\n");
	w.made = 1;
	w.poller.looked = true; /* it was looked at before the lock was taken */
	pthread_mutex_lock(&w.lock);
	other_source_runs(&w);
	assert_int_equal(w.looks, 0);
	assert_true(w.poller.looked);
	pthread_mutex_unlock(&w.lock);
	w.wanted = 1;
	assert_int_equal(loop_run(&w.loop), 0); /* nobody tells it, and yet it is done */
	assert_int_equal(w.done, 1);
	assert_int_equal(w.told, 0);
	work_destroy(&w);
}

static void *maker(void *arg)
{
	for (unsigned i = 0; i < 2000; i++) {
		make_work(arg);
		if (i % 100 == 0)
			sched_yield();
	}
	return NULL;
}

/* Whatever comes between looking and waiting, nothing is missed. */
static void no_work_is_missed(void **state __unused)
{
	struct memory_work w;
	pthread_t thread;

	work_init(&w, "0.00 0.00 0.00 1/1 1\n");
	w.wanted = 2000;
	w.asked = 1;
	assert_int_equal(pthread_create(&thread, NULL, maker, &w), 0);
	assert_int_equal(loop_run(&w.loop), 0);
	pthread_join(thread, NULL);
	assert_int_equal(w.done, 2000);
	work_destroy(&w);
}

/* A source has its turn, however much work there is in memory. */
static void descriptors_are_not_forgotten(void **state __unused)
{
	struct memory_work w;
	struct waker other;

	work_init(&w, "0.00 0.00 0.00 1/1 1\n");
	waker_init(&other, &w.loop); /* it stops the loop */
	w.made = UINT_MAX;
	assert_int_equal(loop_run(&w.loop), 0);
	assert_int_equal(other.calls, 1);
	assert_true(w.done > 0);
	close(other.src.fd);
	work_destroy(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_is_called_with_its_lock),
		cmocka_unit_test(a_callback_may_remove_another_source),
		cmocka_unit_test(another_thread_stops_it),
		cmocka_unit_test(destroy_is_safe_on_what_never_was),
		cmocka_unit_test(it_runs_until_a_time_and_again),
		cmocka_unit_test(a_parked_loop_calls_nobody),
		cmocka_unit_test(it_goes_on_when_all_want_it),
		cmocka_unit_test(a_loop_is_parked_before_it_runs),
		cmocka_unit_test(a_parked_loop_can_be_stopped),
		cmocka_unit_test(work_that_is_there_is_found_without_being_told),
		cmocka_unit_test(a_busy_host_is_not_polled_on),
		cmocka_unit_test(work_that_takes_long_does_not_end_the_polling),
		cmocka_unit_test(a_poller_whose_lock_is_taken_holds_nobody_up),
		cmocka_unit_test(no_work_is_missed),
		cmocka_unit_test(descriptors_are_not_forgotten),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
