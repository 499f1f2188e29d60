/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86/layout.h"

#include "arch/arch.h"

/* GSIs that stock kernels expect nothing particular of: one for each virtio-mmio device,
 * edge-triggered. Left out are 0 (timer), 1 (keyboard), 2 (cascade), 3 and 4 (serial), 8 (clock), 9
 * (power management). */
static const uint8_t virtio_gsi[] = { 5,  6,  7,  10, 11, 12, 13, 14, 15,
				      16, 17, 18, 19, 20, 21, 22, 23 };

/* All that is in the hole lies below BOARD_IOAPIC. */
const struct layout arch_layout = {
	.ram = { { 0, HOLE_START }, { HOLE_END, UINT64_MAX - HOLE_END } },
	.nr_pins = IOAPIC_PINS,
	.virtio = 0xd0000000,
	.virtio_pin = virtio_gsi,
	.nr_virtio_pins = ARRAY_SIZE(virtio_gsi),
	.pci_low = HOLE_START,
	.pci_low_len = 256 * MIB,
	.pci_ecam = 0xe0000000,
	.pci_high = HOLE_END,
	.pci_high_len = 1 * GIB,
	.tables = { BOARD_ACPI, BOARD_ACPI_LEN, "ACPI tables, BIOS entry point" },
	.chip = { { BOARD_IOAPIC, "IO-APIC" }, { BOARD_LAPIC, "local APIC of each vCPU" } },
};
