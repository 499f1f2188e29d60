/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci_host.h"

#include "test.h"

#define BASE 0xcf8

static struct pci_host host;
static struct bus bus;

static int power_on(void **state __unused)
{
	pci_host_init(&host);
	bus = (struct bus){ 0 };
	return bus_add(&bus, BASE, PCI_PORTS, &host.dev);
}

static int power_off(void **state __unused)
{
	pci_host_destroy(&host);
	return 0;
}

static uint64_t config(uint32_t address, unsigned off, unsigned size)
{
	bus_write(&bus, BASE, 4, address);
	return bus_read(&bus, BASE + 4 + off, size, NULL);
}

static void the_bridge_is_found(void **state __unused)
{
	assert_int_equal(config(0x80000000, 0, 4), 0x00081b36);
	assert_int_equal(config(0x80000000, 2, 2), 0x0008);
	assert_int_equal(config(0x80000008, 2, 2), 0x0600); /* class: host bridge */
	assert_int_equal(config(0x8000000c, 2, 1), 0);      /* header type: one function */
	assert_int_equal(config(0x80000010, 0, 4), 0);      /* no BAR */
}

static void nobody_else_is(void **state __unused)
{
	assert_int_equal(config(0x80000100, 0, 4), 0xffffffff); /* another function */
	assert_int_equal(config(0x80000800, 0, 4), 0xffffffff); /* another device */
	assert_int_equal(config(0x80010000, 0, 4), 0xffffffff); /* another bus */
	assert_int_equal(config(0x00000000, 0, 4), 0xffffffff); /* not enabled */
}

static void the_address_register_keeps_what_it_has_bits_for(void **state __unused)
{
	bus_write(&bus, BASE, 4, 0xffffffff);
	assert_int_equal(bus_read(&bus, BASE, 4, NULL), 0x80fffffc);
	bus_write(&bus, BASE + 3, 1, 0); /* how kernels probe for mechanism #2 */
	bus_write(&bus, BASE, 2, 0);
	bus_write(&bus, BASE + 4, 4, 0);
	assert_int_equal(bus_read(&bus, BASE, 4, NULL), 0x80fffffc);
	assert_int_equal(bus_read(&bus, BASE + 3, 2, NULL), 0xffff); /* crosses the registers */
	assert_int_equal(bus_read(&bus, BASE, 8, NULL), UINT64_MAX);
	host.dev.ops->reset(&host.dev);
	assert_int_equal(bus_read(&bus, BASE, 4, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_bridge_is_found, power_on, power_off),
		cmocka_unit_test_setup_teardown(nobody_else_is, power_on, power_off),
		cmocka_unit_test_setup_teardown(the_address_register_keeps_what_it_has_bits_for,
						power_on, power_off),
	};

	return cmocka_run_group_tests_name("pci_host", tests, NULL, NULL);
}
