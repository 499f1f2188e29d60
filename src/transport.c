/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport.h"

#include <errno.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <stdlib.h>

#include "board.h"

static gpa_t mmio_base(size_t i)
{
	return BOARD_VIRTIO + i * BOARD_VIRTIO_LEN;
}

/* Registers in the next page, an irqfd, an ioeventfd for each queue. */
static int add_mmio(struct machine *m, size_t i, struct virtio_dev *vd, struct loop *loop)
{
	const bool live = m->vm.fd >= 0;
	struct virtio_mmio *t = m->virtio[i].mmio = calloc(1, sizeof(*t));
	struct irq_line irq = { 0 };
	int rc = t ? 0 : log_ret(-ENOMEM, "virtio-%s: out of memory", vd->ops->name);

	if (rc == 0 && live)
		rc = vm_irqfd_line(&m->vm, board_virtio_gsi[i], &irq);
	if (rc == 0)
		rc = virtio_mmio_init(t, vd, &m->mem, &irq, loop);
	for (unsigned q = 0; q < vd->nr_queues && rc == 0 && live; q++)
		rc = vm_ioeventfd(&m->vm, mmio_base(i) + VIRTIO_MMIO_QUEUE_NOTIFY, q,
				  virtio_mmio_kick_fd(t, q));
	return rc;
}

int machine_add_virtio(struct machine *m, struct virtio_dev *vd, struct loop *loop)
{
	const size_t i = m->nr_virtio;

	if (i == min(ARRAY_SIZE(board_virtio_gsi), ARRAY_SIZE(m->virtio)))
		return log_ret(-ENOSPC,
			       "virtio-%s: there are interrupts for %zu virtio devices, one of "
			       "which is for random numbers; leave one out",
			       vd->ops->name, i);
	m->virtio[i].vd = vd;
	m->nr_virtio++; /* destroyed even if it is only half made */
	return add_mmio(m, i, vd, loop);
}

int transport_wire(struct machine *m)
{
	int rc = 0;

	for (size_t i = 0; i < m->nr_virtio && rc == 0; i++)
		rc = bus_add(&m->mmio, mmio_base(i), BOARD_VIRTIO_LEN, &m->virtio[i].mmio->dev);
	return rc;
}

void transport_describe(const struct machine *m, struct acpi_config *c,
			struct acpi_virtio list[MACHINE_MAX_VIRTIO])
{
	for (size_t i = 0; i < m->nr_virtio; i++)
		list[i] = (struct acpi_virtio){
			.base = mmio_base(i),
			.len = BOARD_VIRTIO_LEN,
			.gsi = board_virtio_gsi[i],
		};
	c->virtio = list;
	c->nr_virtio = m->nr_virtio;
}

void transport_destroy(struct machine *m)
{
	for (size_t i = 0; i < m->nr_virtio; i++) {
		struct virtio_mmio *t = m->virtio[i].mmio;

		if (t && t->vd)
			virtio_mmio_destroy(t);
		free(t);
		m->virtio[i].mmio = NULL;
	}
	m->nr_virtio = 0;
}

const char *transport_where(const struct machine *m __unused, size_t i,
			    char text[TRANSPORT_WHERE_LEN])
{
	snprintf(text, TRANSPORT_WHERE_LEN, "0x%010llx  irq %2u", (unsigned long long)mmio_base(i),
		 board_virtio_gsi[i]);
	return text;
}
