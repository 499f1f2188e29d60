/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci.h"

#include <errno.h>
#include <linux/pci_regs.h>

#include "pci_ports.h"
#include "test.h"

#define PORTS    0xcf8
#define ECAM     0xe0000000
#define LOW      0xc0000000
#define LOW_LEN  0x1000000
#define HIGH     0x140000000
#define HIGH_LEN 0x40000000
#define BAR_SIZE 0x8000
#define FROM     (LOW + BAR_SIZE) /* where firmware put the second cat's BAR */

/* A function that remembers what happens to it; a bus with two of them, in slots 1 and 2. */
struct cat {
	struct pci_function fn;
	uint64_t reg[BAR_SIZE / 8];
	gpa_t from, to;
	unsigned moves, config_reads, last_off, last_size;
};

static struct pci pci;
static struct pci_ports ports;
static struct bus pio, mmio;
static struct cat cats[2], *cat = &cats[1];

static uint64_t cat_read(struct pci_function *f, uint64_t off, unsigned size)
{
	struct cat *c = container_of(f, struct cat, fn);

	assert_true(off + size <= BAR_SIZE);
	return load_le((uint8_t *)c->reg + off, size);
}

static void cat_write(struct pci_function *f, uint64_t off, unsigned size, uint64_t value)
{
	struct cat *c = container_of(f, struct cat, fn);

	assert_true(off + size <= BAR_SIZE);
	store_le((uint8_t *)c->reg + off, size, value);
}

static void cat_moved(struct pci_function *f, gpa_t from, gpa_t to)
{
	struct cat *c = container_of(f, struct cat, fn);

	c->from = from;
	c->to = to;
	c->moves++;
}

static void cat_config_read(struct pci_function *f, unsigned off, unsigned size __unused)
{
	struct cat *c = container_of(f, struct cat, fn);

	assert_true(off < 256);
	c->config_reads++;
}

static void cat_config_written(struct pci_function *f, unsigned off, unsigned size)
{
	struct cat *c = container_of(f, struct cat, fn);

	c->last_off = off;
	c->last_size = size;
}

static const struct pci_function_ops cat_ops = {
	.name = "cat",
	.bar_read = cat_read,
	.bar_write = cat_write,
	.bar_moved = cat_moved,
	.config_read = cat_config_read,
	.config_written = cat_config_written,
};
static const struct pci_ids cat_ids = { 0x1234, 0x5678, 0x9abc, 0xdef0, 0x020304, 7 };

static int power_on(void **state __unused)
{
	int rc = 0;

	pio = mmio = (struct bus){ 0 };
	pci_init(&pci, LOW, LOW_LEN, HIGH, HIGH_LEN);
	pci_ports_init(&ports, &pci, &(struct power){ 0 });
	for (unsigned i = 0; i < ARRAY_SIZE(cats); i++) {
		cats[i] = (struct cat){ 0 };
		pci_function_init(&cats[i].fn, &cat_ops, &cat_ids, BAR_SIZE);
		assert_int_equal(pci_add_cap(&cats[i].fn, PCI_CAP_ID_VNDR, 5), 0x40);
		assert_int_equal(pci_add_cap(&cats[i].fn, PCI_CAP_ID_MSIX, 12), 0x48);
		pci_set(&cats[i].fn, 0x44, 1, 0x5a, 0x0f);
		assert_int_equal(pci_add(&pci, &cats[i].fn), i + 1);
	}
	rc |= bus_add(&pio, PORTS, PCI_PORTS, &ports.dev);
	rc |= bus_add(&mmio, ECAM, PCI_ECAM_SIZE, &pci.ecam);
	rc |= bus_add(&mmio, LOW, LOW_LEN, &pci.windows.low.dev);
	rc |= bus_add(&mmio, HIGH, HIGH_LEN, &pci.windows.high.dev);
	bus_freeze(&pio);
	bus_freeze(&mmio);
	return rc;
}

static int power_off(void **state __unused)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cats); i++)
		pci_function_destroy(&cats[i].fn);
	pci_ports_destroy(&ports);
	pci_destroy(&pci);
	return 0;
}

/* Reads configuration space by ports, in any slot of bus 0. */
static uint64_t config(unsigned slot, unsigned off, unsigned size)
{
	bus_write(&pio, PORTS, 4, 0x80000000 | slot << 11 | (off & 0xfc));
	return bus_read(&pio, PORTS + 4 + off % 4, size, NULL);
}

static uint64_t ecam(unsigned slot, unsigned off, unsigned size)
{
	return bus_read(&mmio, ECAM + (slot << 15) + off, size, NULL);
}

static void set(unsigned slot, unsigned off, unsigned size, uint64_t value)
{
	assert_true(bus_write(&mmio, ECAM + (slot << 15) + off, size, value));
}

/* Moves the second cat's BAR. */
static void move(uint64_t to)
{
	set(2, PCI_BASE_ADDRESS_0, 4, (uint32_t)to);
	set(2, PCI_BASE_ADDRESS_1, 4, to >> 32);
}

static void the_bridge_is_found(void **state __unused)
{
	assert_int_equal(config(0, 0, 4), 0x00081b36);
	assert_int_equal(config(0, 2, 2), 0x0008);
	assert_int_equal(config(0, 0xa, 2), 0x0600); /* class: host bridge */
	assert_int_equal(config(0, 0xe, 1), 0);      /* header type: one function */
	set(0, PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	set(0, PCI_COMMAND, 2, UINT16_MAX);
	assert_int_equal(config(0, 0x10, 4), 0); /* no BAR */
	assert_int_equal(config(0, 4, 4), 0);
	assert_int_equal(config(0, 0, 4), 0x00081b36);
}

static void a_function_says_what_it_is(void **state __unused)
{
	for (unsigned slot = 1; slot < 3; slot++) {
		assert_int_equal(config(slot, 0, 4), 0x56781234);
		assert_int_equal(config(slot, 8, 4), 0x02030407);
		assert_int_equal(config(slot, 0x2c, 4), 0xdef09abc);
		assert_int_equal(config(slot, 4, 4), 0x00100000); /* capabilities, all off */
		assert_int_equal(config(slot, 0x34, 1), 0x40);
		assert_int_equal(config(slot, 0x40, 2), 0x4809);
		assert_int_equal(config(slot, 0x48, 2), 0x0011);
		assert_int_equal(config(slot, 0x3c, 2), 0); /* no interrupt pin */
	}
}

static void nobody_else_is_there(void **state __unused)
{
	bool hit;

	for (unsigned devfn = 0; devfn < 256; devfn++) {
		bus_write(&pio, PORTS, 4, 0x80000000 | devfn << 8);
		bus_read(&pio, PORTS + 4, 4, &hit);
		assert_int_equal(hit, devfn % 8 == 0 && devfn < 24);
		bus_read(&mmio, ECAM + (devfn << 12), 4, &hit);
		assert_int_equal(hit, devfn % 8 == 0 && devfn < 24);
		assert_int_equal(bus_write(&mmio, ECAM + (devfn << 12), 4, 0), hit);
	}
	bus_write(&pio, PORTS, 4, 0x80010000); /* another bus */
	assert_int_equal(bus_read(&pio, PORTS + 4, 4, NULL), 0xffffffff);
	bus_write(&pio, PORTS, 4, 0); /* not enabled */
	assert_int_equal(bus_read(&pio, PORTS + 4, 4, NULL), 0xffffffff);
}

/* Any way, width and offset shows the same bytes. */
static void every_access_sees_the_same_space(void **state __unused)
{
	uint8_t want[4096] = { 0 };

	for (unsigned i = 0; i < 256; i++)
		want[i] = (uint8_t)config(1, i, 1);
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned off = 0; off + size <= sizeof(want); off++) {
			assert_true(ecam(1, off, size) == load_le(want + off, size));
			if (off < 256 && off % 4 + size <= 4)
				assert_int_equal(config(1, off, size), load_le(want + off, size));
			else if (off < 256 && size < 8) /* crosses CONFIG_DATA */
				assert_int_equal(config(1, off, size), ~0u >> (32 - 8 * size));
		}
	/* Into the next function's space. */
	for (unsigned size = 2; size <= 8; size *= 2)
		assert_true(ecam(0, 4096 - size / 2, size) == UINT64_MAX >> (64 - 8 * size));
}

/* One bit at a time and all at once: only the guest's bits change, and only where it wrote. */
static void a_write_changes_what_is_the_guests(void **state __unused)
{
	static const uint8_t mask[256] = {
		[4] = 6,       [5] = 4,       [0xc] = 0xff,  [0x11] = 0x80,
		[0x12] = 0xff, [0x13] = 0xff, [0x14] = 0xff, [0x15] = 0xff,
		[0x16] = 0xff, [0x17] = 0xff, [0x3c] = 0xff, [0x44] = 0x0f,
	};
	uint8_t fresh[256];

	for (unsigned i = 0; i < 256; i++)
		fresh[i] = (uint8_t)ecam(2, i, 1);
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned off = 0; off < 300; off++) {
			set(2, off, size, UINT64_MAX);
			if (off < 256) {
				assert_int_equal(cat->last_off, off);
				assert_int_equal(cat->last_size, size);
			}
			for (unsigned i = 0; i < 256; i++)
				assert_int_equal(ecam(2, i, 1), i >= off && i < off + size
									? fresh[i] | mask[i]
									: fresh[i]);
			set(2, off, size, 0);
			for (unsigned i = 0; i < 256; i++)
				assert_int_equal(ecam(2, i, 1), i >= off && i < off + size
									? fresh[i] & ~mask[i]
									: fresh[i]);
			for (unsigned i = 0; i < 256; i += 8)
				set(2, i, 8, load_le(fresh + i, 8));
		}
}

static void a_bar_tells_its_size(void **state __unused)
{
	assert_int_equal(ecam(1, PCI_BASE_ADDRESS_0, 8), LOW | 4);
	assert_int_equal(ecam(2, PCI_BASE_ADDRESS_0, 8), FROM | 4);
	assert_int_equal(pci_bar(&cat->fn), FROM);
	move(UINT64_MAX);
	assert_true(ecam(2, PCI_BASE_ADDRESS_0, 8) == (~(uint64_t)(BAR_SIZE - 1) | 4));
	for (unsigned off = PCI_BASE_ADDRESS_2; off <= PCI_BASE_ADDRESS_5; off += 4) {
		set(2, off, 4, UINT32_MAX);
		assert_int_equal(ecam(2, off, 4), 0);
	}
	set(2, PCI_ROM_ADDRESS, 4, UINT32_MAX);
	assert_int_equal(ecam(2, PCI_ROM_ADDRESS, 4), 0);
}

/* Does the second cat answer at gpa, and only there? */
static bool answers_at(gpa_t gpa)
{
	bool hit;

	assert_int_equal(bus_write(&mmio, gpa + 8, 8, 0x1122334455667788),
			 bus_read(&mmio, gpa + 8, 8, &hit) != UINT64_MAX);
	if (!hit)
		return false;
	assert_true(cat->reg[1] == 0x1122334455667788);
	assert_int_equal(bus_read(&mmio, gpa + 9, 2, NULL), 0x6677);
	cat->reg[1] = 0;
	return true;
}

static void a_bar_answers_where_it_was_put(void **state __unused)
{
	static const gpa_t good[] = { LOW, LOW + LOW_LEN - BAR_SIZE, HIGH,
				      HIGH + HIGH_LEN - BAR_SIZE, HIGH + 0x10000 };
	static const gpa_t bad[] = { 0,    LOW - BAR_SIZE,  LOW + LOW_LEN, HIGH - BAR_SIZE,
				     ECAM, HIGH + HIGH_LEN, 0xfee00000,    UINT64_MAX };
	gpa_t at = FROM;

	assert_false(answers_at(FROM)); /* off */
	assert_int_equal(cat->moves, 0);
	set(2, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(answers_at(FROM));
	assert_true(cat->from == PCI_NOWHERE && cat->to == FROM);
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		move(good[i]);
		assert_true(cat->to == good[i]);
		assert_true(answers_at(good[i]));
		if (at != good[i])
			assert_false(answers_at(at));
		at = good[i];
	}
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		move(bad[i]);
		assert_true(cat->to == PCI_NOWHERE);
		assert_true(cat->fn.bar_at == PCI_NOWHERE);
		assert_false(answers_at(at));
	}
	move(FROM);
	assert_true(answers_at(FROM));
	set(2, PCI_COMMAND, 2, 0);
	assert_true(cat->from == FROM && cat->to == PCI_NOWHERE);
	assert_false(answers_at(FROM));
}

/* Only another place is a move: not the same one, and not bits that are no part of the address. */
static void only_moves_are_told(void **state __unused)
{
	set(2, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(cat->moves, 1);
	move(FROM);
	move(FROM + 0x7ff0);
	set(2, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	set(2, PCI_INTERRUPT_LINE, 1, 5);
	assert_int_equal(cat->moves, 1);
	set(2, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_int_equal(cat->moves, 2);
	assert_true(cat->to == PCI_NOWHERE);
}

static void of_two_in_one_place_the_first_answers(void **state __unused)
{
	set(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set(2, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	move(LOW);
	bus_write(&mmio, LOW, 4, 42);
	assert_int_equal(cats[0].reg[0], 42);
	assert_int_equal(cats[1].reg[0], 0);
	set(1, PCI_COMMAND, 2, 0);
	bus_write(&mmio, LOW, 4, 43);
	assert_int_equal(cats[0].reg[0], 42);
	assert_int_equal(cats[1].reg[0], 43);
}

static void an_access_stays_inside_a_bar(void **state __unused)
{
	bool hit;

	set(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set(2, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(bus_read(&mmio, FROM - 1, 2, &hit), 0xffff);
	assert_false(hit);
	bus_read(&mmio, FROM - 2, 2, &hit);
	assert_true(hit);
	bus_read(&mmio, FROM + BAR_SIZE - 8, 8, &hit);
	assert_true(hit);
	bus_read(&mmio, FROM + BAR_SIZE, 1, &hit);
	assert_false(hit);
	assert_false(bus_write(&mmio, FROM + BAR_SIZE - 4, 8, 0));
}

static void a_bus_has_31_places(void **state __unused)
{
	static struct pci_function more[30];

	for (unsigned i = 0; i < 30; i++) {
		pci_function_init(&more[i], &cat_ops, &cat_ids, BAR_SIZE);
		assert_int_equal(pci_add(&pci, &more[i]), i < 29 ? (int)i + 3 : -ENOSPC);
	}
	for (unsigned i = 0; i < 30; i++)
		pci_function_destroy(&more[i]);
}

static void *keep_reading(void *arg)
{
	for (const bool *stop = arg; !__atomic_load_n(stop, __ATOMIC_ACQUIRE);) {
		bus_read(&mmio, FROM, 4, NULL);
		bus_read(&mmio, HIGH + 16, 8, NULL);
	}
	return NULL;
}

/* Another vCPU reads and writes meanwhile; TSan checks that. */
static void a_bar_moves_under_use(void **state __unused)
{
	bool stop = false;
	pthread_t thread;

	set(2, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(pthread_create(&thread, NULL, keep_reading, &stop), 0);
	for (unsigned i = 0; i < 1000; i++) {
		move(i % 2 ? FROM : HIGH);
		bus_write(&mmio, i % 2 ? FROM : HIGH, 4, i);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_int_equal(cat->reg[0], 999);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, power_on, power_off)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_bridge_is_found),
		TEST(a_function_says_what_it_is),
		TEST(nobody_else_is_there),
		TEST(every_access_sees_the_same_space),
		TEST(a_write_changes_what_is_the_guests),
		TEST(a_bar_tells_its_size),
		TEST(a_bar_answers_where_it_was_put),
		TEST(only_moves_are_told),
		TEST(of_two_in_one_place_the_first_answers),
		TEST(an_access_stays_inside_a_bar),
		TEST(a_bus_has_31_places),
		TEST(a_bar_moves_under_use),
	};

	return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
