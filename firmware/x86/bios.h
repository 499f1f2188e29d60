/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is left of a PC's BIOS, for kernels of every kind:
 *
 *  - its data area (IBM's PC and PS/2 BIOS interface reference, §2): serial ports, what equipment
 *    there is, where memory below 1 MiB ends (the EBDA, which is there and empty), and whether this
 *    is a warm boot. The rest of it is zero, for there is no display, keyboard, disk or clock that
 *    is served by a BIOS.
 *  - real mode's interrupts: all return at once, and those of its services (0x10 to 0x1a) with the
 *    carry flag set and AH = 0x86, which is how a BIOS says that it has no such service.
 *  - its entry point, to which kernels jump in real mode when they want a reset. Linux does so
 * where it takes a hardware-reduced machine for one with EFI (that is, when it was built with EFI
 *    support and not told reboot=); so do kernels that know nothing of ACPI.
 */
#pragma once

#include "vmm/mem.h"

#define BIOS_ENTRY      0xffff0ull /* up to 1 MiB */
#define BIOS_INTERRUPTS 0xfffe0ull /* what the vectors point at */

/* In the data area: 0x1234 is a warm boot. The kernel that resets the machine writes it. */
#define BIOS_RESET_FLAG 0x472ull
#define BIOS_WARM_BOOT  0x1234

struct bios_config {
	uint16_t com1_port;  /* 0: there is none */
	uint16_t reset_port; /* a write of reset_value there resets the machine */
	uint8_t reset_value;
};

/* Writes all that, in memory below 1 MiB. 0, or -EFAULT, logged, when that isn't RAM. */
int bios_build(const struct gmem *mem, const struct bios_config *c) __must_check;
