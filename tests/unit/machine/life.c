/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/life.h"

#include "capture.h"
#include "test.h"

#define MS 1000000ull

static void short_lives_wait_longer_and_longer(void **state __unused)
{
	static const uint64_t want_ms[] = { 0,   0,   0,    0,    0,    100, 200,
					    400, 800, 1600, 3200, 5000, 5000 };
	unsigned short_lives = 0;
	struct capture c;

	capture_begin(&c);
	for (size_t i = 0; i < ARRAY_SIZE(want_ms); i++)
		assert_int_equal(life_pause(&short_lives, 999 * MS), want_ms[i] * MS);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(life_pause(&short_lives, 0), 5000 * MS);
	capture_end(&c);
	assert_non_null(strstr(c.text, "has reset itself 6 times"));
	assert_null(strchr(strchr(c.text, '\n') + 1, '\n')); /* it is said once */
}

static void a_life_that_lasted_is_forgiven(void **state __unused)
{
	unsigned short_lives = 0;
	struct capture c;

	capture_begin(&c);
	for (unsigned i = 0; i < 20; i++)
		(void)life_pause(&short_lives, 0);
	assert_int_equal(life_pause(&short_lives, 1000 * MS), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(life_pause(&short_lives, 0), 0);
	assert_int_equal(life_pause(&short_lives, 0), 100 * MS);
	capture_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_lives_wait_longer_and_longer),
		cmocka_unit_test(a_life_that_lasted_is_forgiven),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
