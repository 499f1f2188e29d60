/* SPDX-License-Identifier: BSD-2-Clause */
#include "i8042.h"

enum { STATUS_OUTPUT_FULL = 1 << 0, STATUS_SELF_TESTED = 1 << 2, STATUS_COMMAND = 1 << 3 };
enum {
	COMMAND_READ_CONFIG = 0x20,
	COMMAND_WRITE_CONFIG = 0x60,
	COMMAND_TEST_MOUSE = 0xa9,
	COMMAND_SELF_TEST = 0xaa,
	COMMAND_TEST_KEYBOARD = 0xab,
	COMMAND_PULSE = 0xf0, /* to 0xff: pulses each line whose bit is 0; bit 0 is reset */
};
enum { CONFIG_KEYBOARD_OFF = 1 << 4, CONFIG_MOUSE_OFF = 1 << 5 };
enum { SELF_TEST_PASSED = 0x55, TEST_CLOCK_LOW = 1 };

static void i8042_answer(struct i8042 *k, uint8_t value)
{
	k->state.output = value;
	k->state.output_full = true;
}

static void i8042_command(struct i8042 *k, uint8_t command)
{
	k->state.command = command;
	switch (command) {
	case COMMAND_READ_CONFIG:
		i8042_answer(k, k->state.config);
		break;
	case COMMAND_SELF_TEST:
		i8042_answer(k, SELF_TEST_PASSED);
		break;
	case COMMAND_TEST_KEYBOARD:
	case COMMAND_TEST_MOUSE:
		i8042_answer(k, TEST_CLOCK_LOW);
		break;
	default:
		if (command >= COMMAND_PULSE && !(command & 1))
			power_report(&k->power, POWER_RESET, 0);
	}
}

static uint64_t i8042_read(struct dev *dev, uint64_t off, unsigned size __unused)
{
	struct i8042 *k = container_of(dev, struct i8042, dev);

	if (off == I8042_COMMAND)
		return STATUS_SELF_TESTED | (k->state.output_full ? STATUS_OUTPUT_FULL : 0u) |
		       (k->state.command_written ? STATUS_COMMAND : 0u);
	if (off != I8042_DATA)
		return ~0ull;
	k->state.output_full = false;
	return k->state.output;
}

static void i8042_write(struct dev *dev, uint64_t off, unsigned size __unused, uint64_t value)
{
	struct i8042 *k = container_of(dev, struct i8042, dev);

	if (off == I8042_COMMAND) {
		i8042_command(k, (uint8_t)value);
	} else if (off == I8042_DATA) {
		if (k->state.command == COMMAND_WRITE_CONFIG)
			k->state.config = (uint8_t)value;
		k->state.command = 0;
	}
	k->state.command_written = off == I8042_COMMAND;
}

static const struct dev_ops i8042_ops = { .name = "i8042",
					  .read = i8042_read,
					  .write = i8042_write };

void i8042_init(struct i8042 *k, const struct power *power)
{
	*k = (struct i8042){ .power = *power,
			     .state.config = CONFIG_KEYBOARD_OFF | CONFIG_MOUSE_OFF };
	dev_init(&k->dev, &i8042_ops);
}

void i8042_destroy(struct i8042 *k)
{
	dev_destroy(&k->dev);
}
