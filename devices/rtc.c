/* SPDX-License-Identifier: BSD-2-Clause */
#include "rtc.h"

#include <time.h>

enum {
	SECONDS = 0,
	MINUTES = 2,
	HOURS = 4,
	WEEKDAY = 6,
	DAY = 7,
	MONTH = 8,
	YEAR = 9,
	REG_A = 0xa,
	REG_B = 0xb,
	REG_C = 0xc,
	REG_D = 0xd,
};
enum { A_1024HZ = 6, A_32KHZ = 2 << 4, A_UIP = 1 << 7 };
enum { B_24H = 1 << 1, B_BINARY = 1 << 2, B_SET = 1 << 7 };
enum { D_POWER_GOOD = 1 << 7 };
enum { HOURS_PM = 1 << 7 };

static int64_t host_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t); /* time() is up to a tick late */
	return t.tv_sec;
}

static uint8_t rtc_encode(const struct rtc_state *s, int v)
{
	return (uint8_t)(s->mem[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static int rtc_decode(const struct rtc_state *s, uint8_t v)
{
	return s->mem[REG_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 0xf);
}

static uint8_t rtc_encode_hours(const struct rtc_state *s, int hours)
{
	if (s->mem[REG_B] & B_24H)
		return rtc_encode(s, hours);
	return (uint8_t)(rtc_encode(s, (hours + 11) % 12 + 1) | (hours >= 12 ? HOURS_PM : 0));
}

static int rtc_decode_hours(const struct rtc_state *s, uint8_t v)
{
	if (s->mem[REG_B] & B_24H)
		return rtc_decode(s, v);
	return rtc_decode(s, v & ~HOURS_PM) % 12 + (v & HOURS_PM ? 12 : 0);
}

/* Takes the time now and shows it in the registers. */
static void rtc_take(struct rtc *r)
{
	struct rtc_state *s = &r->state;
	struct tm tm;
	int year;

	s->taken = r->now() + s->offset;
	gmtime_r(&(time_t){ s->taken }, &tm);
	year = tm.tm_year + 1900;
	s->mem[SECONDS] = rtc_encode(s, tm.tm_sec);
	s->mem[MINUTES] = rtc_encode(s, tm.tm_min);
	s->mem[HOURS] = rtc_encode_hours(s, tm.tm_hour);
	s->mem[WEEKDAY] = rtc_encode(s, tm.tm_wday + 1);
	s->mem[DAY] = rtc_encode(s, tm.tm_mday);
	s->mem[MONTH] = rtc_encode(s, tm.tm_mon + 1);
	s->mem[YEAR] = rtc_encode(s, year % 100);
	s->mem[RTC_CENTURY] = rtc_encode(s, year / 100);
}

/* Makes the clock go on from what the registers say. */
static void rtc_set(struct rtc *r)
{
	struct rtc_state *s = &r->state;
	const uint8_t *m = s->mem;
	struct tm tm = {
		.tm_sec = rtc_decode(s, m[SECONDS]),
		.tm_min = rtc_decode(s, m[MINUTES]),
		.tm_hour = rtc_decode_hours(s, m[HOURS]),
		.tm_mday = rtc_decode(s, m[DAY]),
		.tm_mon = rtc_decode(s, m[MONTH]) - 1,
		.tm_year = rtc_decode(s, m[RTC_CENTURY]) * 100 + rtc_decode(s, m[YEAR]) - 1900,
	};

	/* gmtime() must never see a year below zero: digits can't show it. */
	s->offset = max(timegm(&tm), 0l) - r->now();
}

static bool is_time(uint8_t i)
{
	return i == SECONDS || i == MINUTES || (i >= HOURS && i <= YEAR && i != HOURS + 1) ||
	       i == RTC_CENTURY;
}

static uint8_t rtc_read_register(struct rtc *r, uint8_t i)
{
	const struct rtc_state *s = &r->state;
	bool stale = i == REG_A || i == SECONDS || r->now() + s->offset - s->taken > 1;

	if (i == REG_C)
		return 0;
	if (i == REG_D)
		return D_POWER_GOOD;
	if (stale && !(s->mem[REG_B] & B_SET))
		rtc_take(r);
	return s->mem[i];
}

static void rtc_write_register(struct rtc *r, uint8_t i, uint8_t v)
{
	struct rtc_state *s = &r->state;
	bool setting = s->mem[REG_B] & B_SET;

	if (is_time(i) && !setting)
		rtc_take(r);
	if (i == REG_A)
		v &= (uint8_t)~A_UIP;
	if (i != REG_C && i != REG_D)
		s->mem[i] = v;
	if (i == REG_B && !setting)
		rtc_take(r); /* in the form that v asks for */
	if (setting ? i == REG_B && !(v & B_SET) : is_time(i))
		rtc_set(r);
}

static uint64_t rtc_read(struct dev *dev, uint64_t off, unsigned size __unused)
{
	struct rtc *r = container_of(dev, struct rtc, dev);

	return off == RTC_DATA ? rtc_read_register(r, r->state.index) : ~0ull;
}

static void rtc_write(struct dev *dev, uint64_t off, unsigned size __unused, uint64_t value)
{
	struct rtc *r = container_of(dev, struct rtc, dev);

	if (off == RTC_DATA)
		rtc_write_register(r, r->state.index, (uint8_t)value);
	else
		/* Bit 7 masks the NMI, which this machine does not have. */
		r->state.index = value & 0x7f;
}

static const struct dev_ops rtc_ops = { .name = "rtc", .read = rtc_read, .write = rtc_write };

void rtc_init(struct rtc *r, int64_t (*now)(void))
{
	*r = (struct rtc){
		.now = now ?: host_now,
		.state.mem = { [REG_A] = A_32KHZ | A_1024HZ, [REG_B] = B_24H },
	};
	dev_init(&r->dev, &rtc_ops);
}

void rtc_destroy(struct rtc *r)
{
	dev_destroy(&r->dev);
}
