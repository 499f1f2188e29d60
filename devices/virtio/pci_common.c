/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The common configuration of virtio-pci (virtio 1.2 §4.1.4.3): status, features, queues.
 *
 * A register answers accesses of its own width, and one of 64 bits also two of 32 (§4.1.3.1). Any
 * other access reads as zero and writes nothing.
 */
#include "virtio/pci_impl.h"

#include <linux/virtio_pci.h>

#ifndef VIRTIO_PCI_COMMON_Q_RESET
#define VIRTIO_PCI_COMMON_Q_RESET 58
#endif

/* Returns the width of the register at off, or 0. */
static unsigned common_width(uint64_t off)
{
	switch (off) {
	case VIRTIO_PCI_COMMON_STATUS:
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_NUMQ:
	case VIRTIO_PCI_COMMON_Q_SELECT:
	case VIRTIO_PCI_COMMON_Q_SIZE:
	case VIRTIO_PCI_COMMON_Q_MSIX:
	case VIRTIO_PCI_COMMON_Q_ENABLE:
	case VIRTIO_PCI_COMMON_Q_NOFF:
	case VIRTIO_PCI_COMMON_Q_RESET:
		return 2;
	}
	return off % 4 == 0 && off <= VIRTIO_PCI_COMMON_Q_USEDHI ? 4 : 0;
}

static uint32_t queue_read(const struct virtio_pci *t, const struct virtq *q, uint64_t off)
{
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return q->state.size;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return t->state.queue_vector[q - t->vd->q];
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return q->state.ready;
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return (uint32_t)(q - t->vd->q);
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		return (uint32_t)q->state.desc_gpa;
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		return (uint32_t)(q->state.desc_gpa >> 32);
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		return (uint32_t)q->state.avail_gpa;
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		return (uint32_t)(q->state.avail_gpa >> 32);
	case VIRTIO_PCI_COMMON_Q_USEDLO:
		return (uint32_t)q->state.used_gpa;
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		return (uint32_t)(q->state.used_gpa >> 32);
	}
	return 0; /* reset: never in progress, since the write waits for it */
}

static uint32_t common_read(struct virtio_pci *t, uint64_t off)
{
	struct virtio_dev *vd = t->vd;
	const struct virtq *q = virtio_queue(vd, t->state.queue_sel); /* NULL: no such queue */

	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return t->state.device_features_sel;
	case VIRTIO_PCI_COMMON_DF:
		if (t->state.device_features_sel > 1)
			return 0;
		return (uint32_t)(vd->features >> 32 * t->state.device_features_sel);
	case VIRTIO_PCI_COMMON_GFSELECT:
		return t->state.driver_features_sel;
	case VIRTIO_PCI_COMMON_GF:
		if (t->state.driver_features_sel > 1)
			return 0;
		return (uint32_t)(vd->state.driver_features >> 32 * t->state.driver_features_sel);
	case VIRTIO_PCI_COMMON_MSIX:
		return t->state.config_vector;
	case VIRTIO_PCI_COMMON_NUMQ:
		return vd->nr_queues;
	case VIRTIO_PCI_COMMON_STATUS:
		return vd->state.status;
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return (uint8_t)vd->state.config_generation;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return t->state.queue_sel;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return q ? queue_read(t, q, off) : VIRTIO_MSI_NO_VECTOR;
	default:
		return q ? queue_read(t, q, off) : 0;
	}
}

/* Sets a part of a queue's address or size. The driver doesn't touch these while the queue is
 * enabled (§4.1.4.3.2). */
static void queue_place(struct virtq *q, uint64_t off, uint32_t v)
{
	if (q->state.ready)
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		q->state.size = (uint16_t)v; /* virtq_enable() refuses a wrong size */
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		gpa_set_low(&q->state.desc_gpa, v);
		break;
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		gpa_set_high(&q->state.desc_gpa, v);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		gpa_set_low(&q->state.avail_gpa, v);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		gpa_set_high(&q->state.avail_gpa, v);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
		gpa_set_low(&q->state.used_gpa, v);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		gpa_set_high(&q->state.used_gpa, v);
		break;
	}
}

/* §4.1.5.1.2.1: a vector that we can't provide reads back as NO_VECTOR. So its eventfd is made now,
 * when we can still say no. */
static uint16_t vector_of(struct virtio_pci *t, uint32_t v)
{
	return v < t->msix.nr && msix_fd(&t->msix, v) >= 0 ? (uint16_t)v : VIRTIO_MSI_NO_VECTOR;
}

static void queue_write(struct virtio_pci *t, struct virtq *q, uint64_t off, uint32_t v)
{
	uint16_t *vector = &t->state.queue_vector[q - t->vd->q];

	switch (off) {
	case VIRTIO_PCI_COMMON_Q_MSIX:
		*vector = vector_of(t, v);
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (v == 1)
			virtio_queue_enable(t->vd, q);
		break;
	case VIRTIO_PCI_COMMON_Q_RESET:
		if (v != 1 || !virtio_has(t->vd, VIRTIO_F_RING_RESET))
			break;
		virtio_queue_reset(t->vd, q);
		*vector = VIRTIO_MSI_NO_VECTOR;
		break;
	default:
		queue_place(q, off, v);
		break;
	}
}

void virtio_pci_regs_init(struct virtio_pci *t)
{
	t->state = (struct virtio_pci_state){ .config_vector = VIRTIO_MSI_NO_VECTOR };
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		t->state.queue_vector[i] = VIRTIO_MSI_NO_VECTOR;
}

static void set_status(struct virtio_pci *t, uint8_t v)
{
	virtio_kicks_set_status(&t->kicks, v);
	if (v != 0)
		return;
	/* A reset: the next driver does not care about what is pending. */
	msix_drain(&t->msix);
	virtio_pci_regs_init(t);
}

static void common_write(struct virtio_pci *t, uint64_t off, uint32_t v)
{
	struct virtq *q = virtio_queue(t->vd, t->state.queue_sel); /* NULL: no such queue */

	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		t->state.device_features_sel = v;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		t->state.driver_features_sel = v;
		break;
	case VIRTIO_PCI_COMMON_GF:
		virtio_accept_features(t->vd, t->state.driver_features_sel, v);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		t->state.config_vector = vector_of(t, v);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		set_status(t, (uint8_t)v);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		t->state.queue_sel = (uint16_t)v;
		break;
	default:
		if (q)
			queue_write(t, q, off, v);
		break;
	}
}

uint64_t virtio_pci_common_read(struct virtio_pci *t, uint64_t off, unsigned size)
{
	return common_width(off) == size ? common_read(t, off) : 0;
}

void virtio_pci_common_write(struct virtio_pci *t, uint64_t off, unsigned size, uint64_t value)
{
	if (common_width(off) == size)
		common_write(t, off, (uint32_t)value);
}
