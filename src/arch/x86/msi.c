/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How devices' eventfds are wired (vmm/wires.h): KVM has ioeventfds for doorbells, and irqfds for
 * messages.
 *
 * An irqfd raises a GSI, and KVM's routing table says what a GSI is: at first a pin of the IO-APIC
 * and, for the first 16, of the 8259s. Message n gets GSI 24 + n. The table is replaced as a whole,
 * at a cost that grows with the vCPUs that run. So that happens only when a message has changed,
 * and not at all for a guest that uses none, which keeps KVM's own table.
 */
#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "arch/x86/x86.h"

#define PIC_PINS 8
#define PINS     (VM_GSIS + 2 * PIC_PINS) /* entries of KVM's own table */

struct vm_msi {
	bool changed; /* since KVM was told */
	struct {
		uint64_t address;
		uint32_t data;
		bool used, told; /* there is a message; KVM knows it */
	} route[VM_MSIS];
};

static struct kvm_irq_routing_entry pin(uint32_t gsi, uint32_t chip, uint32_t n)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = n },
	};
}

/* Adds the pins as KVM has them from the start (KVM api 4.24, 4.52). */
static unsigned add_pins(struct kvm_irq_routing_entry *e)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < VM_GSIS; i++)
		e[nr++] = pin(i, KVM_IRQCHIP_IOAPIC, i);
	for (unsigned i = 0; i < 2 * PIC_PINS; i++)
		e[nr++] = pin(i, i < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
			      i % PIC_PINS);
	assert(nr == PINS);
	return nr;
}

static unsigned add_messages(struct kvm_irq_routing_entry *e, unsigned nr, const struct vm_msi *m)
{
	for (unsigned i = 0; i < VM_MSIS; i++) {
		if (!m->route[i].used)
			continue;
		e[nr++] = (struct kvm_irq_routing_entry){
			.gsi = VM_GSIS + i,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = {
				.address_lo = (uint32_t)m->route[i].address,
				.address_hi = (uint32_t)(m->route[i].address >> 32),
				.data = m->route[i].data,
			},
		};
	}
	return nr;
}

/* Tells KVM of all messages. KVM refuses the whole table if one of them can't be an interrupt.
 * Then those that it doesn't know yet are dropped, so that changes of others are not refused with
 * them. */
static int tell(const struct vm *vm, struct vm_msi *m)
{
	struct kvm_irq_routing *table;
	int rc = 0;

	if (!m->changed)
		return 0;
	table = calloc(1, sizeof(*table) + (PINS + VM_MSIS) * sizeof(table->entries[0]));
	if (!table)
		return -ENOMEM;
	table->nr = add_messages(table->entries, add_pins(table->entries), m);
	if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, table) < 0)
		rc = -errno;
	free(table);
	for (unsigned i = 0; i < VM_MSIS; i++) {
		if (rc == 0)
			m->route[i].told = m->route[i].used;
		else if (!m->route[i].told)
			m->route[i].used = false;
	}
	m->changed = false;
	return rc;
}

static void msi_route(void *ctx, unsigned n, uint64_t address, uint32_t data)
{
	struct vm_arch *a = ((struct vm *)ctx)->arch;

	assert(n < VM_MSIS);
	pthread_mutex_lock(&a->msi_lock);
	if (!a->msi)
		a->msi = calloc(1, sizeof(*a->msi)); /* without it msi_connect() fails */
	if (a->msi && (!a->msi->route[n].used || a->msi->route[n].address != address ||
		       a->msi->route[n].data != data)) {
		a->msi->route[n].address = address;
		a->msi->route[n].data = data;
		a->msi->route[n].used = true;
		a->msi->route[n].told = false;
		a->msi->changed = true;
	}
	pthread_mutex_unlock(&a->msi_lock);
}

static int msi_connect(void *ctx, unsigned n, int fd)
{
	const struct vm *vm = ctx;
	struct vm_arch *a = vm->arch;
	const struct kvm_irqfd irqfd = { .fd = (uint32_t)fd, .gsi = VM_GSIS + n };
	int rc;

	pthread_mutex_lock(&a->msi_lock);
	rc = a->msi ? tell(vm, a->msi) : -ENOMEM;
	if (rc == 0 && !a->msi->route[n].used) /* refused together with another one */
		rc = -EINVAL;
	pthread_mutex_unlock(&a->msi_lock);
	if (rc == 0 && ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0)
		rc = -errno;
	return rc;
}

static void msi_disconnect(void *ctx, unsigned n, int fd)
{
	const struct vm *vm = ctx;
	const struct kvm_irqfd irqfd = {
		.fd = (uint32_t)fd,
		.gsi = VM_GSIS + n,
		.flags = KVM_IRQFD_FLAG_DEASSIGN,
	};
	int rc = ioctl(vm->fd, KVM_IRQFD, &irqfd);

	assert(rc == 0); /* it is connected */
}

/* If len is 0, KVM looks at neither width nor value of the store, and needn't decode the
 * instruction where the processor tells the address (KVM api 4.59). */
static int doorbell(void *ctx, const struct doorbell *bell, int fd, bool on)
{
	const struct vm *vm = ctx;
	struct kvm_ioeventfd io = {
		.addr = bell->gpa,
		.len = bell->len,
		.datamatch = bell->value,
		.fd = fd,
		.flags = (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN) |
			 (bell->len ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0),
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &io) < 0 ? -errno : 0;
}

struct wires vm_wires(struct vm *vm, unsigned first)
{
	static const struct wires_ops ops = {
		.doorbell = doorbell,
		.msi_route = msi_route,
		.msi_connect = msi_connect,
		.msi_disconnect = msi_disconnect,
	};

	return (struct wires){ .ops = &ops, .ctx = vm, .first = first };
}
