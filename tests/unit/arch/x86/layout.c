/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86/layout.h"

#include "arch/arch.h"
#include "machine/ram.h"
#include "pci.h"
#include "test.h"
#include "virtio/mmio.h"

static void ram_lies_below_and_above_the_hole(void **state __unused)
{
	static const struct {
		uint64_t size, low, high;
	} row[] = {
		{ 128 * MIB, 128 * MIB, 0 },
		{ 3 * GIB, 3 * GIB, 0 },
		{ 3 * GIB + 4 * KIB, 3 * GIB, 4 * KIB },
		{ 3584 * MIB, 3 * GIB, 512 * MIB },
		{ 1 * TIB, 3 * GIB, 1 * TIB - 3 * GIB },
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		const struct ram r = { .host = (uint8_t *)0x10000000, .size = row[i].size };
		struct gmem m = { 0 };

		assert_int_equal(ram_layout(&r, &m), 0);
		assert_int_equal(m.nr, row[i].high ? 2 : 1);
		assert_int_equal(m.region[0].size + (row[i].high ? m.region[1].size : 0),
				 row[i].size);
		assert_int_equal(m.region[0].base, 0);
		assert_int_equal(m.region[0].size, row[i].low);
		assert_ptr_equal(m.region[0].host, r.host);
		if (!row[i].high)
			continue;
		assert_int_equal(m.region[1].base, 4 * GIB);
		assert_int_equal(m.region[1].size, row[i].high);
		assert_ptr_equal(m.region[1].host, r.host + row[i].low);
	}
}

/* Places in memory, in the order of their addresses. */
static void nothing_lies_over_anything_else(void **state __unused)
{
	const struct layout *l = &arch_layout;
	const struct {
		gpa_t base;
		uint64_t len;
	} place[] = {
		{ l->ram[0].base, l->ram[0].len },
		{ l->pci_low, l->pci_low_len },
		{ l->virtio, l->nr_virtio_pins * VIRTIO_MMIO_SIZE },
		{ l->pci_ecam, PCI_ECAM_SIZE },
		{ BOARD_IOAPIC, 0x1000 },
		{ BOARD_LAPIC, 0x1000 },
		{ BOARD_IDENTITY_MAP, 0x1000 },
		{ BOARD_TSS, 0x3000 },
		{ l->ram[1].base, l->ram[1].len },
	};

	for (size_t i = 1; i < ARRAY_SIZE(place); i++)
		assert_true(place[i - 1].base + place[i - 1].len <= place[i].base);
	assert_true(l->ram[1].base + l->ram[1].len > l->ram[1].base);
	assert_true(l->tables.base + l->tables.len <= l->ram[0].base + l->ram[0].len);
	assert_int_equal(l->pci_high, l->ram[1].base);
}

static void each_interrupt_is_one_devices(void **state __unused)
{
	bool taken[IOAPIC_PINS] = { [GSI_COM1] = true, [GSI_PM] = true };

	for (size_t i = 0; i < arch_layout.nr_virtio_pins; i++) {
		const uint8_t pin = arch_layout.virtio_pin[i];

		assert_true(pin < ARRAY_SIZE(taken));
		assert_false(taken[pin]);
		taken[pin] = true;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ram_lies_below_and_above_the_hole),
		cmocka_unit_test(nothing_lies_over_anything_else),
		cmocka_unit_test(each_interrupt_is_one_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
