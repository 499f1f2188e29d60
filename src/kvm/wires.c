/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How devices' eventfds are wired (vmm/wires.h): KVM has ioeventfds for doorbells, and irqfds for
 * messages.
 *
 * An irqfd raises a GSI, and KVM's routing table says what a GSI is. At first that is a pin of its
 * interrupt controllers; message n gets GSI nr_pins + n (arch_layout). The table is replaced as a
 * whole, at a cost that grows with the vCPUs that run. So that happens only when a message has
 * changed, and not at all for a guest that uses none, which keeps KVM's own table.
 */
#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "arch/arch.h"

/* Returns the GSI of message n. */
static uint32_t message_gsi(unsigned n)
{
	return arch_layout.nr_pins + n;
}

struct vm_msi {
	bool changed; /* since KVM was told */
	bool devices; /* KVM must be told which device a message comes from */
	struct {
		struct msi msi;
		bool used, told; /* there is a message; KVM knows it */
	} route[VM_MSIS];
};

static struct kvm_irq_routing_entry message(unsigned n, const struct vm_msi *m)
{
	const struct msi *msi = &m->route[n].msi;

	return (struct kvm_irq_routing_entry){
		.gsi = message_gsi(n),
		.type = KVM_IRQ_ROUTING_MSI,
		.flags = m->devices ? KVM_MSI_VALID_DEVID : 0,
		.u.msi = {
			.address_lo = (uint32_t)msi->address,
			.address_hi = (uint32_t)(msi->address >> 32),
			.data = msi->data,
			.devid = m->devices ? msi->device : 0,
		},
	};
}

static unsigned add_messages(struct kvm_irq_routing_entry *e, unsigned nr, const struct vm_msi *m)
{
	for (unsigned i = 0; i < VM_MSIS; i++)
		if (m->route[i].used)
			e[nr++] = message(i, m);
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
	table = calloc(1,
		       sizeof(*table) + (VM_MAX_PIN_ROUTES + VM_MSIS) * sizeof(table->entries[0]));
	if (!table)
		return -ENOMEM;
	table->nr = add_messages(table->entries, vm_pin_routes(table->entries), m);
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

static bool same(const struct msi *a, const struct msi *b)
{
	return a->address == b->address && a->data == b->data && a->device == b->device;
}

static void msi_route(void *ctx, unsigned n, const struct msi *msi)
{
	struct vm *vm = ctx;

	assert(n < VM_MSIS);
	pthread_mutex_lock(&vm->msi_lock);
	if (!vm->msi) {
		vm->msi = calloc(1, sizeof(*vm->msi)); /* without it msi_connect() fails */
		if (vm->msi)
			vm->msi->devices = vm_has(vm, KVM_CAP_MSI_DEVID);
	}
	if (vm->msi && (!vm->msi->route[n].used || !same(&vm->msi->route[n].msi, msi))) {
		vm->msi->route[n].msi = *msi;
		vm->msi->route[n].used = true;
		vm->msi->route[n].told = false;
		vm->msi->changed = true;
	}
	pthread_mutex_unlock(&vm->msi_lock);
}

static int msi_connect(void *ctx, unsigned n, int fd)
{
	struct vm *vm = ctx;
	const struct kvm_irqfd irqfd = { .fd = (uint32_t)fd, .gsi = message_gsi(n) };
	int rc;

	pthread_mutex_lock(&vm->msi_lock);
	rc = vm->msi ? tell(vm, vm->msi) : -ENOMEM;
	if (rc == 0 && !vm->msi->route[n].used) /* refused together with another one */
		rc = -EINVAL;
	pthread_mutex_unlock(&vm->msi_lock);
	if (rc == 0 && ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0)
		rc = -errno;
	return rc;
}

static void msi_disconnect(void *ctx, unsigned n, int fd)
{
	const struct vm *vm = ctx;
	const struct kvm_irqfd irqfd = {
		.fd = (uint32_t)fd,
		.gsi = message_gsi(n),
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
