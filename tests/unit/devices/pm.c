/* SPDX-License-Identifier: BSD-2-Clause */
#include "pm.h"

#include "told.h"

static unsigned edges;

static void count_edges(void *ctx, unsigned n, bool level)
{
	assert_int_equal(n, 9);
	if (level && !*(bool *)ctx)
		edges++;
	*(bool *)ctx = level;
}

static void powers_off_and_resets(void **state __unused)
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

static void signals_the_power_button_once_a_press(void **state __unused)
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
		cmocka_unit_test(powers_off_and_resets),
		cmocka_unit_test(signals_the_power_button_once_a_press),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
