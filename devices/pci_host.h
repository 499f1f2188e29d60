/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PCI host bridge with nothing behind it, by configuration mechanism #1 (PCI 3.0 §3.2.2.3.2).
 *
 * Kernels with PCI support look for it in any case; finding it, they don't complain. It has one
 * function, itself, whose registers are read-only. Missing: all devices, BARs, interrupts, ECAM.
 */
#pragma once

#include "vmm/bus.h"

enum { PCI_ADDRESS = 0, PCI_DATA = 4, PCI_PORTS = 8 }; /* offsets in the range (0xcf8 on a PC) */

struct pci_host {
	struct dev dev;
	uint32_t address; /* CONFIG_ADDRESS */
};

void pci_host_init(struct pci_host *p);
void pci_host_destroy(struct pci_host *p);
