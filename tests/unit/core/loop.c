/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/loop.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "test.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_is_called_with_its_lock),
		cmocka_unit_test(a_callback_may_remove_another_source),
		cmocka_unit_test(another_thread_stops_it),
		cmocka_unit_test(destroy_is_safe_on_what_never_was),
		cmocka_unit_test(it_runs_until_a_time_and_again),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
