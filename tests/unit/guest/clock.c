/* SPDX-License-Identifier: BSD-2-Clause */
/* The time, computed from a line of the host's and a counter. */
#include "guest/clock.h"

#include <stdio.h>

#include "test.h"
#include "vmm/types.h"

static void a_line_is_understood(void **state __unused)
{
	static const char *const others[] = {
		"", "clock", "clock 1 2", "clock 1 2 x", "clock 1 2 3x", "signal 15",
	};
	struct clock_sample s;

	assert_true(clock_parse(&s, "clock 1234 1700000000123456789 2400000"));
	assert_int_equal(s.counter, 1234);
	assert_int_equal(s.real_ns, 1700000000123456789);
	assert_int_equal(s.khz, 2400000);
	assert_true(clock_parse(&s, "clock 0 0 0"));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(clock_parse(&s, others[i]));
}

static void the_counter_says_how_long_ago(void **state __unused)
{
	const struct clock_sample s = { .counter = 5000,
					.real_ns = 1700000000000000000,
					.khz = 2400001 };
	const unsigned long long day = 86400000ull;

	assert_int_equal(clock_at(&s, s.counter), s.real_ns);
	assert_int_equal(clock_at(&s, s.counter + s.khz), s.real_ns + 1000000);
	assert_int_equal(clock_at(&s, s.counter + s.khz / 2), s.real_ns + 499999);
	/* It neither overflows nor loses precision. */
	assert_int_equal(clock_at(&s, s.counter + 900 * day * s.khz + s.khz / 2),
			 s.real_ns + 900 * day * 1000000 + 499999);
}

static void what_is_not_known_is_not_set(void **state __unused)
{
	const struct clock_sample none = { 0 }, later = { .counter = 9, .real_ns = 9, .khz = 9 };

	assert_int_equal(clock_at(&none, 12345), 0);
	assert_int_equal(clock_at(&later, 8), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_understood),
		cmocka_unit_test(the_counter_says_how_long_ago),
		cmocka_unit_test(what_is_not_known_is_not_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
