/* SPDX-License-Identifier: BSD-2-Clause */
/* The common configuration (pci_common.c), for pci.c. */
#pragma once

#include "virtio/pci.h"

#define VIRTIO_PCI_COMMON_LEN 60 /* with queue_notify_data and queue_reset */

uint64_t virtio_pci_common_read(struct virtio_pci *t, uint64_t off, unsigned size);
void virtio_pci_common_write(struct virtio_pci *t, uint64_t off, unsigned size, uint64_t value);
void virtio_pci_regs_init(struct virtio_pci *t);
