/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PCI bus with two virtio functions, and an input that is a list of operations: accesses of every
 * width and offset to configuration space (by ports and by memory) and to both windows for BARs,
 * BARs that move, MSI-X, guest memory, kicks, resets. Some operations do what a driver does, so
 * that inputs need not find the way themselves.
 */
#include <assert.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>

#include "wires.h"
#include "fuzz.h"
#include "pci_ports.h"
#include "virtio/pci.h"

#define RAM_SIZE   (16 * KIB)
#define QUEUE_SIZE 8
#define QUEUES     2
#define NR         2
#define AGREED     (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

#define PORTS 0xcf8
#define ECAM  0xe0000000
#define LOW   0xc0000000
#define HIGH  0x100000000
#define LEN   0x40000 /* small, so that BARs can collide */

struct function {
	struct virtio_dev vd;
	struct virtio_pci t;
	uint8_t config[24];
	uint8_t fresh[256]; /* the function's configuration space before the guest wrote to it */
	int call;           /* -1, or another process serves queue 1 and has this */
};

struct target {
	struct pci pci;
	struct pci_ports ports;
	struct function fn[NR];
	struct test_wires wires;
	struct bus pio, mmio;
	struct loop loop;
	struct gmem mem;
	uint8_t *ram;
};

static int fn_kick(struct virtio_dev *vd __unused, struct virtq *q)
{
	struct virtq_chain c;
	int rc;

	while ((rc = virtq_pop(q, &c)) > 0) {
		uint8_t buf[16];
		size_t n = chain_read(&c, 0, buf, sizeof(buf));

		virtq_push(q, c.head, (uint32_t)chain_write(&c, 0, buf, n));
	}
	return rc;
}

static int fn_activate(struct virtio_dev *vd)
{
	struct function *f = container_of(vd, struct function, vd);

	if (f->config[0] & 1) {
		vd->transport->watch_kicks(vd->transport_ctx, 1, false);
		f->call = vd->transport->call_fd(vd->transport_ctx, 1);
		assert(f->call >= 0 && vd->transport->kick_fd(vd->transport_ctx, 1) >= 0);
	}
	if (f->config[0] & 2) {
		struct shared_fd kick, call;
		int rc = vd->transport->lend_kick(vd->transport_ctx, 0, &kick) |
			 vd->transport->lend_call(vd->transport_ctx, 0, &call);

		if (rc < 0)
			return rc;
	}
	return f->config[0] == 0xff ? -1 : 0;
}

static void fn_reset(struct virtio_dev *vd, struct virtq *q)
{
	if (!q)
		container_of(vd, struct function, vd)->call = -1;
}

static void fn_lent_kick(struct virtio_dev *vd __unused, struct virtq *q __unused) {}

static uint64_t fn_config_read(struct virtio_dev *vd, uint32_t off, unsigned size)
{
	return load_le(container_of(vd, struct function, vd)->config + off, size);
}

static void fn_config_write(struct virtio_dev *vd, uint32_t off, unsigned size, uint64_t value)
{
	store_le(container_of(vd, struct function, vd)->config + off, size, value);
}

static const struct virtio_ops fn_ops = {
	.name = "target",
	.device_id = 1,
	.nr_queues = QUEUES,
	.queue_size = QUEUE_SIZE,
	.config_size = sizeof(((struct function *)NULL)->config),
	.kick = fn_kick,
	.activate = fn_activate,
	.reset = fn_reset,
	.lent_kick = fn_lent_kick,
	.config_read = fn_config_read,
	.config_write = fn_config_write,
};

/* -- a driver -------------------------------------------------------------------------------- */

static void config(struct target *t, unsigned fn, unsigned off, unsigned size, uint64_t v)
{
	bus_write(&t->mmio, ECAM + ((fn + 1) << 15) + off, size, v);
}

static void decode_at(struct target *t, unsigned fn, gpa_t bar)
{
	config(t, fn, PCI_BASE_ADDRESS_0, 4, (uint32_t)bar);
	config(t, fn, PCI_BASE_ADDRESS_1, 4, bar >> 32);
	config(t, fn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
}

static void common(struct target *t, unsigned fn, unsigned reg, unsigned size, uint64_t v)
{
	bus_write(&t->mmio, pci_bar(&t->fn[fn].t.fn) + reg, size, v);
}

/* Brings up a device with the features that the input asks for; rings are in the first 512 bytes of
 * each half of RAM. */
static void bring_up(struct target *t, unsigned fn, uint64_t features)
{
	decode_at(t, fn, LOW + fn * 0x8000);
	common(t, fn, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	common(t, fn, VIRTIO_PCI_COMMON_STATUS, 1,
	       VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned word = 0; word < 2; word++) {
		common(t, fn, VIRTIO_PCI_COMMON_GFSELECT, 4, word);
		common(t, fn, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32 * word));
	}
	common(t, fn, VIRTIO_PCI_COMMON_STATUS, 1, AGREED);
	common(t, fn, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	for (uint32_t i = 0; i < QUEUES; i++) {
		const uint32_t base = i * (uint32_t)RAM_SIZE / 2;

		common(t, fn, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		common(t, fn, VIRTIO_PCI_COMMON_Q_SIZE, 2, QUEUE_SIZE);
		common(t, fn, VIRTIO_PCI_COMMON_Q_DESCLO, 4, base);
		common(t, fn, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, base + 0x80);
		common(t, fn, VIRTIO_PCI_COMMON_Q_USEDLO, 4, base + 0x100);
		common(t, fn, VIRTIO_PCI_COMMON_Q_MSIX, 2, i + 1);
		common(t, fn, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	}
	common(t, fn, VIRTIO_PCI_COMMON_STATUS, 1, AGREED | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Does what the loop does with pending kicks. */
static void run_loop(struct target *t)
{
	struct epoll_event ev;

	for (unsigned i = 0; i < 4 && epoll_wait(t->loop.epoll_fd, &ev, 1, 0) == 1; i++) {
		struct loop_source *src = ev.data.ptr;

		src->fn(src, ev.events);
	}
}

/* -- the input ------------------------------------------------------------------------------- */

static void access_bus(struct bus *b, uint64_t at, unsigned size, bool wr, struct fuzz_in *in)
{
	if (wr)
		bus_write(b, at, size, fuzz_number(in, size));
	else
		assert(size == 8 || bus_read(b, at, size, NULL) >> 8 * size == 0);
}

static bool write_one(int fd)
{
	const uint64_t one = 1;

	return write(fd, &one, sizeof(one)) == sizeof(one);
}

static void one_op(struct target *t, struct fuzz_in *in)
{
	const unsigned op = (unsigned)fuzz_number(in, 1), size = 1u << (op >> 4 & 3);
	const unsigned fn = op >> 6 & 1;
	const bool wr = op >> 7;
	struct function *f = &t->fn[fn];
	uint64_t off, len;

	switch (op & 15) {
	case 0: /* any configuration space, by memory */
		off = fuzz_number(in, 3) % PCI_ECAM_SIZE;
		access_bus(&t->mmio, ECAM + off, size, wr, in);
		break;
	case 1: /* that of a function */
		off = fuzz_number(in, 1);
		access_bus(&t->mmio, ECAM + ((fn + 1) << 15) + off, size, wr, in);
		break;
	case 2:
		off = fuzz_number(in, 1) % PCI_PORTS;
		access_bus(&t->pio, PORTS + off, min(size, 4u), wr, in);
		break;
	case 3:
		bus_write(&t->pio, PORTS, 4, 0x80000000 | (fn + 1) << 11 | fuzz_number(in, 1));
		break;
	case 4: /* the windows */
		off = fuzz_number(in, 3) % LEN;
		access_bus(&t->mmio, (fn ? HIGH : LOW) + off, size, wr, in);
		break;
	case 5: /* a function's BAR */
		off = fuzz_number(in, 2) % 0x8000;
		access_bus(&t->mmio, pci_bar(&f->t.fn) + off, size, wr, in);
		break;
	case 6: /* its registers */
		off = fuzz_number(in, 1) % 64;
		access_bus(&t->mmio, pci_bar(&f->t.fn) + off, size, wr, in);
		break;
	case 7: /* its interrupts */
		off = 0x4000 + fuzz_number(in, 1) % 64;
		access_bus(&t->mmio, pci_bar(&f->t.fn) + off, size, wr, in);
		break;
	case 8:
		decode_at(t, fn, (wr ? HIGH : LOW) + fuzz_number(in, 1) * 0x1000);
		break;
	case 9:
		bring_up(t, fn, fuzz_number(in, 8));
		break;
	case 10: /* memory */
		off = fuzz_number(in, 2) % RAM_SIZE;
		len = min(fuzz_number(in, 1), RAM_SIZE - off);
		fuzz_take(in, t->ram + off, len);
		break;
	case 11:
		test_wires_store(&t->wires, pci_bar(&f->t.fn) + 0x3000 + (op >> 4 & 3) * 4);
		run_loop(t);
		break;
	case 12:
		virtio_config_changed(&f->vd);
		break;
	case 13: /* the process that serves the queue signals */
		if (f->call >= 0)
			assert(write_one(f->call));
		break;
	case 14:
		t->wires.no_bells = op >> 4 & 1;
		t->wires.no_routes = op >> 5 & 1;
		break;
	case 15:
		if (op >> 4 == 15)
			common(t, fn, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		break;
	}
}

/* Checks what holds whatever the guest does. */
static void check_function(const struct target *t, unsigned fn)
{
	const struct virtio_dev *vd = &t->fn[fn].vd;
	const struct virtio_pci *p = &t->fn[fn].t;
	const struct msix *m = &p->msix;
	const gpa_t at = p->fn.bar_at;
	unsigned bells = 0;

	if (vd->state.status & VIRTIO_CONFIG_S_DRIVER_OK)
		assert((vd->state.status & AGREED) == AGREED);
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		assert(!vd->q[i].state.ready || (i < QUEUES && vd->q[i].state.size <= QUEUE_SIZE));
		assert(p->state.queue_vector[i] < m->nr ||
		       p->state.queue_vector[i] == VIRTIO_MSI_NO_VECTOR);
		bells += p->kicks.kick[i].wired;
	}
	/* The BAR is decoded in a window, if memory is on, or not at all; its doorbells are where
	 * it is. */
	if (at == PCI_NOWHERE)
		assert(bells == 0);
	else
		assert(p->fn.state.config[PCI_COMMAND] & PCI_COMMAND_MEMORY &&
		       at == pci_bar(&p->fn) &&
		       ((at >= LOW && at <= LOW + LEN - 0x8000) ||
			(at >= HIGH && at <= HIGH + LEN - 0x8000)));
	/* Constant fields have not changed; the list of capabilities ends. */
	assert(load_le(p->fn.state.config, 4) == 0x10411af4);
	for (unsigned i = 0; i < sizeof(p->fn.state.config); i++)
		assert(!((p->fn.state.config[i] ^ t->fn[fn].fresh[i]) & ~p->fn.writable[i]));
	/* A vector is connected when nothing masks it, with the message of the table. */
	for (unsigned i = 0; i < m->nr; i++) {
		const struct msix_vector *v = &m->vector[i];
		const struct msix_entry *e = &m->state.entry[i];
		const unsigned n = m->wires.first + i;

		assert(v->connected == (t->wires.msi[n].fd >= 0));
		assert(v->lent_connected == (t->wires.msi[n].lent >= 0));
		if (v->connected)
			assert(m->enabled && !m->masked && !e->masked &&
			       t->wires.msi[n].told_address == e->address &&
			       t->wires.msi[n].told_data == e->data);
	}
}

/* A reset by the control register. */
static void on_power(void *ctx, enum power_event what, unsigned value)
{
	assert(!ctx && what == POWER_RESET && value == 0);
}

static void set_up(struct target *t)
{
	struct wires wires = test_wires_init(&t->wires, 0);
	const struct power power = { .event = on_power };
	int rc = 0;

	t->ram = calloc(1, RAM_SIZE);
	assert(t->ram);
	rc |= gmem_add(&t->mem, 0, RAM_SIZE, t->ram);
	rc |= loop_init(&t->loop);
	pci_init(&t->pci, LOW, LEN, HIGH, LEN);
	pci_ports_init(&t->ports, &t->pci, &power);
	for (unsigned i = 0; i < NR; i++) {
		struct function *f = &t->fn[i];

		f->call = -1;
		virtio_init(&f->vd, &fn_ops, 0xff);
		rc |= virtio_pci_init(&f->t, &f->vd, &t->mem, &wires, &t->loop);
		assert(pci_add(&t->pci, &f->t.fn) == (int)i + 1);
		memcpy(f->fresh, f->t.fn.state.config, sizeof(f->fresh));
		wires.first += virtio_pci_nr_vectors(&f->vd);
	}
	rc |= bus_add(&t->pio, PORTS, PCI_PORTS, &t->ports.dev);
	rc |= bus_add(&t->mmio, ECAM, PCI_ECAM_SIZE, &t->pci.ecam);
	rc |= bus_add(&t->mmio, LOW, LEN, &t->pci.windows.low.dev);
	rc |= bus_add(&t->mmio, HIGH, LEN, &t->pci.windows.high.dev);
	assert(rc == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct target *t = calloc(1, sizeof(*t));

	assert(t);
	set_up(t);
	for (unsigned i = 0; i < 1000 && in.len > 0; i++) {
		one_op(t, &in);
		for (unsigned fn = 0; fn < NR; fn++)
			check_function(t, fn);
	}
	for (unsigned i = 0; i < NR; i++)
		virtio_pci_destroy(&t->fn[i].t);
	assert(t->wires.nr_bells == 0 && t->wires.connects == t->wires.disconnects);
	pci_ports_destroy(&t->ports);
	pci_destroy(&t->pci);
	loop_destroy(&t->loop);
	free(t->ram);
	free(t);
	return 0;
}
