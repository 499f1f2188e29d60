/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci_ports.h"

#include "test.h"

#define PORTS 0xcf8

static struct pci pci; /* with nothing but its host bridge */
static struct pci_ports ports;
static struct bus pio;
static unsigned resets;

static void count_resets(void *ctx, enum power_event what, unsigned value __unused)
{
	assert_int_equal(what, POWER_RESET);
	assert_null(ctx);
	resets++;
}

static int power_on(void **state __unused)
{
	const struct power power = { .event = count_resets };

	resets = 0;
	pio = (struct bus){ 0 };
	pci_init(&pci, 0, 0, 0, 0);
	pci_ports_init(&ports, &pci, &power);
	assert_int_equal(bus_add(&pio, PORTS, PCI_PORTS, &ports.dev), 0);
	bus_freeze(&pio);
	return 0;
}

static int power_off(void **state __unused)
{
	pci_ports_destroy(&ports);
	pci_destroy(&pci);
	return 0;
}

static void configuration_space_is_behind_the_data_port(void **state __unused)
{
	bool hit;

	bus_write(&pio, PORTS, 4, 0x80000000);
	assert_int_equal(bus_read(&pio, PORTS + 4, 4, NULL), 0x00081b36);
	assert_int_equal(bus_read(&pio, PORTS + 6, 2, NULL), 0x0008);
	bus_write(&pio, PORTS, 4, 0x80000008);
	assert_int_equal(bus_read(&pio, PORTS + 7, 1, NULL), 0x06); /* base class */
	bus_write(&pio, PORTS, 4, 0x80000800);
	bus_read(&pio, PORTS + 4, 4, &hit);
	assert_false(hit); /* the next slot is empty */
	bus_write(&pio, PORTS, 4, 0x80010000);
	bus_read(&pio, PORTS + 4, 4, &hit);
	assert_false(hit); /* there is no other bus */
	bus_write(&pio, PORTS, 4, 0);
	bus_read(&pio, PORTS + 4, 4, &hit);
	assert_false(hit); /* not enabled */
}

static void the_address_register_keeps_what_it_has_bits_for(void **state __unused)
{
	bus_write(&pio, PORTS, 4, 0xffffffff);
	assert_int_equal(bus_read(&pio, PORTS, 4, NULL), 0x80fffffc);
	bus_write(&pio, PORTS + 3, 1, 0); /* how kernels probe for mechanism #2 */
	bus_write(&pio, PORTS, 2, 0);
	assert_int_equal(bus_read(&pio, PORTS, 4, NULL), 0x80fffffc);
	assert_int_equal(bus_read(&pio, PORTS + 2, 1, NULL), 0xff);
	assert_int_equal(bus_read(&pio, PORTS + 3, 2, NULL), 0xffff); /* crosses the registers */
	assert_int_equal(bus_read(&pio, PORTS, 8, NULL), UINT64_MAX);
	bus_write(&pio, PORTS, 4, 0);
	assert_int_equal(bus_read(&pio, PORTS, 4, NULL), 0);
}

/* Port 0xcf9, as Linux (reboot=pci) and FreeBSD use it. */
static void the_reset_control_register_resets(void **state __unused)
{
	bus_write(&pio, PORTS, 4, 0x80000600);
	assert_int_equal(bus_read(&pio, PORTS + 1, 1, NULL), 0);
	bus_write(&pio, PORTS + 1, 1, 0x02);
	assert_int_equal(bus_read(&pio, PORTS + 1, 1, NULL), 0x02);
	bus_write(&pio, PORTS, 2, 0x0606); /* reaches neither register */
	bus_write(&pio, PORTS + 1, 2, 0x0606);
	bus_write(&pio, PORTS + 2, 1, 0x06);
	assert_int_equal(resets, 0);
	bus_write(&pio, PORTS + 1, 1, 0x06);
	assert_int_equal(resets, 1);
	bus_write(&pio, PORTS + 1, 1, 0x0e); /* it is set already */
	assert_int_equal(resets, 1);
	bus_write(&pio, PORTS + 1, 1, 0x0a);
	bus_write(&pio, PORTS + 1, 1, 0x0e);
	assert_int_equal(resets, 2);
	assert_int_equal(bus_read(&pio, PORTS, 4, NULL), 0x80000600);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, power_on, power_off)
	const struct CMUnitTest tests[] = {
		TEST(configuration_space_is_behind_the_data_port),
		TEST(the_address_register_keeps_what_it_has_bits_for),
		TEST(the_reset_control_register_resets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
