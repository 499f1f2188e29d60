/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/event.h"

#include <sys/eventfd.h>

#include "vmm/types.h"
#include "test.h"

static void it_is_signalled_until_it_is_taken(void **state __unused)
{
	AUTO_CLOSE int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_false(event_take(fd));
	event_signal(fd);
	event_signal(fd);
	assert_true(event_take(fd));
	assert_false(event_take(fd));
}

static void a_full_one_is_signalled(void **state __unused)
{
	AUTO_CLOSE int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const uint64_t most = UINT64_MAX - 1;

	assert_int_equal(write(fd, &most, sizeof(most)), sizeof(most));
	event_signal(fd);
	assert_true(event_take(fd));
	assert_false(event_take(fd));
}

/* Another process that has the eventfd may have made it blocking. */
static void an_empty_one_that_blocks_is_not_waited_for(void **state __unused)
{
	AUTO_CLOSE int fd = eventfd(0, EFD_CLOEXEC);

	assert_false(event_take(fd));
	event_signal(fd);
	assert_true(event_take(fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_signalled_until_it_is_taken),
		cmocka_unit_test(a_full_one_is_signalled),
		cmocka_unit_test(an_empty_one_that_blocks_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
