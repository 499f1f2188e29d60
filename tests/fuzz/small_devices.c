/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers of the small PIO devices. The first byte of an operation is the device, its port, read
 * or write, and the access size; then comes the value to write.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "debug_exit.h"
#include "i8042.h"
#include "pm.h"
#include "pvpanic.h"
#include "rtc.h"

static int64_t now;

static int64_t fake_now(void)
{
	return now++ / 4;
}

static void tell(void *ctx, enum power_event what, unsigned value)
{
	if (what > POWER_DEBUG_EXIT || (what == POWER_DEBUG_EXIT && !(value & 1)))
		abort();
	++*(unsigned *)ctx;
}

static void ignore_line(void *ctx __unused, unsigned n __unused, bool level __unused) {}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	unsigned told = 0;
	struct power power = { tell, &told };
	struct irq_line line = { ignore_line, NULL, 9 };
	struct i8042 i8042;
	struct rtc rtc;
	struct pvpanic pvpanic;
	struct pm pm;
	struct debug_exit debug_exit;
	const struct {
		struct dev *dev;
		unsigned ports;
	} t[] = {
		{ &i8042.dev, I8042_PORTS }, { &rtc.dev, RTC_PORTS },
		{ &rtc.dev, RTC_PORTS },     { &pvpanic.dev, PVPANIC_PORTS },
		{ &pm.dev, PM_PORTS },       { &debug_exit.dev, DEBUG_EXIT_PORTS },
	};

	now = 4 * 1795219199ll; /* shortly before a midnight */
	i8042_init(&i8042, &power);
	rtc_init(&rtc, fake_now);
	pvpanic_init(&pvpanic, &power);
	pm_init(&pm, &line, &power);
	debug_exit_init(&debug_exit, &power);
	while (in.len) {
		unsigned op = (unsigned)fuzz_number(&in, 1), which = op & 7;
		struct dev *dev;
		uint64_t port;

		if (which == 6) {
			pm_press_power_button(&pm);
		} else if (which == 7) {
			now += (int64_t)fuzz_number(&in, 4);
		} else {
			dev = t[which].dev;
			port = (op >> 4) % t[which].ports;
			if (op & 8)
				dev->ops->write(dev, port, 1, fuzz_number(&in, 1));
			else
				dev->ops->read(dev, port, 1);
		}
	}
	debug_exit_destroy(&debug_exit);
	pm_destroy(&pm);
	pvpanic_destroy(&pvpanic);
	rtc_destroy(&rtc);
	i8042_destroy(&i8042);
	return 0;
}
