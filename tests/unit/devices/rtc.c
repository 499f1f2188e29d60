/* SPDX-License-Identifier: BSD-2-Clause */
#include "rtc.h"

#include <time.h>

#include "test.h"

static int64_t clock_now; /* the host's clock; each look moves it by clock_step */
static int64_t clock_step;

static int64_t fake_now(void)
{
	clock_now += clock_step;
	return clock_now;
}

static uint8_t get(struct rtc *r, uint8_t i)
{
	r->dev.ops->write(&r->dev, RTC_INDEX, 1, i);
	return (uint8_t)r->dev.ops->read(&r->dev, RTC_DATA, 1);
}

static void set(struct rtc *r, uint8_t i, uint8_t v)
{
	r->dev.ops->write(&r->dev, RTC_INDEX, 1, i | 0x80); /* with the NMI masked */
	r->dev.ops->write(&r->dev, RTC_DATA, 1, v);
}

/* Returns the time as digits such as 20261121134559, read as a driver does. */
static uint64_t digits(struct rtc *r)
{
	const uint8_t order[] = { RTC_CENTURY, 9, 8, 7, 4, 2, 0 };
	uint64_t all = 0;

	assert_int_equal(get(r, 0xa) & 0x80, 0); /* UIP */
	for (size_t i = 0; i < sizeof(order); i++)
		all = all << 8 | get(r, order[i]);
	return all;
}

static void start(struct rtc *r, int64_t t)
{
	clock_now = t;
	clock_step = 0;
	rtc_init(r, fake_now);
}

#define NOV_21_2026 1795219200 /* a Saturday, 0:00 UTC */

static void it_shows_the_hosts_time(void **state __unused)
{
	struct timespec now;
	struct rtc r;

	start(&r, NOV_21_2026 + 13 * 3600 + 45 * 60 + 59);
	assert_int_equal(digits(&r), 0x20261121134559);
	assert_int_equal(get(&r, 6), 7);
	assert_int_equal(get(&r, 0xd), 0x80);
	assert_int_equal(get(&r, 0xc), 0);
	clock_now++;
	assert_int_equal(digits(&r), 0x20261121134600);
	rtc_destroy(&r);
	rtc_init(&r, NULL);
	digits(&r);
	/* time(2) may be a tick late, and then shows the previous second. */
	clock_gettime(CLOCK_REALTIME, &now);
	assert_in_range(now.tv_sec - r.state.taken, 0, 60);
	rtc_destroy(&r);
}

static void it_shows_binary_and_twelve_hours(void **state __unused)
{
	const struct {
		uint8_t hour, reg_b, shown;
	} t[] = {
		{ 0, 0x0, 0x12 },  { 1, 0x0, 0x01 },  { 11, 0x0, 0x11 }, { 12, 0x0, 0x92 },
		{ 13, 0x0, 0x81 }, { 23, 0x0, 0x91 }, { 0, 0x4, 12 },    { 12, 0x4, 0x80 | 12 },
		{ 23, 0x4, 0x8b }, { 23, 0x6, 23 },   { 23, 0x2, 0x23 },
	};
	struct rtc r;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		start(&r, NOV_21_2026 + t[i].hour * 3600 + 59);
		set(&r, 0xb, t[i].reg_b);
		assert_int_equal(get(&r, 4), t[i].shown);
		assert_int_equal(get(&r, 0), t[i].reg_b & 4 ? 59 : 0x59);
		set(&r, 4, t[i].shown); /* and reads it back the same way */
		assert_int_equal(r.state.offset, 0);
		rtc_destroy(&r);
	}
}

static void a_driver_never_sees_half_an_update(void **state __unused)
{
	struct rtc r;

	start(&r, NOV_21_2026 - 1);
	get(&r, 0xa);
	clock_now++; /* midnight, in the middle of reading */
	assert_int_equal(get(&r, 9), 0x26);
	assert_int_equal(get(&r, 7), 0x20);
	assert_int_equal(get(&r, 4), 0x23);
	assert_int_equal(get(&r, 0), 0);
	assert_int_equal(get(&r, 2), 0);
	assert_int_equal(get(&r, 7), 0x21);
	clock_now += 86400; /* a driver that reads a single register also sees the present */
	assert_int_equal(get(&r, 7), 0x22);
	rtc_destroy(&r);
}

static void setting_the_date_moves_it_against_the_host(void **state __unused)
{
	struct rtc r;

	start(&r, NOV_21_2026);
	set(&r, 0xb, 0x82);
	set(&r, 0, 0x58);
	set(&r, 2, 0x59);
	set(&r, 4, 0x23);
	set(&r, 7, 0x28);
	set(&r, 8, 0x02);
	set(&r, 9, 0x00);
	clock_now += 100; /* the clock stands while SET is on */
	assert_int_equal(get(&r, 0), 0x58);
	set(&r, 0xb, 0x02);
	assert_int_equal(digits(&r), 0x20000228235958);
	clock_now += 2;
	assert_int_equal(digits(&r), 0x20000229000000);
	set(&r, 4, 0x10); /* without SET */
	assert_int_equal(digits(&r), 0x20000229100000);
	rtc_destroy(&r);
}

static void nonsense_dates_are_dates_again(void **state __unused)
{
	struct rtc r;

	for (unsigned v = 0; v < 256; v++) {
		start(&r, NOV_21_2026);
		set(&r, 0xb, v & 1 ? 0x86 : 0x82);
		for (uint8_t i = 0; i < 10; i++)
			set(&r, i, (uint8_t)v);
		set(&r, RTC_CENTURY, (uint8_t)v);
		set(&r, 0xb, 0x02);
		get(&r, 0xa);
		assert_in_range(get(&r, 8), 0x01, 0x12);
		assert_in_range(get(&r, 7), 0x01, 0x31);
		assert_in_range(get(&r, 4), 0x00, 0x23);
		assert_true(r.state.taken >= 0);
		rtc_destroy(&r);
	}
}

static void memory_is_memory(void **state __unused)
{
	struct rtc r;

	start(&r, NOV_21_2026);
	for (uint8_t i = 0xe; i < 0x80; i++)
		if (i != RTC_CENTURY)
			set(&r, i, i ^ 0x55);
	for (uint8_t i = 1; i < 6; i += 2) /* the alarm's registers are plain memory, too */
		set(&r, i, i);
	digits(&r);
	for (uint8_t i = 0xe; i < 0x80; i++)
		if (i != RTC_CENTURY)
			assert_int_equal(get(&r, i), i ^ 0x55);
	for (uint8_t i = 1; i < 6; i += 2)
		assert_int_equal(get(&r, i), i);
	assert_int_equal(r.state.offset, 0);
	set(&r, 0xa, 0xff);
	assert_int_equal(get(&r, 0xa), 0x7f);
	set(&r, 0xd, 0);
	assert_int_equal(get(&r, 0xd), 0x80);
	assert_int_equal(r.dev.ops->read(&r.dev, RTC_INDEX, 1) & 0xff, 0xff);
	rtc_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_shows_the_hosts_time),
		cmocka_unit_test(it_shows_binary_and_twelve_hours),
		cmocka_unit_test(a_driver_never_sees_half_an_update),
		cmocka_unit_test(setting_the_date_moves_it_against_the_host),
		cmocka_unit_test(nonsense_dates_are_dates_again),
		cmocka_unit_test(memory_is_memory),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
