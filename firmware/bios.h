/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one thing that is left of a PC's BIOS: its entry point, to which kernels jump in real mode
 * when they want a reset. Linux does so where it takes a hardware-reduced machine for one with EFI
 * (that is, when it was built with EFI support and not told reboot=); so do kernels that know
 * nothing of ACPI. Missing: all services (interrupts 0x10 to 0x1a), and the data area below 0x500.
 */
#pragma once

#include "vmm/mem.h"

#define BIOS_ENTRY 0xffff0ull /* up to 1 MiB */

/* Writes code there that writes value to port. 0, or -EFAULT, logged, when that isn't RAM. */
int bios_build(const struct gmem *mem, uint16_t port, uint8_t value) __must_check;
