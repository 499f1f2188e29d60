/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-mmio: the transport for a device that sits in one page of MMIO. See mmio.c. */
#pragma once

#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/loop.h"
#include "vmm/virtio.h"
#include "virtio/kicks.h"

/* Registers from 0x000 on, configuration space from 0x100 on; the machine maps this for each
 * device. */
#define VIRTIO_MMIO_SIZE 0x1000

struct virtio_mmio {
	struct dev dev; /* dev.lock is the device's lock, too */
	struct virtio_dev *vd;
	/* What the guest reads in the place of the registers; not owned. NULL: it reads them. */
	uint32_t *shown;
	struct irq_line irq;
	struct virtio_kicks kicks;
	struct loop_source call; /* call.fd, owned: others interrupt the driver by it; or -1 */
	/* The same for a process that was lent a queue; on the loop while it is open. */
	struct shared_fd lent_call;
	struct loop_source lent_source;

	/* The guest can change these; a reset clears them. They are all that a snapshot needs, if
	 * the driver is interrupted once more after it, in the place of signals of call that nobody
	 * has taken yet. */
	struct virtio_mmio_state {
		uint32_t device_features_sel, driver_features_sel, queue_sel;
		uint32_t isr; /* VIRTIO_MMIO_INT_* */
	} state;
};

/* Makes t the transport of vd, which virtio_init() has seen, with its kicks on loop, and starts vd
 * (virtio_ops.start). irq is edge-triggered. vd, mem and loop must outlive t. Returns 0 or -errno,
 * logged; virtio_mmio_destroy() is safe either way. */
int virtio_mmio_init(struct virtio_mmio *t, struct virtio_dev *vd, const struct gmem *mem,
		     const struct irq_line *irq, struct loop *loop) __must_check;

/* From now on the guest may read page, VIRTIO_MMIO_SIZE bytes of zeroes that outlive t, without
 * asking dev: t keeps there what a read would return. Called before the guest runs. */
void virtio_mmio_show(struct virtio_mmio *t, void *page);

/* Resets the device and takes its kicks off the loop, which isn't running. */
void virtio_mmio_destroy(struct virtio_mmio *t);

/* Makes the driver's kicks come by wires, for a device that is at base; what wires refers to must
 * outlive t. Returns 0 or -errno, logged. */
int virtio_mmio_wire(struct virtio_mmio *t, const struct wires *wires, gpa_t base) __must_check;
