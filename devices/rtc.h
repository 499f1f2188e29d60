/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Real-time clock with 128 bytes of CMOS memory (Motorola MC146818A data sheet), in UTC.
 *
 * Modelled: time and date from the host's clock, BCD or binary and 12 or 24 hours as register B
 * says, register A with UIP, SET in register B, the century at 0x32, plain memory from 0x0e on. A
 * driver that sets the date moves this clock against the host's. Reading register A or the seconds
 * takes the time, and the other registers show that same moment. So a driver never sees half of an
 * update, and UIP is always 0.
 * Missing: alarm, periodic and update-ended interrupts (Linux has better timers; register C reads
 * as 0), the daylight saving bit, a divider that is held in reset.
 */
#pragma once

#include "vmm/bus.h"

enum { RTC_INDEX = 0, RTC_DATA = 1, RTC_PORTS = 2 }; /* offsets in the range (0x70 on a PC) */
#define RTC_CENTURY 0x32                             /* the register's index, as on a PC */

struct rtc {
	struct dev dev;
	int64_t (*now)(void); /* the host's time: seconds since 1970 */

	/* What a guest can see: all that a snapshot needs. This clock follows the host's, even if
	 * that is another host. */
	struct rtc_state {
		uint8_t index;
		int64_t offset; /* seconds that this clock is ahead of the host's */
		int64_t taken;  /* the moment that the registers show */
		/* Registers A and B, memory; also the time while it is being set. */
		uint8_t mem[128];
	} state;
};

/* now: the host's clock; NULL for CLOCK_REALTIME. */
void rtc_init(struct rtc *r, int64_t (*now)(void));
void rtc_destroy(struct rtc *r);
