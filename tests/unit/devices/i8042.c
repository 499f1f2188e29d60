/* SPDX-License-Identifier: BSD-2-Clause */
#include "i8042.h"

#include "told.h"

static void resets_the_machine(void **state __unused)
{
	struct told told = { 0 };
	struct i8042 k;

	i8042_init(&k, &(struct power){ tell, &told });
	out(&k.dev, I8042_COMMAND, 0xff); /* pulses no line */
	out(&k.dev, I8042_DATA, 0xfe);    /* a byte for the keyboard */
	out(&k.dev, 2, 0xfe);
	assert_int_equal(told.events, 0);
	out(&k.dev, I8042_COMMAND, 0xfe);
	assert_int_equal(told.events, 1);
	assert_int_equal(told.what, POWER_RESET);
	i8042_destroy(&k);
}

static void answers_a_probe_with_nothing_plugged_in(void **state __unused)
{
	struct told told = { 0 };
	struct i8042 k;

	i8042_init(&k, &(struct power){ tell, &told });
	assert_int_equal(in(&k.dev, I8042_COMMAND), 0x04); /* idle: neither buffer is full */
	out(&k.dev, I8042_COMMAND, 0xaa);
	assert_int_equal(in(&k.dev, I8042_COMMAND), 0x0d);
	assert_int_equal(in(&k.dev, I8042_DATA), 0x55);
	assert_int_equal(in(&k.dev, I8042_COMMAND), 0x0c);
	out(&k.dev, I8042_COMMAND, 0xab);
	assert_int_not_equal(in(&k.dev, I8042_DATA), 0); /* no keyboard */
	out(&k.dev, I8042_COMMAND, 0xa9);
	assert_int_not_equal(in(&k.dev, I8042_DATA), 0); /* no mouse */
	out(&k.dev, I8042_DATA, 0xed);
	assert_int_equal(in(&k.dev, I8042_COMMAND), 0x04); /* no answer */
	assert_int_equal(in(&k.dev, 1), 0xff);
	i8042_destroy(&k);
}

static void keeps_its_configuration(void **state __unused)
{
	struct told told = { 0 };
	struct i8042 k;

	i8042_init(&k, &(struct power){ tell, &told });
	out(&k.dev, I8042_COMMAND, 0x20);
	assert_int_equal(in(&k.dev, I8042_DATA), 0x30);
	out(&k.dev, I8042_COMMAND, 0x60);
	out(&k.dev, I8042_DATA, 0x47);
	out(&k.dev, I8042_DATA, 0x11); /* not an argument any more */
	out(&k.dev, I8042_COMMAND, 0x20);
	assert_int_equal(in(&k.dev, I8042_DATA), 0x47);
	i8042_destroy(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resets_the_machine),
		cmocka_unit_test(answers_a_probe_with_nothing_plugged_in),
		cmocka_unit_test(keeps_its_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
