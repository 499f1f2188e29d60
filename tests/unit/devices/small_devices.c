/* SPDX-License-Identifier: BSD-2-Clause */
/* i8042, pvpanic, pm and debug_exit: what a guest writes and what the machine is told. */
#include <errno.h>

#include "debug_exit.h"
#include "i8042.h"
#include "pm.h"
#include "pvpanic.h"
#include "test.h"

/* What the machine was told. */
struct told {
	unsigned events, value;
	enum power_event what;
};

static void tell(void *ctx, enum power_event what, unsigned value)
{
	*(struct told *)ctx = (struct told){ ((struct told *)ctx)->events + 1, value, what };
}

static unsigned edges;

static void count_edges(void *ctx, unsigned n, bool level)
{
	assert_int_equal(n, 9);
	if (level && !*(bool *)ctx)
		edges++;
	*(bool *)ctx = level;
}

static uint64_t in(struct dev *dev, uint64_t off)
{
	return dev->ops->read(dev, off, 1) & 0xff;
}

static void out(struct dev *dev, uint64_t off, uint64_t value)
{
	dev->ops->write(dev, off, 1, value);
}

static void i8042_resets_the_machine(void **state __unused)
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

static void i8042_answers_a_probe_with_nothing_plugged_in(void **state __unused)
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

static void i8042_keeps_its_configuration(void **state __unused)
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

static void pvpanic_tells_of_a_panic(void **state __unused)
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

static void debug_exit_gives_an_odd_status(void **state __unused)
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

static void pm_powers_off_and_resets(void **state __unused)
{
	bool line = false;
	struct told told = { 0 };
	struct pm p;

	pm_init(&p, &(struct irq_line){ count_edges, &line, 9 }, &(struct power){ tell, &told });
	out(&p.dev, PM_SLEEP_CONTROL, PM_SLP_TYP_S5 << 2); /* not enabled */
	out(&p.dev, PM_SLEEP_CONTROL, 3 << 2 | PM_SLP_EN); /* S3, not offered */
	out(&p.dev, PM_SLEEP_STATUS, 0x80);
	out(&p.dev, PM_RESET, 0);
	assert_int_equal(told.events, 0);
	assert_int_equal(in(&p.dev, PM_SLEEP_STATUS), 0);
	out(&p.dev, PM_SLEEP_CONTROL, PM_SLP_TYP_S5 << 2 | PM_SLP_EN);
	assert_int_equal(told.events, 1);
	assert_int_equal(told.what, POWER_OFF);
	out(&p.dev, PM_RESET, PM_RESET_VALUE);
	assert_int_equal(told.events, 2);
	assert_int_equal(told.what, POWER_RESET);
	pm_destroy(&p);
}

static void pm_signals_the_power_button_once_a_press(void **state __unused)
{
	bool line = false;
	struct told told = { 0 };
	struct pm p;

	edges = 0;
	pm_init(&p, &(struct irq_line){ count_edges, &line, 9 }, &(struct power){ tell, &told });
	assert_int_equal(in(&p.dev, PM_EVENTS), 0);
	pm_press_power_button(&p);
	assert_int_equal(edges, 1);
	assert_int_equal(in(&p.dev, PM_EVENTS), PM_EVENT_POWER_BUTTON);
	assert_int_equal(in(&p.dev, PM_EVENTS), 0); /* reading cleared it */
	pm_press_power_button(&p);
	assert_int_equal(edges, 2);
	assert_int_equal(in(&p.dev, PM_EVENTS), PM_EVENT_POWER_BUTTON);
	assert_int_equal(pthread_mutex_trylock(&p.dev.lock), 0); /* it was released */
	pthread_mutex_unlock(&p.dev.lock);
	assert_int_equal(told.events, 0);
	pm_destroy(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(i8042_resets_the_machine),
		cmocka_unit_test(i8042_answers_a_probe_with_nothing_plugged_in),
		cmocka_unit_test(i8042_keeps_its_configuration),
		cmocka_unit_test(pvpanic_tells_of_a_panic),
		cmocka_unit_test(debug_exit_gives_an_odd_status),
		cmocka_unit_test(pm_powers_off_and_resets),
		cmocka_unit_test(pm_signals_the_power_button_once_a_press),
	};

	return cmocka_run_group_tests_name("small_devices", tests, NULL, NULL);
}
