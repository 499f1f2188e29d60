/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine/transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "arch/arch.h"

static bool on_pci(const struct machine *m)
{
	return m->transport == TRANSPORT_PCI;
}

static const char *module_of(enum transport t)
{
	return t == TRANSPORT_PCI ? "virtio_pci" : "virtio_mmio";
}

/* -- which one ------------------------------------------------------------------------------- */

/* PCI is what most kernels expect. But a command's kernel starts sooner over MMIO, because it has
 * no bus to search (docs/benchmarks.md). */
static enum transport choose(const struct machine *m)
{
	const struct config *c = m->config;
	/* One each for balloon, vsock, root, console and ports, though some may be missing. */
	const size_t most = c->nr_disks + c->nr_nets + c->nr_fs + c->command.nr_shares + 5;
	const struct drivers *d = &m->command.drivers;

	if (c->transport != TRANSPORT_AUTO)
		return c->transport;
	if (!c->command.argv || most > arch_layout.nr_virtio_pins)
		return TRANSPORT_PCI;
	if (drivers_lack(d, module_of(TRANSPORT_MMIO)) &&
	    !drivers_lack(d, module_of(TRANSPORT_PCI)))
		return TRANSPORT_PCI;
	return TRANSPORT_MMIO;
}

/* -- the places ------------------------------------------------------------------------------ */

static gpa_t mmio_base(size_t i)
{
	return arch_layout.virtio + i * VIRTIO_MMIO_SIZE;
}

/* The high window lies above all RAM, at a multiple of its size. */
static gpa_t high_window(const struct machine *m)
{
	const struct gmem_region *last = &m->mem.region[m->mem.nr - 1];

	return align_up(max(last->base + last->size, arch_layout.pci_high),
			arch_layout.pci_high_len);
}

void transport_init(struct machine *m)
{
	m->transport = choose(m);
	if (m->config->transport == TRANSPORT_AUTO)
		m->command.other_transport = on_pci(m) ? "mmio" : "pci";
	/* There is always a host bridge: kernels look for one, and complain if they don't find
	 * it. */
	if (on_pci(m))
		pci_init(&m->pci, arch_layout.pci_low, arch_layout.pci_low_len, high_window(m),
			 arch_layout.pci_high_len);
	else
		pci_init(&m->pci, 0, 0, 0, 0);
}

/* -- adding ---------------------------------------------------------------------------------- */

/* Gives vd registers in the next page, an irqfd, and an ioeventfd for each queue. */
static int add_mmio(struct machine *m, size_t i, struct virtio_dev *vd, struct loop *loop)
{
	const bool live = !m->owner.dry;
	struct virtio_mmio *t = m->virtio[i].mmio = calloc(1, sizeof(*t));
	struct irq_line irq = { 0 };
	int rc = t ? 0 : log_ret(-ENOMEM, "virtio-%s: out of memory", vd->ops->name);

	if (rc == 0 && live)
		rc = vm_irqfd_line(&m->vm, arch_layout.virtio_pin[i], &irq);
	if (rc == 0)
		rc = virtio_mmio_init(t, vd, &m->mem, &irq, loop);
	if (rc == 0 && live) {
		const struct wires wires = vm_wires(&m->vm, 0);

		rc = virtio_mmio_wire(t, &wires, mmio_base(i));
	}
	return rc;
}

/* Gives vd a function in the next slot. The guest has it wired when it switches it on. */
static int add_pci(struct machine *m, size_t i, struct virtio_dev *vd, struct loop *loop)
{
	const bool live = !m->owner.dry;
	const struct wires wires = live ? vm_wires(&m->vm, m->nr_msis) : (struct wires){ 0 };
	struct virtio_pci *t = m->virtio[i].pci = calloc(1, sizeof(*t));
	int rc = t ? 0 : log_ret(-ENOMEM, "virtio-%s: out of memory", vd->ops->name);

	m->nr_msis += virtio_pci_nr_vectors(vd);
	if (rc == 0)
		rc = virtio_pci_init(t, vd, &m->mem, &wires, loop);
	if (rc == 0 && pci_add(&m->pci, &t->fn) < 0)
		rc = log_ret(-ENOSPC, "virtio-%s: no room on the PCI bus", vd->ops->name);
	return rc;
}

_Static_assert(MACHINE_MAX_VIRTIO < PCI_SLOTS, "a slot for each, and the host bridge's");
_Static_assert(MACHINE_MAX_VIRTIO *(VIRTIO_MAX_QUEUES + 1) <= VM_MSIS, "messages for each");

int machine_add_virtio(struct machine *m, struct virtio_dev *vd, struct loop *loop)
{
	const size_t i = m->nr_virtio;

	if (i == MACHINE_MAX_VIRTIO)
		return log_ret(
			-ENOSPC,
			"virtio-%s: there are %zu virtio devices already, which is the most; leave one out",
			vd->ops->name, i);
	if (!on_pci(m) && i == arch_layout.nr_virtio_pins)
		return log_ret(
			-ENOSPC,
			"virtio-%s: --transport mmio has interrupts for %zu virtio devices (one is for random numbers); use --transport pci or leave one out",
			vd->ops->name, i);
	m->virtio[i].vd = vd;
	m->nr_virtio++; /* transport_destroy() destroys it, even if it is only half made */
	return on_pci(m) ? add_pci(m, i, vd, loop) : add_mmio(m, i, vd, loop);
}

/* -- for the bus, for the kernel, and the end ------------------------------------------------ */

static size_t shown_len(void)
{
	return arch_layout.nr_virtio_pins * VIRTIO_MMIO_SIZE;
}

void transport_show(struct machine *m)
{
	void *pages;

	if (on_pci(m))
		return;
	pages = mmap(NULL, shown_len(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return;
	if (vm_show_memory(&m->vm, mmio_base(0), shown_len(), pages))
		m->shown = pages;
	else
		munmap(pages, shown_len());
}

/* Where no device is, reads give ones, as everywhere that nobody answers. */
static void fill_shown(const struct machine *m)
{
	const size_t used = m->nr_virtio * VIRTIO_MMIO_SIZE;

	if (!m->shown)
		return;
	for (size_t i = 0; i < m->nr_virtio; i++)
		virtio_mmio_show(m->virtio[i].mmio, m->shown + i * VIRTIO_MMIO_SIZE);
	memset(m->shown + used, 0xff, shown_len() - used);
}

int transport_map(struct machine *m)
{
	struct pci_windows *w = &m->pci.windows;
	int rc = 0;

	fill_shown(m);
	for (size_t i = 0; i < m->nr_virtio && rc == 0; i++)
		if (m->virtio[i].mmio)
			rc = bus_add(&m->mmio, mmio_base(i), VIRTIO_MMIO_SIZE,
				     &m->virtio[i].mmio->dev);
	if (rc == 0 && on_pci(m))
		rc = bus_add(&m->mmio, arch_layout.pci_ecam, PCI_ECAM_SIZE, &m->pci.ecam);
	if (rc == 0 && on_pci(m))
		rc = bus_add(&m->mmio, w->low.base, w->low.len, &w->low.dev);
	if (rc == 0 && on_pci(m))
		rc = bus_add(&m->mmio, w->high.base, w->high.len, &w->high.dev);
	return rc;
}

void transport_describe(const struct machine *m, struct device_places *d,
			struct virtio_place list[MACHINE_MAX_VIRTIO])
{
	if (on_pci(m)) {
		d->pci = (struct pci_place){
			.ecam = arch_layout.pci_ecam,
			.ecam_len = PCI_ECAM_SIZE,
			.low = m->pci.windows.low.base,
			.low_len = m->pci.windows.low.len,
			.high = m->pci.windows.high.base,
			.high_len = m->pci.windows.high.len,
		};
		return;
	}
	for (size_t i = 0; i < m->nr_virtio; i++)
		list[i] = (struct virtio_place){
			.base = mmio_base(i),
			.len = VIRTIO_MMIO_SIZE,
			.pin = arch_layout.virtio_pin[i],
		};
	d->virtio = list;
	d->nr_virtio = m->nr_virtio;
}

void transport_reserve(const struct machine *m, struct boot_request *r)
{
	if (!on_pci(m))
		return;
	r->reserved = arch_layout.pci_ecam;
	r->reserved_len = PCI_ECAM_SIZE;
}

void transport_destroy(struct machine *m)
{
	for (size_t i = 0; i < m->nr_virtio; i++) {
		struct machine_virtio *v = &m->virtio[i];

		if (v->mmio && v->mmio->vd)
			virtio_mmio_destroy(v->mmio);
		if (v->pci && v->pci->vd)
			virtio_pci_destroy(v->pci);
		free(v->mmio);
		free(v->pci);
		*v = (struct machine_virtio){ 0 };
	}
	if (m->shown)
		munmap(m->shown, shown_len());
	m->shown = NULL;
	m->nr_virtio = 0;
	pci_destroy(&m->pci);
}

const char *transport_module(const struct machine *m)
{
	return module_of(m->transport);
}

const char *transport_where(const struct machine *m, size_t i, char text[TRANSPORT_WHERE_LEN])
{
	if (on_pci(m))
		snprintf(text, TRANSPORT_WHERE_LEN, "0x%010llx  00:%02zx.0",
			 (ull)pci_bar(&m->virtio[i].pci->fn), i + 1);
	else
		snprintf(text, TRANSPORT_WHERE_LEN, "0x%010llx  irq %2u", (ull)mmio_base(i),
			 arch_layout.virtio_pin[i]);
	return text;
}
