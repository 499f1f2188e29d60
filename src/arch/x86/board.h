/* SPDX-License-Identifier: BSD-2-Clause */
/* The address map and the interrupts of the machine. Only machine.c, transport.c and report.c
 * include this. */
#pragma once

#include "vmm/types.h"

enum board_port {
	PORT_I8042 = 0x60,
	PORT_RTC = 0x70,
	PORT_DEBUG_EXIT = 0xf4, /* as QEMU's isa-debug-exit is commonly used */
	PORT_COM1 = 0x3f8,
	PORT_PVPANIC = 0x505, /* QEMU's */
	PORT_PM = 0x600,
	PORT_PCI = 0xcf8,
};

enum board_gsi { GSI_COM1 = 4, GSI_PM = 9 };

/* GSIs that stock kernels expect nothing particular of: one for each virtio-mmio device,
 * edge-triggered. Left out are 0 (timer), 1 (keyboard), 2 (cascade), 3 and 4 (serial), 8 (clock), 9
 * (power management). */
static const uint8_t board_virtio_gsi[] = { 5,  6,  7,  10, 11, 12, 13, 14, 15,
					    16, 17, 18, 19, 20, 21, 22, 23 };

/* The first virtio-mmio device; the 32-bit device hole is 0xc0000000 to 0xffffffff. */
#define BOARD_VIRTIO     0xd0000000ull
#define BOARD_VIRTIO_LEN 0x1000ull /* each has one page */
/* PCI, for --transport pci: where BARs may be, and configuration space. */
#define BOARD_PCI_LOW      0xc0000000ull
#define BOARD_PCI_LOW_LEN  (256 * MIB)
#define BOARD_PCI_HIGH_LEN (1 * GIB)
#define BOARD_PCI_ECAM     0xe0000000ull
#define BOARD_IOAPIC       0xfec00000ull /* in KVM */
#define BOARD_LAPIC        0xfee00000ull /* in KVM */
#define BOARD_ACPI         0xe0000ull    /* tables: reserved memory below 1 MiB */
#define BOARD_ACPI_LEN     0x20000ull
