/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PCI host bridge's ports, 0xcf8 to 0xcff on a PC: the way to configuration space without memory
 * (mechanism #1, PCI Local Bus 3.0 §3.2.2.3.2).
 *
 * One of them is the reset control register, 0xcf9 (Intel's PIIX3 and later chipsets), by which
 * kernels reset a machine when they are told to, or when nothing else works.
 */
#pragma once

#include "pci.h"
#include "vmm/power.h"

#define PCI_PORTS 8 /* CONFIG_ADDRESS and CONFIG_DATA */

struct pci_ports {
	struct dev dev;
	const struct pci *pci; /* not owned */
	struct power power;

	/* What a guest can see: all that a snapshot needs. */
	struct pci_ports_state {
		uint32_t address; /* CONFIG_ADDRESS; atomic */
		uint8_t reset_control;
	} state;
};

/* *power, which is told of a reset, is copied. pci outlives p, but pci_init() may come later. */
void pci_ports_init(struct pci_ports *p, const struct pci *pci, const struct power *power);
void pci_ports_destroy(struct pci_ports *p);
