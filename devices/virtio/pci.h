/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-pci: the transport for a device that is a PCI function. See pci.c. */
#pragma once

#include "msix.h"
#include "virtio/kicks.h"

struct virtio_pci {
	struct pci_function fn; /* fn.dev.lock is the device's lock, too */
	struct virtio_dev *vd;
	struct virtio_kicks kicks;
	struct msix msix;
	struct shared_fd nowhere; /* stands in for the interrupt of a queue without a vector */
	unsigned window;          /* offset of the capability that is a window to the BAR */

	/* All that the guest can change here, and all that a snapshot needs; a reset of the device
	 * clears it. */
	struct virtio_pci_state {
		uint32_t device_features_sel, driver_features_sel;
		uint16_t queue_sel;
		uint16_t config_vector, queue_vector[VIRTIO_MAX_QUEUES];
		uint8_t isr; /* VIRTIO_PCI_ISR_*; used while MSI-X is off */
	} state;
};

/* Returns how many messages wires must have for vd. */
unsigned virtio_pci_nr_vectors(const struct virtio_dev *vd);

/* Makes vd, which virtio_init() has seen, a function for pci_add(), with its kicks on loop, and
 * starts vd (virtio_ops.start). vd, mem, loop and what wires refers to must outlive t. Returns 0 or
 * -errno, logged; virtio_pci_destroy() is safe either way. */
int virtio_pci_init(struct virtio_pci *t, struct virtio_dev *vd, const struct gmem *mem,
		    const struct wires *wires, struct loop *loop) __must_check;

/* Resets the device and takes its kicks off the loop, which isn't running. */
void virtio_pci_destroy(struct virtio_pci *t);
