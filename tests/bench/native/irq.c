/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long it takes from a kick until the device has used the request, and until its interrupt is
 * pending at the processor. The request costs the device nothing: a disk is asked for its
 * name (GET_ID).
 *
 * An interrupt is pending when its bit is set in the local APIC's IRR. There it stays, because the
 * priority of the task is higher: a handler would run at CPL 0, which may be interpreted. So each
 * request has a vector of its own, and there are some 200 of them. The APIC is in the kernel
 * (KVM's), so to read it is an exit, but a short one.
 *
 * Parameters:
 *   op=used     until the request is in the used ring; there is no interrupt
 *   op=pending  until the interrupt is pending
 *   op=read     just reads of the local APIC: what the last read may add to op=pending
 * Prints "cycles N" for each of 5 repetitions, after one that isn't counted and some 40 ms of other
 * requests: cycles a request.
 */
#include "virtio.h"

enum { RUNS = 5, COUNT = 28 };
enum { GET_ID = 8 };

#define APIC      0xfee00000ul
#define APIC_TPR  0x80
#define APIC_SVR  0xf0
#define APIC_IRR  0x200
#define APIC_LVT0 0x350
#define IOAPIC(n) (0xfec00000ul + 0x10000 * (n))
#define PINS      24

#define WARM_CYCLES 100000000
#define IDLE_CYCLES 300000000 /* longer than a PC's timer takes to tick, 55 ms */

#define FIRST_VECTOR 0x20

static struct device disk;
static struct queue queue;
static bool used, pending;
static uintptr_t io_apic;     /* where the device's interrupts arrive, */
static uint32_t pin;          /* and at which of its pins */
static bool others[2 * PINS]; /* pins of other devices */

static volatile uint32_t *apic(unsigned reg)
{
	return (volatile uint32_t *)(APIC + reg);
}

static bool is_pending(unsigned vector)
{
	return *apic(APIC_IRR + vector / 32 * 0x10) >> vector % 32 & 1;
}

/* Switches the local APIC on, but has it let no interrupt through to the processor: neither its own
 * nor those of the PIC. */
static void apic_up(void)
{
	*apic(APIC_TPR) = 0xff;
	*apic(APIC_LVT0) = 1 << 16;
	*apic(APIC_SVR) = 0x1ff;
}

static void io_apic_write(uintptr_t at, uint32_t reg, uint32_t v)
{
	*(volatile uint32_t *)at = reg;
	*(volatile uint32_t *)(at + 0x10) = v;
}

/* An edge at the pin becomes an interrupt of the first processor. */
static void route_pin(uintptr_t at, uint32_t nr, unsigned vector)
{
	io_apic_write(at, 0x10 + 2 * nr + 1, 0);
	io_apic_write(at, 0x10 + 2 * nr, vector);
}

static void route(unsigned vector)
{
	if (disk.mmio)
		route_pin(io_apic, pin, vector);
	else
		device_route(&disk, vector);
}

static void request(void)
{
	static struct {
		uint32_t type, zero;
		uint64_t sector;
	} head = { .type = GET_ID };
	static uint8_t id[20], status;
	const struct piece p[] = { { &head, sizeof(head) },
				   { id, sizeof(id) },
				   { &status, sizeof(status) } };

	queue_add(&queue, p, 1, 2, &queue);
	queue_kick(&queue);
}

/* Finds the device's pin. Each pin gets a vector of its own; then the vector that arrives for a
 * request names the pin. Those that arrive without a request, as a timer's does, are left out. */
static void find_pin(void)
{
	for (unsigned i = 0; i < 2 * PINS; i++)
		route_pin(IOAPIC(i / PINS), i % PINS, FIRST_VECTOR + i);
	for (uint64_t start = tsc(); tsc() - start < IDLE_CYCLES;)
		;
	for (unsigned i = 0; i < 2 * PINS; i++)
		others[i] = is_pending(FIRST_VECTOR + i);
	request();
	for (unsigned i = 0;; i = (i + 1) % (2 * PINS)) {
		if (others[i] || !is_pending(FIRST_VECTOR + i))
			continue;
		io_apic = IOAPIC(i / PINS);
		pin = i % PINS;
		break;
	}
	/* Only now: a device doesn't interrupt for what the driver has already seen. */
	queue_wait(&queue, NULL);
}

static uint64_t once(unsigned vector)
{
	uint64_t start;

	if (pending)
		route(vector);
	start = tsc();
	if (used || pending)
		request();
	if (used)
		queue_wait(&queue, NULL);
	while (pending && !is_pending(vector))
		;
	if (!used && !pending)
		(void)is_pending(vector);
	start = tsc() - start;
	if (pending) {
		queue_wait(&queue, NULL);
		device_acknowledge(&disk);
	}
	return start;
}

/* Monitors adapt to what a guest does, and not at once. */
static void warm_up(void)
{
	if (pending && !disk.mmio)
		route(FIRST_VECTOR);
	for (uint64_t start = tsc(); tsc() - start < WARM_CYCLES;) {
		request();
		queue_wait(&queue, NULL);
		if (pending)
			device_acknowledge(&disk);
	}
}

static void repetition(unsigned vector, bool counts)
{
	uint64_t cycles = 0;

	for (unsigned i = 0; i < COUNT; i++)
		cycles += once(vector + i);
	if (counts)
		report("cycles", cycles / COUNT);
}

void guest(void)
{
	unsigned vector = FIRST_VECTOR;

	used = param_is("op", "used");
	pending = param_is("op", "pending");
	device_find(&disk, VIRTIO_BLK, 0);
	device_start(&disk, RING_EVENT_IDX | RING_INDIRECT_DESC);
	queue_init(&disk, &queue, 0, QUEUE_MAX);
	if (pending)
		queue_want_interrupts(&disk, &queue);
	device_live(&disk);
	apic_up();
	if (pending && disk.mmio) {
		find_pin();
		device_acknowledge(&disk);
		vector += 2 * PINS;
		if (vector + (RUNS + 1) * COUNT > 0x100)
			fail("too few vectors");
	}
	vector++;
	warm_up();
	for (unsigned i = 0; i <= RUNS; i++, vector += COUNT)
		repetition(vector, i > 0);
	finish();
}
