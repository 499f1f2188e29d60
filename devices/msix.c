/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSI-X (PCI Local Bus 3.0 §6.8.2).
 *
 * A vector is an eventfd. While it is enabled and not masked, the eventfd is connected: each signal
 * is sent as the vector's message, by KVM and without us. While the vector is masked (itself, with
 * the whole function, or because MSI-X is off), the eventfd is not connected and keeps its signals:
 * that count is the pending bit, and it is sent as soon as the eventfd is connected again. So the
 * device, or the host's kernel for it (vhost), can signal without knowing about masks.
 *
 * The table is read and written in aligned words of 4 or 8 bytes, as §6.8.2 asks of software;
 * anything else reads as zero and writes nothing. An entry that is changed while it isn't masked
 * (which software must not do) changes at once.
 */
#include "msix.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "vmm/event.h"

/* Logs why when there is none, but not as often as a guest may ask. */
int msix_fd(struct msix *m, unsigned vector)
{
	struct msix_vector *v = &m->vector[vector];

	assert(vector < m->nr);
	if (v->fd < 0)
		v->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return v->fd >= 0 ? v->fd
			  : guest_errno(&m->log, "PCI: eventfd for interrupt %u of %s", vector,
					m->name);
}

void msix_signal(struct msix *m, unsigned vector)
{
	const int fd = msix_fd(m, vector);

	if (fd >= 0)
		event_signal(fd);
}

static void disconnect_lent(struct msix *m, unsigned vector)
{
	struct msix_vector *v = &m->vector[vector];

	if (v->lent_connected)
		m->wires.ops->msi_disconnect(m->wires.ctx, m->wires.first + vector,
					     shared_fd_hand_on(&v->lent));
	v->lent_connected = false;
}

static void disconnect(struct msix *m, unsigned vector)
{
	struct msix_vector *v = &m->vector[vector];

	disconnect_lent(m, vector);
	if (v->connected)
		m->wires.ops->msi_disconnect(m->wires.ctx, m->wires.first + vector, v->fd);
	v->connected = false;
}

static bool is_open(const struct msix *m, unsigned vector)
{
	return m->enabled && !m->masked && !m->state.entry[vector].masked;
}

/* A lent eventfd is connected when our own is: with the same message, which KVM has taken. */
static int connect_lent(struct msix *m, unsigned vector)
{
	struct msix_vector *v = &m->vector[vector];
	int rc = 0;

	if (v->connected && shared_fd_is_open(&v->lent) && !v->lent_connected)
		rc = m->wires.ops->msi_connect(m->wires.ctx, m->wires.first + vector,
					       shared_fd_hand_on(&v->lent));
	v->lent_connected = v->connected && shared_fd_is_open(&v->lent) && rc == 0;
	return rc;
}

static void connect_one(struct msix *m, unsigned vector)
{
	const struct msix_entry *e = &m->state.entry[vector];
	struct msix_vector *v = &m->vector[vector];
	const int fd = msix_fd(m, vector);
	int rc;

	if (fd < 0)
		return;
	rc = m->wires.ops->msi_connect(m->wires.ctx, m->wires.first + vector, fd);
	v->connected = rc == 0;
	if (rc == 0)
		rc = connect_lent(m, vector);
	if (rc < 0)
		guest_err(
			&m->log,
			"PCI: interrupt %u of %s can't be sent as the guest wants it (address 0x%llx, data 0x%x): %s",
			vector, m->name, (unsigned long long)e->address, e->data, strerror(-rc));
}

static void route(const struct msix *m, unsigned vector)
{
	const struct msix_entry *e = &m->state.entry[vector];
	const struct msi msi = {
		.address = e->address,
		.data = e->data,
		.device = m->fn->id,
	};

	m->wires.ops->msi_route(m->wires.ctx, m->wires.first + vector, &msi);
}

/* Connects the eventfds that the masks let through, and no others. */
static void update(struct msix *m)
{
	if (!m->wires.ops)
		return;
	for (unsigned i = 0; i < m->nr; i++) {
		if (!is_open(m, i))
			disconnect(m, i);
		else if (!m->vector[i].connected)
			route(m, i);
	}
	for (unsigned i = 0; i < m->nr; i++)
		if (is_open(m, i) && !m->vector[i].connected)
			connect_one(m, i);
}

/* -- registers ------------------------------------------------------------------------------- */

static uint32_t table_word(const struct msix_entry *e, unsigned off)
{
	switch (off) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return (uint32_t)e->address;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return (uint32_t)(e->address >> 32);
	case PCI_MSIX_ENTRY_DATA:
		return e->data;
	default:
		return e->masked ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0;
	}
}

static void set_table_word(struct msix_entry *e, unsigned off, uint32_t value)
{
	switch (off) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		e->address = (e->address & ~(uint64_t)UINT32_MAX) | (value & ~3u);
		break;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		e->address = (e->address & UINT32_MAX) | (uint64_t)value << 32;
		break;
	case PCI_MSIX_ENTRY_DATA:
		e->data = value;
		break;
	default:
		e->masked = value & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		break;
	}
}

/* Returns whether the table answers such an access. */
static bool table_covers(const struct msix *m, uint64_t off, unsigned size)
{
	return (size == 4 || size == 8) && off % size == 0 && off / PCI_MSIX_ENTRY_SIZE < m->nr;
}

uint64_t msix_table_read(const struct msix *m, uint64_t off, unsigned size)
{
	const struct msix_entry *e = &m->state.entry[off / PCI_MSIX_ENTRY_SIZE % MSIX_MAX_VECTORS];
	const unsigned at = (unsigned)(off % PCI_MSIX_ENTRY_SIZE);

	if (!table_covers(m, off, size))
		return 0;
	return table_word(e, at) | (size == 8 ? (uint64_t)table_word(e, at + 4) << 32 : 0);
}

void msix_table_write(struct msix *m, uint64_t off, unsigned size, uint64_t value)
{
	const unsigned vector = (unsigned)(off / PCI_MSIX_ENTRY_SIZE % MSIX_MAX_VECTORS);
	const unsigned at = (unsigned)(off % PCI_MSIX_ENTRY_SIZE);
	struct msix_entry *e = &m->state.entry[vector], was = *e;

	if (!table_covers(m, off, size))
		return;
	set_table_word(e, at, (uint32_t)value);
	if (size == 8)
		set_table_word(e, at + 4, (uint32_t)(value >> 32));
	if (e->address != was.address || e->data != was.data)
		disconnect(m, vector);
	update(m);
}

int msix_lend(struct msix *m, unsigned vector, struct shared_fd *fd)
{
	struct msix_vector *v = &m->vector[vector];
	int rc = 0;

	assert(vector < m->nr);
	if (!shared_fd_is_open(&v->lent) && shared_fd_open(&v->lent, 0) < 0)
		return guest_errno(&m->log, "PCI: eventfd for interrupt %u of %s", vector, m->name);
	rc = connect_lent(m, vector);
	*fd = v->lent;
	return rc < 0 ? (guest_err(&m->log, "PCI: irqfd for interrupt %u of %s: %s", vector,
				   m->name, strerror(-rc)),
			 rc)
		      : 0;
}

static void take_back(struct msix *m)
{
	for (unsigned i = 0; i < m->nr; i++) {
		disconnect_lent(m, i);
		shared_fd_close(&m->vector[i].lent);
	}
}

/* A connected vector has nothing pending: its message is being sent. */
uint64_t msix_pba_read(const struct msix *m, uint64_t off, unsigned size)
{
	struct pollfd p[2 * MSIX_MAX_VECTORS];
	uint64_t pending = 0;

	if (off + size > MSIX_MAX_VECTORS / 8)
		return 0;
	for (unsigned i = 0; i < m->nr; i++) {
		const struct msix_vector *v = &m->vector[i];

		p[2 * i] = (struct pollfd){ v->connected ? -1 : v->fd, POLLIN, 0 };
		p[2 * i + 1] =
			(struct pollfd){ v->lent_connected ? -1 : shared_fd_hand_on(&v->lent),
					 POLLIN, 0 };
	}
	if (poll(p, 2 * m->nr, 0) < 0)
		return 0;
	for (unsigned i = 0; i < 2 * m->nr; i++)
		pending |= (uint64_t)(p[i].fd >= 0 && p[i].revents & POLLIN) << i / 2;
	return pending >> 8 * off;
}

void msix_config_written(struct msix *m, const struct pci_function *f, unsigned off, unsigned size)
{
	const unsigned at = m->cap + PCI_MSIX_FLAGS;
	const uint64_t control = load_le(f->state.config + at, 2);

	if (off >= at + 2 || off + size <= at)
		return;
	m->enabled = control & PCI_MSIX_FLAGS_ENABLE;
	m->masked = control & PCI_MSIX_FLAGS_MASKALL;
	update(m);
}

/* -- life ------------------------------------------------------------------------------------ */

void msix_drain(struct msix *m)
{
	take_back(m);
	/* The eventfd may have no count, or KVM may have read it: that is not an error. */
	for (unsigned i = 0; i < m->nr; i++)
		if (m->vector[i].fd >= 0)
			event_take(m->vector[i].fd);
}

void msix_init(struct msix *m, struct pci_function *f, const char *name, unsigned nr,
	       const struct wires *wires, uint32_t table, uint32_t pba)
{
	assert(nr > 0 && nr <= MSIX_MAX_VECTORS && table % 8 == 0 && pba % 8 == 0);
	*m = (struct msix){ .wires = *wires, .fn = f, .name = name, .nr = nr };
	for (unsigned i = 0; i < nr; i++) {
		m->state.entry[i].masked = true;
		m->vector[i].fd = -1;
	}
	m->cap = pci_add_cap(f, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	pci_set(f, m->cap + PCI_MSIX_FLAGS, 2, nr - 1,
		PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_set(f, m->cap + PCI_MSIX_TABLE, 4, table, 0); /* both are in BAR 0 */
	pci_set(f, m->cap + PCI_MSIX_PBA, 4, pba, 0);
}

void msix_destroy(struct msix *m)
{
	take_back(m);
	for (unsigned i = 0; i < m->nr; i++) {
		disconnect(m, i);
		close_fd(&m->vector[i].fd);
	}
	m->nr = 0;
}
