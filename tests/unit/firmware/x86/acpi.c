/* SPDX-License-Identifier: BSD-2-Clause */
#include "x86/acpi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/aml.h"
#include "test.h"
#include "vmm/log.h"
#include "vmm/pm.h"

#define AT         0xe0000
#define ROOM       0x20000
#define PM_GSI     5
#define MAX_CPUS   64
#define MAX_VIRTIO 18

/* RAM in which every byte was written before, as it is after a reset. */
struct board {
	uint8_t ram[0x100000];
	struct gmem mem;
	struct virtio_place virtio[MAX_VIRTIO];
	struct acpi_config config;
};

static struct board *board_new(unsigned cpus, size_t nr_virtio)
{
	struct board *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	memset(b->ram, 0xa5, sizeof(b->ram));
	assert_int_equal(gmem_add(&b->mem, 0, sizeof(b->ram), b->ram), 0);
	for (unsigned i = 0; i < nr_virtio; i++)
		b->virtio[i] = (struct virtio_place){ 0xd0000000 + 0x1000 * i, 0x1000, 6 + i };
	b->config = (struct acpi_config){
		.cpus = cpus,
		.lapic = 0xfee00000,
		.ioapic = 0xfec00000,
		.ioapic_id = 0xf0,
		.devices = { .virtio = b->virtio, .nr_virtio = nr_virtio },
		.com1_port = 0x3f8,
		.com1_gsi = 4,
		.rtc_port = 0x70,
		.pvpanic_port = 0x505,
		.pm_port = 0x600,
		.pm_gsi = PM_GSI,
		.pci_ports = 0xcf8,
	};
	return b;
}

static const struct pci_place pci = {
	.ecam = 0xe0000000,
	.ecam_len = 0x100000,
	.low = 0xc0000000,
	.low_len = 0x10000000,
	.high = 0x140000000,
	.high_len = 0x40000000,
};

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t total = 0;

	while (len--)
		total = (uint8_t)(total + *p++);
	return total;
}

/* Returns the table at that address after checking its signature and checksum. */
static const uint8_t *table_at(const struct board *b, gpa_t at, const char *signature,
			       uint32_t *len)
{
	const uint8_t *t = gmem_slice(&b->mem, at, 36);

	assert_in_range(at, AT, AT + ROOM - 36);
	assert_int_equal(at % 16, 0);
	assert_memory_equal(t, signature, 4);
	assert_memory_equal(t + 10, "MINIVM", 6);
	*len = (uint32_t)load_le(t + 4, 4);
	assert_in_range(*len, 36, AT + ROOM - at);
	assert_int_equal(sum(t, *len), 0);
	return t;
}

struct found {
	const uint8_t *rsdp, *xsdt, *fadt, *madt, *dsdt, *mcfg; /* mcfg NULL: none */
	uint32_t xsdt_len, fadt_len, madt_len, dsdt_len, mcfg_len;
};

/* Follows the pointers like a kernel that only knows where the RSDP is. */
static struct found find_tables(const struct board *b)
{
	struct found f = { .rsdp = b->ram + AT };

	assert_memory_equal(f.rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(f.rsdp, 20), 0);
	assert_int_equal(sum(f.rsdp, 36), 0);
	assert_int_equal(f.rsdp[15], 2);
	assert_int_equal(load_le(f.rsdp + 20, 4), 36);
	f.xsdt = table_at(b, load_le(f.rsdp + 24, 8), "XSDT", &f.xsdt_len);
	assert_int_equal(f.xsdt_len, 36 + (b->config.devices.pci.ecam ? 3 : 2) * 8);
	f.fadt = table_at(b, load_le(f.xsdt + 36, 8), "FACP", &f.fadt_len);
	f.madt = table_at(b, load_le(f.xsdt + 44, 8), "APIC", &f.madt_len);
	if (b->config.devices.pci.ecam)
		f.mcfg = table_at(b, load_le(f.xsdt + 52, 8), "MCFG", &f.mcfg_len);
	f.dsdt = table_at(b, load_le(f.fadt + 140, 8), "DSDT", &f.dsdt_len);
	assert_int_equal(load_le(f.fadt + 40, 4), load_le(f.fadt + 140, 8));
	return f;
}

static void tables_are_found_from_the_root(void **state __unused)
{
	static const struct {
		unsigned cpus;
		size_t nr_virtio;
	} size[] = { { 1, 0 }, { 1, MAX_VIRTIO }, { MAX_CPUS, 0 }, { MAX_CPUS, MAX_VIRTIO } };

	for (size_t i = 0; i < ARRAY_SIZE(size); i++) {
		struct board *b = board_new(size[i].cpus, size[i].nr_virtio);
		struct found f;

		assert_int_equal(acpi_build(&b->mem, &b->config, AT, ROOM), 0);
		f = find_tables(b);
		assert_int_equal(f.fadt_len, 276);
		assert_int_equal(f.madt_len, 44 + 8 * size[i].cpus + 12);
		assert_int_equal(b->ram[AT - 1], 0xa5);
		free(b);
	}
}

static void madt_lists_each_processor_once(void **state __unused)
{
	struct board *b = board_new(MAX_CPUS, 1);
	struct found f;

	assert_int_equal(acpi_build(&b->mem, &b->config, AT, ROOM), 0);
	f = find_tables(b);
	assert_int_equal(load_le(f.madt + 36, 4), 0xfee00000);
	assert_int_equal(load_le(f.madt + 40, 4), 0);
	for (unsigned i = 0; i < MAX_CPUS; i++) {
		const uint8_t lapic[8] = { 0, 8, (uint8_t)i, (uint8_t)i, 1 };

		assert_memory_equal(f.madt + 44 + 8 * i, lapic, 8);
	}
	assert_memory_equal(f.madt + 44 + 8 * MAX_CPUS, "\1\14\xf0\0\0\0\xc0\xfe\0\0\0\0", 12);
	free(b);
}

static void fadt_describes_a_reduced_machine(void **state __unused)
{
	struct board *b = board_new(1, 1);
	struct found f;

	assert_int_equal(acpi_build(&b->mem, &b->config, AT, ROOM), 0);
	f = find_tables(b);
	assert_int_equal(load_le(f.fadt + 112, 4), 0x101475);
	assert_int_equal(load_le(f.fadt + 109, 2), 0x4); /* no VGA, no 8042, an RTC */
	assert_memory_equal(f.fadt + 244, "\1\10\0\1\x00\x06\0\0\0\0\0\0", 12);
	assert_memory_equal(f.fadt + 256, "\1\10\0\1\x01\x06\0\0\0\0\0\0", 12);
	assert_memory_equal(f.fadt + 116, "\1\10\0\1\x02\x06\0\0\0\0\0\0\1", 13);

	b->config.rtc_port = 0;
	assert_int_equal(acpi_build(&b->mem, &b->config, AT, ROOM), 0);
	f = find_tables(b);
	assert_int_equal(load_le(f.fadt + 109, 2), 0x24);
	free(b);
}

static void mcfg_says_where_configuration_space_is(void **state __unused)
{
	struct board *b = board_new(1, 0);
	struct found f;

	b->config.devices.pci = pci;
	assert_int_equal(acpi_build(&b->mem, &b->config, AT, ROOM), 0);
	f = find_tables(b);
	assert_int_equal(f.mcfg_len, 44 + 16);
	assert_memory_equal(f.mcfg + 36, "\0\0\0\0\0\0\0\0\0\0\0\xe0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
	free(b);
}

static void what_does_not_fit_is_refused(void **state __unused)
{
	struct board *b = board_new(MAX_CPUS, MAX_VIRTIO);
	uint64_t room = 0;

	log_set_level(LOG_QUIET);
	assert_int_equal(acpi_build(&b->mem, &b->config, sizeof(b->ram) - 16, ROOM), -EFAULT);
	while (acpi_build(&b->mem, &b->config, AT, room) == -ENOSPC) {
		assert_int_equal(b->ram[AT + room], 0xa5); /* nothing beyond its room */
		room += 16;
	}
	log_set_level(LOG_WARN);
	assert_in_range(room, 4096, 8192);
	find_tables(b);
	free(b);
}

/* -- with ACPICA's tools --------------------------------------------------------------------- */

static bool have(const char *tool)
{
	char command[64];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", tool);
	return system(command) == 0;
}

/* What the last run() printed. */
static char printed[1 << 20];

/* Runs a command line in dir, which must exit with status 0. */
static void run(const char *dir, const char *command)
{
	char line[512];
	FILE *p;
	size_t n;

	snprintf(line, sizeof(line), "cd %s && { %s; } 2>&1 </dev/null", dir, command);
	p = popen(line, "r");
	assert_non_null(p);
	n = fread(printed, 1, sizeof(printed) - 1, p);
	printed[n] = '\0';
	if (pclose(p) != 0)
		fail_msg("%s: failed:\n%s", command, printed);
}

static void assert_printed(const char *part)
{
	if (!strstr(printed, part))
		fail_msg("no \"%s\" in:\n%s", part, printed);
}

static void assert_not_printed(const char *part)
{
	if (strcasestr(printed, part))
		fail_msg("\"%s\" in:\n%s", part, printed);
}

static void save(const char *dir, const char *name, const uint8_t *p, size_t len)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.aml", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* Returns a directory with the tables of a machine in files, for remove_files(): virtio-mmio
 * devices, or PCI. */
static char *tables_in_files(unsigned cpus, size_t nr_virtio)
{
	struct board *b = board_new(cpus, nr_virtio);
	const bool has_pci = nr_virtio == 0;
	char *dir = strdup("/tmp/minivmm-acpi-XXXXXX");
	struct found f;

	assert_non_null(mkdtemp(dir));
	if (has_pci)
		b->config.devices.pci = pci;
	assert_int_equal(acpi_build(&b->mem, &b->config, AT, ROOM), 0);
	f = find_tables(b);
	save(dir, "xsdt", f.xsdt, f.xsdt_len);
	save(dir, "facp", f.fadt, f.fadt_len);
	save(dir, "apic", f.madt, f.madt_len);
	save(dir, "dsdt", f.dsdt, f.dsdt_len);
	if (has_pci)
		save(dir, "mcfg", f.mcfg, f.mcfg_len);
	free(b);
	return dir;
}

static void remove_files(char *dir)
{
	run(dir, "rm -r $PWD");
	free(dir);
}

/* iasl disassembles every table and compiles it again, without a warning. Afterwards printed has
 * the DSDT's source. */
static void take_apart(const char *dir, const char *const *table, size_t nr)
{
	char command[128];

	for (size_t i = 0; i < nr; i++) {
		snprintf(command, sizeof(command), "iasl -d %s.aml", table[i]);
		run(dir, command);
		assert_printed(".dsl - ");
		assert_not_printed("warning");
		assert_not_printed("error");
		assert_not_printed("invalid");
		snprintf(command, sizeof(command), "iasl -tc -p again %s.dsl", table[i]);
		run(dir, command);
		assert_printed("0 Errors, 0 Warnings, 0 Remarks");
	}
	run(dir, "cat dsdt.dsl");
}

static void iasl_reads_every_table(void **state __unused)
{
	static const char *const table[] = { "xsdt", "facp", "apic", "dsdt", "mcfg" };
	char *dir;

	if (!have("iasl")) {
		print_message("# SKIP: no iasl; apt-get install acpica-tools\n");
		skip();
	}
	dir = tables_in_files(MAX_CPUS, MAX_VIRTIO);
	take_apart(dir, table, ARRAY_SIZE(table) - 1);
	assert_printed("Device (C03F)");
	assert_printed("Device (V011)");
	assert_printed("0xD0011000,         // Address Base");
	assert_printed("EisaId (\"PNP0501\")");
	assert_printed("Name (_S5, Package (0x04)");
	assert_not_printed("PNP0A08");
	remove_files(dir);

	dir = tables_in_files(1, 0);
	take_apart(dir, table, ARRAY_SIZE(table));
	assert_printed("Name (_HID, EisaId (\"PNP0A08\")");
	assert_printed("Name (_CID, EisaId (\"PNP0A03\")");
	assert_printed("0xC0000000,         // Range Minimum");
	assert_printed("0x0000000140000000, // Range Minimum");
	assert_printed("0x000000017FFFFFFF, // Range Maximum");
	remove_files(dir);
}

/* The kernel gets the control that it asks for, if it asks about PCI Express; otherwise the answer
 * is that the UUID is unknown. */
static void osc_gives_what_is_asked_for(void **state __unused)
{
	char *dir;

	if (!have("acpiexec")) {
		print_message("# SKIP: no acpiexec; apt-get install acpica-tools\n");
		skip();
	}
	dir = tables_in_files(1, 0);
	run(dir,
	    "acpiexec -b 'execute \\_SB.PCI0._OSC (5B 4D DB 33 F7 1F 1C 40 96 57 74 41 C0 3D D7 66) 1 3 (00 00 00 00 1F 00 00 00 1D 00 00 00)' dsdt.aml");
	assert_printed("00 00 00 00 1F 00 00 00 1D 00 00 00");
	run(dir,
	    "acpiexec -b 'execute \\_SB.PCI0._OSC (6B 4D DB 33 F7 1F 1C 40 96 57 74 41 C0 3D D7 66) 1 3 (00 00 00 00 1F 00 00 00 1D 00 00 00)' dsdt.aml");
	assert_printed("04 00 00 00 1F 00 00 00 1D 00 00 00");
	remove_files(dir);
}

/* ACPICA's interpreter runs the method of the Generic Event Device with that value in the
 * register. */
static void run_event(const char *dir, unsigned events)
{
	char command[128];

	snprintf(command, sizeof(command),
		 "acpiexec -fv %x -b 'execute \\_SB.GED._EVT %d' dsdt.aml", events, PM_GSI);
	run(dir, command);
	assert_printed("Evaluating \\_SB.GED._EVT");
}

static void the_button_is_notified_when_its_event_is_there(void **state __unused)
{
	char *dir;

	if (!have("acpiexec")) {
		print_message("# SKIP: no acpiexec; apt-get install acpica-tools\n");
		skip();
	}
	dir = tables_in_files(1, 1);
	run_event(dir, PM_EVENT_POWER_BUTTON);
	assert_printed("Received a Device Notify on [PWRB]");
	run_event(dir, 0xfe);
	assert_not_printed("Notify on");
	remove_files(dir);
}

static void integers_take_the_shortest_form(void **state __unused)
{
	uint8_t buf[32];
	struct aml a = { .buf = buf, .size = sizeof(buf) };

	aml_int(&a, 0);
	aml_int(&a, 1);
	aml_int(&a, 0xff);
	aml_int(&a, 0x100);
	aml_int(&a, 0x10000);
	aml_int(&a, 0x100000000);
	assert_int_equal(a.len, 1 + 1 + 2 + 3 + 5 + 9);
	assert_memory_equal(buf, "\0\1\12\xff\13\0\1\14\0\0\1\0\16\0\0\0\0\1\0\0\0", a.len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_found_from_the_root),
		cmocka_unit_test(madt_lists_each_processor_once),
		cmocka_unit_test(fadt_describes_a_reduced_machine),
		cmocka_unit_test(mcfg_says_where_configuration_space_is),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(integers_take_the_shortest_form),
		cmocka_unit_test(iasl_reads_every_table),
		cmocka_unit_test(osc_gives_what_is_asked_for),
		cmocka_unit_test(the_button_is_notified_when_its_event_is_there),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
