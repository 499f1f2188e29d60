/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/patience.h"

#include <pthread.h>
#include <unistd.h>

#include "test.h"

#define FOR_EVER_MS 100000000

static struct pollfd unreadable(int pipe_fd[2])
{
	assert_int_equal(pipe(pipe_fd), 0);
	return (struct pollfd){ .fd = pipe_fd[0], .events = POLLIN };
}

static void close_pipe(const int pipe_fd[2])
{
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void without_it_poll_is_poll(void **state __unused)
{
	int pipe_fd[2];
	struct pollfd p = unreadable(pipe_fd);

	assert_false(patience_over(NULL));
	assert_int_equal(patience_poll(NULL, &p, 0), 0);
	assert_int_equal(write(pipe_fd[1], "x", 1), 1);
	assert_int_equal(patience_poll(NULL, &p, FOR_EVER_MS), 1);
	assert_int_equal(p.revents, POLLIN);
	close_pipe(pipe_fd);
}

/* However many waits follow each other, they share one time. */
static void it_ends_by_itself_and_for_all(void **state __unused)
{
	int pipe_fd[2];
	struct pollfd p = unreadable(pipe_fd);
	struct patience patience;

	assert_int_equal(patience_init(&patience), 0);
	assert_false(patience_over(&patience));
	patience_begin(&patience, 20000000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(patience_poll(&patience, &p, FOR_EVER_MS), 0);
	assert_true(patience_over(&patience));
	assert_int_equal(write(pipe_fd[1], "x", 1), 1);
	assert_int_equal(patience_poll(&patience, &p, FOR_EVER_MS), 0); /* ready, but too late */
	patience_renew(&patience);
	assert_false(patience_over(&patience));
	assert_int_equal(patience_poll(&patience, &p, FOR_EVER_MS), 1);
	patience_destroy(&patience);
	close_pipe(pipe_fd);
}

static void *lose_it(void *patience)
{
	usleep(20000);
	patience_lose(patience);
	return NULL;
}

static void it_can_be_lost_while_somebody_waits(void **state __unused)
{
	int pipe_fd[2];
	struct pollfd p = unreadable(pipe_fd);
	struct patience patience;
	pthread_t thread;

	assert_int_equal(patience_init(&patience), 0);
	pthread_create(&thread, NULL, lose_it, &patience);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(patience_poll(&patience, &p, FOR_EVER_MS), 0);
	pthread_join(thread, NULL);
	patience_lose(&patience);
	patience_renew(&patience);
	assert_true(patience_over(&patience));
	patience_destroy(&patience);
	close_pipe(pipe_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_it_poll_is_poll),
		cmocka_unit_test(it_ends_by_itself_and_for_all),
		cmocka_unit_test(it_can_be_lost_while_somebody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
