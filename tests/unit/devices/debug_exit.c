/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug_exit.h"

#include "told.h"

static void gives_an_odd_status(void **state __unused)
{
	struct told told = { 0 };
	struct debug_exit d;

	debug_exit_init(&d, &(struct power){ tell, &told });
	assert_int_equal(in(&d.dev, 0), 0);
	out(&d.dev, 0, 0x10);
	assert_int_equal(told.what, POWER_DEBUG_EXIT);
	assert_int_equal(told.value, 0x21);
	d.dev.ops->write(&d.dev, 0, 4, 0x80000000);
	assert_int_equal(told.value, 1);
	assert_int_equal(told.events, 2);
	debug_exit_destroy(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_an_odd_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
