/* SPDX-License-Identifier: BSD-2-Clause */
#include "pvpanic.h"

#include "told.h"

static void tells_of_a_panic(void **state __unused)
{
	struct told told = { 0 };
	struct pvpanic p;

	pvpanic_init(&p, &(struct power){ tell, &told });
	assert_int_equal(in(&p.dev, 0), 3);
	out(&p.dev, 0, PVPANIC_CRASH_LOADED); /* goes on in the crash kernel */
	out(&p.dev, 0, 0x80);
	assert_int_equal(told.events, 0);
	out(&p.dev, 0, PVPANIC_PANICKED);
	assert_int_equal(told.events, 1);
	assert_int_equal(told.what, POWER_PANIC);
	pvpanic_destroy(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_of_a_panic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
