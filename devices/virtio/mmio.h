/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-mmio: the transport for a device that sits in one page of MMIO. See mmio.c. */
#pragma once

#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/loop.h"
#include "vmm/virtio.h"
#include "kicks.h"

/* Registers at 0x000, configuration space from 0x100 on; what the board maps for each device. */
#define VIRTIO_MMIO_SIZE 0x1000

struct virtio_mmio {
	struct dev dev; /* dev.lock is the device's lock, too */
	struct virtio_dev *vd;
	struct irq_line irq;
	struct virtio_kicks kicks;
	struct loop_source call; /* call.fd: what calls the driver for us, owned; or -1 */

	/* All that the guest can change here; reset clears it. */
	struct virtio_mmio_regs {
		uint32_t device_features_sel, driver_features_sel, queue_sel;
		uint32_t isr; /* VIRTIO_MMIO_INT_* */
	} regs;
};

/* Puts vd, which virtio_init() has seen, behind t, and its kicks on loop. irq is edge-triggered.
 * vd, mem and loop must outlive t. 0 or -errno, logged; virtio_mmio_destroy() is safe either way.
 */
int virtio_mmio_init(struct virtio_mmio *t, struct virtio_dev *vd, const struct gmem *mem,
		     const struct irq_line *irq, struct loop *loop) __must_check;

/* Resets the device and takes its kicks off the loop, which isn't running. */
void virtio_mmio_destroy(struct virtio_mmio *t);

/* The eventfd that kicks queue index, which the device has. For an ioeventfd: a 4-byte write of
 * index at VIRTIO_MMIO_QUEUE_NOTIFY from the start of the device. */
int virtio_mmio_kick_fd(const struct virtio_mmio *t, unsigned index);
