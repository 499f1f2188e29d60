/* SPDX-License-Identifier: BSD-2-Clause */
#include "board.h"

#include <stdio.h>
#include <stdlib.h>

#include "arch/x86/layout.h"
#include "config/config.h"
#include "kvm/vm.h"
#include "pci.h"
#include "test.h"

/* A board, wired. */
struct rig {
	struct config config;
	struct vm vm;
	struct pci pci;
	struct bus mmio;
	struct board board;
	char *text;
};

static void on_power(void *ctx __unused, enum power_event what __unused, unsigned value __unused) {}

/* t->config is filled. */
static void power_on(struct rig *t)
{
	struct board_host host = { .vm = &t->vm, .pci = &t->pci, .power = { .event = on_power } };

	vm_none(&t->vm);
	pci_init(&t->pci, 0, 0, 0, 0);
	board_init(&t->board, &t->config, &host);
	assert_int_equal(board_map(&t->board, &t->mmio), 0);
}

static void power_off(struct rig *t)
{
	free(t->text);
	board_destroy(&t->board);
	pci_destroy(&t->pci);
}

/* Returns what --dry-run says of the devices. */
static const char *devices(struct rig *t)
{
	size_t len;
	FILE *f;

	free(t->text);
	f = open_memstream(&t->text, &len);
	assert_non_null(f);
	board_print_devices(&t->board, "a stream", f);
	fclose(f);
	return t->text;
}

static bool answers(struct rig *t, uint16_t port)
{
	bool hit;

	bus_read(&t->board.pio, port, 1, &hit);
	return hit;
}

static void a_pc_has_these_devices(void **state __unused)
{
	struct rig t = { .config = { .cpus = 1, .serial.kind = HOST_STDIO } };

	power_on(&t);
	assert_string_equal(devices(&t), "  port 0x060            i8042\n"
					 "  port 0x070            rtc\n"
					 "  port 0x3f8    irq  4  uart: a stream\n"
					 "  port 0x505            pvpanic\n"
					 "  port 0x600    irq  9  pm\n"
					 "  port 0xcf8            pci-host\n");
	assert_true(t.board.pio.frozen);
	assert_int_equal(t.mmio.nr, 0);
	assert_false(t.mmio.frozen); /* for others */
	assert_ptr_equal(board_bus(&t.board), &t.board.pio);
	power_off(&t);
}

static void what_is_not_asked_for_is_not_there(void **state __unused)
{
	char *argv[] = { (char *)"true", NULL };
	struct rig none = { .config = { .cpus = 1 } };
	struct rig command = { .config = { .cpus = 1, .command.argv = argv } };
	struct rig debug = { .config = { .cpus = 1, .debug_exit = true } };

	power_on(&none);
	assert_false(answers(&none, PORT_COM1));
	assert_false(answers(&none, PORT_DEBUG_EXIT));
	power_off(&none);
	power_on(&command);
	assert_true(answers(&command, PORT_COM1)); /* for the early console */
	power_off(&command);
	power_on(&debug);
	assert_true(answers(&debug, PORT_DEBUG_EXIT));
	power_off(&debug);
}

static bool has(const uint8_t *ram, const char *name)
{
	return memmem(ram + BOARD_ACPI, BOARD_ACPI_LEN, name, strlen(name));
}

/* The tables are where kernels search for them, and tell of the serial port unless it is only for
 * an early console. */
static void tables_tell_of_the_board(void **state __unused)
{
	const struct virtio_place virtio = { .base = 0xd0000000, .len = 0x1000, .pin = 5 };
	const struct device_places places = { .virtio = &virtio, .nr_virtio = 1 };
	char *argv[] = { (char *)"true", NULL };
	struct rig t[] = { { .config = { .cpus = 2, .serial.kind = HOST_STDIO } },
			   { .config = { .cpus = 2, .command.argv = argv } } };

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct gmem mem = { 0 };
		uint8_t *ram = calloc(1, MIB);

		assert_non_null(ram);
		assert_int_equal(gmem_add(&mem, 0, MIB, ram), 0);
		power_on(&t[i]);
		assert_int_equal(board_place_tables(&t[i].board, &mem, &places), 0);
		assert_memory_equal(ram + arch_layout.tables.base, "RSD PTR ", 8);
		assert_true(has(ram, "C001"));
		assert_true(has(ram, "V000"));
		assert_true(has(ram, "PVPN"));
		assert_int_equal(has(ram, "COM1"), i == 0);
		assert_int_equal(load_le(ram + 0x400, 2), i == 0 ? PORT_COM1 : 0); /* the BIOS's */
		power_off(&t[i]);
		free(ram);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pc_has_these_devices),
		cmocka_unit_test(what_is_not_asked_for_is_not_there),
		cmocka_unit_test(tables_tell_of_the_board),
	};

	return cmocka_run_group_tests_name("board", tests, NULL, NULL);
}
