/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is left of a PC's BIOS, for kernels of every kind:
 *
 *  - its data area (IBM's PC and PS/2 BIOS interface reference, §2): serial ports, a list of the
 *    equipment, where memory below 1 MiB ends (the EBDA, which is there and empty), and whether
 *    this is a warm boot. The rest of it is zero, because a BIOS serves no display, keyboard, disk
 *    or clock here;
 *  - real mode's interrupts: all return at once, and those of its services (0x10 to 0x1a) with the
 *    carry flag set and AH = 0x86, by which a BIOS says that it has no such service;
 *  - its entry point, to which kernels jump in real mode when they want a reset. Linux does so if
 *    it takes a hardware-reduced machine for one with EFI (that is, if it was built with EFI
 *    support and its command line has no reboot=), and so do kernels that know nothing of ACPI.
 */
#pragma once

#include "vmm/mem.h"

#define BIOS_ENTRY      0xffff0ull /* up to 1 MiB */
#define BIOS_INTERRUPTS 0xfffe0ull /* what the vectors point at */

/* A word of the data area: 0x1234 means a warm boot. The kernel that resets the machine writes
 * it. */
#define BIOS_RESET_FLAG 0x472ull
#define BIOS_WARM_BOOT  0x1234

struct bios_config {
	uint16_t com1_port;  /* 0: there is none */
	uint16_t reset_port; /* a write of reset_value there resets the machine */
	uint8_t reset_value;
};

/* Writes all that to memory below 1 MiB. Returns 0, or -EFAULT, logged, if that isn't RAM. */
int bios_build(const struct gmem *mem, const struct bios_config *c) __must_check;
