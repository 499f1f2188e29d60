/* SPDX-License-Identifier: BSD-2-Clause */
#include "kvm/late_close.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/types.h"
#include "test.h"

/* Closes the last writer of a pipe, and returns what its reader sees within that time. */
static int ends_within(int timeout_ms)
{
	int pipe_fds[2], writer;
	struct pollfd end;

	assert_int_equal(pipe(pipe_fds), 0);
	end = (struct pollfd){ .fd = pipe_fds[0], .events = POLLIN };
	writer = pipe_fds[1];
	late_close(&pipe_fds[1]);
	assert_int_equal(pipe_fds[1], -1);
	assert_int_equal(fcntl(writer, F_GETFD), -1);
	(void)!poll(&end, 1, timeout_ms);
	close(pipe_fds[0]);
	return end.revents;
}

static void the_file_is_released_in_the_end(void **state __unused)
{
	assert_int_equal(ends_within(-1), POLLHUP);
}

static unsigned open_descriptors(void)
{
	unsigned nr = 0;

	for (int fd = 0; fd < 100; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

static void no_descriptor_is_left(void **state __unused)
{
	const unsigned before = open_descriptors();

	(void)ends_within(0);
	assert_int_equal(open_descriptors(), before);
}

static void it_is_released_at_once_where_no_ring_can_be_made(void **state __unused)
{
	struct rlimit limit, few;
	int pipe_fds[2];
	char c;

	assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	late_close(&pipe_fds[1]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(read(pipe_fds[0], &c, 1), 0);
	close(pipe_fds[0]);
}

static void what_is_closed_may_be_closed_again(void **state __unused)
{
	int fd = -1;

	late_close(&fd);
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_is_released_in_the_end),
		cmocka_unit_test(no_descriptor_is_left),
		cmocka_unit_test(it_is_released_at_once_where_no_ring_can_be_made),
		cmocka_unit_test(what_is_closed_may_be_closed_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
