/* SPDX-License-Identifier: BSD-2-Clause */
/* The address map and the interrupts of a PC, as far as files other than layout.c need them. */
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

/* RAM begins at 0, and has one gap, the 32-bit device hole. */
#define HOLE_START (3 * GIB)
#define HOLE_END   (4 * GIB)

/* These are in KVM. */
#define IOAPIC_PINS  24
#define BOARD_IOAPIC 0xfec00000ull
#define BOARD_LAPIC  0xfee00000ull

/* Three pages for VMX's real mode emulation and one for its identity map (KVM api 4.23, 4.37).
 * Other backends ignore them. */
#define BOARD_TSS          0xfffbd000u
#define BOARD_IDENTITY_MAP 0xfffbc000u

/* ACPI tables and BIOS: reserved memory below 1 MiB. */
#define BOARD_ACPI     0xe0000ull
#define BOARD_ACPI_LEN 0x20000ull
