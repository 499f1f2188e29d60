/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The devices that a kernel can't find by itself, whatever the architecture. ACPI or a device tree
 * tells it where they are.
 */
#pragma once

#include "vmm/types.h"

/* A virtio-mmio transport (virtio 1.2 §4.2): its registers, below 4 GiB, and its interrupt. */
struct virtio_place {
	gpa_t base;
	uint32_t len;
	uint32_t pin; /* pin of the interrupt controller: edge-triggered, active high */
};

/* A PCI host bridge and its one bus: configuration space in memory (ECAM), and the windows
 * for BARs, one below 4 GiB and one above all RAM. Functions have no interrupt pins. */
struct pci_place {
	gpa_t ecam; /* 0: there is no PCI */
	uint32_t ecam_len;
	gpa_t low, high;
	uint64_t low_len, high_len;
};

struct device_places {
	const struct virtio_place *virtio; /* not owned */
	size_t nr_virtio;
	struct pci_place pci;
};
