/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables that firmware would leave in RAM (ACPI 6.3). By them a kernel that knows nothing
 * of minivmm finds processors, interrupt controllers and devices, powers off, resets, and hears of
 * the power button.
 */
#pragma once

#include "common/devices.h"
#include "vmm/mem.h"

/* The machine as the tables describe it. A port of 0 means that the device isn't there. */
struct acpi_config {
	unsigned cpus; /* their APIC ids are 0 to cpus - 1; at most 255 */
	gpa_t lapic, ioapic;
	uint8_t ioapic_id;

	struct device_places devices;
	uint16_t pci_ports; /* of PCI: CONFIG_ADDRESS and CONFIG_DATA */

	uint16_t com1_port; /* eight ports of a 16550A */
	uint32_t com1_gsi;
	uint16_t rtc_port; /* index and data port of a CMOS clock, without an interrupt */
	uint16_t pvpanic_port;

	/* The power-management block (vmm/pm.h), which is always there. An edge on pm_gsi announces
	 * its events. */
	uint16_t pm_port;
	uint32_t pm_gsi;
};

/* Writes all tables to guest RAM at [at, at + room), where at is a multiple of 16. The root pointer
 * (RSDP) comes first, so at is its address. A kernel that isn't told this finds it when it searches
 * 0xe0000 to 0xfffff (ACPI 6.3 §5.2.5.1). Returns 0, or -errno, logged: -EFAULT (not RAM) or
 * -ENOSPC. */
int acpi_build(const struct gmem *mem, const struct acpi_config *c, gpa_t at,
	       uint64_t room) __must_check;
